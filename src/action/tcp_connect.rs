//! `tcp.connect`: opens a connection and closes it. Sends no byte.

use std::time::Duration;

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use crate::action::egress::Egress;
use crate::action::params;
use crate::domain::action::{Field, OnInterrupt, Param, ParamType, Performer, Spec};
use crate::engine::ports::{Action, ActionError, Call};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

pub const SPEC: Spec = Spec {
    name: "tcp.connect",
    doc: "Checks that something listens at an address which `egress.allow` admits.",
    performer: Performer::Worker,
    destructive: false,
    on_interrupt: OnInterrupt::Retry,
    targets: &[],
    params: &[Param::required("address", ParamType::Text, "host:port")],
    undoable: false,
    output: &[Field::text("address", "the address that answered"), Field::number("milliseconds", "how long it took")],
};

/// The action.
pub struct TcpConnect {
    egress: Egress,
}

#[derive(Deserialize)]
struct Params {
    address: String,
}

impl TcpConnect {
    pub fn new(egress: Egress) -> Self {
        Self { egress }
    }
}

#[async_trait]
impl Action for TcpConnect {
    fn spec(&self) -> Spec {
        SPEC
    }

    async fn perform(&self, call: &Call) -> Result<Value, ActionError> {
        let params: Params = params::read(call)?;
        let sockets = self.egress.sockets(&params.address).await?;
        let begun = Instant::now();
        // The very addresses that were checked, not the name: it might lead elsewhere by now.
        match timeout(CONNECT_TIMEOUT, TcpStream::connect(sockets.as_slice())).await {
            Ok(Ok(stream)) => answer(&stream, begun),
            Ok(Err(error)) => Err(ActionError::Retry(format!("{} does not answer: {error}", params.address))),
            Err(_) => Err(ActionError::Retry(format!("{} does not answer within {} s", params.address, CONNECT_TIMEOUT.as_secs()))),
        }
    }
}

fn answer(stream: &TcpStream, begun: Instant) -> Result<Value, ActionError> {
    let address = stream.peer_addr().map_err(|error| ActionError::Retry(error.to_string()))?;
    Ok(json!({ "address": address.to_string(), "milliseconds": begun.elapsed().as_millis() as u64 }))
}

#[cfg(test)]
mod tests {
    use regex::Regex;

    use super::*;
    use crate::action::http::tests::call;
    use crate::domain::action::TargetKind;
    use crate::recorder::{Recorder, nobody};

    async fn perform(pattern: &str, url: &str) -> Result<Value, ActionError> {
        let call = call(TargetKind::Http, "", json!({ "address": url.trim_start_matches("http://") }));
        TcpConnect::new(Egress::new(&[Regex::new(pattern).unwrap()])).perform(&call).await
    }

    #[tokio::test]
    async fn twice_with_one_key_connects_twice() {
        let server = Recorder::always(200, "").await;
        for _ in 0..2 {
            assert!(perform(r"127\.0\.0\.1", &server.url).await.unwrap()["milliseconds"].is_u64());
        }
    }

    #[tokio::test]
    async fn nobody_there_is_tried_again_and_forbidden_is_not() {
        let url = nobody().await;
        assert!(matches!(perform(r"127\.0\.0\.1", &url).await, Err(ActionError::Retry(_))));
        assert!(matches!(perform(".*", &url).await, Err(ActionError::Fatal(_))));
    }
}
