//! The engine without its outside: incidents in memory, timers on a clock turned by hand, effects that are recorded and answered by
//! whoever stands for the world. Knows no network, no disk and no time but its own.

use std::collections::BTreeMap;

use serde_json::Value;
use uuid::Uuid;

use crate::domain::decide::command::{AttemptRef, Command, Due, Effect, Failure, Observation, Performed, Refusal, Told, ToldOutcome, Wake};
use crate::domain::decide::recovery::Outage;
use crate::domain::decide::turn::{self, Decision, decide};
use crate::domain::id::{DeliveryId, IncidentId};
use crate::domain::incident::Incident;
use crate::domain::limits::{LONGEST_WINDOW, Ledger};
use crate::domain::planned::Occurrence;
use crate::domain::settings::Rulebook;
use crate::domain::time::{Span, Timestamp};
use crate::domain::timeline::{Actor, Entry, Event, StepRef};
use crate::engine::brief::{Brief, brief};
use crate::engine::intake::observations;
use crate::engine::wire::Parsed;
use crate::rehearsal::answer::{Outcome, Verdict, World};

/// More commands than this without anything new coming in, and something goes round in circles.
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
    Verdict(StepRef, Verdict),
}

pub struct Stage<'a> {
    rulebook: &'a Rulebook,
    world: &'a mut dyn World,
    now: Timestamp,
    turns: usize,
    ledger: Ledger,
    incidents: BTreeMap<IncidentId, Incident>,
    keys: BTreeMap<String, IncidentId>,
    /// Every incident that opened, in order.
    opened: Vec<IncidentId>,
    coming: BTreeMap<(Timestamp, usize), (IncidentId, Coming)>,
    /// How much is to come of each incident.
    awaited: BTreeMap<IncidentId, usize>,
    numbered: usize,
    /// What Prometheus answers for signals that nothing else tells.
    pub signals: BTreeMap<String, f64>,
    pub entries: Vec<(IncidentId, Entry)>,
    pub calls: Vec<CallMade>,
    pub letters: Vec<Letter>,
}

