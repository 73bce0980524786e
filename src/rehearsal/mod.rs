//! The real core on a clock that is turned by hand: what `simulate` shows, `test` holds playbooks to and `backtest` tries
//! on the past. Nothing leaves the process.

pub mod answer;
pub mod author;
pub mod backtest;
pub mod contrast;
pub mod facts;
pub mod given;
pub mod hindsight;
pub mod judge;
pub mod past;
pub mod report;
pub mod script;
pub mod seen;
pub mod simulation;
pub mod stage;
mod written;
