//! What deliveries do: open, repeat, settle, reopen, mix, come late.

use reynard::domain::decide::command::Command;
use reynard::domain::incident::Status;
use reynard::domain::priority::Priority;
use reynard::domain::time::Span;
use reynard::engine::ports::ActionError;
use serde_json::json;

use crate::app::{App, alert, body};

#[tokio::test]
async fn an_alert_becomes_an_incident_that_is_classified_and_told() {
    let app = App::new().await;
    let incident = app.fires("Anything", "critical").await;
    assert_eq!((incident.number, incident.priority, incident.status), (1, Priority::P2, Status::Triggered));
    let kinds = app.kinds(incident.id).await;
    assert_eq!(kinds, ["opened", "alert_fired", "classified", "escalated", "notification_queued", "notification_sent"]);
    assert_eq!(app.sent().len(), 1);
    app.assert_fold_is_state(incident.id).await;
}

#[tokio::test]
async fn a_repeat_changes_nothing_on_the_timeline() {
    let app = App::new().await;
    let incident = app.fires("Anything", "critical").await;
    let before = app.kinds(incident.id).await;
    for _ in 0..3 {
        app.fires("Anything", "critical").await;
    }
    assert_eq!(app.kinds(incident.id).await, before);
    assert_eq!(app.incidents().await.len(), 1);
}

#[tokio::test]
async fn all_resolved_settles_and_firing_again_soon_reopens() {
    let app = App::new().await;
    let incident = app.fires("Anything", "critical").await;
    app.ends("Anything", "critical").await;
    assert_eq!(app.newest().await.status, Status::Triggered, "it settles first");
    app.passes(Span::seconds(30)).await;
    assert_eq!(app.newest().await.status, Status::Resolved);
    app.passes(Span::minutes(10)).await;
    app.fires("Anything", "critical").await;
    assert_eq!(app.incidents().await.len(), 1);
    assert!(app.kinds(incident.id).await.contains(&"reopened".to_owned()));
    app.ends("Anything", "critical").await;
    app.passes(Span::hours(1)).await;
    app.fires("Anything", "critical").await;
    assert_eq!(app.incidents().await.len(), 2, "later it is a new one");
    app.assert_fold_is_state(incident.id).await;
}

#[tokio::test]
async fn a_smaller_group_does_not_resolve_and_a_mixed_body_is_read_alert_by_alert() {
    let app = App::new().await;
    app.posts(&body(&[alert("A", "warning", "firing", 1), alert("A", "warning", "firing", 2), alert("A", "warning", "firing", 3)])).await;
    app.posts(&body(&[alert("A", "warning", "firing", 1)])).await;
    assert_eq!(app.newest().await.counts.firing, 3);
    app.posts(&body(&[alert("A", "warning", "resolved", 1), alert("A", "warning", "firing", 2)])).await;
    let counts = app.newest().await.counts;
    assert_eq!((counts.firing, counts.resolved), (2, 1));
}

#[tokio::test]
async fn truncated_bodies_never_close() {
    let app = App::new().await;
    app.fires("A", "warning").await;
    let mut ended = body(&[alert("A", "warning", "resolved", 0)]);
    ended["truncatedAlerts"] = json!(4);
    app.posts(&ended).await;
    app.passes(Span::minutes(5)).await;
    assert_eq!(app.newest().await.status, Status::Triggered);
}

#[tokio::test]
async fn a_resolve_that_nobody_knows_opens_nothing() {
    let app = App::new().await;
    app.ends("A", "critical").await;
    assert!(app.incidents().await.is_empty());
}

#[tokio::test]
async fn the_lagging_twin_of_a_pair_does_not_fire_it_again() {
    let app = App::new().await;
    app.fires("A", "critical").await;
    app.ends("A", "critical").await;
    app.passes(Span::seconds(3)).await;
    app.fires("A", "critical").await;
    app.passes(Span::minutes(1)).await;
    assert_eq!(app.newest().await.status, Status::Resolved);
}

#[tokio::test]
async fn a_signal_in_an_annotation_decides_the_priority_and_it_rises_by_itself_but_never_falls() {
    let app = App::new().await;
    let with = |rate: &str, instance: u32| {
        let mut alert = alert("HighErrorRate", "warning", "firing", instance);
        alert["annotations"]["error_rate"] = json!(rate);
        body(&[alert])
    };
    app.posts(&with("0.2", 1)).await;
    assert_eq!(app.newest().await.priority, Priority::P2);
    app.posts(&with("0.7", 2)).await;
    let incident = app.newest().await;
    assert_eq!(incident.priority, Priority::P1);
    app.posts(&with("0.01", 3)).await;
    assert_eq!(app.newest().await.priority, Priority::P1);
    assert!(app.kinds(incident.id).await.contains(&"priority_changed".to_owned()));
}

#[tokio::test]
async fn a_group_is_as_bad_as_the_worst_alert_that_fires() {
    let app = App::new().await;
    app.posts(&body(&[alert("A", "warning", "firing", 1), alert("A", "critical", "firing", 2), alert("A", "info", "firing", 3)])).await;
    let incident = app.newest().await;
    let known = incident.classification.clone().expect("classified");
    assert_eq!((incident.priority, known.rule.as_str()), (Priority::P2, "critical"));
    assert!(known.reason.ends_with("(firing.severity is \"critical\" and \"info\" and \"warning\")"), "{}", known.reason);
    assert!(!incident.labels.contains_key("severity"), "no severity is common to all");
}

