//! The thin durable runtime between the pure core and the outer rooms.

pub mod metrics;
pub mod ports;
pub mod runtime;
pub mod store;
pub mod wire;
