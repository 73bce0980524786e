//! PostgreSQL, for several nodes and for what must outlive a machine: the twin of SQLite, file by file and verb by verb.

pub mod archive;
mod brakes;
pub mod inbox;
pub mod journal;
pub mod lease;
mod naming;
pub mod nodes;
pub mod open;
pub mod reads;
pub mod retention;
pub mod revisions;
pub mod rows;
pub mod sessions;
