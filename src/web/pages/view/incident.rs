//! One incident as its page shows it, in the order a person needs it at three in the morning. Knows no HTML.

use serde::Serialize;

use crate::domain::classification::Classification;
use crate::domain::incident::{Incident, Notification, NotificationStatus, Status};
use crate::domain::labels::Labels;
use crate::domain::priority::Priority;
use crate::domain::run::RunStatus;
use crate::domain::settings::{Automation, Rulebook};
use crate::domain::timeline::{Entry, recipient};
use crate::engine::store::{AlertRow, Kin};
use crate::web::pages::view::gantt::{Drawn, GanttView, gantt};
use crate::web::pages::view::links::{Link, links};
use crate::web::pages::view::machine::{RunView, gap, runs};
use crate::web::pages::view::mitigations::{MitigationView, mitigations};
use crate::web::pages::view::past::{PastView, past};
use crate::web::pages::view::story::{Part, StoryView, escalations, story};
use crate::web::pages::view::times::{Age, Countdown, Lens, Moment, took};

/// How many alerts the page lists.
pub const ALERTS: u32 = 50;

/// Everything that the view is made of.
#[derive(Debug)]
pub struct Seen<'a> {
    pub incident: &'a Incident,
    pub entries: &'a [Entry],
    pub alerts: &'a [AlertRow],
    pub rulebook: &'a Rulebook,
    pub part: Part,
    pub lens: Lens,
    /// Its family, and the one of them that ended last.
    pub before: (&'a [Kin], Option<&'a Incident>),
    /// Why it was resolved, in the log's words.
    pub ended: Option<&'a str>,
    /// Whether the log is looked at as a picture.
    pub drawn: bool,
}

#[derive(Clone, Debug, Serialize)]
pub struct IncidentView {
    pub id: String,
    pub number: u64,
    pub title: String,
    pub priority: String,
    pub hero: Hero,
    pub facts: Facts,
    pub past: PastView,
    pub ending: Option<Ending>,
    pub runs: Vec<RunView>,
    /// What automation has put in force and not taken back.
    pub in_force: Vec<MitigationView>,
    /// Why the machine does nothing, or does less than it could.
    pub idle: Option<String>,
    pub automation: Option<&'static str>,
    pub messages: Vec<MessageView>,
    pub links: Vec<Link>,
    pub story: StoryView,
    pub gantt: Option<GanttView>,
    pub alerts: Vec<AlertView>,
    pub more_alerts: u64,
    pub classification: Option<ClassificationView>,
    pub labels: Vec<Pair>,
    pub priorities: Vec<Choice>,
    pub people: Vec<String>,
}

/// How bad, is anyone on it, how long have I got.
#[derive(Clone, Debug, Serialize)]
pub struct Hero {
    pub status: &'static str,
    pub word: &'static str,
    pub tone: &'static str,
    pub unacknowledged: bool,
    pub open: bool,
    pub age: Option<Age>,
    pub anyone: String,
    pub next: Option<NextView>,
    pub assignee: Option<String>,
}

/// What happens if nobody does anything.
#[derive(Clone, Debug, Serialize)]
pub struct NextView {
    pub words: String,
    pub at: Countdown,
}

/// What is broken.
#[derive(Clone, Debug, Serialize)]
pub struct Facts {
    pub service: String,
    pub kind: String,
    pub summary: Option<String>,
    pub description: Option<String>,
    pub alerts: String,
    pub truncated: u64,
    pub since: Moment,
    pub source: String,
    pub signals: Vec<Pair>,
}

/// What there is to say once it is over.
#[derive(Clone, Debug, Serialize)]
pub struct Ending {
    pub took: String,
    pub acknowledged: Option<String>,
    pub first_told: Option<String>,
    /// The playbook that fixed it.
    pub playbook: Option<String>,
    pub reason: Option<String>,
}

