//! Coming back after an outage: whoever missed something reads it once, nobody else does.

use reynard::domain::decide::command::Command;
use reynard::domain::id::IncidentId;
use reynard::domain::time::Span;

use crate::app::{App, alert, body};

impl App {
    /// The sentences that say that Reynard is back.
    async fn returns(&self, id: IncidentId) -> Vec<String> {
        let sentences = self.sentences(id).await;
        sentences.into_iter().filter(|sentence| sentence.starts_with("Reynard is back")).collect()
    }

    async fn fires_in_group(&self, group: u32) -> IncidentId {
        let mut post = body(&[alert("ServiceDown", "critical", "firing", group)]);
        post["groupKey"] = serde_json::json!(format!("group {group}"));
        self.posts(&post).await;
        self.newest().await.id
    }

    /// The process dies at once and the clock goes on without it.
    fn is_gone_for(&mut self, span: Span) {
        self.loops.take().expect("running").abort();
        self.clock.turn(span);
    }
}

#[tokio::test]
async fn after_an_outage_whoever_missed_something_reads_it_once_and_nobody_else_does() {
    let mut app = App::new().await;
    let acknowledged = app.fires_in_group(1).await;
    app.puts(acknowledged, "ana", Command::Acknowledge { note: String::new() }).await.expect("taken");
    let resolved = app.fires_in_group(2).await;
    app.puts(resolved, "ana", Command::Resolve { note: String::new() }).await.expect("taken");
    let waiting = app.fires_in_group(3).await;
    app.passes(Span::minutes(5)).await;
    app.is_gone_for(Span::minutes(13));
    app.comes_back().await;
    // Nothing was committed in the five minutes before, so nobody can know more closely when it went.
    assert_eq!(app.returns(waiting).await, ["Reynard is back after 18m at most; what was due here first is 3m late"]);
    let kinds = app.kinds(waiting).await;
    let back = kinds.iter().position(|kind| kind == "recovered").expect("it is there");
    assert_eq!(kinds[back + 1], "escalated", "the entry comes before what was late: {kinds:?}");
    assert!(app.returns(acknowledged).await.is_empty(), "its timers had outlived their reason");
    assert!(app.returns(resolved).await.is_empty());
    app.crashes().await;
    assert_eq!(app.returns(waiting).await.len(), 1);
    app.assert_fold_is_state(waiting).await;
}

#[tokio::test]
async fn a_crash_while_starting_does_not_say_it_twice() {
    for commits in 1..4 {
        let mut app = App::new().await;
        let id = app.fires_in_group(1).await;
        app.is_gone_for(Span::minutes(20));
        app.comes_back_for(commits).await;
        let mortal = app.mortal.clone().expect("a journal");
        tokio::select! {
            _ = app.settles() => {}
            () = mortal.death() => {}
        }
        drop(mortal);
        app.crashes().await;
        assert_eq!(app.returns(id).await.len(), 1, "dead after {commits} commits");
        assert_eq!(app.sent().len(), 2, "ana, then bo: {:?}", app.sent());
    }
}

#[tokio::test]
async fn a_planned_restart_says_nothing_unless_something_came_late() {
    let mut app = App::new().await;
    let id = app.fires_in_group(1).await;
    app.passes(Span::minutes(14)).await;
    app.restarts_after(Span::seconds(2)).await;
    assert!(app.returns(id).await.is_empty());
    // The second level is due at 15m and told at 15m 2s: that is in time.
    app.restarts_after(Span::minutes(1)).await;
    assert!(app.returns(id).await.is_empty());
    app.passes(Span::seconds(14 * 60 + 48)).await;
    app.restarts_after(Span::seconds(30)).await;
    assert_eq!(app.returns(id).await, ["Reynard is back after 30s at most; what was due here first is 20s late"]);
}
