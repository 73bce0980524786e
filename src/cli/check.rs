//! `reynard check`: settings and playbooks, checked as loading would, told as a compiler would.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::ValueEnum;

use crate::app;
use crate::config::check::{Request, Verdict};

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
            print!("{}", found.to_text(std::io::stdout().is_terminal()));
            println!("{} files: {} errors, {} warnings", checked.files.len(), found.errors(), found.warnings());
        }
        Format::Json => println!("{:#}", found.to_json()),
        Format::Sarif => println!("{:#}", found.to_sarif()),
    }
    Ok(ExitCode::from(checked.verdict.exit_code()))
}
