//! The red switch in the engine: who throws it, and what each commit looks at before it decides anything.
//! Knows no page and no file; what a file says comes through a port.

use tokio::sync::oneshot;

use crate::domain::decide::command::{Command, Refusal};
use crate::domain::hold::{Hand, Hold, Holds};
use crate::domain::settings::{Automation, Rulebook};
use crate::domain::time::Timestamp;
use crate::domain::timeline::Actor;
use crate::engine::commit::{Draft, Fault, Writer};
use crate::engine::error::EngineError;
use crate::engine::runtime::Runtime;
use crate::engine::work::{Throw, Wish, Work};

impl Runtime {
    /// Holds automation, whoever else does.
    pub async fn hold(&self, by: &str, reason: &str, cancel: bool) -> Result<Holds, EngineError> {
        self.throw(by, reason, Wish::Hold { cancel }).await
    }

    /// Lets go of what people hold; what a file or the settings hold stays held.
    pub async fn release(&self, by: &str, reason: &str, leave_out: bool) -> Result<Holds, EngineError> {
        self.throw(by, reason, Wish::Release { leave_out }).await
    }

    /// Has the writer look at the file and the settings if they say something else than the last commit, though nothing else happens.
    pub fn look_if_changed(&self) {
        if self.shared.gate.differs(self.shared.brake_says(), &self.rulebook()) {
            // A queue that is full looks with whatever stands in it; without a writer the next one looks first of all.
            let _ = self.hand_in(Work::Look { done: None });
        }
    }

    async fn throw(&self, by: &str, reason: &str, wish: Wish) -> Result<Holds, EngineError> {
        let (done, answer) = oneshot::channel();
        let throw = Throw { by: by.to_owned(), reason: reason.to_owned(), wish, done };
        self.hand_in(Work::Throw(throw)).map_err(|unheard| self.why(unheard))?;
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
                    self.put_hold(hand, Hold { by, at: now, reason }, draft);
                    self.tell_all(&Actor::engine(), &Command::Held { cancel: false }, (rulebook, now), draft).await?;
                }
                (None, Some(by)) => {
                    let released = Command::Released { by, reason: String::new(), leave_out: false };
                    self.lift(hand, (Actor::engine(), released), (rulebook, now), draft).await?;
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
                if !held {
                    self.put_hold(Hand::Person, Hold { by: throw.by.clone(), at: now, reason: throw.reason.clone() }, draft);
                }
                self.tell_all(&actor, &Command::Held { cancel }, (rulebook, now), draft).await?;
                Ok(())
            }
            Wish::Release { .. } if self.ledger.switch.holds.are_none() => Err(Refusal::NotHeld),
            Wish::Release { .. } if !held => Err(Refusal::HeldOtherwise(self.ledger.switch.holds.in_words())),
            Wish::Release { leave_out } => {
                let released = Command::Released { by: throw.by.clone(), reason: throw.reason.clone(), leave_out };
                self.lift(Hand::Person, (actor, released), (rulebook, now), draft).await?;
                Ok(())
            }
        };
        draft.thrown.push(answer.map(|()| self.ledger.switch.holds.clone()).map_err(EngineError::from));
        Ok(())
    }

    fn put_hold(&mut self, hand: Hand, hold: Hold, draft: &mut Draft) {
        self.ledger.switch.holds.put(hand, hold);
        draft.batch.holds = Some(self.ledger.switch.holds.clone());
    }

    /// One hand lets go; with the last one, what waited goes on.
    async fn lift(
        &mut self,
        hand: Hand,
        (actor, released): (Actor, Command),
        when: (&Rulebook, Timestamp),
        draft: &mut Draft,
    ) -> Result<(), Fault> {
        let last = self.ledger.switch.holds.lift(hand);
        draft.batch.holds = Some(self.ledger.switch.holds.clone());
        if last { self.tell_all(&actor, &released, when, draft).await } else { Ok(()) }
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
        self.bring_in_missing(&concerned).await?;
        for id in concerned {
            match self.decide(id, actor.clone(), command.clone(), rulebook, now, draft) {
                // A mistake of ours about one incident must not keep all of automation from being held.
                Err(Fault::Panic(id)) if !draft.batch.entries.iter().any(|(of, _)| *of == id) => {
                    tracing::error!(incident = %id, "Telling of the switch panicked, which is a mistake of Reynard's; the switch holds");
                    draft.touched.remove(&id);
                    self.incidents.forget(id);
                }
                // The switch is never refused.
                told => drop(told?),
            }
            self.let_next_begin(rulebook, now, draft).await?;
        }
        Ok(())
    }
}
