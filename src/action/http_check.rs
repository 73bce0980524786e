//! `http.check`: asks an address and believes its answer. Changes nothing.

use std::collections::BTreeMap;

use async_trait::async_trait;
use reqwest::{Method, RequestBuilder};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::action::http::{self, Http, Reply};
use crate::action::http_request::Expect;
use crate::action::params;
use crate::domain::action::{Field, OnInterrupt, Param, ParamType, Performer, Spec, TargetKind};
use crate::engine::ports::{Action, ActionError, Call, Verdict};

/// The target is optional here: with `url` there is none.
pub const SPEC: Spec = Spec {
    name: "http.check",
    doc: "Gets an address, below the target's url or one that `egress.allow` admits, and fails unless the answer is as expected.",
    performer: Performer::Worker,
    destructive: false,
    on_interrupt: OnInterrupt::Retry,
    targets: &[TargetKind::Http],
    params: &[
        Param::optional("url", ParamType::Text, "a whole address, without a target"),
        Param::optional("path", ParamType::Text, "below the target's url"),
        Param::optional("query", ParamType::TextMap, "what follows `?`"),
        Param::optional("expect", ParamType::Json, "the status that is success, or a list of them; default any 2xx"),
        Param::optional("contains", ParamType::Text, "text that the answer must contain"),
    ],
    undoable: false,
    output: &[Field::number("status", "the status code"), Field::of("body", ParamType::Json, "JSON, or text of at most 64 KiB")],
};

/// The action.
pub struct HttpCheck {
    http: Http,
}

#[derive(Deserialize)]
struct Params {
    url: Option<String>,
    #[serde(default)]
    path: String,
    #[serde(default, deserialize_with = "params::text_map")]
    query: BTreeMap<String, String>,
    #[serde(default)]
    expect: Expect,
    contains: Option<String>,
}

impl HttpCheck {
    pub fn new(http: Http) -> Self {
        Self { http }
    }

    fn request(&self, call: &Call, params: &Params) -> Result<RequestBuilder, ActionError> {
        let request = match (&call.target, &params.url) {
            (Some(target), None) => self.http.to_target(target, Method::GET, &params.path)?,
            (None, Some(url)) => self.http.to_outside(Method::GET, url)?,
            _ => return Err(ActionError::Fatal("give either a `target:` with a `path`, or a `url`".to_owned())),
        };
        Ok(if params.query.is_empty() { request } else { request.query(&params.query) })
    }

    async fn ask(&self, call: &Call) -> Result<(Params, Reply), ActionError> {
        let params: Params = params::read(call)?;
        let reply = http::ask(self.request(call, &params)?, call).await?;
        Ok((params, reply))
    }
}

#[async_trait]
impl Action for HttpCheck {
    fn spec(&self) -> Spec {
        SPEC
    }

    /// What is not healthy now may be later, and asking costs nothing: every unmet expectation may be tried again.
    async fn perform(&self, call: &Call) -> Result<Value, ActionError> {
        let (params, reply) = self.ask(call).await?;
        unmet(&params, &reply).map_or_else(|| Ok(output(&reply)), |why| Err(ActionError::Retry(why)))
    }

    /// Another answer than the one expected is a no, unless it only says that nothing can be said just now.
    async fn check(&self, call: &Call) -> Verdict {
        let (params, reply) = match self.ask(call).await {
            Ok(answered) => answered,
            Err(error) => return Verdict::CannotTell(error.to_string()),
        };
        match unmet(&params, &reply) {
            None => Verdict::Confirmed(output(&reply)),
            Some(why) if matches!(reply.status, 408 | 425 | 429 | 500..=599) => Verdict::CannotTell(why),
            Some(why) => Verdict::Denied(why),
        }
    }
}

fn unmet(params: &Params, reply: &Reply) -> Option<String> {
    if !params.expect.holds(reply) {
        return Some(format!("it answered {}", reply.status));
    }
    let wanted = params.contains.as_ref().filter(|text| !reply.text().contains(*text))?;
    Some(format!("its answer does not contain \"{wanted}\""))
}

