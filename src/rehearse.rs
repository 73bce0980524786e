//! Joins files, the catalogue of actions and the rehearsal: what `simulate`, `test` and the API ask for. Knows no command line.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use anyhow::Context;
use serde_json::{Map, Value, json};

use crate::action::catalog;
use crate::carried;
use crate::config::check;
use crate::config::files::{Files, TextFile};
use crate::config::load;
use crate::config::playbooks::slug_of;
use crate::domain::action::{OnInterrupt, Performer};
use crate::domain::decide::command::Failure;
use crate::domain::incident::Incident;
use crate::domain::playbook::{Playbook, VarKind};
use crate::domain::settings::{Rulebook, Settings};
use crate::domain::time::{Span, Timestamp};
use crate::domain::timeline::StepRef;
use crate::engine::brief::Attempt;
use crate::engine::clock::SystemClock;
use crate::engine::ports::{Call, Clock, Cut, Late};
use crate::engine::wire;
use crate::rehearsal::answer::{Answer, Outcome, Verdict, World, Written, step_of};
use crate::rehearsal::simulation::{Given, Simulation, simulate as play};
use crate::rehearsal::{backtest, contrast, report};
use crate::secrets::RealSecrets;
use crate::web::state::Desk;

/// What a simulation is asked with, as people write it.
pub struct Trial<'a> {
    pub config: &'a Path,
    pub playbooks: &'a Path,
    /// A name, or a file.
    pub playbook: &'a str,
    pub alert: Value,
    pub signals: Value,
    pub answers: Value,
    /// By name; numbers, truths and lists as they are, or as texts that say them.
    pub vars: Value,
    pub live_reads: bool,
    pub lasts: Span,
}

/// Reads the files and plays the playbook.
pub fn simulate(trial: &Trial<'_>) -> anyhow::Result<Simulation> {
    let mut settings = settings(trial.config, trial.playbooks)?;
    let file = PathBuf::from(trial.playbook);
    let slug = file.file_stem().and_then(|stem| stem.to_str()).unwrap_or(trial.playbook).to_owned();
    if file.extension().is_some() {
        let text = std::fs::read_to_string(&file).with_context(|| format!("{} cannot be read", file.display()))?;
        take_draft(&mut settings, trial.playbook, &text).map_err(|faults| anyhow::anyhow!("{} has errors:\n{faults}", file.display()))?;
    }
    let given = given(&settings.rulebook, &slug, &Asked::of_trial(trial)).map_err(anyhow::Error::msg)?;
    let mut written = written(&given, &trial.answers).map_err(anyhow::Error::msg)?;
    if !trial.live_reads {
        return play(&settings.rulebook, given, &mut written).map_err(anyhow::Error::msg);
    }
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut looking = Looking { written, catalog: catalog::catalog(&settings), runtime };
    play(&settings.rulebook, given, &mut looking).map_err(anyhow::Error::msg)
}

pub fn text(simulation: &Simulation, coloured: bool) -> String {
    report::text(simulation, coloured)
}

/// A backtest as people read it.
pub fn contrast(outcome: &backtest::Outcome, since: Span, all: bool) -> String {
    contrast::text(outcome, since, all)
}

pub fn contrast_json(outcome: &backtest::Outcome) -> Value {
    contrast::json(outcome)
}

/// Lets a draft stand for the playbook of its name.
pub fn put_draft(files: &mut Files, draft: &Path, playbooks: &Path) -> anyhow::Result<()> {
    let name = draft.file_name().context("the playbook is no file")?;
    let text = std::fs::read_to_string(draft).with_context(|| format!("{} cannot be read", draft.display()))?;
    let own = playbooks.join(name);
    files.playbooks.retain(|file| slug_of(&file.path) != slug_of(&own.to_string_lossy()));
    files.playbooks.push(TextFile::new(draft.to_string_lossy(), text));
    Ok(())
}

/// A sample of `reynard fire`, begun this hour.
pub fn sample(text: &str) -> serde_json::Result<Value> {
    let now = SystemClock::default().now();
    let hour = Timestamp(now.0 - now.0.rem_euclid(3_600_000));
    serde_json::from_str(&text.replace("{{now}}", &hour.to_rfc3339()))
}

