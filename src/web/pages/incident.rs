//! `GET /incidents/{id}` and `GET /runs/{id}`: one incident, everything about it. Reads, asks, shows.

use axum::extract::{Path, Query, State};
use axum::http::header;
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;

use crate::domain::id::RunId;
use crate::domain::incident::Incident;
use crate::domain::report::Report;
use crate::domain::settings::Rulebook;
use crate::domain::time::Timestamp;
use crate::domain::timeline::{Entry, Event};
use crate::engine::store::{IncidentName, Reads, StoreError};
use crate::web::pages::fault::Fault;
use crate::web::pages::render::page;
use crate::web::pages::view::answers::{tell, wanting};
use crate::web::pages::view::face::Group;
use crate::web::pages::view::gantt::ENTRIES;
use crate::web::pages::view::incident::{ALERTS, IncidentView, Seen, incident_view, state_word, title};
use crate::web::pages::view::list::family;
use crate::web::pages::view::past::{KIN, last_ended};
use crate::web::pages::view::shell::{Page, Place, shell};
use crate::web::pages::view::story::{PAGE, Part};
use crate::web::pages::view::times::Lens;
use crate::web::pages::visitor::Visitor;
use crate::web::record::record;
use crate::web::state::WebState;

/// How many entries the Markdown of a long log tells.
const TOLD: u32 = 2_000;
/// How many of the newest entries are looked through for the word that ended it.
const LAST_WORDS: u32 = 20;

/// The address, after the question mark.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Asked {
    pub show: Option<String>,
    pub from: Option<u64>,
    /// An entry that is linked to; the page of the log that it stands on is shown.
    pub entry: Option<u64>,
    /// `gantt`, or the story.
    pub view: Option<String>,
}

/// `/incidents/7`, and `/incidents/7.md` for the same as Markdown.
pub async fn show(
    State(web): State<WebState>,
    Path(name): Path<String>,
    Query(asked): Query<Asked>,
    visitor: Visitor,
) -> Result<Response, Fault> {
    let reads = &*web.runtime.reads;
    if let Some(name) = name.strip_suffix(".md") {
        let headers = [(header::CONTENT_TYPE, "text/plain; charset=utf-8"), (header::CACHE_CONTROL, "no-store")];
        return Ok((headers, markdown(reads, name).await?).into_response());
    }
    let rulebook = web.runtime.rulebook();
    let shown = look(reads, &rulebook, (&name, &asked), &visitor, web.runtime.clock.now()).await?;
    Ok(page("incident", &shown))
}

/// The incident's report, from the beginning.
pub async fn markdown(reads: &dyn Reads, name: &str) -> Result<String, Fault> {
    let incident = find(reads, name).await?;
    let entries = reads.timeline(incident.id, 0, TOLD).await?;
    Ok(Report { incident: &incident, entries: &entries }.markdown())
}

async fn find(reads: &dyn Reads, name: &str) -> Result<Incident, Fault> {
    let missing = "There is no such incident. It may have been deleted after its retention.";
    let name = parse_name(name).ok_or(Fault::NotFound(missing))?;
    reads.incident(name).await?.ok_or(Fault::NotFound(missing))
}

/// A run is shown on its incident.
pub async fn show_run(State(web): State<WebState>, Path(run): Path<String>) -> Result<Response, Fault> {
    let missing = Fault::NotFound("There is no such run.");
    let Ok(run) = run.parse::<RunId>() else { return Err(missing) };
    let id = web.runtime.reads.incident_of_run(run).await?.ok_or(missing)?;
    Ok(Redirect::to(&format!("/incidents/{id}#run-{run}")).into_response())
}

/// The page's content, for anybody who can read.
pub async fn look(
    reads: &dyn Reads,
    rulebook: &Rulebook,
    (name, asked): (&str, &Asked),
    visitor: &Visitor,
    now: Timestamp,
) -> Result<Page<IncidentView>, Fault> {
    let incident = find(reads, name).await?;
    let lens = Lens { now, zone: visitor.zone };
    let part = Part::of(&incident, asked.show.as_deref().and_then(Group::named), (asked.from, asked.entry));
    let drawn = asked.view.as_deref() == Some("gantt");
    let entries = if drawn { newest(reads, &incident, ENTRIES).await? } else { entries(reads, &incident, part).await? };
    let alerts = reads.alerts(incident.id, ALERTS).await?;
    let totals = reads.totals().await?;
    let kin = reads.kin(&[family(&incident)], KIN).await?;
    let last = match last_ended(&incident, &kin) {
        Some(number) => reads.incident(IncidentName::Number(number)).await?,
        None => None,
    };
    let ended = ended(reads, &incident).await?;
    let mut view = incident_view(&Seen {
        incident: &incident,
        entries: &entries,
        alerts: &alerts,
        rulebook,
        part,
        lens,
        before: (&kin, last.as_ref()),
        ended: ended.as_deref(),
        drawn,
    });
    for (run, step) in wanting(&view.runs) {
        let Some(of) = run.parse().ok().and_then(|id: RunId| incident.runs.get(&id)) else { continue };
        let found = record(reads, (&incident, of, &step), rulebook, now).await?;
        tell(&mut view.runs, (&run, &step), &found, lens);
    }
    let title = format!("{} {} · {}", incident.priority, state_word(&incident).0, title(&incident));
    let place = Place { title, place: "incident", scope: incident.id.to_string() };
    Ok(Page { shell: shell(place, visitor, &totals, rulebook, lens), view })
}

/// The short number, or the whole id.
pub fn parse_name(text: &str) -> Option<IncidentName> {
    text.parse::<u64>().map(IncidentName::Number).ok().or_else(|| text.parse().map(IncidentName::Id).ok())
}

/// Why it was resolved.
async fn ended(reads: &dyn Reads, incident: &Incident) -> Result<Option<String>, StoreError> {
    if incident.is_open() {
        return Ok(None);
    }
    let last = newest(reads, incident, LAST_WORDS).await?;
    Ok(last.into_iter().rev().find_map(|entry| match entry.event {
        Event::Resolved { reason } => Some(reason),
        _ => None,
    }))
}

/// The newest entries, in order.
async fn newest(reads: &dyn Reads, incident: &Incident, limit: u32) -> Result<Vec<Entry>, StoreError> {
    let mut entries = reads.timeline_backwards(incident.id, incident.seq.saturating_add(1), limit).await?;
    entries.reverse();
    Ok(entries)
}

/// A page of the log: backwards while it burns, from the start once it is over.
async fn entries(reads: &dyn Reads, incident: &Incident, part: Part) -> Result<Vec<Entry>, StoreError> {
    if incident.is_open() {
        let newest = incident.seq.saturating_add(1);
        reads.timeline_backwards(incident.id, part.from.map_or(newest, |seq| seq.min(newest)), PAGE).await
    } else {
        reads.timeline(incident.id, part.from.unwrap_or(0).min(incident.seq), PAGE).await
    }
}
