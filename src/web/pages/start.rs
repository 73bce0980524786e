//! `/playbooks/{slug}/start`: a person starts a playbook on an incident, with a field for each of its vars. Reads, asks, shows.

use std::collections::BTreeMap;

use axum::extract::{Form, Path, Query, State};
use axum::http::StatusCode;
use axum::http::header::SET_COOKIE;
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;
use uuid::Uuid;

use crate::domain::decide::command::Command;
use crate::domain::incident::Incident;
use crate::engine::error::EngineError;
use crate::engine::request::Request;
use crate::engine::store::IncidentQuery;
use crate::web::pages::fault::Fault;
use crate::web::pages::incident::parse_name;
use crate::web::pages::render::page;
use crate::web::pages::view::shell::{Page, Place, shell};
use crate::web::pages::view::start::{StartView, start_view, values};
use crate::web::pages::view::times::Lens;
use crate::web::pages::visitor::{Notice, Visitor};
use crate::web::state::WebState;

const MISSING: Fault = Fault::NotFound("There is no such playbook in force.");
/// Open incidents that are offered.
const OFFERED: u32 = 100;
/// What the name of a var's field begins with.
const VAR: &str = "var.";

#[derive(Clone, Debug, Default, Deserialize)]
pub struct Asked {
    incident: Option<String>,
}

pub async fn form(
    State(web): State<WebState>,
    Path(slug): Path<String>,
    Query(asked): Query<Asked>,
    visitor: Visitor,
) -> Result<Response, Fault> {
    let number = asked.incident.unwrap_or_default();
    let view = view(&web, &slug, &number, &BTreeMap::new()).await?;
    show(&web, &visitor, view, StatusCode::OK).await
}

pub async fn start(
    State(web): State<WebState>,
    Path(slug): Path<String>,
    visitor: Visitor,
    Form(fields): Form<Vec<(String, String)>>,
) -> Result<Response, Fault> {
    let field = |wanted: &str| fields.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str()).unwrap_or_default();
    let typed = fields.iter().filter_map(|(name, value)| Some((name.strip_prefix(VAR)?.to_owned(), value.clone()))).collect();
    let number = field("incident").trim().trim_start_matches('#');
    let refusal = match begin(&web, &slug, (number, field("_action_id")), &typed, &visitor).await? {
        Ok(incident) => {
            let notice = Notice::done(format!("{slug} starts."), None);
            let page = format!("/incidents/{}#machine", incident.number);
            return Ok(([(SET_COOKIE, notice.cookie())], Redirect::to(&page)).into_response());
        }
        Err(refusal) => refusal,
    };
    let view = StartView { refusal: Some(refusal), ..view(&web, &slug, number, &typed).await? };
    show(&web, &visitor, view, StatusCode::UNPROCESSABLE_ENTITY).await
}

/// The incident it was started on, or why it was not.
async fn begin(
    web: &WebState,
    slug: &str,
    (number, key): (&str, &str),
    typed: &BTreeMap<String, String>,
    visitor: &Visitor,
) -> Result<Result<Incident, String>, Fault> {
    let rulebook = web.runtime.rulebook();
    let book = rulebook.playbooks.get(slug).ok_or(MISSING)?;
    let incident = match parse_name(number) {
        Some(name) => web.runtime.reads.incident(name).await?,
        None => None,
    };
    let Some(incident) = incident else { return Ok(Err("Say on which incident, by its number.".to_owned())) };
    let vars = match values(book, typed) {
        Ok(vars) => vars,
        Err(words) => return Ok(Err(words)),
    };
    let command = Command::StartRun { playbook: slug.to_owned(), vars };
    let request = key.parse::<Uuid>().ok().map(|id| Request::of_its_own(&format!("{id}:start:{slug}"), &command));
    Ok(match web.runtime.command(incident.id, visitor.actor(), command, request).await {
        Ok(_) => Ok(incident),
        Err(EngineError::Refused(no)) => Err(format!("It was not started: {no}.")),
        Err(EngineError::Mistake(_)) => Err("It was not started: Reynard made a mistake; the log has more.".to_owned()),
        Err(error) => Err(format!("It was not started: {error}. Try again in a moment.")),
    })
}

async fn view(web: &WebState, slug: &str, number: &str, typed: &BTreeMap<String, String>) -> Result<StartView, Fault> {
    let rulebook = web.runtime.rulebook();
    let book = rulebook.playbooks.get(slug).ok_or(MISSING)?;
    let query = IncidentQuery { status: Some("open".to_owned()), limit: OFFERED, ..IncidentQuery::default() };
    Ok(start_view(book, number, &web.runtime.reads.incidents(&query).await?, typed))
}

async fn show(web: &WebState, visitor: &Visitor, view: StartView, status: StatusCode) -> Result<Response, Fault> {
    let lens = Lens { now: web.runtime.clock.now(), zone: visitor.zone };
    let place = Place { title: format!("Start {} · Playbooks", view.slug), place: "form", scope: String::new() };
    let shell = shell(place, visitor, &web.runtime.reads.totals().await?, &web.runtime.rulebook(), lens);
    Ok((status, page("start", &Page { shell, view })).into_response())
}
