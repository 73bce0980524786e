//! What the log tells of incidents that were, so that they can be lived through again: what people did and when, what targets answered,
//! what was measured. Knows no database; entries are handed in.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde_json::Value;

use crate::domain::decide::command::{Failure, Observation};
use crate::domain::id::{DeliveryId, IncidentId, RunId};
use crate::domain::incident::Incident;
use crate::domain::planned::SCHEDULE;
use crate::domain::time::{Span, Timestamp};
use crate::domain::timeline::{Actor, Entry, Event, StepRef};
use crate::engine::brief::Attempt;
use crate::rehearsal::answer::{Answer, Outcome, World};
use crate::rehearsal::facts::Facts;
use crate::rehearsal::given::Given;

/// A step of a playbook, or what takes it back.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deed {
    pub playbook: String,
    pub step: String,
    pub undo: bool,
    /// Answers of another action or another target say nothing about this one.
    action: String,
    target: Option<String>,
}

impl Deed {
    pub fn action(&self) -> &str {
        &self.action
    }
}

/// What a person said will be done.
#[derive(Clone, Debug)]
struct Announced {
    by: String,
    does: &'static str,
    title: String,
}

impl Announced {
    /// `ana has "Restart" run again`, `ana takes "Protect" back now`.
    fn read(text: &str, by: &str) -> Option<Self> {
        let rest = text.strip_prefix(by)?;
        let between = |head: &str, tail: &str| {
            let rest = rest.strip_prefix(head)?;
            rest.rfind(tail).map(|end| rest[..end].to_owned())
        };
        let again = between(" has \"", "\" run again").map(|title| ("retry", title));
        let (does, title) = again.or_else(|| between(" takes \"", "\" back now").map(|title| ("undo", title)))?;
        Some(Self { by: by.to_owned(), does, title })
    }
}

/// One incident as it was.
#[derive(Clone, Debug, Default)]
pub struct Lived {
    /// Zero where it opened before the past that is told.
    pub number: u64,
    pub facts: Facts,
    /// In the order in which they were done.
    pub acts: Vec<(Timestamp, Given)>,
    pub answers: BTreeMap<Deed, Vec<Answer>>,
    pub measured: Vec<BTreeMap<String, f64>>,
    runs: HashMap<RunId, String>,
    begun: HashMap<(RunId, String, bool), (Deed, Timestamp)>,
    /// A step that a person has run again or takes back, by its title; the attempt that follows says which.
    announced: Option<Announced>,
    given: BTreeMap<Deed, usize>,
}

impl Lived {
    /// Takes one more entry of its log.
    pub fn take(&mut self, entry: &Entry) {
        // What starts by the clock starts by it again, and is no delivery's.
        if let Event::Opened { number, source, .. } = &entry.event
            && source != SCHEDULE
        {
            self.number = *number;
        }
        self.facts.take(entry);
        self.answer(entry);
        if let Event::Classified { classification, .. } = &entry.event {
            self.measured.push(classification.signals.clone());
        }
        let act = self.act(entry);
        self.acts.extend(act.map(|act| (entry.at, act)));
    }

    fn answer(&mut self, entry: &Entry) {
        match &entry.event {
            Event::RunStarted { run, playbook, .. } => drop(self.runs.insert(*run, playbook.clone())),
            Event::StepStarted { at, action, target, .. } => {
                let playbook = self.runs.get(&at.run).cloned().unwrap_or_default();
                let deed = Deed { playbook, step: at.step.clone(), undo: at.undo, action: action.clone(), target: target.clone() };
                self.begun.insert((at.run, at.step.clone(), at.undo), (deed, entry.at));
            }
            Event::StepSucceeded { at, output, duration_ms, .. } | Event::StepUndone { at, output, duration_ms, .. } => {
                let undo = matches!(entry.event, Event::StepUndone { .. });
                self.ended(at, undo, Ok(output.clone()), Some(*duration_ms), entry.at);
            }
            Event::StepFailed { at, reason, retry_at, duration_ms, unsure, .. } => {
                let failure = match (retry_at.is_some(), unsure) {
                    (_, true) => Failure::Unknown(reason.clone()),
                    (true, _) => Failure::Retry(reason.clone()),
                    (false, _) => Failure::Fatal(reason.clone()),
                };
                self.ended(at, at.undo, Err(failure), Some(*duration_ms), entry.at);
            }
            Event::StepInDoubt { at, reason, .. } => self.ended(at, false, Err(Failure::Unknown(reason.clone())), None, entry.at),
            Event::StepSkipped { at, reason, .. } => self.ended(at, false, Err(Failure::Barred(reason.clone())), None, entry.at),
            _ => {}
        }
    }

