//! `prometheus.query`: asks for numbers now. Waits for nothing.

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::Value;

use crate::action::http::Http;
use crate::action::params;
use crate::action::prometheus::{self, Samples};
use crate::domain::action::{Field, OnInterrupt, Param, ParamType, Performer, Spec, TargetKind};
use crate::engine::ports::{Action, ActionError, Call, Verdict};

pub const SPEC: Spec = Spec {
    name: "prometheus.query",
    doc: "Asks an instant query.",
    performer: Performer::Worker,
    destructive: false,
    on_interrupt: OnInterrupt::Retry,
    targets: &[TargetKind::Prometheus],
    params: &[Param::required("query", ParamType::Text, "PromQL that gives an instant vector or a scalar")],
    undoable: false,
    output: &[
        Field::number("value", "the first sample's number, or null"),
        Field::of("samples", ParamType::Json, "the first 100: labels and value"),
    ],
};

/// The action.
pub struct PrometheusQuery {
    http: Http,
}

#[derive(Deserialize)]
struct Params {
    query: String,
}

impl PrometheusQuery {
    pub fn new(http: Http) -> Self {
        Self { http }
    }

    async fn ask(&self, call: &Call) -> Result<(String, Samples), ActionError> {
        let params: Params = params::read(call)?;
        let samples = prometheus::query(&self.http, call, &params.query).await?;
        Ok((params.query, samples))
    }
}

#[async_trait]
impl Action for PrometheusQuery {
    fn spec(&self) -> Spec {
        SPEC
    }

    async fn perform(&self, call: &Call) -> Result<Value, ActionError> {
        Ok(self.ask(call).await?.1.output())
    }

    /// As an action any answer is one; as a check the answer must hold, as for `prometheus.wait_until`.
    async fn check(&self, call: &Call) -> Verdict {
        match self.ask(call).await {
            Ok((query, samples)) if samples.hold(&query) => Verdict::Confirmed(samples.output()),
            Ok((query, _)) => Verdict::Denied(format!("{query} does not hold")),
            Err(error) => Verdict::CannotTell(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::action::http::tests::{call, http};
    use crate::recorder::Recorder;

    async fn perform(server: &Recorder) -> Result<Value, ActionError> {
        let call = call(TargetKind::Prometheus, &format!("{}/prom/", server.url), json!({ "query": "up{a=\"b\"} == 1" }));
        PrometheusQuery::new(http()).perform(&call).await
    }

    #[tokio::test]
    async fn twice_with_one_key_asks_twice() {
        let body = r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{"job":"a"},"value":[1.5,"0.25"]},{"metric":{},"value":[1,"NaN"]}]}}"#;
        let server = Recorder::always(200, body).await;
        for _ in 0..2 {
            let output = perform(&server).await.unwrap();
            assert_eq!(
                output,
                json!({ "value": 0.25, "samples": [{ "labels": { "job": "a" }, "value": 0.25 }, { "labels": {}, "value": null }] })
            );
        }
        assert_eq!(server.seen()[1].path, "/prom/api/v1/query");
        assert_eq!(server.seen()[1].query, "query=up%7Ba%3D%22b%22%7D+%3D%3D+1");
    }

    #[tokio::test]
    async fn scalars_and_empty_answers_are_answers() {
        let scalar = Recorder::always(200, r#"{"status":"success","data":{"resultType":"scalar","result":[1,"42"]}}"#).await;
        assert_eq!(perform(&scalar).await.unwrap()["value"], json!(42.0));
        let empty = Recorder::always(200, r#"{"status":"success","data":{"resultType":"vector","result":[]}}"#).await;
        assert_eq!(perform(&empty).await.unwrap(), json!({ "value": null, "samples": [] }));
    }

    #[tokio::test]
    async fn as_a_check_the_answer_must_hold() {
        let verdict = async |status: u16, body: &'static str| {
            let server = Recorder::always(status, body).await;
            let call = call(TargetKind::Prometheus, &server.url, json!({ "query": "version == 2" }));
            PrometheusQuery::new(http()).check(&call).await
        };
        let yes = r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1,"2"]}]}}"#;
        assert!(matches!(verdict(200, yes).await, Verdict::Confirmed(_)));
        let no = r#"{"status":"success","data":{"resultType":"vector","result":[]}}"#;
        assert_eq!(verdict(200, no).await, Verdict::Denied("version == 2 does not hold".to_owned()));
        assert!(matches!(verdict(503, "").await, Verdict::CannotTell(_)));
        let broken = r#"{"status":"error","errorType":"bad_data","error":"parse error at char 3"}"#;
        assert!(matches!(verdict(400, broken).await, Verdict::CannotTell(_)), "a question that cannot be understood is no answer");
    }

    #[tokio::test]
    async fn a_broken_query_is_not_asked_again_and_a_busy_server_is() {
        let broken = Recorder::always(400, r#"{"status":"error","errorType":"bad_data","error":"parse error at char 3"}"#).await;
        assert_eq!(perform(&broken).await, Err(ActionError::Fatal("thing: parse error at char 3".to_owned())));
        let busy = Recorder::always(503, r#"{"status":"error","errorType":"timeout","error":"query timed out"}"#).await;
        assert!(matches!(perform(&busy).await, Err(ActionError::Retry(_))));
        let other = Recorder::always(200, "<html>").await;
        assert!(matches!(perform(&other).await, Err(ActionError::Fatal(_))));
        let matrix = Recorder::always(200, r#"{"status":"success","data":{"resultType":"matrix","result":[]}}"#).await;
        assert!(matches!(perform(&matrix).await, Err(ActionError::Fatal(_))));
    }
}
