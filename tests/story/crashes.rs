//! A crash at any point of a story ends in the same story.

use reynard::domain::decide::command::Command;
use reynard::domain::run::StepStatus;
use reynard::domain::time::{Span, Timestamp};
use reynard::domain::timeline::{Actor, Entry, Event};
use reynard::engine::ports::{ActionError, Clock};

use crate::app::{App, alert, body};

const STEADY: &str = "
title: Look and protect
on: { type: service_down }
steps:
  - { id: look, action: postgres.pool_status, target: orders-db }
  - { id: protect, action: postgres.read_only, target: orders-db, undo: on_resolve }
  - { id: pause, wait: 2m }
  - { id: say, action: note, with: { text: done } }
";

/// Plays the story with a crash after the beat numbered `crash_after`, and tells its kinds.
async fn story(crash_after: usize) -> Vec<String> {
    let mut app = App::with(&[("steady", STEADY)]).await;
    let mut beat = 0;
    macro_rules! beat {
        () => {
            if beat == crash_after {
                app.crashes().await;
            }
            beat += 1;
        };
    }
    let incident = app.fires("ServiceDown", "critical").await;
    beat!();
    app.passes(Span::minutes(1)).await;
    beat!();
    app.passes(Span::minutes(2)).await;
    beat!();
    app.puts(incident.id, "ana", Command::Acknowledge { note: String::new() }).await.expect("taken");
    beat!();
    app.ends("ServiceDown", "critical").await;
    beat!();
    app.passes(Span::minutes(2)).await;
    beat!();
    let _ = beat;
    app.assert_fold_is_state(incident.id).await;
    steps_then_messages(app.kinds(incident.id).await)
}

#[tokio::test]
async fn a_crash_between_any_two_beats_ends_in_the_same_timeline() {
    let whole = story(usize::MAX).await;
    assert!(whole.contains(&"step_undone".to_owned()), "{whole:?}");
    for crash_after in 0..6 {
        assert_eq!(story(crash_after).await, whole, "crash after beat {crash_after}");
    }
}

/// One thing that happens to the engine from outside, told again when nobody answered it, as senders and people do.
enum Gesture {
    Posts(serde_json::Value),
    Until(Span),
    Acknowledges,
}

impl Gesture {
    async fn make(&self, app: &App) {
        match self {
            Self::Posts(body) => drop(app.posts(body).await),
            Self::Until(span) => {
                let end = crate::app::START + *span;
                app.passes(end.since(app.clock.now())).await;
            }
            Self::Acknowledges => {
                let id = app.newest().await.id;
                let who = Actor::Person("ana".to_owned());
                let command = Command::Acknowledge { note: String::new() };
                app.runtime.command(id, who, command, Some("once".into())).await.expect("taken");
                app.settles().await;
            }
        }
    }
}

/// Plays the story in a process that dies after so many commits. Tells its kinds, and whether it died.
async fn mortal_story(commits: i64) -> (Vec<String>, bool) {
    let mut app = App::that_dies_after(commits, crate::app::PEOPLE, &[("steady", STEADY)]).await;
    let gestures = [
        Gesture::Posts(body(&[alert("ServiceDown", "critical", "firing", 0)])),
        Gesture::Until(Span::minutes(4)),
        Gesture::Acknowledges,
        Gesture::Posts(body(&[alert("ServiceDown", "critical", "resolved", 0)])),
        Gesture::Until(Span::minutes(8)),
    ];
    let mut died = false;
    let mut cut_off = false;
    for gesture in gestures {
        let mortal = app.mortal.clone().expect("a journal");
        let survived = tokio::select! {
            () = gesture.make(&app) => true,
            () = mortal.death() => false,
        };
        drop(mortal);
        if !survived {
            died = true;
            let runs: Vec<_> = app.newest_if_any().await.into_iter().flat_map(|incident| incident.runs.into_values()).collect();
            cut_off = runs.iter().flat_map(|run| run.steps.values()).any(|step| step.undoing || step.status == StepStatus::Running);
            app.crashes().await;
            gesture.make(&app).await;
        }
    }
    let incident = app.newest().await;
    assert_eq!(app.incidents().await.len(), 1);
    app.assert_fold_is_state(incident.id).await;
    let entries = app.entries(incident.id).await;
    let back = entries.iter().filter(|entry| matches!(entry.event, Event::Recovered { .. })).count();
    assert_eq!(back, usize::from(cut_off), "no time passed, so only an attempt that was cut off makes it worth a word: {entries:#?}");
    (without_interruptions(&entries), died)
}

