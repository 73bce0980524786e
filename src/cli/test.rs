//! `reynard test`: playbooks held to their stories.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use clap::ValueEnum;

use crate::rehearse_tests::{self, Told};
use crate::terminal;

#[derive(Debug, clap::Args)]
#[command(after_help = "Example: reynard test\n         reynard test playbooks/tests/service_down.yaml --format junit > tests.xml")]
pub struct Args {
    /// Files of tests, or folders of them; without any, those of playbooks/tests, or else the shipped ones.
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
    Junit,
}

pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let begun = Instant::now();
    let told = rehearse_tests::run(&args.paths, &args.config, &args.playbooks)?;
    match args.format {
        Format::Text => text(&told, begun),
        Format::Junit => terminal::write(rehearse_tests::junit(&told)),
    }
    Ok(ExitCode::from(if told.iter().any(|told| told.broken) { 2 } else { u8::from(told.iter().any(|told| !told.faults.is_empty())) }))
}

fn text(told: &[Told], begun: Instant) {
    for failed in told.iter().filter(|told| !told.faults.is_empty()) {
        terminal::say(format!("✗ {}: {}", failed.file, failed.name));
        failed.faults.iter().for_each(|fault| terminal::say(format!("  {}", fault.trim_end())));
    }
    let bad = told.iter().filter(|told| !told.faults.is_empty()).count();
    terminal::say(format!("{} tests: {} good, {bad} not, in {} ms", told.len(), told.len() - bad, begun.elapsed().as_millis()));
}
