//! The papers held against the program, so that what they show is what people see.

mod checked;
mod guide;
mod papers;
#[path = "../crash/server.rs"]
#[allow(dead_code, reason = "shared with tests/crash, which needs more of it")]
mod server;
