//! What is too old goes, a slice at a time; nothing else does, and what stays fits together at every moment.

use reynard::domain::decide::command::Command;
use reynard::domain::incident::Incident;
use reynard::domain::time::Span;
use serde_json::Value;

use crate::app::{App, PEOPLE, alert, body};

const DAY: Span = Span::hours(24);

impl App {
    async fn keeping(retention: &str) -> Self {
        Self::with_settings(&format!("{PEOPLE}\nretention: {retention}\n"), &[]).await
    }

    /// One that came and went.
    async fn came_and_went(&self, alertname: &str, alerts: u32) -> Incident {
        let all = |status: &str| (0..alerts).map(|n| alert(alertname, "warning", status, n)).collect::<Vec<Value>>();
        self.posts(&body(&all("firing"))).await;
        let incident = self.newest().await;
        self.posts(&body(&all("resolved"))).await;
        self.passes(Span::hours(13)).await;
        incident
    }

    /// Time passes, with a bound, until so many rows of a kind went since the start.
    async fn lets_go_of(&self, kind: &str, rows: u64) {
        let went = async {
            while self.went(kind) < rows {
                for _ in 0..50 {
                    tokio::task::yield_now().await;
                }
                self.clock.turn(Span(50));
            }
            self.settles().await;
        };
        let bound = std::time::Duration::from_secs(20);
        assert!(tokio::time::timeout(bound, went).await.is_ok(), "{} {kind} went, not {rows}", self.went(kind));
    }

    fn went(&self, kind: &str) -> u64 {
        let wanted = format!("reynard_let_go_total{{kind=\"{kind}\"}} ");
        let text = self.world.metrics.text().expect("it is told");
        text.lines().find_map(|line| line.strip_prefix(&wanted)).map_or(0, |rows| rows.parse().expect("a number"))
    }

    async fn numbers(&self) -> Vec<u64> {
        self.incidents().await.iter().map(|incident| incident.number).collect()
    }
}

#[tokio::test]
async fn an_incident_goes_with_all_that_is_its_own_once_it_was_over_for_long_enough() {
    let app = App::keeping("{ resolved: 30d, deliveries: 5d }").await;
    let old = app.came_and_went("Old", 3).await;
    let log = app.entries(old.id).await;
    app.passes(DAY.times(8)).await;
    app.fires("Open", "warning").await;
    let open = app.newest().await;
    app.passes(DAY.times(16)).await;
    app.came_and_went("Young", 1).await;
    app.lets_go_of("deliveries", 3).await;
    assert_eq!(app.numbers().await, [3, 2, 1], "a month is not over");
    app.passes(DAY.times(7)).await;
    let kept = app.entries(open.id).await;
    app.lets_go_of("incidents", 1).await;
    app.lets_go_of("alerts", 3).await;
    assert_eq!(app.numbers().await, [3, 2]);
    assert_eq!(app.entries(open.id).await, kept, "an open incident's timeline is never touched");
    assert!(app.runtime.reads.timeline(old.id, 0, 10).await.expect("readable").is_empty());
    assert_eq!(app.went("entries"), log.len() as u64);
    app.assert_verified().await;
    // Numbers go on.
    app.fires("New", "warning").await;
    assert_eq!(app.newest().await.number, 4);
    app.assert_fold_is_state(app.newest().await.id).await;
}

#[tokio::test]
async fn what_is_more_than_a_slice_goes_slice_by_slice_and_a_crash_in_between_harms_nothing() {
    let mut app = App::keeping("{ resolved: 30d, deliveries: forever }").await;
    app.came_and_went("Storm", 1_300).await;
    app.came_and_went("After", 1).await;
    app.clock.turn(DAY.times(40));
    app.lets_go_of("incidents", 1).await;
    let slice = |app: &App| ["incidents", "entries", "alerts", "runs"].iter().map(|kind| app.went(kind)).sum::<u64>();
    assert!(slice(&app) % 500 == 0 && slice(&app) < 1_300, "{}: whole slices, and not all of them yet", slice(&app));
    assert_eq!(app.numbers().await, [2], "nobody meets half an incident");
    app.assert_verified().await;
    app.crashes().await;
    app.assert_verified().await;
    app.lets_go_of("alerts", 1_300).await;
    assert!(app.went("entries") > 0);
    app.assert_verified().await;
    app.fires("New", "warning").await;
    app.assert_fold_is_state(app.newest().await.id).await;
}

#[tokio::test]
async fn a_database_that_stumbles_over_it_lets_it_go_later() {
    for trouble in ["let go", "let go answered"] {
        let app = App::keeping("{ resolved: 30d }").await;
        app.came_and_went("Old", 3).await;
        app.came_and_went("After", 1).await;
        app.clock.turn(DAY.times(40));
        app.trouble.comes(&[trouble]);
        app.heals().await;
        app.fires("New", "warning").await;
        app.assert_fold_is_state(app.newest().await.id).await;
        while app.numbers().await.contains(&1) {
            app.clock.turn(Span::seconds(1));
            tokio::task::yield_now().await;
        }
        app.assert_verified().await;
    }
}

#[tokio::test]
async fn what_still_has_something_to_do_stays() {
    let app = App::keeping("{ resolved: 1d, deliveries: 1d }").await;
    let incident = app.fires("Flaps", "warning").await;
    app.puts(incident.id, "ana", Command::Resolve { note: String::new() }).await.expect("taken");
    app.came_and_went("After", 1).await;
    // Something that is due in a far year.
    app.is_tampered_with(&format!(
        "insert into jobs select 999, '{}', 'measure', 99999999999999, false, '{{\"kind\":\"measure\"}}'",
        incident.id
    ))
    .await;
    app.clock.turn(DAY.times(3));
    app.lets_go_of("deliveries", 2).await;
    assert_eq!(app.numbers().await, [2, 1]);
}

#[tokio::test]
async fn for_ever_is_for_ever() {
    let app = App::keeping("{ resolved: forever, deliveries: 0 }").await;
    app.came_and_went("Old", 1).await;
    app.came_and_went("After", 1).await;
    app.clock.turn(DAY.times(4_000));
    for _ in 0..200 {
        app.clock.turn(Span::minutes(10));
        tokio::task::yield_now().await;
        app.settles().await;
    }
    assert_eq!((app.numbers().await.len(), app.went("deliveries"), app.went("incidents")), (2, 0, 0));
}

#[tokio::test]
async fn a_delivery_that_is_not_worked_yet_stays_however_old_it_is() {
    let mut app = App::keeping("{ deliveries: 1d }").await;
    let mut poisoned = Vec::new();
    for name in ["One", "Two"] {
        app.trouble.comes(&["refused facts", "refused facts"]);
        let post = body(&[alert(name, "critical", "firing", 0)]).to_string().into_bytes();
        poisoned.push(app.runtime.deliver("am", post).await.expect("it is stored").delivery);
        app.heals().await;
    }
    app.is_tampered_with("insert into requests values ('old', 0)").await;
    app.clock.turn(DAY.times(40));
    app.lets_go_of("requests", 1).await;
    for delivery in poisoned {
        assert!(app.runtime.reads.delivery(delivery).await.expect("readable").is_some(), "whoever looks into it finds it");
    }
    app.crashes().await;
    assert_eq!(app.numbers().await, [2, 1], "and the next life works it");
    app.assert_verified().await;
}
