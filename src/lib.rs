//! Reynard: alerts in, classified, repaired by durable playbooks, escalated to people, told on one timeline.

pub mod domain;
pub mod engine;
pub mod web;
