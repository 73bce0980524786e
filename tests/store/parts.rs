//! Real parts that the stories of tests/real use, too.

#[path = "../real/parts/postgres.rs"]
pub mod postgres;
#[path = "../real/parts/process.rs"]
pub mod process;
