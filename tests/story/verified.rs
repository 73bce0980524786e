//! A run that is tried anew, and a run that has only succeeded when the trouble is over.

use reynard::domain::decide::command::Command;
use reynard::domain::incident::Status;
use reynard::domain::run::{Run, RunStatus, StepStatus};
use reynard::domain::time::Span;
use reynard::domain::timeline::{Event, Outcome};
use reynard::engine::ports::ActionError;
use serde_json::json;

use crate::app::{App, alert, body};

async fn the_run(app: &App) -> Run {
    app.newest().await.runs_in_order().first().copied().cloned().expect("a run")
}

fn fatal(why: &str) -> Result<serde_json::Value, ActionError> {
    Err(ActionError::Fatal(why.to_owned()))
}

const ANEW: &str = "
title: Restart and look
on: { type: service_down }
retry: { attempts: 3, backoff: 1m }
steps:
  - { id: protect, action: postgres.read_only, target: orders-db, undo: on_failure }
  - { id: restart, action: http.request, target: orders-admin, with: { method: POST, path: /restart } }
  - { id: look, action: http.check, target: orders-admin, retry: { attempts: 2, backoff: 1s } }
";

#[tokio::test]
async fn a_run_that_is_tried_anew_goes_on_from_the_step_that_failed_and_repeats_nothing_that_succeeded() {
    let mut app = App::with(&[("anew", ANEW)]).await;
    let busy = || Err(ActionError::Retry("503".to_owned()));
    app.answers("http.check", vec![busy(), busy(), busy(), busy()]);
    let incident = app.fires("ServiceDown", "critical").await;
    app.passes(Span::seconds(10)).await;
    let run = the_run(&app).await;
    assert_eq!((run.status, run.tried_anew, run.steps["look"].attempt), (RunStatus::Waiting, 1, 2));
    let said = app.sentences(incident.id).await;
    assert!(
        said.iter().any(|said| said.starts_with("Playbook anew is tried again from \"Look\"") && said.ends_with("(try 2 of 3)")),
        "{said:#?}"
    );
    app.crashes().await;
    app.passes(Span::minutes(10)).await;
    let run = the_run(&app).await;
    assert_eq!((run.status, run.tried_anew, run.steps["look"].attempt), (RunStatus::Succeeded, 2, 5));
    let count = |action: &str| app.calls().iter().filter(|call| call.starts_with(action)).count();
    assert_eq!((count("postgres.read_only"), count("http.request"), count("http.check")), (1, 1, 5), "{:?}", app.calls());
    assert!(!app.sent().iter().any(|sent| sent.contains("failed")), "nobody was called for what went well in the end");
    app.assert_fold_is_state(incident.id).await;
}

#[tokio::test]
async fn a_run_whose_tries_are_used_up_fails_and_is_taken_back() {
    let app = App::with(&[("anew", ANEW)]).await;
    app.answers("http.check", vec![fatal("404"), fatal("404"), fatal("404")]);
    let incident = app.fires("ServiceDown", "critical").await;
    app.passes(Span::minutes(10)).await;
    let run = the_run(&app).await;
    assert_eq!((run.status, run.steps["look"].attempt), (RunStatus::Failed, 3));
    assert!(app.calls().contains(&"undo postgres.read_only orders-db #1".to_owned()));
    app.assert_fold_is_state(incident.id).await;
}

#[tokio::test]
async fn what_may_have_happened_is_not_done_again_because_its_run_is() {
    let app = App::with(&[("anew", ANEW)]).await;
    app.answers("http.request", vec![Err(ActionError::Unknown("the answer was lost".to_owned()))]);
    let incident = app.fires("ServiceDown", "critical").await;
    app.passes(Span::hours(1)).await;
    let run = the_run(&app).await;
    assert_eq!(run.steps["restart"].status, StepStatus::InDoubt);
    let settle = Command::SettleStep { run: run.id, step: "restart".to_owned(), outcome: Outcome::Failed, note: String::new() };
    app.puts(incident.id, "ana", settle).await.expect("taken");
    app.passes(Span::hours(1)).await;
    assert_eq!((the_run(&app).await.status, the_run(&app).await.tried_anew), (RunStatus::Failed, 0));
    assert_eq!(app.calls().iter().filter(|call| call.starts_with("http.request")).count(), 1);
    // What is failed at once when nobody knows is not sent again either.
    let strict = ANEW.replace("path: /restart } }", "path: /restart }, on_interrupt: fail }");
    let app = App::with(&[("anew", &strict)]).await;
    app.answers("http.request", vec![Err(ActionError::Unknown("the answer was lost".to_owned()))]);
    app.fires("ServiceDown", "critical").await;
    app.passes(Span::hours(1)).await;
    assert_eq!((the_run(&app).await.status, the_run(&app).await.tried_anew), (RunStatus::Failed, 0));
}

