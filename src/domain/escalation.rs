//! Escalation: which level is asked, and when the next one is due; after downtime it catches up to the level due now.
//! Knows no clock and sends nothing; it only says what should be sent.

use std::collections::BTreeMap;

use crate::domain::labels::{Labels, Matcher};
use crate::domain::priority::Priority;
use crate::domain::time::{Span, Timestamp};

/// The policy of every incident that no other policy is for.
pub const DEFAULT: &str = "default";

/// Stands where a message's template does when its own words are all there is to say.
pub const ONLY_WORDS: &str = "text";

/// A named policy: whom it is for, and a plan for each priority.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    pub name: String,
    /// An incident that opens with such labels follows it; without any nobody does, except that `default` takes all others.
    pub matchers: Vec<Matcher>,
    pub plans: BTreeMap<u8, Plan>,
}

impl Policy {
    pub fn is_for(&self, labels: &Labels) -> bool {
        !self.matchers.is_empty() && self.matchers.iter().all(|matcher| matcher.matches(labels))
    }

    pub fn plan(&self, priority: Priority) -> Option<&Plan> {
        self.plans.get(&priority.number())
    }
}

/// Who is told, and when, until somebody acknowledges.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// How long people may take to acknowledge; the page shows it as the deadline.
    pub respond_within: Span,
    pub levels: Vec<Level>,
    /// How many times the levels are gone through; the pause between rounds is `respond_within`.
    pub repeat: u32,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Level {
    pub notify: Vec<String>,
    /// Reckoned from the start of the round.
    pub after: Span,
}

/// One moment of a plan: these levels of this round are due together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moment {
    /// 1 for the first level; the highest one due at this moment.
    pub level: u32,
    /// 1 for the first round.
    pub round: u32,
    /// Indexes into `levels`.
    pub levels: Vec<usize>,
    pub due_at: Timestamp,
}

impl Plan {
    /// Every moment in order, for a plan that started at `start`.
    pub fn moments(&self, start: Timestamp) -> impl Iterator<Item = Moment> + '_ {
        let mut offsets: Vec<Span> = self.levels.iter().map(|level| level.after).collect();
        offsets.sort_unstable();
        offsets.dedup();
        // No setting speaks of more than ten years, so that neither this nor the sums below can overflow.
        let length = offsets.last().copied().unwrap_or(Span::ZERO).0 + self.respond_within.0.max(60_000);
        (0..self.repeat.max(1)).flat_map(move |round| {
            let begin = start + Span(length).times(u64::from(round));
            offsets.clone().into_iter().map(move |offset| {
                let levels: Vec<usize> = (0..self.levels.len()).filter(|at| self.levels[*at].after == offset).collect();
                let level = levels.iter().max().map_or(1, |at| u32::try_from(at + 1).unwrap_or(u32::MAX));
                Moment { level, round: round + 1, levels, due_at: begin + offset }
            })
        })
    }

    /// The first moment after the one numbered `done` (0 = none yet) and its number.
    pub fn moment(&self, start: Timestamp, number: u32) -> Option<Moment> {
        self.moments(start).nth(number as usize)
    }

    /// Catches up at `now`: the number of moments due, and the last of them. Earlier ones that were missed are covered by
    /// the set of levels returned, so that nobody is told twice and no level is skipped.
    pub fn due(&self, start: Timestamp, done: u32, now: Timestamp) -> Option<Due> {
        let due: Vec<Moment> = self.moments(start).skip(done as usize).take_while(|moment| moment.due_at <= now).collect();
        let last = due.last()?.clone();
        let mut levels: Vec<usize> = due.iter().filter(|m| m.round == last.round).flat_map(|m| m.levels.iter().copied()).collect();
        levels.sort_unstable();
        levels.dedup();
        let done = done + u32::try_from(due.len()).unwrap_or(u32::MAX);
        let late = now.since(last.due_at);
        Some(Due { moment: last, levels, done, late, next_at: self.moment(start, done).map(|moment| moment.due_at) })
    }
}

/// What is to be done now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due {
    pub moment: Moment,
    /// Every level to tell now, without doubles.
    pub levels: Vec<usize>,
    /// Moments done once this is carried out.
    pub done: u32,
    /// How late the last of them is.
    pub late: Span,
    pub next_at: Option<Timestamp>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan() -> Plan {
        let level = |name: &str, after| Level { notify: vec![name.to_owned()], after };
        Plan {
            respond_within: Span::minutes(15),
            levels: vec![level("on-call", Span::ZERO), level("lead", Span::ZERO), level("managers", Span::minutes(15))],
            repeat: 3,
        }
    }

    #[test]
    fn levels_due_together_are_one_moment() {
        let moments: Vec<_> = plan().moments(Timestamp(0)).map(|m| (m.round, m.level, m.due_at.0 / 60_000)).collect();
        assert_eq!(moments, [(1, 2, 0), (1, 3, 15), (2, 2, 30), (2, 3, 45), (3, 2, 60), (3, 3, 75)]);
    }

    #[test]
    fn after_downtime_it_catches_up_to_the_level_due_now_at_once() {
        let due = plan().due(Timestamp(0), 1, Timestamp(0) + Span::minutes(50)).expect("moments are due");
        assert_eq!((due.moment.round, due.levels, due.done), (2, vec![0, 1, 2], 4));
        assert_eq!(due.next_at, Some(Timestamp(0) + Span::minutes(60)));
        assert_eq!(due.late, Span::minutes(5));
    }

    #[test]
    fn a_finished_plan_has_nothing_due() {
        assert_eq!(plan().due(Timestamp(0), 6, Timestamp(i64::MAX / 2)), None);
    }
}
