//! `reynard activate`: has another of several nodes become active, say before the other machine is updated.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::cli::server::Server;
use crate::terminal;

/// What runs on the other node may end first, and then it takes half a second.
const WITHIN: Duration = Duration::from_secs(40);
const LOOK_EVERY: Duration = Duration::from_millis(250);

#[derive(Debug, clap::Args)]
#[command(after_help = "Example: reynard activate db2:5001\n\n\
    Any node may be asked. What runs on the active one may end first, for 20 s at most; deliveries go on being taken meanwhile.")]
pub struct Args {
    /// The node's name, as the Nodes page has it.
    node: String,
    #[command(flatten)]
    server: Server,
}

pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    super::block_on(ask(args))
}

async fn ask(args: &Args) -> anyhow::Result<ExitCode> {
    let answer = args.server.post(&["nodes", &args.node, "activate"], &json!({ "by": args.server.by })).await?;
    if !answer.status().is_success() {
        let (status, said) = (answer.status(), answer.json::<Value>().await.unwrap_or_default());
        terminal::complain(format!("{status}: {}", said["detail"].as_str().unwrap_or_default()));
        return Ok(ExitCode::from(1));
    }
    let asked_at = Instant::now();
    while asked_at.elapsed() < WITHIN {
        if is_active(args).await {
            terminal::say(format!("{} is active", args.node));
            return Ok(ExitCode::SUCCESS);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    terminal::complain(format!("{} is not active yet; the Nodes page tells who is", args.node));
    Ok(ExitCode::from(1))
}

/// What cannot be asked at the moment is asked again.
async fn is_active(args: &Args) -> bool {
    let Ok(answer) = args.server.get(&["nodes"]).await else { return false };
    let said: Value = answer.json().await.unwrap_or_default();
    let nodes = said["nodes"].as_array().into_iter().flatten();
    nodes.into_iter().any(|node| node["name"] == args.node.as_str() && node["role"] == "active")
}