/// The settings and playbooks of a folder; broken playbooks are left out.
pub fn settings(config: &Path, playbooks: &Path) -> anyhow::Result<Settings> {
    read(config, None, playbooks)
}

/// The same with settings that stand somewhere else than in a file of their own.
pub fn settings_of(file: &str, text: &str, playbooks: &Path) -> anyhow::Result<Settings> {
    read(Path::new(file), Some(TextFile::new(file, text)), playbooks)
}

fn read(config: &Path, own: Option<TextFile>, playbooks: &Path) -> anyhow::Result<Settings> {
    let mut files = Files::gather(config, playbooks, &carried::playbooks())
        .with_context(|| format!("cannot read {} and {}", config.display(), playbooks.display()))?;
    if own.is_some() {
        files.settings = own;
    }
    let loaded = load::load(&files, &catalog::specs(), &RealSecrets, None);
    loaded.settings.with_context(|| format!("{} has errors:\n{}", config.display(), loaded.diagnostics.to_text(false)))
}

fn take_draft(settings: &mut Settings, path: &str, text: &str) -> Result<(), String> {
    let (playbook, faults) = load::playbook(path, text, settings);
    let playbook = Arc::new(playbook.ok_or_else(|| faults.to_text(false))?);
    settings.rulebook.playbooks.insert(playbook.slug.clone(), playbook);
    Ok(())
}

/// What a simulation is asked with, wherever it is asked.
struct Asked<'a> {
    alert: &'a Value,
    signals: &'a Value,
    vars: &'a Value,
    lasts: Span,
}

impl<'a> Asked<'a> {
    fn of_trial(trial: &'a Trial<'_>) -> Self {
        Self { alert: &trial.alert, signals: &trial.signals, vars: &trial.vars, lasts: trial.lasts }
    }

    fn of_json(asked: &'a Value) -> Self {
        Self { alert: &asked["alert"], signals: &asked["signals"], vars: &asked["vars"], lasts: Span::hours(4) }
    }
}

fn given(rulebook: &Rulebook, slug: &str, asked: &Asked<'_>) -> Result<Given, String> {
    let playbook = rulebook.playbooks.get(slug).cloned();
    let known = || rulebook.playbooks.keys().cloned().collect::<Vec<_>>().join(", ");
    let playbook = playbook.ok_or_else(|| format!("there is no good playbook \"{slug}\"; there are: {}", known()))?;
    let alert = match asked.alert.as_str() {
        Some(name) => carried::alerts()
            .get(name)
            .ok_or_else(|| format!("there is no sample alert \"{name}\""))
            .and_then(|text| sample(text).map_err(|error| error.to_string()))?,
        None if asked.alert.is_null() => bare_alert(&playbook),
        None => asked.alert.clone(),
    };
    let alert = wire::parse(alert.to_string().as_bytes()).map_err(|error| format!("the alert cannot be read: {error}"))?;
    let number = |(name, value): (&String, &Value)| Some((name.clone(), value.as_f64()?));
    let signals = asked.signals.as_object().into_iter().flatten().filter_map(number).collect();
    let vars = vars(&playbook, asked.vars)?;
    Ok(Given { playbook, alert, signals, vars, begin: SystemClock::default().now(), lasts: asked.lasts })
}

/// A text that says a number, a truth or a list is taken for one where the playbook wants one: a command line has only texts.
fn vars(playbook: &Playbook, given: &Value) -> Result<Map<String, Value>, String> {
    let mut vars = Map::new();
    for (name, value) in given.as_object().into_iter().flatten() {
        let wants_text = playbook.vars.get(name).is_none_or(|var| matches!(var.kind, VarKind::Text | VarKind::Duration));
        let meant = value.as_str().filter(|_| !wants_text).and_then(|text| serde_json::from_str(text).ok());
        vars.insert(name.clone(), meant.unwrap_or_else(|| value.clone()));
    }
    // Only a person who starts it is told what else it needs; what starts by itself has a default for each.
    if !vars.is_empty() || playbook.trigger.is_manual() {
        playbook.vars(&vars)?;
    }
    Ok(vars)
}

/// An alert of the type that the playbook is for, with nothing else to say.
fn bare_alert(playbook: &Playbook) -> Value {
    let kind = playbook.trigger.types.first().map_or("unknown", String::as_str);
    json!({ "version": "4", "alerts": [{ "status": "firing", "labels": { "alertname": "Simulated", "type": kind } }] })
}

