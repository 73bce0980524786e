//! A crash at any point of a story ends in the same story.

use reynard::domain::decide::command::Command;
use reynard::domain::time::Span;

use crate::app::App;

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
    app.kinds(incident.id).await
}

#[tokio::test]
async fn a_crash_between_any_two_beats_ends_in_the_same_timeline() {
    let whole = story(usize::MAX).await;
    assert!(whole.contains(&"step_undone".to_owned()), "{whole:?}");
    for crash_after in 0..6 {
        assert_eq!(story(crash_after).await, whole, "crash after beat {crash_after}");
    }
}
