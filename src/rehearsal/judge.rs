//! What was expected against what happened, and the difference in words that show where to look. Knows no file.

use serde::Deserialize;
use serde_json::Value;

use crate::domain::time::{Span, Timestamp};
use crate::domain::timeline::{Entry, recipient};
use crate::rehearsal::report::clock;
use crate::rehearsal::stage::{CallMade, Stage};

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Expect {
    timeline: Vec<Sought>,
    never: Vec<Sought>,
    calls: Vec<Called>,
    no_calls: Vec<Called>,
    priority: Option<String>,
    status: Option<String>,
    told: Vec<String>,
}

impl Expect {
    /// Whether nothing could be otherwise.
    pub fn is_empty(&self) -> bool {
        let nothing = self.timeline.is_empty() && self.never.is_empty() && self.calls.is_empty() && self.no_calls.is_empty();
        nothing && self.told.is_empty() && self.priority.is_none() && self.status.is_none()
    }
}

/// An entry that is looked for: its kind alone, or more of it.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum Sought {
    Kind(String),
    Entry(Wanted),
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    kind: String,
    step: Option<String>,
    at: Option<Span>,
    by: Option<String>,
    #[serde(default)]
    says: Words,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum Words {
    One(String),
    Many(Vec<String>),
}

impl Default for Words {
    fn default() -> Self {
        Self::Many(Vec::new())
    }
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Called {
    step: Option<String>,
    action: Option<String>,
    target: Option<String>,
    with: serde_json::Map<String, Value>,
    times: Option<usize>,
}

/// Everything that is not as expected; empty when all is.
pub fn judge(expect: &Expect, stage: &Stage<'_>, begin: Timestamp) -> Vec<String> {
    let entries: Vec<&Entry> = stage.entries.iter().map(|(_, entry)| entry).collect();
    let mut faults: Vec<String> = timeline(&expect.timeline, &entries, begin).into_iter().collect();
    for sought in &expect.never {
        faults.extend(
            entries.iter().find(|entry| sought.is(entry, begin)).map(|entry| format!("this must not be there: {}", line(entry, begin))),
        );
    }
    for called in &expect.calls {
        let made = stage.calls.iter().filter(|call| called.is(call)).count();
        if called.times.map_or(made == 0, |times| made != times) {
            faults.push(format!(
                "expected {} {}, made {made}\n{}",
                called.times.map_or("a call".to_owned(), |times| format!("{times} calls")),
                called.words(),
                calls(&stage.calls)
            ));
        }
    }
    for called in &expect.no_calls {
        faults
            .extend(stage.calls.iter().find(|call| called.is(call)).map(|call| format!("this call must not be made: {}", call_line(call))));
    }
    let last = stage.incidents().last();
    let mut is = |what: &str, wanted: &Option<String>, got: Option<String>| {
        if wanted.is_some() && *wanted != got {
            faults.push(format!(
                "expected {what} {}, it is {}",
                wanted.as_deref().unwrap_or_default(),
                got.unwrap_or_else(|| "not there".to_owned())
            ));
        }
    };
    is("priority", &expect.priority, last.map(|incident| incident.priority.to_string()));
    is("status", &expect.status, last.map(|incident| incident.status.word().to_owned()));
    let told: Vec<String> = stage.letters.iter().map(|letter| recipient(&letter.channel, letter.person.as_deref())).collect();
    for wanted in expect.told.iter().filter(|wanted| !told.contains(wanted)) {
        faults.push(format!("{wanted} was not told; told were: {}", if told.is_empty() { "nobody".to_owned() } else { told.join(", ") }));
    }
    faults
}

/// The whole timeline beside the entry that was looked for in vain; marked are those that were found.
fn timeline(sought: &[Sought], entries: &[&Entry], begin: Timestamp) -> Option<String> {
    let (mut at, mut found) = (0, Vec::new());
    for wanted in sought {
        match entries[at..].iter().position(|entry| wanted.is(entry, begin)) {
            Some(next) => {
                found.push(at + next);
                at += next + 1;
            }
            None => {
                let marked = |(index, entry): (usize, &&Entry)| {
                    format!("    {} {}\n", if found.contains(&index) { "✓" } else { " " }, line(entry, begin))
                };
                let (before, after): (Vec<_>, Vec<_>) = entries.iter().enumerate().partition(|(index, _)| *index < at);
                let before: String = before.into_iter().map(marked).collect();
                let after: String = after.into_iter().map(marked).collect();
                return Some(format!("the timeline is another\n{before}    - {}   ← expected from here on\n{after}", wanted.words()));
            }
        }
    }
    None
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
    fn is(&self, entry: &Entry, begin: Timestamp) -> bool {
        let sentence = entry.event.sentence(&entry.actor);
        entry.event.kind() == self.kind
            && self.step.as_ref().is_none_or(|step| entry.event.step().is_some_and(|at| at.step == *step))
            && self.at.is_none_or(|at| entry.at.since(begin).as_millis() / 1_000 == at.as_millis() / 1_000)
            && self.by.as_ref().is_none_or(|by| entry.actor.name() == by)
            && self.says.list().iter().all(|words| sentence.contains(words.as_str()))
    }
}

impl Words {
    fn list(&self) -> &[String] {
        match self {
            Self::One(words) => std::slice::from_ref(words),
            Self::Many(all) => all,
        }
    }
}

impl Called {
    fn is(&self, call: &CallMade) -> bool {
        self.step.as_ref().is_none_or(|step| call.step == *step)
            && self.action.as_ref().is_none_or(|action| call.action == *action)
            && self.target.as_ref().is_none_or(|target| call.target.as_ref() == Some(target))
            && self.with.iter().all(|(name, value)| call.params.get(name) == Some(value))
    }

    fn words(&self) -> String {
        let with = if self.with.is_empty() { String::new() } else { format!(" with {}", Value::Object(self.with.clone())) };
        let parts = [&self.step, &self.action, &self.target].into_iter().flatten().cloned().collect::<Vec<_>>();
        format!("of {}{with}", if parts.is_empty() { "anything".to_owned() } else { parts.join(" ") })
    }
}

fn calls(calls: &[CallMade]) -> String {
    calls.iter().map(|call| format!("    {}\n", call_line(call))).collect()
}

fn call_line(call: &CallMade) -> String {
    format!(
        "{} {}{} {}",
        call.step,
        call.action,
        call.target.as_ref().map(|target| format!(" on {target}")).unwrap_or_default(),
        call.params
    )
}

fn line(entry: &Entry, begin: Timestamp) -> String {
    let sentence = entry.event.sentence(&entry.actor);
    let step = entry.event.step().map(|at| format!(" {}", at.step)).unwrap_or_default();
    format!("{}  {}{step}  {}", clock(entry.at, begin), entry.event.kind(), sentence.lines().next().unwrap_or_default())
}
