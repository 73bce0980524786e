//! What automation would have done: steps that shadow kept from being done, and what became of their incidents without them.
//! Knows no store; who asks hands in the entries and the incidents.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::domain::id::IncidentId;
use crate::domain::incident::Incident;
use crate::domain::time::Timestamp;
use crate::domain::timeline::{Entry, Event};

/// What it would have come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fate {
    /// A limit would have held it back.
    Stopped,
    /// The trouble ended by itself, and nobody had to do anything: acting would have been a false start.
    ByItself,
    /// A person had to take it: it might have been fixed without.
    Person,
    /// The trouble goes on.
    Open,
}

impl Fate {
    pub const ALL: [Self; 4] = [Self::Person, Self::Stopped, Self::ByItself, Self::Open];

    pub fn word(self) -> &'static str {
        match self {
            Self::Stopped => "stopped",
            Self::ByItself => "by_itself",
            Self::Person => "fixed",
            Self::Open => "open",
        }
    }

    /// As it follows a count.
    pub fn in_words(self) -> &'static str {
        match self {
            Self::Person => "might have fixed what a person had to take",
            Self::Stopped => "would have been stopped by a limit",
            Self::ByItself => "would have acted on what recovered by itself",
            Self::Open => "for trouble that goes on",
        }
    }

    /// Of one step, whose limit is known.
    pub fn stopped_by(limit: &str) -> String {
        format!("would have been stopped by {limit}")
    }
}

/// A step that would have been done.
#[derive(Clone, Debug, PartialEq)]
pub struct Would {
    pub at: Timestamp,
    pub number: u64,
    pub title: String,
    pub playbook: String,
    pub step: String,
    pub action: String,
    pub target: Option<String>,
    pub params: Value,
    pub limit: Option<String>,
    pub asks: bool,
    pub fate: Fate,
}

/// What one playbook would have done.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sum {
    pub fates: BTreeMap<Fate, u64>,
    /// Which limits would have stopped it, and how often.
    pub limits: BTreeMap<String, u64>,
}

/// Of each step the newest first, with what became of it.
pub fn woulds(entries: &[(IncidentId, Entry)], incidents: &BTreeMap<IncidentId, Incident>) -> Vec<Would> {
    entries.iter().filter_map(|(id, entry)| would(entry, incidents.get(id)?)).collect()
}

pub fn sums(woulds: &[Would]) -> BTreeMap<String, Sum> {
    let mut sums: BTreeMap<String, Sum> = BTreeMap::new();
    for would in woulds {
        let sum = sums.entry(would.playbook.clone()).or_default();
        *sum.fates.entry(would.fate).or_default() += 1;
        if let Some(limit) = &would.limit {
            *sum.limits.entry(limit.clone()).or_default() += 1;
        }
    }
    sums
}

fn would(entry: &Entry, incident: &Incident) -> Option<Would> {
    let Event::StepShadowed { at, action, target, params, playbook, limit, asks, .. } = &entry.event else { return None };
    Some(Would {
        at: entry.at,
        number: incident.number,
        title: incident.title.clone(),
        playbook: playbook.clone(),
        step: at.step.clone(),
        action: action.clone(),
        target: target.clone(),
        params: params.clone(),
        limit: limit.clone(),
        asks: *asks,
        fate: fate(entry.at, limit.is_some(), incident),
    })
}

fn fate(at: Timestamp, stopped: bool, incident: &Incident) -> Fate {
    let over = incident.resolved_at.filter(|_| !incident.is_open()).or(incident.reopened_at).is_some_and(|over| over >= at);
    match (stopped, over) {
        (true, _) => Fate::Stopped,
        (false, false) => Fate::Open,
        (false, true) if incident.acknowledged_at.is_some() => Fate::Person,
        (false, true) => Fate::ByItself,
    }
}
