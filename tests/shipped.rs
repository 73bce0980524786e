//! What is shipped as files is whole: playbooks and settings are YAML of the agreed words, alerts are what Alertmanager
//! would send, messages can be rendered and carry no foreign markup.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use cel::Program;
use handlebars::Handlebars;
use regex::Regex;
use serde_json::{Value, json};

const ACTIONS: [&str; 14] = [
    "notify",
    "note",
    "wait",
    "http.request",
    "http.check",
    "tcp.connect",
    "dns.resolve",
    "command.run",
    "prometheus.query",
    "prometheus.wait_until",
    "postgres.read_only",
    "postgres.pool_status",
    "postgres.pool_reset",
    "ticket.create",
];
const STEP_FIELDS: [&str; 14] = [
    "id",
    "title",
    "when",
    "action",
    "target",
    "with",
    "timeout",
    "retry",
    "undo",
    "wait",
    "check",
    "on_failure",
    "on_interrupt",
    "approval",
];
const TYPES: [&str; 7] = [
    "database_connection_failure",
    "external_api_failure",
    "high_error_rate",
    "high_memory_usage",
    "service_down",
    "service_timeout",
    "unknown",
];

#[test]
fn there_is_a_playbook_for_each_type_of_incident() -> Result<()> {
    for folder in ["playbooks", "examples/playbooks"] {
        let slugs: BTreeSet<String> = playbooks(folder)?.into_keys().collect();
        assert_eq!(slugs, TYPES.map(str::to_owned).into(), "{folder}");
    }
    Ok(())
}

#[test]
fn shipped_playbooks_need_no_setting() -> Result<()> {
    for (slug, playbook) in playbooks("playbooks")? {
        assert_eq!(playbook["on"]["type"], slug.as_str());
        for step in steps(&playbook) {
            check_step(&slug, step)?;
            ensure!(step.get("target").is_none() && step["action"] != "command.run", "{slug}: {} needs a setting", step["id"]);
        }
    }
    Ok(())
}

#[test]
fn example_playbooks_name_only_what_the_example_configuration_has() -> Result<()> {
    let settings = yaml(&root().join("examples/reynard.yaml"))?;
    for (slug, playbook) in playbooks("examples/playbooks")? {
        for step in steps(&playbook) {
            check_step(&slug, step)?;
            if let Some(target) = step["target"].as_str() {
                ensure!(settings["targets"].get(target).is_some(), "{slug}: target {target}");
            }
            if let Some(command) = step["with"]["command"].as_str() {
                ensure!(settings["commands"].get(command).is_some(), "{slug}: command {command}");
            }
        }
    }
    Ok(())
}

#[test]
fn expressions_are_cel_and_name_steps_that_came_before() -> Result<()> {
    let reference = Regex::new(r"steps\.([a-z0-9_]+)")?;
    for (slug, playbook) in playbooks("playbooks")?.into_iter().chain(playbooks("examples/playbooks")?) {
        let mut earlier = BTreeSet::new();
        for step in steps(&playbook) {
            for expression in expressions(step)? {
                let parsed = Program::compile(&expression);
                ensure!(parsed.is_ok(), "{slug}: {expression}: {parsed:?}");
                let unknown = reference.captures_iter(&expression).find(|found| !earlier.contains(&found[1]));
                ensure!(unknown.is_none(), "{slug}: {expression}: no such step before");
            }
            ensure!(earlier.insert(step["id"].as_str().unwrap_or_default().to_owned()), "{slug}: {} is there twice", step["id"]);
        }
    }
    Ok(())
}

#[test]
fn alerts_to_fire_are_what_alertmanager_would_send() -> Result<()> {
    let files = files("src/fire", "json")?;
    assert_eq!(files.len(), 8);
    for file in files {
        let body: Value = serde_json::from_str(&fs::read_to_string(&file)?)?;
        assert_eq!((body["version"].as_str(), body["status"].as_str()), (Some("4"), Some("firing")));
        for alert in body["alerts"].as_array().context("alerts")? {
            let labels: BTreeMap<String, String> = serde_json::from_value(alert["labels"].clone())?;
            assert_eq!(alert["fingerprint"], fingerprint(&labels), "{}", file.display());
            assert_eq!(alert["startsAt"], "{{now}}");
        }
    }
    Ok(())
}

#[test]
fn messages_are_rendered_for_mail_and_chat() -> Result<()> {
    for name in ["incident-opened", "escalated", "automation-failed", "resolved"] {
        let text = render(&format!("{name}.txt.hbs"))?;
        ensure!(text.starts_with("Subject: ") && text.lines().nth(1) == Some(""), "{name}: a subject, an empty line: {text}");
        ensure!(text.contains("P1 #42 orders: \"no\" <connection> & more"), "{name}: plain text is left as it is: {text}");
        ensure!(text.contains("There are more: 7 in all."), "{name}: a long list is cut: {text}");
        ensure!(!text.contains("\n\n\n"), "{name}: no holes: {text}");

        let html = render(&format!("{name}.html.hbs"))?;
        ensure!(html.contains("&lt;connection&gt; &amp; more") && !html.contains("<connection>"), "{name}: markup is escaped: {html}");
        ensure!(html.contains("http://localhost:5001/incidents/42"), "{name}: a way to the page");

        let chat = render(&format!("{name}.chat.hbs"))?;
        ensure!(chat.contains("<http://localhost:5001/incidents/42|") && !chat.contains("<connection>"), "{name}: {chat}");
        ensure!(chat.lines().count() <= 5, "{name}: short: {chat}");
    }
    Ok(())
}

