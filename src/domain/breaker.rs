//! Breakers: a playbook whose runs fail so often in a row changes nothing more until a person arms it again.
//! Knows no clock and no store; the writer stores what has changed in the commit that changed it.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::domain::id::IncidentId;
use crate::domain::time::Timestamp;

/// One playbook's.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Breaker {
    pub playbook: String,
    /// Runs that changed something and failed, in a row.
    pub failures: u32,
    /// Set while it is open: nothing destructive begins.
    pub opened: Option<Opened>,
}

/// When a breaker opened, and by which incident's run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opened {
    pub at: Timestamp,
    pub incident: IncidentId,
}

/// All that have something to tell; a playbook that has not failed since its last success has none.
#[derive(Clone, Debug, Default)]
pub struct Breakers {
    of: BTreeMap<String, Breaker>,
    /// Changed since the last commit.
    changed: BTreeSet<String>,
}

impl Breakers {
    pub fn from_stored(stored: impl IntoIterator<Item = Breaker>) -> Self {
        Self { of: stored.into_iter().map(|breaker| (breaker.playbook.clone(), breaker)).collect(), changed: BTreeSet::new() }
    }

    /// The playbook's breaker, if it is open.
    pub fn open(&self, playbook: &str) -> Option<&Breaker> {
        self.of.get(playbook).filter(|breaker| breaker.opened.is_some())
    }

    /// A run that changed something has failed. True when that has opened the breaker.
    pub fn fails(&mut self, playbook: &str, most: Option<u32>, opened: Opened) -> bool {
        let breaker = self.touch(playbook);
        breaker.failures = breaker.failures.saturating_add(1);
        let opens = breaker.opened.is_none() && most.is_some_and(|most| breaker.failures >= most);
        if opens {
            breaker.opened = Some(opened);
        }
        opens
    }

    pub fn failures(&self, playbook: &str) -> u32 {
        self.of.get(playbook).map_or(0, |breaker| breaker.failures)
    }

    /// A run that changed something has gone well: what failed before does not count any more. An open breaker stays open.
    pub fn succeeds(&mut self, playbook: &str) {
        if self.of.get(playbook).is_some_and(|breaker| breaker.opened.is_none() && breaker.failures > 0) {
            self.touch(playbook).failures = 0;
        }
    }

    /// A person arms it again. False when it is not open.
    pub fn rearm(&mut self, playbook: &str) -> bool {
        let open = self.open(playbook).is_some();
        if open {
            let breaker = self.touch(playbook);
            (breaker.failures, breaker.opened) = (0, None);
        }
        open
    }

    /// What has changed since this was last asked.
    pub fn take_changed(&mut self) -> Vec<Breaker> {
        std::mem::take(&mut self.changed).into_iter().filter_map(|playbook| self.of.get(&playbook).cloned()).collect()
    }

    fn touch(&mut self, playbook: &str) -> &mut Breaker {
        self.changed.insert(playbook.to_owned());
        self.of.entry(playbook.to_owned()).or_insert_with(|| Breaker { playbook: playbook.to_owned(), ..Breaker::default() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPENED: Opened = Opened { at: Timestamp(7), incident: IncidentId(uuid::Uuid::nil()) };

    #[test]
    fn so_many_failures_in_a_row_open_it_and_only_a_person_closes_it() {
        let mut breakers = Breakers::default();
        assert!(!breakers.fails("reset", Some(2), OPENED));
        breakers.succeeds("reset");
        assert!(!breakers.fails("reset", Some(2), OPENED), "a success in between begins the row anew");
        assert!(breakers.fails("reset", Some(2), OPENED));
        assert!(!breakers.fails("reset", Some(2), OPENED), "it opens once");
        breakers.succeeds("reset");
        assert!(breakers.open("reset").is_some() && breakers.open("other").is_none());
        assert!(breakers.rearm("reset") && !breakers.rearm("reset"));
        assert!(!breakers.fails("reset", None, OPENED));
        assert_eq!(breakers.take_changed().len(), 1);
        assert_eq!(breakers.take_changed(), []);
    }
}
