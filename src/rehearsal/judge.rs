//! What was expected against what happened, and the difference in words that show where to look. Knows no file.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::domain::time::{Span, Timestamp};
use crate::domain::timeline::{Entry, recipient};
use crate::rehearsal::report::clock;
use crate::rehearsal::stage::{CallMade, Stage};

/// Entries shown around the place that matters; what lies further away is counted.
const AROUND: usize = 12;

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Expect {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub timeline: Vec<Sought>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub never: Vec<Sought>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub calls: Vec<Called>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub no_calls: Vec<Called>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub told: Vec<String>,
}

impl Expect {
    /// Whether nothing could be otherwise.
    pub fn is_empty(&self) -> bool {
        let nothing = self.timeline.is_empty() && self.never.is_empty() && self.calls.is_empty() && self.no_calls.is_empty();
        nothing && self.told.is_empty() && self.priority.is_none() && self.status.is_none()
    }
}

/// An entry that is looked for: its kind alone, or more of it.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(untagged)]
pub enum Sought {
    Kind(String),
    Entry(Wanted),
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Wanted {
    pub kind: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Span>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    #[serde(default, skip_serializing_if = "Words::is_empty")]
    pub says: Words,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(untagged)]
pub enum Words {
    One(String),
    Many(Vec<String>),
}

impl Default for Words {
    fn default() -> Self {
        Self::Many(Vec::new())
    }
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Called {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// Whether it takes back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub undo: Option<bool>,
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub with: Map<String, Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub times: Option<usize>,
}

/// What is wrong, and where in the story that stands, as a JSON pointer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub place: String,
    pub words: String,
}

impl Fault {
    pub fn new(place: impl Into<String>, words: impl Into<String>) -> Self {
        Self { place: place.into(), words: words.into() }
    }
}

/// Everything that is not as expected; empty when all is.
pub fn judge(expect: &Expect, stage: &Stage<'_>, begin: Timestamp) -> Vec<Fault> {
    let entries: Vec<&Entry> = stage.entries.iter().map(|(_, entry)| entry).collect();
    let entries = Entries { all: &entries, begin };
    let mut faults: Vec<Fault> = entries.compare(&expect.timeline).into_iter().collect();
    faults.extend(expect.never.iter().enumerate().filter_map(|(at, sought)| entries.lack(at, sought)));
    faults.extend(expect.calls.iter().enumerate().filter_map(|(at, called)| called.made(at, &stage.calls)));
    for (at, called) in expect.no_calls.iter().enumerate() {
        let made = stage.calls.iter().find(|call| called.is(call));
        faults.extend(
            made.map(|call| Fault::new(format!("/expect/no_calls/{at}"), format!("this call must not be made: {}", call_line(call)))),
        );
    }
    let newest = stage.newest();
    faults.extend(differs("priority", expect.priority.as_ref(), newest.map(|incident| incident.priority.to_string())));
    faults.extend(differs("status", expect.status.as_ref(), newest.map(|incident| incident.status.word().to_owned())));
    let told: Vec<String> = stage.letters.iter().map(|letter| recipient(&letter.channel, letter.person.as_deref())).collect();
    for (at, wanted) in expect.told.iter().enumerate().filter(|(_, wanted)| !told.contains(wanted)) {
        let all = if told.is_empty() { "nobody".to_owned() } else { told.join(", ") };
        faults.push(Fault::new(format!("/expect/told/{at}"), format!("{wanted} was not told; told were: {all}")));
    }
    faults
}

fn differs(what: &str, wanted: Option<&String>, got: Option<String>) -> Option<Fault> {
    let wanted = wanted.filter(|wanted| Some(*wanted) != got.as_ref())?;
    let got = got.unwrap_or_else(|| "not there".to_owned());
    Some(Fault::new(format!("/expect/{what}"), format!("expected {what} {wanted}, it is {got}")))
}

struct Entries<'a> {
    all: &'a [&'a Entry],
    begin: Timestamp,
}

impl Entries<'_> {
    /// The timeline beside the entry that was looked for in vain; marked are those that were found.
    fn compare(&self, sought: &[Sought]) -> Option<Fault> {
        let (mut at, mut found) = (0, Vec::new());
        for (index, wanted) in sought.iter().enumerate() {
            match self.all[at..].iter().position(|entry| wanted.is(entry, self.begin)) {
                Some(next) => {
                    found.push(at + next);
                    at += next + 1;
                }
                None => {
                    let near = self.near(wanted, at).map(|near| format!("\n      nearest: {near}")).unwrap_or_default();
                    let (before, after) = (self.shown(0..at, &found, true), self.shown(at..self.all.len(), &found, false));
                    let words = wanted.words();
                    let told = format!("the timeline is another\n{before}    - {words}   ← expected from here on{near}\n{after}");
                    return Some(Fault::new(format!("/expect/timeline/{index}"), told));
                }
            }
        }
        None
    }

    fn lack(&self, at: usize, sought: &Sought) -> Option<Fault> {
        let entry = self.all.iter().find(|entry| sought.is(entry, self.begin))?;
        Some(Fault::new(format!("/expect/never/{at}"), format!("this must not be there: {}", line(entry, self.begin))))
    }

    /// An entry of the same kind and step that is another all the same, and how.
    fn near(&self, sought: &Sought, from: usize) -> Option<String> {
        let Sought::Entry(wanted) = sought else {
            let early = self.all[..from].iter().find(|entry| sought.is(entry, self.begin))?;
            return Some(format!("{}, which comes earlier", line(early, self.begin)));
        };
        let alike = |entry: &&&Entry| wanted.is_about(entry);
        let after = self.all[from..].iter().find(alike).map(|entry| (entry, wanted.difference(entry, self.begin)));
        let before = || self.all[..from].iter().rev().find(alike).map(|entry| (entry, "it comes earlier".to_owned()));
        after.or_else(before).map(|(entry, why)| format!("{}  ({why})", line(entry, self.begin)))
    }

    /// What lies far from the place that matters is only counted.
    fn shown(&self, range: std::ops::Range<usize>, found: &[usize], near_end: bool) -> String {
        let left_out = range.len().saturating_sub(AROUND);
        let kept = if near_end { range.start + left_out..range.end } else { range.start..range.end - left_out };
        let counted = if left_out == 0 { String::new() } else { format!("      … {left_out} more\n") };
        let lines: String = kept
            .map(|index| format!("    {} {}\n", if found.contains(&index) { "✓" } else { " " }, line(self.all[index], self.begin)))
            .collect();
        if near_end { counted + &lines } else { lines + &counted }
    }
}

