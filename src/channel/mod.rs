//! Ways to tell people: one file a channel; the catalogue builds them from settings. No action, store or page is known here.

pub mod catalog;
pub mod email;
pub mod heartbeat;
pub mod http;
pub mod slack;
pub mod webhook;
