//! The real core on a clock that is turned by hand: what `simulate` shows and `test` holds playbooks to. Nothing leaves the process.

pub mod answer;
pub mod given;
pub mod judge;
pub mod report;
pub mod script;
pub mod simulation;
pub mod stage;
