//! The web room: pages for people, an API for programs, the webhook, one stream, and the router that joins them.

pub mod api;
pub mod assets;
pub mod diff;
pub mod extract;
mod forward;
pub mod hosts;
pub mod library;
pub mod live;
pub mod pages;
pub mod problem;
pub mod record;
pub mod releasing;
pub mod router;
pub mod serve;
pub mod sign_in;
pub mod state;
pub mod webhook;

#[cfg(test)]
mod tests;
