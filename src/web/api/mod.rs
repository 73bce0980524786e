//! The HTTP API, one file a noun.

pub mod acts;
pub mod automation;
pub mod deliveries;
pub mod health;
pub mod incidents;
pub mod metrics;
pub mod nodes;
pub mod on_call;
pub mod openapi;
pub mod playbooks;
pub mod runs;
