//! The HTML pages: read, ask, show. Everything they show is also in the API.

pub mod actions;
pub mod automation;
pub mod bulk;
pub mod confirm;
pub mod fault;
pub mod incident;
pub mod incidents;
pub mod me;
pub mod nodes;
pub mod playbook;
pub mod playbooks;
pub mod render;
pub mod router;
pub mod sign_in;
pub mod start;
pub mod view;
pub mod visitor;
