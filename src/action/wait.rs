//! `wait`: a pause between steps. Declared here, done by the core in the commit that starts it.

use async_trait::async_trait;
use serde_json::Value;

use crate::domain::action::{OnInterrupt, Param, ParamType, Performer, Spec};
use crate::engine::ports::{Action, ActionError, Call};

pub const SPEC: Spec = Spec {
    name: "wait",
    doc: "Lets time pass before the next step.",
    performer: Performer::Core,
    destructive: false,
    on_interrupt: OnInterrupt::Retry,
    targets: &[],
    params: &[Param::required("for", ParamType::Span, "how long")],
    undoable: false,
    output: &[],
};

/// The action, by name only.
pub struct Wait;

#[async_trait]
impl Action for Wait {
    fn spec(&self) -> Spec {
        SPEC
    }

    async fn perform(&self, _call: &Call) -> Result<Value, ActionError> {
        Err(ActionError::Fatal("the core does this".to_owned()))
    }
}