#[tokio::test]
async fn a_no_is_not_asked_again() {
    let asks = ANEW.replace("path: /restart } }", "path: /restart }, approval: { by: bo } }");
    let app = App::with(&[("anew", &asks)]).await;
    let incident = app.fires("ServiceDown", "critical").await;
    let no = Command::AnswerApproval { run: the_run(&app).await.id, step: "restart".to_owned(), yes: false, note: String::new() };
    app.puts(incident.id, "bo", no).await.expect("taken");
    assert_eq!((the_run(&app).await.status, the_run(&app).await.tried_anew), (RunStatus::Failed, 0));
}

const QUIET: &str = "
title: Protect until it is quiet
on: { type: service_down }
recovered: { alerts: resolved, for: 2m, within: 15m }
steps:
  - { id: protect, action: postgres.read_only, target: orders-db, undo: on_resolve }
  - { id: say, action: note, with: { text: done } }
";

#[tokio::test]
async fn steps_that_went_well_are_no_recovery_while_the_alert_fires() {
    let mut app = App::with(&[("quiet", QUIET)]).await;
    let incident = app.fires("ServiceDown", "critical").await;
    app.passes(Span::minutes(14)).await;
    assert_eq!(the_run(&app).await.status, RunStatus::Waiting);
    app.crashes().await;
    app.passes(Span::minutes(1)).await;
    let run = the_run(&app).await;
    assert_eq!((run.status, run.verified), (RunStatus::Failed, false));
    assert_eq!(run.reason.as_deref(), Some("the trouble is not over: an alert still fires after 15m"));
    assert_eq!(app.calls()[1..], ["undo postgres.read_only orders-db #1"], "what was to last until the end is taken back");
    assert!(app.sent().iter().any(|sent| sent.starts_with("bo: ")), "the next level is told: {:?}", app.sent());
    assert_eq!(app.newest().await.status, Status::Triggered);
    app.assert_fold_is_state(incident.id).await;
}

#[tokio::test]
async fn an_incident_stays_open_until_the_quiet_has_lasted_as_long_as_its_playbook_wants() {
    let mut app = App::with(&[("quiet", QUIET)]).await;
    let incident = app.fires("ServiceDown", "critical").await;
    app.passes(Span::minutes(5)).await;
    app.ends("ServiceDown", "critical").await;
    app.passes(Span::minutes(1)).await;
    assert_eq!((app.newest().await.status, the_run(&app).await.status), (Status::Triggered, RunStatus::Waiting));
    // It fires again: the quiet begins anew.
    app.fires("ServiceDown", "critical").await;
    app.passes(Span::minutes(2)).await;
    app.ends("ServiceDown", "critical").await;
    app.passes(Span::minutes(1)).await;
    app.crashes().await;
    assert_eq!(the_run(&app).await.status, RunStatus::Waiting);
    app.passes(Span::minutes(1)).await;
    let run = the_run(&app).await;
    assert_eq!((run.status, run.verified), (RunStatus::Succeeded, true));
    assert_eq!(app.newest().await.status, Status::Resolved, "and then it closes by itself");
    assert_eq!(app.calls()[1..], ["undo postgres.read_only orders-db #1"]);
    let entries = app.entries(incident.id).await;
    assert!(entries.iter().any(|entry| matches!(entry.event, Event::RunSucceeded { verified: true, .. })));
    assert!(app.sentences(incident.id).await.contains(&"Playbook quiet finished in 10m; the trouble is over".to_owned()));
    app.assert_fold_is_state(incident.id).await;
}

