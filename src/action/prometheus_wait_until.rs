//! `prometheus.wait_until`: asks again and again until a query has held for a while. Knows no other proof of recovery.

use std::time::Duration;

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::action::http::Http;
use crate::action::params;
use crate::action::prometheus::{self, Samples};
use crate::domain::action::{Field, OnInterrupt, Param, ParamType, Performer, Spec, TargetKind};
use crate::domain::time::Span;
use crate::engine::ports::{Action, ActionError, Call, Verdict};

/// No faster than this, whatever the playbook says.
const SHORTEST_PAUSE: Duration = Duration::from_millis(10);

pub const SPEC: Spec = Spec {
    name: "prometheus.wait_until",
    doc: "Waits until a query holds: it has an answer, which is not zero unless it passed a comparison such as `errors < 1`.",
    performer: Performer::Worker,
    destructive: false,
    on_interrupt: OnInterrupt::Retry,
    targets: &[TargetKind::Prometheus],
    params: &[
        Param::required("query", ParamType::Text, "PromQL that gives an instant vector or a scalar"),
        Param::optional("for", ParamType::Span, "how long it must hold").default("0s"),
        Param::optional("within", ParamType::Span, "how long to wait for that").default("10m"),
        Param::optional("every", ParamType::Span, "how often to ask").default("5s"),
    ],
    undoable: false,
    output: &[
        Field::number("value", "the last number"),
        Field::of("samples", ParamType::Json, "the last answer"),
        Field::of("held_for", ParamType::Span, "how long it held"),
    ],
};

/// The action.
pub struct PrometheusWaitUntil {
    http: Http,
}

#[derive(Deserialize)]
struct Params {
    query: String,
    #[serde(default, rename = "for")]
    hold_for: Span,
    #[serde(default = "default_within")]
    within: Span,
    #[serde(default = "default_every")]
    every: Span,
}

fn default_within() -> Span {
    Span::minutes(10)
}

fn default_every() -> Span {
    Span::seconds(5)
}

impl PrometheusWaitUntil {
    pub fn new(http: Http) -> Self {
        Self { http }
    }
}

#[async_trait]
impl Action for PrometheusWaitUntil {
    fn spec(&self) -> Spec {
        SPEC
    }

    async fn perform(&self, call: &Call) -> Result<Value, ActionError> {
        self.wait(call).await.map_err(|missed| missed.error)
    }

    async fn check(&self, call: &Call) -> Verdict {
        match self.wait(call).await {
            Ok(output) => Verdict::Confirmed(output),
            Err(Missed { error, answered: true }) => Verdict::Denied(error.to_string()),
            Err(Missed { error, .. }) => Verdict::CannotTell(error.to_string()),
        }
    }
}

/// Why it was not met, and whether Prometheus said so.
struct Missed {
    error: ActionError,
    answered: bool,
}

impl From<ActionError> for Missed {
    fn from(error: ActionError) -> Self {
        Self { error, answered: false }
    }
}

impl PrometheusWaitUntil {
    async fn wait(&self, call: &Call) -> Result<Value, Missed> {
        let params: Params = params::read(call)?;
        let deadline = Instant::now() + params.within.to_std();
        let mut held_since = None;
        loop {
            let asked = prometheus::query(&self.http, call, &params.query).await;
            let now = Instant::now();
            match &asked {
                Err(error @ (ActionError::Fatal(_) | ActionError::Unknown(_))) => return Err(error.clone().into()),
                Ok(samples) if samples.hold(&params.query) => {
                    let since = *held_since.get_or_insert(now);
                    if now - since >= params.hold_for.to_std() {
                        return Ok(answer(samples, now - since));
                    }
                }
                // No answer is no proof: the while begins anew.
                _ => held_since = None,
            }
            if now >= deadline {
                return Err(Missed { error: not_met(&params, &asked, held_since.is_some()), answered: asked.is_ok() });
            }
            sleep(pause(&params, now, held_since, deadline)).await;
        }
    }
}

/// Until the next question; the last ones fall on the end of the while and on the deadline.
fn pause(params: &Params, now: Instant, held_since: Option<Instant>, deadline: Instant) -> Duration {
    let met = held_since.map_or(deadline, |since| since + params.hold_for.to_std());
    params.every.to_std().min(met.min(deadline).saturating_duration_since(now)).max(SHORTEST_PAUSE)
}

fn answer(samples: &Samples, held_for: Duration) -> Value {
    let mut output = samples.output();
    output["held_for"] = json!(Span(u64::try_from(held_for.as_millis()).unwrap_or(u64::MAX)).to_string());
    output
}

fn not_met(params: &Params, last: &Result<Samples, ActionError>, holding: bool) -> ActionError {
    let last = match last {
        Err(error) => format!("the last question failed: {error}"),
        Ok(samples) if samples.0.is_empty() => "the last answer was empty".to_owned(),
        Ok(samples) => format!("last value was {}", samples.0[0].value),
    };
    let holding = if holding { format!(", but not yet for {}", params.hold_for) } else { String::new() };
    ActionError::Fatal(format!("not met within {}: {last}{holding}", params.within))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::action::http::tests::{call, http};
    use crate::recorder::{Recorder, reply};

    const YES: &str = r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1,"0"]}]}}"#;
    const NO: &str = r#"{"status":"success","data":{"resultType":"vector","result":[]}}"#;

    async fn perform(server: &Recorder, hold_for: &str, within: &str) -> Result<Value, ActionError> {
        let params = json!({ "query": "errors < 1", "for": hold_for, "within": within, "every": "20ms" });
        PrometheusWaitUntil::new(http()).perform(&call(TargetKind::Prometheus, &server.url, params)).await
    }

    #[tokio::test]
    async fn twice_with_one_key_waits_twice() {
        let server = Recorder::always(200, YES).await;
        for asked in 1..=2 {
            assert_eq!(perform(&server, "0s", "1s").await.unwrap()["value"], json!(0.0));
            assert_eq!(server.seen().len(), asked);
        }
    }

    #[tokio::test]
    async fn it_must_hold_without_a_break() {
        let server = Recorder::start(|_, before| match before {
            3 => reply(200, NO),
            5 => reply(503, ""),
            _ => reply(200, YES),
        })
        .await;
        let begun = Instant::now();
        assert!(perform(&server, "200ms", "5s").await.is_ok());
        assert!(server.seen().len() > 6 && begun.elapsed() > Duration::from_millis(300));
    }

    #[tokio::test]
    async fn too_late_says_what_was_seen_last() {
        let server = Recorder::always(200, NO).await;
        let error = perform(&server, "1s", "100ms").await.unwrap_err();
        assert_eq!(error, ActionError::Fatal("not met within 100ms: the last answer was empty".to_owned()));
        let server = Recorder::always(200, YES).await;
        let error = perform(&server, "10s", "100ms").await.unwrap_err();
        assert_eq!(error, ActionError::Fatal("not met within 100ms: last value was 0, but not yet for 10s".to_owned()));
    }

    #[tokio::test]
    async fn a_broken_query_ends_the_wait() {
        let server = Recorder::always(400, r#"{"status":"error","error":"parse error"}"#).await;
        assert!(matches!(perform(&server, "1s", "1m").await, Err(ActionError::Fatal(_))));
    }
}
