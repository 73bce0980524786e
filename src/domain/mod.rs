//! The pure core: nothing in here knows a clock, a database, a network or a file.

pub mod expression;
pub mod time;
