//! Reynard looks after itself: what it finds wrong with its own work, judged from what is open and what is asked for.
//! Knows no database and sends nothing; the instants are handed in.

use std::collections::BTreeMap;

use crate::domain::decide::command::{AttemptRef, Effect};
use crate::domain::incident::Incident;
use crate::domain::run::{Run, StepState, StepStatus};
use crate::domain::settings::Rulebook;
use crate::domain::time::{Span, Timestamp};

/// How much later than its instant something may begin before that is a fault: channels and targets take their time.
pub const LATE: Span = Span::minutes(2);
/// How long after its own timeout an attempt may still be said to be under way.
const GRACE: Span = Span::minutes(2);
/// How long something may look wrong that may only be on its way.
const ON_ITS_WAY: Span = Span::seconds(30);
/// How far the clock may lie behind what was committed.
pub const OUT_OF_STEP: Span = Span::minutes(1);

/// The `watch:` section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WatchSettings {
    /// How often somebody outside is told that all is well.
    pub every: Span,
}

impl Default for WatchSettings {
    fn default() -> Self {
        Self { every: Span::minutes(1) }
    }
}

/// An alert of a source that always fires: while it comes, the way from there to here is whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watchdog {
    pub alertname: String,
    /// It is missed after so long without a word.
    pub within: Span,
}

/// What is looked at, and so what can be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Check {
    /// The database takes commits.
    Store,
    /// The clock is where the log is.
    Clock,
    /// What is due begins.
    Timers,
    /// What is under way ends.
    Attempts,
    /// Each open incident has a next event or a person.
    Incidents,
    /// Each source's watchdog is heard.
    Watchdog,
}

impl Check {
    pub const ALL: [Self; 6] = [Self::Store, Self::Clock, Self::Timers, Self::Attempts, Self::Incidents, Self::Watchdog];

    pub fn word(self) -> &'static str {
        match self {
            Self::Store => "store",
            Self::Clock => "clock",
            Self::Timers => "timers",
            Self::Attempts => "attempts",
            Self::Incidents => "incidents",
            Self::Watchdog => "watchdog",
        }
    }

    /// What the alert of its own is called.
    pub fn alertname(self) -> &'static str {
        match self {
            Self::Store => "ReynardStoreFails",
            Self::Clock => "ReynardClockOutOfStep",
            Self::Timers => "ReynardTimersLate",
            Self::Attempts => "ReynardAttemptStuck",
            Self::Incidents => "ReynardIncidentAdrift",
            Self::Watchdog => "ReynardWatchdogMissing",
        }
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub check: Check,
    /// The source whose watchdog it is.
    pub source: Option<String>,
    pub words: String,
}

impl Fault {
    pub fn new(check: Check, words: impl Into<String>) -> Self {
        Self { check, source: None, words: words.into() }
    }
}

/// What was found on disk, a bounded part of it.
#[derive(Clone, Debug, Default)]
pub struct Audit {
    /// Open incidents that nobody has acknowledged and that nothing is asked for: they would lie there for ever.
    pub adrift: Vec<u64>,
    /// What has not begun and was due before: the first one's incident and instant, and how many.
    pub overdue: Option<Overdue>,
    /// Open incidents with a run that is not over.
    pub at_work: Vec<Incident>,
    /// What they ask the worker for.
    pub attempts: Vec<Asked>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overdue {
    pub number: u64,
    pub due_at: Timestamp,
    pub count: u64,
}

/// An attempt on disk.
#[derive(Clone, Debug, PartialEq)]
pub struct Asked {
    pub number: u64,
    pub at: Timestamp,
    pub started: bool,
    pub effect: Effect,
}

/// What is only a fault when it is still there half a minute later, since when: it may have been on its way.
pub type Suspects = BTreeMap<(u64, String), Timestamp>;

/// The faults that the disk shows, and what is suspicious.
pub fn judge(audit: &Audit, rulebook: &Rulebook, before: &Suspects, now: Timestamp) -> (Vec<Fault>, Suspects) {
    let mut faults = Vec::new();
    if let Some(Overdue { number, due_at, count }) = audit.overdue {
        let late = now.since(due_at);
        faults.push(Fault::new(Check::Timers, format!("{count} due and not begun, the first for incident #{number}, {late} late")));
    }
    let adrift = audit.adrift.iter().map(|number| (*number, "has neither a next event nor a person".to_owned()));
    let stopped =
        audit.at_work.iter().flat_map(|incident| stopped(incident, &audit.attempts).into_iter().map(|words| (incident.number, words)));
    let since = |suspect: (u64, String)| {
        let at = before.get(&suspect).copied().unwrap_or(now);
        (suspect, at)
    };
    let suspects: Suspects = adrift.chain(stopped).map(since).collect();
    let there = suspects.iter().filter(|(_, at)| now >= **at + ON_ITS_WAY);
    let there: Vec<String> = there.map(|((number, words), _)| format!("#{number} {words}")).collect();
    if !there.is_empty() {
        faults.push(Fault::new(Check::Incidents, some(&there)));
    }
    let stuck: Vec<String> = audit.attempts.iter().filter_map(|asked| stuck(asked, audit, rulebook, now)).collect();
    if !stuck.is_empty() {
        faults.push(Fault::new(Check::Attempts, some(&stuck)));
    }
    (faults, suspects)
}

/// An attempt whose own time has been over for long.
fn stuck(asked: &Asked, audit: &Audit, rulebook: &Rulebook, now: Timestamp) -> Option<String> {
    let Effect::Perform { attempt } = &asked.effect else { return None };
    let incident = audit.at_work.iter().find(|incident| incident.number == asked.number)?;
    let run = incident.runs.get(&attempt.run)?;
    let step = rulebook.revisions.get(&run.revision)?.step(&attempt.step)?;
    let over = asked.at + step.timeout + GRACE;
    (asked.started && over < now).then(|| format!("#{} step \"{}\" is under way since {}", asked.number, step.title, asked.at))
}

/// Runs that are not over and of which nothing moves and nothing waits, and steps that are said to be under way with nobody at them.
fn stopped(incident: &Incident, attempts: &[Asked]) -> Vec<String> {
    let open = incident.runs.values().filter(|run| !run.status.is_over() && !run.steps.is_empty());
    let mut words = Vec::new();
    for run in open {
        let moves = |state: &StepState| matches!(state.status, StepStatus::Running | StepStatus::Waiting | StepStatus::InDoubt);
        if !run.steps.values().any(|state| moves(state) || state.undoing) {
            words.push(format!("run of {} has stopped without an end", run.playbook));
        }
        let alone = run.steps.iter().filter(|(path, state)| has_nobody(incident, (run, path, state), attempts));
        words.extend(alone.map(|(path, _)| format!("step {path} of {} is under way with nobody at it", run.playbook)));
    }
    words
}

fn has_nobody(incident: &Incident, (run, path, state): (&Run, &String, &StepState), attempts: &[Asked]) -> bool {
    // A list is under way by its items, a playbook's step by the run that it started.
    let by_itself = state.status == StepStatus::Running && state.items.is_empty() && incident.children(run.id).next().is_none();
    let of_it = |AttemptRef { run: of, step, undo, .. }: &AttemptRef| *of == run.id && step == path && !undo;
    by_itself && !attempts.iter().any(|asked| matches!(&asked.effect, Effect::Perform { attempt } if of_it(attempt)))
}

/// The first few.
fn some(words: &[String]) -> String {
    let more = words.len().saturating_sub(3);
    let rest = if more > 0 { format!("; and {more} more") } else { String::new() };
    format!("{}{rest}", words[..words.len() - more].join("; "))
}
