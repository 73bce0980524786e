//! A plain webhook: the facts and the words as JSON to any address. Knows nobody's dialect.

use std::collections::BTreeMap;

use async_trait::async_trait;
use reqwest::Client;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Map, Value, json};

use crate::channel::http;
use crate::domain::secret::Secret;
use crate::engine::ports::{Delivered, Message, Sender};

/// The channel.
pub struct Webhook {
    client: Client,
    url: Secret,
    headers: HeaderMap,
}

impl Webhook {
    /// The fault in words when a header is not one.
    pub fn new(client: Client, url: Secret, headers: &BTreeMap<String, Secret>) -> Result<Self, String> {
        Ok(Self { client, url, headers: header_map(headers)? })
    }
}

#[async_trait]
impl Sender for Webhook {
    async fn send(&self, message: &Message) -> Delivered {
        let Ok(key) = HeaderValue::from_str(&message.key) else {
            return Delivered::Never("the message's key cannot be a header".to_owned());
        };
        let request = self.client.post(self.url.expose()).headers(self.headers.clone()).header("idempotency-key", key);
        http::deliver(request.json(&body(message))).await
    }
}

/// The facts at the top, the words beside them.
fn body(message: &Message) -> Value {
    let mut body = match &message.data {
        Value::Object(facts) => facts.clone(),
        Value::Null => Map::new(),
        other => Map::from_iter([("data".to_owned(), other.clone())]),
    };
    body.insert("key".to_owned(), json!(message.key));
    body.insert("subject".to_owned(), json!(message.subject));
    body.insert("text".to_owned(), json!(message.text));
    body.insert("person".to_owned(), json!(message.person));
    Value::Object(body)
}

fn header_map(headers: &BTreeMap<String, Secret>) -> Result<HeaderMap, String> {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        let fault = || format!("header {name} is not a header");
        let mut value = HeaderValue::from_str(value.expose()).map_err(|_| fault())?;
        value.set_sensitive(true);
        map.insert(HeaderName::from_bytes(name.as_bytes()).map_err(|_| fault())?, value);
    }
    Ok(map)
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::recorder::{Recorder, reply};

    /// A message for Ana.
    pub fn message() -> Message {
        Message {
            key: "run:tell:1".to_owned(),
            person: Some("ana".to_owned()),
            email: Some("ana@example.com".to_owned()),
            slack: Some("U123".to_owned()),
            subject: "P1 orders".to_owned(),
            text: "Orders are down".to_owned(),
            html: "<p>Orders are down</p>".to_owned(),
            chat: "P1 orders".to_owned(),
            data: json!({ "incident": { "number": 7 } }),
        }
    }

    #[tokio::test]
    async fn facts_and_words_arrive_under_one_key_over_all_attempts() {
        let server = Recorder::start(|_, before| reply(if before == 0 { 503 } else { 204 }, "")).await;
        let headers = BTreeMap::from([("Authorization".to_owned(), Secret::new("Bearer s3cret"))]);
        let webhook = Webhook::new(http::client(), Secret::new(server.url.clone()), &headers).unwrap();
        assert!(matches!(webhook.send(&message()).await, Delivered::Again { .. }));
        assert_eq!(webhook.send(&message()).await, Delivered::Sent("204".to_owned()));
        for request in server.seen() {
            assert_eq!((request.method.as_str(), request.headers["idempotency-key"].as_str()), ("POST", "run:tell:1"));
            assert_eq!(request.headers["authorization"], "Bearer s3cret");
            assert_eq!(
                request.json(),
                json!({ "incident": { "number": 7 }, "key": "run:tell:1", "subject": "P1 orders", "text": "Orders are down", "person": "ana" })
            );
        }
    }

    #[tokio::test]
    async fn a_redirect_is_not_followed() {
        let server = Recorder::start(|_, _| reply(302, "").header("location", "http://169.254.169.254/")).await;
        let webhook = Webhook::new(http::client(), Secret::new(server.url.clone()), &BTreeMap::new()).unwrap();
        assert!(matches!(webhook.send(&message()).await, Delivered::Never(_)));
        let broken = BTreeMap::from([("a b".to_owned(), Secret::new("x"))]);
        assert!(Webhook::new(http::client(), Secret::new(""), &broken).is_err());
    }
}
