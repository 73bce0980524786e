//! Which bars and marks there are: an incident's log cut into intervals, each on its lane. Knows no scale's insides.

use std::collections::BTreeMap;

use crate::domain::id::RunId;
use crate::domain::time::Timestamp;
use crate::domain::timeline::{Actor, Entry, Event, Outcome, StepRef, recipient};
use crate::web::pages::view::face::face;
use crate::web::pages::view::gantt::scale::Scale;
use crate::web::pages::view::gantt::{BarView, Drawn, LaneView, MarkView, end, percent, stretch};
use crate::web::pages::view::times::took;

/// How many lanes the alerts have before the rest shares one.
const ALERTS: usize = 4;
/// Marks nearer than this, in percent, become one.
const NEAR: f64 = 2.0;
/// A bar is at least so wide, in percent, that it can be seen and pointed at.
const THIN: f64 = 0.5;

/// A bar before it has a place.
struct Interval {
    from: Timestamp,
    /// None while it goes on.
    to: Option<Timestamp>,
    tone: &'static str,
    hatched: bool,
    words: String,
}

pub fn lanes(drawn: &Drawn<'_>, scale: &Scale) -> Vec<LaneView> {
    let mut lanes = vec![incident(drawn, scale)];
    lanes.extend(alerts(drawn, scale));
    lanes.extend(runs(drawn, scale));
    lanes.extend(marks(drawn, scale, ("Messages", message)));
    lanes.extend(marks(drawn, scale, ("People", person)));
    lanes
}

/// How long nobody had it, and how long somebody.
fn incident(drawn: &Drawn<'_>, scale: &Scale) -> LaneView {
    let mut intervals: Vec<Interval> = Vec::new();
    let first = drawn.entries.first();
    let begun_before = first.is_some_and(|entry| entry.seq > 1);
    let nobody = |from| open_interval(from, "bad", "nobody has acknowledged".to_owned());
    intervals.extend(first.filter(|_| begun_before).map(|entry| open_interval(entry.at, "calm", "open".to_owned())));
    for entry in drawn.entries {
        let next = match &entry.event {
            Event::Opened { .. } | Event::Reopened { .. } | Event::Unacknowledged { .. } => Some(nobody(entry.at)),
            Event::Acknowledged { .. } => Some(open_interval(entry.at, "busy", format!("{} is on it", entry.actor))),
            Event::Resolved { .. } => None,
            _ => continue,
        };
        close(&mut intervals, entry.at);
        intervals.extend(next);
    }
    let whole = drawn.incident.resolved_at.unwrap_or(end(drawn)).since(drawn.incident.opened_at);
    LaneView { label: "Incident".to_owned(), took: took(whole), bars: bars(drawn, scale, intervals), ..LaneView::default() }
}

/// One lane for all alerts with the same story; the rest together.
fn alerts(drawn: &Drawn<'_>, scale: &Scale) -> Vec<LaneView> {
    let mut stories: Vec<(Vec<(Timestamp, Option<Timestamp>)>, Vec<&str>)> = Vec::new();
    for (fingerprint, story) in alert_stories(drawn.entries) {
        match stories.iter_mut().find(|(known, _)| *known == story) {
            Some((_, names)) => names.push(fingerprint),
            None => stories.push((story, vec![fingerprint])),
        }
    }
    stories.sort_by_key(|(story, names)| (story.first().map(|(from, _)| *from), std::cmp::Reverse(names.len())));
    if stories.len() > ALERTS {
        let rest: Vec<_> = stories.drain(ALERTS - 1..).collect();
        let names = rest.iter().flat_map(|(_, names)| names.iter().copied()).collect();
        stories.push((union(rest.into_iter().flat_map(|(story, _)| story).collect()), names));
    }
    let lane = |(at, (story, names)): (usize, (Vec<(Timestamp, Option<Timestamp>)>, Vec<&str>))| {
        let label = match names.as_slice() {
            [one] => alert_name(drawn, one),
            many => format!("{} alerts", many.len()),
        };
        let firing = |(from, to)| Interval { from, to, tone: "bad", hatched: false, words: format!("{label}, firing") };
        LaneView { bars: bars(drawn, scale, story.into_iter().map(firing).collect()), head: at == 0, label, ..LaneView::default() }
    };
    stories.into_iter().enumerate().map(lane).collect()
}

/// When each alert fired and until when.
fn alert_stories(entries: &[Entry]) -> BTreeMap<&str, Vec<(Timestamp, Option<Timestamp>)>> {
    let mut stories: BTreeMap<&str, Vec<(Timestamp, Option<Timestamp>)>> = BTreeMap::new();
    for entry in entries {
        match &entry.event {
            Event::AlertFired { alerts, .. } => {
                for alert in alerts {
                    let story = stories.entry(&alert.fingerprint).or_default();
                    if story.last().is_none_or(|(_, to)| to.is_some()) {
                        story.push((entry.at, None));
                    }
                }
            }
            Event::AlertResolved { alerts, .. } => {
                for alert in alerts {
                    let last = stories.get_mut(alert.fingerprint.as_str()).and_then(|story| story.last_mut());
                    if let Some((_, to @ None)) = last {
                        *to = Some(entry.at);
                    }
                }
            }
            _ => {}
        }
    }
    stories
}

