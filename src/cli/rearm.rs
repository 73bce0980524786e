//! `reynard rearm`: lets a playbook of a running server change things again that had failed too often in a row.

use std::process::ExitCode;

use serde_json::json;

use crate::cli::server::Server;
use crate::terminal;

#[derive(Debug, clap::Args)]
#[command(after_help = "Example: reynard rearm database_connection_failure --reason \"the disk is replaced\"")]
pub struct Args {
    /// The playbook's name.
    playbook: String,
    /// What was wrong, and what is different now; it stands on the timeline.
    #[arg(long)]
    reason: String,
    #[command(flatten)]
    server: Server,
}

pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    super::block_on(send(args))
}

async fn send(args: &Args) -> anyhow::Result<ExitCode> {
    let wish = json!({ "note": args.reason, "by": args.server.by });
    let answer = args.server.post(&["playbooks", &args.playbook, "rearm"], &wish).await?;
    if answer.status().is_success() {
        terminal::say(format!("{} may change things again", args.playbook));
        return Ok(ExitCode::SUCCESS);
    }
    terminal::complain(format!("{} {}", answer.status(), answer.text().await.unwrap_or_default()));
    Ok(ExitCode::from(1))
}
