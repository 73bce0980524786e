//! `reynard serve`: the server.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use crate::app::{self, Ahead, Place};
use crate::telemetry;

#[derive(Debug, clap::Args)]
#[command(after_help = "Example: reynard serve --config /etc/reynard/reynard.yaml --listen 127.0.0.1:5001")]
pub struct Args {
    /// The settings file; none is needed.
    #[arg(long, env = "REYNARD_CONFIG", default_value = "reynard.yaml")]
    config: PathBuf,
    /// The address to listen on; wins over the settings file.
    #[arg(long, env = "REYNARD_LISTEN")]
    listen: Option<SocketAddr>,
    /// Where the data is, for example sqlite://data/reynard.db; wins over the settings file.
    #[arg(long, env = "REYNARD_DATABASE_URL")]
    database_url: Option<String>,
    /// The folder of playbooks.
    #[arg(long, env = "REYNARD_PLAYBOOKS", default_value = "playbooks")]
    playbooks: PathBuf,
    /// Start although the last commit lies far ahead of the machine's clock, and let time go on from there.
    #[arg(long)]
    time_goes_on: bool,
}

pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    telemetry::start();
    let place = Place {
        config: args.config,
        playbooks: args.playbooks,
        messages: PathBuf::from("templates/messages"),
        listen: args.listen,
        database_url: args.database_url,
    };
    let ahead = if args.time_goes_on { Ahead::GoesOn } else { Ahead::Refused };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(app::serve_until_stopped(place, ahead))?;
    Ok(ExitCode::SUCCESS)
}
