//! What each playbook's runs came to, and whether that has earned it the right to act without asking. Kept in a few numbers, so that
//! it costs the same after years. Knows no run and no store.

use serde::{Deserialize, Serialize};

use crate::domain::time::Span;

/// So many of the last successes are remembered by how long they took.
const REMEMBERED: usize = 50;

/// A playbook's `autonomy:`: it asks before it changes anything until it has been seen to help so often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Autonomy {
    /// Verified successes, since it last had to ask again, after which it acts by itself.
    pub ask_until: u32,
    /// Failures in a row after which it has to ask again, and to earn it anew.
    pub back_after: u32,
}

/// How a run ended, as far as trust goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It changed something, and looked: the trouble was over.
    Verified,
    /// It went well, and did not look whether that helped, or was only there to look.
    Well,
    /// It came to its end without changing anything though it was there to: refused, held back, in shadow, or its steps left out.
    /// That is no success and no failure.
    Idle,
    /// It had begun to change something and failed.
    Failed,
    /// It failed before it changed anything, or a person ended it.
    Left,
    /// The trouble was over before it was done.
    FalseStart,
}

/// A playbook's record.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Record {
    pub verified: u64,
    pub well: u64,
    pub idle: u64,
    pub failed: u64,
    pub left: u64,
    pub false_starts: u64,
    /// Verified successes since it last had to ask again.
    pub good: u32,
    /// Failures since the last verified success.
    pub bad: u32,
    /// How long the last successes took, in milliseconds, oldest first.
    took: Vec<u64>,
}

impl Record {
    pub fn ended(&mut self, how: Ended, took: Span, policy: Option<Autonomy>) {
        match how {
            Ended::Verified => {
                self.verified += 1;
                self.good = self.good.saturating_add(1);
                self.bad = 0;
            }
            Ended::Well => self.well += 1,
            Ended::Idle => self.idle += 1,
            Ended::Failed => {
                self.failed += 1;
                self.bad = self.bad.saturating_add(1);
                if policy.is_some_and(|policy| self.bad >= policy.back_after) {
                    (self.good, self.bad) = (0, 0);
                }
            }
            Ended::Left => self.left += 1,
            Ended::FalseStart => self.false_starts += 1,
        }
        if matches!(how, Ended::Verified | Ended::Well) {
            self.took.push(took.as_millis());
            let old = self.took.len().saturating_sub(REMEMBERED);
            self.took.drain(..old);
        }
    }

    /// The middle one of the last successes.
    pub fn median(&self) -> Option<Span> {
        let mut sorted = self.took.clone();
        sorted.sort_unstable();
        sorted.get(sorted.len() / 2).map(|ms| Span(*ms))
    }

    /// Why it has to ask, if it does.
    pub fn why_it_asks(&self, policy: Autonomy) -> Option<String> {
        if self.good >= policy.ask_until {
            return None;
        }
        let fallen = if self.verified > u64::from(self.good) { ", counted anew since it failed" } else { "" };
        Some(format!("it has {} of {} verified successes{fallen}", self.good, policy.ask_until))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: Autonomy = Autonomy { ask_until: 2, back_after: 2 };

    #[test]
    fn it_asks_until_it_has_helped_often_enough_and_again_after_failures_in_a_row() {
        let mut record = Record::default();
        let mut told = Vec::new();
        use Ended::{Failed, Verified, Well};
        for how in [Well, Verified, Verified, Failed, Verified, Failed, Failed, Verified, Verified] {
            record.ended(how, Span::seconds(3), Some(POLICY));
            told.push(record.why_it_asks(POLICY).is_some());
        }
        assert_eq!(told, [true, true, false, false, false, false, true, true, false]);
        assert_eq!((record.verified, record.well, record.failed), (5, 1, 3));
    }

    #[test]
    fn a_run_that_did_nothing_is_neither_success_nor_failure() {
        let mut record = Record::default();
        record.ended(Ended::Failed, Span::seconds(9), Some(POLICY));
        record.ended(Ended::Idle, Span::seconds(9), Some(POLICY));
        assert_eq!((record.idle, record.good, record.bad, record.median()), (1, 0, 1, None));
    }

    #[test]
    fn a_record_that_an_earlier_version_has_stored_is_read() {
        let stored = r#"{"verified":2,"well":1,"failed":0,"left":0,"false_starts":0,"good":2,"bad":0,"took":[1000]}"#;
        let record: Record = serde_json::from_str(stored).expect("it is read");
        assert_eq!((record.verified, record.idle, record.median()), (2, 0, Some(Span::seconds(1))));
    }

    #[test]
    fn the_median_is_of_the_last_successes() {
        let mut record = Record::default();
        assert_eq!(record.median(), None);
        for seconds in 1..=200 {
            record.ended(Ended::Verified, Span::seconds(seconds), None);
            record.ended(Ended::Failed, Span::hours(9), None);
        }
        assert_eq!(record.median(), Some(Span::seconds(176)));
    }
}
