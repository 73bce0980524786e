//! Limits on automation: how many destructive attempts, where and how fast, counted from what was started, and whose turn it is.
//! Knows no clock and no store; the writer keeps the ledger and hands it in.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::domain::autonomy::Record;
use crate::domain::hold::Switch;
use crate::domain::id::{IncidentId, RunId};
use crate::domain::targets::Targets;
use crate::domain::time::{Span, Timestamp};

/// What was started is remembered for so long; no window may be longer, or it would forget what it is to count.
pub const LONGEST_WINDOW: Span = Span::hours(24 * 7);

/// So many in a sliding window: `20 per 10m`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    pub count: u32,
    pub window: Span,
}

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let fault = || format!("\"{text}\" is not a rate; write for example 3 per 1h");
        let (count, window) = text.split_once(" per ").ok_or_else(fault)?;
        let rate = Self { count: count.trim().parse().map_err(|_| fault())?, window: window.parse().map_err(|_| fault())? };
        if rate.window > LONGEST_WINDOW {
            return Err(format!("\"{text}\" looks further back than {LONGEST_WINDOW}, which is as long as attempts are remembered"));
        }
        if rate.count == 0 || rate.window == Span::ZERO { Err(fault()) } else { Ok(rate) }
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} per {}", self.count, self.window)
    }
}

/// The global `limits:` of `reynard.yaml`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GlobalLimits {
    pub destructive: Rate,
    pub per_target: Rate,
    /// Share of a service's targets that may fire before automation holds back; parsed, held by a later version.
    pub correlated: f64,
}

impl Default for GlobalLimits {
    fn default() -> Self {
        Self {
            destructive: Rate { count: 20, window: Span::minutes(10) },
            per_target: Rate { count: 3, window: Span::hours(1) },
            correlated: 0.3,
        }
    }
}

/// One destructive attempt that was started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spent {
    pub at: Timestamp,
    pub playbook: String,
    pub target: Option<String>,
}

/// Why an attempt may not start now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// Which limit, in the words of the YAML: `per_target: 3 per 1h`.
    pub limit: String,
    pub count: u32,
    /// When there is room again.
    pub free_at: Timestamp,
}

/// Every destructive attempt started within the longest window, oldest first.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    spent: VecDeque<Spent>,
    /// Runs that have begun and not ended, by playbook.
    running: BTreeMap<String, u32>,
    /// Runs that wait for one of those to end, by playbook, in the order in which they came.
    waiting: BTreeMap<String, VecDeque<Waiter>>,
    /// Who is at work on which target.
    pub targets: Targets,
    /// Who holds automation, and whom that matters to.
    pub switch: Switch,
    /// What each playbook's runs came to.
    pub records: BTreeMap<String, Record>,
    /// What would have been started, were it not in shadow, since this process began.
    pub shadowed: VecDeque<Spent>,
}

/// A run that waits for its turn, because as many of its playbook are under way as may be at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waiter {
    pub incident: IncidentId,
    pub run: RunId,
}

/// What an attempt asks for.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    pub playbook: &'a str,
    pub target: Option<&'a str>,
    pub own_per_target: Option<Rate>,
}

impl Ledger {
    /// Says whether one more destructive attempt may start at `now`.
    pub fn admit(&self, ask: Ask<'_>, global: &GlobalLimits, now: Timestamp) -> Result<(), Held> {
        self.hold("destructive", global.destructive, now, |_| true)?;
        if let Some(target) = ask.target {
            let on_target = |spent: &Spent| spent.target.as_deref() == Some(target);
            self.hold("per_target", global.per_target, now, on_target)?;
            if let Some(rate) = ask.own_per_target {
                self.hold("per_target", rate, now, |spent| spent.playbook == ask.playbook && on_target(spent))?;
            }
        }
        Ok(())
    }

    /// What was started, oldest first.
    pub fn spent(&self) -> impl Iterator<Item = &Spent> {
        self.spent.iter()
    }

