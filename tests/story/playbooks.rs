//! What playbooks do: steps in order, retries, doubt, limits, undo.

use reynard::domain::decide::command::Command;
use reynard::domain::run::{RunStatus, StepStatus};
use reynard::domain::time::Span;
use reynard::domain::timeline::Outcome;
use reynard::engine::ports::ActionError;

use crate::app::App;

const PROTECT: &str = "
title: Protect the database
on: { type: service_down }
steps:
  - { id: protect, title: Make orders read-only, action: postgres.read_only, target: orders-db, undo: on_resolve }
  - { id: pause, wait: 5m }
  - { id: say, action: note, with: { text: 'protected {{ incident.service }}' } }
  - { id: tell, action: notify, with: { to: [bo], text: 'orders is read-only' } }
";

const RESTART: &str = "
title: Restart
on: { type: service_down }
steps:
  - { id: restart, action: http.request, target: orders-admin, with: { method: POST, path: /restart } }
  - { id: check, action: http.check, target: orders-admin, with: { path: /health }, retry: { attempts: 3, backoff: 10s } }
";

#[tokio::test]
async fn a_playbook_runs_waits_and_is_undone_when_it_is_over() {
    let app = App::with(&[("protect", PROTECT)]).await;
    let incident = app.fires("ServiceDown", "critical").await;
    assert_eq!(app.calls(), ["postgres.read_only orders-db #1"]);
    app.passes(Span::minutes(5)).await;
    let run = app.newest().await.runs.into_values().next().expect("a run");
    assert_eq!(run.status, RunStatus::Succeeded);
    assert!(app.sentences(incident.id).await.contains(&"protected orders".to_owned()));
    assert!(app.sent().iter().any(|sent| sent.starts_with("bo: ")));
    app.ends("ServiceDown", "critical").await;
    app.passes(Span::minutes(1)).await;
    assert_eq!(app.calls()[1..], ["undo postgres.read_only orders-db #1"]);
    assert!(app.kinds(incident.id).await.contains(&"step_undone".to_owned()));
    app.assert_fold_is_state(incident.id).await;
}

#[tokio::test]
async fn a_read_is_tried_again_and_a_lost_change_is_asked_about() {
    let app = App::with(&[("restart", RESTART)]).await;
    app.answers("http.request", vec![Err(ActionError::Unknown("the answer was lost".to_owned()))]);
    app.answers("http.check", vec![Err(ActionError::Retry("503".to_owned()))]);
    let incident = app.fires("ServiceDown", "critical").await;
    app.passes(Span::hours(1)).await;
    let run = app.newest().await.runs.into_values().next().expect("a run");
    assert_eq!(run.steps["restart"].status, StepStatus::InDoubt);
    assert_eq!(app.calls(), ["http.request orders-admin #1"], "never sent twice by itself");
    let settle = Command::SettleStep { run: run.id, step: "restart".to_owned(), outcome: Outcome::Succeeded, note: "saw it".to_owned() };
    app.puts(incident.id, "ana", settle).await.expect("taken");
    app.passes(Span::minutes(1)).await;
    assert_eq!(app.calls()[1..], ["http.check orders-admin #1", "http.check orders-admin #2"]);
    assert_eq!(app.newest().await.runs.into_values().next().expect("a run").status, RunStatus::Succeeded);
}

#[tokio::test]
async fn a_failed_playbook_pages_a_human() {
    let app = App::with(&[("restart", RESTART)]).await;
    app.answers("http.request", vec![Err(ActionError::Fatal("404".to_owned()))]);
    let incident = app.fires("ServiceDown", "critical").await;
    let sentences = app.sentences(incident.id).await;
    assert!(sentences.iter().any(|s| s.starts_with("Level 1") && s.contains("playbook restart failed")), "{sentences:#?}");
    assert_eq!(app.sent().len(), 2);
}

#[tokio::test]
async fn a_storm_is_held_at_the_targets_limit_and_says_until_when() {
    let app = App::with(&[("protect", &PROTECT.replace("  - { id: pause, wait: 5m }\n", ""))]).await;
    let mut bodies = Vec::new();
    for group in 0..5 {
        let mut body = crate::app::body(&[crate::app::alert("ServiceDown", "critical", "firing", group)]);
        body["groupKey"] = serde_json::json!(format!("group {group}"));
        bodies.push(body);
    }
    for body in &bodies {
        app.posts(body).await;
    }
    assert_eq!(app.calls().len(), 3, "three an hour on one target");
    let held = app.newest().await;
    assert!(app.kinds(held.id).await.contains(&"limit_hit".to_owned()));
    app.passes(Span::minutes(61)).await;
    assert_eq!(app.calls().len(), 5);
}

