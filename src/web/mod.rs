//! The web room: an API for programs, the webhook, and the router that joins them with the pages.

pub mod api;
pub mod extract;
pub mod problem;
pub mod router;
pub mod serve;
pub mod state;
pub mod webhook;

#[cfg(test)]
mod tests;
