//! The first page: what burns, what needs a person, everything else in a table. Knows no HTML.

use serde::{Deserialize, Serialize};

use crate::domain::incident::{Incident, Status};
use crate::domain::settings::Rulebook;
use crate::engine::store::{Family, IncidentQuery, Kin, Totals};
use crate::web::pages::view::incident::{state_word, title};
use crate::web::pages::view::machine::{Chip, chip, in_doubt};
use crate::web::pages::view::story::who;
use crate::web::pages::view::strip::{Strip, strip};
use crate::web::pages::view::times::{Age, Countdown, Lens, Moment, took};
use crate::web::pages::visitor::encode;

/// How many incidents one page of the list shows.
pub const PAGE: u32 = 50;
/// How many unacknowledged P1 incidents are put above the rest.
const FIRST: u32 = 20;
/// How many of those that need a person are shown before "and more".
const NEEDS: usize = 6;

/// The list's address, after the question mark.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Filter {
    pub status: Option<String>,
    pub priority: Option<String>,
    pub service: Option<String>,
    pub q: Option<String>,
    pub before: Option<u64>,
}

/// Everything that the view is made of.
#[derive(Debug)]
pub struct SeenList<'a> {
    pub incidents: &'a [Incident],
    /// Those of them that stand above all others, wherever they would come by their age.
    pub first: &'a [Incident],
    /// What happened before to the families of those shown.
    pub kin: &'a [Kin],
    /// Open ones, among which those are that need a person.
    pub open: &'a [Incident],
    pub totals: &'a Totals,
    pub rulebook: &'a Rulebook,
    pub filter: &'a Filter,
    pub lens: Lens,
}

#[derive(Clone, Debug, Serialize)]
pub struct ListView {
    pub counters: Vec<Counter>,
    pub needs: Vec<Need>,
    pub more_needs: usize,
    pub rows: Vec<Row>,
    pub tabs: Vec<Tab>,
    pub filter: FilterView,
    pub older: Option<String>,
    pub newest: Option<String>,
    pub quiet: Option<Quiet>,
}

#[derive(Clone, Debug, Serialize)]
pub struct Counter {
    pub priority: String,
    pub count: u64,
    pub href: String,
    pub current: bool,
}

/// An incident that waits for a person, and for what.
#[derive(Clone, Debug, Serialize)]
pub struct Need {
    pub row: Row,
    pub why: &'static str,
    pub tone: &'static str,
    pub can_acknowledge: bool,
}

#[derive(Clone, Debug, Serialize)]
pub struct Row {
    pub number: u64,
    pub priority: String,
    pub title: String,
    pub service: String,
    pub word: &'static str,
    pub tone: &'static str,
    pub unacknowledged: bool,
    pub who: Option<String>,
    pub alerts: String,
    pub chip: Option<Chip>,
    pub next: Option<Countdown>,
    pub age: Option<Age>,
    pub took: Option<String>,
    pub opened: Moment,
    pub strip: Strip,
}

#[derive(Clone, Debug, Serialize)]
pub struct Tab {
    pub word: &'static str,
    pub href: String,
    pub current: bool,
}

#[derive(Clone, Debug, Serialize)]
pub struct FilterView {
    pub status: String,
    pub priority: String,
    pub service: String,
    pub q: String,
    pub narrowed: bool,
}

/// Silence, with the proof that it is not deafness.
#[derive(Clone, Debug, Serialize)]
pub struct Quiet {
    /// Whether nothing is open at all, rather than nothing that was looked for.
    pub all: bool,
    pub last_heard: Option<Heard>,
    pub deliveries: u64,
    pub on_call: Option<String>,
    pub webhook: String,
    pub receiver: String,
}

#[derive(Clone, Debug, Serialize)]
pub struct Heard {
    pub age: Age,
    pub at: Moment,
    pub from: Option<String>,
}

