//! Automation on trial: what shadow keeps from being done is written down as it would have been done, and reported with what became
//! of it; a playbook that is to earn its freedom asks until it has helped often enough, and asks again when it fails.

use reynard::domain::autonomy::Record;
use reynard::domain::decide::command::Command;
use reynard::domain::run::{RunStatus, StepStatus};
use reynard::domain::time::Span;
use reynard::domain::timeline::Event;
use reynard::engine::ports::ActionError;
use serde_json::json;

use crate::app::{App, PEOPLE};
use crate::web::Browser;

const ACT: &str = "
on: { type: service_down }
steps:
  - { id: look, action: postgres.pool_status, target: orders-db }
  - { id: restart, title: Restart orders, action: http.request, target: orders-admin, with: { method: POST, path: '/restart/{{ incident.service }}' } }
  - { id: protect, title: Make orders read-only, action: postgres.read_only, target: orders-db }
";

#[tokio::test]
async fn in_shadow_it_looks_and_writes_down_what_it_would_have_done() {
    let app = App::with_settings(&format!("{PEOPLE}\nautomation: shadow\n"), &[("act", ACT)]).await;
    let incident = app.fires("ServiceDown", "critical").await;
    app.passes(Span::minutes(1)).await;
    assert_eq!(app.calls(), ["postgres.pool_status orders-db #1"], "what only looks is done");
    let run = app.newest().await.runs.into_values().next().expect("a run");
    assert_eq!((run.status, run.steps["restart"].status), (RunStatus::Succeeded, StepStatus::Skipped));
    assert_eq!(
        (&run.steps["restart"].params["path"], run.steps["restart"].target.as_deref()),
        (&json!("/restart/orders"), Some("orders-admin"))
    );
    let told = "\"Restart orders\" skipped: automation is in shadow; it would have done http.request on orders-admin";
    assert!(app.sentences(incident.id).await.contains(&told.to_owned()), "{:#?}", app.sentences(incident.id).await);
    assert!(app.kinds(incident.id).await.contains(&"step_skipped".to_owned()));
    app.assert_fold_is_state(incident.id).await;
}

#[tokio::test]
async fn one_playbook_or_one_target_can_be_in_shadow_alone() {
    let one = format!("automation: shadow{ACT}");
    let app = App::with(&[("act", ACT), ("trial", one.as_str())]).await;
    app.fires("ServiceDown", "critical").await;
    app.passes(Span::minutes(1)).await;
    assert_eq!(app.calls().iter().filter(|call| !call.starts_with("postgres.pool")).count(), 2, "{:?}", app.calls());
    let settings =
        PEOPLE.replace("'http://localhost:8081', service: orders", "'http://localhost:8081', service: orders, automation: shadow");
    let app = App::with_settings(&settings, &[("act", ACT)]).await;
    let incident = app.fires("ServiceDown", "critical").await;
    app.passes(Span::minutes(1)).await;
    assert_eq!(app.calls(), ["postgres.pool_status orders-db #1", "postgres.read_only orders-db #1"]);
    assert!(app.sentences(incident.id).await.iter().any(|told| told.contains("skipped: orders-admin is in shadow")));
}

#[tokio::test]
async fn the_report_says_what_it_would_have_come_to() {
    const ONE: &str = "
on: { type: service_down }
limits: { per_target: 2 per 1h }
steps:
  - { id: restart, action: http.request, target: orders-admin, with: { method: POST, path: /restart } }
";
    let app = App::with_settings(&format!("{PEOPLE}\nautomation: shadow\nincidents: {{ reopen_within: 0s }}\n"), &[("act", ONE)]).await;
    // Recovers by itself.
    app.fires("ServiceDown", "critical").await;
    app.ends("ServiceDown", "critical").await;
    app.passes(Span::minutes(2)).await;
    // A person has to take it.
    let second = app.fires("ServiceDown", "critical").await;
    app.puts(second.id, "ana", Command::Acknowledge { note: String::new() }).await.expect("taken");
    app.puts(second.id, "ana", Command::Resolve { note: "by hand".to_owned() }).await.expect("taken");
    app.passes(Span::minutes(2)).await;
    // The third within an hour would have met the limit.
    app.fires("ServiceDown", "critical").await;
    let browser = Browser::of(&app);
    let said: serde_json::Value = serde_json::from_str(&browser.page("/api/v1/automation/shadow?since=1d").await).expect("JSON");
    let sum = &said["playbooks"][0];
    assert_eq!((&sum["by_itself"], &sum["fixed"], &sum["stopped"], &sum["open"]), (&json!(1), &json!(1), &json!(1), &json!(0)), "{said:#}");
    assert_eq!(sum["limits"], json!({"per_target: 2 per 1h": 1}), "{said:#}");
    assert_eq!(said["items"][2]["params"]["path"], "/restart");
    let page = browser.page("/automation/shadow").await;
    assert!(page.contains("1 would have acted on what recovered by itself") && page.contains("stopped by per_target: 2 per 1h"), "{page}");
    assert_eq!(app.calls(), Vec::<String>::new());
}

