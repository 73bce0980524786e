//! What programs ask over HTTP under a key of their own: done once, and never taken for something else.

use axum::body::Body;
use reynard::domain::time::Span;

use crate::app::App;
use crate::web::{Browser, call};

impl Browser {
    /// Asks under a key; answers the status and the sentence of a problem.
    async fn keyed(&self, key: &str, path: &str, body: &str) -> (u16, String) {
        let request = call("POST", path).header("idempotency-key", key).body(Body::from(body.to_owned())).expect("a request");
        let answer = self.ask(request).await;
        let problem: serde_json::Value = serde_json::from_str(&answer.text).expect("JSON");
        (answer.status, problem["detail"].as_str().unwrap_or_default().to_owned())
    }
}

#[tokio::test]
async fn a_key_that_comes_again_with_another_wish_is_refused_and_the_first_stays() {
    let app = App::new().await;
    let id = app.fires("A", "critical").await.id;
    let browser = Browser::of(&app);
    let comment = "/api/v1/incidents/1/comment";
    assert_eq!(browser.keyed("k", comment, r#"{"text":"one"}"#).await.0, 200);
    assert_eq!(browser.keyed("k", comment, r#"{"text":"one"}"#).await.0, 200, "sent twice");
    let (status, words) = browser.keyed("k", comment, r#"{"text":"two"}"#).await;
    assert_eq!(status, 422);
    assert!(words.contains("take a new key"), "{words}");
    // Somebody else's key is another one.
    assert_eq!(browser.keyed("k", comment, r#"{"text":"two","by":"bo"}"#).await.0, 200);
    app.settles().await;
    let said: Vec<_> = app.sentences(id).await.into_iter().filter(|said| ["one", "two"].contains(&said.as_str())).collect();
    assert_eq!(said, ["one", "two"]);
}

#[tokio::test]
async fn a_wish_that_was_refused_may_be_sent_again_under_its_key() {
    let app = App::new().await;
    app.fires("A", "critical").await;
    let browser = Browser::of(&app);
    assert_eq!(browser.keyed("k", "/api/v1/incidents/1/reopen", "{}").await.0, 409, "it is open");
    assert_eq!(browser.keyed("r", "/api/v1/incidents/1/resolve", "{}").await.0, 200);
    app.settles().await;
    assert_eq!(browser.keyed("k", "/api/v1/incidents/1/reopen", "{}").await.0, 200);
    app.settles().await;
    assert!(app.newest().await.is_open(), "it was done, not merely answered");
}

#[tokio::test]
async fn until_an_hour_means_the_same_whenever_it_is_sent_again() {
    let app = App::new().await;
    app.fires("A", "critical").await;
    let browser = Browser::of(&app);
    let until = crate::app::START + Span::hours(1);
    let wish = format!(r#"{{"until":"{until}"}}"#);
    let snooze = "/api/v1/incidents/1/snooze";
    assert_eq!(browser.keyed("k", snooze, &wish).await.0, 200);
    app.clock.turn(Span::seconds(3));
    assert_eq!(browser.keyed("k", snooze, &wish).await.0, 200);
    assert_eq!(browser.keyed("k", snooze, r#"{"for":"1h"}"#).await.0, 422);
}

#[tokio::test]
async fn a_note_as_long_as_a_book_is_refused_and_a_message_shows_the_beginning_of_a_long_one() {
    let app = App::new().await;
    let id = app.fires("A", "critical").await.id;
    let browser = Browser::of(&app);
    let (status, words) = browser.keyed("k", "/api/v1/incidents/1/escalate", &format!(r#"{{"note":"{}"}}"#, "x".repeat(2_049))).await;
    assert_eq!(status, 422);
    assert!(words.contains("at most 2048 bytes"), "{words}");
    assert_eq!(browser.keyed("k", "/api/v1/incidents/1/comment", &format!(r#"{{"text":"{}"}}"#, "x".repeat(16_385))).await.0, 422);
    assert_eq!(browser.keyed("k", "/api/v1/incidents/1/escalate", &format!(r#"{{"note":"{}"}}"#, "x".repeat(2_048))).await.0, 200);
    app.settles().await;
    let incident = app.newest().await;
    let reasons: Vec<_> = incident.notifications.values().map(|told| told.reason.chars().count()).collect();
    assert!(reasons.len() > 1 && reasons.iter().all(|letters| *letters <= 402), "{reasons:?}");
    let whole = app.sentences(id).await.into_iter().any(|said| said.contains(&"x".repeat(2_048)));
    assert!(whole, "the timeline has all of it");
}
