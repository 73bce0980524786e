//! Reynard: alerts in, classified, repaired by durable playbooks, escalated to people, told on one timeline.

// A broken pipe must not panic: what is said goes through `terminal`.
#![cfg_attr(not(test), deny(clippy::print_stdout, clippy::print_stderr))]

pub mod action;
pub mod app;
pub mod carried;
pub mod channel;
pub mod cli;
pub mod config;
pub mod domain;
pub mod engine;
mod memory;
pub mod rehearsal;
pub mod rehearse;
pub mod rehearse_tests;
pub mod secrets;
pub mod store;
pub mod telemetry;
pub mod terminal;
pub mod web;

#[cfg(test)]
mod recorder;