impl Filter {
    /// What the list is asked for; open incidents unless somebody says otherwise.
    pub fn query(&self) -> IncidentQuery {
        let text = |given: &Option<String>| given.clone().map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
        let priority = text(&self.priority).and_then(|text| text.parse::<crate::domain::priority::Priority>().ok());
        IncidentQuery {
            status: Some(self.status()).filter(|word| *word != "all").map(str::to_owned),
            priority: priority.map(crate::domain::priority::Priority::number),
            service: text(&self.service),
            q: text(&self.q),
            before: self.before,
            limit: PAGE + 1,
        }
    }

    /// What comes first whatever its age: the P1 incidents that nobody has acknowledged; nothing where none would be shown.
    pub fn first(&self) -> Option<IncidentQuery> {
        let query = self.query();
        let shown = query.priority.is_none_or(|priority| priority == 1) && matches!(self.status(), "open" | "triggered" | "all");
        let status = Some("triggered".to_owned());
        shown.then_some(IncidentQuery { status, priority: Some(1), before: None, limit: FIRST, ..query })
    }

    fn status(&self) -> &str {
        let known = ["open", "triggered", "acknowledged", "resolved", "all"];
        let asked = self.status.as_deref().unwrap_or("open");
        known.into_iter().find(|word| *word == asked).unwrap_or("open")
    }

    /// The address of this list with one part changed.
    fn address(&self, part: &str, value: &str) -> String {
        let own = |name: &str, given: Option<&str>| if name == part { value.to_owned() } else { given.unwrap_or_default().to_owned() };
        let parts = [
            ("status", own("status", self.status.as_deref())),
            ("priority", own("priority", self.priority.as_deref())),
            ("service", own("service", self.service.as_deref())),
            ("q", own("q", self.q.as_deref())),
            ("before", if part == "before" { value.to_owned() } else { String::new() }),
        ];
        let asked: Vec<String> =
            parts.iter().filter(|(_, value)| !value.is_empty()).map(|(name, value)| format!("{name}={}", encode(value))).collect();
        if asked.is_empty() { "/incidents".to_owned() } else { format!("/incidents?{}", asked.join("&")) }
    }
}

pub fn list_view(seen: &SeenList<'_>) -> ListView {
    let filter = seen.filter;
    let page = &seen.incidents[..seen.incidents.len().min(PAGE as usize)];
    let more = seen.incidents.len() > page.len();
    let shown = shown(seen, page);
    let query = filter.query();
    let narrowed = query.priority.is_some() || query.service.is_some() || query.q.is_some();
    let mut needs = needs(seen);
    let more_needs = needs.len().saturating_sub(NEEDS);
    needs.truncate(NEEDS);
    ListView {
        counters: counters(seen.totals, filter),
        needs: if filter.before.is_none() { needs } else { Vec::new() },
        more_needs,
        rows: shown.iter().map(|incident| row(incident, seen)).collect(),
        tabs: tabs(filter),
        filter: FilterView {
            status: filter.status().to_owned(),
            priority: query.priority.map(|n| format!("P{n}")).unwrap_or_default(),
            service: query.service.unwrap_or_default(),
            q: query.q.unwrap_or_default(),
            narrowed,
        },
        older: page.last().filter(|_| more).map(|last| filter.address("before", &last.number.to_string())),
        newest: filter.before.map(|_| filter.address("before", "")),
        quiet: shown.is_empty().then(|| quiet(seen, narrowed)),
    }
}

/// Unacknowledged P1 first, the longest waiting above; then by age, the youngest above.
fn shown<'a>(seen: &SeenList<'a>, page: &'a [Incident]) -> Vec<&'a Incident> {
    let on_top = |incident: &&Incident| seen.first.iter().any(|first| first.id == incident.id);
    let first = seen.first.iter().filter(|_| seen.filter.before.is_none()).rev();
    first.chain(page.iter().filter(|incident| !on_top(incident))).collect()
}

