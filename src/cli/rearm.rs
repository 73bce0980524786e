//! `reynard rearm`: lets a playbook of a running server change things again that had failed too often in a row.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use serde_json::json;

use crate::terminal;

#[derive(Debug, clap::Args)]
#[command(after_help = "Example: reynard rearm database_connection_failure --reason \"the disk is replaced\"")]
pub struct Args {
    /// The playbook's name.
    playbook: String,
    /// What was wrong, and what is different now; it stands on the timeline.
    #[arg(long)]
    reason: String,
    /// Who says so.
    #[arg(long, env = "USER", default_value = "operator")]
    by: String,
    /// One of `tokens` in reynard.yaml, where acts ask for a sign-in.
    #[arg(long, env = "REYNARD_API_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// The server.
    #[arg(long, env = "REYNARD_URL", default_value = "http://127.0.0.1:5001")]
    url: String,
}

pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    super::block_on(send(args))
}

async fn send(args: &Args) -> anyhow::Result<ExitCode> {
    let base = args.url.trim_end_matches('/');
    let mut address = reqwest::Url::parse(base).with_context(|| format!("{base} is not an address"))?;
    let path = address.path_segments_mut().ok();
    path.context("the address has no path")?.pop_if_empty().extend(["api", "v1", "playbooks", &args.playbook, "rearm"]);
    let client = reqwest::Client::builder().timeout(Duration::from_secs(10)).no_proxy().build()?;
    let mut request = client.post(address).json(&json!({ "note": args.reason, "by": args.by }));
    if let Some(token) = &args.token {
        request = request.bearer_auth(token);
    }
    let answer = request.send().await.with_context(|| format!("nobody answers at {base}; start one with: reynard serve"))?;
    let good = answer.status().is_success();
    if good {
        terminal::say(format!("{} may change things again", args.playbook));
        return Ok(ExitCode::SUCCESS);
    }
    terminal::complain(format!("{} {}", answer.status(), answer.text().await.unwrap_or_default()));
    Ok(ExitCode::from(1))
}
