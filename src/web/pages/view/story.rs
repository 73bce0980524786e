//! The timeline as a page shows it: what is planned, what happened, newest first while it burns. Knows no HTML.

use serde::Serialize;
use serde_json::{Value, json};

use crate::domain::incident::Incident;
use crate::domain::late::Answer;
use crate::domain::run::StepStatus;
use crate::domain::settings::Rulebook;
use crate::domain::time::Timestamp;
use crate::domain::timeline::{Actor, Entry, Event};
use crate::web::pages::view::face::{Group, face};
use crate::web::pages::view::machine::readable;
use crate::web::pages::view::times::{Countdown, Lens, Moment, took};

/// How many entries one page of the timeline reads.
pub const PAGE: u32 = 100;

#[derive(Clone, Debug, Serialize)]
pub struct StoryView {
    pub plans: Vec<PlanView>,
    pub entries: Vec<EntryView>,
    pub filters: Vec<FilterView>,
    /// Whether time runs downwards: told from the beginning once it is over.
    pub from_the_start: bool,
    pub now: Moment,
    /// The next page's address.
    pub more: Option<String>,
    /// The page before this one's address, when this is not the first.
    pub back: Option<String>,
}

/// Something that will happen unless somebody stops it.
#[derive(Clone, Debug, Serialize)]
pub struct PlanView {
    pub at: Countdown,
    pub icon: &'static str,
    pub words: String,
}

#[derive(Clone, Debug, Serialize)]
pub struct EntryView {
    pub seq: u64,
    /// Where it can always be found again.
    pub href: String,
    pub at: Moment,
    /// Set on the first entry of a day that is not the one above it.
    pub day: Option<String>,
    /// Set when several entries were put together.
    pub until: Option<Moment>,
    pub icon: &'static str,
    pub word: &'static str,
    pub tone: &'static str,
    pub actor: String,
    pub actor_kind: &'static str,
    pub sentence: String,
    pub comment: bool,
    pub took: Option<String>,
    pub detail: Option<String>,
}

#[derive(Clone, Debug, Serialize)]
pub struct FilterView {
    pub word: &'static str,
    pub href: String,
    pub current: bool,
}

/// Which part of the timeline is looked at.
#[derive(Clone, Copy, Debug, Default)]
pub struct Part {
    pub show: Option<Group>,
    /// Entries before this number (newest first), or after it (from the start).
    pub from: Option<u64>,
    /// The entry that is linked to.
    pub entry: Option<u64>,
}

impl Part {
    /// What an address asks for; an entry that is linked to brings the page that it stands on.
    pub fn of(incident: &Incident, show: Option<Group>, (from, entry): (Option<u64>, Option<u64>)) -> Self {
        let entry = entry.filter(|seq| (1..=incident.seq).contains(seq));
        let half = u64::from(PAGE) / 2;
        let around = entry.and_then(|seq| {
            if incident.is_open() {
                Some(seq + half).filter(|before| *before <= incident.seq)
            } else {
                Some(seq.saturating_sub(half)).filter(|after| *after > 0 && seq > u64::from(PAGE))
            }
        });
        Self { show, from: from.or(around), entry }
    }
}

pub fn story(incident: &Incident, entries: &[Entry], rulebook: &Rulebook, part: Part, lens: Lens) -> StoryView {
    let from_the_start = !incident.is_open();
    let mut in_order: Vec<&Entry> = entries.iter().collect();
    in_order.sort_by_key(|entry| entry.seq);
    let edge = if from_the_start { in_order.last() } else { in_order.first() };
    let more = edge.map(|entry| entry.seq).filter(|seq| if from_the_start { *seq < incident.seq } else { *seq > 1 });
    let mut shown = grouped(&in_order, incident.number, part, lens);
    if !from_the_start {
        shown.reverse();
    }
    mark_days(&mut shown, &lens.moment(lens.now).day);
    StoryView {
        plans: if part.from.is_none() { plans(incident, rulebook, lens) } else { Vec::new() },
        entries: shown,
        filters: filters(incident.number, part.show),
        from_the_start,
        now: lens.moment(lens.now),
        more: more.map(|seq| address(incident.number, part.show, Some(seq))),
        back: part.from.map(|_| address(incident.number, part.show, None)),
    }
}

