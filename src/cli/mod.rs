//! The command line: one file a verb.

pub mod activate;
pub mod backtest;
mod backup;
pub mod check;
mod database;
pub mod export;
pub mod fire;
pub mod hold;
pub mod init;
pub mod migrate;
pub mod password;
mod progress;
pub mod rearm;
pub mod restore;
pub mod run;
pub mod schema;
pub mod serve;
mod server;
pub mod shadow;
pub mod simulate;
pub mod test;
pub mod verify;

/// Carries out a command that does one thing and ends.
fn block_on<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work)
}
