//! Slack and what speaks like it: one post to an incoming webhook. Knows no Slack API beyond that.

use async_trait::async_trait;
use reqwest::Client;
use serde_json::json;

use crate::channel::http;
use crate::domain::secret::Secret;
use crate::engine::ports::{Delivered, Message, Sender};

/// What one section block may hold.
const LONGEST_TEXT: usize = 3000;

/// The channel.
pub struct Slack {
    client: Client,
    url: Secret,
}

impl Slack {
    pub fn new(client: Client, url: Secret) -> Self {
        Self { client, url }
    }
}

#[async_trait]
impl Sender for Slack {
    async fn send(&self, message: &Message) -> Delivered {
        let text = text(message);
        // The text alone is what a phone's lock screen shows; the block is what the channel shows.
        let body = json!({ "text": text, "blocks": [{ "type": "section", "text": { "type": "mrkdwn", "text": text } }] });
        http::deliver(self.client.post(self.url.expose()).header("idempotency-key", header(&message.key)).json(&body)).await
    }
}

/// The chat text, led by a mention of the person told.
fn text(message: &Message) -> String {
    let words = escape(if message.chat.is_empty() { &message.text } else { &message.chat });
    let text = match message.slack.as_deref().filter(|id| is_member(id)) {
        Some(id) => format!("<@{id}> {words}"),
        None => words,
    };
    text.chars().take(LONGEST_TEXT).collect()
}

/// Slack's three signs: without this an alert's text could call `<!channel>`.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn is_member(id: &str) -> bool {
    !id.is_empty() && id.chars().all(|c| c.is_ascii_alphanumeric())
}

fn header(key: &str) -> String {
    key.chars().filter(char::is_ascii_graphic).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::channel::webhook::tests::message;
    use crate::recorder::{Recorder, hangs_up, nobody, reply};

    async fn send(url: &str, message: &Message) -> Delivered {
        let _ = rustls::crypto::ring::default_provider().install_default();
        Slack::new(http::client(), Secret::new(url)).send(message).await
    }

    #[tokio::test]
    async fn the_person_is_mentioned_and_alert_text_stays_text() {
        let server = Recorder::always(200, "ok").await;
        let message = Message { chat: "P1 orders <!channel> a & b".to_owned(), ..message() };
        for _ in 0..2 {
            assert_eq!(send(&server.url, &message).await, Delivered::Sent("200: ok".to_owned()));
        }
        let seen = server.seen();
        assert_eq!(seen[0].json()["text"], "<@U123> P1 orders &lt;!channel&gt; a &amp; b");
        assert_eq!(seen[0].json()["blocks"][0]["text"]["text"], seen[0].json()["text"]);
        assert_eq!(seen[0].headers["idempotency-key"], seen[1].headers["idempotency-key"]);
        send(&server.url, &Message { slack: Some("U1> <!here".to_owned()), ..message }).await;
        assert_eq!(server.seen()[2].json()["text"], "P1 orders &lt;!channel&gt; a &amp; b");
    }

    #[tokio::test]
    async fn answers_say_whether_to_try_again() {
        let busy = Recorder::start(|_, _| reply(429, "").header("retry-after", "30")).await;
        assert_eq!(
            send(&busy.url, &message()).await,
            Delivered::Again { reason: "it answered 429".to_owned(), after: Some(Duration::from_secs(30)) }
        );
        let broken = Recorder::always(500, "").await;
        assert!(matches!(send(&broken.url, &message()).await, Delivered::Again { after: None, .. }));
        let gone = Recorder::always(404, "no_service").await;
        assert_eq!(send(&gone.url, &message()).await, Delivered::Never("it answered 404: no_service".to_owned()));
    }

    #[tokio::test]
    async fn silence_is_tried_again_and_the_address_is_not_told() {
        for url in [nobody().await + "/T0/s3cret", hangs_up().await + "/T0/s3cret"] {
            let Delivered::Again { reason, .. } = send(&url, &message()).await else { panic!("{url}") };
            assert!(!reason.contains("s3cret"), "{reason}");
        }
        assert!(matches!(send("not an address", &message()).await, Delivered::Never(_)));
    }
}
