//! `reynard test`: playbooks held to their stories.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, bail};
use clap::ValueEnum;

use crate::app::upkeep::Keeper;
use crate::rehearse_tests::{self, Told};
use crate::terminal;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example: reynard test\n         reynard test playbooks/tests/service_down.yaml --format junit > tests.xml\n         reynard test --from-incident 12"
)]
pub struct Args {
    /// Files of tests, or folders of them; without any, those of playbooks/tests, or else the shipped ones.
    paths: Vec<PathBuf>,
    /// Write a test from a stored incident, by number or UUID, and play it; the database is only read.
    #[arg(long, conflicts_with = "paths")]
    from_incident: Option<String>,
    /// Where that test goes; left out: incident-N.yaml in the folder of tests beside the playbooks.
    #[arg(long, requires = "from_incident")]
    output: Option<PathBuf>,
    /// Where the data is, for example sqlite://data/reynard.db; wins over the settings file.
    #[arg(long, env = "REYNARD_DATABASE_URL")]
    database_url: Option<String>,
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
    let written = args.from_incident.as_deref().map(|name| write(args, name)).transpose()?;
    let paths = written.map_or_else(|| args.paths.clone(), |path| vec![path]);
    let told = rehearse_tests::run(&paths, &args.config, &args.playbooks)?;
    match args.format {
        Format::Text => text(&told, begun),
        Format::Junit => terminal::write(rehearse_tests::junit(&told)),
    }
    let broken = told.iter().any(|told| told.broken);
    let bad = told.iter().any(|told| !told.flaws.is_empty());
    Ok(ExitCode::from(if broken { 2 } else { u8::from(bad) }))
}

/// Writes the test and says where; a file that is there is kept.
fn write(args: &Args, name: &str) -> anyhow::Result<PathBuf> {
    let keeper = Keeper::of(&args.config, args.database_url.as_deref())?;
    let (number, text) = super::block_on(keeper.test_of(name))?;
    let path = args.output.clone().unwrap_or_else(|| args.playbooks.join("tests").join(format!("incident-{number}.yaml")));
    if path.exists() {
        bail!("{} is there already; say --output for another name", path.display());
    }
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    terminal::complain(format!("Wrote {}. Now it is played:", path.display()));
    Ok(path)
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