/// The kinds, without the attempts that the crash cut off: that they were, and that Reynard is back, is the only difference.
fn without_interruptions(entries: &[Entry]) -> Vec<String> {
    let again = |entry: &Entry| entry.event.step().is_some_and(|at| at.attempt > 1);
    let cut_off = |entry: &Entry| matches!(&entry.event, Event::StepFailed { retry_at: Some(_), reason, .. } if reason.starts_with("Reynard stopped"));
    let started_again = |entry: &Entry| matches!(entry.event, Event::StepStarted { .. }) && again(entry);
    let back = |entry: &Entry| matches!(entry.event, Event::Recovered { .. });
    let kinds =
        entries.iter().filter(|entry| !cut_off(entry) && !started_again(entry) && !back(entry)).map(|entry| entry.event.kind().to_owned());
    steps_then_messages(kinds.collect())
}

/// A message and a step are under way side by side, and either may be told first.
fn steps_then_messages(kinds: Vec<String>) -> Vec<String> {
    let (messages, steps): (Vec<_>, Vec<_>) = kinds.into_iter().partition(|kind| kind.starts_with("notification"));
    steps.into_iter().chain(messages).collect()
}

#[tokio::test]
async fn a_crash_after_any_commit_ends_in_the_same_timeline() {
    let (whole, _) = mortal_story(i64::MAX).await;
    let mut commits = 0;
    loop {
        commits += 1;
        let (story, died) = mortal_story(commits).await;
        if !died {
            break;
        }
        assert_eq!(story, whole, "a crash after commit {commits}");
    }
    assert!(commits > 7, "the story has {commits} commits");
}

const CHECKED: &str = "
title: Restart, and look whether it happened
on: { type: service_down }
steps:
  - id: restart
    action: http.request
    target: orders-admin
    with: { method: POST, path: /restart }
    retry: { attempts: 2, backoff: 10s }
    on_interrupt: check
    check: { action: http.check, target: orders-admin, with: { path: /version, contains: v2 } }
";

/// The process dies while the restart is under way, and the check then says this. Tells what was done and how the step stands.
async fn cut_off_and_checked(verdict: Option<ActionError>) -> (Vec<String>, StepStatus, Vec<String>) {
    // The first commit stores the delivery and starts the attempt.
    let mut app = App::that_dies_after(1, crate::app::PEOPLE, &[("restart", CHECKED)]).await;
    app.answers("check http.check", verdict.map(Err).into_iter().collect());
    let mortal = app.mortal.clone().expect("a journal");
    let post = body(&[alert("ServiceDown", "critical", "firing", 0)]);
    tokio::select! {
        _ = app.posts(&post) => panic!("it outlived its crash"),
        () = mortal.death() => {}
    }
    drop(mortal);
    app.crashes().await;
    app.passes(Span::minutes(1)).await;
    let incident = app.newest().await;
    let status = incident.runs.values().next().expect("a run").steps["restart"].status;
    app.assert_fold_is_state(incident.id).await;
    (app.calls(), status, app.sentences(incident.id).await)
}

#[tokio::test]
async fn a_check_that_confirms_is_believed_and_nothing_is_sent_again() {
    let (calls, status, _) = cut_off_and_checked(None).await;
    assert_eq!((calls.as_slice(), status), (["check http.check orders-admin #1".to_owned()].as_slice(), StepStatus::Succeeded));
}

#[tokio::test]
async fn a_check_that_denies_is_believed_and_the_step_is_tried_again() {
    let denied = ActionError::Fatal("it still is v1".to_owned());
    let (calls, status, sentences) = cut_off_and_checked(Some(denied)).await;
    assert_eq!(calls, ["check http.check orders-admin #1", "http.request orders-admin #2"]);
    assert_eq!(status, StepStatus::Succeeded);
    let told = "\"Restart\" failed on attempt 1, will be tried again: the check says it did not take effect: it still is v1";
    assert!(sentences.contains(&told.to_owned()), "{sentences:#?}");
}

