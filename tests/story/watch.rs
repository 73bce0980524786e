//! The self-watch: each thing that can be wrong with Reynard is broken by hand and seen, tells of itself once, and is over when it is
//! over; what is merely slow, waiting or held is no fault. Whatever automation cannot do pages a person.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use reynard::domain::decide::command::Command;
use reynard::domain::incident::{Incident, Status};
use reynard::domain::settings::Rulebook;
use reynard::domain::time::Span;
use reynard::domain::watch::Check;
use reynard::engine::ports::{ActionError, Heart};
use reynard::engine::shared::Hands;
use reynard::engine::watch::Watch;
use sqlx::{Connection, SqliteConnection};

use crate::app::{App, PEOPLE, START, alert, body};
use crate::web::Browser;

const ACT: &str = "
on: { type: service_down }
steps:
  - { id: restart, title: Restart orders, action: http.request, target: orders-admin, timeout: 1m, with: { method: POST, path: /restart } }
";

async fn looks(watch: &mut Watch) -> Vec<Check> {
    watch.look().await.into_iter().map(|fault| fault.check).collect()
}

/// The writer tries again by itself, a moment after a commit that failed.
async fn heals(app: &App) {
    app.clock.turn(Span::seconds(2));
    let healed = async {
        while !app.runtime.health().ready {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), healed).await.expect("commits go well again");
    app.settles().await;
}

/// Reynard's own incidents, newest first.
async fn own(app: &App) -> Vec<Incident> {
    app.incidents().await.into_iter().filter(|incident| incident.service == "reynard").collect()
}

#[tokio::test]
async fn what_waits_for_somebody_or_something_is_no_fault() {
    const WAITS: &str = "
on: { type: service_down }
steps:
  - parallel:
      - { id: ask, approval: { by: operator, expires: 6h }, action: http.request, target: orders-admin, with: { method: POST, path: /a } }
      - { id: pause, wait: 3h }
      - { id: doubt, action: http.request, target: orders-admin, with: { method: POST, path: /b } }
      - { id: again, action: postgres.pool_status, target: orders-db, retry: { attempts: 9, backoff: 30m } }
  - { id: protect, action: postgres.read_only, target: orders-db }
";
    let app = App::with(&[("waits", WAITS), ("act", ACT)]).await;
    app.answers("http.request", vec![Err(ActionError::Unknown("no answer".to_owned()))]);
    app.answers("postgres.pool_status", vec![Err(ActionError::Retry("not now".to_owned())); 3]);
    let mut watch = Watch::new(app.runtime.clone());
    app.fires("ServiceDown", "critical").await;
    for hour in 0..4 {
        for _ in 0..3 {
            assert_eq!(looks(&mut watch).await, [], "hour {hour}");
            app.passes(Span::minutes(20)).await;
        }
        if hour == 1 {
            app.runtime.hold("ana", "no", false).await.expect("held");
        }
    }
    assert_eq!(own(&app).await, []);
}

#[tokio::test]
async fn what_is_due_and_does_not_begin_is_told_once_and_is_over_when_it_begins() {
    let app = App::with(&[("act", ACT)]).await;
    let mut watch = Watch::new(app.runtime.clone());
    app.trouble.sure(false);
    app.hands_in(&body(&[alert("ServiceDown", "critical", "firing", 0)])).await;
    app.clock.turn(Span::minutes(1));
    assert_eq!(looks(&mut watch).await, [], "a minute is not late yet");
    for _ in 0..20 {
        app.clock.turn(Span::minutes(2));
        assert!(looks(&mut watch).await.contains(&Check::Timers));
    }
    let told = own(&app).await;
    assert_eq!(told.len(), 2, "one for timers, one for the attempt that never ends: {told:#?}");
    let ready = Browser::of(&app).page("/ready").await;
    assert!(ready.contains("\"watch\":{\"status\":\"degraded\"") && ready.contains("due and not begun"), "{ready}");
    app.trouble.sure(true);
    app.clock.turn(Span::seconds(1));
    app.settles().await;
    assert_eq!(looks(&mut watch).await, []);
    app.passes(Span::minutes(2)).await;
    assert!(own(&app).await.iter().all(|incident| incident.status == Status::Resolved));
    assert!(app.sent().iter().any(|sent| sent.starts_with("ana: ") && sent.contains("due and not begun")), "{:?}", app.sent());
}

