//! Who is told, when, and what stops it.

use reynard::domain::decide::command::Command;
use reynard::domain::incident::Status;
use reynard::domain::priority::Priority;
use reynard::domain::time::Span;
use reynard::engine::ports::ActionError;

use crate::app::{App, PEOPLE, alert, body};

async fn p1(app: &App) -> reynard::domain::incident::Incident {
    app.posts(&body(&[alert("ServiceDown", "critical", "firing", 0)])).await;
    app.newest().await
}

#[tokio::test]
async fn an_unanswered_p1_reaches_the_second_level() {
    let app = App::new().await;
    let incident = p1(&app).await;
    assert_eq!(app.sent().len(), 1);
    app.passes(Span::minutes(14)).await;
    assert_eq!(app.sent().len(), 1);
    app.passes(Span::minutes(1)).await;
    assert!(app.sent()[1].starts_with("bo: "), "{:?}", app.sent());
    assert_eq!(app.incident(incident.number).await.escalation.level, 2);
}

#[tokio::test]
async fn an_acknowledgement_stops_it_and_taking_it_back_starts_it_anew() {
    let app = App::new().await;
    let incident = p1(&app).await;
    app.puts(incident.id, "ana", Command::Acknowledge { note: String::new() }).await.expect("taken");
    app.passes(Span::hours(3)).await;
    assert_eq!(app.sent().len(), 1);
    app.puts(incident.id, "ana", Command::Unacknowledge).await.expect("taken");
    assert_eq!(app.sent().len(), 2);
    app.passes(Span::minutes(15)).await;
    assert_eq!(app.sent().len(), 3);
    let again = app.puts(incident.id, "bo", Command::Acknowledge { note: String::new() }).await;
    assert!(again.is_ok());
    let twice = app.puts(incident.id, "ana", Command::Acknowledge { note: String::new() }).await;
    assert_eq!(twice.expect_err("taken already").to_string(), "bo acknowledged it already");
    app.assert_fold_is_state(incident.id).await;
}

#[tokio::test]
async fn a_snooze_moves_it() {
    let app = App::new().await;
    let incident = p1(&app).await;
    app.puts(incident.id, "ana", Command::Snooze { span: Span::minutes(40) }).await.expect("taken");
    app.passes(Span::minutes(39)).await;
    assert_eq!(app.sent().len(), 1);
    app.passes(Span::minutes(1)).await;
    assert_eq!(app.sent().len(), 2);
}

#[tokio::test]
async fn after_downtime_it_catches_up_with_one_message_a_person() {
    let mut app = App::new().await;
    p1(&app).await;
    assert_eq!(app.sent().len(), 1);
    app.loops.take().expect("running").abort();
    app.clock.turn(Span::minutes(50));
    app.comes_back().await;
    let after: Vec<_> = app.sent()[1..].to_vec();
    assert_eq!(after.len(), 2, "ana and bo once each: {after:?}");
}

#[tokio::test]
async fn those_who_were_told_hear_that_it_is_over() {
    let app = App::new().await;
    p1(&app).await;
    app.ends("ServiceDown", "critical").await;
    app.passes(Span::minutes(1)).await;
    assert_eq!(app.sent().len(), 2);
    app.passes(Span::hours(24)).await;
    assert_eq!(app.sent().len(), 2);
}

#[tokio::test]
async fn an_incident_follows_the_first_policy_that_is_for_it_and_keeps_it() {
    let named = "
    payments: { match: [team=payments], P1: { respond_within: 5m, levels: [ { notify: [bo] } ] } }
    money: { match: ['team=~\"pay.*\"'], P1: { respond_within: 5m, levels: [ { notify: [ana] } ] } }
";
    let settings = crate::app::PEOPLE.replace("  policies:\n", &format!("  policies:{named}"));
    let app = App::with_settings(&settings, &[]).await;
    let mut payments = alert("ServiceDown", "critical", "firing", 0);
    payments["labels"]["team"] = "payments".into();
    app.posts(&body(&[payments])).await;
    let incident = app.newest().await;
    assert_eq!(incident.escalation.policy, "payments");
    assert!(app.sent()[0].starts_with("bo: "), "{:?}", app.sent());
    let mut others = body(&[alert("ServiceDown", "critical", "firing", 1)]);
    others["groupKey"] = "others".into();
    app.posts(&others).await;
    assert_eq!(app.newest().await.escalation.policy, "default");
    assert!(app.sent()[1].starts_with("ana: "), "{:?}", app.sent());
    // The team's label is not common to all its alerts any more; whose it is stays.
    app.posts(&body(&[alert("ServiceDown", "critical", "firing", 2)])).await;
    assert_eq!(app.incident(incident.number).await.escalation.policy, "payments");
    app.assert_fold_is_state(incident.id).await;
}

