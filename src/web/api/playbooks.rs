//! The playbooks that may start, which files are broken, and whose breaker is open. Checks and tries drafts; changes no file.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::http::header::{ETAG, HeaderName};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::domain::autonomy::Record;
use crate::domain::breaker::Breaker;
use crate::domain::decide::command::Command;
use crate::domain::playbook::{Playbook, Step};
use crate::domain::time::Timestamp;
use crate::web::api::acts::Note;
use crate::web::api::incidents::instant;
use crate::web::extract::{Asking, Wish};
use crate::web::problem::{Problem, ProblemBody};
use crate::web::record::armed_by;
use crate::web::state::{Desk, WebState};

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
    /// The cron line and its time zone, of one that starts by the clock.
    pub schedule: Option<String>,
    /// When it does so next.
    pub next_at: Option<String>,
    /// Whether what would change things is only written down.
    pub shadow: bool,
    pub record: RecordBody,
    pub steps: Vec<PlaybookStep>,
    /// Set once a run of it has failed.
    pub breaker: Option<BreakerBody>,
}

/// Runs that changed something and failed, in a row. Open, the playbook changes nothing more until a person arms it again.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct BreakerBody {
    pub failures: u32,
    pub open: bool,
    pub opened_at: Option<String>,
    /// The UUID of the incident whose run opened it.
    pub incident: Option<String>,
}

/// What its runs came to.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct RecordBody {
    /// It changed something, looked, and the trouble was over.
    pub verified: u64,
    /// It went well, and did not look whether that helped, or was only there to look.
    pub succeeded: u64,
    /// It came to its end without changing anything though it was there to: refused, held back, in shadow, or its steps left out.
    /// Neither a success nor a failure; the median leaves it out.
    pub idle: u64,
    /// It had begun to change something and failed.
    pub failed: u64,
    /// The trouble was over before it was done.
    pub false_starts: u64,
    /// Ended by a person, or failed before it changed anything.
    pub left: u64,
    /// Of the last 50 that went well.
    pub median_ms: Option<u64>,
    /// Why it asks before it changes anything, where `autonomy` has it earn that it need not.
    pub asks: Option<String>,
}

impl RecordBody {
    fn new(record: &Record, playbook: &Playbook) -> Self {
        Self {
            verified: record.verified,
            succeeded: record.well,
            idle: record.idle,
            failed: record.failed,
            false_starts: record.false_starts,
            left: record.left,
            median_ms: record.median().map(|span| span.as_millis()),
            asks: playbook.autonomy.and_then(|policy| record.why_it_asks(policy)),
        }
    }
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

#[utoipa::path(get, path = "/api/v1/playbooks", tag = "playbooks", responses((status = 200, body = PlaybookList), (status = 503, body = ProblemBody)))]
pub async fn list(State(web): State<WebState>) -> Result<Json<PlaybookList>, Problem> {
    let records = web.runtime.reads.records().await?;
    let rulebook = web.runtime.rulebook();
    let now = web.runtime.clock.now();
    let breakers = web.runtime.reads.breakers().await?;
    let broken = rulebook.broken.iter().map(|(path, fault)| BrokenFile { path: path.clone(), fault: fault.clone() });
    Ok(Json(PlaybookList {
        items: rulebook
            .playbooks
            .values()
            .map(|playbook| PlaybookLine::new(playbook, (records.get(&playbook.slug), &breakers), now))
            .collect(),
        broken: broken.collect(),
    }))
}

#[utoipa::path(get, path = "/api/v1/playbooks/{slug}", tag = "playbooks", params(("slug" = String, Path)),
    responses((status = 200, body = PlaybookBody), (status = 404, body = ProblemBody)))]
pub async fn one(
    State(web): State<WebState>,
    Path(slug): Path<String>,
) -> Result<([(HeaderName, String); 1], Json<PlaybookBody>), Problem> {
    let rulebook = web.runtime.rulebook();
    let playbook = rulebook.playbooks.get(&slug).ok_or_else(|| Problem::missing("playbook"))?;
    let breakers = web.runtime.reads.breakers().await?;
    let records = web.runtime.reads.records().await?;
    let line = PlaybookLine::new(playbook, (records.get(&slug), &breakers), web.runtime.clock.now());
    let body = PlaybookBody { line, source: playbook.source.clone() };
    Ok(([(ETAG, format!("\"{}\"", playbook.revision))], Json(body)))
}

/// A playbook as somebody edits it, and what to try it with.
#[derive(Debug, Default, Deserialize, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Draft {
    /// The text; left out: the one in force.
    pub source: Option<String>,
    /// To simulate: what Alertmanager would post, or the name of a sample of `reynard fire`; left out: an alert of its type.
    pub alert: Value,
    /// To simulate: numbers by name.
    pub signals: Value,
    /// To simulate: what each step's target answers, by the step's id: `succeeded`, `failed`, `unknown`, `{ "output": … }`; for a step
    /// that asks for a yes `approved` or `rejected`.
    pub answers: Value,
    /// To simulate: what the run is given, by name; it is then started as a person would.
    pub vars: Value,
}

