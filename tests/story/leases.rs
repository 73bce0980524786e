//! What automation puts in force ends: with the incident, with a failure, at its time, or when a person says so; also when the
//! process was down in between. And until then everybody can see it.

use reynard::domain::decide::command::Command;
use reynard::domain::incident::Status;
use reynard::domain::run::StepStatus;
use reynard::domain::time::Span;
use reynard::engine::ports::{ActionError, Clock};
use serde_json::Value;

use crate::app::App;
use crate::web::Browser;

const LEASE: &str = "
title: Protect for a while
on: { type: service_down }
steps:
  - { id: protect, title: Stop the writes, action: postgres.read_only, target: orders-db, undo: after 30m }
  - { id: pause, wait: 2h }
";

fn lease(undo: &str) -> String {
    LEASE.replace("after 30m", undo)
}

impl App {
    async fn mitigations(&self) -> Vec<(String, String)> {
        let api: Value = serde_json::from_str(&Browser::of(self).page("/api/v1/incidents/1").await).expect("JSON");
        let word = |of: &Value, name: &str| of[name].as_str().unwrap_or_default().to_owned();
        api["in_force"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|one| (word(one, "status"), word(one, "ends") + &word(one, "ends_at")))
            .collect()
    }

    async fn undone(&self) -> usize {
        self.calls().iter().filter(|call| call.starts_with("undo ")).count()
    }
}

#[tokio::test]
async fn a_mitigation_ends_at_its_time_also_when_the_process_was_down_then() {
    let mut app = App::with(&[("lease", LEASE)]).await;
    let incident = app.fires("ServiceDown", "critical").await;
    let ends = (app.clock.now() + Span::minutes(30)).to_rfc3339();
    assert_eq!(app.mitigations().await, [("in_force".to_owned(), format!("at{ends}"))]);
    let page = Browser::of(&app).page("/incidents/1").await;
    assert!(page.contains("In force now") && page.contains("Stop the writes") && page.contains("Take back now"), "{page}");
    app.passes(Span::minutes(10)).await;
    app.restarts_after(Span::hours(1)).await;
    assert_eq!((app.undone().await, app.mitigations().await.len()), (1, 0));
    assert_eq!(app.newest().await.status, Status::Triggered, "the incident goes on");
    assert!(!Browser::of(&app).page("/incidents/1").await.contains("In force now"));
    app.assert_fold_is_state(incident.id).await;
}

#[tokio::test]
async fn a_mitigation_ends_with_its_incident_and_with_a_failure_also_over_a_crash() {
    let mut app = App::with(&[("lease", &lease("on_resolve"))]).await;
    app.fires("ServiceDown", "critical").await;
    assert_eq!(app.mitigations().await, [("in_force".to_owned(), "on_resolve".to_owned())]);
    app.ends("ServiceDown", "critical").await;
    app.restarts_after(Span::hours(1)).await;
    assert_eq!((app.newest().await.status, app.undone().await, app.mitigations().await.len()), (Status::Resolved, 1, 0));
    let fails = lease("on_failure")
        .replace("{ id: pause, wait: 2h }", "{ id: pause, wait: 1m }\n  - { id: look, action: http.check, target: orders-admin }");
    let mut app = App::with(&[("lease", &fails)]).await;
    app.answers("http.check", vec![Err(ActionError::Fatal("500".to_owned()))]);
    app.fires("ServiceDown", "critical").await;
    assert_eq!(app.mitigations().await, [("in_force".to_owned(), "on_failure".to_owned())]);
    app.restarts_after(Span::hours(1)).await;
    assert_eq!((app.undone().await, app.mitigations().await.len()), (1, 0));
    // What was to last until a failure stays once its run is through, and is no mitigation any more.
    let app = App::with(&[("lease", &lease("on_failure"))]).await;
    app.fires("ServiceDown", "critical").await;
    app.passes(Span::hours(3)).await;
    assert_eq!((app.undone().await, app.mitigations().await.len()), (0, 0));
}

