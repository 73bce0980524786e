//! Deciding: a command and the state make facts and effects. Pure: no IO, no clock, no chance.

pub mod anew;
pub mod answer;
pub mod approve;
pub mod brakes;
pub mod command;
pub mod each;
pub mod hold;
pub mod observe;
pub mod outbox;
pub mod paging;
pub mod people;
pub mod recovery;
pub mod run;
pub mod schedule;
pub mod scope;
pub mod shadow;
pub mod steer;
pub mod step;
pub mod target;
pub mod tell;
pub mod turn;
pub mod undo;
pub mod verify;
