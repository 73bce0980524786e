//! `http.request`: one call below a target's base address. Knows no other way out.

use std::collections::BTreeMap;

use async_trait::async_trait;
use reqwest::{Method, RequestBuilder};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::action::http::{self, Deed, Http, Reply};
use crate::action::params;
use crate::domain::action::{Field, OnInterrupt, Param, ParamType, Performer, Spec, TargetKind};
use crate::engine::ports::{Action, ActionError, Call};

pub const SPEC: Spec = Spec {
    name: "http.request",
    doc: "Calls an address below the target's url; the same Idempotency-Key goes with every attempt.",
    performer: Performer::Worker,
    destructive: true,
    on_interrupt: OnInterrupt::Ask,
    targets: &[TargetKind::Http],
    params: &[
        Param::optional("method", ParamType::Text, "the HTTP method")
            .one_of(&["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"])
            .default("GET"),
        Param::optional("path", ParamType::Text, "below the target's url"),
        Param::optional("query", ParamType::TextMap, "what follows `?`"),
        Param::optional("headers", ParamType::TextMap, "headers beside the target's own"),
        Param::optional("json", ParamType::Json, "a body sent as JSON"),
        Param::optional("body", ParamType::Text, "a body sent as it stands"),
        Param::optional("expect", ParamType::Json, "the status that is success, or a list of them; default any 2xx"),
    ],
    undoable: false,
    output: &[
        Field::number("status", "the status code"),
        Field::of("headers", ParamType::TextMap, "the answer's headers"),
        Field::of("body", ParamType::Json, "JSON, or text of at most 64 KiB"),
    ],
};

/// The action.
pub struct HttpRequest {
    http: Http,
}

#[derive(Deserialize)]
struct Params {
    #[serde(default)]
    method: Option<String>,
    #[serde(default)]
    path: String,
    #[serde(default, deserialize_with = "params::text_map")]
    query: BTreeMap<String, String>,
    #[serde(default, deserialize_with = "params::text_map")]
    headers: BTreeMap<String, String>,
    json: Option<Value>,
    body: Option<String>,
    #[serde(default)]
    expect: Expect,
}

/// The statuses that are success.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(untagged)]
pub enum Expect {
    #[default]
    Success,
    One(u16),
    Any(Vec<u16>),
}

impl Expect {
    pub fn holds(&self, reply: &Reply) -> bool {
        match self {
            Self::Success => reply.is_success(),
            Self::One(status) => reply.status == *status,
            Self::Any(statuses) => statuses.contains(&reply.status),
        }
    }
}

impl HttpRequest {
    pub fn new(http: Http) -> Self {
        Self { http }
    }

    fn request(&self, call: &Call, method: Method, params: &Params) -> Result<RequestBuilder, ActionError> {
        let target = params::target(call)?;
        let mut request = self.http.to_target(target, method, &params.path)?;
        // The target's own headers stand: a playbook must not replace what lets us in.
        let mut headers = http::headers(&params.headers)?;
        for name in target.headers.keys() {
            headers.remove(name.as_str());
        }
        if !params.query.is_empty() {
            request = request.query(&params.query);
        }
        request = match (&params.json, &params.body) {
            (Some(json), None) => request.json(json),
            (None, Some(body)) => request.body(body.clone()),
            (None, None) => request,
            (Some(_), Some(_)) => return Err(ActionError::Fatal("give either `json:` or `body:`".to_owned())),
        };
        Ok(request.headers(headers))
    }
}

#[async_trait]
impl Action for HttpRequest {
    fn spec(&self) -> Spec {
        SPEC
    }

    async fn perform(&self, call: &Call) -> Result<Value, ActionError> {
        let params: Params = params::read(call)?;
        let method = method(params.method.as_deref())?;
        let deed = Deed::of(&method);
        let request = self.request(call, method, &params)?;
        let (target, expect) = (params::target(call)?.name.clone(), params.expect);
        let judge = move |reply: &Reply| match expect.holds(reply) {
            true => Ok(json!({ "status": reply.status, "headers": reply.shown_headers(), "body": reply.output() })),
            false => Err(http::refusal(&target, reply, deed)),
        };
        match deed {
            Deed::Read => judge(&http::ask(request, call).await?),
            Deed::Write => http::change(request, call, judge).await,
        }
    }
}