#[utoipa::path(post, path = "/api/v1/playbooks/{slug}/check", tag = "playbooks", params(("slug" = String, Path)), request_body = Draft,
    responses((status = 200, description = "`diagnostics`, `errors`, `warnings`, as `reynard check --format json` gives them", body = Value),
        (status = 400, body = ProblemBody), (status = 404, body = ProblemBody), (status = 503, body = ProblemBody)))]
pub async fn check(State(web): State<WebState>, Path(slug): Path<String>, Wish(draft): Wish<Draft>) -> Result<Json<Value>, Problem> {
    let source = source(&web, &slug, draft.source)?;
    on_desk(&web, move |desk| Ok(desk.check(&slug, &source))).await
}

#[utoipa::path(post, path = "/api/v1/playbooks/{slug}/simulate", tag = "playbooks", params(("slug" = String, Path)), request_body = Draft,
    responses((status = 200, description = "what would happen, as `reynard simulate --format json` gives it", body = Value),
        (status = 400, body = ProblemBody), (status = 404, body = ProblemBody), (status = 503, body = ProblemBody)))]
pub async fn simulate(State(web): State<WebState>, Path(slug): Path<String>, Wish(draft): Wish<Draft>) -> Result<Json<Value>, Problem> {
    let source = source(&web, &slug, draft.source)?;
    let given = json!({ "alert": draft.alert, "signals": draft.signals, "answers": draft.answers, "vars": draft.vars });
    on_desk(&web, move |desk| desk.simulate(&slug, &source, &given)).await
}

fn source(web: &WebState, slug: &str, draft: Option<String>) -> Result<String, Problem> {
    let in_force = || web.runtime.rulebook().playbooks.get(slug).map(|playbook| playbook.source.clone());
    draft.or_else(in_force).ok_or_else(|| Problem::missing("playbook"))
}

/// Reading and trying takes the processor for a while, which the others must not wait for.
async fn on_desk<F>(web: &WebState, ask: F) -> Result<Json<Value>, Problem>
where
    F: FnOnce(&dyn Desk) -> Result<Value, String> + Send + 'static,
{
    let Some(desk) = web.desk.get().cloned() else { return Err(Problem::unavailable("there are no files to look at")) };
    let asked = tokio::task::spawn_blocking(move || ask(desk.as_ref())).await.map_err(Problem::fault)?;
    asked.map(Json).map_err(Problem::unreadable)
}

/// Lets a playbook change things again that had failed too often in a row.
#[utoipa::path(post, path = "/api/v1/playbooks/{slug}/rearm", tag = "playbooks", params(("slug" = String, Path)), request_body = Note,
    responses((status = 200, body = BreakerBody), (status = 400, body = ProblemBody), (status = 404, body = ProblemBody), (status = 409, body = ProblemBody), (status = 422, body = ProblemBody)))]
pub async fn rearm(
    State(web): State<WebState>,
    Path(slug): Path<String>,
    asking: Asking,
    Wish(wish): Wish<Note>,
) -> Result<Json<BreakerBody>, Problem> {
    let actor = asking.actor(wish.by)?;
    let reads = &*web.runtime.reads;
    let known = web.runtime.rulebook().playbooks.contains_key(&slug) || reads.breakers().await?.iter().any(|b| b.playbook == slug);
    let Some(incident) = armed_by(reads, &slug).await? else {
        let closed = Problem::new(StatusCode::CONFLICT, format!("the breaker of playbook {slug} is not open"));
        return Err(if known { closed } else { Problem::missing("playbook") });
    };
    let command = Command::Rearm { playbook: slug.clone(), note: wish.note };
    web.runtime.command(incident, actor, command, asking.request).await?;
    let breaker = reads.breakers().await?.into_iter().find(|breaker| breaker.playbook == slug).unwrap_or_default();
    Ok(Json(BreakerBody::new(&breaker)))
}

impl BreakerBody {
    fn new(breaker: &Breaker) -> Self {
        Self {
            failures: breaker.failures,
            open: breaker.opened.is_some(),
            opened_at: breaker.opened.map(|opened| opened.at.to_rfc3339()),
            incident: breaker.opened.map(|opened| opened.incident.to_string()),
        }
    }
}

impl PlaybookLine {
    fn new(playbook: &Arc<Playbook>, (record, breakers): (Option<&Record>, &[Breaker]), now: Timestamp) -> Self {
        let planned = playbook.trigger.schedule.as_ref();
        Self {
            slug: playbook.slug.clone(),
            title: playbook.title.clone(),
            revision: playbook.revision.clone(),
            manual: playbook.trigger.is_manual(),
            types: playbook.trigger.types.clone(),
            priorities: playbook.trigger.priorities.iter().map(ToString::to_string).collect(),
            schedule: planned.map(ToString::to_string),
            next_at: instant(planned.and_then(|planned| planned.next(&playbook.slug, now)).map(|next| next.at)),
            shadow: playbook.shadow,
            record: RecordBody::new(record.unwrap_or(&Record::default()), playbook),
            steps: playbook.steps.iter().map(|step| PlaybookStep::new(step)).collect(),
            breaker: breakers.iter().find(|breaker| breaker.playbook == playbook.slug).map(BreakerBody::new),
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
