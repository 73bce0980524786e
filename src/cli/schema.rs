//! `reynard schema`: what editors need to complete and explain a kind of file.

use std::process::ExitCode;

use clap::ValueEnum;

use crate::app::{self, Kind};
use crate::terminal;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example: reynard schema playbook > schemas/playbook.json\nThe first line of a playbook then says: # yaml-language-server: $schema=../schemas/playbook.json"
)]
pub struct Args {
    /// Which kind of file.
    #[arg(value_enum)]
    kind: Named,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Named {
    Playbook,
    Config,
    Test,
}

pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let kind = match args.kind {
        Named::Playbook => Kind::Playbook,
        Named::Config => Kind::Config,
        Named::Test => Kind::Test,
    };
    terminal::write(app::schema(kind));
    Ok(ExitCode::SUCCESS)
}
