//! The timeline as bars over one scale: alerts, steps with each attempt, waits, messages, people. Knows no HTML;
//! every place is a percentage, so that a browser stretches the bars and leaves the words alone.

mod alerts;
mod lanes;
mod scale;
mod steps;

use serde::Serialize;

use crate::domain::incident::Incident;
use crate::domain::time::{Span, Timestamp};
use crate::domain::timeline::{Entry, Event};
use crate::engine::store::AlertRow;
use crate::web::pages::view::gantt::lanes::lanes;
use crate::web::pages::view::gantt::scale::Scale;
use crate::web::pages::view::times::{Lens, whole_seconds};

/// How many entries it is drawn from: the newest.
pub const ENTRIES: u32 = 400;

#[derive(Clone, Debug, Serialize)]
pub struct GanttView {
    pub ticks: Vec<TickView>,
    pub folds: Vec<FoldView>,
    /// Lines from top to bottom: acknowledged, resolved, now.
    pub lines: Vec<LineView>,
    pub lanes: Vec<LaneView>,
    /// Set when the log begins before what is drawn.
    pub cut: Option<u64>,
}

#[derive(Clone, Debug, Serialize)]
pub struct TickView {
    pub x: String,
    pub text: String,
    pub anchor: &'static str,
}

/// A long stretch in which nothing happened, drawn narrow.
#[derive(Clone, Debug, Serialize)]
pub struct FoldView {
    pub x: String,
    pub w: String,
    pub middle: String,
    pub text: String,
}

#[derive(Clone, Debug, Serialize)]
pub struct LineView {
    pub x: String,
    pub tone: &'static str,
    pub word: &'static str,
    pub title: String,
    pub anchor: &'static str,
}

#[derive(Clone, Debug, Default, Serialize)]
pub struct LaneView {
    pub label: String,
    pub sub: String,
    /// Begins a group: an own line of the picture above it.
    pub head: bool,
    pub took: String,
    pub bars: Vec<BarView>,
    pub marks: Vec<MarkView>,
}

#[derive(Clone, Debug, Serialize)]
pub struct BarView {
    pub x: String,
    pub w: String,
    pub tone: &'static str,
    /// Waiting rather than doing.
    pub hatched: bool,
    pub title: String,
}

#[derive(Clone, Debug, Serialize)]
pub struct MarkView {
    pub x: String,
    pub icon: &'static str,
    pub tone: &'static str,
    pub title: String,
}

/// Everything that the picture is made of.
#[derive(Clone, Copy, Debug)]
pub struct Drawn<'a> {
    pub incident: &'a Incident,
    /// In order.
    pub entries: &'a [Entry],
    pub alerts: &'a [AlertRow],
    pub lens: Lens,
}

pub fn gantt(drawn: &Drawn<'_>) -> GanttView {
    let scale = Scale::new(&instants(drawn));
    GanttView {
        ticks: scale.ticks(drawn.lens.zone).into_iter().map(|(x, text)| TickView { x: percent(x), text, anchor: anchor(x) }).collect(),
        folds: scale
            .folds()
            .map(|(x, w, span)| FoldView { x: percent(x), w: percent(w), middle: percent(x + w / 2.0), text: whole_seconds(span) })
            .collect(),
        lines: lines(drawn, &scale),
        lanes: lanes(drawn, &scale),
        cut: drawn.entries.first().map(|entry| entry.seq - 1).filter(|left| *left > 0),
    }
}

/// Until when the picture goes: now, or shortly after the last thing that happened.
fn end(drawn: &Drawn<'_>) -> Timestamp {
    let last = drawn.entries.last().map_or(drawn.incident.opened_at, |entry| entry.at);
    if drawn.incident.is_open() { drawn.lens.now.max(last) } else { last }
}

fn instants(drawn: &Drawn<'_>) -> Vec<Timestamp> {
    let mut all: Vec<Timestamp> = drawn.entries.iter().map(|entry| entry.at).collect();
    all.push(end(drawn));
    all.sort_unstable();
    all.dedup();
    all
}

/// The room that a line's word takes, in percent; words that would stand on each other are left to the lines' titles.
const WORD: f64 = 9.0;

fn lines(drawn: &Drawn<'_>, scale: &Scale) -> Vec<LineView> {
    let line = |at: Timestamp, tone, word: &'static str, title: String| {
        let x = scale.place(at);
        (x, LineView { x: percent(x), tone, word, title, anchor: if x > 85.0 { "end" } else { "start" } })
    };
    let clock = |at: Timestamp| drawn.lens.moment(at).clock;
    let mut lines: Vec<(f64, LineView)> = drawn
        .entries
        .iter()
        .filter_map(|entry| match &entry.event {
            Event::Acknowledged { .. } => {
                Some(line(entry.at, "busy", "ack", format!("Acknowledged by {} at {}", entry.actor, clock(entry.at))))
            }
            Event::Resolved { .. } => Some(line(entry.at, "good", "resolved", format!("Resolved at {}", clock(entry.at)))),
            _ => None,
        })
        .collect();
    if drawn.incident.is_open() {
        lines.push(line(drawn.lens.now, "now", "now", format!("Now, {}", clock(drawn.lens.now))));
    }
    let mut free = f64::INFINITY;
    for line in lines.iter_mut().rev() {
        if free - line.0 < WORD { line.1.word = "" } else { free = line.0 }
    }
    lines.into_iter().map(|(_, line)| line).collect()
}

fn percent(x: f64) -> String {
    let text = format!("{x:.2}");
    format!("{}%", text.trim_end_matches('0').trim_end_matches('.'))
}

fn anchor(x: f64) -> &'static str {
    match x {
        x if x < 6.0 => "start",
        x if x > 94.0 => "end",
        _ => "middle",
    }
}

/// `03:02:05, 1m 12s`.
fn stretch(lens: Lens, from: Timestamp, to: Timestamp) -> String {
    let span: Span = to.since(from);
    format!("{}, {}", lens.moment(from).clock, crate::web::pages::view::times::took(span))
}