#[tokio::test]
async fn an_attempt_whose_time_is_over_is_stuck() {
    let app = App::with(&[("act", ACT)]).await;
    let mut watch = Watch::new(app.runtime.clone());
    app.holds("http.request");
    app.hands_in(&body(&[alert("ServiceDown", "critical", "firing", 0)])).await;
    app.is_asked(1).await;
    app.clock.turn(Span::minutes(2));
    assert!(!looks(&mut watch).await.contains(&Check::Attempts), "its own minute and some grace");
    app.clock.turn(Span::minutes(2));
    assert!(looks(&mut watch).await.contains(&Check::Attempts));
    assert!(own(&app).await.iter().any(|incident| incident.kind.contains("stuck") || incident.title.contains("Restart orders")));
    app.lets_go("http.request");
    app.settles().await;
    assert_eq!(looks(&mut watch).await, []);
}

#[tokio::test]
async fn an_incident_with_neither_a_next_event_nor_a_person_is_adrift() {
    let app = App::new().await;
    let Some(file) = app.url().strip_prefix("sqlite://").map(str::to_owned) else { return };
    let mut watch = Watch::new(app.runtime.clone());
    let incident = app.fires("ServiceDown", "critical").await;
    let mut disk = SqliteConnection::connect(&format!("sqlite://{file}")).await.expect("the file");
    sqlx::query("delete from jobs").execute(&mut disk).await.expect("deleted");
    assert_eq!(looks(&mut watch).await, [], "it may have been on its way");
    app.clock.turn(Span::seconds(29));
    assert_eq!(looks(&mut watch).await, [], "for half a minute, however often it is looked at");
    app.clock.turn(Span::seconds(1));
    assert_eq!(looks(&mut watch).await, [Check::Incidents]);
    let told = own(&app).await;
    assert!(told.len() == 1 && told[0].title.contains("#1 has neither a next event nor a person"), "{told:#?}");
    app.puts(incident.id, "ana", Command::Acknowledge { note: String::new() }).await.expect("taken");
    assert_eq!(looks(&mut watch).await, [], "a person is at it");
    disk.close().await.expect("closed");
}

#[tokio::test]
async fn a_database_that_takes_no_commit_is_a_fault_until_it_does() {
    let app = App::new().await;
    let mut watch = Watch::new(app.runtime.clone());
    let incident = app.fires("ServiceDown", "critical").await;
    app.trouble.comes(&["commit"]);
    let comment = Command::Comment { text: "x".to_owned() };
    assert!(app.runtime.command(incident.id, reynard::domain::timeline::Actor::engine(), comment, None).await.is_err());
    assert_eq!(looks(&mut watch).await, [Check::Store]);
    heals(&app).await;
    assert_eq!(looks(&mut watch).await, []);
}

#[tokio::test]
async fn a_clock_far_behind_the_log_is_a_fault() {
    let app = App::new().await;
    let mut watch = Watch::new(app.runtime.clone());
    app.fires("ServiceDown", "critical").await;
    app.clock.set(START - Span::hours(5));
    assert_eq!(looks(&mut watch).await, [Check::Clock]);
    app.clock.set(START + Span::minutes(1));
    assert_eq!(looks(&mut watch).await, []);
}

const WATCHED: &str = "
sources:
  - { name: am, token: x, watchdog: { alertname: Watchdog, within: 10m } }
";

fn barks() -> serde_json::Value {
    body(&[alert("Watchdog", "none", "firing", 9)])
}

#[tokio::test]
async fn a_watchdog_opens_nothing_and_its_silence_pages_once_until_it_is_heard_again() {
    let app = App::with_settings(&format!("{PEOPLE}{WATCHED}"), &[]).await;
    let mut watch = Watch::new(app.runtime.clone());
    for _ in 0..12 {
        app.posts(&barks()).await;
        assert_eq!(looks(&mut watch).await, []);
        app.passes(Span::minutes(5)).await;
    }
    assert_eq!(app.incidents().await, [], "what always fires is no trouble");
    app.passes(Span::minutes(6)).await;
    // An hour of looks: one incident, which brings about no other.
    for _ in 0..120 {
        assert_eq!(looks(&mut watch).await, [Check::Watchdog]);
        app.passes(Span::seconds(30)).await;
    }
    let told = own(&app).await;
    assert_eq!(told.len(), 1, "{told:#?}");
    assert!(told[0].labels["source"] == "am" && told[0].title.contains("Watchdog of source am"), "{told:#?}");
    assert!(app.sent()[0].starts_with("ana: [P2 #1] Watchdog of source am"), "it pages: {:?}", app.sent());
    app.posts(&barks()).await;
    assert_eq!(looks(&mut watch).await, []);
    app.passes(Span::minutes(2)).await;
    assert_eq!(own(&app).await[0].status, Status::Resolved);
    app.assert_fold_is_state(told[0].id).await;
}