#[derive(Clone, Debug, Serialize)]
pub struct MessageView {
    pub who: String,
    pub icon: &'static str,
    pub word: String,
    pub tone: &'static str,
    pub at: Moment,
    pub detail: Option<String>,
    pub reason: String,
    /// How many messages went this way, once there was a second.
    pub times: Option<usize>,
}

#[derive(Clone, Debug, Serialize)]
pub struct AlertView {
    pub firing: bool,
    pub name: String,
    pub labels: Vec<Pair>,
    pub since: Moment,
    pub age: Age,
}

#[derive(Clone, Debug, Serialize)]
pub struct ClassificationView {
    pub heading: String,
    /// What the rules say where another priority holds.
    pub instead: Option<String>,
    pub rule: String,
    pub priority: String,
    pub kind: String,
    pub reason: String,
    pub next: Option<String>,
    pub signals: Vec<Pair>,
    pub warnings: Vec<String>,
    pub overruled: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Pair {
    pub name: String,
    pub value: String,
}

#[derive(Clone, Debug, Serialize)]
pub struct Choice {
    pub value: String,
    pub current: bool,
}

pub fn incident_view(seen: &Seen<'_>) -> IncidentView {
    let Seen { incident, rulebook, lens, .. } = *seen;
    let runs = runs(incident, rulebook, lens);
    IncidentView {
        id: incident.id.to_string(),
        number: incident.number,
        title: title(incident),
        priority: incident.priority.to_string(),
        hero: hero(incident, rulebook, lens),
        facts: facts(incident, lens),
        past: past(incident, seen.before, lens),
        ending: ending(incident, seen.ended),
        in_force: mitigations(incident, rulebook, lens),
        idle: runs.is_empty().then(|| idle(incident)),
        runs,
        automation: automation(rulebook.automation),
        messages: messages(incident, lens),
        links: links_of(incident, seen.alerts),
        story: story(incident, seen.entries, rulebook, seen.part, lens),
        gantt: seen.drawn.then(|| gantt(&Drawn { incident, entries: seen.entries, alerts: seen.alerts, lens })),
        alerts: seen.alerts.iter().map(|row| alert(row, &incident.labels, lens)).collect(),
        more_alerts: (incident.counts.firing + incident.counts.resolved).saturating_sub(seen.alerts.len() as u64),
        classification: incident.classification.as_ref().map(|said| classification(said, incident)),
        labels: pairs(&incident.labels),
        priorities: Priority::ALL.map(|p| Choice { value: p.to_string(), current: p == incident.priority }).to_vec(),
        people: rulebook.directory.people.keys().cloned().collect(),
    }
}

/// A title, even where the alert has none.
pub fn title(incident: &Incident) -> String {
    if incident.title.is_empty() { format!("Incident {}", incident.number) } else { incident.title.clone() }
}

/// The state's word and tone: what a tired person needs to know of it.
pub fn state_word(incident: &Incident) -> (&'static str, &'static str) {
    match incident.status {
        Status::Resolved => ("resolved", "good"),
        _ if incident.escalation.snoozed_until.is_some() => ("snoozed", "wait"),
        Status::Acknowledged => ("acknowledged", "busy"),
        Status::Triggered if incident.counts.firing == 0 => ("quiet", "wait"),
        Status::Triggered => ("firing", "bad"),
    }
}

fn hero(incident: &Incident, rulebook: &Rulebook, lens: Lens) -> Hero {
    let (word, tone) = state_word(incident);
    Hero {
        status: incident.status.word(),
        word,
        tone,
        unacknowledged: incident.status == Status::Triggered,
        open: incident.is_open(),
        age: incident.is_open().then(|| lens.age(incident.opened_at)),
        anyone: anyone(incident),
        next: next(incident, rulebook, lens),
        assignee: incident.assignee.clone().filter(|name| Some(name) != incident.acknowledged_by.as_ref()),
    }
}

fn anyone(incident: &Incident) -> String {
    match (incident.status, &incident.acknowledged_by) {
        (Status::Resolved, _) => "It is over".to_owned(),
        (Status::Acknowledged, Some(name)) => format!("{name} is on it"),
        (Status::Acknowledged, None) => "Somebody is on it".to_owned(),
        (Status::Triggered, _) if told_everybody(incident) => "Nobody has acknowledged, and everybody in the plan was told".to_owned(),
        (Status::Triggered, _) => "Nobody has acknowledged".to_owned(),
    }
}

/// Whether the escalation plan is used up.
fn told_everybody(incident: &Incident) -> bool {
    incident.escalation.started_at.is_some() && incident.escalation.next_at.is_none() && incident.escalation.done > 0
}

fn next(incident: &Incident, rulebook: &Rulebook, lens: Lens) -> Option<NextView> {
    let at = incident.escalation.next_at.filter(|_| incident.is_open())?;
    let words = if incident.escalation.snoozed_until.is_some() {
        "escalation begins again".to_owned()
    } else {
        let told = escalations(incident, rulebook, lens.now).into_iter().next();
        told.and_then(|(_, _, words)| words.split(" unless").next().map(str::to_owned)).unwrap_or_else(|| "escalates".to_owned())
    };
    Some(NextView { words, at: lens.countdown(at) })
}

fn facts(incident: &Incident, lens: Lens) -> Facts {
    let counts = incident.counts;
    let all = counts.firing + counts.resolved;
    let say = |key: &str| incident.annotations.get(key).filter(|text| !text.is_empty()).cloned();
    Facts {
        service: incident.service.clone(),
        kind: incident.kind.clone(),
        summary: say("summary").filter(|text| *text != incident.title),
        description: say("description").or_else(|| say("message")),
        alerts: match (counts.firing, all) {
            (0, 0) => "no alerts".to_owned(),
            (0, 1) => "its alert is over".to_owned(),
            (0, n) => format!("all {n} alerts are over"),
            (1, 1) => "1 alert firing".to_owned(),
            (n, all) => format!("{n} of {all} alerts firing"),
        },
        truncated: incident.truncated,
        since: lens.moment(incident.opened_at),
        source: incident.source.clone(),
        signals: incident.classification.as_ref().map(signals).unwrap_or_default(),
    }
}

fn ending(incident: &Incident, reason: Option<&str>) -> Option<Ending> {
    let over = incident.resolved_at?;
    let told = incident.notifications.values().filter(|told| told.status == NotificationStatus::Sent).map(|told| told.queued_at).min();
    let succeeded = incident.runs_in_order().into_iter().rev().find(|run| run.status == RunStatus::Succeeded);
    Some(Ending {
        took: took(over.since(incident.opened_at)),
        acknowledged: gap(incident.opened_at, incident.acknowledged_at),
        first_told: gap(incident.opened_at, told),
        playbook: succeeded.map(|run| run.playbook.clone()),
        reason: reason.map(str::to_owned),
    })
}

fn idle(incident: &Incident) -> String {
    match incident.status {
        Status::Resolved => "No playbook ran.".to_owned(),
        _ if incident.classification.is_none() => "Waiting for the classification.".to_owned(),
        _ => format!("No playbook matches {} at {}: people are told, nothing is touched.", incident.kind, incident.priority),
    }
}

fn automation(automation: Automation) -> Option<&'static str> {
    match automation {
        Automation::Live => None,
        Automation::Shadow => Some("Automation is in shadow: destructive steps are written down, not done."),
        Automation::Held => Some("Automation is held: no destructive step begins. People are still told."),
    }
}

