//! Limits on automation: how many destructive attempts, where and how fast, counted from what was started, and whose turn it is.
//! Knows no clock and no store; the writer keeps the ledger and hands it in.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::domain::autonomy::Record;
use crate::domain::breaker::Breakers;
use crate::domain::hold::Switch;
use crate::domain::id::{IncidentId, RunId};
use crate::domain::targets::Targets;
use crate::domain::time::{Span, Timestamp};
use crate::domain::trouble::Troubles;

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
    /// Over all of a service's targets.
    pub per_service: Option<Rate>,
    /// Share of a service's targets that runs may be at work on at once; one always.
    pub share: Option<f64>,
    /// Share of a service's targets in trouble beyond which nothing is repaired by itself.
    pub correlated: f64,
    /// Failures in a row after which a playbook changes nothing more; none, however often it fails.
    pub breaker: Option<u32>,
}

impl Default for GlobalLimits {
    fn default() -> Self {
        Self {
            destructive: Rate { count: 20, window: Span::minutes(10) },
            per_target: Rate { count: 3, window: Span::hours(1) },
            per_service: None,
            share: None,
            correlated: 0.3,
            breaker: Some(3),
        }
    }
}

/// One destructive attempt that was started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spent {
    pub at: Timestamp,
    pub playbook: String,
    pub target: Option<String>,
    /// The target's; where it names none, the incident's.
    #[serde(default)]
    pub service: Option<String>,
}

/// How far a limit is used up, for one who asks now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gauge {
    /// In the words of the YAML: `per_target`.
    pub name: &'static str,
    pub rate: Rate,
    pub used: u32,
    /// When there is room again; none while there is.
    pub free_at: Option<Timestamp>,
}

impl Gauge {
    /// `per_target: 3 per 1h`.
    pub fn limit(&self) -> String {
        format!("{}: {}", self.name, self.rate)
    }
}

impl fmt::Display for Gauge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} per {} used", self.used, self.rate.count, self.rate.window)
    }
}

/// Every destructive attempt started within the longest window, oldest first, and what else deciding looks at beside the incident. It grows
/// with what is open, and is never copied.
#[derive(Debug, Default)]
pub struct Ledger {
    spent: VecDeque<Spent>,
    /// Runs that have begun and not ended, by playbook.
    running: BTreeMap<String, u32>,
    /// Runs that wait for one of those to end, by playbook, in the order in which they came.
    waiting: BTreeMap<String, VecDeque<Waiter>>,
    /// Who is at work on which target.
    pub targets: Targets,
    /// Which targets the alerts of open incidents name.
    pub troubles: Troubles,
    /// Which playbooks have failed too often in a row.
    pub breakers: Breakers,
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
    pub service: Option<&'a str>,
    pub own_per_target: Option<Rate>,
}

/// How far each limit is used up that one more attempt would meet, by the attempts that were started.
pub fn gauges<'s>(spent: impl Iterator<Item = &'s Spent> + Clone, ask: Ask<'_>, global: &GlobalLimits, now: Timestamp) -> Vec<Gauge> {
    let on_target = |spent: &Spent| spent.target.as_deref() == ask.target;
    let mut found = vec![gauge("destructive", global.destructive, now, spent.clone())];
    if ask.target.is_some() {
        found.push(gauge("per_target", global.per_target, now, spent.clone().filter(|spent| on_target(spent))));
        let own = |spent: &&Spent| spent.playbook == ask.playbook && on_target(spent);
        found.extend(ask.own_per_target.map(|rate| gauge("per_target", rate, now, spent.clone().filter(own))));
    }
    if let (Some(rate), Some(service)) = (global.per_service, ask.service) {
        found.push(gauge("per_service", rate, now, spent.filter(|spent| spent.service.as_deref() == Some(service))));
    }
    found
}

fn gauge<'s>(name: &'static str, rate: Rate, now: Timestamp, spent: impl Iterator<Item = &'s Spent>) -> Gauge {
    let within: Vec<&Spent> = spent.filter(|spent| spent.at + rate.window > now).collect();
    let allowed = rate.count as usize;
    // The window has room again once all but `count - 1` of the attempts have left it.
    let free_at = within.len().checked_sub(allowed).map(|at| within[at].at + rate.window);
    Gauge { name, rate, used: u32::try_from(within.len()).unwrap_or(u32::MAX), free_at }
}

/// `30%`.
pub fn percent(share: f64) -> String {
    format!("{}%", (share * 1_000.0).round() / 10.0)
}

impl Ledger {
    /// Says whether one more destructive attempt may start at `now`, or which limit has no room for it.
    pub fn admit(&self, ask: Ask<'_>, global: &GlobalLimits, now: Timestamp) -> Result<(), Gauge> {
        gauges(self.spent.iter(), ask, global, now).into_iter().find(|gauge| gauge.free_at.is_some()).map_or(Ok(()), Err)
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
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spent(at: i64, target: &str) -> Spent {
        Spent { at: Timestamp(at), playbook: "reset".into(), target: Some(target.into()), service: Some("orders".into()) }
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
        let ask = Ask { playbook: "reset", target: Some("db"), service: Some("orders"), own_per_target: None };
        let limits = GlobalLimits::default();
        for at in [0, 10, 20] {
            assert_eq!(ledger.admit(ask, &limits, Timestamp(at)), Ok(()));
            ledger.spend(spent(at, "db"));
        }
        let held = ledger.admit(ask, &limits, Timestamp(30)).expect_err("three are used up");
        assert_eq!((held.used, held.free_at), (3, Some(Timestamp(3_600_000))));
        assert_eq!((held.limit().as_str(), held.to_string().as_str()), ("per_target: 3 per 1h", "3 of 3 per 1h used"));
        assert_eq!(ledger.admit(Ask { target: Some("other"), ..ask }, &limits, Timestamp(30)), Ok(()));
        assert_eq!(ledger.admit(ask, &limits, Timestamp(3_600_000)), Ok(()));
    }
    #[test]
    fn a_service_is_counted_over_all_its_targets() {
        let mut ledger = Ledger::default();
        let limits = GlobalLimits { per_service: Some(Rate { count: 2, window: Span::hours(1) }), ..GlobalLimits::default() };
        ledger.spend(spent(0, "db"));
        ledger.spend(spent(10, "api"));
        let ask = Ask { playbook: "other", target: Some("cache"), service: Some("orders"), own_per_target: None };
        let held = ledger.admit(ask, &limits, Timestamp(20)).expect_err("two are used up");
        assert_eq!((held.limit().as_str(), held.free_at), ("per_service: 2 per 1h", Some(Timestamp(3_600_000))));
        assert_eq!(ledger.admit(Ask { service: Some("users"), ..ask }, &limits, Timestamp(20)), Ok(()));
    }
}
