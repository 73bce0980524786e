//! The red switch: who holds automation, since when and why, and which incidents that matters to.
//! Knows no page, no file and no step: the writer keeps it, deciding reads it.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::domain::id::IncidentId;
use crate::domain::incident::Incident;
use crate::domain::time::Timestamp;
use crate::domain::timeline::Actor;

/// What a step that waits for the release waits for, in the place of a limit's name. No target can be called that.
pub const AUTOMATION_IS_HELD: &str = "automation is held";

/// What holds: each of them alone is enough, and each lets go for itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Hand {
    /// Somebody, by page, API or command line.
    Person,
    /// A file that is there.
    File,
    /// `automation: held` in `reynard.yaml`.
    Settings,
}

/// Who holds automation, since when, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    pub by: String,
    pub at: Timestamp,
    pub reason: String,
}

/// Everything that holds now. Stored with the commit that changes it, so that a restart and another node find it as it was.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holds {
    /// Since when anything holds without a break.
    since: Option<Timestamp>,
    hands: BTreeMap<Hand, Hold>,
}

impl Holds {
    pub fn are_none(&self) -> bool {
        self.hands.is_empty()
    }

    pub fn since(&self) -> Option<Timestamp> {
        self.since
    }

    pub fn by(&self, hand: Hand) -> Option<&Hold> {
        self.hands.get(&hand)
    }

    pub fn iter(&self) -> impl Iterator<Item = (Hand, &Hold)> {
        self.hands.iter().map(|(hand, hold)| (*hand, hold))
    }

    /// The one that has held longest: it is named where only one is.
    pub fn first(&self) -> Option<(Hand, &Hold)> {
        self.iter().min_by_key(|(hand, hold)| (hold.at, *hand))
    }

    /// True when nothing held before.
    pub fn put(&mut self, hand: Hand, hold: Hold) -> bool {
        let begins = self.hands.is_empty();
        self.since.get_or_insert(hold.at);
        self.hands.insert(hand, hold);
        begins
    }

    /// True when this was the last one.
    pub fn lift(&mut self, hand: Hand) -> bool {
        let held = self.hands.remove(&hand).is_some();
        let over = held && self.hands.is_empty();
        if over {
            self.since = None;
        }
        over
    }

    /// Who it is told of as having done it.
    pub fn actor(&self) -> Actor {
        match self.first() {
            Some((Hand::Person, hold)) => Actor::Person(hold.by.clone()),
            _ => Actor::engine(),
        }
    }

    /// `ana: too many restarts`.
    pub fn in_words(&self) -> String {
        let words = |(_, hold): (Hand, &Hold)| {
            if hold.reason.is_empty() { hold.by.clone() } else { format!("{}: {}", hold.by, hold.reason) }
        };
        self.first().map_or_else(|| "reynard.yaml".to_owned(), words)
    }
}

/// The switch as the writer knows it.
#[derive(Clone, Debug, Default)]
pub struct Switch {
    pub holds: Holds,
    /// Open incidents with a run that is not over, or whose timeline says that automation is held.
    concerned: BTreeSet<IncidentId>,
}

impl Switch {
    /// Looks at an incident after a decision about it.
    pub fn take(&mut self, incident: &Incident) {
        let matters = incident.held_since.is_some() || incident.runs.values().any(|run| !run.status.is_over());
        if incident.is_open() && matters {
            self.concerned.insert(incident.id);
        } else {
            self.concerned.remove(&incident.id);
        }
    }

    /// Whom a change of the switch matters to.
    pub fn concerned(&self) -> Vec<IncidentId> {
        self.concerned.iter().copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hold(by: &str, at: i64) -> Hold {
        Hold { by: by.to_owned(), at: Timestamp(at), reason: String::new() }
    }

    #[test]
    fn it_is_held_until_the_last_hand_lets_go() {
        let mut holds = Holds::default();
        assert!(holds.put(Hand::Person, hold("ana", 5)));
        assert!(!holds.put(Hand::File, hold("HOLD", 9)));
        assert!(!holds.lift(Hand::Person), "the file still holds");
        assert_eq!((holds.since(), holds.in_words().as_str()), (Some(Timestamp(5)), "HOLD"));
        assert!(!holds.lift(Hand::Settings), "what never held lets nothing go");
        assert!(holds.lift(Hand::File));
        assert_eq!(holds, Holds::default());
    }

    #[test]
    fn it_is_stored_and_read() {
        let mut holds = Holds::default();
        holds.put(Hand::Person, hold("ana", 5));
        let text = serde_json::to_string(&holds).expect("it is written");
        assert_eq!(serde_json::from_str::<Holds>(&text).expect("it is read"), holds, "{text}");
    }
}
