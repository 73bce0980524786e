//! What a playbook said before, and what it is to say from now on: its texts by digest, what changed between two, saving one.
//! Writes no file: the library does, and says no in its own words.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{FromRequest, Path, Request, State};
use axum::http::header::{CONTENT_TYPE, ETAG, IF_MATCH, IF_NONE_MATCH};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};

use crate::domain::timeline::Actor;
use crate::engine::revisions::{Edition, Saving};
use crate::web::diff::{Diff, diff};
use crate::web::extract::{Asking, Queried, Wish};
use crate::web::library::{Draft, FileText, Finding, Library, NotSaved, Saved};
use crate::web::problem::{Problem, ProblemBody};
use crate::web::state::WebState;

/// A revision may be named by its beginning, if it is at least this long and no other begins so.
const SHORTEST: usize = 6;
const MOST: usize = 500;

/// A text and the one it is to replace.
#[derive(Debug, Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PlaybookText {
    /// The whole file.
    pub source: String,
    /// The revision that was edited, unless the header `If-Match` has it; none for a new playbook.
    #[serde(default)]
    pub revision: Option<String>,
    #[serde(default)]
    pub by: Option<String>,
}

/// Who brings an old text back, and in the place of which.
#[derive(Debug, Default, Deserialize, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Restore {
    /// The revision that is there now, unless the header `If-Match` has it.
    pub revision: Option<String>,
    pub by: Option<String>,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct SavedBody {
    pub slug: String,
    /// Of the text that is in force now.
    pub revision: String,
    /// The file.
    pub path: String,
    /// What is good by the letter and hardly meant.
    pub diagnostics: Vec<Finding>,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct RevisionList {
    /// The latest first.
    pub items: Vec<RevisionLine>,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct RevisionLine {
    /// The text's SHA-256.
    pub revision: String,
    /// When it was loaded or saved for the first time.
    pub first_seen_at: String,
    /// Each time that a person saved it; empty when it only ever came as a file.
    pub saves: Vec<SavingBody>,
    /// Runs that began with it and are still kept.
    pub runs: u64,
    pub last_run_at: Option<String>,
    /// Whether new runs begin with it.
    pub in_force: bool,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct SavingBody {
    pub at: String,
    pub by: String,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct RevisionBody {
    #[serde(flatten)]
    pub line: RevisionLine,
    pub slug: String,
    /// The text.
    pub source: String,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct DiffBody {
    pub from: Option<String>,
    pub to: String,
    #[serde(flatten)]
    pub diff: Diff,
}

#[derive(Debug, Deserialize)]
pub struct ListQuery {
    limit: Option<usize>,
}

#[derive(Debug, Deserialize)]
pub struct DiffQuery {
    from: Option<String>,
}

/// Every text the playbook ever had.
#[utoipa::path(get, path = "/api/v1/playbooks/{slug}/revisions", tag = "playbooks",
    params(("slug" = String, Path), ("limit" = Option<usize>, Query, description = "50, at most 500")),
    responses((status = 200, body = RevisionList), (status = 400, body = ProblemBody), (status = 404, body = ProblemBody), (status = 503, body = ProblemBody)))]
pub async fn list(
    State(web): State<WebState>,
    Path(slug): Path<String>,
    Queried(query): Queried<ListQuery>,
) -> Result<Json<RevisionList>, Problem> {
    let editions = editions(&web, &slug).await?;
    let current = in_force(&web, &slug);
    let lines = editions.iter().take(query.limit.unwrap_or(50).min(MOST)).map(|edition| RevisionLine::new(edition, current.as_deref()));
    Ok(Json(RevisionList { items: lines.collect() }))
}

/// One text of the playbook; its name may be cut to its first letters.
#[utoipa::path(get, path = "/api/v1/playbooks/{slug}/revisions/{revision}", tag = "playbooks",
    params(("slug" = String, Path), ("revision" = String, Path)),
    responses((status = 200, body = RevisionBody), (status = 400, body = ProblemBody), (status = 404, body = ProblemBody), (status = 503, body = ProblemBody)))]
pub async fn one(State(web): State<WebState>, Path((slug, revision)): Path<(String, String)>) -> Result<Json<RevisionBody>, Problem> {
    let editions = editions(&web, &slug).await?;
    let edition = named(&editions, &revision)?;
    let line = RevisionLine::new(edition, in_force(&web, &slug).as_deref());
    Ok(Json(RevisionBody { source: text(&web, &slug, &edition.revision).await?, line, slug }))
}

/// What changed, line by line, from another text to this one; without `from`, from the one before it.
#[utoipa::path(get, path = "/api/v1/playbooks/{slug}/revisions/{revision}/diff", tag = "playbooks",
    params(("slug" = String, Path), ("revision" = String, Path), ("from" = Option<String>, Query)),
    responses((status = 200, body = DiffBody), (status = 400, body = ProblemBody), (status = 404, body = ProblemBody), (status = 503, body = ProblemBody)))]
