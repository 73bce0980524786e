//! `reynard check`: settings and playbooks, checked as loading would, told as a compiler would.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::ValueEnum;

use crate::app;
use crate::config::check::{Request, Verdict};
use crate::terminal;

#[derive(Debug, clap::Args)]
#[command(after_help = "Example: reynard check playbooks/service_down.yaml --format json")]
pub struct Args {
    /// Playbooks, folders of playbooks, or a reynard.yaml; without any, those of the working folder.
    paths: Vec<PathBuf>,
    #[arg(long, env = "REYNARD_CONFIG", default_value = "reynard.yaml")]
    config: PathBuf,
    #[arg(long, env = "REYNARD_PLAYBOOKS", default_value = "playbooks")]
    playbooks: PathBuf,
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    Text,
    Json,
    Sarif,
}

pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let request = Request { settings: Path::new(&args.config), playbooks: &args.playbooks, paths: &args.paths };
    let checked = app::check(request);
    if let Verdict::CouldNotRun(why) = &checked.verdict {
        anyhow::bail!("{why}");
    }
    let found = &checked.diagnostics;
    match args.format {
        Format::Text => {
            terminal::write(found.to_text(terminal::is_coloured()));
            terminal::say(format!("{} files: {} errors, {} warnings", checked.files.len(), found.errors(), found.warnings()));
        }
        Format::Json => terminal::say(format!("{:#}", found.to_json())),
        Format::Sarif => terminal::say(format!("{:#}", found.to_sarif())),
    }
    Ok(ExitCode::from(checked.verdict.exit_code()))
}
