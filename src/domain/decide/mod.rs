//! Deciding: a command and the state make facts and effects. Pure: no IO, no clock, no chance.

pub mod command;
pub mod observe;
pub mod outbox;
pub mod paging;
pub mod people;
pub mod recovery;
pub mod running;
pub mod scope;
pub mod turn;
