//! `reynard migrate`: a SQLite installation's whole history into PostgreSQL. The file stays as it is.

use std::path::PathBuf;
use std::process::ExitCode;

use crate::app::upkeep::{Keeper, migrate};
use crate::cli::progress::Progress;
use crate::terminal;

#[derive(Debug, clap::Args)]
#[command(after_help = "Example: reynard migrate --to postgres://reynard:PASSWORD@db.internal/reynard\n\
Stop the server first; nothing comes in meanwhile, and Alertmanager sends again what was refused. Everything goes over in one\n\
transaction: deliveries, incidents with their timelines, alerts, runs, timers, and what limits have counted. Whatever goes wrong\n\
on the way, the target stays empty and the file stays as it is, so simply run it again. At the end the target is verified.\n\
A password on the command line is seen by everybody on the machine: REYNARD_MIGRATE_TO is not.\n\
Exit: 0 everything is over and fits, 1 it went over and has faults, 2 nothing went over.")]
pub struct Args {
    /// The file, as sqlite://data/reynard.db; the one that the settings name unless said.
    #[arg(long, value_name = "URL")]
    from: Option<String>,
    /// The PostgreSQL, with nothing of Reynard's in it yet.
    #[arg(long, value_name = "URL", env = "REYNARD_MIGRATE_TO", hide_env_values = true)]
    to: String,
    /// The settings file that names the database; none is needed.
    #[arg(long, env = "REYNARD_CONFIG", default_value = "reynard.yaml")]
    config: PathBuf,
}

pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let keeper = Keeper::of(&args.config, args.from.as_deref())?;
    let mut progress = Progress::new();
    let migrated = super::block_on(migrate(keeper.url(), &args.to, &mut progress))?;
    progress.clear();
    let tables: Vec<String> = migrated.tables.iter().map(|(table, rows)| format!("{rows} {table}")).collect();
    terminal::say(format!("Carried over: {}", if tables.is_empty() { "nothing, the file is empty".to_owned() } else { tables.join(", ") }));
    terminal::say(format!("{}", migrated.verified));
    if migrated.verified.faults > 0 {
        terminal::say(
            "All of it went over, and it has these faults. Look with `reynard verify` whether the file has them, too; if it does, they are\n\
             older than this move.",
        );
        return Ok(ExitCode::from(1));
    }
    terminal::say(
        "Next: set database.url to the PostgreSQL and start the server. What became due meanwhile is due at once. The file is as it was:\n\
         keep it as a backup, and start no server on it again.",
    );
    Ok(ExitCode::SUCCESS)
}
