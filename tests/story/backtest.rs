//! The past lived through again: the same rules change nothing, other rules change what they should and say why, and nobody hears of it.

use reynard::app::backtest::live_through;
use reynard::domain::decide::command::Command;
use reynard::domain::priority::Priority;
use reynard::domain::settings::Rulebook;
use reynard::domain::time::{Span, Timestamp};
use reynard::domain::timeline::Event;
use reynard::domain::timeline::Outcome as Said;
use reynard::engine::ports::ActionError;
use reynard::rehearsal::author;
use reynard::rehearsal::backtest::Outcome;
use reynard::rehearsal::hindsight::hindsight;
use reynard::rehearsal::script::Script;
use reynard::store::catalog as databases;
use serde_json::json;

use crate::app::{self, App, PEOPLE, alert, body};

const DRILL: &str = "
title: Drill
on: { type: service_down }
limits: { concurrency: 1 }
steps:
  - { id: look, action: http.check, target: orders-admin, with: { path: /health }, retry: { attempts: 2, backoff: 10s }, on_failure: continue }
  - { id: ask, when: steps.look.status == 'failed', approval: { by: operator, expires: 10m, otherwise: skip }, action: http.request, target: orders-admin, with: { method: POST, path: /restart } }
  - { id: protect, action: postgres.read_only, target: orders-db, undo: on_resolve, on_failure: continue }
  - { id: tell, when: has(labels.pod), action: notify, with: { to: [bo], text: 'look at {{ labels.pod }}' } }
";

async fn again(app: &App, rulebook: &Rulebook) -> Outcome {
    let archive = databases::archive(&reynard::domain::secret::Secret::new(app.url().to_owned())).await.expect("readable");
    live_through(archive.as_ref(), rulebook, Timestamp(0), &mut |_, _| {}).await.expect("it is lived through")
}

fn told(outcome: &Outcome) -> Vec<String> {
    let line = |number: Option<u64>, what: &str| format!("{} {what}", number.map_or("new".to_owned(), |number| format!("#{number}")));
    outcome.changed.iter().flat_map(|changed| changed.changes.iter().map(|change| line(changed.number, &change.what))).collect()
}

/// A rich past: retries, a yes and a no, a doubt that is settled, a resolve, a person's priority, an acknowledgement, a snooze.
async fn a_past() -> App {
    let app = App::with(&[("drill", DRILL)]).await;
    app.answers("http.check", vec![Err(ActionError::Retry("503".to_owned())), Ok(json!({})), Err(ActionError::Fatal("gone".to_owned()))]);
    app.answers("http.request", vec![Err(ActionError::Unknown("the answer was lost".to_owned()))]);
    let first = app.fires("ServiceDown", "critical").await;
    app.passes(Span::minutes(3)).await;
    app.puts(first.id, "ana", Command::Acknowledge { note: "on it".to_owned() }).await.expect("taken");
    app.passes(Span::minutes(10)).await;
    app.puts(first.id, "ana", Command::Resolve { note: String::new() }).await.expect("taken");
    app.passes(Span::hours(1)).await;
    app.posts(&body(&[alert("ServiceDown", "critical", "firing", 4_000)])).await;
    let second = app.newest().await;
    app.passes(Span::minutes(1)).await;
    let run = second.runs.values().next().expect("a run").id;
    let step = "ask".to_owned();
    app.puts(second.id, "bo", Command::AnswerApproval { run, step: step.clone(), yes: true, note: String::new() }).await.expect("taken");
    app.passes(Span::minutes(1)).await;
    let settle = Command::SettleStep { run, step, outcome: Said::Succeeded, note: "saw it".to_owned() };
    app.puts(second.id, "ana", settle).await.expect("taken");
    app.puts(second.id, "ana", Command::Snooze { span: Span::minutes(20) }).await.expect("taken");
    app.passes(Span::minutes(40)).await;
    app.posts(&body(&[alert("HighErrorRate", "warning", "firing", 7_200)])).await;
    let third = app.newest().await;
    app.puts(third.id, "ana", Command::SetPriority { priority: Priority::P1, note: "customers call".to_owned() }).await.expect("taken");
    app.passes(Span::hours(2)).await;
    app
}