#[tokio::test]
async fn one_that_fires_worse_than_the_others_raises_the_priority() {
    let app = App::new().await;
    app.posts(&body(&[alert("A", "warning", "firing", 1)])).await;
    assert_eq!(app.newest().await.priority, Priority::P3);
    app.posts(&body(&[alert("A", "critical", "firing", 2)])).await;
    assert_eq!(app.newest().await.priority, Priority::P2);
    app.posts(&body(&[alert("A", "critical", "resolved", 2), alert("A", "info", "firing", 3)])).await;
    let incident = app.newest().await;
    assert_eq!((incident.priority, incident.counts.firing), (Priority::P2, 2), "it never falls by itself");
}

#[tokio::test]
async fn what_no_longer_fires_says_nothing_of_those_that_come_later() {
    let app = App::new().await;
    app.posts(&body(&[alert("A", "info", "firing", 1), alert("A", "critical", "resolved", 2)])).await;
    assert_eq!(app.newest().await.priority, Priority::P4);
}

#[tokio::test]
async fn an_incident_that_is_classified_again_is_counted_once() {
    let app = App::new().await;
    let with = |rate: &str, instance: u32| {
        let mut alert = alert("HighErrorRate", "warning", "firing", instance);
        alert["annotations"]["error_rate"] = json!(rate);
        body(&[alert])
    };
    app.posts(&with("0.2", 1)).await;
    app.posts(&with("0.7", 2)).await;
    assert_eq!(app.newest().await.priority, Priority::P1);
    let counted = app.world.metrics.text().expect("text");
    let counted: Vec<_> = counted.lines().filter(|line| line.starts_with("reynard_incidents_total{")).collect();
    assert_eq!(counted, ["reynard_incidents_total{priority=\"P2\",type=\"high_error_rate\"} 1"]);
}

#[tokio::test]
async fn a_persons_choice_of_priority_stays() {
    let app = App::new().await;
    let incident = app.fires("A", "warning").await;
    app.puts(incident.id, "ana", Command::SetPriority { priority: Priority::P4, note: String::new() }).await.expect("taken");
    app.posts(&body(&[alert("A", "critical", "firing", 0), alert("A", "critical", "firing", 9)])).await;
    assert_eq!(app.newest().await.priority, Priority::P4);
}

#[tokio::test]
async fn silence_is_said_and_never_closes() {
    let app = App::new().await;
    let incident = app.fires("A", "warning").await;
    app.passes(Span::hours(13)).await;
    assert!(app.sentences(incident.id).await.iter().any(|sentence| sentence.starts_with("No news from am")));
    assert_ne!(app.newest().await.status, Status::Resolved);
}

#[tokio::test]
async fn a_thousand_alerts_are_one_incident_and_one_message() {
    let app = App::new().await;
    let alerts: Vec<_> = (0..1_000).map(|instance| alert("Storm", "critical", "firing", instance)).collect();
    app.posts(&body(&alerts)).await;
    assert_eq!((app.newest().await.counts.firing, app.sent().len()), (1_000, 1));
}

#[tokio::test]
async fn a_signal_that_nobody_could_tell_is_asked_for_again_at_the_next_delivery() {
    let signals = "\nsignals: { error_rate: { prometheus: { target: prom, query: 'sum(errors)' } } }\n";
    let app = App::with_settings(&format!("{}{signals}", crate::app::PEOPLE), &[]).await;
    let gone = || Err(ActionError::Retry("connection refused".to_owned()));
    app.answers("prometheus.query", vec![gone(), gone(), Ok(json!({ "value": 0.9 }))]);
    let incident = app.fires("Anything", "warning").await;
    assert_eq!(incident.priority, Priority::P3, "without the number, what is there decides");
    let warnings = incident.classification.expect("classified").warnings;
    assert_eq!(warnings, ["signal error_rate could not be had: connection refused; classified without it"]);
    // Repeats: nothing is new but that time has passed.
    app.fires("Anything", "warning").await;
    assert_eq!(app.newest().await.priority, Priority::P3);
    app.fires("Anything", "warning").await;
    assert_eq!(app.newest().await.priority, Priority::P1);
    app.fires("Anything", "warning").await;
    assert_eq!(app.calls().len(), 3, "what is known is not asked for again");
    app.assert_fold_is_state(incident.id).await;
}

#[tokio::test]
async fn whatever_labels_call_it_the_metrics_have_a_bounded_number_of_series() {
    let app = App::new().await;
    for (number, kind) in ["service_down", "made-up-1", "made-up-2"].into_iter().enumerate() {
        let mut alert = alert("Anything", "critical", "firing", number as u32);
        alert["labels"]["type"] = kind.into();
        let mut post = body(&[alert]);
        post["groupKey"] = kind.into();
        app.posts(&post).await;
        assert_eq!(app.newest().await.kind, kind, "the incident keeps the label's word");
    }
    let text = app.world.metrics.text().expect("text");
    let series: Vec<&str> = text.lines().filter(|line| line.starts_with("reynard_incidents_total")).collect();
    let mut types: Vec<&str> = series.iter().filter_map(|line| line.split("type=\"").nth(1)?.split('"').next()).collect();
    types.sort_unstable();
    assert_eq!(types, ["other", "service_down"]);
}
