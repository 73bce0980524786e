//! `reynard backup`: a checked copy of the database, while the server runs.

use std::path::PathBuf;
use std::process::ExitCode;

use crate::cli::database::Database;
use crate::cli::progress::Progress;
use crate::terminal;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example: reynard backup /var/backups/reynard-2026-11-24.db\nThe server goes on meanwhile. The file appears once it is whole and verified."
)]
pub struct Args {
    /// The file to write.
    file: PathBuf,
    /// Write over a file that is there.
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    database: Database,
}

pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let mut progress = Progress::new();
    let verified = super::block_on(args.database.keeper()?.backup(&args.file, args.force, &mut progress))?;
    progress.clear();
    if verified.faults > 0 {
        terminal::say(format!(
            "{verified}\nNo backup was written: it would have these faults, too. Mend the database, or copy the file as it is."
        ));
        return Ok(ExitCode::from(1));
    }
    terminal::say(format!("{verified}\nWrote {}. To put it back: reynard restore {0}", args.file.display()));
    Ok(ExitCode::SUCCESS)
}
