//! An incident that comes and goes for weeks: what it costs does not grow with its past.

use reynard::domain::incident::Incident;
use reynard::domain::run::Run;
use reynard::domain::time::Span;

use crate::app::{App, alert, body};
use crate::web::Browser;

const LOOK: &str = "
title: Look and protect
on: { type: service_down }
steps:
  - { id: look, action: postgres.pool_status, target: orders-db }
  - { id: protect, action: postgres.read_only, target: orders-db, undo: on_resolve }
";

impl App {
    /// It fires and ends so many times, ten minutes apart.
    async fn flaps(&self, times: u32) -> Incident {
        for _ in 0..times {
            self.posts(&body(&[alert("ServiceDown", "critical", "firing", 0)])).await;
            self.passes(Span::minutes(5)).await;
            self.ends("ServiceDown", "critical").await;
            self.passes(Span::minutes(5)).await;
        }
        self.newest().await
    }
}

fn weight(incident: &Incident) -> usize {
    serde_json::to_string(incident).expect("our own type").len()
}

#[tokio::test]
async fn an_incident_that_flaps_for_long_weighs_no_more_than_one_that_flapped_for_a_while() {
    let app = App::with(&[("look", LOOK)]).await;
    let lately = app.flaps(40).await;
    let at_last = app.flaps(40).await;
    assert_eq!((lately.number, at_last.number), (1, 1), "it is one incident");
    let (before, after) = (weight(&lately), weight(&at_last));
    assert!(after * 10 < before * 11, "{before} bytes after 40 times, {after} after 80");
    assert!(at_last.runs.values().all(|run| run.status.is_over()));
    app.assert_fold_is_state(at_last.id).await;
}

#[tokio::test]
async fn a_run_that_the_state_has_let_go_is_retold_from_the_log() {
    let app = App::with(&[("look", LOOK)]).await;
    app.flaps(1).await;
    let first = app.newest().await.runs.into_values().next().expect("it ran");
    let incident = app.flaps(40).await;
    assert!(!incident.runs.contains_key(&first.id), "the state holds {} runs", incident.runs.len());
    let entries = app.entries(incident.id).await;
    assert_eq!(Run::retold(&entries, first.id).as_ref(), Some(&first));
    let answer = Browser::of(&app).page(&format!("/api/v1/runs/{}", first.id)).await;
    assert!(answer.contains("\"undone\""), "{answer}");
}