/// What is planned, the furthest first, so that the next thing stands above NOW.
pub fn plans(incident: &Incident, rulebook: &Rulebook, lens: Lens) -> Vec<PlanView> {
    let mut plans: Vec<(Timestamp, &'static str, String)> = escalations(incident, rulebook, lens.now);
    let escalation = &incident.escalation;
    if let Some(until) = escalation.snoozed_until.filter(|_| incident.is_open()) {
        plans.push((until, "moon", "the snooze ends; escalation begins again".to_owned()));
    }
    if let Some(quiet) = incident.quiet_since.filter(|_| incident.is_open()) {
        let settle = rulebook.incidents.settle;
        plans.push((quiet + settle, "check", format!("resolves by itself if no alert fires until then ({settle} of quiet)")));
    }
    for step in incident.runs.values().filter(|run| !run.status.is_over()).flat_map(|run| run.steps.values()) {
        if let (StepStatus::Waiting, Some(at)) = (step.status, step.retry_at) {
            plans.push((at, "again", format!("tries \"{}\" again (attempt {})", step.title, step.attempt + 1)));
        }
    }
    plans.sort_by_key(|(at, ..)| std::cmp::Reverse(*at));
    plans.into_iter().map(|(at, icon, words)| PlanView { at: lens.countdown(at), icon, words }).collect()
}

/// The next moments of the escalation plan: when, and who is told.
pub fn escalations(incident: &Incident, rulebook: &Rulebook, now: Timestamp) -> Vec<(Timestamp, &'static str, String)> {
    let escalation = &incident.escalation;
    let plan = rulebook.policy(&escalation.policy).and_then(|policy| policy.plan(incident.priority));
    let (Some(plan), Some(start), Some(_)) = (plan, escalation.started_at, escalation.next_at) else {
        return Vec::new();
    };
    let ahead = plan.moments(start).skip(escalation.done as usize).take(3);
    ahead
        .map(|moment| {
            let names: Vec<String> = moment
                .levels
                .iter()
                .filter_map(|at| plan.levels.get(*at))
                .flat_map(|level| level.notify.iter().map(|name| who(name, rulebook, now)))
                .collect();
            let round = if moment.round > 1 { format!(", round {}", moment.round) } else { String::new() };
            (moment.due_at, "up", format!("tells {} (level {}{round}) unless somebody acknowledges", names.join(", "), moment.level))
        })
        .collect()
}

/// `on-call` with the person behind it.
pub fn who(name: &str, rulebook: &Rulebook, now: Timestamp) -> String {
    let schedule = if name == "on-call" { "primary" } else { name };
    let people = rulebook.directory.schedules.get(schedule).map(|schedule| schedule.on_call_at(now)).unwrap_or_default();
    if people.is_empty() { name.to_owned() } else { format!("{name} ({})", people.join(", ")) }
}

/// Neighbouring alerts of one kind become one entry.
fn grouped(entries: &[&Entry], number: u64, part: Part, lens: Lens) -> Vec<EntryView> {
    let mut shown: Vec<EntryView> = Vec::new();
    let mut together: Option<(&'static str, u64)> = None;
    for entry in entries.iter().filter(|entry| part.show.is_none_or(|group| group_of(entry) == group)) {
        let count = alerts_in(&entry.event);
        match (&mut together, count, shown.last_mut()) {
            (Some((kind, sum)), Some(count), Some(last)) if *kind == entry.event.kind() && part.entry != Some(entry.seq) => {
                *sum += count;
                let verb = if *kind == "alert_fired" { "fired" } else { "resolved" };
                last.sentence = format!("{sum} alerts {verb}");
                last.until = Some(lens.moment(entry.at));
            }
            _ => {
                together = count.map(|count| (entry.event.kind(), count));
                shown.push(entry_view(entry, number, lens));
            }
        }
    }
    shown
}

fn mark_days(entries: &mut [EntryView], today: &str) {
    let mut above = today.to_owned();
    for entry in entries {
        if entry.at.day != above {
            above.clone_from(&entry.at.day);
            entry.day = Some(above.clone());
        }
    }
}

fn alerts_in(event: &Event) -> Option<u64> {
    match event {
        Event::AlertFired { alerts, truncated, .. } | Event::AlertResolved { alerts, truncated, .. } => {
            Some(alerts.len() as u64 + truncated)
        }
        _ => None,
    }
}

/// What a person did is people's, whatever its kind.
fn group_of(entry: &Entry) -> Group {
    if matches!(entry.actor, Actor::Person(_)) { Group::People } else { face(&entry.event).group }
}

fn entry_view(entry: &Entry, number: u64, lens: Lens) -> EntryView {
    let face = face(&entry.event);
    EntryView {
        seq: entry.seq,
        href: format!("/incidents/{number}?entry={0}#e{0}", entry.seq),
        at: lens.moment(entry.at),
        day: None,
        until: None,
        icon: face.icon,
        word: face.word,
        tone: face.tone,
        actor: entry.actor.name().to_owned(),
        actor_kind: entry.actor.kind(),
        sentence: sentence(entry, lens),
        comment: matches!(entry.event, Event::Commented { .. }),
        took: entry.event.duration_ms().map(|ms| took(crate::domain::time::Span(ms))),
        detail: readable(&detail(&entry.event)),
    }
}

/// The sentence, its instants in the reader's zone.
fn sentence(entry: &Entry, lens: Lens) -> String {
    let said = entry.event.sentence(&entry.actor);
    match &entry.event {
        Event::RunRetried { retry_at: at, .. }
        | Event::Snoozed { until: at }
        | Event::LimitHit { free_at: Some(at), .. }
        | Event::ApprovalRequested { expires_at: at, .. } => said.replace(&at.to_rfc3339(), &lens.moment(*at).short),
        _ => said,
    }
}

/// What stands behind the sentence, for those who open it.
fn detail(event: &Event) -> Value {
    match event {
        Event::Opened { labels, annotations, .. } => json!({ "labels": labels, "annotations": annotations }),
        Event::Classified { classification, .. } if !(classification.signals.is_empty() && classification.warnings.is_empty()) => {
            json!({ "signals": classification.signals, "warnings": classification.warnings })
        }
        Event::StepStarted { params, .. } | Event::ApprovalRequested { params, .. } | Event::StepShadowed { params, .. } => params.clone(),
        Event::StepSucceeded { output, .. } | Event::StepUndone { output, .. } => output.clone(),
        Event::StepAnsweredLate { answer: Answer::Succeeded { output }, .. } => output.clone(),
        Event::NotificationQueued { text: Some(text), .. } => Value::String(text.clone()),
        Event::NotificationSent { reply, .. } if !reply.is_empty() => Value::String(reply.clone()),
        _ => Value::Null,
    }
}

fn filters(number: u64, show: Option<Group>) -> Vec<FilterView> {
    let all = FilterView { word: "all", href: address(number, None, None), current: show.is_none() };
    let groups = Group::ALL.into_iter().map(|group| FilterView {
        word: group.word(),
        href: address(number, Some(group), None),
        current: show == Some(group),
    });
    std::iter::once(all).chain(groups).collect()
}

fn address(number: u64, show: Option<Group>, from: Option<u64>) -> String {
    let asked: Vec<String> =
        show.map(|group| format!("show={}", group.word())).into_iter().chain(from.map(|seq| format!("from={seq}"))).collect();
    let query = if asked.is_empty() { String::new() } else { format!("?{}", asked.join("&")) };
    format!("/incidents/{number}{query}#story")
}
