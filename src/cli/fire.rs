//! `reynard fire`: a realistic alert for a running server.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use serde_json::{Value, json};

use crate::app;
use crate::carried;
use crate::terminal;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example: reynard fire database-failure-p1\n         reynard fire database-failure-p1 --resolve\nWithout a name it lists them."
)]
pub struct Args {
    /// Which alert; without one, the names are listed.
    name: Option<String>,
    /// The server to send it to.
    #[arg(long, env = "REYNARD_URL", default_value = "http://127.0.0.1:5001")]
    url: String,
    /// The source's token, where sources are configured.
    #[arg(long, env = "REYNARD_TOKEN")]
    token: Option<String>,
    /// Say that the alert is over.
    #[arg(long)]
    resolve: bool,
}

pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let alerts = carried::alerts();
    let Some(name) = &args.name else {
        alerts.keys().for_each(terminal::say);
        return Ok(ExitCode::SUCCESS);
    };
    let Some(text) = alerts.get(name) else {
        bail!("there is no sample alert \"{name}\"; there are: {}", alerts.keys().cloned().collect::<Vec<_>>().join(", "));
    };
    let body = body(text, args.resolve)?;
    let _ = rustls::crypto::ring::default_provider().install_default();
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(send(args, &body))
}

fn body(text: &str, resolve: bool) -> anyhow::Result<Value> {
    let now = app::now();
    // A resolve must not begin after the firing it ends, so both name the hour.
    let hour = crate::domain::time::Timestamp(now.0 - now.0.rem_euclid(3_600_000));
    let mut body: Value = serde_json::from_str(&text.replace("{{now}}", &hour.to_rfc3339())).context("the sample is broken")?;
    if resolve {
        body["status"] = json!("resolved");
        for alert in body["alerts"].as_array_mut().into_iter().flatten() {
            alert["status"] = json!("resolved");
            alert["endsAt"] = json!(now.to_rfc3339());
        }
    }
    Ok(body)
}

async fn send(args: &Args, body: &Value) -> anyhow::Result<ExitCode> {
    let address = format!("{}/api/v1/webhooks/alertmanager", args.url.trim_end_matches('/'));
    let client = reqwest::Client::builder().timeout(Duration::from_secs(10)).no_proxy().build()?;
    let mut request = client.post(&address).json(body);
    if let Some(token) = &args.token {
        request = request.bearer_auth(token);
    }
    let answer = request.send().await.with_context(|| format!("nobody answers at {address}; start one with: reynard serve"))?;
    let status = answer.status();
    terminal::say(format!("{status} {}", answer.text().await.unwrap_or_default()));
    Ok(if status.is_success() { ExitCode::SUCCESS } else { ExitCode::from(1) })
}
