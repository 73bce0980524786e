//! Reynard: alerts in, classified, repaired by durable playbooks, escalated to people, told on one timeline.

pub mod action;
pub mod channel;
pub mod config;
pub mod domain;
pub mod engine;
pub mod store;
pub mod web;

#[cfg(test)]
mod recorder;