impl Sought {
    fn is(&self, entry: &Entry, begin: Timestamp) -> bool {
        match self {
            Self::Kind(kind) => entry.event.kind() == kind,
            Self::Entry(wanted) => wanted.is(entry, begin),
        }
    }

    fn words(&self) -> String {
        match self {
            Self::Kind(kind) => kind.clone(),
            Self::Entry(wanted) => {
                let step = wanted.step.as_ref().map(|step| format!(" of {step}")).unwrap_or_default();
                let at = wanted.at.map(|at| format!(" after {at}")).unwrap_or_default();
                let by = wanted.by.as_ref().map(|by| format!(" by {by}")).unwrap_or_default();
                let says = wanted.says.list().iter().map(|words| format!(" \"{words}\"")).collect::<String>();
                format!("{}{step}{at}{by}{says}", wanted.kind)
            }
        }
    }
}

impl Wanted {
    fn is_about(&self, entry: &Entry) -> bool {
        let step = |step: &String| entry.event.step().is_some_and(|at| at.step == *step);
        entry.event.kind() == self.kind && self.step.as_ref().is_none_or(step)
    }

    fn is(&self, entry: &Entry, begin: Timestamp) -> bool {
        self.is_about(entry) && self.difference(entry, begin).is_empty()
    }

    /// What else is wanted of the entry and is not so.
    fn difference(&self, entry: &Entry, begin: Timestamp) -> String {
        let sentence = entry.event.sentence(&entry.actor);
        let late = self.at.filter(|at| entry.at.since(begin).as_millis() / 1_000 != at.as_millis() / 1_000);
        let other = self.by.as_ref().filter(|by| entry.actor.name() != *by);
        let missing = self.says.list().iter().find(|words| !sentence.contains(words.as_str()));
        let told = [
            late.map(|_| "at another time".to_owned()),
            other.map(|_| format!("by {}", entry.actor)),
            missing.map(|words| format!("it does not say \"{words}\"")),
        ];
        told.into_iter().flatten().collect::<Vec<_>>().join(", ")
    }
}

impl Words {
    fn list(&self) -> &[String] {
        match self {
            Self::One(words) => std::slice::from_ref(words),
            Self::Many(all) => all,
        }
    }

    fn is_empty(&self) -> bool {
        self.list().is_empty()
    }
}

impl Called {
    fn made(&self, at: usize, calls: &[CallMade]) -> Option<Fault> {
        let made = calls.iter().filter(|call| self.is(call)).count();
        if self.times.map_or(made > 0, |times| made == times) {
            return None;
        }
        let wanted = self.times.map_or("a call".to_owned(), |times| format!("{times} calls"));
        let all: String = calls.iter().map(|call| format!("\n    {}", call_line(call))).collect();
        Some(Fault::new(format!("/expect/calls/{at}"), format!("expected {wanted} {}, made {made}{all}", self.words())))
    }

    fn is(&self, call: &CallMade) -> bool {
        self.step.as_ref().is_none_or(|step| call.step == *step)
            && self.action.as_ref().is_none_or(|action| call.action == *action)
            && self.target.as_ref().is_none_or(|target| call.target.as_ref() == Some(target))
            && self.undo.is_none_or(|undo| call.undo == undo)
            && self.with.iter().all(|(name, value)| call.params.get(name) == Some(value))
    }

    fn words(&self) -> String {
        let with = if self.with.is_empty() { String::new() } else { format!(" with {}", Value::Object(self.with.clone())) };
        let undo = if self.undo == Some(true) { "taking back " } else { "" };
        let parts = [&self.step, &self.action, &self.target].into_iter().flatten().cloned().collect::<Vec<_>>();
        format!("of {undo}{}{with}", if parts.is_empty() { "anything".to_owned() } else { parts.join(" ") })
    }
}

fn call_line(call: &CallMade) -> String {
    let on = call.target.as_ref().map(|target| format!(" on {target}")).unwrap_or_default();
    let undo = if call.undo { "taking back " } else { "" };
    format!("{undo}{} {}{on} {}", call.step, call.action, call.params)
}

fn line(entry: &Entry, begin: Timestamp) -> String {
    let sentence = entry.event.sentence(&entry.actor);
    let step = entry.event.step().map(|at| format!(" {}", at.step)).unwrap_or_default();
    format!("{}  {}{step}  {}", clock(entry.at, begin), entry.event.kind(), sentence.lines().next().unwrap_or_default())
}
