//! `reynard activate`: has another of several nodes become active, say before the other machine is updated.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context;
use reqwest::{Client, Url};
use serde_json::{Value, json};

use crate::terminal;

/// What runs on the other node may end first, and then it takes half a second.
const WITHIN: Duration = Duration::from_secs(40);
const LOOK_EVERY: Duration = Duration::from_millis(250);

#[derive(Debug, clap::Args)]
#[command(after_help = "Example: reynard activate db2:5001\n\n\
    What runs on the active node may end first, for 20 s at most; deliveries go on being taken meanwhile.")]
pub struct Args {
    /// The node's name, as the Nodes page has it.
    node: String,
    /// Who says so, for the log.
    #[arg(long, env = "USER", default_value = "operator")]
    by: String,
    /// One of `tokens` in reynard.yaml, where acts ask for a sign-in.
    #[arg(long, env = "REYNARD_API_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// Any of the nodes.
    #[arg(long, env = "REYNARD_URL", default_value = "http://127.0.0.1:5001")]
    url: String,
}

pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    super::block_on(ask(args))
}

async fn ask(args: &Args) -> anyhow::Result<ExitCode> {
    let client = Client::builder().timeout(Duration::from_secs(10)).no_proxy().build()?;
    let mut request = client.post(address(args, &[&args.node, "activate"])?).json(&json!({ "by": args.by }));
    if let Some(token) = &args.token {
        request = request.bearer_auth(token);
    }
    let answer = request.send().await.with_context(|| format!("nobody answers at {}; is it one of the nodes?", args.url))?;
    if !answer.status().is_success() {
        let (status, said) = (answer.status(), answer.json::<Value>().await.unwrap_or_default());
        terminal::complain(format!("{status}: {}", said["detail"].as_str().unwrap_or_default()));
        return Ok(ExitCode::from(1));
    }
    until_active(args, &client).await
}

async fn until_active(args: &Args, client: &Client) -> anyhow::Result<ExitCode> {
    let asked_at = Instant::now();
    while asked_at.elapsed() < WITHIN {
        let nodes = client.get(address(args, &[])?);
        let nodes = if let Some(token) = &args.token { nodes.bearer_auth(token) } else { nodes };
        let said: Value = match nodes.send().await {
            Ok(answer) => answer.json().await.unwrap_or_default(),
            Err(_) => Value::Null,
        };
        let is_it = |node: &&Value| node["name"] == args.node.as_str() && node["role"] == "active";
        if said["nodes"].as_array().is_some_and(|nodes| nodes.iter().any(|node| is_it(&node))) {
            terminal::say(format!("{} is active", args.node));
            return Ok(ExitCode::SUCCESS);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    terminal::complain(format!("{} is not active yet; the Nodes page tells who is", args.node));
    Ok(ExitCode::from(1))
}

fn address(args: &Args, more: &[&str]) -> anyhow::Result<Url> {
    let base = args.url.trim_end_matches('/');
    let mut address = Url::parse(base).with_context(|| format!("{base} is not an address"))?;
    let path = address.path_segments_mut().ok();
    path.context("the address has no path")?.pop_if_empty().extend(["api", "v1", "nodes"]).extend(more);
    Ok(address)
}