fn union(mut all: Vec<(Timestamp, Option<Timestamp>)>) -> Vec<(Timestamp, Option<Timestamp>)> {
    all.sort_by_key(|(from, _)| *from);
    let mut joined: Vec<(Timestamp, Option<Timestamp>)> = Vec::new();
    for (from, to) in all {
        match joined.last_mut() {
            Some((_, None)) => {}
            Some((_, Some(last))) if from <= *last => {
                if let Some((_, end)) = joined.last_mut() {
                    *end = to.map(|to| end.map_or(to, |end| end.max(to)));
                }
            }
            _ => joined.push((from, to)),
        }
    }
    joined
}

/// An alert by what sets it apart from its siblings.
fn alert_name(drawn: &Drawn<'_>, fingerprint: &str) -> String {
    let labels = drawn.alerts.iter().find(|row| row.fingerprint == fingerprint).map(|row| &row.mark.labels);
    let own = labels.and_then(|labels| {
        let common = &drawn.incident.labels;
        let apart = labels.iter().find(|(name, value)| common.get(*name) != Some(value)).map(|(_, value)| value.clone());
        labels.get("instance").cloned().or(apart).or_else(|| labels.get("alertname").cloned())
    });
    own.unwrap_or_else(|| "1 alert".to_owned())
}

/// A lane for each run, and below it one for each of its steps.
fn runs(drawn: &Drawn<'_>, scale: &Scale) -> Vec<LaneView> {
    let mut lanes = Vec::new();
    for run in drawn.incident.runs_in_order() {
        let mut steps = steps(drawn.entries, run.id);
        if steps.is_empty() {
            continue;
        }
        // What still waited when the run ended waits no more; what ran ends by itself.
        for waiting in steps.iter_mut().filter_map(|step| step.intervals.last_mut()).filter(|last| last.hatched && last.to.is_none()) {
            waiting.to = run.ended_at;
        }
        let span = run.ended_at.map(|end| took(end.since(run.started_at))).unwrap_or_default();
        let tone = crate::web::pages::view::face::run_tone(run.status);
        let whole = Interval {
            from: run.started_at,
            to: run.ended_at,
            tone,
            hatched: false,
            words: format!("{} {}", run.playbook, run.status.word()),
        };
        let mut head =
            LaneView { label: run.playbook.clone(), sub: run.status.word().to_owned(), head: true, took: span, ..LaneView::default() };
        head.bars = bars(drawn, scale, vec![whole]);
        lanes.push(head);
        lanes.extend(steps.into_iter().map(|lane| step_lane(drawn, scale, lane)));
    }
    lanes
}

#[derive(Default)]
struct Steps {
    title: String,
    on: String,
    intervals: Vec<Interval>,
    skipped: Option<(Timestamp, String)>,
}

fn step_lane(drawn: &Drawn<'_>, scale: &Scale, step: Steps) -> LaneView {
    let done: u64 = step.intervals.iter().filter(|one| !one.hatched).filter_map(|one| Some(one.to?.since(one.from).0)).sum();
    let running = step.intervals.last().is_some_and(|last| last.to.is_none());
    let skipped = step.skipped.map(|(at, why)| MarkView { x: percent(scale.place(at)), icon: "skip", tone: "minor", title: why });
    LaneView {
        took: if done > 0 && !running { took(crate::domain::time::Span(done)) } else { String::new() },
        bars: bars(drawn, scale, step.intervals),
        marks: skipped.into_iter().collect(),
        label: step.title,
        sub: step.on,
        head: false,
    }
}

/// What each step of a run did, in the order they came up.
fn steps(entries: &[Entry], run: RunId) -> Vec<Steps> {
    let mut order: Vec<(String, Steps)> = Vec::new();
    for entry in entries {
        let held = match &entry.event {
            Event::LimitHit { run: own, step: Some(step), .. } if *own == run => Some(step.as_str()),
            _ => None,
        };
        let Some(id) = entry.event.step().filter(|at| at.run == run).map(|at| at.step.as_str()).or(held) else { continue };
        let at = order.iter().position(|(known, _)| known == id).unwrap_or_else(|| {
            order.push((id.to_owned(), Steps { title: id.to_owned(), ..Steps::default() }));
            order.len() - 1
        });
        if let Some((_, step)) = order.get_mut(at) {
            step.took(entry);
        }
    }
    order.into_iter().map(|(_, step)| step).collect()
}

