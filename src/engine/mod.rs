//! The thin durable runtime between the pure core and the outer rooms.

pub mod archive;
pub mod brief;
pub mod clock;
pub mod commit;
pub mod error;
pub mod incidents;
pub mod intake;
pub mod load;
pub mod metrics;
pub mod narrate;
pub mod node;
pub mod ports;
pub mod pulse;
pub mod recovery;
pub mod render;
pub mod request;
mod retention;
pub mod runtime;
pub mod schedule;
pub mod shared;
pub mod store;
pub mod tally;
pub mod verify;
pub mod wire;
pub mod work;
pub mod worker;