#[tokio::test]
async fn a_new_life_ends_what_the_one_before_told_of() {
    let mut app = App::with_settings(&format!("{PEOPLE}{WATCHED}"), &[]).await;
    let mut watch = Watch::new(app.runtime.clone());
    assert_eq!(looks(&mut watch).await, []);
    app.passes(Span::minutes(11)).await;
    assert_eq!(looks(&mut watch).await, [Check::Watchdog]);
    app.settles().await;
    drop(watch);
    app.crashes().await;
    let mut watch = Watch::new(app.runtime.clone());
    assert_eq!(looks(&mut watch).await, [], "it may bark for ten minutes from the start on");
    app.passes(Span::minutes(2)).await;
    assert_eq!(own(&app).await.iter().map(|incident| incident.status).collect::<Vec<_>>(), [Status::Resolved]);
}

#[derive(Default)]
struct Beats(AtomicUsize);

#[async_trait]
impl Heart for Beats {
    async fn beat(&self) -> Result<(), String> {
        self.0.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
}

#[tokio::test]
async fn somebody_outside_hears_every_minute_that_all_is_well_and_nothing_otherwise() {
    let app = App::with_settings(&format!("{PEOPLE}{WATCHED}"), &[]).await;
    let beats = Arc::new(Beats::default());
    let hands = Hands { heart: Some(beats.clone()), ..app.hands() };
    app.runtime.reload(Rulebook::clone(&app.runtime.rulebook()), hands);
    let mut watch = Watch::new(app.runtime.clone());
    for _ in 0..10 {
        assert_eq!(looks(&mut watch).await, []);
        app.passes(Span::seconds(30)).await;
    }
    assert_eq!(beats.0.load(Ordering::SeqCst), 5, "every minute, not at every look");
    app.trouble.comes(&["commit"]);
    assert_eq!(looks(&mut watch).await, [Check::Store], "a disk that takes nothing is found before it is said that all is well");
    heals(&app).await;
    app.passes(Span::minutes(11)).await;
    let before = beats.0.load(Ordering::SeqCst);
    for _ in 0..10 {
        assert_eq!(looks(&mut watch).await, [Check::Watchdog]);
        app.passes(Span::seconds(30)).await;
    }
    assert_eq!(beats.0.load(Ordering::SeqCst), before, "red is silent");
    app.runtime.stands_by("b:5001");
    assert_eq!(looks(&mut watch).await, []);
    assert_eq!(beats.0.load(Ordering::SeqCst), before, "whoever stands by says nothing");
}

/// Whatever a playbook does, how often level 1 is told out of turn because of it.
async fn pages(steps: &str, prepare: impl Fn(&App)) -> Vec<String> {
    let playbook = format!("on: {{ type: service_down }}\nlimits: {{ per_target: 1 per 1h }}\nsteps:\n{steps}");
    let app = App::with(&[("x", playbook.as_str())]).await;
    prepare(&app);
    let incident = app.fires("ServiceDown", "critical").await;
    app.puts(incident.id, "bo", Command::Acknowledge { note: String::new() }).await.expect("taken");
    app.passes(Span::minutes(10)).await;
    let told = app.sentences(incident.id).await;
    told.into_iter().filter(|said| said.starts_with("Level 1: telling ana by email: ") && !said.contains("it opened")).collect()
}

#[tokio::test]
async fn automation_that_fails_stalls_or_is_refused_pages_level_one() {
    let post = "  - { id: a, title: Do it, action: http.request, target: orders-admin, with: { method: POST, path: /x } }\n";
    let error = |error: fn(String) -> ActionError| move |app: &App| app.answers("http.request", vec![Err(error("no".to_owned()))]);
    let fine = |_: &App| {};
    let asks = "  - { id: a, title: Do it, approval: { by: operator, expires: 5m }, action: http.request, target: orders-admin, with: { method: POST, path: /x } }\n";
    let twice = format!("{post}{}", post.replace("id: a", "id: b"));
    let hole = "  - { id: a, title: Do it, action: note, with: { text: '{{ labels.nothing_of_that_name }}' } }\n";
    for (what, told) in [
        ("fails for good", pages(post, error(ActionError::Fatal)).await),
        ("fails on every try", pages(post, error(ActionError::Retry)).await),
        ("is refused by the settings", pages(post, error(ActionError::Barred)).await),
        ("is in doubt", pages(post, error(ActionError::Unknown)).await),
        ("waits for a yes", pages(asks, fine).await),
        ("meets a limit", pages(&twice, fine).await),
        ("cannot fill a hole", pages(hole, fine).await),
    ] {
        assert!(!told.is_empty(), "a step that {what} pages level 1");
    }
    let calm = pages(post, fine).await;
    assert!(calm.is_empty(), "what goes well pages nobody more: {calm:?}");
}