#[tokio::test]
async fn a_check_that_cannot_tell_leaves_it_to_a_person() {
    for lost in [ActionError::Retry("nobody there".to_owned()), ActionError::Unknown("cut off".to_owned())] {
        let (calls, status, sentences) = cut_off_and_checked(Some(lost)).await;
        assert_eq!((calls.as_slice(), status), (["check http.check orders-admin #1".to_owned()].as_slice(), StepStatus::InDoubt));
        assert!(sentences.iter().any(|said| said.contains("the check could not tell")), "{sentences:#?}");
    }
}

#[tokio::test]
async fn a_measurement_that_a_crash_cut_off_is_made_at_the_next_start() {
    let signals = "\nsignals: { error_rate: { prometheus: { target: prom, query: 'sum(errors)' } } }\n";
    let settings = format!("{}{signals}", crate::app::PEOPLE);
    // The first commit opens the incident and asks for the number; until it is known there is no priority and nobody is paged.
    let mut app = App::that_dies_after(1, &settings, &[]).await;
    app.answers("prometheus.query", vec![Ok(serde_json::json!({ "value": 0.9 }))]);
    let post = body(&[alert("Anything", "warning", "firing", 0)]);
    let mortal = app.mortal.clone().expect("a journal");
    tokio::select! {
        _ = app.posts(&post) => panic!("it outlived its crash"),
        () = mortal.death() => {}
    }
    drop(mortal);
    assert_eq!((app.newest().await.classification, app.sent().len()), (None, 0));
    app.crashes().await;
    let incident = app.newest().await;
    assert_eq!(incident.priority, reynard::domain::priority::Priority::P1);
    let kinds = app.kinds(incident.id).await;
    assert_eq!(kinds.iter().filter(|kind| *kind == "classified").count(), 1, "{kinds:?}");
    assert_eq!(app.sent().len(), 1);
    app.assert_fold_is_state(incident.id).await;
}

const ONE_AFTER_THE_OTHER: &str = "
title: One after the other
on: { type: service_down }
limits: { concurrency: 1 }
steps:
  - { id: look, action: postgres.pool_status, target: orders-db }
  - { id: pause, wait: 1m }
";

/// Three incidents wait for each other's run in a process that dies after so many commits. Tells when each run ended, and whether
/// the process died.
async fn line_of_mortals(commits: i64) -> (Vec<Option<Timestamp>>, bool) {
    let mut app = App::that_dies_after(commits, crate::app::PEOPLE, &[("one", ONE_AFTER_THE_OTHER)]).await;
    let fires = |group: u32| {
        let mut post = body(&[alert("ServiceDown", "critical", "firing", group)]);
        post["groupKey"] = serde_json::json!(format!("group {group}"));
        Gesture::Posts(post)
    };
    let mut died = false;
    for gesture in [fires(0), fires(1), fires(2), Gesture::Until(Span::minutes(4))] {
        let mortal = app.mortal.clone().expect("a journal");
        let survived = tokio::select! {
            () = gesture.make(&app) => true,
            () = mortal.death() => false,
        };
        drop(mortal);
        if !survived {
            died = true;
            app.crashes().await;
            gesture.make(&app).await;
        }
    }
    let incidents = app.incidents().await;
    for incident in &incidents {
        app.assert_fold_is_state(incident.id).await;
    }
    let ends = incidents.iter().rev().flat_map(|incident| incident.runs.values()).map(|run| run.ended_at);
    (ends.collect(), died)
}

#[tokio::test]
async fn a_crash_after_any_commit_strands_nobody_who_waits_for_a_turn() {
    let (whole, _) = line_of_mortals(i64::MAX).await;
    let minutes = [1, 2, 3].map(|minute| Some(crate::app::START + Span::minutes(minute)));
    assert_eq!(whole, minutes);
    for commits in 1.. {
        let (ends, died) = line_of_mortals(commits).await;
        if !died {
            assert!(commits > 10, "the story has {commits} commits");
            break;
        }
        assert_eq!(ends, whole, "a crash after commit {commits}");
    }
}
