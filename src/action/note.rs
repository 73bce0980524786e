//! `note`: a sentence for the timeline. Declared here, done by the core in the commit that starts it.

use async_trait::async_trait;
use serde_json::Value;

use crate::domain::action::{OnInterrupt, Param, ParamType, Performer, Spec};
use crate::engine::ports::{Action, ActionError, Call};

pub const SPEC: Spec = Spec {
    name: "note",
    doc: "Writes a sentence onto the incident's timeline.",
    performer: Performer::Core,
    destructive: false,
    on_interrupt: OnInterrupt::Retry,
    targets: &[],
    params: &[Param::required("text", ParamType::Text, "the sentence")],
    undoable: false,
    output: &[],
};

/// The action, by name only.
pub struct Note;

#[async_trait]
impl Action for Note {
    fn spec(&self) -> Spec {
        SPEC
    }

    async fn perform(&self, _call: &Call) -> Result<Value, ActionError> {
        Err(ActionError::Fatal("the core does this".to_owned()))
    }
}
