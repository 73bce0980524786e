//! Files to domain: `reynard.yaml` and playbooks are read, checked and typed here; knows no database, no action's deed, no web.

pub mod diagnostic;
pub mod reader;
pub mod suggest;
pub mod yaml;