    /// Only what was begun has an answer; a step that was skipped before it began has none.
    fn ended(&mut self, at: &StepRef, undo: bool, result: Result<Value, Failure>, took: Option<u64>, now: Timestamp) {
        let Some((deed, began)) = self.begun.remove(&(at.run, at.step.clone(), undo)) else { return };
        let after = took.map_or_else(|| now.since(began), Span);
        self.answers.entry(deed).or_default().push(Answer { outcome: Outcome::Ended(result), after });
    }

    /// What a person did, in the words of a test; none for everything that only follows.
    fn act(&mut self, entry: &Entry) -> Option<Given> {
        if let (Event::StepStarted { at, title, .. }, Some(announced)) = (&entry.event, &self.announced)
            && *title == announced.title
        {
            let act = act(&announced.by, announced.does, "");
            self.announced = None;
            return Some(self.about(at, act));
        }
        if let Event::Escalated { reason, .. } = &entry.event {
            let (by, note) = reason.split_once(" asked for help")?;
            return Some(act(by, "escalate", note.trim_start_matches(": ")));
        }
        let Actor::Person(by) = &entry.actor else { return None };
        let act = |does: &str, note: &str| act(by, does, note);
        Some(match &entry.event {
            Event::Acknowledged { note } => act("acknowledge", note),
            Event::Unacknowledged { .. } => act("unacknowledge", ""),
            Event::Snoozed { until } => Given { until: Some(until.since(entry.at)), ..act("snooze", "") },
            Event::Assigned { to } => Given { to: Some(to.clone()), ..act("assign", "") },
            Event::Commented { text } => match Announced::read(text, by) {
                Some(announced) => {
                    self.announced = Some(announced);
                    return None;
                }
                None => act("comment", text),
            },
            Event::Resolved { reason } => act("resolve", after(reason, &format!("by {by}"))),
            Event::Reopened { reason, .. } if reason.ends_with("took the resolve back") => act("unresolve", ""),
            Event::Reopened { reason, .. } => act("reopen", after(reason, &format!("by {by}"))),
            Event::PriorityChanged { to, reason, .. } => {
                Given { priority: Some(to.to_string()), ..act("set_priority", after(reason, &format!("set by {by}"))) }
            }
            Event::RunStarted { playbook, vars, requested_by: Some(_), .. } => {
                Given { playbook: Some(playbook.clone()), vars: vars.clone(), ..act("start", "") }
            }
            Event::RunCancelled { playbook, reason, .. } => {
                Given { playbook: Some(playbook.clone()), ..act("cancel", after(reason, &format!("by {by}"))) }
            }
            Event::StepSettled { at, outcome, note, .. } => self.about(at, Given { outcome: Some(*outcome), ..act("settle", note) }),
            Event::Approved { at, note, .. } => self.about(at, act("approve", note)),
            Event::Rejected { at, note, .. } => self.about(at, act("reject", note)),
            Event::StepSkipped { at, reason, .. } => self.about(at, act("skip", after(reason, &format!("by {by}")))),
            _ => return None,
        })
    }

    fn about(&self, at: &StepRef, given: Given) -> Given {
        Given { step: Some(at.step.clone()), playbook: self.runs.get(&at.run).cloned(), ..given }
    }

    fn answered(&mut self, playbook: &str, attempt: &Attempt) -> Option<Answer> {
        let deed = Deed {
            playbook: playbook.to_owned(),
            step: attempt.reference.step.clone(),
            undo: attempt.reference.undo,
            action: attempt.action.clone(),
            target: attempt.target.as_ref().map(|target| target.name.clone()).or_else(|| attempt.missing_target.clone()),
        };
        let answers = self.answers.get(&deed)?;
        let given = self.given.entry(deed).or_default();
        let answer = answers.get(*given).or(answers.last()).cloned();
        *given += 1;
        answer
    }
}

fn act(by: &str, does: &str, note: &str) -> Given {
    Given { by: Some(by.to_owned()), does: Some(does.to_owned()), note: note.to_owned(), ..Given::default() }
}

