//! Asking Prometheus for numbers: instant queries and what their answers mean. Knows no action and no clock.

use std::collections::BTreeMap;

use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::action::http::{self, Deed, Http, Reply};
use crate::action::params;
use crate::action::promql;
use crate::engine::ports::{ActionError, Call};

const LARGEST_SAMPLES: usize = 100;

/// The samples of an instant query, in Prometheus' order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Samples(pub Vec<Sample>);

#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    pub labels: BTreeMap<String, String>,
    pub value: f64,
}

impl Samples {
    /// The first number, if there is one that is a number.
    pub fn first(&self) -> Option<f64> {
        self.0.first().map(|sample| sample.value).filter(|value| value.is_finite())
    }

    pub fn output(&self) -> Value {
        let samples: Vec<Value> =
            self.0.iter().take(LARGEST_SAMPLES).map(|sample| json!({ "labels": sample.labels, "value": sample.value })).collect();
        json!({ "value": self.first(), "samples": samples })
    }

    /// Whether the query holds: there is an answer, and it says yes. A comparison keeps what it compared, zero too, so for
    /// `errors < 1` any answer is yes; any other expression must not be zero.
    pub fn hold(&self, query: &str) -> bool {
        match self.0.first() {
            None => false,
            Some(sample) if sample.value.is_nan() => false,
            Some(sample) => sample.value != 0.0 || promql::filters(query),
        }
    }
}

/// Asks the call's target.
pub async fn query(http: &Http, call: &Call, query: &str) -> Result<Samples, ActionError> {
    let target = params::target(call)?;
    let request = http.to_target(target, Method::GET, "api/v1/query")?.query(&[("query", query)]);
    read(&target.name, &http::ask(request, call).await?)
}

#[derive(Deserialize)]
struct Body {
    status: String,
    error: Option<String>,
    data: Option<Data>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", tag = "resultType", content = "result")]
enum Data {
    Vector(Vec<Element>),
    Scalar((f64, String)),
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
struct Element {
    #[serde(default)]
    metric: BTreeMap<String, String>,
    value: Option<(f64, String)>,
}

fn read(whom: &str, reply: &Reply) -> Result<Samples, ActionError> {
    let body: Option<Body> = if reply.truncated { None } else { serde_json::from_slice(&reply.body).ok() };
    match body {
        Some(Body { status, data: Some(data), .. }) if status == "success" && reply.is_success() => samples(whom, data),
        // Prometheus' own words about a broken query: asking again does not mend it.
        Some(Body { error: Some(error), .. }) if matches!(reply.status, 400 | 422) => Err(fatal(whom, &error)),
        _ if reply.is_success() => Err(fatal(whom, "its answer is not one of Prometheus, or larger than 1 MiB")),
        _ => Err(http::refusal(whom, reply, Deed::Read)),
    }
}

fn samples(whom: &str, data: Data) -> Result<Samples, ActionError> {
    match data {
        Data::Scalar((_, value)) => Ok(Samples(vec![Sample { labels: BTreeMap::new(), value: number(&value) }])),
        Data::Vector(elements) => {
            let sample = |element: Element| Some(Sample { labels: element.metric, value: number(&element.value?.1) });
            Ok(Samples(elements.into_iter().filter_map(sample).collect()))
        }
        Data::Other => Err(fatal(whom, "the query must give an instant vector or a scalar")),
    }
}

/// Prometheus writes numbers as text, `NaN` and `+Inf` among them.
fn number(text: &str) -> f64 {
    text.parse().unwrap_or(f64::NAN)
}

fn fatal(whom: &str, text: &str) -> ActionError {
    ActionError::Fatal(format!("{whom}: {text}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(value: f64) -> Samples {
        Samples(vec![Sample { labels: BTreeMap::new(), value }])
    }

    #[test]
    fn a_comparison_holds_for_zero_and_a_plain_number_does_not() {
        assert!(one(0.0).hold("sum(rate(errors[5m])) < 0.01"));
        assert!(!one(0.0).hold("up"));
        assert!(one(1.0).hold("up"));
        assert!(!one(f64::NAN).hold("x < 1"));
        assert!(!Samples::default().hold("x < 1"));
    }
}
