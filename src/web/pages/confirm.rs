//! `GET` of what cannot be taken back: the page that says what will happen, with the form that does it. Reads, asks, shows.

use axum::extract::{Path, State};
use axum::response::Response;

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
    visitor: Visitor,
) -> Result<Response, Fault> {
    let (incident, run) = find(&*web.runtime.reads, &run).await?;
    let rulebook = web.runtime.rulebook();
    let lens = Lens { now: web.runtime.clock.now(), zone: visitor.zone };
    let view = step_view(&incident, (&run, &step, &verb), &rulebook, lens).ok_or(MISSING)?;
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