impl<'a> Stage<'a> {
    pub fn new(rulebook: &'a Rulebook, world: &'a mut dyn World, now: Timestamp) -> Self {
        Self {
            rulebook,
            world,
            now,
            turns: 0,
            ledger: Ledger::default(),
            incidents: BTreeMap::new(),
            keys: BTreeMap::new(),
            opened: Vec::new(),
            coming: BTreeMap::new(),
            awaited: BTreeMap::new(),
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

    pub fn incident(&self, id: IncidentId) -> Option<&Incident> {
        self.incidents.get(&id)
    }

    /// The incident that opened last.
    pub fn newest(&self) -> Option<&Incident> {
        self.opened.last().and_then(|id| self.incidents.get(id))
    }

    /// The incident that opened first.
    pub fn first(&self) -> Option<&Incident> {
        self.opened.first().and_then(|id| self.incidents.get(id))
    }

    /// A delivery comes in.
    pub fn hear(&mut self, source: &str, parsed: Parsed) {
        let delivery = DeliveryId(Uuid::from_u128(self.fresh() as u128));
        self.hear_as(delivery, source, parsed);
    }

    /// A delivery comes in that has a name already.
    pub fn hear_as(&mut self, delivery: DeliveryId, source: &str, parsed: Parsed) {
        self.turns = 0;
        for (key, observation) in observations(delivery, source, parsed, &self.rulebook.incidents, self.now) {
            let known = self.keys.get(&key).copied().filter(|id| self.still_answers(*id));
            let (id, number) = known.map_or_else(|| self.open(key.clone(), &observation), |id| (id, 0));
            // Observations are never refused.
            let _ = self.decide(id, Actor::Source(source.to_owned()), Command::Observe(observation), number);
            if self.incidents.get(&id).is_some_and(|incident| incident.seq == 0) {
                self.incidents.remove(&id);
                self.keys.remove(&key);
            } else if known.is_none() {
                self.opened.push(id);
            }
        }
    }

    /// A playbook's time comes. False when it has no schedule.
    pub fn occur_now(&mut self, slug: &str) -> bool {
        let planned = self.rulebook.playbooks.get(slug).and_then(|playbook| playbook.trigger.schedule.as_ref());
        let occurrence = planned.map(|planned| Occurrence { playbook: slug.to_owned(), schedule: planned.to_string(), at: self.now });
        occurrence.as_ref().map(|occurrence| self.occur(occurrence)).is_some()
    }

    fn occur(&mut self, occurrence: &Occurrence) {
        let (id, number) = (occurrence.incident(), self.next_number());
        self.incidents.entry(id).or_insert_with(|| Incident::blank(id));
        // A timer is never refused.
        let wake = Wake::Occur { occurrence: occurrence.clone() };
        let _ = self.decide(id, Actor::engine(), Command::Wake(wake), number);
        match self.incidents.get(&id) {
            Some(incident) if incident.seq == 0 => drop(self.incidents.remove(&id)),
            Some(_) if !self.opened.contains(&id) => self.opened.push(id),
            _ => {}
        }
    }

    fn next_number(&self) -> u64 {
        u64::try_from(self.opened.len()).unwrap_or(u64::MAX) + 1
    }

    fn open(&mut self, key: String, observation: &Observation) -> (IncidentId, u64) {
        let number = self.next_number();
        let named = self.world.name(observation).filter(|(id, _)| !self.incidents.contains_key(id));
        let (id, number) = named.unwrap_or_else(|| (IncidentId(Uuid::from_u128(self.fresh() as u128)), number));
        self.incidents.insert(id, Incident::blank(id));
        self.keys.insert(key, id);
        (id, number)
    }

    fn still_answers(&self, id: IncidentId) -> bool {
        self.incidents.get(&id).is_some_and(|incident| match incident.resolved_at {
            Some(at) if !incident.is_open() => self.now.since(at) < self.rulebook.incidents.reopen_within,
            _ => true,
        })
    }

    /// Puts a command to an incident and takes what follows from it.
    pub fn put(&mut self, id: IncidentId, actor: Actor, command: Command) -> Result<(), Refusal> {
        self.decide(id, actor, command, 0)
    }

    fn decide(&mut self, id: IncidentId, actor: Actor, command: Command, next_number: u64) -> Result<(), Refusal> {
        self.turns += 1;
        let Some(state) = self.incidents.get_mut(&id) else { return Ok(()) };
        let world = turn::World { rulebook: self.rulebook, ledger: &mut self.ledger, now: self.now, next_number };
        let decision = decide(state, actor, command, world)?;
        self.take(id, decision);
        Ok(())
    }

    fn take(&mut self, id: IncidentId, decision: Decision) {
        for Due { at, effect } in decision.effects {
            self.later(at, effect.incident().unwrap_or(id), Coming::Effect(effect));
        }
        let mut ended = Vec::new();
        for entry in decision.entries {
            match &entry.event {
                Event::RunSucceeded { playbook, .. } | Event::RunFailed { playbook, .. } | Event::RunCancelled { playbook, .. } => {
                    ended.push(playbook.clone());
                }
                Event::ApprovalRequested { at, .. } => self.ask_for_verdict(id, at),
                _ => {}
            }
            self.entries.push((id, entry));
        }
        ended.into_iter().for_each(|playbook| self.let_next_begin(&playbook));
        self.let_next_go_on();
    }

    fn ask_for_verdict(&mut self, id: IncidentId, step: &StepRef) {
        let Some(incident) = self.incidents.get(&id) else { return };
        if let Some(verdict) = self.world.verdict(incident, step) {
            self.later(self.now + verdict.after, id, Coming::Verdict(step.clone(), verdict));
        }
    }

    fn let_next_begin(&mut self, playbook: &str) {
        while let Some(next) = self.ledger.next_in_line(playbook)
            && self.turns < MOST_TURNS
        {
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
                self.settle(id);
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

    /// Lets go of incidents that nothing can happen to any more, and of what no limit looks back to: for stories of many days.
    pub fn forget(&mut self) {
        let (now, kept_for) = (self.now, self.rulebook.incidents.reopen_within);
        let over = |incident: &Incident| !incident.is_open() && incident.resolved_at.is_some_and(|at| now.since(at) >= kept_for);
        let awaited = &self.awaited;
        self.incidents.retain(|id, incident| awaited.contains_key(id) || !over(incident));
        let incidents = &self.incidents;
        self.keys.retain(|_, id| incidents.contains_key(id));
        self.ledger.forget(now, LONGEST_WINDOW);
    }

    fn carry_out(&mut self, id: IncidentId, coming: Coming) {
        let command = match coming {
            Coming::Answer(performed) => Command::Performed(performed),
            Coming::Crash(attempt) => return self.crash(id, attempt),
            Coming::Verdict(step, verdict) => return self.judge(id, step, verdict),
            Coming::Effect(Effect::Wake { wake: Wake::Occur { occurrence } }) => return self.occur(&occurrence),
            Coming::Effect(Effect::Wake { wake }) => Command::Wake(wake),
            Coming::Effect(Effect::Measure) => Command::Measured { signals: self.measured(id), warnings: Vec::new() },
            Coming::Effect(Effect::Send { notification, attempt }) => {
                self.write_down(id, notification);
                Command::Told(Told { notification, attempt, outcome: ToldOutcome::Sent("rehearsed".to_owned()) })
            }
            Coming::Effect(effect @ Effect::Perform { .. }) => return self.perform(id, &effect),
        };
        let _ = self.put(id, Actor::engine(), command);
    }

    fn measured(&mut self, id: IncidentId) -> BTreeMap<String, f64> {
        let measured = self.incidents.get(&id).and_then(|incident| self.world.measure(incident));
        measured.unwrap_or_else(|| self.signals.clone())
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
        let Some(incident) = self.incidents.get(&id) else { return };
        let Some(Brief::Perform(attempt)) = brief(incident, self.rulebook, effect) else { return };
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
        let answer = self.world.answer(incident, &attempt);
        let after = answer.after.min(attempt.timeout);
        let result = match answer.outcome {
            Outcome::Crash => return self.later(self.now + after, id, Coming::Crash(reference)),
            Outcome::Ended(_) if answer.after >= attempt.timeout => Err(Failure::Unknown(format!("no answer within {}", attempt.timeout))),
            Outcome::Ended(result) => result,
        };
        let performed = Performed { attempt: reference, result, duration_ms: after.as_millis() };
        self.later(self.now + after, id, Coming::Answer(performed));
    }

    fn judge(&mut self, id: IncidentId, step: StepRef, verdict: Verdict) {
        let by = verdict.by.or_else(|| self.somebody_for(id, &step)).unwrap_or_else(|| "somebody".to_owned());
        let command = Command::AnswerApproval { run: step.run, step: step.step, yes: verdict.yes, note: verdict.note };
        if let Err(no) = self.put(id, Actor::Person(by.clone()), command) {
            // It is part of the story, and whoever reads it must learn why nothing came of it.
            let text = format!("The answer of {by} does not count: {no}");
            let _ = self.put(id, Actor::engine(), Command::Comment { text });
        }
    }

    /// A person who may say yes, and has not asked for it.
    fn somebody_for(&self, id: IncidentId, step: &StepRef) -> Option<String> {
        let incident = self.incidents.get(&id)?;
        let run = incident.runs.get(&step.run)?;
        let request = run.steps.get(&step.step)?.approval.as_ref()?;
        let asked = incident.runs.get(&incident.root_of(run)).and_then(|root| root.requested_by.as_ref());
        let directory = &self.rulebook.directory;
        let may = |name: &&String| directory.stands_for(&request.by, name, self.now) && Some(*name) != asked;
        directory.people.keys().find(may).cloned()
    }

    /// Everything under way is cut off, and the next life finds it.
    fn crash(&mut self, id: IncidentId, attempt: AttemptRef) {
        let mut cut_off = vec![(id, attempt)];
        self.coming.retain(|_, (incident, coming)| match coming {
            Coming::Answer(Performed { attempt, .. }) | Coming::Crash(attempt) => {
                cut_off.push((*incident, attempt.clone()));
                false
            }
            Coming::Effect(_) | Coming::Verdict(..) => true,
        });
        cut_off.iter().skip(1).for_each(|(id, _)| self.settle(*id));
        for (id, attempt) in cut_off {
            let missed = vec![Due { at: self.now, effect: Effect::Perform { attempt: attempt.clone() } }];
            let _ = self.put(id, Actor::engine(), Command::Recover(Outage { down_for: Span::ZERO, missed }));
            let _ = self.put(id, Actor::engine(), Command::Interrupted(attempt));
        }
    }

    fn later(&mut self, at: Timestamp, id: IncidentId, coming: Coming) {
        let number = self.fresh();
        *self.awaited.entry(id).or_default() += 1;
        self.coming.insert((at.max(self.now), number), (id, coming));
    }

    fn settle(&mut self, id: IncidentId) {
        if let Some(awaited) = self.awaited.get_mut(&id) {
            *awaited -= 1;
            if *awaited == 0 {
                self.awaited.remove(&id);
            }
        }
    }

    fn fresh(&mut self) -> usize {
        self.numbered += 1;
        self.numbered
    }
}
