//! `GET` of what cannot be taken back: the page that says what will happen, with the form that does it. Reads, asks, shows.

use axum::extract::{Path, Query, State};
use axum::response::Response;
use serde::Deserialize;

use crate::domain::id::RunId;
use crate::domain::incident::Incident;
use crate::domain::run::Run;
use crate::domain::settings::Rulebook;
use crate::engine::store::{IncidentName, Reads};
use crate::web::pages::fault::Fault;
use crate::web::pages::render::page;
use crate::web::pages::view::confirm::{ConfirmView, cancel_view, step_view};
use crate::web::pages::view::shell::{Page, Place, shell};
use crate::web::pages::view::times::Lens;
use crate::web::pages::visitor::Visitor;
use crate::web::state::WebState;

/// What an address carries at most of a reason.
const LONGEST_NOTE: usize = 2_000;

/// What was said on the page before: who, and why.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Said {
    note: String,
    by: String,
}

const MISSING: Fault = Fault::NotFound("There is no such run, or it has no such step.");

pub async fn cancel(State(web): State<WebState>, Path(run): Path<String>, visitor: Visitor) -> Result<Response, Fault> {
    let (incident, run) = find(&*web.runtime.reads, &run).await?;
    let rulebook = web.runtime.rulebook();
    let view = cancel_view(&incident, &run, &rulebook);
    show(&web, &visitor, &rulebook, view).await
}

pub async fn step(
    State(web): State<WebState>,
    Path((run, step, verb)): Path<(String, String, String)>,
    Query(said): Query<Said>,
    visitor: Visitor,
) -> Result<Response, Fault> {
    let (incident, run) = find(&*web.runtime.reads, &run).await?;
    let rulebook = web.runtime.rulebook();
    let lens = Lens { now: web.runtime.clock.now(), zone: visitor.zone };
    let view = step_view(&incident, (&run, &step, &verb), &rulebook, lens).ok_or(MISSING)?;
    let view = ConfirmView { note: said.note.chars().take(LONGEST_NOTE).collect(), by: said.by.chars().take(64).collect(), ..view };
    show(&web, &visitor, &rulebook, view).await
}

async fn find(reads: &dyn Reads, run: &str) -> Result<(Incident, Run), Fault> {
    let run: RunId = run.parse().map_err(|_| MISSING)?;
    let id = reads.incident_of_run(run).await?.ok_or(MISSING)?;
    let incident = reads.incident(IncidentName::Id(id)).await?.ok_or(MISSING)?;
    let run = incident.runs.get(&run).cloned().ok_or(MISSING)?;
    Ok((incident, run))
}

async fn show(web: &WebState, visitor: &Visitor, rulebook: &Rulebook, view: ConfirmView) -> Result<Response, Fault> {
    let lens = Lens { now: web.runtime.clock.now(), zone: visitor.zone };
    let place = Place { title: view.question.clone(), place: "confirm", scope: String::new() };
    let shell = shell(place, visitor, &web.runtime.reads.totals().await?, rulebook, lens);
    Ok(page("confirm", &Page { shell, view }))
}
