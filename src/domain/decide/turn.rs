//! One turn of deciding: the state as it changes, the facts that happened, the effects asked for.
//! Every fact goes through `emit`, so that what is decided next sees what was decided before.

use crate::domain::decide::command::{Command, Due, Effect, Refusal, Wake};
use crate::domain::decide::outbox::Letter;
use crate::domain::id::RunId;
use crate::domain::incident::Incident;
use crate::domain::limits::{Ledger, Spent};
use crate::domain::settings::Rulebook;
use crate::domain::time::Timestamp;
use crate::domain::timeline::{Actor, Entry, Event};

/// The longest note that goes with what a person does: it is copied into the sentences of several facts.
const LONGEST_NOTE: usize = 2_048;

/// What an incident answers to a command.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Decision {
    pub entries: Vec<Entry>,
    pub effects: Vec<Due>,
    /// Destructive attempts that it starts, as the limits count them.
    pub spent: Vec<Spent>,
    /// Runs that somebody has cancelled: what is under way of them is cut off.
    pub cut: Vec<RunId>,
}

/// What deciding may look at besides the incident.
#[derive(Debug)]
pub struct World<'a> {
    pub rulebook: &'a Rulebook,
    pub ledger: &'a mut Ledger,
    pub now: Timestamp,
    /// The number a new incident gets.
    pub next_number: u64,
}

/// One turn.
#[derive(Debug)]
pub struct Turn<'a, 'w> {
    pub state: &'a mut Incident,
    pub rulebook: &'w Rulebook,
    pub ledger: &'a mut Ledger,
    pub now: Timestamp,
    pub next_number: u64,
    pub actor: Actor,
    pub decision: Decision,
    /// Messages written so far and not put together yet.
    pub letters: Vec<Letter>,
}

/// Decides one command; the state already holds the decision's facts afterwards. A refusal has changed nothing.
pub fn decide(state: &mut Incident, actor: Actor, command: Command, world: World<'_>) -> Result<Decision, Refusal> {
    let mut turn = Turn {
        state,
        rulebook: world.rulebook,
        ledger: world.ledger,
        now: world.now,
        next_number: world.next_number,
        actor,
        decision: Decision::default(),
        letters: Vec::new(),
    };
    turn.answer(command)?;
    turn.post_letters();
    let Turn { state, ledger, decision, rulebook, .. } = turn;
    ledger.targets.take(state, rulebook);
    ledger.switch.take(state);
    Ok(decision)
}

impl Turn<'_, '_> {
    fn answer(&mut self, command: Command) -> Result<(), Refusal> {
        if let Some(note) = note_of(&command).filter(|note| note.len() > LONGEST_NOTE) {
            return Err(Refusal::Invalid(format!(
                "a note has at most {LONGEST_NOTE} bytes, this one has {}; a comment may have more, or link to where it stands",
                note.len()
            )));
        }
        match command {
            Command::Observe(observation) => self.observe(&observation),
            Command::Measured { signals, warnings } => self.measured(signals, warnings),
            Command::Wake(wake) => self.wake(wake),
            Command::Plan(occurrence) => self.plan_occurrence(occurrence),
            Command::Proceed { run } => drop(self.proceed(run)),
            Command::Performed(performed) => self.performed(performed),
            Command::AnsweredLate(late) => self.answered_late(late),
            Command::Recover(outage) => self.recover(&outage),
            Command::Interrupted(attempt) => self.interrupted(&attempt),
            Command::Withheld(attempt) => self.not_begun(&attempt, "automation was held before it began"),
            Command::PutBack(attempt) => self.put_back(&attempt),
            Command::Held { cancel } => self.held(cancel),
            Command::Released { by, reason, leave_out } => self.released(by, reason, leave_out),
            Command::Told(told) => self.told(told),
            Command::Acknowledge { note } => return self.acknowledge(note),
            Command::Unacknowledge => return self.unacknowledge(),
            Command::Resolve { note } => return self.resolve_by_person(note),
            Command::Unresolve => return self.unresolve(),
            Command::Reopen { note } => return self.reopen_by_person(note),
            Command::Snooze { span } => return self.snooze(span),
            Command::SetPriority { priority, note } => return self.set_priority(priority, note),
            Command::Comment { text } => return self.comment(text),
            Command::Assign { to } => return self.assign(to),
            Command::Escalate { note } => return self.escalate_now(note),
            Command::StartRun { playbook, vars } => return self.start_by_person(&playbook, &vars),
            Command::CancelRun { run, note } => return self.cancel_run(run, &note),
            Command::SettleStep { run, step, outcome, note } => return self.settle_step(run, &step, outcome, note),
            Command::RetryStep { run, step, note } => return self.retry_step(run, &step, &note),
            Command::AnswerApproval { run, step, yes, note } => return self.answer_approval(run, &step, yes, note),
            Command::UndoStep { run, step, note } => return self.undo_by_person(run, &step, &note),
            Command::SkipStep { run, step, note } => return self.skip_step(run, &step, &note),
            Command::Rearm { playbook, note } => return self.rearm(playbook, note),
            Command::Inherit { from, title, target } => self.inherit(from, &title, &target),
        }
        Ok(())
    }

    fn wake(&mut self, wake: Wake) {
        match wake {
            Wake::Escalate { generation, start } => self.escalation_due(generation, start),
            Wake::Settle { since } => self.settled(since),
            Wake::Stale { since } => self.stale(since),
            Wake::Step { run, step, attempt } => self.step_due(run, step.as_deref(), attempt),
            Wake::Undo { run, step } => self.undo_due(run, &step),
            Wake::Approval { run, step } => self.approval_expired(run, &step),
            Wake::RunOut { run } => self.run_out(run),
            Wake::Occur { occurrence } => self.occur(&occurrence),
            Wake::Tell { .. } => self.tell_later(wake),
        }
    }

    /// A fact by whoever asked.
    pub(super) fn emit(&mut self, event: Event) {
        self.emit_as(self.actor.clone(), event);
    }

    /// A fact by the engine, whoever asked.
    pub(super) fn emit_engine(&mut self, event: Event) {
        self.emit_as(Actor::engine(), event);
    }

    pub(super) fn emit_as(&mut self, actor: Actor, event: Event) {
        let entry = Entry { seq: self.state.seq + 1, at: self.now, actor, event };
        self.state.apply(&entry);
        self.decision.entries.push(entry);
    }

    /// Asks for an effect now.
    pub(super) fn ask(&mut self, effect: Effect) {
        self.ask_at(self.now, effect);
    }

    pub(super) fn ask_at(&mut self, at: Timestamp, effect: Effect) {
        self.decision.effects.push(Due { at, effect });
    }

    pub(super) fn wake_at(&mut self, at: Timestamp, wake: Wake) {
        self.ask_at(at, Effect::Wake { wake });
    }
}

/// The words that a person left with a command.
fn note_of(command: &Command) -> Option<&str> {
    match command {
        Command::Acknowledge { note }
        | Command::Resolve { note }
        | Command::Reopen { note }
        | Command::SetPriority { note, .. }
        | Command::Escalate { note }
        | Command::CancelRun { note, .. }
        | Command::SettleStep { note, .. }
        | Command::RetryStep { note, .. }
        | Command::UndoStep { note, .. }
        | Command::SkipStep { note, .. }
        | Command::AnswerApproval { note, .. }
        | Command::Rearm { note, .. } => Some(note),
        _ => None,
    }
}