#[tokio::test]
async fn a_group_of_several_severities_is_as_bad_in_hindsight() {
    let app = App::new().await;
    app.posts(&body(&[alert("A", "warning", "firing", 1), alert("A", "critical", "firing", 2)])).await;
    app.passes(Span::minutes(5)).await;
    let outcome = again(&app, &app.settings.rulebook).await;
    assert_eq!((told(&outcome), outcome.now.priorities[1]), (Vec::new(), 1));
}

#[tokio::test]
async fn what_nobody_edited_changes_nothing() {
    let app = a_past().await;
    let outcome = again(&app, &app.settings.rulebook).await;
    assert_eq!((told(&outcome), outcome.left_out, outcome.supposed.len()), (Vec::new(), 0, 0));
    assert_eq!((outcome.then.clone(), outcome.deliveries), (outcome.now.clone(), 3));
    assert_eq!((outcome.then.incidents, outcome.then.priorities[0], outcome.then.priorities[2]), (3, 2, 1));
    assert!(outcome.then.destructive == 3 && outcome.then.people > 0 && outcome.then.runs == 2, "{:?}", outcome.then);
}

#[tokio::test]
async fn a_storm_that_came_in_one_commit_changes_nothing() {
    let app = App::with(&[("drill", &DRILL.replace("concurrency: 1", "concurrency: 2"))]).await;
    for round in 0..3 {
        let storm = (0..5).map(|service| {
            let mut fired = alert("ServiceDown", "critical", "firing", round * 7_200 + service);
            fired["labels"]["service"] = json!(format!("s{service}"));
            body(&[fired])
        });
        let storm: Vec<_> = storm.collect();
        futures_util::future::join_all(storm.iter().map(|body| app.hands_in(body))).await;
        app.passes(Span::hours(30)).await;
    }
    let outcome = again(&app, &app.settings.rulebook).await;
    assert_eq!((told(&outcome), outcome.supposed.len()), (Vec::new(), 0));
    let waited = app.entries(app.incident(5).await.id).await;
    assert!(waited.iter().any(|entry| matches!(entry.event, Event::LimitHit { .. })), "nobody waited for a turn");
}

#[tokio::test]
async fn other_rules_change_what_they_should_and_say_why_and_nobody_hears_of_it() {
    let app = a_past().await;
    let before = (app.calls(), app.sent());
    let edited = |settings: &str, playbook: &str| app::settings_of(&format!("{PEOPLE}{settings}"), &[("drill", playbook)]).rulebook;
    let calmer = edited("classification: [ { name: calm, when: incident.service == 'orders', priority: P3 } ]", DRILL);
    let outcome = again(&app, &calmer).await;
    let first = outcome.changed.first().expect("a change");
    assert_eq!((first.number, first.changes[0].what.as_str()), (Some(1), "priority P1 → P3"));
    assert!(first.changes[0].why.contains("rule \"calm\""), "{first:?}");
    assert!(outcome.now.messages < outcome.then.messages, "{outcome:?}");

    let narrower = edited("", &DRILL.replace("on: { type: service_down }", "on: { type: service_down, priority: P2 }"));
    let told_narrower = told(&again(&app, &narrower).await);
    assert!(told_narrower.contains(&"#1 drill does not run any more".to_owned()), "{told_narrower:?}");

    let longer = edited(
        "",
        &DRILL.replace("steps:\n", "steps:\n  - { id: more, action: http.check, target: orders-admin, with: { path: /more } }\n"),
    );
    let outcome = again(&app, &longer).await;
    assert!(told(&outcome).contains(&"#1 step drill/more is new: succeeded".to_owned()), "{:?}", told(&outcome));
    assert_eq!(outcome.supposed.values().sum::<u64>(), 2, "nobody knows what it would have answered");

    let apart = edited("incidents: { group_by: [alertname, severity] }", DRILL);
    assert_eq!(again(&app, &apart).await.now.incidents, 3);
    let together = edited("incidents: { group_by: [service], reopen_within: 1d }", DRILL);
    let outcome = again(&app, &together).await;
    assert!(told(&outcome).iter().any(|told| told.contains("does not open: its alerts belong to #1")), "{:?}", told(&outcome));
    assert_eq!((app.calls(), app.sent()), before, "somebody was asked or told");
}