impl Steps {
    /// One more fact about the step.
    fn took(&mut self, entry: &Entry) {
        match &entry.event {
            Event::StepStarted { at, title, action, target, .. } => {
                close(&mut self.intervals, entry.at);
                title.clone_into(&mut self.title);
                self.on = target.as_ref().map_or_else(|| action.clone(), |target| format!("{action} on {target}"));
                let (tone, hatched) = if action == "wait" { ("wait", true) } else { ("busy", false) };
                self.intervals.push(Interval { hatched, ..open_interval(entry.at, tone, attempt(at)) });
            }
            Event::StepSucceeded { .. } => self.ended(entry.at, "good", "succeeded"),
            Event::StepUndone { .. } => self.ended(entry.at, "calm", "undone"),
            Event::StepInDoubt { title, .. } => {
                self.ended(entry.at, "doubt", "in doubt");
                title.clone_into(&mut self.title);
                self.waits(entry.at, "doubt", "nobody knows whether it took effect");
            }
            Event::StepSettled { outcome, .. } => {
                let said = if *outcome == Outcome::Succeeded { "a person says it took effect" } else { "a person says it did not" };
                self.ended(entry.at, "doubt", said);
            }
            Event::StepFailed { reason, retry_at, .. } => {
                self.ended(entry.at, "bad", &format!("failed: {reason}"));
                if retry_at.is_some() {
                    self.waits(entry.at, "wait", "waits to be tried again");
                }
            }
            Event::StepSkipped { title, reason, .. } => {
                close(&mut self.intervals, entry.at);
                title.clone_into(&mut self.title);
                self.skipped = Some((entry.at, format!("skipped: {reason}")));
            }
            Event::LimitHit { limit, .. } => self.waits(entry.at, "wait", &format!("held back by the limit {limit}")),
            _ => {}
        }
    }

    fn ended(&mut self, at: Timestamp, tone: &'static str, words: &str) {
        if let Some(last) = self.intervals.last_mut().filter(|last| last.to.is_none()) {
            last.to = Some(at);
            if !last.hatched {
                last.tone = tone;
                last.words = format!("{}, {words}", last.words);
            }
        }
    }

    fn waits(&mut self, from: Timestamp, tone: &'static str, words: &str) {
        self.intervals.push(Interval { hatched: true, ..open_interval(from, tone, words.to_owned()) });
    }
}

fn attempt(at: &StepRef) -> String {
    if at.undo { format!("undoing, attempt {}", at.attempt) } else { format!("attempt {}", at.attempt) }
}

/// A lane of marks; none when there are no marks.
fn marks(drawn: &Drawn<'_>, scale: &Scale, (label, of): (&str, fn(&Entry) -> Option<String>)) -> Option<LaneView> {
    let mut marks: Vec<(f64, MarkView)> = Vec::new();
    for (entry, words) in drawn.entries.iter().filter_map(|entry| Some((entry, of(entry)?))) {
        let (x, face) = (scale.place(entry.at), face(&entry.event));
        let words = format!("{} {words}", drawn.lens.moment(entry.at).clock);
        match marks.last_mut() {
            Some((last, mark)) if x - *last < NEAR => {
                mark.title = format!("{}\n{words}", mark.title);
                if weight(face.tone, face.icon) > weight(mark.tone, mark.icon) {
                    (mark.icon, mark.tone) = (face.icon, face.tone);
                }
            }
            _ => marks.push((x, MarkView { x: percent(x), icon: face.icon, tone: face.tone, title: words })),
        }
    }
    let marks: Vec<MarkView> = marks.into_iter().map(|(_, mark)| mark).collect();
    (!marks.is_empty()).then(|| LaneView { label: label.to_owned(), head: true, marks, ..LaneView::default() })
}

/// Which of several marks in one place is seen: what failed, then what was sent.
fn weight(tone: &str, icon: &str) -> u8 {
    if tone == "bad" { 2 } else { u8::from(icon != "up") }
}

fn message(entry: &Entry) -> Option<String> {
    match &entry.event {
        Event::NotificationSent { channel, person, .. } => Some(format!("{} was told", recipient(channel, person.as_deref()))),
        Event::NotificationFailed { channel, person, reason, .. } => {
            Some(format!("{} was not told: {reason}", recipient(channel, person.as_deref())))
        }
        Event::Escalated { level, .. } => Some(format!("level {level}")),
        _ => None,
    }
}

fn person(entry: &Entry) -> Option<String> {
    match (&entry.actor, &entry.event) {
        (Actor::Person(name), Event::Commented { text }) => Some(format!("{name}: {}", text.chars().take(80).collect::<String>())),
        (Actor::Person(_), event) => Some(event.sentence(&entry.actor)),
        _ => None,
    }
}

fn open_interval(from: Timestamp, tone: &'static str, words: String) -> Interval {
    Interval { from, to: None, tone, hatched: false, words }
}

fn close(intervals: &mut [Interval], at: Timestamp) {
    if let Some(last) = intervals.last_mut().filter(|last| last.to.is_none()) {
        last.to = Some(at);
    }
}

fn bars(drawn: &Drawn<'_>, scale: &Scale, intervals: Vec<Interval>) -> Vec<BarView> {
    let bar = |one: Interval| {
        let to = one.to.unwrap_or_else(|| end(drawn));
        let x = scale.place(one.from);
        let going_on = if one.to.is_none() { " so far" } else { "" };
        BarView {
            x: percent(x),
            w: percent((scale.place(to) - x).max(THIN)),
            tone: one.tone,
            hatched: one.hatched,
            title: format!("{}: {}{going_on}", one.words, stretch(drawn.lens, one.from, to)),
        }
    };
    intervals.into_iter().map(bar).collect()
}