#[tokio::test]
async fn a_person_takes_it_back_before_its_time_and_nobody_does_it_twice() {
    let app = App::with(&[("lease", LEASE)]).await;
    let incident = app.fires("ServiceDown", "critical").await;
    let run = incident.runs_in_order()[0].id;
    let browser = Browser::of(&app);
    let asks = browser.page(&format!("/runs/{run}/steps/protect/undo")).await;
    assert!(asks.contains("Take “Stop the writes” back now?") && asks.contains("on orders-db"), "{asks}");
    browser.sends(&format!("/runs/{run}/steps/protect/undo"), "").await;
    app.settles().await;
    assert_eq!((app.undone().await, app.mitigations().await.len()), (1, 0));
    assert_eq!(app.newest().await.runs[&run].steps["protect"].status, StepStatus::Undone);
    let undo = |step: &str| Command::UndoStep { run, step: step.to_owned(), note: "seen".to_owned() };
    let again = app.puts(incident.id, "ana", undo("protect")).await.expect_err("it is back already");
    assert!(again.to_string().contains("is undone"), "{again}");
    let no = app.puts(incident.id, "ana", undo("pause")).await.expect_err("a pause has no opposite");
    assert!(no.to_string().contains("cannot be taken back"), "{no}");
    app.passes(Span::hours(3)).await;
    assert_eq!(app.undone().await, 1);
    app.assert_fold_is_state(incident.id).await;
}

#[tokio::test]
async fn an_undo_that_is_given_up_pages_and_says_how_to_do_it_by_hand() {
    let app = App::with(&[("lease", LEASE)]).await;
    app.answers("undo postgres.read_only", (0..5).map(|_| Err(ActionError::Retry("connection refused".to_owned()))).collect());
    let incident = app.fires("ServiceDown", "critical").await;
    app.passes(Span::minutes(31)).await;
    assert_eq!(app.mitigations().await[0].0, "undoing");
    app.passes(Span::minutes(30)).await;
    assert_eq!((app.undone().await, app.mitigations().await[0].0.as_str()), (5, "stuck"));
    let said = app.sentences(incident.id).await.join("\n");
    assert!(said.contains("could not be undone and stays in force: connection refused. By hand: on orders-db: alter database"), "{said}");
    let page = Browser::of(&app).page("/incidents/1").await;
    assert!(page.contains("could not be taken back") && page.contains("By hand: on orders-db: alter database"), "{page}");
    let undo = Command::UndoStep { run: incident.runs_in_order()[0].id, step: "protect".to_owned(), note: String::new() };
    app.puts(incident.id, "ana", undo).await.expect("taken");
    assert_eq!((app.undone().await, app.mitigations().await.len()), (6, 0));
    app.assert_fold_is_state(incident.id).await;
}

#[tokio::test]
async fn an_old_incident_is_not_reopened_beside_the_one_that_hears_of_its_alerts_now() {
    let mut app = App::new().await;
    let old = app.fires("ServiceDown", "critical").await;
    app.ends("ServiceDown", "critical").await;
    app.passes(Span::hours(2)).await;
    let new = app.fires("ServiceDown", "critical").await;
    assert_ne!(old.id, new.id);
    for crash in [false, true] {
        if crash {
            app.crashes().await;
        }
        for command in [Command::Reopen { note: String::new() }, Command::Unresolve] {
            let no = app.puts(old.id, "ana", command).await.expect_err("refused");
            assert_eq!(
                no.to_string(),
                "incident 2 has taken over what it was about, and hears of its alerts; reopen that one, or work there"
            );
        }
    }
    // The newest may be, also after it is over.
    app.puts(new.id, "ana", Command::Resolve { note: String::new() }).await.expect("taken");
    app.puts(new.id, "ana", Command::Reopen { note: String::new() }).await.expect("taken");
    app.assert_fold_is_state(old.id).await;
}
