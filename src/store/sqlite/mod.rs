//! SQLite, the embedded default: one file, one owner, one writer; readers never wait for it.

pub mod archive;
pub mod backup;
mod brakes;
pub mod inbox;
pub mod journal;
mod naming;
pub mod open;
pub mod reads;
pub mod retention;
pub mod revisions;
pub mod rows;
pub mod sessions;
