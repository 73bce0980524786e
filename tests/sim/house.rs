//! A house drawn by chance: its settings and its playbooks, of every shape that a step, a limit and a policy can have.
//! They are texts that the real loader reads and checks.

use reynard::action::catalog;
use reynard::config::files::{Files, TextFile};
use reynard::config::load;
use reynard::config::secrets::NoSecrets;
use reynard::domain::settings::Settings;

use crate::seed::Chance;

pub const PLAYBOOKS: [&str; 3] = ["first", "second", "third"];
const TYPES: [&str; 3] = ["service_down", "high_error_rate", "database_connection_failure"];

pub fn draw(chance: &Chance) -> Settings {
    let playbooks: Vec<TextFile> = PLAYBOOKS[..chance.between(1, 3) as usize]
        .iter()
        .map(|slug| TextFile::new(format!("playbooks/{slug}.yaml"), playbook(chance)))
        .collect();
    let texts: Vec<String> = playbooks.iter().filter_map(|file| file.text.clone().ok()).collect();
    let settings = settings(chance);
    let files = Files { settings: Some(TextFile::new("reynard.yaml", settings.as_str())), playbooks };
    let loaded = load::load(&files, &catalog::specs(), &NoSecrets, None);
    assert!(!loaded.diagnostics.has_errors(), "{}\n{settings}\n{}", loaded.diagnostics.to_text(false), texts.join("\n"));
    loaded.settings.expect("no errors")
}

fn settings(chance: &Chance) -> String {
    let later = *chance.pick(&["", ", { channel: chat, after: 3m }", ", { channel: email, after: 7m }"]);
    let plan = |respond: &str| {
        let first = chance.pick(&["0s", "0s", "0s", "0s", "2m"]);
        let second = chance.pick(&["5m", "15m", "1h"]);
        let third = *chance.pick(&["", ", { notify: [chat], after: 2h }"]);
        let repeat = chance.between(1, 3);
        format!(
            "{{ respond_within: {respond}, levels: [ {{ notify: [on-call], after: {first} }}, {{ notify: [bo], after: {second} }}{third} ], repeat: {repeat} }}"
        )
    };
    format!(
        "
on_call:
  schedules:
    primary: {{ time_zone: UTC, rotations: [ {{ people: [ana, cy], handoff: '0 9 * * MON', starts_at: '2026-09-14T00:00:00Z' }} ] }}
people:
  ana: {{ email: ana@example.com, notify: [ {{ channel: email }}{later} ] }}
  bo: {{ email: bo@example.com, notify: [ {{ channel: email }} ] }}
  cy: {{ email: cy@example.com, notify: [ {{ channel: chat }} ] }}
channels:
  email: {{ kind: email, smtp: 'smtp://localhost:587', from: alerts@example.com }}
  chat: {{ kind: slack, url: 'http://localhost:1' }}
targets:
  orders-db: {{ kind: postgres, url: 'postgres://localhost/orders', service: orders }}
  users-db: {{ kind: postgres, url: 'postgres://localhost/users', service: users }}
  orders-admin: {{ kind: http, url: 'http://localhost:8081', service: orders }}
incidents: {{ settle: {}, reopen_within: {} }}
limits: {{ destructive: {} per 10m, per_target: {} per {} }}
escalation:
  policies:
    default:
      P1: {}
      P2: {}
    users:
      match: ['service=\"users\"']
      P1: {}
",
        chance.pick(&["0s", "30s", "2m"]),
        chance.pick(&["5m", "30m"]),
        chance.between(2, 20),
        chance.between(1, 4),
        chance.pick(&["10m", "1h"]),
        plan("15m"),
        plan("10m"),
        plan("30m"),
    )
}

fn playbook(chance: &Chance) -> String {
    let mut text = format!("title: Drawn\non: {{ type: {} }}\n", chance.pick(&TYPES));
    match chance.below(4) {
        0 => text += &format!("limits: {{ concurrency: {} }}\n", chance.between(1, 2)),
        1 => text += &format!("limits: {{ per_target: {} per {} }}\n", chance.between(1, 3), chance.pick(&["5m", "30m"])),
        2 => text += "limits: { concurrency: 1, per_target: 2 per 10m }\n",
        _ => {}
    }
    text += "steps:\n";
    let mut first = None;
    for number in 1..=chance.between(1, 5) {
        let id = format!("s{number}");
        text += &step(chance, &id, first.as_deref());
        first.get_or_insert(id);
    }
    text
}

fn step(chance: &Chance, id: &str, first: Option<&str>) -> String {
    let when = match (chance.below(8), first) {
        (0, _) => ", when: 'incident.priority == \"P1\"'".to_owned(),
        (1, Some(first)) => format!(", when: 'steps.{first}.status == \"succeeded\"'"),
        _ => String::new(),
    };
    let text = match chance.below(12) {
        0..=3 => format!(
            "action: postgres.read_only, target: {}{}{}",
            chance.pick(&["orders-db", "users-db"]),
            undo(chance),
            strictness(chance, true)
        ),
        4..=6 => {
            format!("action: http.request, target: orders-admin, with: {{ method: POST, path: /restart }}{}", strictness(chance, false))
        }
        7 => "action: http.check, target: orders-admin, with: { path: /health }".to_owned(),
        8..=9 => return format!("  - {{ id: {id}, wait: {}{when} }}\n", chance.pick(&["20s", "3m", "25m"])),
        10 => format!("action: notify, with: {{ to: [{}], text: 'drawn' }}", chance.pick(&["bo", "on-call", "chat"])),
        _ => "action: note, with: { text: 'drawn' }".to_owned(),
    };
    let perform = !text.contains("notify") && !text.contains("note,");
    let more = if perform { patience(chance) } else { String::new() };
    format!("  - {{ id: {id}, {text}{when}{more} }}\n")
}

fn undo(chance: &Chance) -> &'static str {
    chance.pick::<&str>(&["", ", undo: on_failure", ", undo: on_resolve", ", undo: on_resolve", ", undo: after 4m", ", undo: after 40m"])
}

/// What an attempt means whose answer was lost; an action that asks by itself may not be told to try again.
fn strictness(chance: &Chance, may_retry: bool) -> &'static str {
    const CHECK: &str = ", on_interrupt: check, check: { action: http.check, target: orders-admin, with: { path: /done } }";
    match chance.below(6) {
        0..=1 => CHECK,
        2 => ", on_interrupt: fail",
        3 if may_retry => ", on_interrupt: ask",
        _ => "",
    }
}

fn patience(chance: &Chance) -> String {
    let retry = match chance.below(3) {
        0 => String::new(),
        _ => format!(", retry: {{ attempts: {}, backoff: {} }}", chance.between(2, 4), chance.pick(&["2s", "30s"])),
    };
    let failure = chance.pick(&["", ", on_failure: continue", ", on_failure: escalate"]);
    format!("{retry}{failure}, timeout: {}", chance.pick(&["5s", "30s"]))
}
