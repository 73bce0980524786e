//! Commits that were made and whose answers were lost, or came late: what they settled is settled, what they did not is done, and what they asked
//! for is known of. Found by the simulation, each of them, and told here as shortly as may be.

use reynard::domain::decide::command::Command;
use reynard::domain::id::IncidentId;
use reynard::domain::run::RunStatus;
use reynard::domain::time::Span;

use crate::app::{App, alert, body};

/// How often the incident was said to be silent.
async fn silences(app: &App, id: IncidentId) -> usize {
    app.sentences(id).await.iter().filter(|said| said.starts_with("No news")).count()
}

/// One that somebody is on: nothing of it is due but the word about silence, twelve hours after it was heard of.
async fn quiet(app: &App, name: &str) -> IncidentId {
    let id = app.fires(name, "critical").await.id;
    app.puts(id, "ana", Command::Acknowledge { note: String::new() }).await.expect("taken");
    id
}

#[tokio::test]
async fn a_timer_that_comes_due_between_two_lost_answers_rings() {
    let app = App::new().await;
    let first = quiet(&app, "First").await;
    app.clock.turn(Span(1_500));
    let second = quiet(&app, "Second").await;
    app.passes(Span::seconds(12 * 3_600 - 2)).await;
    app.trouble.comes(&["commit answered", "commit answered"]);
    app.clock.turn(Span(500));
    app.heals().await;
    app.passes(Span::seconds(5)).await;
    assert_eq!((silences(&app, first).await, silences(&app, second).await), (1, 1));
    app.passes(Span::hours(12)).await;
    assert_eq!((silences(&app, first).await, silences(&app, second).await), (2, 2), "and one watch over each goes on");
    app.assert_verified().await;
}

#[tokio::test]
async fn what_a_lost_commit_has_settled_is_not_done_again_when_its_company_is_told_apart() {
    let app = App::new().await;
    let (first, second) = (quiet(&app, "First").await, quiet(&app, "Second").await);
    app.passes(Span::seconds(12 * 3_600 - 1)).await;
    // Two timers are settled by a commit whose answer is lost. What a person says meanwhile is in their company when it is tried
    // again, and the database does not like its facts.
    app.trouble.comes(&["commit answered", "refused facts"]);
    app.clock.turn(Span::seconds(1));
    app.trouble.leaves(1).await;
    let said = app.puts(first, "ana", Command::Comment { text: "still at it".to_owned() });
    let (said, ()) = futures_util::future::join(said, app.heals()).await;
    said.expect("it is taken when it is alone");
    for id in [first, second] {
        assert_eq!(silences(&app, id).await, 1, "{:?}", app.sentences(id).await);
    }
    app.passes(Span::hours(12)).await;
    for id in [first, second] {
        assert_eq!(silences(&app, id).await, 2, "and one watch over each goes on");
    }
    app.assert_verified().await;
}

const RESTARTS: &str = "
on: { type: service_down }
steps:
  - { id: restart, action: http.request, target: orders-admin, with: { method: POST, path: /restart } }
";

#[tokio::test]
async fn an_attempt_that_only_a_lost_commit_knows_of_is_not_in_doubt_after_an_end_in_order() {
    let mut app = App::with(&[("restarts", RESTARTS)]).await;
    app.trouble.comes(&["commit answered"]);
    let post = body(&[alert("ServiceDown", "critical", "firing", 0)]).to_string().into_bytes();
    assert!(app.runtime.deliver("am", post).await.is_err(), "nobody knows whether it is stored");
    let stopped = app.loops.take().expect("they run").stop(app.runtime.clone(), Span::seconds(10));
    tokio::select! {
        () = stopped => {}
        () = app.time_passes() => {}
    }
    assert_eq!(app.calls(), [""; 0], "nothing begins any more");
    app.comes_back().await;
    let incident = app.newest().await;
    let run = incident.runs_in_order()[0];
    assert_eq!((app.calls().len(), run.status), (1, RunStatus::Succeeded), "{:#?}", app.sentences(incident.id).await);
    app.assert_fold_is_state(incident.id).await;
}

#[tokio::test]
async fn an_attempt_that_is_committed_after_the_worker_has_gone_is_not_in_doubt_at_the_next_start() {
    let mut app = App::with(&[("restarts", RESTARTS)]).await;
    app.trouble.comes(&["long commit"]);
    let post = body(&[alert("ServiceDown", "critical", "firing", 0)]).to_string().into_bytes();
    let delivered = app.runtime.deliver("am", post);
    let stopped = app.loops.take().expect("they run").stop(app.runtime.clone(), Span(0));
    // The disk stands still for longer than the worker has patience, and takes it in the end.
    let ends = async {
        app.trouble.leaves(0).await;
        for _ in 0..1_000 {
            tokio::task::yield_now().await;
        }
        app.trouble.passes();
    };
    let (delivered, (), ()) = futures_util::future::join3(delivered, stopped, ends).await;
    delivered.expect("it is stored");
    assert_eq!(app.calls(), [""; 0], "nothing begins any more");
    app.comes_back().await;
    let incident = app.newest().await;
    let run = incident.runs_in_order()[0];
    assert_eq!((app.calls().len(), run.status), (1, RunStatus::Succeeded), "{:#?}", app.sentences(incident.id).await);
    app.assert_verified().await;
}
