//! `reynard export`: one incident with everything that is known of it, also beside a running server.

use std::process::ExitCode;

use clap::ValueEnum;

use crate::app::upkeep::Form;
use crate::cli::database::Database;
use crate::terminal;

#[derive(Debug, clap::Args)]
#[command(after_help = "Example: reynard export 7 --format md > incident-7.md")]
pub struct Args {
    /// The incident's number or UUID.
    incident: String,
    /// Markdown for a review, or JSON with the shapes of the API.
    #[arg(long, value_enum, default_value_t = Format::Md)]
    format: Format,
    #[command(flatten)]
    database: Database,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    Md,
    Json,
}

pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let form = match args.format {
        Format::Md => Form::Markdown,
        Format::Json => Form::Json,
    };
    let text = super::block_on(args.database.keeper()?.export(&args.incident, form))?;
    terminal::write(text);
    Ok(ExitCode::SUCCESS)
}
