//! Two things at once, in the wrong order, or much later than anybody meant.

use reynard::domain::decide::command::Command;
use reynard::domain::incident::{NotificationStatus, Status};
use reynard::domain::priority::Priority;
use reynard::domain::run::{RunStatus, StepStatus};
use reynard::domain::time::Span;
use reynard::domain::timeline::Actor;
use reynard::engine::ports::{ActionError, Delivered};
use serde_json::json;

use crate::app::{App, PEOPLE, START, alert, body};

const PROTECT: &str = "
title: Protect the database
on: { type: service_down }
steps:
  - { id: protect, title: Make orders read-only, action: postgres.read_only, target: orders-db, undo: on_resolve }
  - { id: look, action: postgres.pool_status, target: orders-db }
";

const RESTART: &str = "
title: Look and restart
on: { type: service_down }
steps:
  - { id: look, action: postgres.pool_status, target: orders-db }
  - { id: restart, action: http.request, target: orders-admin, with: { method: POST, path: /restart } }
";

#[tokio::test]
async fn a_priority_that_is_lowered_does_not_end_the_ladder() {
    let policy = "
      P2: { respond_within: 1h, levels: [ { notify: [on-call], after: 0s }, { notify: [bo], after: 2h } ] }
";
    let app = App::with_settings(&format!("{PEOPLE}{}", policy.trim_start_matches('\n')), &[]).await;
    let incident = app.fires("ServiceDown", "critical").await;
    assert_eq!(incident.priority, Priority::P1);
    app.puts(incident.id, "ana", Command::SetPriority { priority: Priority::P2, note: String::new() }).await.expect("taken");
    app.passes(Span::hours(3)).await;
    assert!(app.sent().iter().any(|sent| sent.starts_with("bo: ")), "{:?}", app.sentences(incident.id).await);
}

#[tokio::test]
async fn a_clock_that_is_set_back_holds_nothing_up() {
    let app = App::with(&[("protect", PROTECT)]).await;
    app.fires("Anything", "critical").await;
    app.clock.set(START - Span::hours(5));
    app.fires("ServiceDown", "critical").await;
    assert_eq!(app.calls().len(), 2, "{:?}", app.calls());
    assert_eq!(app.sent().len(), 2);
}

#[tokio::test]
async fn live_pages_hear_of_every_incident_of_a_commit_in_the_order_of_the_log() {
    let app = App::new().await;
    let first = app.fires("A", "critical").await;
    app.clock.turn(Span(5));
    let second = app.fires("B", "critical").await;
    assert_ne!(first.id, second.id);
    let mut changes = app.runtime.changes();
    let say = |id, text: &str| app.runtime.command(id, Actor::Person("ana".to_owned()), Command::Comment { text: text.to_owned() }, None);
    // Both wait for the writer before it looks: one commit.
    let (one, two) = tokio::join!(say(second.id, "newer"), say(first.id, "older"));
    one.and(two).expect("taken");
    let positions = [changes.recv().await.expect("told").position, changes.recv().await.expect("told").position];
    assert!(positions[0] < positions[1], "{positions:?}");
}

#[tokio::test]
async fn a_step_that_a_shutdown_found_not_begun_is_done_after_the_start() {
    let mut app = App::with(&[("restart", RESTART)]).await;
    app.holds("postgres.pool_status");
    app.hands_in(&body(&[alert("ServiceDown", "critical", "firing", 0)])).await;
    app.is_asked(1).await;
    let loops = app.loops.take().expect("running");
    let stopping = loops.stop(app.runtime.clone(), Span::seconds(20));
    let ending = async {
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        app.lets_go("postgres.pool_status");
    };
    tokio::join!(stopping, ending);
    app.comes_back().await;
    let run = app.newest().await.runs.into_values().next().expect("a run");
    assert_eq!((run.status, run.steps["restart"].status), (RunStatus::Succeeded, StepStatus::Succeeded), "{:?}", app.calls());
}

