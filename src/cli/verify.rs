//! `reynard verify`: the log against the state, also beside a running server.

use std::process::ExitCode;

use crate::cli::database::Database;
use crate::cli::progress::Progress;
use crate::terminal;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example: reynard verify --database-url sqlite://data/reynard.db\nIt changes nothing. Exit: 0 everything fits, 1 it found faults, 2 it could not look."
)]
pub struct Args {
    #[command(flatten)]
    database: Database,
}

pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let mut progress = Progress::new();
    let verified = super::block_on(args.database.keeper()?.verify(&mut progress))?;
    progress.clear();
    terminal::say(verified.to_string());
    Ok(ExitCode::from(u8::from(verified.faults > 0)))
}
