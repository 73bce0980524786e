//! Which lanes there are, and the bars and marks on those that are neither alerts' nor steps'. Knows no scale's insides.

use crate::domain::time::Timestamp;
use crate::domain::timeline::{Actor, Entry, Event, recipient};
use crate::web::pages::view::face::face;
use crate::web::pages::view::gantt::alerts::alerts;
use crate::web::pages::view::gantt::scale::Scale;
use crate::web::pages::view::gantt::steps::runs;
use crate::web::pages::view::gantt::{BarView, Drawn, LaneView, MarkView, end, percent, stretch};
use crate::web::pages::view::times::took;

/// Marks nearer than this, in percent, become one.
const NEAR: f64 = 2.0;
/// A bar is at least so wide, in percent, that it can be seen and pointed at.
const THIN: f64 = 0.5;

/// A bar before it has a place.
pub struct Interval {
    pub from: Timestamp,
    /// None while it goes on.
    pub to: Option<Timestamp>,
    pub tone: &'static str,
    pub hatched: bool,
    pub words: String,
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

pub fn open_interval(from: Timestamp, tone: &'static str, words: String) -> Interval {
    Interval { from, to: None, tone, hatched: false, words }
}

pub fn close(intervals: &mut [Interval], at: Timestamp) {
    if let Some(last) = intervals.last_mut().filter(|last| last.to.is_none()) {
        last.to = Some(at);
    }
}

pub fn bars(drawn: &Drawn<'_>, scale: &Scale, intervals: Vec<Interval>) -> Vec<BarView> {
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
