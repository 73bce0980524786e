//! The red switch in the engine: who throws it, what each commit looks at before it decides anything, and the gate that an attempt
//! passes before it begins. Knows no page and no file; what a file says comes through a port.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::oneshot;

use crate::domain::decide::command::{Command, Refusal};
use crate::domain::hold::{Hand, Hold, Holds};
use crate::domain::settings::{Automation, Rulebook};
use crate::domain::time::Timestamp;
use crate::domain::timeline::Actor;
use crate::engine::commit::{Draft, Fault, Work, Writer};
use crate::engine::runtime::{EngineError, Runtime};

/// A person's wish.
pub struct Throw {
    pub by: String,
    pub reason: String,
    pub wish: Wish,
    pub done: oneshot::Sender<Result<Holds, EngineError>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// Nothing destructive begins from that commit on; with `cancel`, what is under way is cancelled.
    Hold { cancel: bool },
    /// What waited for it begins, or is left out.
    Release { leave_out: bool },
}

/// What an attempt passes before it begins. It is shut before the commit that holds automation, so that whatever begins has begun
/// before that commit, and it is opened only once a commit says that nobody holds any more.
#[derive(Debug, Default)]
pub struct Gate(AtomicBool);

impl Gate {
    pub fn is_shut(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }

    pub fn shut(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    pub fn follow(&self, holds: &Holds) {
        self.0.store(!holds.are_none(), Ordering::SeqCst);
    }
}

impl Runtime {
    /// Holds automation, whoever else does.
    pub async fn hold(&self, by: &str, reason: &str, cancel: bool) -> Result<Holds, EngineError> {
        self.throw(by, reason, Wish::Hold { cancel }).await
    }

    /// Lets go of what people hold; what a file or the settings hold stays held.
    pub async fn release(&self, by: &str, reason: &str, leave_out: bool) -> Result<Holds, EngineError> {
        self.throw(by, reason, Wish::Release { leave_out }).await
    }

    /// Has the writer look at the file and the settings now, though nothing else happens.
    pub fn look(&self) {
        // A queue that is full looks with whatever stands in it; without a writer the next one looks first of all.
        let _ = self.hand_in(Work::Look);
    }

    async fn throw(&self, by: &str, reason: &str, wish: Wish) -> Result<Holds, EngineError> {
        let (done, answer) = oneshot::channel();
        let throw = Throw { by: by.to_owned(), reason: reason.to_owned(), wish, done };
        self.hand_in(Work::Throw(throw))?;
        answer.await.map_err(|_| self.nobody())?
    }
}

impl Writer {
    /// Before anything else is decided: what the file and the settings say counts from this commit on.
    pub(super) async fn look_at_hands(&mut self, rulebook: &Rulebook, now: Timestamp, draft: &mut Draft) -> Result<(), Fault> {
        let pulled = self.shared.hands().brake.and_then(|brake| brake.pulled());
        let set = (rulebook.automation == Automation::Held).then(|| ("reynard.yaml".to_owned(), String::new()));
        for (hand, says) in [(Hand::File, pulled), (Hand::Settings, set)] {
            let known = self.ledger.switch.holds.by(hand).map(|hold| hold.by.clone());
            match (says, known) {
                (Some((by, reason)), None) => {
                    let begins = self.ledger.switch.holds.put(hand, Hold { by, at: now, reason });
                    self.tell_of_hold(begins, false, (rulebook, now), draft).await?;
                }
                (None, Some(by)) => {
                    if self.ledger.switch.holds.lift(hand) {
                        let released = Command::Released { by, reason: String::new(), leave_out: false };
                        self.tell_all(&Actor::engine(), &released, (rulebook, now), draft).await?;
                    }
                    draft.batch.holds = Some(self.ledger.switch.holds.clone());
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// A person holds or releases.
    pub(super) async fn throw(&mut self, throw: &Throw, rulebook: &Rulebook, now: Timestamp, draft: &mut Draft) -> Result<(), Fault> {
        let actor = Actor::Person(throw.by.clone());
        let held = self.ledger.switch.holds.by(Hand::Person).is_some();
        let answer = match throw.wish {
            Wish::Hold { cancel } => {
                // Who holds already stays the one who does: the wish is fulfilled.
                let hold = Hold { by: throw.by.clone(), at: now, reason: throw.reason.clone() };
                let begins = !held && self.ledger.switch.holds.put(Hand::Person, hold);
                if cancel {
                    self.tell_all(&actor, &Command::Held { cancel }, (rulebook, now), draft).await?;
                }
                self.tell_of_hold(begins, held, (rulebook, now), draft).await?;
                Ok(())
            }
            Wish::Release { .. } if !held && self.ledger.switch.holds.are_none() => Err(Refusal::NotHeld),
            Wish::Release { .. } if !held => Err(Refusal::AutomationHeld(self.ledger.switch.holds.in_words())),
            Wish::Release { leave_out } => {
                if self.ledger.switch.holds.lift(Hand::Person) {
                    let released = Command::Released { by: throw.by.clone(), reason: throw.reason.clone(), leave_out };
                    self.tell_all(&actor, &released, (rulebook, now), draft).await?;
                }
                draft.batch.holds = Some(self.ledger.switch.holds.clone());
                Ok(())
            }
        };
        draft.thrown.push(answer.map(|()| self.ledger.switch.holds.clone()).map_err(EngineError::from));
        Ok(())
    }

    async fn tell_of_hold(&mut self, begins: bool, known: bool, when: (&Rulebook, Timestamp), draft: &mut Draft) -> Result<(), Fault> {
        if !known {
            draft.batch.holds = Some(self.ledger.switch.holds.clone());
        }
        if begins {
            self.tell_all(&Actor::engine(), &Command::Held { cancel: false }, when, draft).await?;
        }
        Ok(())
    }

    /// Every incident that it matters to hears of it in the same commit.
    async fn tell_all(
        &mut self,
        actor: &Actor,
        command: &Command,
        (rulebook, now): (&Rulebook, Timestamp),
        draft: &mut Draft,
    ) -> Result<(), Fault> {
        let concerned = self.ledger.switch.concerned();
        let unknown: Vec<_> = concerned.iter().copied().filter(|id| !self.incidents.contains_key(id)).collect();
        if !unknown.is_empty() {
            self.bring_in(&unknown).await?;
        }
        for id in concerned {
            // The switch is never refused.
            let _ = self.decide(id, actor.clone(), command.clone(), rulebook, now, draft)?;
            self.let_next_begin(rulebook, now, draft).await?;
        }
        Ok(())
    }
}
