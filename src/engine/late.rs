//! Answers that come when nobody waits for them any more: listened for a while after an attempt's time is over, and taken to whoever
//! writes the log by then. They are written down and change nothing. Knows no action.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use serde::{Deserialize, Serialize};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::sleep;
use uuid::Uuid;

use crate::domain::decide::command::{AttemptRef, Command, Failure, LateAnswer, Performed};
use crate::domain::id::{DeliveryId, IncidentId};
use crate::domain::time::Timestamp;
use crate::domain::timeline::Actor;
use crate::engine::brief::Attempt;
use crate::engine::ports::Coming;
use crate::engine::pulse::Beat;
use crate::engine::shared::Shared;
use crate::engine::store::{Delivery, Inbox, StoreError};
use crate::engine::work::{Item, Put, Work};

/// How long an answer is listened for once nobody waits for it, and how many at once; one more is let go of.
const LISTENS_FOR: Duration = Duration::from_secs(10 * 60);
const EARS: usize = 64;
/// What stands where a delivery's source does. No source can be called so: it is no name.
const SOURCE: &str = "a late answer";
/// How often it is tried to leave an answer with the database, and the pause in between.
const TRIES: u32 = 60;
const AGAIN: Duration = Duration::from_secs(1);

/// A hand's way to the writer, which may be another node's by the time there is something to say.
#[derive(Clone)]
pub struct Voice {
    shared: Arc<Shared>,
    ears: Arc<Semaphore>,
    /// None where no other node could take the work.
    letterbox: Option<Letterbox>,
}

impl Voice {
    pub fn new(shared: Arc<Shared>, letterbox: Option<Letterbox>) -> Self {
        Self { shared, ears: Arc::new(Semaphore::new(EARS)), letterbox }
    }

    /// Returns once the writer has committed it. An attempt's answer that no writer here takes any more is left for the one that has
    /// the work now.
    pub async fn says(
        &self,
        queue: Option<mpsc::Sender<Item>>,
        incident: IncidentId,
        (command, settles): (Command, Option<i64>),
        beat: Beat,
    ) {
        let (done, answer) = oneshot::channel();
        let stray = self.letterbox.as_ref().and_then(|letterbox| Some((letterbox, letterbox.stray(incident, &command)?)));
        let put = Put { incident, actor: Actor::engine(), command, settles, from_inbox: None, request: None, done: Some(done) };
        let item = Item { work: Work::Put(put), beat };
        let sent = match queue {
            Some(queue) => queue.send(item).await.is_ok(),
            None => false,
        };
        if let (false, Some((letterbox, body))) = (sent && answer.await.is_ok(), stray) {
            letterbox.leave(body, self.shared.clock.now()).await;
        }
    }

    /// Listens on for what an attempt may still answer though its time is over: its place among the attempts is free meanwhile, an
    /// orderly end does not wait for it, and what it says changes nothing.
    pub fn listens(&self, queue: mpsc::WeakSender<Item>, incident: IncidentId, (attempt, began): (&Attempt, Timestamp), answer: Coming) {
        let Ok(ear) = self.ears.clone().try_acquire_owned() else {
            return tracing::debug!(key = attempt.key, "Too many answers are late at once; this one is not listened for");
        };
        let (voice, reference, timeout, cut) = (self.clone(), attempt.reference.clone(), attempt.timeout, attempt.cut.clone());
        tokio::spawn(async move {
            // A mistake in a hand is told in the log; there is nothing that it could hold up any more.
            let heard = tokio::select! {
                biased;
                heard = tokio::time::timeout(LISTENS_FOR, AssertUnwindSafe(answer).catch_unwind()) => heard,
                () = cut.made() => return,
            };
            drop(ear);
            let Ok(Ok(said)) = heard else { return };
            let duration_ms = voice.shared.clock.now().since(began).as_millis();
            let performed = Performed { attempt: reference, result: said.map_err(Failure::from), duration_ms };
            let late = LateAnswer { performed, why: format!("its timeout of {timeout} had passed") };
            let beat = voice.shared.pulse.begin();
            voice.says(queue.upgrade(), incident, (Command::AnsweredLate(late), None), beat).await;
        });
    }
}

/// An answer on its way to another node.
#[derive(Debug, Serialize, Deserialize)]
struct Stray {
    incident: IncidentId,
    answer: LateAnswer,
}

/// Where a node leaves an answer that it may not write down itself: the database has room for what waits for the writer.
#[derive(Clone)]
pub struct Letterbox {
    pub inbox: Arc<dyn Inbox>,
    pub node: Arc<str>,
}

impl Letterbox {
    /// What would have to be left there if nobody hears of the command here; none if nothing would be lost.
    pub fn stray(&self, incident: IncidentId, command: &Command) -> Option<Vec<u8>> {
        let answer = match command {
            Command::AnsweredLate(late) => late.clone(),
            // A look is made anew by whoever has the work now, and that nobody knows is known there already.
            Command::Performed(performed) if !performed.attempt.check && !matches!(performed.result, Err(Failure::Unknown(_))) => {
                let why = format!("its node {} had lost the work to another one", self.node);
                LateAnswer { performed: performed.clone(), why }
            }
            _ => return None,
        };
        serde_json::to_vec(&Stray { incident, answer }).ok()
    }

    /// Leaves it for whoever writes, which may be this node again.
    pub async fn leave(&self, body: Vec<u8>, now: Timestamp) {
        let delivery = Delivery { id: DeliveryId(Uuid::now_v7()), source: SOURCE.to_owned(), received_at: now, body };
        for _ in 0..TRIES {
            match self.inbox.put(&delivery).await {
                // One that is refused is there already: an earlier try was made, and its answer lost.
                Ok(()) | Err(StoreError::Refused(_)) => return,
                Err(error) => tracing::debug!(%error, "A late answer could not be left with the database; trying again"),
            }
            sleep(AGAIN).await;
        }
        tracing::warn!("The database could not be reached for a minute: a late answer is lost");
    }
}

/// The command that records what another node has left, if it is that and no delivery.
pub fn read(delivery: &Delivery) -> Option<(IncidentId, Command)> {
    if delivery.source != SOURCE {
        return None;
    }
    let stray: Stray = serde_json::from_slice(&delivery.body)
        .inspect_err(|error| tracing::error!(%error, "A late answer that another node has left cannot be read; it is let go"))
        .unwrap_or_else(|_| nothing());
    Some((stray.incident, Command::AnsweredLate(stray.answer)))
}

/// An answer to nobody: it only leaves the inbox.
fn nothing() -> Stray {
    let attempt = AttemptRef { run: Default::default(), step: String::new(), attempt: 0, undo: false, check: false };
    let performed = Performed { attempt, result: Ok(serde_json::Value::Null), duration_ms: 0 };
    Stray { incident: IncidentId::default(), answer: LateAnswer { performed, why: String::new() } }
}
