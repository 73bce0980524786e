//! The command line: one file a verb.

pub mod check;
pub mod fire;
pub mod init;
pub mod run;
pub mod schema;
pub mod serve;
pub mod simulate;
pub mod test;
