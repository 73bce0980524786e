//! What the engine needs of the outer rooms, as traits: a clock, actions, channels.
//! Knows none of their implementations.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::domain::action::Spec;
use crate::domain::decide::command::Failure;
use crate::domain::settings::Target;
use crate::domain::time::{Span, Timestamp};

/// The one source of "now".
#[async_trait]
pub trait Clock: Send + Sync {
    fn now(&self) -> Timestamp;

    /// Returns when the clock has reached `at`, or earlier; callers look at `now` again.
    async fn wait_until(&self, at: Timestamp);

    /// How far the machine's clock lies behind the time that is told.
    fn trails(&self) -> Span {
        Span::ZERO
    }

    /// The latest instant that an earlier life committed: time goes on from there.
    fn not_before(&self, _at: Timestamp) {}
}

/// Somebody outside who is told that all is well, and who raises the alarm when nothing comes.
#[async_trait]
pub trait Heart: Send + Sync {
    /// Or why it could not be told; no secret in it.
    async fn beat(&self) -> Result<(), String>;
}

/// A switch that is not the page's: it holds automation also when nobody can reach a page.
pub trait Brake: Send + Sync {
    /// Its name for people, and what it says, while it is pulled.
    fn pulled(&self) -> Option<(String, String)>;
}

/// One attempt of one step, as an action sees it.
#[derive(Clone, Debug)]
pub struct Call {
    /// `RUN:STEP:VISIT`, the same over all attempts; sent as `Idempotency-Key`.
    pub key: String,
    /// 1 for the first; sent as `Reynard-Attempt`.
    pub attempt: u32,
    /// The target, if the action takes one.
    pub target: Option<Target>,
    /// The step's `with:`, holes filled.
    pub params: Value,
    /// What remains of the step's timeout; the engine also enforces it from outside.
    pub timeout: Duration,
    /// Where an answer is left that may still come when that time is over.
    pub late: Late,
    /// Made when somebody cancels its run.
    pub cut: Cut,
}

/// Cuts an attempt off. Whoever performs it ends it then, as cleanly and as soon as it can be ended, and says what is known of it;
/// what is not ended within a few seconds is dropped.
#[derive(Clone, Debug, Default)]
pub struct Cut(Arc<CancellationToken>);

impl Cut {
    pub(super) fn of(token: Arc<CancellationToken>) -> Self {
        Self(token)
    }

    /// One that was made before anything began.
    pub fn already() -> Self {
        let cut = Self::default();
        cut.make();
        cut
    }

    pub fn make(&self) {
        self.0.cancel();
    }

    pub fn is_made(&self) -> bool {
        self.0.is_cancelled()
    }

    /// Returns once it is made.
    pub async fn made(&self) {
        self.0.cancelled().await;
    }
}

/// An answer that is still on its way.
pub type Coming = BoxFuture<'static, Result<Value, ActionError>>;

/// Takes an answer that may still come when an attempt's time is over. Whoever leaves one here does nothing any more but wait for
/// it: the attempt is over, and what it says changes nothing.
#[derive(Clone, Default)]
pub struct Late(Arc<Mutex<Option<Coming>>>);

impl Late {
    pub fn may_come(&self, answer: Coming) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(answer);
    }

    /// What was left, once.
    pub fn take(&self) -> Option<Coming> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl fmt::Debug for Late {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Late")
    }
}

/// Why an attempt did not succeed. The texts go onto the timeline: no secrets in them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ActionError {
    /// It did not happen and may go well later.
    #[error("{0}")]
    Retry(String),
    /// It did not happen and will not.
    #[error("{0}")]
    Fatal(String),
    /// It was not tried, because the settings do not admit it here.
    #[error("{0}")]
    Barred(String),
    /// It may have happened: the answer was lost after the deed was sent.
    #[error("{0}")]
    Unknown(String),
}

impl From<ActionError> for Failure {
    fn from(error: ActionError) -> Self {
        match error {
            ActionError::Retry(reason) => Self::Retry(reason),
            ActionError::Fatal(reason) => Self::Fatal(reason),
            ActionError::Barred(reason) => Self::Barred(reason),
            ActionError::Unknown(reason) => Self::Unknown(reason),
        }
    }
}

/// What a look says of a deed whose answer was lost. The texts go onto the timeline: no secrets in them.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// It took effect.
    Confirmed(Value),
    /// It did not: somebody answered, and the answer was another one.
    Denied(String),
    /// Nobody answered, or with nothing that says anything.
    CannotTell(String),
}

/// A kind of step.
#[async_trait]
pub trait Action: Send + Sync {
    fn spec(&self) -> Spec;

    /// Does it once; the output is shown and readable by later steps.
    async fn perform(&self, call: &Call) -> Result<Value, ActionError>;

    /// Looks whether another step took effect, as its `check:`. An action that tells "no" from "cannot say" has a verdict of its own.
    async fn check(&self, call: &Call) -> Verdict {
        match self.perform(call).await {
            Ok(output) => Verdict::Confirmed(output),
            Err(error) => Verdict::CannotTell(error.to_string()),
        }
    }

    /// Takes it back. Only called when the spec says `undoable`.
    async fn undo(&self, _call: &Call) -> Result<Value, ActionError> {
        Err(ActionError::Fatal("this action cannot be undone".to_owned()))
    }
}

/// A rendered message for one recipient.
#[derive(Clone, Debug)]
pub struct Message {
    /// The same over all attempts: a `Message-ID`, an `Idempotency-Key`.
    pub key: String,
    /// The person told; none when the channel itself is.
    pub person: Option<String>,
    pub email: Option<String>,
    pub slack: Option<String>,
    pub subject: String,
    pub text: String,
    pub html: String,
    /// Short, for chats.
    pub chat: String,
    /// The facts behind the words, for plain webhooks.
    pub data: Value,
}

/// How a message went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delivered {
    /// Taken by the other side; its words.
    Sent(String),
    /// Not taken; try again, not before this long if the other side said so.
    Again { reason: String, after: Option<Duration> },
    /// Refused for good.
    Never(String),
}

/// A way to tell people.
#[async_trait]
pub trait Sender: Send + Sync {
    async fn send(&self, message: &Message) -> Delivered;
}