fn method(name: Option<&str>) -> Result<Method, ActionError> {
    const KNOWN: [Method; 6] = [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];
    let name = name.unwrap_or("GET").to_ascii_uppercase();
    KNOWN.into_iter().find(|method| method.as_str() == name).ok_or_else(|| ActionError::Fatal(format!("method {name} is not known")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::action::http::tests::{call, http};
    use crate::recorder::{Recorder, hangs_up, nobody, reply};

    async fn perform(url: &str, params: Value) -> Result<Value, ActionError> {
        HttpRequest::new(http()).perform(&call(TargetKind::Http, url, params)).await
    }

    #[tokio::test]
    async fn twice_with_one_key_is_the_same_call_with_the_next_attempt() {
        let server = Recorder::start(|_, before| if before == 0 { reply(503, "") } else { reply(201, r#"{"ok":true}"#) }).await;
        let action = HttpRequest::new(http());
        let params =
            json!({ "method": "POST", "path": "/restart", "query": { "n": 2 }, "json": { "service": "orders" }, "expect": [201, 202] });
        let mut call = call(TargetKind::Http, &format!("{}/admin", server.url), params);
        assert_eq!(action.perform(&call).await, Err(ActionError::Retry("thing answered 503".to_owned())));
        call.attempt = 2;
        let output = action.perform(&call).await.unwrap();
        assert_eq!((&output["status"], &output["body"]["ok"]), (&json!(201), &json!(true)));
        let seen = server.seen();
        assert_eq!(
            (seen[0].path.as_str(), seen[0].query.as_str(), seen[0].body.as_str()),
            ("/admin/restart", "n=2", r#"{"service":"orders"}"#)
        );
        assert_eq!(seen[0].headers["authorization"], "Bearer s3cret");
        for (request, attempt) in seen.iter().zip(["1", "2"]) {
            assert_eq!((request.headers["idempotency-key"].as_str(), request.headers["reynard-attempt"].as_str()), ("run:step:1", attempt));
        }
    }

    #[tokio::test]
    async fn a_lost_answer_to_a_change_is_unknown_and_to_a_read_is_retried() {
        let url = hangs_up().await;
        assert!(matches!(perform(&url, json!({ "method": "POST" })).await, Err(ActionError::Unknown(_))));
        assert!(matches!(perform(&url, json!({})).await, Err(ActionError::Retry(_))));
    }

    #[tokio::test]
    async fn what_never_left_is_retried() {
        let error = perform(&nobody().await, json!({ "method": "POST" })).await.unwrap_err();
        assert!(matches!(&error, ActionError::Retry(text) if text.contains("refused")), "{error:?}");
        let error = perform("http://nowhere.invalid", json!({ "method": "POST" })).await.unwrap_err();
        assert!(matches!(error, ActionError::Retry(_)), "{error:?}");
    }

    #[tokio::test]
    async fn statuses_say_whether_to_try_again() {
        for (status, kind) in [(500, "retry"), (429, "retry"), (404, "fatal"), (302, "fatal"), (504, "unknown")] {
            let server = Recorder::start(move |_, _| reply(status, "no").header("location", "http://169.254.169.254/")).await;
            let error = perform(&server.url, json!({ "method": "DELETE" })).await.unwrap_err();
            let found = match error {
                ActionError::Retry(_) => "retry",
                ActionError::Fatal(_) | ActionError::Barred(_) => "fatal",
                ActionError::Unknown(_) => "unknown",
            };
            assert_eq!((found, server.seen().len()), (kind, 1), "{status}");
        }
        let server = Recorder::always(200, "").await;
        assert!(matches!(perform(&server.url, json!({ "expect": 204 })).await, Err(ActionError::Fatal(_))));
    }

    #[tokio::test]
    async fn neither_path_nor_headers_lead_elsewhere() {
        let server = Recorder::always(200, "").await;
        for params in [
            json!({ "path": "//evil" }),
            json!({ "path": "/../x" }),
            json!({ "headers": { "Host": "evil" } }),
            json!({ "headers": { "x": "a\nb" } }),
            json!({ "method": "CONNECT" }),
            json!({ "json": 1, "body": "x" }),
        ] {
            assert!(matches!(perform(&server.url, params.clone()).await, Err(ActionError::Fatal(_))), "{params}");
        }
        assert!(server.seen().is_empty());
        perform(&server.url, json!({ "headers": { "authorization": "mine", "X-A": "1" } })).await.unwrap();
        assert_eq!(server.seen()[0].headers["authorization"], "Bearer s3cret");
    }

    #[tokio::test]
    async fn large_answers_are_cut() {
        let server = Recorder::start(|_, _| reply(200, "x".repeat(2 << 20))).await;
        let output = perform(&server.url, json!({})).await.unwrap();
        assert_eq!(output["body"].as_str().unwrap().len(), 64 << 10);
    }
}