/// Everybody who was told, by the last message to them; the newest first.
fn messages(incident: &Incident, lens: Lens) -> Vec<MessageView> {
    let mut shown: Vec<(MessageView, usize)> = Vec::new();
    for told in incident.notifications.values().rev() {
        let view = message(told, lens);
        match shown.iter_mut().find(|(known, _)| known.who == view.who) {
            Some((_, times)) => *times += 1,
            None => shown.push((view, 1)),
        }
    }
    shown.into_iter().map(|(view, times)| MessageView { times: (times > 1).then_some(times), ..view }).collect()
}

fn message(told: &Notification, lens: Lens) -> MessageView {
    let (icon, word, tone) = match told.status {
        NotificationStatus::Sent => ("check", "delivered".to_owned(), "good"),
        NotificationStatus::Failed => ("cross", "not delivered".to_owned(), "bad"),
        NotificationStatus::Queued if told.attempt > 0 => ("again", format!("attempt {} failed, trying again", told.attempt), "wait"),
        NotificationStatus::Queued => ("clock", "on its way".to_owned(), "wait"),
    };
    MessageView {
        who: recipient(&told.channel, told.person.as_deref()),
        icon,
        word,
        tone,
        at: lens.moment(told.queued_at),
        detail: Some(told.detail.clone()).filter(|text| !text.is_empty()),
        reason: told.reason.clone(),
        times: None,
    }
}

