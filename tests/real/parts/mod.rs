//! The parts of the rig: each starts on a free port, keeps its files in a folder of its own and ends on drop.

pub mod alert;
pub mod alertmanager;
pub mod browser;
pub mod gauge;
pub mod house;
pub mod http;
pub mod page;
pub mod patroni;
#[allow(dead_code, reason = "shared with tests/store, which needs more of it")]
pub mod postgres;
pub mod process;
pub mod prometheus;
pub mod recorder;
pub mod reynard;
pub mod slow;
pub mod smtp;
pub mod target;
pub mod wait;
pub mod wire;