const EARNS: &str = "
on: { type: service_down }
autonomy: { ask_until: 2, back_after: 2 }
recovered: { alerts: resolved, within: 1h }
steps:
  - { id: restart, title: Restart orders, action: http.request, target: orders-admin, with: { method: POST, path: /restart } }
";

async fn record(app: &App) -> Record {
    app.runtime.reads.records().await.expect("readable").remove("earns").unwrap_or_default()
}

/// One incident from its beginning to its end; whether the playbook asked, and why.
async fn trouble(app: &App) -> Option<String> {
    let incident = app.fires("ServiceDown", "critical").await;
    let asked = app.entries(incident.id).await.into_iter().rev().find_map(|entry| match entry.event {
        Event::ApprovalRequested { why, .. } => why,
        _ => None,
    });
    let run = app.newest().await.runs.into_values().max_by_key(|run| run.ordinal).expect("a run");
    if asked.is_some() {
        let yes = Command::AnswerApproval { run: run.id, step: "restart".to_owned(), yes: true, note: String::new() };
        app.puts(incident.id, "bo", yes).await.expect("taken");
    }
    app.passes(Span::minutes(1)).await;
    app.ends("ServiceDown", "critical").await;
    app.passes(Span::minutes(10)).await;
    asked
}

#[tokio::test]
async fn a_playbook_asks_until_it_has_helped_often_enough_and_again_when_it_fails() {
    let settings = format!("{PEOPLE}\nincidents: {{ reopen_within: 0s }}\nlimits: {{ per_target: 99 per 1h }}\n");
    let mut app = App::with_settings(&settings, &[("earns", EARNS)]).await;
    let why = trouble(&app).await.expect("it asks");
    assert_eq!(why, "playbook earns asks first: it has 0 of 2 verified successes");
    assert_eq!(record(&app).await.verified, 1, "{:?}", record(&app).await);
    app.crashes().await;
    assert!(trouble(&app).await.expect("it asks").contains("1 of 2"), "a crash forgets nothing");
    assert_eq!(trouble(&app).await, None, "it has earned it");
    for _ in 0..2 {
        app.answers("http.request", vec![Err(ActionError::Fatal("no".to_owned()))]);
        assert_eq!(trouble(&app).await, None);
    }
    let why = trouble(&app).await.expect("it asks again");
    assert_eq!(why, "playbook earns asks first: it has 0 of 2 verified successes, counted anew since it failed");
    let browser = Browser::of(&app);
    let said: serde_json::Value = serde_json::from_str(&browser.page("/api/v1/playbooks/earns").await).expect("JSON");
    assert_eq!((&said["record"]["verified"], &said["record"]["failed"]), (&json!(4), &json!(2)), "{said:#}");
    assert!(said["record"]["median_ms"].as_u64().is_some_and(|ms| ms > 0));
    let page = browser.page("/playbooks").await;
    assert!(page.contains("4 verified, 2 failed") && page.contains("Asks before it changes anything: it has 1 of 2"), "{page}");
    app.assert_fold_is_state(app.newest().await.id).await;
}

#[tokio::test]
async fn what_was_over_before_it_was_done_is_a_false_start() {
    let app = App::with(&[("earns", EARNS)]).await;
    app.fires("ServiceDown", "critical").await;
    app.ends("ServiceDown", "critical").await;
    app.passes(Span::minutes(10)).await;
    let record = record(&app).await;
    assert_eq!((record.false_starts, record.verified, record.failed), (1, 0, 0), "{record:?}");
}

