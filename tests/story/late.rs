//! Answers that come when nobody waits for them any more: each is written down, shown to whoever is asked what happened, and changes
//! nothing; also when it was another node that had asked.

use std::sync::Arc;
use std::time::Duration;

use reynard::domain::decide::command::{AttemptRef, Command, LateAnswer, Performed};
use reynard::domain::id::RunId;
use reynard::domain::incident::Incident;
use reynard::domain::run::StepStatus;
use reynard::domain::time::Span;
use reynard::domain::timeline::{Actor, Outcome};
use reynard::engine::node::Node;
use reynard::engine::ports::ActionError;
use serde_json::{Value, json};

use crate::app::{App, alert, body};
use crate::inbox::Ours;
use crate::web::Browser;

pub const RESTART: &str = "
title: Restart
on: { type: service_down }
steps:
  - { id: restart, title: Restart, action: http.request, target: orders-admin, timeout: 10s, with: { method: POST, path: /restart } }
";

/// One that looks whether it took effect.
pub const LOOKS: &str = "
title: Restart and look
on: { type: service_down }
steps:
  - id: restart
    title: Restart
    action: http.request
    target: orders-admin
    timeout: 10s
    with: { method: POST, path: /restart }
    on_interrupt: check
    check: { action: http.check, target: orders-admin }
";

/// More tickets at once than late answers are listened for.
pub fn tickets() -> String {
    let branch = |n: u32| {
        format!("      - {{ id: t{n}, action: ticket.create, target: orders-admin, with: {{ title: 'No. {n}', repository: a/b }} }}\n")
    };
    let branches: String = (1..=70).map(branch).collect();
    format!("title: Tickets\non: {{ type: service_down }}\nsteps:\n  - parallel:\n{branches}")
}

impl App {
    /// An incident whose step has given up waiting; its answer is still to come.
    async fn gives_up_waiting(&self) -> (Incident, RunId) {
        self.is_late("http.request");
        self.answers("http.request", vec![Ok(json!({"status": 200}))]);
        let incident = self.fires("ServiceDown", "critical").await;
        let run = incident.runs_in_order()[0].id;
        (incident, run)
    }

    async fn restart(&self, run: RunId) -> StepStatus {
        self.newest().await.runs[&run].steps["restart"].status
    }

    /// Waits, with a bound, until the timeline says so many times that an answer came late.
    async fn until_late(&self, incident: &Incident, times: usize) {
        let heard = async {
            while self.kinds(incident.id).await.iter().filter(|kind| *kind == "step_answered_late").count() < times {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), heard).await.expect("it is written down");
    }

    async fn hears_late(&self, incident: &Incident, times: usize) {
        self.until_late(incident, times).await;
        self.settles().await;
    }

    async fn evidence(&self, run: RunId) -> Value {
        serde_json::from_str(&Browser::of(self).page(&format!("/api/v1/runs/{run}/steps/restart")).await).expect("JSON")
    }
}

#[tokio::test]
async fn an_answer_after_the_timeout_is_evidence_for_whoever_is_asked_and_changes_nothing() {
    let app = App::with(&[("restart", RESTART)]).await;
    let (incident, run) = app.gives_up_waiting().await;
    assert_eq!(app.restart(run).await, StepStatus::InDoubt, "nobody waits for it");
    app.clock.turn(Span::seconds(31));
    let before = app.newest().await;
    app.lets_go("http.request");
    app.hears_late(&incident, 1).await;
    let after = app.newest().await;
    assert_eq!((after.runs, after.status, after.seq), (before.runs, before.status, before.seq + 1));
    let said = "answered after 31s, when its timeout of 10s had passed";
    let last = app.sentences(incident.id).await.pop().expect("an entry");
    assert_eq!(last, format!("Attempt 1 of \"Restart\" {said}; that changes nothing: it succeeded with status 200"));
    let attempt = app.evidence(run).await["attempts"][0].clone();
    assert_eq!(attempt["status"], json!("in_doubt"));
    assert_eq!(attempt["late_answer"], json!(format!("{said}: it succeeded with status 200")));
    let page = Browser::of(&app).page("/incidents/1").await;
    assert!(page.contains(&format!("{said}: it succeeded with status 200")) && page.contains("It did not run"), "{page}");
    // A person says what it means.
    let settle = Command::SettleStep { run, step: "restart".to_owned(), outcome: Outcome::Succeeded, note: "it answered 200".to_owned() };
    app.puts(incident.id, "ana", settle).await.expect("taken");
    assert_eq!(app.restart(run).await, StepStatus::Succeeded);
    app.assert_fold_is_state(incident.id).await;
}

#[tokio::test]
async fn the_late_answer_of_one_attempt_is_not_taken_for_the_next_one_s() {
    let app = App::with(&[("restart", RESTART)]).await;
    let (incident, run) = app.gives_up_waiting().await;
    app.is_in_time("http.request");
    app.answers("http.request", vec![Err(ActionError::Fatal("409".to_owned()))]);
    let again = Command::RetryStep { run, step: "restart".to_owned(), note: String::new() };
    app.runtime.command(incident.id, Actor::Person("bo".to_owned()), again, None).await.expect("taken");
    app.is_asked(2).await;
    // The second attempt is under way and waits, too; both are let go.
    app.lets_go("http.request");
    app.hears_late(&incident, 1).await;
    assert_eq!(app.restart(run).await, StepStatus::Failed);
    let attempts = app.evidence(run).await["attempts"].clone();
    assert_eq!((&attempts[0]["status"], attempts[0]["late_answer"].is_string()), (&json!("in_doubt"), true));
    assert_eq!((&attempts[1]["status"], &attempts[1]["late_answer"]), (&json!("failed"), &Value::Null));
    app.assert_fold_is_state(incident.id).await;
}