fn written(given: &Given, answers: &Value) -> Result<Written, String> {
    let mut written = Written::default();
    for (place, answer) in answers.as_object().into_iter().flatten() {
        let Some(step) = given.playbook.step(step_of(place)) else {
            return Err(format!("the playbook {} has no step \"{}\"", given.playbook.slug, step_of(place)));
        };
        written.add(place, answer)?;
        if step.approval.is_none() && written.judged().any(|judged| judged == step.id) {
            return Err(format!("step \"{}\" asks nobody for a yes", step.id));
        }
    }
    Ok(written)
}

/// Steps that only look really look; the others are answered as written.
struct Looking {
    written: Written,
    catalog: catalog::Catalog,
    runtime: tokio::runtime::Runtime,
}

impl World for Looking {
    fn verdict(&mut self, incident: &Incident, step: &StepRef) -> Option<Verdict> {
        self.written.verdict(incident, step)
    }

    fn answer(&mut self, incident: &Incident, attempt: &Attempt) -> Answer {
        let action = self.catalog.get(&attempt.action).filter(|action| {
            let spec = action.spec();
            !spec.destructive && spec.on_interrupt == OnInterrupt::Retry && spec.performer == Performer::Worker && !attempt.reference.undo
        });
        let Some(action) = action.filter(|_| !self.written.knows(attempt)) else { return self.written.answer(incident, attempt) };
        let call = Call {
            key: format!("simulation:{}", attempt.key),
            attempt: attempt.reference.attempt,
            target: attempt.target.clone(),
            params: attempt.params.clone(),
            timeout: attempt.timeout.to_std(),
            late: Late::default(),
            cut: Cut::default(),
        };
        let begun = std::time::Instant::now();
        let looked = self.runtime.block_on(async { tokio::time::timeout(call.timeout, action.perform(&call)).await });
        let result = match looked {
            Ok(answer) => answer.map_err(Failure::from),
            Err(_) => Err(Failure::Unknown(format!("no answer within {}", attempt.timeout))),
        };
        let after = Span(u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX));
        Answer { outcome: Outcome::Ended(result), after }
    }
}

/// The desk of a server: what is in force is what drafts are looked at with.
pub struct Drafts(RwLock<Arc<Settings>>);

impl Drafts {
    pub fn new(settings: Settings) -> Self {
        Self(RwLock::new(Arc::new(settings)))
    }

    pub fn replace(&self, settings: Settings) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(settings);
    }

    fn now(&self) -> Arc<Settings> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Desk for Drafts {
    fn check(&self, slug: &str, source: &str) -> Value {
        check::one(&format!("playbooks/{slug}.yaml"), source, &self.now()).to_json()
    }

    fn simulate(&self, slug: &str, source: &str, asked: &Value) -> Result<Value, String> {
        let mut settings = Settings::clone(&self.now());
        take_draft(&mut settings, &format!("{slug}.yaml"), source)?;
        let given = given(&settings.rulebook, slug, &Asked::of_json(asked))?;
        let mut written = written(&given, &asked["answers"])?;
        play(&settings.rulebook, given, &mut written).map(|simulation| simulation.to_json())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_desk_checks_and_tries_what_an_editor_has() {
        let nowhere = Path::new("/nonexistent");
        let desk = Drafts::new(settings(nowhere, nowhere).expect("the shipped ones"));
        let draft = "on: { type: service_down }\nsteps:\n  - { id: look, action: dns.resolve, with: { name: '{{ incident.service }}' } }\n";
        assert_eq!(desk.check("service_down", draft)["errors"], 0);
        assert_eq!(desk.check("service_down", "on: {}\nsteps: [ { id: a, acton: note } ]")["errors"], 1);
        let report = desk
            .simulate("service_down", draft, &json!({ "alert": "service-down", "answers": { "look": "failed" } }))
            .expect("it is played");
        assert_eq!(report["calls"][0]["with"]["name"], "inventory");
        assert_eq!(
            report["timeline"].as_array().and_then(|all| all.iter().find(|e| e["kind"] == "run_failed")).map(|e| &e["kind"]),
            Some(&json!("run_failed"))
        );
        assert!(desk.simulate("service_down", "on: {}", &json!({})).is_err_and(|why| why.contains("missing-field")));
    }
}
