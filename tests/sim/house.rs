//! A house drawn by chance: its settings, of every shape that limits and policies can have, and a few playbooks.
//! They are texts that the real loader reads and checks; and what those playbooks have earned before.

use std::collections::BTreeMap;

use reynard::action::catalog;
use reynard::config::files::{Files, TextFile};
use reynard::config::load;
use reynard::config::secrets::NoSecrets;
use reynard::domain::autonomy::{Ended, Record};
use reynard::domain::settings::Settings;
use reynard::domain::time::Span;

use crate::playbook;
use crate::seed::Chance;

pub const PLAYBOOKS: [&str; 3] = ["first", "second", "third"];

pub fn draw(chance: &Chance) -> Settings {
    let playbooks: Vec<TextFile> = PLAYBOOKS[..chance.between(2, 3) as usize]
        .iter()
        .map(|slug| TextFile::new(format!("playbooks/{slug}.yaml"), playbook::draw(chance)))
        .collect();
    let texts: Vec<String> = playbooks.iter().filter_map(|file| file.text.clone().ok()).collect();
    let settings = settings(chance);
    let files = Files { settings: Some(TextFile::new("reynard.yaml", settings.as_str())), playbooks };
    let loaded = load::load(&files, &catalog::specs(), &NoSecrets, None);
    assert!(!loaded.diagnostics.has_errors(), "{}\n{settings}\n{}", loaded.diagnostics.to_text(false), texts.join("\n"));
    loaded.settings.expect("no errors")
}

/// What the time before the story has left of playbooks that earn their freedom: half of them have it, and have it to lose.
pub fn earned(chance: &Chance, settings: &Settings) -> BTreeMap<String, Record> {
    let mut earned: BTreeMap<String, Record> = BTreeMap::new();
    for playbook in settings.rulebook.playbooks.values() {
        let Some(policy) = playbook.autonomy.filter(|_| chance.one_in(2)) else { continue };
        let record = earned.entry(playbook.slug.clone()).or_default();
        (0..policy.ask_until).for_each(|_| record.ended(Ended::Verified, Span::minutes(3), Some(policy)));
    }
    earned
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
  ana: {{ email: ana@example.com, notify: [ {{ channel: email }}{later} ], roles: [dba] }}
  bo: {{ email: bo@example.com, notify: [ {{ channel: email }} ], roles: [dba] }}
  cy: {{ email: cy@example.com, notify: [ {{ channel: chat }} ] }}
channels:
  email: {{ kind: email, smtp: 'smtp://localhost:587', from: alerts@example.com }}
  chat: {{ kind: slack, url: 'http://localhost:1' }}
targets:
  orders-db: {{ kind: postgres, url: 'postgres://localhost/orders', service: orders }}
  users-db: {{ kind: postgres, url: 'postgres://localhost/users', service: users }}
  orders-admin: {{ kind: http, url: 'http://localhost:8081', service: orders{} }}
  orders-api: {{ kind: http, url: 'http://localhost:8082', service: orders }}
  users-admin: {{ kind: http, url: 'http://localhost:8083', service: users }}
  prom: {{ kind: prometheus, url: 'http://localhost:9090' }}
incidents: {{ settle: {}, reopen_within: {} }}
automation: {}
limits: {{ destructive: {} per 10m, per_target: {} per {}, correlated: {}, breaker: {}{}{} }}
escalation:
  policies:
    default:
      P1: {}
      P2: {}
    users:
      match: ['service=\"users\"']
      P1: {}
",
        if chance.one_in(12) { ", automation: shadow" } else { "" },
        chance.pick(&["0s", "30s", "2m"]),
        chance.pick(&["5m", "30m"]),
        if chance.one_in(16) { "shadow" } else { "live" },
        chance.between(2, 20),
        chance.between(1, 4),
        chance.pick(&["10m", "1h"]),
        chance.pick(&["100%", "100%", "67%", "50%", "30%"]),
        chance.pick(&["never", "1", "2", "3"]),
        chance.pick(&["", "", ", per_service: 2 per 20m", ", per_service: 4 per 1h"]),
        chance.pick(&["", "", ", share: 34%", ", share: 67%"]),
        plan("15m"),
        plan("10m"),
        plan("30m"),
    )
}
