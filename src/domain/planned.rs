//! A playbook that starts by the clock: its cron line and time zone, and the occurrences that follow from them.
//! Knows no timer and no run.

use std::fmt;

use chrono_tz::Tz;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::domain::cron::Cron;
use crate::domain::id::IncidentId;
use crate::domain::playbook::Playbook;
use crate::domain::time::Timestamp;

/// The source of incidents that a schedule opens, and their type.
pub const SCHEDULE: &str = "schedule";
pub const SCHEDULED: &str = "scheduled";

/// When a playbook starts by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planned {
    pub cron: Cron,
    pub time_zone: Tz,
}

impl Planned {
    /// The first time after `now` at which the playbook starts.
    pub fn next(&self, playbook: &str, now: Timestamp) -> Option<Occurrence> {
        let at = self.cron.next_after(now, self.time_zone)?;
        Some(Occurrence { playbook: playbook.to_owned(), schedule: self.to_string(), at })
    }

    /// How often it was to start after `at`, up to and including `now`.
    pub fn missed_since(&self, at: Timestamp, now: Timestamp) -> u64 {
        self.cron.count_between(at, now, self.time_zone)
    }
}

impl fmt::Display for Planned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.cron, self.time_zone)
    }
}

/// One time at which a playbook starts by itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Occurrence {
    pub playbook: String,
    /// What the file said when this was planned: an edited schedule is another one, and its old occurrences are nobody's.
    pub schedule: String,
    pub at: Timestamp,
}

impl Occurrence {
    /// The incident that it opens. Derived, so that planning or beginning it twice names it alike; it sorts by its time.
    pub fn incident(&self) -> IncidentId {
        let digest = Sha256::new().chain_update(&self.playbook).chain_update([0]).chain_update(&self.schedule).finalize();
        let mut chance = [0; 10];
        chance.copy_from_slice(&digest[..10]);
        IncidentId(uuid::Builder::from_unix_timestamp_millis(self.at.0.max(0).unsigned_abs(), &chance).into_uuid())
    }

    /// What incidents of this playbook's schedule are kept under; no delivery's key looks like it.
    pub fn key(&self) -> String {
        format!("{SCHEDULE}\u{1f}{}", self.playbook)
    }

    /// The playbook's schedule, if it is still the one that this was planned by.
    pub fn is_planned_by<'a>(&self, playbook: &'a Playbook) -> Option<&'a Planned> {
        playbook.trigger.schedule.as_ref().filter(|planned| planned.to_string() == self.schedule)
    }
}

/// The first occurrence after `now` of every playbook that has a schedule.
pub fn all<'a>(playbooks: impl IntoIterator<Item = &'a Playbook>, now: Timestamp) -> Vec<Occurrence> {
    let planned = playbooks.into_iter().filter_map(|playbook| Some((playbook.trigger.schedule.as_ref()?, playbook)));
    planned.filter_map(|(planned, playbook)| planned.next(&playbook.slug, now)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_occurrence_names_its_incident_alike_however_often_it_is_planned() {
        let planned = Planned { cron: Cron::parse("0 3 * * SUN").expect("a cron line"), time_zone: chrono_tz::Europe::Berlin };
        let now = Timestamp::parse_rfc3339("2026-11-24T12:00:00Z").expect("an instant");
        let next = planned.next("tidy", now).expect("there is one");
        assert_eq!(next.at.to_rfc3339(), "2026-11-29T02:00:00.000Z");
        assert_eq!(next.incident(), planned.next("tidy", now).expect("there is one").incident());
        assert_eq!(next.incident().0.get_version_num(), 7);
        let others = [Occurrence { playbook: "other".to_owned(), ..next.clone() }, planned.next("tidy", next.at).expect("there is one")];
        assert!(others.iter().all(|other| other.incident() != next.incident()));
        assert_eq!(planned.missed_since(now, next.at), 1);
    }
}
