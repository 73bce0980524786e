//! The engine without its outside: incidents in memory, timers on a clock turned by hand, effects that are recorded and answered by
//! whoever stands for the targets. Knows no network, no disk and no time but its own.

use std::collections::BTreeMap;

use serde_json::Value;
use uuid::Uuid;

use crate::domain::decide::command::{AttemptRef, Command, Due, Effect, Performed, Refusal, Told, ToldOutcome, Wake};
use crate::domain::decide::recovery::Outage;
use crate::domain::decide::turn::{World, decide};
use crate::domain::id::{DeliveryId, IncidentId};
use crate::domain::incident::Incident;
use crate::domain::limits::Ledger;
use crate::domain::settings::Rulebook;
use crate::domain::time::{Span, Timestamp};
use crate::domain::timeline::{Actor, Entry, Event};
use crate::engine::brief::{Brief, brief};
use crate::engine::intake::observations;
use crate::engine::wire::Parsed;
use crate::rehearsal::answer::{Outcome, Targets};

/// More commands than this and something goes round in circles.
const MOST_TURNS: usize = 20_000;

/// A call that would have gone out.
#[derive(Clone, Debug, PartialEq)]
pub struct CallMade {
    pub at: Timestamp,
    pub step: String,
    pub attempt: u32,
    pub action: String,
    pub target: Option<String>,
    pub params: Value,
    pub undo: bool,
    pub check: bool,
}

/// A message that would have gone out.
#[derive(Clone, Debug, PartialEq)]
pub struct Letter {
    pub at: Timestamp,
    pub channel: String,
    pub person: Option<String>,
    pub template: String,
    pub text: Option<String>,
    pub reason: String,
}

/// What is to come.
enum Coming {
    Effect(Effect),
    Answer(Performed),
    Crash(AttemptRef),
}

pub struct Stage<'a> {
    rulebook: &'a Rulebook,
    targets: &'a mut dyn Targets,
    now: Timestamp,
    turns: usize,
    ledger: Ledger,
    incidents: BTreeMap<IncidentId, Incident>,
    keys: BTreeMap<String, IncidentId>,
    coming: BTreeMap<(Timestamp, usize), (IncidentId, Coming)>,
    numbered: usize,
    /// What Prometheus answers for signals that nothing else tells.
    pub signals: BTreeMap<String, f64>,
    pub entries: Vec<(IncidentId, Entry)>,
    pub calls: Vec<CallMade>,
    pub letters: Vec<Letter>,
}

impl<'a> Stage<'a> {
    pub fn new(rulebook: &'a Rulebook, targets: &'a mut dyn Targets, now: Timestamp) -> Self {
        Self {
            rulebook,
            targets,
            now,
            turns: 0,
            ledger: Ledger::default(),
            incidents: BTreeMap::new(),
            keys: BTreeMap::new(),
            coming: BTreeMap::new(),
            numbered: 0,
            signals: BTreeMap::new(),
            entries: Vec::new(),
            calls: Vec::new(),
            letters: Vec::new(),
        }
    }

    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// The incidents in the order they opened.
    pub fn incidents(&self) -> impl Iterator<Item = &Incident> {
        self.incidents.values()
    }

    /// A delivery comes in.
    pub fn hear(&mut self, source: &str, parsed: Parsed) {
        let delivery = DeliveryId(Uuid::from_u128(self.fresh() as u128));
        for (key, observation) in observations(delivery, source, parsed, &self.rulebook.incidents, self.now) {
            let id = match self.keys.get(&key).copied().filter(|id| self.still_answers(*id)) {
                Some(id) => id,
                None => self.open(key),
            };
            // Observations are never refused.
            let _ = self.put(id, Actor::Source(source.to_owned()), Command::Observe(observation));
        }
        self.incidents.retain(|_, incident| incident.seq > 0);
        self.keys.retain(|_, id| self.incidents.contains_key(id));
    }

    fn open(&mut self, key: String) -> IncidentId {
        let id = IncidentId(Uuid::from_u128(self.fresh() as u128));
        self.incidents.insert(id, Incident::blank(id));
        self.keys.insert(key, id);
        id
    }

    fn still_answers(&self, id: IncidentId) -> bool {
        self.incidents.get(&id).is_some_and(|incident| match incident.resolved_at {
            Some(at) if !incident.is_open() => self.now.since(at) < self.rulebook.incidents.reopen_within,
            _ => true,
        })
    }

    /// Puts a command to an incident and takes what follows from it.
    pub fn put(&mut self, id: IncidentId, actor: Actor, command: Command) -> Result<(), Refusal> {
        self.turns += 1;
        let number = u64::try_from(self.incidents.len()).unwrap_or(u64::MAX);
        let Some(state) = self.incidents.get_mut(&id) else { return Ok(()) };
        let world = World { rulebook: self.rulebook, ledger: &mut self.ledger, now: self.now, next_number: number };
        let decision = decide(state, actor, command, world)?;
        for Due { at, effect } in decision.effects {
            self.later(at, id, Coming::Effect(effect));
        }
        let mut ended = Vec::new();
        for entry in decision.entries {
            if let Event::RunSucceeded { playbook, .. } | Event::RunFailed { playbook, .. } | Event::RunCancelled { playbook, .. } =
                &entry.event
            {
                ended.push(playbook.clone());
            }
            self.entries.push((id, entry));
        }
        ended.into_iter().for_each(|playbook| self.let_next_begin(&playbook));
        self.let_next_go_on();
        Ok(())
    }

