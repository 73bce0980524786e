//! Which playbooks start by themselves, and that each does so once in each life of an incident.

use reynard::domain::decide::command::Command;
use reynard::domain::priority::Priority;
use reynard::domain::time::Span;
use serde_json::{Value, json};

use crate::app::{App, PEOPLE, alert, body};

const RULES: &str = "
signals: { error_rate: { annotation: error_rate } }
classification:
  - { name: known, when: signals.error_rate > 0.2, priority: P2, type: high_error_rate }
  - { name: little, when: signals.error_rate > 0.01, priority: P4 }
";

fn book(on: &str) -> String {
    format!("on: {on}\nsteps: [ {{ id: look, action: postgres.pool_status, target: orders-db }} ]")
}

async fn app() -> App {
    let [worse, known, both] = ["{ priority: [P1, P2] }", "{ type: high_error_rate }", "{ type: high_error_rate, priority: P1 }"].map(book);
    App::with_settings(&format!("{PEOPLE}{RULES}"), &[("worse", &worse), ("known", &known), ("both", &both)]).await
}

fn failing(rate: &str, status: &str) -> Value {
    let mut alert = alert("Odd", "info", status, 0);
    alert["annotations"]["error_rate"] = rate.into();
    alert
}

/// Another instance of it, so that there is something new to tell.
fn also_failing(rate: &str, instance: u32) -> Value {
    let mut other = alert("Odd", "info", "firing", instance);
    other["annotations"]["error_rate"] = rate.into();
    body(&[failing("0.05", "firing"), other])
}

async fn started(app: &App) -> Vec<String> {
    app.newest().await.runs_in_order().iter().map(|run| run.playbook.clone()).collect()
}

#[tokio::test]
async fn a_priority_that_rises_and_a_type_that_becomes_known_start_what_matches_then_once() {
    let mut app = app().await;
    app.posts(&body(&[failing("0.05", "firing")])).await;
    let incident = app.newest().await;
    assert_eq!((incident.priority, incident.kind.as_str(), started(&app).await.len()), (Priority::P4, "unknown", 0));
    app.posts(&also_failing("0.4", 1)).await;
    assert_eq!(started(&app).await, ["known", "worse"]);
    app.crashes().await;
    app.posts(&also_failing("0.5", 2)).await;
    assert_eq!(started(&app).await, ["known", "worse"], "nothing rose");
    // A person lets it rise further, fall and rise again.
    for priority in [Priority::P1, Priority::P3, Priority::P1] {
        app.puts(incident.id, "ana", Command::SetPriority { priority, note: String::new() }).await.expect("taken");
    }
    assert_eq!(started(&app).await, ["known", "worse", "both"]);
    app.assert_fold_is_state(incident.id).await;
}

#[tokio::test]
async fn each_life_starts_them_anew_and_a_reopening_by_hand_none() {
    let app = app().await;
    app.posts(&body(&[failing("0.4", "firing")])).await;
    assert_eq!(started(&app).await, ["known", "worse"]);
    app.posts(&body(&[failing("0.4", "resolved")])).await;
    app.passes(Span::minutes(1)).await;
    let incident = app.newest().await;
    assert!(!incident.is_open());
    app.puts(incident.id, "ana", Command::Reopen { note: String::new() }).await.expect("taken");
    assert_eq!(started(&app).await.len(), 2, "whoever reopens it starts what they want");
    app.posts(&body(&[failing("0.4", "firing")])).await;
    assert_eq!(started(&app).await.len(), 2, "it did not get worse");
    app.puts(incident.id, "ana", Command::SetPriority { priority: Priority::P1, note: String::new() }).await.expect("taken");
    assert_eq!(started(&app).await[2..], ["both", "known", "worse"], "it did now: whatever matches and has not run in this life");
    app.puts(incident.id, "ana", Command::Resolve { note: String::new() }).await.expect("taken");
    app.posts(&body(&[failing("0.4", "resolved")])).await;
    app.passes(Span::minutes(1)).await;
    app.posts(&body(&[failing("0.4", "firing")])).await;
    assert_eq!(started(&app).await.len(), 8, "firing again is another life: {:?}", started(&app).await);
    app.assert_fold_is_state(incident.id).await;
}

const WAITS: &str =
    "on: { type: service_down }\nsteps: [ { id: pause, wait: 10m }, { id: look, action: postgres.pool_status, target: orders-db } ]";

#[tokio::test]
async fn a_broken_playbook_stops_neither_the_others_nor_a_run_under_way() {
    let app = App::with(&[("waits", WAITS), ("other", &WAITS.replace("service_down", "other_down"))]).await;
    app.fires("ServiceDown", "critical").await;
    app.reads(&[("waits", "on: {}\nsteps: [ { id: pause, wiat: 1m } ]"), ("other", &WAITS.replace("service_down", "other_down"))]);
    assert!(app.runtime.rulebook().broken.contains_key("playbooks/waits.yaml"));
    app.passes(Span::minutes(10)).await;
    assert_eq!(app.calls().len(), 1, "the run goes on as it began");
    app.fires("OtherDown", "critical").await;
    app.passes(Span::minutes(10)).await;
    assert_eq!(app.calls().len(), 2, "the others start");
    // The last good revision of the broken one starts, too, and a file that is gone lets end what runs.
    app.posts(&body(&[json!({
        "status": "firing", "labels": {"alertname": "ServiceDown", "service": "payments"}, "annotations": {},
        "startsAt": "2026-09-21T14:00:00Z", "fingerprint": "00000000000000ff",
    })]))
    .await;
    app.reads(&[]);
    app.passes(Span::minutes(10)).await;
    assert_eq!(app.calls().len(), 3);
    app.assert_verified().await;
}

const TELLS: &str = "
title: Tells
on: { type: service_down }
steps:
  - { id: say, action: note, with: { text: 'seen: {{ annotations.summary }}' } }
  - { id: ask, action: http.request, target: orders-admin, with: { method: POST, path: /x, json: { said: '{{ annotations.summary }}' } } }
  - { id: again, action: note, with: { text: 'sent: {{ steps.ask.status }} {{ annotations.summary }}' } }
  - { id: tell, action: notify, with: { to: [bo], text: '{{ annotations.summary }}' } }
";

#[tokio::test]
async fn a_hole_in_the_text_of_an_alert_stays_text() {
    const EVIL: &str = "{{ incident.title }} ${env:HOME} {{{ this }}} {{> shell}} {{#each alerts}}x{{/each}} $(id) `id` \u{202e}';--";
    let app = App::with(&[("tells", TELLS)]).await;
    let mut alert = alert("ServiceDown", "critical", "firing", 0);
    alert["annotations"]["summary"] = EVIL.into();
    app.posts(&body(&[alert])).await;
    let incident = app.newest().await;
    let said = app.sentences(incident.id).await;
    assert!(said.contains(&format!("seen: {EVIL}")) && said.contains(&format!("sent: succeeded {EVIL}")), "{said:#?}");
    assert_eq!(incident.runs_in_order()[0].steps["ask"].params["json"]["said"], EVIL);
    let letters = app.world.letters.lock().expect("no panics").join("\n");
    assert!(letters.contains("{{ incident.title }} ${env:HOME} {{{ this }}}"), "{letters}");
    app.assert_fold_is_state(incident.id).await;
}
