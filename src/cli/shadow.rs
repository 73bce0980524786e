//! `reynard shadow`: what a running server's automation would have done, were it not in shadow, and what it would have come to.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::ValueEnum;
use serde_json::Value;

use crate::domain::shadow::Fate;
use crate::domain::timeline::deed;
use crate::terminal;

/// Steps that are listed one by one; the rest are counted.
const LISTED: usize = 50;

#[derive(Debug, clap::Args)]
#[command(after_help = "Example: reynard shadow --since 7d\n         reynard shadow --format json | jq '.playbooks'")]
pub struct Args {
    /// How far back.
    #[arg(long, default_value = "30d")]
    since: String,
    /// For people, or as the API says it.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// The server.
    #[arg(long, env = "REYNARD_URL", default_value = "http://127.0.0.1:5001")]
    url: String,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    Text,
    Json,
}

pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    super::block_on(show(args))
}

async fn show(args: &Args) -> anyhow::Result<ExitCode> {
    let base = args.url.trim_end_matches('/');
    let client = reqwest::Client::builder().timeout(Duration::from_secs(10)).no_proxy().build()?;
    let asked = client.get(format!("{base}/api/v1/automation/shadow")).query(&[("since", &args.since)]).send().await;
    let answer = asked.with_context(|| format!("nobody answers at {base}; start one with: reynard serve"))?;
    let status = answer.status();
    let said: Value = answer.json().await.unwrap_or_default();
    if !status.is_success() {
        terminal::complain(format!("{status} {}", said["detail"].as_str().unwrap_or_default()));
        return Ok(ExitCode::from(1));
    }
    match args.format {
        Format::Json => terminal::say(serde_json::to_string_pretty(&said)?),
        Format::Text => terminal::write(told(&said)),
    }
    Ok(ExitCode::SUCCESS)
}

fn told(said: &Value) -> String {
    let list = |name: &str| said[name].as_array().cloned().unwrap_or_default();
    let (playbooks, items) = (list("playbooks"), list("items"));
    if items.is_empty() {
        return format!("No step was kept in shadow since {}.\n", word(said, "since"));
    }
    let sums: String = playbooks.iter().map(sum).collect();
    let lines: String = items.iter().take(LISTED).map(item).collect();
    let more = items.len().saturating_sub(LISTED);
    let rest = if more > 0 { format!("and {more} earlier ones\n") } else { String::new() };
    format!("{sums}\n{lines}{rest}")
}

fn sum(playbook: &Value) -> String {
    let line = |fate: Fate| {
        let count = playbook[fate.word()].as_u64().filter(|count| *count > 0)?;
        Some(format!("  {count} {}\n", fate.in_words()))
    };
    format!("{}\n{}", word(playbook, "playbook"), Fate::ALL.into_iter().filter_map(line).collect::<String>())
}

fn item(item: &Value) -> String {
    let fate = Fate::ALL.into_iter().find(|fate| fate.word() == word(item, "fate"));
    let fate = item["limit"].as_str().map_or_else(|| fate.map_or_else(String::new, |fate| fate.in_words().to_owned()), Fate::stopped_by);
    let (at, playbook, done) = (word(item, "at"), word(item, "playbook"), deed(word(item, "action"), item["target"].as_str()));
    format!("{at}  #{} {playbook} would have done {done} {}: {fate}\n", item["incident"], item["params"])
}

fn word<'a>(of: &'a Value, name: &str) -> &'a str {
    of[name].as_str().unwrap_or_default()
}