#[tokio::test]
async fn an_attempt_cut_off_by_a_crash_is_in_doubt_and_never_sent_again() {
    let mut app = App::with(&[("restart", RESTART)]).await;
    app.answers("http.request", vec![Err(ActionError::Unknown("lost".to_owned()))]);
    app.fires("ServiceDown", "critical").await;
    app.crashes().await;
    app.passes(Span::hours(2)).await;
    assert_eq!(app.calls(), ["http.request orders-admin #1"]);
}

#[tokio::test]
async fn what_fires_again_is_repaired_again() {
    let app = App::with(&[("protect", PROTECT)]).await;
    app.fires("ServiceDown", "critical").await;
    app.passes(Span::minutes(10)).await;
    app.ends("ServiceDown", "critical").await;
    app.passes(Span::minutes(5)).await;
    app.fires("ServiceDown", "critical").await;
    assert_eq!(app.incidents().await.len(), 1);
    assert_eq!(app.calls(), ["postgres.read_only orders-db #1", "undo postgres.read_only orders-db #1", "postgres.read_only orders-db #1"]);
}

#[tokio::test]
async fn nobody_is_told_the_same_thing_twice_at_once() {
    let tell = "
title: Tell
on: { type: service_down }
steps:
  - { id: tell, action: notify, with: { to: [ana], template: incident-opened } }
";
    let app = App::with(&[("tell", tell)]).await;
    app.fires("ServiceDown", "critical").await;
    assert_eq!(app.sent().len(), 1);
}

#[tokio::test]
async fn whoever_is_reached_by_a_playbook_and_by_the_escalation_at_once_gets_one_message_that_says_both() {
    let tell = "
title: Tell
on: { type: service_down }
steps:
  - { id: tell, action: notify, with: { to: [on-call], text: 'Nothing was restarted yet' } }
  - { id: tell_bo, action: notify, with: { to: [bo], text: 'Bo, keep the logs' } }
  - { id: tell_more, action: notify, with: { to: [ana], text: 'Keep a heap dump' } }
";
    let app = App::with(&[("tell", tell)]).await;
    let incident = app.fires("ServiceDown", "critical").await;
    let letters = app.world.letters.lock().expect("no panics").clone();
    assert_eq!(app.sent().len(), 2, "{:?}", app.sent());
    let of = |who: &str| letters[app.sent().iter().position(|sent| sent.starts_with(who)).expect("told")].clone();
    for said in ["Nothing was restarted yet", "Keep a heap dump", "it opened"] {
        assert!(of("ana").contains(said), "{said}: {letters:#?}");
    }
    assert!(of("bo").starts_with("Bo, keep the logs\n\nhttp://"), "{letters:#?}");
    assert!(app.sentences(incident.id).await.contains(&"Telling ana by email: it opened".to_owned()));
    app.assert_fold_is_state(incident.id).await;
}

#[tokio::test]
async fn a_wait_that_is_begun_again_ends_once() {
    let app = App::with(&[("protect", PROTECT)]).await;
    let incident = app.fires("ServiceDown", "critical").await;
    app.passes(Span::minutes(2)).await;
    let run = app.newest().await.runs.into_values().next().expect("a run");
    let again = Command::RetryStep { run: run.id, step: "pause".to_owned(), note: String::new() };
    app.puts(incident.id, "ana", again).await.expect("taken");
    app.passes(Span::hours(1)).await;
    let run = app.newest().await.runs.into_values().next().expect("a run");
    assert_eq!((run.status, run.steps["pause"].attempt), (RunStatus::Succeeded, 2));
}

const ONE_AFTER_THE_OTHER: &str = "
title: One after the other
on: { type: service_down }
limits: { concurrency: 1 }
steps:
  - { id: pause, wait: 1m }
";

/// Three incidents whose playbook may run once at a time, in the order in which they came.
async fn three_in_line(app: &App) -> Vec<u64> {
    for group in 0..3 {
        let mut body = crate::app::body(&[crate::app::alert("ServiceDown", "critical", "firing", group)]);
        body["groupKey"] = serde_json::json!(format!("group {group}"));
        app.posts(&body).await;
    }
    let mut numbers: Vec<u64> = app.incidents().await.iter().map(|incident| incident.number).collect();
    numbers.sort_unstable();
    numbers
}

async fn run_of(app: &App, number: u64) -> reynard::domain::run::Run {
    app.incident(number).await.runs.into_values().next().expect("a run")
}