#[tokio::test]
async fn a_step_that_a_shutdown_found_not_begun_is_not_begun_twice_when_the_next_life_ends_amid_it() {
    let mut app = App::with(&[("restart", RESTART)]).await;
    app.holds("postgres.pool_status");
    app.holds("http.request");
    app.hands_in(&body(&[alert("ServiceDown", "critical", "firing", 0)])).await;
    app.is_asked(1).await;
    let loops = app.loops.take().expect("running");
    let stopping = loops.stop(app.runtime.clone(), Span::seconds(20));
    let ending = async {
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        app.lets_go("postgres.pool_status");
    };
    tokio::join!(stopping, ending);
    app.comes_back_for(i64::MAX).await;
    app.is_asked(2).await;
    app.loops.take().expect("running").abort();
    app.lets_go("http.request");
    app.comes_back().await;
    let run = app.newest().await.runs.into_values().next().expect("a run");
    assert_eq!(run.steps["restart"].status, StepStatus::InDoubt, "{:?}", app.calls());
    assert_eq!(app.calls().len(), 2, "whoever asks is not asked twice: {:?}", app.calls());
}

#[tokio::test]
async fn what_succeeds_after_its_run_was_cancelled_is_told_and_taken_back() {
    let app = App::with(&[("protect", PROTECT)]).await;
    app.holds("postgres.read_only");
    app.hands_in(&body(&[alert("ServiceDown", "critical", "firing", 0)])).await;
    app.is_asked(1).await;
    let incident = app.newest().await;
    let run = incident.runs.values().next().expect("a run").id;
    let cancel = Command::CancelRun { run, note: String::new() };
    app.runtime.command(incident.id, Actor::Person("ana".to_owned()), cancel, None).await.expect("taken");
    app.lets_go("postgres.read_only");
    app.settles().await;
    let state = app.newest().await.runs[&run].clone();
    assert_eq!((state.status, state.steps["protect"].status), (RunStatus::Cancelled, StepStatus::Succeeded));
    app.ends("ServiceDown", "critical").await;
    app.passes(Span::minutes(1)).await;
    assert_eq!(app.calls().last().map(String::as_str), Some("undo postgres.read_only orders-db #1"));
    app.assert_fold_is_state(incident.id).await;
}

#[tokio::test]
async fn a_run_that_the_end_of_its_incident_left_running_does_not_go_on_when_it_fires_again() {
    let app = App::with(&[("restart", RESTART)]).await;
    app.holds("postgres.pool_status");
    app.hands_in(&body(&[alert("ServiceDown", "critical", "firing", 0)])).await;
    app.is_asked(1).await;
    let incident = app.newest().await;
    app.runtime.command(incident.id, Actor::Person("ana".to_owned()), Command::Resolve { note: String::new() }, None).await.expect("taken");
    app.clock.turn(Span::minutes(1));
    app.hands_in(&body(&[alert("ServiceDown", "critical", "resolved", 0)])).await;
    app.clock.turn(Span::minutes(1));
    app.hands_in(&body(&[alert("ServiceDown", "critical", "firing", 0)])).await;
    app.is_asked(2).await;
    app.lets_go("postgres.pool_status");
    app.settles().await;
    let restarts = app.calls().iter().filter(|call| call.starts_with("http.request")).count();
    assert_eq!(restarts, 1, "{:?}", app.sentences(incident.id).await);
}

#[tokio::test]
async fn an_undo_that_is_tried_again_does_not_take_back_what_was_done_anew() {
    let app = App::with(&[("protect", PROTECT)]).await;
    app.answers("undo postgres.read_only", vec![Err(ActionError::Retry("busy".to_owned()))]);
    app.fires("ServiceDown", "critical").await;
    app.ends("ServiceDown", "critical").await;
    app.passes(Span::seconds(30)).await;
    assert_eq!(app.newest().await.status, Status::Resolved);
    app.passes(Span::seconds(2)).await;
    app.clock.turn(Span(500));
    let mut again = alert("ServiceDown", "critical", "firing", 0);
    again["startsAt"] = json!("2026-09-21T14:20:00Z");
    app.posts(&body(&[again])).await;
    app.passes(Span::minutes(10)).await;
    let calls = app.calls();
    let last = calls.iter().rfind(|call| call.contains("read_only")).expect("a call");
    assert_eq!(last, "postgres.read_only orders-db #1", "{calls:?}");
}

