//! A crash at any point of a story ends in the same story.

use reynard::domain::decide::command::Command;
use reynard::domain::time::Span;
use reynard::domain::timeline::{Actor, Entry, Event};
use reynard::engine::ports::Clock;

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
                app.runtime.command(id, who, command, Some("once".to_owned())).await.expect("taken");
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
    for gesture in gestures {
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
    let incident = app.newest().await;
    assert_eq!(app.incidents().await.len(), 1);
    app.assert_fold_is_state(incident.id).await;
    (without_interruptions(&app.entries(incident.id).await), died)
}

/// The kinds, without the attempts that the crash cut off: that they were is told, and is the only difference.
fn without_interruptions(entries: &[Entry]) -> Vec<String> {
    let again = |entry: &Entry| entry.event.step().is_some_and(|at| at.attempt > 1);
    let cut_off = |entry: &Entry| matches!(&entry.event, Event::StepFailed { retry_at: Some(_), reason, .. } if reason.starts_with("Reynard stopped"));
    let started_again = |entry: &Entry| matches!(entry.event, Event::StepStarted { .. }) && again(entry);
    let kinds = entries.iter().filter(|entry| !cut_off(entry) && !started_again(entry)).map(|entry| entry.event.kind().to_owned());
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
