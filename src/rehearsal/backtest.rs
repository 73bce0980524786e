//! The past lived through again under other rules and playbooks: the same deliveries at the same moments, the same acts of people, the
//! same answers of targets, and what would have been otherwise. Knows no database; deliveries and the log are handed in.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::id::{DeliveryId, IncidentId};
use crate::domain::incident::Incident;
use crate::domain::settings::Rulebook;
use crate::domain::time::Timestamp;
use crate::domain::timeline::{Actor, Entry, Event};
use crate::engine::wire::Parsed;
use crate::rehearsal::facts::{Change, Facts, Sum};
use crate::rehearsal::given::Given;
use crate::rehearsal::past::{Again, Lived, Past, Whereabouts};
use crate::rehearsal::seen::Seen;
use crate::rehearsal::stage::Stage;

/// How many deliveries pass between two looks at what may be forgotten.
const FORGET_EVERY: u64 = 500;

/// A webhook call as it came in.
pub struct Delivered {
    pub id: DeliveryId,
    pub source: String,
    pub received_at: Timestamp,
    pub says: Parsed,
}

/// An incident that would have been otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changed {
    /// Its number; none where it would be a new one.
    pub number: Option<u64>,
    pub title: String,
    pub opened_at: Timestamp,
    pub changes: Vec<Change>,
}

/// What came of it.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    pub deliveries: u64,
    pub then: Sum,
    pub now: Sum,
    pub changed: Vec<Changed>,
    /// Incidents that were open already when the past begins; they are left out.
    pub left_out: u64,
    /// Steps that nobody has ever made so, and how often they would have been made: they were taken to succeed.
    pub supposed: BTreeMap<(String, String), u64>,
    pub seen: Seen,
}

/// One life more.
#[derive(Clone, Debug, Default)]
struct Life {
    facts: Facts,
    /// Whether it was open before the past begins.
    carried: bool,
    /// The incident that it would have been a part of.
    part_of: Option<u64>,
}

/// The lives of all incidents, as they come.
struct Lives<'a> {
    whereabouts: &'a Whereabouts,
    rulebook: &'a Rulebook,
    all: BTreeMap<IncidentId, Life>,
    /// Incidents whose opening alert went to another one.
    joined: BTreeMap<IncidentId, IncidentId>,
    seen: Seen,
}

/// Lives through it all. Deliveries come in the order in which they were stored.
pub fn backtest(rulebook: &Rulebook, past: Past, deliveries: impl Iterator<Item = Delivered>) -> Outcome {
    let Past { mut incidents, whereabouts, last_at } = past;
    let acts = acts(&mut incidents);
    let mut again = Again { incidents: &mut incidents, whereabouts: &whereabouts, supposed: BTreeMap::new() };
    let mut lives = Lives::new(&whereabouts, rulebook);
    let mut stage = Stage::new(rulebook, &mut again, Timestamp::default());
    let heard = live(&mut stage, acts, deliveries, &mut lives);
    stage.pass_until(last_at);
    lives.take(&mut stage);
    let supposed = again.supposed;
    Outcome { deliveries: heard, supposed, ..lives.compare(&incidents) }
}

/// Deliveries and acts in the order of time.
fn live(stage: &mut Stage<'_>, acts: Vec<Act>, deliveries: impl Iterator<Item = Delivered>, lives: &mut Lives<'_>) -> u64 {
    let mut acts = acts.into_iter().peekable();
    let (mut heard, mut at) = (0, Timestamp::default());
    for delivered in deliveries {
        let worked_at = lives.whereabouts.worked_at(delivered.id).unwrap_or(delivered.received_at);
        // What was worked in one commit is heard in one moment, before anything that follows from it.
        if worked_at > at {
            at = worked_at;
            // What a person did in the moment of a delivery was about what it opened.
            while let Some(act) = acts.next_if(|act| act.at < at) {
                do_again(stage, &act, lives);
            }
            stage.pass_until(at);
            lives.take(stage);
        }
        stage.hear_as(delivered.id, &delivered.source, delivered.says);
        lives.take(stage);
        heard += 1;
        if heard % FORGET_EVERY == 0 {
            stage.forget();
        }
    }
    acts.for_each(|act| do_again(stage, &act, lives));
    heard
}

/// What a person did, and when.
struct Act {
    at: Timestamp,
    incident: IncidentId,
    given: Given,
}

/// Everything that people did, in the order of time.
fn acts(incidents: &mut BTreeMap<IncidentId, Lived>) -> Vec<Act> {
    let of = |(id, lived): (&IncidentId, &mut Lived)| {
        let incident = *id;
        std::mem::take(&mut lived.acts).into_iter().map(move |(at, given)| Act { at, incident, given })
    };
    let mut acts: Vec<_> = incidents.iter_mut().flat_map(of).collect();
    acts.sort_by_key(|act| act.at);
    acts
}