/// One that restarts, and one that only looks.
const ACTS: &str = "
on: { type: service_down }
limits: { breaker: 1, per_target: 2 per 1h }
steps:
  - { id: restart, action: http.request, target: orders-admin, with: { method: POST, path: /restart }, when: 'labels.severity != \"info\"' }
  - { id: pause, wait: 30s }
";
const LOOKS: &str = "
on: { type: service_down }
steps: [ { id: look, action: postgres.pool_status, target: orders-db } ]
";
const APART: &str = "incidents: { reopen_within: 0s }\nlimits: { per_target: 99 per 1h, correlated: 100% }";

/// Its successes that nobody verified, those that did nothing, false starts, and the median in seconds.
async fn came_to(app: &App, playbook: &str) -> (u64, u64, u64, Option<u64>) {
    let record = app.runtime.reads.records().await.expect("readable").remove(playbook).unwrap_or_default();
    (record.well, record.idle, record.false_starts, record.median().map(|span| span.as_millis() / 1_000))
}

/// Begins, runs to its end, and is over.
async fn passing_trouble(app: &App, severity: &str) {
    app.fires("ServiceDown", severity).await;
    app.passes(Span::minutes(1)).await;
    app.ends("ServiceDown", severity).await;
    app.passes(Span::minutes(10)).await;
}

#[tokio::test]
async fn a_run_that_was_refused_held_back_or_had_nothing_to_do_is_no_success() {
    let app = App::with_settings(&format!("{PEOPLE}\n{APART}\n"), &[("acts", ACTS), ("looks", LOOKS)]).await;
    passing_trouble(&app, "critical").await;
    assert_eq!(came_to(&app, "acts").await, (1, 0, 0, Some(30)));
    passing_trouble(&app, "info").await;
    assert_eq!(came_to(&app, "acts").await, (1, 1, 0, Some(30)), "its condition did not hold");

    app.answers("http.request", vec![Err(ActionError::Fatal("no".to_owned()))]);
    passing_trouble(&app, "critical").await;
    assert_eq!(came_to(&app, "acts").await, (1, 1, 0, Some(30)), "its breaker is open now");
    passing_trouble(&app, "critical").await;
    assert_eq!(came_to(&app, "acts").await, (1, 2, 0, Some(30)), "and refused");
    assert_eq!(app.calls().iter().filter(|call| call.starts_with("http")).count(), 2, "{:?}", app.calls());

    let newest = app.newest().await.id;
    app.puts(newest, "ana", Command::Rearm { playbook: "acts".to_owned(), note: "mended".to_owned() }).await.expect("taken");
    passing_trouble(&app, "critical").await;
    assert_eq!(came_to(&app, "acts").await, (1, 3, 0, Some(30)), "the limit held it back until the trouble was over");
    assert_eq!(came_to(&app, "looks").await.0, 5, "who is there to look has done what it is there for");

    let browser = Browser::of(&app);
    let said: serde_json::Value = serde_json::from_str(&browser.page("/api/v1/playbooks/acts").await).expect("JSON");
    assert_eq!((&said["record"]["succeeded"], &said["record"]["idle"]), (&json!(1), &json!(3)), "{said:#}");
    let page = browser.page("/playbooks").await;
    assert!(page.contains("1 went well, 3 did nothing, 1 failed; half of the last within 30s"), "{page}");
}

#[tokio::test]
async fn what_shadow_only_wrote_down_earns_nothing() {
    let app = App::with_settings(&format!("{PEOPLE}\nautomation: shadow\n{APART}\n"), &[("earns", EARNS), ("acts", ACTS)]).await;
    passing_trouble(&app, "critical").await;
    let earned = record(&app).await;
    assert_eq!((earned.verified, earned.well, earned.idle, earned.good, earned.median()), (0, 0, 1, 0, None), "{earned:?}");
    // It would have begun in vain; that is told by the report, which knows what it would have done.
    app.fires("ServiceDown", "critical").await;
    app.ends("ServiceDown", "critical").await;
    app.passes(Span::minutes(10)).await;
    assert_eq!(came_to(&app, "acts").await, (0, 2, 0, None));
}

#[tokio::test]
async fn a_run_that_a_hold_kept_waiting_until_the_end_did_nothing() {
    let app = App::with_settings(&format!("{PEOPLE}\nautomation: held\n{APART}\n"), &[("acts", ACTS)]).await;
    passing_trouble(&app, "critical").await;
    assert_eq!(came_to(&app, "acts").await, (0, 1, 0, None));
}