pub async fn changes(
    State(web): State<WebState>,
    Path((slug, revision)): Path<(String, String)>,
    Queried(query): Queried<DiffQuery>,
) -> Result<Json<DiffBody>, Problem> {
    let editions = editions(&web, &slug).await?;
    let to = named(&editions, &revision)?;
    let from = match &query.from {
        Some(name) => Some(named(&editions, name)?),
        None => before(&editions, to),
    };
    let new = text(&web, &slug, &to.revision).await?;
    let old = match from {
        Some(from) => text(&web, &slug, &from.revision).await?,
        None => String::new(),
    };
    let diff = tokio::task::spawn_blocking(move || diff(&old, &new)).await.map_err(Problem::fault)?;
    Ok(Json(DiffBody { from: from.map(|from| from.revision.clone()), to: to.revision.clone(), diff }))
}

/// Writes the playbook's file and puts it in force. Takes JSON, or the YAML itself with the revision in `If-Match`.
#[utoipa::path(put, path = "/api/v1/playbooks/{slug}", tag = "playbooks", request_body = PlaybookText,
    params(("slug" = String, Path), ("If-Match" = Option<String>, Header, description = "The revision that was edited"),
        ("Reynard-Actor" = Option<String>, Header)),
    responses((status = 200, body = SavedBody), (status = 201, body = SavedBody, description = "There was no such playbook before"),
        (status = 400, body = ProblemBody), (status = 409, body = ProblemBody, description = "It was changed meanwhile: `revision` is the one there now, `changes` what is other in it"),
        (status = 422, body = ProblemBody, description = "It has errors: `diagnostics`"), (status = 503, body = ProblemBody)))]
pub async fn put(
    State(web): State<WebState>,
    Path(slug): Path<String>,
    asking: Asking,
    Sent(text, base): Sent,
) -> Result<Response, Problem> {
    let by = person(asking.actor(text.by)?);
    save(&web, Draft { slug, source: text.source, replaces: base.or(text.revision), by }).await
}

/// Brings an old text back: the same as saving it anew.
#[utoipa::path(post, path = "/api/v1/playbooks/{slug}/revisions/{revision}/restore", tag = "playbooks", request_body = Restore,
    params(("slug" = String, Path), ("revision" = String, Path), ("If-Match" = Option<String>, Header), ("Reynard-Actor" = Option<String>, Header)),
    responses((status = 200, body = SavedBody), (status = 400, body = ProblemBody), (status = 404, body = ProblemBody),
        (status = 409, body = ProblemBody), (status = 422, body = ProblemBody), (status = 503, body = ProblemBody)))]
pub async fn restore(
    State(web): State<WebState>,
    Path((slug, revision)): Path<(String, String)>,
    asking: Asking,
    headers: HeaderMap,
    Wish(wish): Wish<Restore>,
) -> Result<Response, Problem> {
    let by = person(asking.actor(wish.by)?);
    let editions = editions(&web, &slug).await?;
    let source = text(&web, &slug, &named(&editions, &revision)?.revision).await?;
    save(&web, Draft { slug, source, replaces: edited(&headers)?.or(wish.revision), by }).await
}

async fn save(web: &WebState, draft: Draft) -> Result<Response, Problem> {
    let library = library(web)?;
    let (slug, base) = (draft.slug.clone(), draft.replaces.clone());
    match library.files.save(draft).await {
        Ok(Saved { revision, path, is_new, findings }) => {
            let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
            let tag = [(ETAG, format!("\"{revision}\""))];
            Ok((status, tag, Json(SavedBody { slug, revision, path, diagnostics: findings })).into_response())
        }
        Err(NotSaved::Stale(now)) => Err(stale(library, (&slug, base.as_deref()), now).await),
        Err(error) => Err(Problem::from(error)),
    }
}

/// What a program needs to save all the same: the revision that is there, and what is other in it.
async fn stale(library: &Library, (slug, base): (&str, Option<&str>), now: Option<FileText>) -> Problem {
    let Some(now) = now else {
        return Problem::conflict("the playbook's file is gone; save it without a revision to make it anew");
    };
    let old = match base {
        Some(base) => library.revisions.text(slug, base).await.ok().flatten(),
        None => None,
    };
    let detail = match base {
        Some(_) => "the playbook was changed meanwhile; look at what changed, and save with the revision that is there now",
        None => "the playbook is there already; save with the revision that is edited, in the header If-Match or as \"revision\"",
    };
    Problem::conflict(detail).with("revision", &now.revision).with("changes", old.map(|old| diff(&old, &now.source)))
}

