//! `dns.resolve`: what a name leads to, seen from here. Connects to none of it.

use std::collections::BTreeSet;
use std::time::Duration;

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::action::params;
use crate::domain::action::{Field, OnInterrupt, Param, ParamType, Performer, Spec};
use crate::engine::ports::{Action, ActionError, Call};

const RESOLVE_TIMEOUT: Duration = Duration::from_secs(10);

pub const SPEC: Spec = Spec {
    name: "dns.resolve",
    doc: "Looks a name up.",
    performer: Performer::Worker,
    destructive: false,
    on_interrupt: OnInterrupt::Retry,
    targets: &[],
    params: &[Param::required("name", ParamType::Text, "the name")],
    undoable: false,
    output: &[Field::of("addresses", ParamType::Texts, "what it leads to, sorted")],
};

/// The action.
pub struct DnsResolve;

#[derive(Deserialize)]
struct Params {
    name: String,
}

#[async_trait]
impl Action for DnsResolve {
    fn spec(&self) -> Spec {
        SPEC
    }

    async fn perform(&self, call: &Call) -> Result<Value, ActionError> {
        let Params { name } = params::read(call)?;
        let found = tokio::time::timeout(RESOLVE_TIMEOUT, tokio::net::lookup_host((name.as_str(), 0)))
            .await
            .map_err(|_| ActionError::Retry(format!("{name} was not resolved within {} s", RESOLVE_TIMEOUT.as_secs())))?
            // The system's resolver does not tell "no such name" from "no answer".
            .map_err(|error| ActionError::Retry(format!("{name} was not resolved: {error}")))?;
        let addresses: BTreeSet<String> = found.map(|socket| socket.ip().to_string()).collect();
        Ok(json!({ "addresses": addresses }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::action::http::tests::call;
    use crate::domain::action::TargetKind;

    #[tokio::test]
    async fn twice_with_one_key_looks_up_twice() {
        for _ in 0..2 {
            let output = DnsResolve.perform(&call(TargetKind::Http, "", json!({ "name": "localhost" }))).await.unwrap();
            assert!(output["addresses"].as_array().unwrap().contains(&json!("127.0.0.1")), "{output}");
        }
    }

    #[tokio::test]
    async fn an_unknown_name_is_said() {
        let error = DnsResolve.perform(&call(TargetKind::Http, "", json!({ "name": "nowhere.invalid" }))).await.unwrap_err();
        assert!(error.to_string().contains("nowhere.invalid"));
    }
}