#[tokio::test]
async fn what_a_crash_cut_off_is_taken_back_when_the_incident_has_ended_meanwhile() {
    let mut app = App::with(&[("protect", PROTECT)]).await;
    app.holds("postgres.read_only");
    app.hands_in(&body(&[alert("ServiceDown", "critical", "firing", 0)])).await;
    app.is_asked(1).await;
    let incident = app.newest().await;
    app.runtime.command(incident.id, Actor::Person("ana".to_owned()), Command::Resolve { note: String::new() }, None).await.expect("taken");
    // It did make the database read-only; nobody heard of it.
    app.lets_go("postgres.read_only");
    app.crashes().await;
    app.passes(Span::minutes(10)).await;
    assert_eq!(
        app.calls().last().map(String::as_str),
        Some("undo postgres.read_only orders-db #1"),
        "{:?}",
        app.sentences(incident.id).await
    );
}

#[tokio::test]
async fn a_later_way_of_being_told_carries_the_same_words() {
    let settings = PEOPLE.replace(
        "bo: { email: bo@example.com, notify: [ { channel: email } ] }",
        "bo: { email: bo@example.com, notify: [ { channel: email, after: 5m } ] }",
    );
    let tell = "
title: Tell
on: { type: service_down }
steps:
  - { id: tell, action: notify, with: { to: [bo], text: 'orders is read-only' } }
";
    let app = App::with_settings(&settings, &[("tell", tell)]).await;
    let incident = app.fires("ServiceDown", "critical").await;
    app.passes(Span::minutes(5)).await;
    let told = app.incident(incident.number).await.notifications.into_values().find(|n| n.person.as_deref() == Some("bo"));
    assert_eq!(told.expect("bo is told").text.as_deref(), Some("orders is read-only"));
}

#[tokio::test]
async fn a_step_that_can_tell_nobody_has_failed() {
    let tell = "
title: Tell
on: { type: service_down }
steps:
  - { id: tell, action: notify, with: { to: ['{{ labels.team }}'], text: 'orders is down' } }
";
    let app = App::with(&[("tell", tell)]).await;
    let mut stray = alert("ServiceDown", "critical", "firing", 0);
    stray["labels"]["team"] = json!("nobody-here");
    app.posts(&body(&[stray])).await;
    let run = app.newest().await.runs.into_values().next().expect("a run");
    assert_eq!(run.steps["tell"].status, StepStatus::Failed);
}

#[tokio::test]
async fn a_pause_of_no_known_length_has_failed() {
    let pause = "
title: Pause
on: { type: service_down }
steps:
  - { id: pause, wait: '{{ labels.pause }}' }
";
    let app = App::with(&[("pause", pause)]).await;
    let mut odd = alert("ServiceDown", "critical", "firing", 0);
    odd["labels"]["pause"] = json!("a while");
    app.posts(&body(&[odd])).await;
    let run = app.newest().await.runs.into_values().next().expect("a run");
    assert_eq!(run.steps["pause"].status, StepStatus::Failed);
}

#[tokio::test]
async fn a_late_end_of_an_earlier_firing_does_not_end_the_one_that_goes_on() {
    let app = App::new().await;
    app.fires("A", "critical").await;
    // Its end and its new beginning reach us as one: it fires with a later start.
    let mut anew = alert("A", "critical", "firing", 0);
    anew["startsAt"] = json!("2026-09-21T14:05:00Z");
    app.posts(&body(&[anew])).await;
    let mut late = alert("A", "critical", "resolved", 0);
    late["endsAt"] = json!("2026-09-21T14:04:00Z");
    app.posts(&body(&[late])).await;
    app.passes(Span::minutes(5)).await;
    assert_eq!(app.newest().await.status, Status::Triggered);
}