fn counters(totals: &Totals, filter: &Filter) -> Vec<Counter> {
    let asked = filter.priority.as_deref().unwrap_or_default();
    (1..=4)
        .zip(totals.open)
        .map(|(n, count)| {
            let priority = format!("P{n}");
            let current = asked.eq_ignore_ascii_case(&priority);
            let href = filter.address("priority", if current { "" } else { &priority });
            Counter { priority, count, href, current }
        })
        .collect()
}

/// In doubt before unacknowledged; worse before less bad; longer before shorter.
fn needs(seen: &SeenList<'_>) -> Vec<Need> {
    let mut needs: Vec<(u8, &Incident, &'static str, &'static str)> = seen.open.iter().filter_map(need).collect();
    needs.sort_by_key(|(rank, incident, ..)| (incident.priority.number(), *rank, incident.opened_at));
    needs
        .into_iter()
        .map(|(_, incident, why, tone)| Need { row: row(incident, seen), why, tone, can_acknowledge: incident.status == Status::Triggered })
        .collect()
}

fn need(incident: &Incident) -> Option<(u8, &Incident, &'static str, &'static str)> {
    let doubtful = incident.runs.values().any(in_doubt);
    if doubtful {
        return Some((0, incident, "did the step take effect?", "doubt"));
    }
    let waits = incident.status == Status::Triggered && incident.escalation.snoozed_until.is_none();
    waits.then_some((1, incident, "nobody has acknowledged", "bad"))
}

/// The family that an incident belongs to.
pub fn family(incident: &Incident) -> Family {
    Family(incident.kind.clone(), incident.service.clone())
}

fn row(incident: &Incident, seen: &SeenList<'_>) -> Row {
    let SeenList { rulebook, lens, .. } = *seen;
    let (word, tone) = state_word(incident);
    let counts = incident.counts;
    Row {
        number: incident.number,
        priority: incident.priority.to_string(),
        title: title(incident),
        service: incident.service.clone(),
        word,
        tone,
        unacknowledged: incident.status == Status::Triggered,
        who: incident.assignee.clone().or_else(|| incident.acknowledged_by.clone()),
        alerts: if counts.firing + counts.resolved > 1 {
            format!("{}/{}", counts.firing, counts.firing + counts.resolved)
        } else {
            String::new()
        },
        chip: chip(incident, rulebook),
        next: incident.escalation.next_at.filter(|_| incident.is_open()).map(|at| lens.countdown(at)),
        age: incident.is_open().then(|| lens.age(incident.opened_at)),
        took: incident.resolved_at.map(|end| took(end.since(incident.opened_at))),
        opened: lens.moment(incident.opened_at),
        strip: strip(&family(incident), seen.kin, lens.now),
    }
}

fn tabs(filter: &Filter) -> Vec<Tab> {
    let words = [("open", ""), ("triggered", "triggered"), ("acknowledged", "acknowledged"), ("resolved", "resolved"), ("all", "all")];
    words.into_iter().map(|(word, value)| Tab { word, href: filter.address("status", value), current: filter.status() == word }).collect()
}

fn quiet(seen: &SeenList<'_>, narrowed: bool) -> Quiet {
    let base = seen.rulebook.public_url.trim_end_matches('/');
    let base = if base.is_empty() { "http://127.0.0.1:5001" } else { base };
    let webhook = format!("{base}/api/v1/webhooks/alertmanager");
    let on_call = who("on-call", seen.rulebook, seen.lens.now);
    Quiet {
        all: !narrowed && seen.totals.open.iter().sum::<u64>() == 0 && seen.filter.status() == "open",
        last_heard: seen.totals.last_delivery_at.map(|at| Heard {
            age: seen.lens.age(at),
            at: seen.lens.moment(at),
            from: seen.totals.last_delivery_from.clone().filter(|name| !name.is_empty()),
        }),
        deliveries: seen.totals.deliveries,
        on_call: (on_call != "on-call").then_some(on_call),
        receiver: format!(
            "route:\n  receiver: reynard\nreceivers:\n  - name: reynard\n    webhook_configs:\n      - url: {webhook}\n        send_resolved: true\n"
        ),
        webhook,
    }
}
