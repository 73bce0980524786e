//! `notify`: words for people. Declared here, done by the core in the commit that starts it.

use async_trait::async_trait;
use serde_json::Value;

use crate::domain::action::{OnInterrupt, Param, ParamType, Performer, Spec};
use crate::engine::ports::{Action, ActionError, Call};

pub const SPEC: Spec = Spec {
    name: "notify",
    doc: "Tells people, schedules or channels.",
    performer: Performer::Core,
    destructive: false,
    on_interrupt: OnInterrupt::Retry,
    targets: &[],
    params: &[
        Param::required("to", ParamType::Texts, "people, schedules, `on-call` or channels"),
        Param::optional("template", ParamType::Text, "a message template by name"),
        Param::optional("text", ParamType::Text, "the words themselves, instead of a template"),
    ],
    undoable: false,
    output: &[],
};

/// The action, by name only.
pub struct Notify;

#[async_trait]
impl Action for Notify {
    fn spec(&self) -> Spec {
        SPEC
    }

    async fn perform(&self, _call: &Call) -> Result<Value, ActionError> {
        Err(ActionError::Fatal("the core does this".to_owned()))
    }
}
