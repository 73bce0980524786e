//! `reynard backtest`: what edited rules and playbooks would have made of the past.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::ValueEnum;
use serde_json::json;

use crate::app::backtest::{self, Asked};
use crate::cli::progress::Progress;
use crate::domain::time::Span;
use crate::rehearse;
use crate::terminal;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example: reynard backtest playbooks/service_down.yaml --since 30d\n         reynard backtest --config edited.yaml --since 7d --format json\nThe database is only read, also beside a running server. What people did and targets answered is taken to be the same again.\nExit: 0 nothing would have been otherwise, 1 something would, 2 it could not run."
)]
pub struct Args {
    /// An edited playbook that stands for the one of its name; without one the folder's are tried.
    playbook: Option<PathBuf>,
    /// How far back.
    #[arg(long, default_value = "30d")]
    since: String,
    /// Tell every incident that changes.
    #[arg(long)]
    all: bool,
    #[arg(long, env = "REYNARD_CONFIG", default_value = "reynard.yaml")]
    config: PathBuf,
    #[arg(long, env = "REYNARD_PLAYBOOKS", default_value = "playbooks")]
    playbooks: PathBuf,
    /// Where the data is, for example sqlite://data/reynard.db; wins over the settings file.
    #[arg(long, env = "REYNARD_DATABASE_URL")]
    database_url: Option<String>,
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    Text,
    Json,
}

pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let since: Span = args.since.parse().map_err(|error| anyhow::anyhow!("--since: {error}"))?;
    let draft = args.playbook.as_deref().map(|named| draft(named, &args.playbooks)).transpose()?;
    let asked = Asked {
        config: &args.config,
        playbooks: &args.playbooks,
        draft: draft.as_deref(),
        database_url: args.database_url.as_deref(),
        since,
    };
    let mut progress = Progress::new();
    let told = super::block_on(backtest::backtest(&asked, &mut |done, all| progress.show(done, all, "deliveries")))?;
    progress.clear();
    match args.format {
        Format::Text => {
            terminal::write(rehearse::contrast(&told.outcome, since, args.all));
            terminal::write(told.hindsight.to_text(terminal::is_coloured()));
        }
        Format::Json => {
            let mut whole = rehearse::contrast_json(&told.outcome);
            whole["hindsight"] = told.hindsight.to_json()["diagnostics"].take();
            whole["since_ms"] = json!(since.as_millis());
            terminal::say(format!("{whole:#}"));
        }
    }
    Ok(ExitCode::from(u8::from(!told.outcome.changed.is_empty())))
}

/// A file, or the name of a playbook in the folder.
fn draft(named: &Path, playbooks: &Path) -> anyhow::Result<PathBuf> {
    let own = playbooks.join(named).with_extension("yaml");
    let found = [named.to_owned(), own].into_iter().find(|path| path.is_file());
    found.with_context(|| format!("{} is neither a file nor a playbook of {}", named.display(), playbooks.display()))
}