impl From<NotSaved> for Problem {
    fn from(error: NotSaved) -> Self {
        let unprocessable = |detail: String| Self::new(StatusCode::UNPROCESSABLE_ENTITY, detail);
        match error {
            NotSaved::BadName(why) | NotSaved::Settings(why) => unprocessable(why),
            NotSaved::Faulty(findings) => {
                let errors = findings.iter().filter(|finding| finding.is_error()).count();
                let words = if errors == 1 { "an error".to_owned() } else { format!("{errors} errors") };
                unprocessable(format!("the text has {words}; nothing was written")).with("errors", errors).with("diagnostics", findings)
            }
            NotSaved::Stale(_) => Self::conflict("the playbook was changed meanwhile"),
            NotSaved::Unwritable(why) => Self::conflict(why),
            standing @ NotSaved::StandingBy(_) => Self::new(StatusCode::SERVICE_UNAVAILABLE, standing.to_string()),
            NotSaved::Store(error) => Self::from(error),
        }
    }
}

/// The body as JSON or as the YAML itself, and the revision that the headers name.
pub struct Sent(PlaybookText, Option<String>);

impl FromRequest<WebState> for Sent {
    type Rejection = Problem;

    async fn from_request(request: Request, web: &WebState) -> Result<Self, Problem> {
        let base = edited(request.headers())?;
        let kind = request.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or("application/json");
        if kind.starts_with("application/json") {
            let Wish(text) = Wish::from_request(request, web).await?;
            return Ok(Self(text, base));
        }
        let bytes = Bytes::from_request(request, web).await.map_err(|error| Problem::new(error.status(), error.body_text()))?;
        let source = String::from_utf8(bytes.into()).map_err(|_| Problem::unreadable("the text is not UTF-8"))?;
        Ok(Self(PlaybookText { source, ..PlaybookText::default() }, base))
    }
}

fn edited(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    if headers.contains_key(IF_NONE_MATCH) {
        return Ok(None);
    }
    let Some(value) = headers.get(IF_MATCH) else { return Ok(None) };
    let text = value.to_str().unwrap_or_default().trim().trim_start_matches("W/").trim_matches('"').to_owned();
    let is_digest = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_digest {
        Ok(Some(text.to_lowercase()))
    } else {
        Err(Problem::unreadable("If-Match has one revision, such as GET gives it in ETag"))
    }
}

fn person(actor: Actor) -> String {
    let (Actor::Person(name) | Actor::Source(name) | Actor::Engine(name)) = actor;
    name
}

pub fn library(web: &WebState) -> Result<&Library, Problem> {
    web.library.get().ok_or_else(|| Problem::unavailable("there are no files here"))
}

async fn editions(web: &WebState, slug: &str) -> Result<Vec<Edition>, Problem> {
    let editions = library(web)?.revisions.editions(slug).await?;
    if editions.is_empty() { Err(Problem::missing("playbook")) } else { Ok(editions) }
}

async fn text(web: &WebState, slug: &str, revision: &str) -> Result<String, Problem> {
    library(web)?.revisions.text(slug, revision).await?.ok_or_else(|| Problem::missing("revision"))
}

fn in_force(web: &WebState, slug: &str) -> Option<String> {
    web.runtime.rulebook().playbooks.get(slug).map(|playbook| playbook.revision.clone())
}

fn named<'a>(editions: &'a [Edition], name: &str) -> Result<&'a Edition, Problem> {
    find(editions, name).ok_or_else(|| Problem::missing("revision"))
}

/// The one that is called so, or begins so.
pub fn find<'a>(editions: &'a [Edition], name: &str) -> Option<&'a Edition> {
    let mut found = editions.iter().filter(|edition| name.len() >= SHORTEST && edition.revision.starts_with(name));
    found.next().filter(|_| found.next().is_none())
}

/// The text that was there before it.
pub fn before<'a>(editions: &'a [Edition], edition: &Edition) -> Option<&'a Edition> {
    editions.iter().skip_while(|other| other.revision != edition.revision).nth(1)
}

impl RevisionLine {
    fn new(edition: &Edition, in_force: Option<&str>) -> Self {
        let saving = |Saving { at, by }: &Saving| SavingBody { at: at.to_rfc3339(), by: by.clone() };
        Self {
            revision: edition.revision.clone(),
            first_seen_at: edition.first_seen_at.to_rfc3339(),
            saves: edition.saves.iter().map(saving).collect(),
            runs: edition.runs,
            last_run_at: edition.last_run_at.map(|at| at.to_rfc3339()),
            in_force: in_force == Some(edition.revision.as_str()),
        }
    }
}
