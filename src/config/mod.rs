//! Files to domain: `reynard.yaml` and playbooks are read, checked and typed here; knows no database, no action's deed, no web.

pub mod channels;
pub mod check;
pub mod circles;
pub mod classification;
pub mod commands;
pub mod diagnostic;
pub mod escalation;
pub mod files;
pub mod limits;
pub mod lint;
pub mod load;
pub mod names;
pub mod on_call;
pub mod outputs;
pub mod playbooks;
pub mod reader;
pub mod recovered;
pub mod reference;
pub mod schema;
pub mod scope;
pub mod secrets;
pub mod settings;
pub mod sign_in;
pub mod signals;
pub mod sources;
pub mod steps;
pub mod suggest;
pub mod targets;
pub mod vars;
pub mod watch;
pub mod with;
pub mod worst_case;
pub mod write;
pub mod yaml;

#[cfg(test)]
mod samples;
