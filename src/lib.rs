//! Reynard: alerts in, classified, repaired by durable playbooks, escalated to people, told on one timeline.

pub mod action;
pub mod app;
pub mod carried;
pub mod channel;
pub mod cli;
pub mod config;
pub mod domain;
pub mod engine;
mod memory;
pub mod store;
pub mod telemetry;
pub mod web;

#[cfg(test)]
mod recorder;
