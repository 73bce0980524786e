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
    let broken = told.iter().any(|told| told.broken);
    let bad = told.iter().any(|told| !told.flaws.is_empty());
    Ok(ExitCode::from(if broken { 2 } else { u8::from(bad) }))
}

fn text(told: &[Told], begun: Instant) {
    for failed in told.iter().filter(|told| !told.flaws.is_empty()) {
        terminal::say(format!("✗ {}:{}: {}", failed.file, failed.line, failed.name));
        for flaw in &failed.flaws {
            terminal::say(format!("  {}:{}: {}", flaw.line, flaw.column, flaw.words.trim_end()));
        }
    }
    let bad = told.iter().filter(|told| !told.flaws.is_empty()).count();
    terminal::say(format!("{} tests: {} good, {bad} not, in {} ms", told.len(), told.len() - bad, begun.elapsed().as_millis()));
}