fn output(reply: &Reply) -> Value {
    json!({ "status": reply.status, "body": reply.output() })
}

#[cfg(test)]
mod tests {
    use regex::Regex;

    use super::*;
    use crate::action::egress::Egress;
    use crate::action::http::tests::{call, http};
    use crate::recorder::{Recorder, nobody};

    #[tokio::test]
    async fn twice_with_one_key_reads_twice() {
        let server = Recorder::always(200, r#"{"status":"up"}"#).await;
        let action = HttpCheck::new(http());
        let call = call(TargetKind::Http, &server.url, json!({ "path": "/health", "query": { "full": true }, "contains": "up" }));
        for _ in 0..2 {
            assert_eq!(action.perform(&call).await.unwrap(), json!({ "status": 200, "body": { "status": "up" } }));
        }
        assert_eq!((server.seen()[1].method.as_str(), server.seen()[1].query.as_str()), ("GET", "full=true"));
    }

    #[tokio::test]
    async fn what_is_not_as_expected_fails() {
        let server = Recorder::always(404, "down").await;
        let action = HttpCheck::new(http());
        for params in [json!({}), json!({ "expect": 200 }), json!({ "expect": 404, "contains": "up" })] {
            assert!(matches!(action.perform(&call(TargetKind::Http, &server.url, params)).await, Err(ActionError::Retry(_))));
        }
        assert!(action.perform(&call(TargetKind::Http, &server.url, json!({ "expect": [200, 404] }))).await.is_ok());
    }

    #[tokio::test]
    async fn as_a_check_another_answer_is_a_no_and_no_answer_says_nothing() {
        let verdict = async |status: u16, params: Value| {
            let server = Recorder::always(status, "version 2").await;
            HttpCheck::new(http()).check(&call(TargetKind::Http, &server.url, params)).await
        };
        assert!(matches!(verdict(200, json!({ "contains": "version 2" })).await, Verdict::Confirmed(_)));
        let denied = verdict(200, json!({ "contains": "version 3" })).await;
        assert_eq!(denied, Verdict::Denied("its answer does not contain \"version 3\"".to_owned()));
        assert_eq!(verdict(404, json!({})).await, Verdict::Denied("it answered 404".to_owned()));
        assert!(matches!(verdict(503, json!({})).await, Verdict::CannotTell(_)));
        assert!(matches!(verdict(503, json!({ "expect": 503 })).await, Verdict::Confirmed(_)));
        let gone = HttpCheck::new(http()).check(&call(TargetKind::Http, &nobody().await, json!({}))).await;
        assert!(matches!(gone, Verdict::CannotTell(_)), "{gone:?}");
    }

    #[tokio::test]
    async fn an_address_of_its_own_needs_permission() {
        let server = Recorder::always(200, "").await;
        let named = server.url.replace("127.0.0.1", "localhost");
        let outcome = async |patterns: &[&str], url: &str| {
            let patterns: Vec<Regex> = patterns.iter().map(|pattern| Regex::new(pattern).unwrap()).collect();
            let mut call = call(TargetKind::Http, "", json!({ "url": url }));
            call.target = None;
            HttpCheck::new(Http::new(Egress::new(&patterns))).perform(&call).await
        };
        assert!(matches!(outcome(&[], &server.url).await, Err(ActionError::Barred(_))));
        assert!(matches!(outcome(&[".*"], &server.url).await, Err(ActionError::Fatal(_))));
        assert!(matches!(outcome(&[".*"], &named).await, Err(ActionError::Fatal(_))), "the resolver lets a loopback name through");
        assert!(server.seen().is_empty());
        assert!(outcome(&[r"127\.0\.0\.1"], &server.url).await.is_ok());
        assert!(outcome(&[r"localhost:\d+"], &named).await.is_ok());
    }
}
