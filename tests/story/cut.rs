//! A cancel ends what is under way, and the step says what is known: nobody guesses, whoever is asked can still say, and what only
//! looks or takes back is let end.

use reynard::domain::decide::command::Command;
use reynard::domain::id::RunId;
use reynard::domain::incident::Incident;
use reynard::domain::run::{RunStatus, StepStatus};
use reynard::domain::time::Span;
use reynard::domain::timeline::{Actor, Outcome};
use reynard::engine::ports::ActionError;
use serde_json::json;

use crate::app::{App, alert, body};
use crate::late::{LOOKS, RESTART, tickets};
use crate::web::Browser;

const PROTECT: &str = "
title: Protect
on: { type: service_down }
steps:
  - { id: protect, title: Protect, action: postgres.read_only, target: orders-db, undo: on_resolve }
";

impl App {
    /// An incident whose step is under way and will stay so.
    async fn is_under_way(&self, calls: usize) -> (Incident, RunId) {
        self.hands_in(&body(&[alert("ServiceDown", "critical", "firing", 0)])).await;
        self.is_asked(calls).await;
        let incident = self.newest().await;
        let run = incident.runs_in_order()[0].id;
        (incident, run)
    }

    async fn cancels(&self, incident: &Incident, run: RunId) {
        let cancel = Command::CancelRun { run, note: "enough".to_owned() };
        self.puts(incident.id, "ana", cancel).await.expect("taken");
    }

    async fn stands(&self, run: RunId, step: &str) -> (RunStatus, StepStatus) {
        let run = self.newest().await.runs[&run].clone();
        (run.status, run.steps[step].status)
    }
}

#[tokio::test]
async fn what_is_cut_off_is_in_doubt_where_its_action_asks_and_a_person_can_still_say() {
    let app = App::with(&[("restart", RESTART)]).await;
    app.holds_until_cut_off("http.request");
    let (incident, run) = app.is_under_way(1).await;
    let asks = Browser::of(&app).page(&format!("/runs/{run}/cancel")).await;
    assert!(asks.contains("is under way and is cut off"), "{asks}");
    app.cancels(&incident, run).await;
    assert_eq!(app.stands(run, "restart").await, (RunStatus::Cancelled, StepStatus::InDoubt));
    let said = app.sentences(incident.id).await.join("\n");
    assert!(said.contains("\"Restart\" is in doubt: cut off on request; it may have happened"), "{said}");
    assert!(app.sent().iter().any(|sent| sent.starts_with("ana:")), "level 1 hears of it");
    let page = Browser::of(&app).page("/incidents/1").await;
    assert!(page.contains("It did not run") && !page.contains("Run it again"), "its run is over: {page}");
    let refused = Command::RetryStep { run, step: "restart".to_owned(), note: String::new() };
    app.puts(incident.id, "ana", refused).await.expect_err("the run is over");
    let settle = Command::SettleStep { run, step: "restart".to_owned(), outcome: Outcome::Succeeded, note: "it is up".to_owned() };
    app.puts(incident.id, "ana", settle.clone()).await.expect("taken");
    assert_eq!(app.stands(run, "restart").await, (RunStatus::Cancelled, StepStatus::Succeeded));
    app.puts(incident.id, "bo", settle).await.expect_err("it is said already");
    app.assert_fold_is_state(incident.id).await;
}

#[tokio::test]
async fn a_hold_that_cancels_cuts_off_what_is_under_way() {
    let app = App::with(&[("restart", RESTART)]).await;
    app.holds_until_cut_off("http.request");
    let (incident, run) = app.is_under_way(1).await;
    app.runtime.hold("ana", "something is wrong", true).await.expect("held");
    app.settles().await;
    assert_eq!(app.stands(run, "restart").await, (RunStatus::Cancelled, StepStatus::InDoubt));
    app.assert_fold_is_state(incident.id).await;
}