/// What a person did then may make no sense now; then it is as if nobody had.
fn do_again(stage: &mut Stage<'_>, act: &Act, lives: &mut Lives<'_>) {
    stage.pass_until(act.at);
    if let Some(command) = stage.incident(act.incident).and_then(|incident| act.given.command(incident).ok()) {
        let by = act.given.by.clone().unwrap_or_default();
        let _ = stage.put(act.incident, Actor::Person(by), command);
    }
    lives.take(stage);
}

impl<'a> Lives<'a> {
    fn new(whereabouts: &'a Whereabouts, rulebook: &'a Rulebook) -> Self {
        Self { whereabouts, rulebook, all: BTreeMap::new(), joined: BTreeMap::new(), seen: Seen::default() }
    }

    fn take(&mut self, stage: &mut Stage<'_>) {
        stage.calls.clear();
        stage.letters.clear();
        for (id, entry) in std::mem::take(&mut stage.entries) {
            self.place(id, &entry);
            let life = self.all.entry(id).or_default();
            life.facts.take(&entry);
            if let Some(incident) = stage.incident(id).filter(|_| !life.carried) {
                self.see(incident, &entry);
            }
        }
    }

    fn see(&mut self, incident: &Incident, entry: &Entry) {
        if matches!(entry.event, Event::Classified { again: false, .. }) {
            self.seen.classified(incident, self.rulebook);
        }
        self.seen.happened(incident, self.rulebook, &entry.event);
    }

    /// Whose alerts they were then.
    fn place(&mut self, id: IncidentId, entry: &Entry) {
        let Event::AlertFired { delivery, alerts, .. } = &entry.event else { return };
        let opens = self.all.get(&id).is_some_and(|life| life.facts.entries == 1) && !self.whereabouts.opened.contains_key(&id);
        for alert in alerts {
            let then = self.whereabouts.of(*delivery, &alert.fingerprint);
            if let Some((then, true)) = then
                && then != id
            {
                self.joined.insert(then, id);
            }
            let life = self.all.entry(id).or_default();
            match then.map(|(then, _)| self.whereabouts.opened.get(&then)) {
                _ if !opens => {}
                Some(Some(number)) => life.part_of = Some(*number),
                // It went on from before: there is nothing to compare it with.
                Some(None) => life.carried = true,
                None => life.carried |= !self.whereabouts.knows(&alert.fingerprint),
            }
        }
    }

    fn compare(self, incidents: &BTreeMap<IncidentId, Lived>) -> Outcome {
        let mut outcome = Outcome { seen: self.seen, ..Outcome::default() };
        let numbers = &self.whereabouts.opened;
        for (id, lived) in incidents.iter().filter(|(_, lived)| lived.number > 0) {
            outcome.then.add(&lived.facts);
            let changes = match (self.all.get(id), self.joined.get(id)) {
                (Some(life), _) => lived.facts.compare(&life.facts),
                (None, Some(other)) => {
                    let other = numbers.get(other).map_or("another one".to_owned(), |number| format!("#{number}"));
                    vec![Change::new(format!("does not open: its alerts belong to {other}"), "")]
                }
                (None, None) => vec![Change::new("does not open".to_owned(), "")],
            };
            if !changes.is_empty() {
                let (title, opened_at) = (lived.facts.title.clone(), lived.facts.opened_at);
                outcome.changed.push(Changed { number: Some(lived.number), title, opened_at, changes });
            }
        }
        for (id, life) in &self.all {
            if life.carried {
                outcome.left_out += 1;
                continue;
            }
            outcome.now.add(&life.facts);
            if !numbers.contains_key(id) {
                let why = life.part_of.map(|number| format!("its alerts were a part of #{number}")).unwrap_or_default();
                let changes = vec![Change::new("opens, and did not".to_owned(), &why)];
                outcome.changed.push(Changed { number: None, title: life.facts.title.clone(), opened_at: life.facts.opened_at, changes });
            }
        }
        outcome.changed.sort_by_key(|changed| (changed.opened_at, changed.number));
        outcome
    }
}

impl Outcome {
    /// The kinds of changes, and of how many incidents each is told: the words up to the first number or name.
    pub fn kinds(&self) -> BTreeMap<String, u64> {
        let mut kinds = BTreeMap::new();
        for changed in &self.changed {
            let of: BTreeSet<&str> = changed.changes.iter().map(|change| change.what.as_str()).collect();
            of.into_iter().for_each(|what| *kinds.entry(what.to_owned()).or_default() += 1);
        }
        kinds
    }
}