fn after<'a>(text: &'a str, head: &str) -> &'a str {
    text.strip_prefix(head).unwrap_or(text).trim_start_matches(": ")
}

/// All of them.
#[derive(Clone, Debug, Default)]
pub struct Past {
    pub incidents: BTreeMap<IncidentId, Lived>,
    pub whereabouts: Whereabouts,
    pub last_at: Timestamp,
}

/// Which incident each alert went to when it fired.
#[derive(Clone, Debug, Default)]
pub struct Whereabouts {
    /// By delivery: fingerprint, incident, and whether it opened it.
    alerts: HashMap<DeliveryId, Vec<(String, IncidentId, bool)>>,
    fingerprints: HashSet<String>,
    /// When each delivery that told something new was worked.
    worked: HashMap<DeliveryId, Timestamp>,
    /// Incidents that opened within the past that is told, with their numbers.
    pub opened: BTreeMap<IncidentId, u64>,
}

impl Whereabouts {
    pub fn of(&self, delivery: DeliveryId, fingerprint: &str) -> Option<(IncidentId, bool)> {
        let fired = self.alerts.get(&delivery)?;
        fired.iter().find(|(known, _, _)| known == fingerprint).map(|(_, id, opens)| (*id, *opens))
    }

    /// When it was worked: a while after it came in, and in one moment with whatever shared its commit. None where it told nothing new.
    pub fn worked_at(&self, delivery: DeliveryId) -> Option<Timestamp> {
        self.worked.get(&delivery).copied()
    }

    /// Whether any incident was told of such an alert.
    pub fn knows(&self, fingerprint: &str) -> bool {
        self.fingerprints.contains(fingerprint)
    }
}

impl Past {
    /// Takes one more entry of the log.
    pub fn take(&mut self, id: IncidentId, entry: &Entry) {
        let lived = self.incidents.entry(id).or_default();
        lived.take(entry);
        self.last_at = self.last_at.max(entry.at);
        let whereabouts = &mut self.whereabouts;
        if let Event::AlertFired { delivery, .. } | Event::AlertResolved { delivery, .. } = &entry.event {
            whereabouts.worked.entry(*delivery).or_insert(entry.at);
        }
        match &entry.event {
            Event::Opened { number, source, .. } if source != SCHEDULE => drop(whereabouts.opened.insert(id, *number)),
            Event::AlertFired { delivery, alerts, .. } => {
                // The second entry of an incident says which alerts opened it.
                let opens = lived.number > 0 && lived.facts.entries == 2;
                let fired = alerts.iter().map(|alert| (alert.fingerprint.clone(), id, opens));
                whereabouts.alerts.entry(*delivery).or_default().extend(fired);
                whereabouts.fingerprints.extend(alerts.iter().map(|alert| alert.fingerprint.clone()));
            }
            _ => {}
        }
    }
}

/// The world as it was, once more.
pub struct Again<'a> {
    pub incidents: &'a mut BTreeMap<IncidentId, Lived>,
    pub whereabouts: &'a Whereabouts,
    /// Steps that nobody has ever made so, and how often they are made now: they are taken to succeed.
    pub supposed: BTreeMap<(String, String), u64>,
}

impl World for Again<'_> {
    fn answer(&mut self, incident: &Incident, attempt: &Attempt) -> Answer {
        let playbook = incident.runs.get(&attempt.reference.run).map(|run| run.playbook.clone()).unwrap_or_default();
        let known = self.incidents.get_mut(&incident.id).and_then(|lived| lived.answered(&playbook, attempt));
        known.unwrap_or_else(|| {
            *self.supposed.entry((playbook, attempt.reference.step.clone())).or_default() += 1;
            Answer::succeeded()
        })
    }

    fn measure(&mut self, incident: &Incident) -> Option<BTreeMap<String, f64>> {
        let lived = self.incidents.get(&incident.id)?;
        let at = usize::from(incident.classification.is_some());
        lived.measured.get(at).or(lived.measured.last()).cloned()
    }

    fn name(&mut self, observation: &Observation) -> Option<(IncidentId, u64)> {
        let firing = observation.alerts.iter().filter(|alert| alert.firing);
        let mut went = firing.filter_map(|alert| self.whereabouts.of(observation.delivery, &alert.fingerprint));
        let (id, _) = went.find(|(_, opens)| *opens)?;
        Some((id, *self.whereabouts.opened.get(&id)?))
    }
}