#[tokio::test]
async fn what_is_cut_off_and_can_be_taken_back_is_taken_back() {
    let app = App::with(&[("protect", PROTECT)]).await;
    app.holds_until_cut_off("postgres.read_only");
    let (incident, run) = app.is_under_way(1).await;
    app.cancels(&incident, run).await;
    assert_eq!(app.stands(run, "protect").await, (RunStatus::Cancelled, StepStatus::Undone));
    assert_eq!(app.calls(), ["postgres.read_only orders-db #1", "undo postgres.read_only orders-db #1"]);
    app.assert_fold_is_state(incident.id).await;
}

#[tokio::test]
async fn where_a_look_can_tell_it_is_looked() {
    for (sees, status) in
        [(Ok(json!({"status": 200})), StepStatus::Succeeded), (Err(ActionError::Fatal("503".to_owned())), StepStatus::Failed)]
    {
        let app = App::with(&[("restart", LOOKS)]).await;
        app.holds_until_cut_off("http.request");
        app.answers("check http.check", vec![sees]);
        let (incident, run) = app.is_under_way(1).await;
        app.cancels(&incident, run).await;
        assert_eq!(app.stands(run, "restart").await, (RunStatus::Cancelled, status));
        app.assert_fold_is_state(incident.id).await;
    }
}

#[tokio::test]
async fn what_had_not_begun_when_its_run_was_cancelled_never_begins() {
    let app = App::with(&[("tickets", &tickets())]).await;
    app.holds_until_cut_off("ticket.create");
    let (incident, run) = app.is_under_way(64).await;
    app.cancels(&incident, run).await;
    let states = app.newest().await.runs[&run].steps.clone();
    let count = |status: StepStatus| states.values().filter(|step| step.status == status).count();
    assert_eq!((app.calls().len(), count(StepStatus::InDoubt), count(StepStatus::Failed)), (64, 64, 6));
    let said = app.sentences(incident.id).await.join("\n");
    assert_eq!(said.matches("failed: its run was cancelled before it began").count(), 6);
    app.assert_fold_is_state(incident.id).await;
}

#[tokio::test]
async fn what_only_looks_is_dropped_at_once_also_when_it_does_not_listen() {
    const WAITS: &str = "
title: Look
on: { type: service_down }
steps:
  - { id: look, title: Look, action: postgres.pool_status, target: orders-db, retry: { attempts: 3, backoff: 1s } }
";
    let app = App::with(&[("look", WAITS)]).await;
    app.holds("postgres.pool_status");
    let (incident, run) = app.is_under_way(1).await;
    app.cancels(&incident, run).await;
    assert_eq!(app.stands(run, "look").await, (RunStatus::Cancelled, StepStatus::Failed));
    let said = app.sentences(incident.id).await.join("\n");
    assert!(said.contains("\"Look\" failed: cut off on request; it may have happened"), "{said}");
    app.lets_go("postgres.pool_status");
    app.passes(Span::minutes(1)).await;
    assert_eq!(app.calls().len(), 1, "its run is over");
    app.assert_fold_is_state(incident.id).await;
}

#[tokio::test]
async fn a_resolve_lets_end_what_is_under_way() {
    let app = App::with(&[("restart", RESTART)]).await;
    app.holds_until_cut_off("http.request");
    let (incident, run) = app.is_under_way(1).await;
    let resolve = Command::Resolve { note: String::new() };
    app.runtime.command(incident.id, Actor::Person("ana".to_owned()), resolve, None).await.expect("taken");
    assert_eq!(app.stands(run, "restart").await, (RunStatus::Running, StepStatus::Running));
    app.lets_go("http.request");
    app.settles().await;
    assert_eq!(app.stands(run, "restart").await.1, StepStatus::Succeeded);
    app.assert_fold_is_state(incident.id).await;
}

#[tokio::test]
async fn nobody_listens_any_more_for_what_was_late_already() {
    let app = App::with(&[("restart", RESTART)]).await;
    app.is_late("http.request");
    let incident = app.fires("ServiceDown", "critical").await;
    let run = incident.runs_in_order()[0].id;
    app.cancels(&incident, run).await;
    assert_eq!(app.stands(run, "restart").await, (RunStatus::Cancelled, StepStatus::InDoubt));
    app.lets_go("http.request");
    app.passes(Span::minutes(1)).await;
    assert!(!app.kinds(incident.id).await.contains(&"step_answered_late".to_owned()));
}