    fn let_next_begin(&mut self, playbook: &str) {
        while let Some(next) = self.ledger.next_in_line(playbook) {
            let _ = self.put(next.incident, Actor::engine(), Command::Proceed { run: next.run });
            if self.ledger.next_in_line(playbook) == Some(next) {
                break;
            }
        }
    }

    /// Whoever waits for a target that nobody changes any more goes on.
    fn let_next_go_on(&mut self) {
        while let Some(place) = self.ledger.targets.next_in_line()
            && self.turns < MOST_TURNS
        {
            let wake = Wake::Step { run: place.run, step: Some(place.step), attempt: place.attempt };
            let _ = self.put(place.incident, Actor::engine(), Command::Wake(wake));
        }
    }

    /// Lets time pass up to and with `until`. False when things go round in circles.
    pub fn pass_until(&mut self, until: Timestamp) -> bool {
        while let Some((&(at, number), _)) = self.coming.first_key_value()
            && at <= until
            && self.turns < MOST_TURNS
        {
            if let Some((id, coming)) = self.coming.remove(&(at, number)) {
                self.now = self.now.max(at);
                self.carry_out(id, coming);
            }
        }
        self.now = self.now.max(until);
        self.turns < MOST_TURNS
    }

    /// When the next thing is due, if anything is.
    pub fn next_at(&self) -> Option<Timestamp> {
        self.coming.first_key_value().map(|((at, _), _)| *at)
    }

    fn carry_out(&mut self, id: IncidentId, coming: Coming) {
        let command = match coming {
            Coming::Answer(performed) => Command::Performed(performed),
            Coming::Crash(attempt) => return self.crash(id, attempt),
            Coming::Effect(Effect::Wake { wake }) => Command::Wake(wake),
            Coming::Effect(Effect::Measure) => Command::Measured { signals: self.signals.clone(), warnings: Vec::new() },
            Coming::Effect(Effect::Send { notification, attempt }) => {
                self.write_down(id, notification);
                Command::Told(Told { notification, attempt, outcome: ToldOutcome::Sent("rehearsed".to_owned()) })
            }
            Coming::Effect(effect @ Effect::Perform { .. }) => return self.perform(id, &effect),
        };
        let _ = self.put(id, Actor::engine(), command);
    }

    fn write_down(&mut self, id: IncidentId, notification: u32) {
        let Some(queued) = self.incidents.get(&id).and_then(|incident| incident.notifications.get(&notification)) else { return };
        self.letters.push(Letter {
            at: self.now,
            channel: queued.channel.clone(),
            person: queued.person.clone(),
            template: queued.template.clone(),
            text: queued.text.clone(),
            reason: queued.reason.clone(),
        });
    }

    fn perform(&mut self, id: IncidentId, effect: &Effect) {
        let found = self.incidents.get(&id).and_then(|incident| brief(incident, self.rulebook, effect));
        let Some(Brief::Perform(attempt)) = found else { return };
        let reference = attempt.reference.clone();
        self.calls.push(CallMade {
            at: self.now,
            step: reference.step.clone(),
            attempt: reference.attempt,
            action: attempt.action.clone(),
            target: attempt.target.as_ref().map(|target| target.name.clone()),
            params: attempt.params.clone(),
            undo: reference.undo,
            check: reference.check,
        });
        let answer = self.targets.answer(&attempt);
        let late = answer.after >= attempt.timeout;
        let after = answer.after.min(attempt.timeout);
        let coming = match answer.outcome {
            Outcome::Crash => Coming::Crash(reference),
            Outcome::Ended(_) if late => {
                let reason = format!("no answer within {}", attempt.timeout);
                let result = Err(crate::domain::decide::command::Failure::Unknown(reason));
                Coming::Answer(Performed { attempt: reference, result, duration_ms: after.as_millis() })
            }
            Outcome::Ended(result) => Coming::Answer(Performed { attempt: reference, result, duration_ms: after.as_millis() }),
        };
        self.later(self.now + after, id, coming);
    }

    /// Everything under way is cut off, and the next life finds it.
    fn crash(&mut self, id: IncidentId, attempt: AttemptRef) {
        let mut cut_off = vec![(id, attempt)];
        self.coming.retain(|_, (incident, coming)| match coming {
            Coming::Answer(Performed { attempt, .. }) | Coming::Crash(attempt) => {
                cut_off.push((*incident, attempt.clone()));
                false
            }
            Coming::Effect(_) => true,
        });
        for (id, attempt) in cut_off {
            let missed = vec![Due { at: self.now, effect: Effect::Perform { attempt: attempt.clone() } }];
            let _ = self.put(id, Actor::engine(), Command::Recover(Outage { down_for: Span::ZERO, missed }));
            let _ = self.put(id, Actor::engine(), Command::Interrupted(attempt));
        }
    }

    fn later(&mut self, at: Timestamp, id: IncidentId, coming: Coming) {
        let number = self.fresh();
        self.coming.insert((at.max(self.now), number), (id, coming));
    }

    fn fresh(&mut self) -> usize {
        self.numbered += 1;
        self.numbered
    }
}