fn render(template: &str) -> Result<String> {
    let alert = |number: usize| {
        json!({
            "labels": { "alertname": "DatabaseConnectionFailure", "instance": format!("10.2.4.{number}:8080") },
            "annotations": { "summary": "no connection", "description": "connection refused" },
            "firing": number != 2,
        })
    };
    let sample = json!({
        "incident": {
            "number": 42, "title": "\"no\" <connection> & more", "priority": "P1", "type": "database_connection_failure",
            "service": "orders", "status": "triggered", "opened_at": "2026-11-24T03:12:00.000Z",
            "url": "http://localhost:5001/incidents/42", "labels": { "service": "orders" },
        },
        "reason": "step protect failed: connection refused", "level": 2, "actor": "ana", "summary": "2 alerts fire",
        "alerts": (1..=7).map(alert).collect::<Vec<_>>(),
    });
    let mut registry = Handlebars::new();
    registry.set_strict_mode(false);
    let source = fs::read_to_string(root().join("templates/messages").join(template))?;
    Ok(registry.render_template(&source, &sample)?)
}

fn check_step(slug: &str, step: &Value) -> Result<()> {
    let fields = step.as_object().context("a step")?;
    if let Some(unknown) = fields.keys().find(|field| !STEP_FIELDS.contains(&field.as_str())) {
        anyhow::bail!("{slug}: unknown field {unknown}");
    }
    ensure!(step["id"].is_string(), "{slug}: a step without id");
    match step["action"].as_str() {
        Some(action) => ensure!(ACTIONS.contains(&action), "{slug}: unknown action {action}"),
        None => ensure!(step.get("wait").is_some(), "{slug}: {} does nothing", step["id"]),
    }
    Ok(())
}

/// The condition of a step and the holes of all its texts.
fn expressions(step: &Value) -> Result<Vec<String>> {
    let hole = Regex::new(r"\{\{(.*?)\}\}")?;
    let texts = step["with"].to_string();
    let holes = hole.captures_iter(&texts).map(|found| found[1].replace("\\\"", "\"").trim().to_owned());
    Ok(step["when"].as_str().map(str::to_owned).into_iter().chain(holes).collect())
}

fn steps(playbook: &Value) -> impl Iterator<Item = &Value> {
    playbook["steps"].as_array().into_iter().flatten()
}

fn playbooks(folder: &str) -> Result<BTreeMap<String, Value>> {
    let slug = |file: &Path| file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    files(folder, "yaml")?.iter().map(|file| Ok((slug(file), yaml(file)?))).collect()
}

fn yaml(file: &Path) -> Result<Value> {
    serde_saphyr::from_str(&fs::read_to_string(file)?).map_err(|error| anyhow::anyhow!("{}: {error}", file.display()))
}

fn files(folder: &str, extension: &str) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(root().join(folder)).with_context(|| folder.to_owned())?;
    let mut files = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    files.retain(|file| file.extension().is_some_and(|found| found == extension));
    files.sort();
    Ok(files)
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Alertmanager's own: FNV-1a over the sorted names and values, each closed by a byte that no UTF-8 text has.
fn fingerprint(labels: &BTreeMap<String, String>) -> String {
    let text = labels.iter().flat_map(|(name, value)| [name, value]).flat_map(|word| word.bytes().chain([0xff]));
    let hash = text.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    format!("{hash:016x}")
}

#[test]
fn the_rules_about_reynard_itself_ask_for_numbers_that_it_tells() {
    let rules = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/prometheus/reynard.yml")).expect("an example");
    let metrics = reynard::engine::metrics::Metrics::new();
    // A family is told of once there is one of it.
    metrics.delivery("eu", "stored");
    metrics.notification("email", "sent");
    let told = metrics.text().expect("text");
    let asked: Vec<&str> = rules.match_indices("reynard_").map(|(at, _)| name_at(&rules[at..])).collect();
    assert!(asked.len() > 7, "{asked:?}");
    for name in asked {
        let family = name.trim_end_matches("_total").trim_end_matches("_bucket");
        assert!(told.contains(&format!("# TYPE {family} ")), "{name} is not told");
    }
}

fn name_at(text: &str) -> &str {
    let end = text.find(|letter: char| !letter.is_ascii_lowercase() && letter != '_').unwrap_or(text.len());
    &text[..end]
}