    /// Counts an attempt that starts in this commit.
    pub fn spend(&mut self, spent: Spent) {
        let at = self.spent.partition_point(|earlier| earlier.at <= spent.at);
        self.spent.insert(at, spent);
    }

    /// Forgets what no window of `longest` can see any more.
    pub fn forget(&mut self, now: Timestamp, longest: Span) {
        while self.spent.front().is_some_and(|spent| spent.at + longest <= now) {
            self.spent.pop_front();
        }
    }

    pub fn running(&self, playbook: &str) -> u32 {
        self.running.get(playbook).copied().unwrap_or(0)
    }

    /// A run takes a place; if it waited for one, it waits no more.
    pub fn run_begins(&mut self, playbook: &str, run: RunId) {
        self.leave_line(playbook, run);
        *self.running.entry(playbook.to_owned()).or_default() += 1;
    }

    pub fn run_waits(&mut self, playbook: &str, waiter: Waiter) {
        self.waiting.entry(playbook.to_owned()).or_default().push_back(waiter);
    }

    /// The run that may begin before all others of its playbook.
    pub fn next_in_line(&self, playbook: &str) -> Option<Waiter> {
        self.waiting.get(playbook)?.front().copied()
    }

    /// A run gives up its place under way or in the line.
    pub fn run_ended(&mut self, playbook: &str, run: RunId) {
        if !self.leave_line(playbook, run)
            && let Some(n) = self.running.get_mut(playbook)
        {
            *n = n.saturating_sub(1);
        }
    }

    fn leave_line(&mut self, playbook: &str, run: RunId) -> bool {
        let Some(line) = self.waiting.get_mut(playbook) else { return false };
        let place = line.iter().position(|waiter| waiter.run == run);
        place.is_some_and(|place| line.remove(place).is_some())
    }

    fn hold(&self, name: &str, rate: Rate, now: Timestamp, counts: impl Fn(&Spent) -> bool) -> Result<(), Held> {
        let within: Vec<_> = self.spent.iter().filter(|spent| spent.at + rate.window > now && counts(spent)).collect();
        let allowed = rate.count as usize;
        if within.len() < allowed {
            return Ok(());
        }
        // The window has room again once all but `count - 1` of the attempts have left it.
        let free_at = within[within.len() - allowed].at + rate.window;
        Err(Held { limit: format!("{name}: {rate}"), count: u32::try_from(within.len()).unwrap_or(u32::MAX), free_at })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spent(at: i64, target: &str) -> Spent {
        Spent { at: Timestamp(at), playbook: "reset".into(), target: Some(target.into()) }
    }

    #[test]
    fn a_rate_reads_as_it_is_written() {
        assert_eq!("3 per 1h".parse(), Ok(Rate { count: 3, window: Span::hours(1) }));
        assert_eq!("3 per 7d".parse(), Ok(Rate { count: 3, window: LONGEST_WINDOW }));
        for text in ["", "3", "0 per 1h", "3 per", "x per 1h", "3 per 0s", "3 per 8d", "3 per 169h"] {
            assert!(text.parse::<Rate>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_fourth_attempt_on_a_target_waits_until_the_first_leaves_the_window() {
        let mut ledger = Ledger::default();
        let ask = Ask { playbook: "reset", target: Some("db"), own_per_target: None };
        let limits = GlobalLimits::default();
        for at in [0, 10, 20] {
            assert_eq!(ledger.admit(ask, &limits, Timestamp(at)), Ok(()));
            ledger.spend(spent(at, "db"));
        }
        let held = ledger.admit(ask, &limits, Timestamp(30)).expect_err("three are used up");
        assert_eq!((held.count, held.free_at), (3, Timestamp(3_600_000)));
        assert_eq!(ledger.admit(Ask { target: Some("other"), ..ask }, &limits, Timestamp(30)), Ok(()));
        assert_eq!(ledger.admit(ask, &limits, Timestamp(3_600_000)), Ok(()));
    }
}
