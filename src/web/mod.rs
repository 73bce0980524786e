//! The web room: pages for people, an API for programs, one stream for both.

pub mod assets;
pub mod live;
pub mod pages;
pub mod state;