#[tokio::test]
async fn a_message_shows_the_alerts_that_fire_before_those_that_are_over() {
    let app = App::new().await;
    let all = |status: &str| (0..25).map(|instance| alert("ServiceDown", "critical", status, instance)).collect::<Vec<_>>();
    let incident = p1(&app).await;
    app.posts(&body(&all("firing"))).await;
    let over: Vec<_> = all("resolved").into_iter().take(22).collect();
    app.posts(&body(&over)).await;
    let state = app.runtime.reads.alerts(incident.id, 100).await.expect("readable");
    let mut whole = app.incident(incident.number).await;
    whole.alerts = state.into_iter().map(|row| (row.fingerprint, row.mark)).collect();
    let data = reynard::engine::brief::message_data(&whole, &app.runtime.rulebook(), "it opened", None);
    let firing: Vec<bool> = data["alerts"].as_array().expect("a list").iter().map(|alert| alert["firing"] == true).collect();
    assert_eq!((firing.len(), &firing[..4]), (20, &[true, true, true, false][..]));
}

#[tokio::test]
async fn a_lower_priority_after_a_snooze_does_not_wait_for_the_first_level_of_the_higher_one() {
    let settings = PEOPLE.replace(
        "P1: { respond_within: 15m, levels: [ { notify: [on-call], after: 0s }",
        "P2: { respond_within: 1h, levels: [ { notify: [bo], after: 0s } ] }\n      P1: { respond_within: 15m, levels: [ { notify: [on-call], after: 2m }",
    );
    let app = App::with_settings(&settings, &[]).await;
    let incident = p1(&app).await;
    app.puts(incident.id, "ana", Command::Snooze { span: Span::minutes(10) }).await.expect("taken");
    app.passes(Span::minutes(11)).await;
    assert_eq!(app.sent().len(), 0, "the snooze is over, and the first level of P1 comes after two minutes: {:?}", app.sent());
    app.puts(incident.id, "ana", Command::SetPriority { priority: Priority::P2, note: String::new() }).await.expect("taken");
    assert_eq!(app.sent().len(), 1, "the first level of P2 comes at once: {:?}", app.sent());
    app.passes(Span::minutes(5)).await;
    assert_eq!(app.sent().len(), 1, "once: {:?}", app.sent());
    app.assert_fold_is_state(incident.id).await;
}

fn acknowledge() -> Command {
    Command::Acknowledge { note: String::new() }
}

#[tokio::test]
async fn a_snooze_of_an_acknowledged_incident_brings_it_back_when_it_is_over() {
    let app = App::new().await;
    let incident = p1(&app).await;
    app.puts(incident.id, "ana", acknowledge()).await.expect("taken");
    app.puts(incident.id, "ana", Command::Snooze { span: Span::hours(1) }).await.expect("taken");
    app.passes(Span::minutes(59)).await;
    assert_eq!(app.sent().len(), 1);
    app.passes(Span::minutes(1)).await;
    let back = app.incident(incident.number).await;
    assert_eq!((back.status, app.sent().len()), (Status::Triggered, 2), "nobody said that it is done");
    assert!(app.sentences(incident.id).await.contains(&"It counts as not acknowledged any more".to_owned()));
    app.assert_fold_is_state(incident.id).await;
    // An acknowledgement ends a snooze for good.
    app.puts(incident.id, "ana", acknowledge()).await.expect("taken");
    app.puts(incident.id, "ana", Command::Snooze { span: Span::hours(1) }).await.expect("taken");
    app.puts(incident.id, "ana", acknowledge()).await.expect("taken");
    app.passes(Span::hours(2)).await;
    assert_eq!((app.incident(incident.number).await.status, app.sent().len()), (Status::Acknowledged, 2));
}

#[tokio::test]
async fn a_resolve_that_is_taken_back_leaves_it_as_it_was() {
    let app = App::new().await;
    let incident = p1(&app).await;
    app.puts(incident.id, "bo", acknowledge()).await.expect("taken");
    app.puts(incident.id, "ana", Command::Resolve { note: String::new() }).await.expect("taken");
    let told = app.sent().len();
    app.puts(incident.id, "ana", Command::Unresolve).await.expect("taken");
    app.passes(Span::hours(1)).await;
    let now = app.incident(incident.number).await;
    assert_eq!((now.status, now.acknowledged_by.as_deref(), app.sent().len()), (Status::Acknowledged, Some("bo"), told));
    app.assert_fold_is_state(incident.id).await;
    // Nobody was on that one, so somebody is told again.
    app.puts(incident.id, "ana", Command::Unacknowledge).await.expect("taken");
    app.puts(incident.id, "ana", Command::Resolve { note: String::new() }).await.expect("taken");
    let told = app.sent().len();
    app.puts(incident.id, "ana", Command::Unresolve).await.expect("taken");
    assert_eq!((app.incident(incident.number).await.status, app.sent().len()), (Status::Triggered, told + 1));
    app.assert_fold_is_state(incident.id).await;
}