#[tokio::test]
async fn an_end_counts_though_the_sender_moved_the_start_back() {
    let app = App::new().await;
    app.fires("A", "critical").await;
    let mut over = alert("A", "critical", "resolved", 0);
    over["startsAt"] = json!("2026-09-21T13:59:55Z");
    app.posts(&body(&[over])).await;
    app.passes(Span::minutes(5)).await;
    assert_eq!(app.newest().await.status, Status::Resolved);
}

#[tokio::test]
async fn silence_is_said_also_after_it_was_reopened() {
    let app = App::new().await;
    let incident = app.fires("A", "critical").await;
    app.passes(Span::hours(11)).await;
    app.fires("A", "critical").await;
    app.passes(Span::minutes(715)).await;
    app.ends("A", "critical").await;
    app.passes(Span::minutes(20)).await;
    assert_eq!(app.newest().await.status, Status::Resolved);
    // The watch over silence rang while it was resolved.
    app.fires("A", "critical").await;
    assert_eq!(app.incidents().await.len(), 1);
    app.passes(Span::hours(30)).await;
    let silent = app.sentences(incident.id).await.iter().filter(|sentence| sentence.starts_with("No news")).count();
    assert_eq!(silent, 2, "{:?}", app.sentences(incident.id).await);
}

#[tokio::test]
async fn an_incident_keeps_its_labels_when_only_the_number_left_out_changes() {
    let app = App::new().await;
    app.fires("A", "warning").await;
    let mut ended = body(&[alert("A", "warning", "resolved", 0)]);
    ended["truncatedAlerts"] = json!(4);
    app.posts(&ended).await;
    ended["truncatedAlerts"] = json!(3);
    app.posts(&ended).await;
    assert_eq!(app.newest().await.labels.get("alertname").map(String::as_str), Some("A"));
}

#[tokio::test]
async fn a_title_is_never_longer_than_a_line() {
    let app = App::new().await;
    let mut huge = alert("A", "critical", "firing", 0);
    huge["labels"]["alertname"] = json!("x".repeat(60_000));
    huge["annotations"] = json!({});
    app.posts(&body(&[huge])).await;
    assert!(app.newest().await.title.chars().count() <= 200);
    let mut lines = alert("B", "critical", "firing", 0);
    lines["annotations"]["summary"] = json!("orders down\n2026-11-24T03:12:00Z INFO all is \u{1b}[32mwell");
    app.posts(&body(&[lines])).await;
    assert_eq!(app.newest().await.title, "orders down 2026-11-24T03:12:00Z INFO all is [32mwell");
}

#[tokio::test]
async fn an_answer_that_comes_twice_counts_once() {
    let app = App::new().await;
    let later = Delivered::Again { reason: "busy".to_owned(), after: Some(std::time::Duration::from_secs(60)) };
    app.world.replies.lock().expect("no panics").push_back(later);
    app.trouble.comes(&["good commit", "good commit", "good commit", "commit answered"]);
    let post = body(&[alert("Anything", "critical", "firing", 0)]).to_string().into_bytes();
    app.runtime.deliver("am", post).await.expect("it is stored");
    app.heals().await;
    app.passes(Span::minutes(5)).await;
    assert_eq!(app.sent().len(), 1, "{:?}", app.sentences(app.newest().await.id).await);
    let said = app.kinds(app.newest().await.id).await.into_iter().filter(|kind| kind == "notification_failed").count();
    assert_eq!(said, 1);
}

