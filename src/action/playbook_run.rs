//! `playbook.run`: another playbook as a step. Declared here, done by the core, which starts the run and waits for its end.

use async_trait::async_trait;
use serde_json::Value;

use crate::domain::action::{Field, OnInterrupt, Param, ParamType, Performer, Spec};
use crate::engine::ports::{Action, ActionError, Call};

pub const SPEC: Spec = Spec {
    name: "playbook.run",
    doc: "Runs another playbook and ends as it ends.",
    performer: Performer::Core,
    destructive: false,
    on_interrupt: OnInterrupt::Retry,
    targets: &[],
    params: &[
        Param::required("playbook", ParamType::Text, "its file's name without .yaml"),
        Param::optional("vars", ParamType::Json, "values for its vars"),
    ],
    undoable: false,
    output: &[Field::text("run", "the run's id")],
};

/// The action, by name only.
pub struct PlaybookRun;

#[async_trait]
impl Action for PlaybookRun {
    fn spec(&self) -> Spec {
        SPEC
    }

    async fn perform(&self, _call: &Call) -> Result<Value, ActionError> {
        Err(ActionError::Fatal("the core does this".to_owned()))
    }
}