#[tokio::test]
async fn what_is_shown_to_come_next_follows_a_lower_priority() {
    let plans = "      P2: { respond_within: 1h, levels: [ { notify: [on-call], after: 0s }, { notify: [bo], after: 2h } ] }\n";
    let app = App::with_settings(&format!("{}{plans}", crate::app::PEOPLE), &[]).await;
    let incident = p1(&app).await;
    let next = async || app.incident(incident.number).await.escalation.next_at;
    assert_eq!(next().await, Some(crate::app::START + Span::minutes(15)));
    app.puts(incident.id, "ana", Command::SetPriority { priority: Priority::P2, note: String::new() }).await.expect("taken");
    assert_eq!(next().await, Some(crate::app::START + Span::hours(2)));
    app.assert_fold_is_state(incident.id).await;
    app.passes(Span::hours(2)).await;
    assert!(app.sent()[1].starts_with("bo: "), "{:?}", app.sent());
    assert_eq!(app.sent().len(), 2);
}

#[tokio::test]
async fn a_page_about_failed_automation_goes_all_a_persons_ways_though_it_is_acknowledged() {
    let two_ways = crate::app::PEOPLE
        .replace(
            "ana@example.com, notify: [ { channel: email } ]",
            "ana@example.com, notify: [ { channel: email }, { channel: hook, after: 5m } ]",
        )
        .replace("channels:\n", "channels:\n  hook: { kind: webhook, url: 'http://localhost:9000/page' }\n");
    let playbook = "
title: Look
on: { type: service_down }
steps:
  - { id: pause, wait: 10m }
  - { id: look, action: http.check, target: orders-admin, with: { path: /health } }
";
    let app = App::with_settings(&two_ways, &[("look", playbook)]).await;
    app.answers("http.check", vec![Err(ActionError::Fatal("no".to_owned()))]);
    let incident = p1(&app).await;
    app.puts(incident.id, "ana", acknowledge()).await.expect("taken");
    app.passes(Span::minutes(9)).await;
    assert_eq!(app.sent().len(), 1, "the second way was not needed any more");
    app.passes(Span::minutes(1)).await;
    assert_eq!(app.sent().len(), 2, "it failed: {:?}", app.sentences(incident.id).await);
    app.passes(Span::minutes(5)).await;
    assert_eq!(app.sent().len(), 3, "and she is told the second way");
    app.assert_fold_is_state(incident.id).await;
}

#[tokio::test]
async fn a_plan_whose_first_level_comes_later_tells_it_then() {
    let later = PEOPLE.replace("notify: [on-call], after: 0s", "notify: [on-call], after: 5m");
    let mut app = App::with_settings(&later, &[]).await;
    let incident = p1(&app).await;
    app.passes(Span::minutes(4)).await;
    app.crashes().await;
    assert!(app.sent().is_empty(), "{:?}", app.sent());
    app.passes(Span::minutes(1)).await;
    assert_eq!(app.sent().len(), 1);
    app.passes(Span::minutes(10)).await;
    assert_eq!(app.incident(incident.number).await.escalation.level, 2);
    assert_eq!(app.sent().len(), 2);
    app.assert_fold_is_state(incident.id).await;
}

#[tokio::test]
async fn who_acknowledges_before_the_first_level_is_due_spares_it() {
    let later = PEOPLE.replace("notify: [on-call], after: 0s", "notify: [on-call], after: 5m");
    let app = App::with_settings(&later, &[]).await;
    let incident = p1(&app).await;
    app.puts(incident.id, "ana", Command::Acknowledge { note: String::new() }).await.expect("taken");
    app.passes(Span::hours(1)).await;
    assert!(app.sent().is_empty(), "{:?}", app.sent());
}

#[tokio::test]
async fn firing_again_as_something_worse_tells_one_rung() {
    let app = App::new().await;
    let incident = app.fires("Anything", "warning").await;
    app.puts(incident.id, "ana", Command::Resolve { note: String::new() }).await.expect("taken");
    app.passes(Span::minutes(1)).await;
    app.posts(&body(&[alert("Anything", "warning", "resolved", 0)])).await;
    app.passes(Span::minutes(1)).await;
    app.posts(&body(&[alert("Anything", "critical", "firing", 0)])).await;
    let rungs = app.kinds(incident.id).await.iter().filter(|kind| *kind == "escalated").count();
    assert_eq!(rungs, 2, "{:?}", app.sentences(incident.id).await);
}
