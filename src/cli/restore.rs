//! `reynard restore`: a backup in the database's place. What it replaces is kept.

use std::path::PathBuf;
use std::process::ExitCode;

use crate::cli::database::Database;
use crate::cli::progress::Progress;
use crate::terminal;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example: reynard restore /var/backups/reynard-2026-11-24.db\nStop the server first. The backup is checked before anything is touched, and what it replaces is kept beside it."
)]
pub struct Args {
    /// The backup.
    file: PathBuf,
    #[command(flatten)]
    database: Database,
}

pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let mut progress = Progress::new();
    let restored = super::block_on(args.database.keeper()?.restore(&args.file, &mut progress))?;
    progress.clear();
    terminal::say(restored.verified.to_string());
    if restored.verified.faults > 0 {
        terminal::say("Nothing was restored: the backup is not whole. Take an earlier one.");
        return Ok(ExitCode::from(1));
    }
    terminal::say(format!("Restored {}.", restored.database.display()));
    if let Some(kept) = restored.kept {
        terminal::say(format!("What was there lies at {}; delete it once you do not need it.", kept.display()));
    }
    terminal::say(
        "Next: start the server. It knows nothing of what happened since the backup: timers that became due are due at once,
steps that were under way then are tried again or asked about, and alerts come back as Alertmanager repeats them.
Look at open incidents before you believe them.",
    );
    Ok(ExitCode::SUCCESS)
}