/// Who is under way, who waits for a turn, who is done: one letter each.
async fn line(app: &App, numbers: &[u64]) -> String {
    let mut letters = String::new();
    for number in numbers {
        let run = run_of(app, *number).await;
        letters.push(match run.status {
            RunStatus::Succeeded => 'd',
            RunStatus::Cancelled => 'c',
            _ if run.steps.is_empty() => 'w',
            _ => 'u',
        });
    }
    letters
}

#[tokio::test]
async fn a_run_over_the_limit_begins_in_the_moment_in_which_another_ends_first_come_first_served() {
    let app = App::with(&[("one", ONE_AFTER_THE_OTHER)]).await;
    let numbers = three_in_line(&app).await;
    assert_eq!(line(&app, &numbers).await, "uww");
    let waiting = app.sentences(app.incident(numbers[1]).await.id).await;
    assert!(waiting.contains(&"Waits for its turn: the limit concurrency: 1 is reached (1 under way)".to_owned()), "{waiting:#?}");
    for told in ["duw", "ddu", "ddd"] {
        app.passes(Span::minutes(1)).await;
        assert_eq!(line(&app, &numbers).await, told);
    }
    let ends = run_of(&app, numbers[0]).await.ended_at.expect("it ended");
    let begins = run_of(&app, numbers[1]).await.steps["pause"].started_at.expect("it began");
    assert_eq!(ends, begins);
}

#[tokio::test]
async fn a_run_that_waits_for_its_turn_keeps_it_over_a_crash() {
    let mut app = App::with(&[("one", ONE_AFTER_THE_OTHER)]).await;
    let numbers = three_in_line(&app).await;
    app.crashes().await;
    app.passes(Span::minutes(1)).await;
    assert_eq!(line(&app, &numbers).await, "duw");
    app.crashes().await;
    app.passes(Span::minutes(2)).await;
    assert_eq!(line(&app, &numbers).await, "ddd");
}

#[tokio::test]
async fn whoever_gives_up_its_turn_is_passed_over() {
    let app = App::with(&[("one", ONE_AFTER_THE_OTHER)]).await;
    let numbers = three_in_line(&app).await;
    let second = app.incident(numbers[1]).await;
    let run = run_of(&app, numbers[1]).await.id;
    app.puts(second.id, "ana", Command::CancelRun { run, note: String::new() }).await.expect("taken");
    assert_eq!(line(&app, &numbers).await, "ucw");
    app.passes(Span::minutes(1)).await;
    assert_eq!(line(&app, &numbers).await, "dcu");
}

#[tokio::test]
async fn a_whole_line_of_short_runs_is_through_at_once() {
    let short =
        ONE_AFTER_THE_OTHER.replace("{ id: pause, wait: 1m }", "{ id: pause, wait: '{{ incident.number == 1 ? \"1m\" : \"0s\" }}' }");
    let app = App::with(&[("one", &short)]).await;
    let numbers = three_in_line(&app).await;
    assert_eq!(line(&app, &numbers).await, "uww");
    app.passes(Span::minutes(1)).await;
    assert_eq!(line(&app, &numbers).await, "ddd");
}

const LOOK: &str = "
title: Look
on: { type: service_down }
steps:
  - { id: look, action: tcp.connect, with: { address: 'db:5432' }, on_failure: continue }
  - { id: say, action: note, with: { text: 'the look was {{ steps.look.status }}' } }
  - { id: tell, action: notify, with: { to: [on-call], text: 'seen' } }
";

#[tokio::test]
async fn a_look_that_is_not_admitted_is_skipped_with_the_reason_and_so_is_a_message_to_nobody() {
    let app = App::with_settings("", &[("look", LOOK)]).await;
    app.answers("tcp.connect", vec![Err(ActionError::Barred("egress does not admit it".to_owned()))]);
    let incident = app.fires("ServiceDown", "critical").await;
    let sentences = app.sentences(incident.id).await;
    for told in [
        "\"Look\" skipped: egress does not admit it",
        "the look was skipped",
        "\"Tell\" skipped: nobody could be told; there is no schedule \"primary\" for \"on-call\"",
    ] {
        assert!(sentences.contains(&told.to_owned()), "{told}: {sentences:#?}");
    }
    assert_eq!(run_of(&app, 1).await.status, RunStatus::Succeeded);
}

#[tokio::test]
async fn a_look_that_the_rest_hangs_on_fails_when_it_is_not_admitted() {
    let app = App::with(&[("look", &LOOK.replace(", on_failure: continue", ""))]).await;
    app.answers("tcp.connect", vec![Err(ActionError::Barred("egress does not admit it".to_owned()))]);
    app.fires("ServiceDown", "critical").await;
    assert_eq!(run_of(&app, 1).await.status, RunStatus::Failed);
}
