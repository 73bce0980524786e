//! What the templates are given: one typed struct each, made by pure functions from domain values.

pub mod face;
pub mod incident;
pub mod links;
pub mod list;
pub mod machine;
pub mod playbooks;
pub mod shell;
pub mod story;
pub mod times;