const ASKS_PROMETHEUS: &str = "
title: Protect until Prometheus says so
on: { type: service_down }
recovered: { target: prom, query: 'up{service=\"{{ incident.service }}\"} == 1', for: 2m, within: 10m }
steps:
  - { id: protect, action: postgres.read_only, target: orders-db, undo: on_resolve }
  - { id: shield, action: postgres.read_only, target: orders-db, undo: on_failure }
";

#[tokio::test]
async fn prometheus_says_whether_it_recovered() {
    let app = App::with(&[("asks", ASKS_PROMETHEUS)]).await;
    let incident = app.fires("ServiceDown", "critical").await;
    let run = the_run(&app).await;
    assert_eq!((run.status, run.verified), (RunStatus::Succeeded, true));
    assert_eq!(run.steps["recovered"].params["query"], json!("up{service=\"orders\"} == 1"));
    assert_eq!(app.calls()[2..], ["check prometheus.wait_until prom #1"]);
    app.assert_fold_is_state(incident.id).await;
}

#[tokio::test]
async fn a_no_of_prometheus_takes_everything_back_and_keeps_the_incident_open_though_the_alerts_are_quiet() {
    let app = App::with(&[("asks", ASKS_PROMETHEUS)]).await;
    app.answers("check prometheus.wait_until", vec![fatal("not met within 10m")]);
    let incident = app.fires("ServiceDown", "critical").await;
    let run = the_run(&app).await;
    assert_eq!((run.status, run.reason.as_deref()), (RunStatus::Failed, Some("the trouble is not over: not met within 10m")));
    let mut undone: Vec<_> = run.steps.iter().filter(|(_, step)| step.status == StepStatus::Undone).map(|(id, _)| id.as_str()).collect();
    undone.sort_unstable();
    assert_eq!(undone, ["protect", "shield"]);
    app.ends("ServiceDown", "critical").await;
    app.passes(Span::hours(1)).await;
    assert_eq!(app.newest().await.status, Status::Triggered, "a person has the last word");
    app.puts(incident.id, "ana", Command::Resolve { note: "mended by hand".to_owned() }).await.expect("taken");
    app.assert_fold_is_state(incident.id).await;
}

#[tokio::test]
async fn a_no_of_prometheus_is_a_no_also_after_a_crash_in_the_middle_of_the_look() {
    let mut app = App::with(&[("asks", ASKS_PROMETHEUS)]).await;
    app.holds("check prometheus.wait_until");
    app.hands_in(&body(&[alert("ServiceDown", "critical", "firing", 0)])).await;
    app.is_asked(3).await;
    app.lets_go("check prometheus.wait_until");
    app.answers("check prometheus.wait_until", vec![fatal("not met within 10m")]);
    app.crashes().await;
    let run = the_run(&app).await;
    assert_eq!((run.status, run.reason.as_deref()), (RunStatus::Failed, Some("the trouble is not over: not met within 10m")));
    assert_eq!((run.steps["protect"].status, run.steps["shield"].status), (StepStatus::Undone, StepStatus::Undone));
    assert_eq!(run.steps["recovered"].attempt, 2);
}

#[tokio::test]
async fn where_nobody_can_tell_what_protects_stays() {
    let app = App::with(&[("asks", ASKS_PROMETHEUS)]).await;
    app.answers("check prometheus.wait_until", vec![Err(ActionError::Retry("connection refused".to_owned()))]);
    let incident = app.fires("ServiceDown", "critical").await;
    let run = the_run(&app).await;
    assert_eq!(run.status, RunStatus::Failed);
    assert!(run.reason.as_ref().is_some_and(|why| why.starts_with("nobody can tell whether the trouble is over")), "{:?}", run.reason);
    assert_eq!((run.steps["protect"].status, run.steps["shield"].status), (StepStatus::Succeeded, StepStatus::Undone));
    assert!(app.sent().iter().any(|sent| sent.starts_with("bo: ")), "{:?}", app.sent());
    app.assert_fold_is_state(incident.id).await;
}