#[tokio::test]
async fn the_past_says_what_was_never_false_and_what_was_often_missing() {
    let app = App::with(&[("drill", DRILL)]).await;
    for round in 0..12 {
        let mut fired = alert("ServiceDown", "critical", "firing", round * 7_200);
        fired["labels"]["service"] = json!(format!("s{round}"));
        if round < 3 {
            fired["labels"]["pod"] = json!("p-1");
        }
        app.posts(&body(&[fired])).await;
        app.passes(Span::hours(2)).await;
    }
    let outcome = again(&app, &app.settings.rulebook).await;
    assert_eq!(told(&outcome), Vec::<String>::new());
    let settings = "classification: [ { name: never, when: incident.service == 'nobody', priority: P1 } ]";
    let edited = app::settings_of(&format!("{PEOPLE}{settings}"), &[("drill", &DRILL.replace("'failed'", "'succeeded'"))]).rulebook;
    let outcome = again(&app, &edited).await;
    let file = |path: &str, text: &str| reynard::config::files::TextFile::new(path, text);
    let found = hindsight(
        &outcome.seen,
        Some(&file("reynard.yaml", settings)),
        &[file("playbooks/drill.yaml", &DRILL.replace("'failed'", "'succeeded'"))],
    );
    let lines: Vec<String> = found.iter().map(|fault| format!("{}:{} {} {}", fault.file, fault.line, fault.code, fault.message)).collect();
    assert_eq!(
        lines,
        [
            "reynard.yaml:1 never-true this condition was never true in 12 times",
            "playbooks/drill.yaml:7 never-false this condition was never false in 12 times",
            "playbooks/drill.yaml:9 often-missing `labels.pod` is missing on 75 % of the 12 incidents that this playbook ran on",
        ]
    );
}

#[tokio::test]
async fn a_test_that_is_written_from_an_incident_holds() {
    let app = a_past().await;
    for number in 1..=3 {
        let mut incident = app.incident(number).await;
        let entries = app.entries(incident.id).await;
        let alerts = app.runtime.reads.alerts(incident.id, 100).await.expect("readable");
        incident.alerts = alerts.into_iter().map(|row| (row.fingerprint, row.mark)).collect();
        let mut letters = Vec::new();
        for entry in &entries {
            if let Event::AlertFired { delivery, .. } | Event::AlertResolved { delivery, .. } = &entry.event {
                let told = app.runtime.reads.delivery(*delivery).await.expect("readable").expect("kept").delivery;
                letters.push(author::Letter { source: told.source, received_at: told.received_at, body: told.body });
            }
        }
        let text = author::file(&incident, &entries, &letters, &app.settings.rulebook.specs);
        let node = reynard::config::yaml::parse(&text).unwrap_or_else(|faults| panic!("{text}\n{faults:?}"));
        let script: Script = serde_json::from_value(node.to_json()).unwrap_or_else(|error| panic!("{text}\n{error}"));
        let faults = script.tests[0].play(&app.settings.rulebook, &|name| Err(name.to_owned())).expect("it is played");
        assert_eq!(faults, [], "{text}");
        // Other rules make it fail.
        let other = app::settings_of(PEOPLE, &[("drill", &DRILL.replace("id: protect", "id: protected"))]).rulebook;
        let seen = script.tests[0].play(&other, &|name| Err(name.to_owned()));
        assert!(number == 3 || seen.is_err() || seen.is_ok_and(|faults| !faults.is_empty()), "{text}");
    }
}
