//! What the templates are given: one typed struct each, made by pure functions from domain values.

pub mod answers;
pub mod automation;
pub mod confirm;
pub mod diff;
pub mod edit;
pub mod face;
pub mod gantt;
pub mod incident;
pub mod links;
pub mod list;
pub mod machine;
pub mod me;
pub mod mitigations;
pub mod nodes;
pub mod past;
pub mod playbook;
pub mod playbooks;
pub mod shell;
pub mod sign_in;
pub mod start;
pub mod story;
pub mod strip;
pub mod times;