#[tokio::test]
async fn while_a_check_looks_the_late_answer_does_not_stand_in_for_it() {
    let app = App::with(&[("restart", LOOKS)]).await;
    app.holds("check http.check");
    app.answers("check http.check", vec![Err(ActionError::Fatal("it is still down".to_owned()))]);
    app.is_late("http.request");
    app.hands_in(&body(&[alert("ServiceDown", "critical", "firing", 0)])).await;
    app.is_asked(2).await;
    let incident = app.newest().await;
    let run = incident.runs_in_order()[0].id;
    assert_eq!(app.restart(run).await, StepStatus::Running, "the look is under way");
    app.lets_go("http.request");
    app.until_late(&incident, 1).await;
    assert_eq!(app.restart(run).await, StepStatus::Running, "the look is believed, and nothing else");
    app.lets_go("check http.check");
    app.settles().await;
    assert_eq!(app.restart(run).await, StepStatus::Failed);
    app.assert_fold_is_state(incident.id).await;
}

#[tokio::test]
async fn nobody_waits_for_a_late_answer_that_is_still_to_come_when_it_stops() {
    let mut app = App::with(&[("restart", RESTART)]).await;
    let (incident, run) = app.gives_up_waiting().await;
    app.restarts_after(Span::minutes(1)).await;
    assert_eq!(app.restart(run).await, StepStatus::InDoubt);
    app.lets_go("http.request");
    app.settles().await;
    assert!(!app.kinds(incident.id).await.contains(&"step_answered_late".to_owned()), "that life is over");
    assert_eq!(app.calls().len(), 1);
}

#[tokio::test]
async fn so_many_answers_are_listened_for_and_no_more() {
    let app = App::with(&[("tickets", &tickets())]).await;
    app.is_late("ticket.create");
    let incident = app.fires("ServiceDown", "critical").await;
    let in_doubt =
        |incident: &Incident| incident.runs_in_order()[0].steps.values().filter(|step| step.status == StepStatus::InDoubt).count();
    assert_eq!((app.calls().len(), in_doubt(&app.newest().await)), (70, 70));
    app.lets_go("ticket.create");
    app.hears_late(&incident, 64).await;
    let heard = app.kinds(incident.id).await.iter().filter(|kind| *kind == "step_answered_late").count();
    assert_eq!((heard, in_doubt(&app.newest().await)), (64, 70));
}

#[tokio::test]
async fn an_answer_that_counts_already_is_no_news_when_it_comes_a_second_time() {
    let app = App::with(&[("restart", RESTART)]).await;
    let incident = app.fires("ServiceDown", "critical").await;
    let run = incident.runs_in_order()[0].id;
    assert_eq!(app.restart(run).await, StepStatus::Succeeded);
    // Its node had lost the work by then, left the answer for the other one, and had been heard all the same.
    let comes = async |output: Value| {
        let attempt = AttemptRef { run, step: "restart".to_owned(), attempt: 1, undo: false, check: false };
        let performed = Performed { attempt, result: Ok(output), duration_ms: 5 };
        let late = LateAnswer { performed, why: "its node a:1 had lost the work to another one".to_owned() };
        app.runtime.command(incident.id, Actor::engine(), Command::AnsweredLate(late), None).await.expect("taken");
        app.kinds(incident.id).await.iter().filter(|kind| *kind == "step_answered_late").count()
    };
    assert_eq!(comes(json!({"done": true})).await, 0);
    assert_eq!(comes(json!({"done": false})).await, 1, "another answer than the one that counts is told");
    assert_eq!(app.restart(run).await, StepStatus::Succeeded, "and changes nothing");
    app.assert_fold_is_state(incident.id).await;
}

#[tokio::test]
async fn the_answer_that_a_node_gets_after_it_has_lost_the_work_is_written_down_by_the_other() {
    let mut app = App::with(&[("restart", &RESTART.replace("timeout: 10s", "timeout: 5m"))]).await;
    app.loops.take().expect("running").abort();
    app.runtime = app.runtime.clone().named("a:1").sharing(app.inbox.clone().expect("open"));
    let journal = app.mortal.clone().expect("alive");
    let first = app.runtime.take_over(journal.clone()).await.expect("taken over");
    app.holds("http.request");
    app.hands_in(&body(&[alert("ServiceDown", "critical", "firing", 0)])).await;
    app.is_asked(1).await;
    // Another one takes over: what was under way is in doubt there.
    first.abort();
    let mut second = app.runtime.take_over(journal).await.expect("taken over");
    let incident = app.newest().await;
    let run = incident.runs_in_order()[0].id;
    let in_doubt = async {
        while app.restart(run).await != StepStatus::InDoubt {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), in_doubt).await.expect("nobody knows there");
    let before = app.newest().await.runs;
    app.lets_go("http.request");
    let node = Node::new(app.runtime.clone(), Arc::new(Ours));
    tokio::select! {
        over = node.hold(&mut second) => panic!("{over:?}"),
        () = app.hears_late(&incident, 1) => {}
    }
    assert_eq!(app.newest().await.runs, before, "it changes nothing");
    let said = app.sentences(incident.id).await;
    let last = said.iter().find(|said| said.starts_with("Attempt 1")).expect("an entry");
    assert!(last.contains("when its node a:1 had lost the work to another one; that changes nothing: it succeeded"), "{last}");
    assert_eq!(app.runtime.reads.overview(app.runtime.clock.now()).await.expect("readable").inbox, 0, "it has left the inbox");
    assert_eq!(app.runtime.reads.totals().await.expect("readable").deliveries, 1, "it is no delivery");
    app.assert_fold_is_state(incident.id).await;
    second.abort();
}