/// The incident's own links, then those that only single alerts carry.
fn links_of(incident: &Incident, alerts: &[AlertRow]) -> Vec<Link> {
    let mut found = links(&incident.annotations);
    for link in alerts.iter().take(5).flat_map(|row| links(&row.mark.annotations)) {
        if found.len() < 8 && !found.iter().any(|known| known.href == link.href || known.word == link.word) {
            found.push(link);
        }
    }
    found
}

/// An alert by what sets it apart from its siblings.
fn alert(row: &AlertRow, common: &Labels, lens: Lens) -> AlertView {
    let own: Labels = row.mark.labels.iter().filter(|(name, value)| common.get(*name) != Some(value)).map(clone_pair).collect();
    let name = row.mark.labels.get("alertname").cloned().unwrap_or_else(|| row.fingerprint.clone());
    let labels = if own.is_empty() { &row.mark.labels } else { &own };
    AlertView {
        firing: row.mark.firing,
        name,
        labels: labels.iter().filter(|(name, _)| *name != "alertname").map(|(name, value)| pair(name, value)).collect(),
        since: lens.moment(if row.mark.firing { row.mark.starts_at } else { row.mark.changed_at }),
        age: lens.age(row.mark.starts_at),
    }
}

fn classification(said: &Classification, incident: &Incident) -> ClassificationView {
    ClassificationView {
        heading: heading(said, incident),
        instead: (said.priority != incident.priority).then(|| said.priority.to_string()),
        rule: said.rule.clone(),
        priority: said.priority.to_string(),
        kind: said.kind.clone(),
        reason: said.reason.clone(),
        next: said.next.clone(),
        signals: signals(said),
        warnings: said.warnings.clone(),
        overruled: overruled(said, incident),
    }
}

/// What holds comes first; what the rules would have said comes after it.
fn heading(said: &Classification, incident: &Incident) -> String {
    match &incident.priority_by {
        Some(name) if said.priority != incident.priority => format!("{}, because {name} set it", incident.priority),
        None if said.priority != incident.priority => format!("{}, from before", incident.priority),
        _ => format!("Why {}", incident.priority),
    }
}

fn overruled(said: &Classification, incident: &Incident) -> Option<String> {
    match &incident.priority_by {
        Some(name) if said.priority == incident.priority => Some(format!("{name} set {} too; a person's choice stays", incident.priority)),
        Some(_) => Some("A person's choice stays, whatever the rules say later.".to_owned()),
        None if said.priority != incident.priority => Some("A priority does not fall by itself; a person may lower it.".to_owned()),
        None => None,
    }
}

fn signals(said: &Classification) -> Vec<Pair> {
    said.signals.iter().map(|(name, value)| pair(&name.replace('_', " "), &format!("{value}"))).collect()
}

fn pairs(labels: &Labels) -> Vec<Pair> {
    labels.iter().map(|(name, value)| pair(name, value)).collect()
}

fn pair(name: &str, value: &str) -> Pair {
    Pair { name: name.to_owned(), value: value.to_owned() }
}

fn clone_pair((name, value): (&String, &String)) -> (String, String) {
    (name.clone(), value.clone())
}
