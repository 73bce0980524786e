//! The playbooks that may start, and which files are broken. Changes none.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::header::{ETAG, HeaderName};
use serde::Serialize;

use crate::domain::playbook::{Playbook, Step};
use crate::web::problem::{Problem, ProblemBody};
use crate::web::state::WebState;

#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct PlaybookList {
    pub items: Vec<PlaybookLine>,
    /// Files that cannot be used as they are now; their last good revision stays in force.
    pub broken: Vec<BrokenFile>,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct PlaybookLine {
    pub slug: String,
    pub title: String,
    /// The content's SHA-256.
    pub revision: String,
    /// Nothing starts it but a person.
    pub manual: bool,
    pub types: Vec<String>,
    pub priorities: Vec<String>,
    pub steps: Vec<PlaybookStep>,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct PlaybookStep {
    pub id: String,
    pub title: String,
    pub action: String,
    pub target: Option<String>,
    pub destructive: bool,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct BrokenFile {
    pub path: String,
    pub fault: String,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct PlaybookBody {
    #[serde(flatten)]
    pub line: PlaybookLine,
    /// The file's text.
    pub source: String,
}

#[utoipa::path(get, path = "/api/v1/playbooks", tag = "playbooks", responses((status = 200, body = PlaybookList)))]
pub async fn list(State(web): State<WebState>) -> Json<PlaybookList> {
    let rulebook = web.runtime.rulebook();
    let broken = rulebook.broken.iter().map(|(path, fault)| BrokenFile { path: path.clone(), fault: fault.clone() });
    Json(PlaybookList { items: rulebook.playbooks.values().map(PlaybookLine::new).collect(), broken: broken.collect() })
}

#[utoipa::path(get, path = "/api/v1/playbooks/{slug}", tag = "playbooks", params(("slug" = String, Path)),
    responses((status = 200, body = PlaybookBody), (status = 404, body = ProblemBody)))]
pub async fn one(
    State(web): State<WebState>,
    Path(slug): Path<String>,
) -> Result<([(HeaderName, String); 1], Json<PlaybookBody>), Problem> {
    let rulebook = web.runtime.rulebook();
    let playbook = rulebook.playbooks.get(&slug).ok_or_else(|| Problem::missing("playbook"))?;
    let body = PlaybookBody { line: PlaybookLine::new(playbook), source: playbook.source.clone() };
    Ok(([(ETAG, format!("\"{}\"", playbook.revision))], Json(body)))
}

impl PlaybookLine {
    fn new(playbook: &Arc<Playbook>) -> Self {
        Self {
            slug: playbook.slug.clone(),
            title: playbook.title.clone(),
            revision: playbook.revision.clone(),
            manual: playbook.trigger.is_manual(),
            types: playbook.trigger.types.clone(),
            priorities: playbook.trigger.priorities.iter().map(ToString::to_string).collect(),
            steps: playbook.steps.iter().map(|step| PlaybookStep::new(step)).collect(),
        }
    }
}

impl PlaybookStep {
    fn new(step: &Step) -> Self {
        Self {
            id: step.id.clone(),
            title: step.title.clone(),
            action: step.action.clone(),
            target: step.target.clone(),
            destructive: step.destructive,
        }
    }
}
