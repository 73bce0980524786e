//! `reynard hold` and `reynard release`: the red switch of a running server.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::bail;
use serde_json::{Value, json};

use crate::terminal;

#[derive(Debug, clap::Args)]
#[command(after_help = "Example: reynard hold --reason 'the restarts make it worse'\n\n\
    When the server does not answer, a file named HOLD beside the database does the same: echo 'ana: why' > data/HOLD")]
pub struct Hold {
    /// Why; it stands on the timelines.
    #[arg(long)]
    reason: String,
    /// Cancel the runs under way, too; what has begun ends by itself.
    #[arg(long)]
    cancel: bool,
    /// One of `tokens` in reynard.yaml, where acts ask for a sign-in.
    #[arg(long, env = "REYNARD_API_TOKEN", hide_env_values = true)]
    token: Option<String>,
    #[command(flatten)]
    at: At,
}

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example: reynard release --by ana --reason 'the fix is out'\n         reynard release --by ana --reason 'by hand' --skip-waiting"
)]
pub struct Release {
    /// Why; it stands on the timelines.
    #[arg(long)]
    reason: String,
    /// Leave out what waits for the release, rather than begin it.
    #[arg(long)]
    skip_waiting: bool,
    /// hold.release_token of reynard.yaml, where one is set or people sign in.
    #[arg(long, env = "REYNARD_RELEASE_TOKEN", hide_env_values = true)]
    token: Option<String>,
    #[command(flatten)]
    at: At,
}

#[derive(Debug, clap::Args)]
struct At {
    /// Who you are, for the timelines.
    #[arg(long, env = "USER")]
    by: Option<String>,
    /// The server.
    #[arg(long, env = "REYNARD_URL", default_value = "http://127.0.0.1:5001")]
    url: String,
}

pub fn hold(args: &Hold) -> anyhow::Result<ExitCode> {
    let wish = json!({ "reason": args.reason, "cancel": args.cancel, "by": args.at.by });
    super::block_on(put(&args.at, "hold", &wish, args.token.as_deref()))
}

pub fn release(args: &Release) -> anyhow::Result<ExitCode> {
    let waiting = if args.skip_waiting { "skip" } else { "begin" };
    let wish = json!({ "reason": args.reason, "waiting": waiting, "by": args.at.by });
    super::block_on(put(&args.at, "release", &wish, args.token.as_deref()))
}

async fn put(at: &At, verb: &str, wish: &Value, token: Option<&str>) -> anyhow::Result<ExitCode> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let address = format!("{}/api/v1/automation/{verb}", at.url.trim_end_matches('/'));
    let client = reqwest::Client::builder().timeout(Duration::from_secs(10)).no_proxy().build()?;
    let mut request = client.post(&address).json(wish);
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    let answer = match request.send().await {
        Ok(answer) => answer,
        Err(error) if verb == "hold" => {
            bail!("nobody answers at {address} ({error}); a file named HOLD beside the database holds automation, too")
        }
        Err(error) => bail!("nobody answers at {address} ({error})"),
    };
    let status = answer.status();
    let said: Value = answer.json().await.unwrap_or_default();
    if !status.is_success() {
        terminal::say(format!("{status} {}", said["detail"].as_str().unwrap_or_default()));
        if verb == "hold" {
            terminal::say("A file named HOLD beside the database holds automation, too, and asks for nothing.");
        }
        return Ok(ExitCode::from(1));
    }
    terminal::say(format!("Automation is {}.", said["automation"].as_str().unwrap_or("?")));
    for hold in said["holds"].as_array().into_iter().flatten() {
        let word = |name: &str| hold[name].as_str().unwrap_or_default();
        terminal::say(format!("  held by {} since {}: {}", word("by"), word("at"), word("reason")));
    }
    Ok(ExitCode::SUCCESS)
}
