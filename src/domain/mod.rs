//! The pure core: nothing in here knows a clock, a database, a network or a file.

pub mod cron;
pub mod cron_field;
pub mod directory;
pub mod on_call;
pub mod time;