#[tokio::test]
async fn what_a_commit_asked_for_is_done_though_its_answer_was_lost() {
    let app = App::with(&[("protect", PROTECT)]).await;
    app.trouble.comes(&["good commit", "good commit", "commit answered"]);
    app.hands_in(&body(&[alert("ServiceDown", "critical", "firing", 0)])).await;
    app.heals().await;
    assert_eq!(app.sent().len(), 1);
    assert_eq!(app.calls(), ["postgres.read_only orders-db #1", "postgres.pool_status orders-db #1"]);
    let run = app.newest().await.runs.into_values().next().expect("a run");
    assert_eq!(run.status, RunStatus::Succeeded);
}

#[tokio::test]
async fn a_mistake_in_an_action_or_a_channel_leaves_nothing_behind() {
    let app = App::with(&[("restart", RESTART)]).await;
    app.world.broken.lock().expect("no panics").extend(["http.request".to_owned(), "email".to_owned()]);
    app.fires("ServiceDown", "critical").await;
    app.passes(Span::minutes(1)).await;
    let incident = app.newest().await;
    assert_eq!(incident.runs.values().next().expect("a run").steps["restart"].status, StepStatus::InDoubt);
    assert!(incident.notifications.values().all(|told| told.status == NotificationStatus::Sent), "{:?}", incident.notifications);
    assert!(!app.sent().is_empty());
}

#[tokio::test]
async fn a_writer_that_fell_over_says_that_it_is_not_ready() {
    let app = App::new().await;
    app.trouble.comes(&["commit falls over"]);
    let post = body(&[alert("A", "critical", "firing", 0)]).to_string().into_bytes();
    assert!(app.runtime.deliver("am", post).await.is_err());
    let told = async {
        while app.runtime.health().ready {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), told).await.expect("it says so");
}

#[tokio::test]
async fn what_may_be_in_force_though_it_failed_is_taken_back() {
    let app = App::with(&[("protect", PROTECT)]).await;
    app.answers("postgres.read_only", vec![Err(ActionError::Unknown("2 sessions did not end in time".to_owned()))]);
    app.fires("ServiceDown", "critical").await;
    app.passes(Span::minutes(1)).await;
    assert_eq!(app.calls(), ["postgres.read_only orders-db #1", "undo postgres.read_only orders-db #1"]);
    let run = app.newest().await.runs.into_values().next().expect("a run");
    assert_eq!((run.status, run.steps["protect"].status), (RunStatus::Failed, StepStatus::Undone));
}

const PATIENT: &str = "
title: Patient
on: { type: service_down }
steps:
  - { id: protect, action: postgres.read_only, target: orders-db, undo: on_resolve, retry: { attempts: 2, backoff: 10m } }
";

#[tokio::test]
async fn what_may_be_in_force_is_taken_back_though_its_second_try_never_comes() {
    let app = App::with(&[("patient", PATIENT)]).await;
    app.answers("postgres.read_only", vec![Err(ActionError::Unknown("the answer was lost".to_owned()))]);
    let incident = app.fires("ServiceDown", "critical").await;
    let run = incident.runs.values().next().expect("a run").id;
    app.puts(incident.id, "ana", Command::CancelRun { run, note: String::new() }).await.expect("taken");
    app.puts(incident.id, "ana", Command::Resolve { note: String::new() }).await.expect("taken");
    assert_eq!(app.calls().last().map(String::as_str), Some("undo postgres.read_only orders-db #1"));
    assert_eq!(app.newest().await.runs[&run].steps["protect"].status, StepStatus::Undone);
    app.assert_fold_is_state(incident.id).await;
}

#[tokio::test]
async fn what_may_be_in_force_is_taken_back_though_its_last_try_surely_did_nothing() {
    let app = App::with(&[("patient", PATIENT)]).await;
    let answers = vec![Err(ActionError::Unknown("the answer was lost".to_owned())), Err(ActionError::Retry("busy".to_owned()))];
    app.answers("postgres.read_only", answers);
    let incident = app.fires("ServiceDown", "critical").await;
    app.passes(Span::minutes(11)).await;
    assert_eq!(app.calls().last().map(String::as_str), Some("undo postgres.read_only orders-db #1"), "{:?}", app.calls());
    app.assert_fold_is_state(incident.id).await;
}
