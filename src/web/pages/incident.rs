//! `GET /incidents/{id}` and `GET /runs/{id}`: one incident, everything about it. Reads, asks, shows.

use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;

use crate::domain::id::RunId;
use crate::domain::incident::Incident;
use crate::domain::settings::Rulebook;
use crate::domain::time::Timestamp;
use crate::domain::timeline::Entry;
use crate::engine::store::{IncidentName, Reads, StoreError};
use crate::web::pages::fault::Fault;
use crate::web::pages::render::page;
use crate::web::pages::view::face::Group;
use crate::web::pages::view::incident::{ALERTS, IncidentView, Seen, incident_view, state_word, title};
use crate::web::pages::view::shell::{Page, Place, shell};
use crate::web::pages::view::story::{PAGE, Part};
use crate::web::pages::view::times::Lens;
use crate::web::pages::visitor::Visitor;
use crate::web::state::WebState;

/// The address, after the question mark.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Asked {
    pub show: Option<String>,
    pub from: Option<u64>,
}

pub async fn show(
    State(web): State<WebState>,
    Path(name): Path<String>,
    Query(asked): Query<Asked>,
    visitor: Visitor,
) -> Result<Response, Fault> {
    let rulebook = web.runtime.rulebook();
    let shown = look(&*web.runtime.reads, &rulebook, (&name, &asked), &visitor, web.runtime.clock.now()).await?;
    Ok(page("incident", &shown))
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
    let missing = "There is no such incident. It may have been deleted after its retention.";
    let name = parse_name(name).ok_or(Fault::NotFound(missing))?;
    let incident = reads.incident(name).await?.ok_or(Fault::NotFound(missing))?;
    let lens = Lens { now, zone: visitor.zone };
    let part = Part { show: asked.show.as_deref().and_then(Group::named), from: asked.from };
    let entries = entries(reads, &incident, part).await?;
    let alerts = reads.alerts(incident.id, ALERTS).await?;
    let totals = reads.totals().await?;
    let view = incident_view(&Seen { incident: &incident, entries: &entries, alerts: &alerts, rulebook, part, lens });
    let title = format!("{} {} · {}", incident.priority, state_word(&incident).0, title(&incident));
    let place = Place { title, place: "incident", scope: incident.id.to_string() };
    Ok(Page { shell: shell(place, visitor, &totals, rulebook, lens), view })
}

/// The short number, or the whole id.
pub fn parse_name(text: &str) -> Option<IncidentName> {
    text.parse::<u64>().map(IncidentName::Number).ok().or_else(|| text.parse().map(IncidentName::Id).ok())
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
