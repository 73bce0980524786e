//! `reynard simulate`: what a playbook would do for an alert, on a clock of its own; nothing leaves the process.

use std::io::Read;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::ValueEnum;
use serde_json::{Value, json};

use crate::carried;
use crate::rehearse::{self, Trial};
use crate::terminal;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example: reynard simulate service_down --alert service-down\n         reynard simulate playbooks/service_down.yaml --alert body.json --answer first_look=failed --signals error_rate=0.6\nAnswers: succeeded, failed, retry, unknown, barred, crash, output:JSON; approved and rejected for a step that asks"
)]
pub struct Args {
    /// A playbook's name or file.
    playbook: String,
    /// What Alertmanager posts: a file, `-` for standard input, or a name of `reynard fire`.
    #[arg(long)]
    alert: String,
    /// Numbers that rules may use, as name=number.
    #[arg(long, value_delimiter = ',')]
    signals: Vec<String>,
    /// What a step's target answers, as step=answer; several for one step are given one after the other.
    #[arg(long)]
    answer: Vec<String>,
    /// What the run is given, as name=value; it is then started as a person would.
    #[arg(long = "var")]
    vars: Vec<String>,
    /// Let steps that only look really look.
    #[arg(long)]
    live_reads: bool,
    /// How long the clock runs.
    #[arg(long = "for", default_value = "4h")]
    lasts: String,
    #[arg(long, env = "REYNARD_CONFIG", default_value = "reynard.yaml")]
    config: PathBuf,
    #[arg(long, env = "REYNARD_PLAYBOOKS", default_value = "playbooks")]
    playbooks: PathBuf,
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    Text,
    Json,
}

pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let trial = Trial {
        config: &args.config,
        playbooks: &args.playbooks,
        playbook: &args.playbook,
        alert: alert(&args.alert)?,
        signals: signals(&args.signals)?,
        answers: answers(&args.answer)?,
        vars: vars(&args.vars)?,
        live_reads: args.live_reads,
        lasts: args.lasts.parse().map_err(|error| anyhow::anyhow!("--for: {error}"))?,
    };
    let simulation = rehearse::simulate(&trial)?;
    match args.format {
        Format::Text => terminal::write(rehearse::text(&simulation, terminal::is_coloured())),
        Format::Json => terminal::say(format!("{:#}", simulation.to_json())),
    }
    Ok(ExitCode::SUCCESS)
}

fn alert(named: &str) -> anyhow::Result<Value> {
    let text = if named == "-" {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).context("standard input cannot be read")?;
        text
    } else if let Some(sample) = carried::alerts().remove(named) {
        return Ok(rehearse::sample(&sample)?);
    } else {
        let names = carried::alerts().into_keys().collect::<Vec<_>>().join(", ");
        std::fs::read_to_string(named).with_context(|| format!("--alert {named} is neither a file nor one of {names}"))?
    };
    serde_json::from_str(&text).context("--alert is not JSON")
}

fn signals(given: &[String]) -> anyhow::Result<Value> {
    let mut signals = json!({});
    for pair in given {
        let (name, number) = pair.split_once('=').with_context(|| format!("--signals {pair}: write name=number"))?;
        let Ok(number) = number.trim().parse::<f64>() else { bail!("--signals {pair}: {number} is not a number") };
        signals[name.trim()] = json!(number);
    }
    Ok(signals)
}

fn answers(given: &[String]) -> anyhow::Result<Value> {
    let mut answers = json!({});
    for pair in given {
        let (step, answer) = pair.split_once('=').with_context(|| format!("--answer {pair}: write step=answer"))?;
        if answers[step].is_null() {
            answers[step] = json!([]);
        }
        if let Some(list) = answers[step].as_array_mut() {
            list.push(json!(answer));
        }
    }
    Ok(answers)
}

fn vars(given: &[String]) -> anyhow::Result<Value> {
    let mut vars = json!({});
    for pair in given {
        let (name, value) = pair.split_once('=').with_context(|| format!("--var {pair}: write name=value"))?;
        vars[name.trim()] = json!(value);
    }
    Ok(vars)
}
