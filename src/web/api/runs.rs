//! Runs as programs see them, and what a person may say of a run or of one of its steps.
//! Knows no playbook text; step order comes from the revision the run is pinned to.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::domain::decide::command::Command;
use crate::domain::evidence::Attempted;
use crate::domain::id::RunId;
use crate::domain::incident::Incident;
use crate::domain::limits::Gauge;
use crate::domain::path;
use crate::domain::playbook::Step;
use crate::domain::run::{Request, Run, StepState};
use crate::domain::settings::Rulebook;
use crate::domain::timeline::Outcome;
use crate::engine::store::IncidentName;
use crate::web::api::acts::Note;
use crate::web::api::incidents::{find, instant};
use crate::web::extract::{Asking, OfRun, OfStep, Wish};
use crate::web::problem::{Problem, ProblemBody};
use crate::web::record::{Past, record};
use crate::web::state::WebState;

/// Entries read at once while looking for an old run.
const PAGE: u32 = 1_000;

/// One execution of a playbook.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct RunBody {
    pub id: String,
    /// The incident's UUID.
    pub incident: String,
    pub playbook: String,
    pub title: String,
    /// The playbook's content hash when the run started; it keeps it.
    pub revision: String,
    /// `running`, `waiting`, `succeeded`, `failed` or `cancelled`.
    pub status: &'static str,
    pub started_at: String,
    pub ended_at: Option<String>,
    pub current: Option<String>,
    pub reason: Option<String>,
    /// The person who asked for it; none when it started by itself.
    pub requested_by: Option<String>,
    #[schema(value_type = Object)]
    pub vars: serde_json::Map<String, Value>,
    /// The run and the step that started it, for a sub-playbook.
    pub parent: Option<ParentBody>,
    /// How often it was tried anew after a step had failed.
    pub tried_anew: u32,
    /// Whether the playbook looked and saw that the trouble is over.
    pub verified: bool,
    /// In the playbook's order.
    pub steps: Vec<StepBody>,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct ParentBody {
    pub run: String,
    pub step: String,
}

/// A request for a yes, and what came of it.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct ApprovalBody {
    /// People, schedules, `on-call`, or `operator` for anybody.
    pub by: Vec<String>,
    pub asked_at: String,
    pub expires_at: String,
    /// `fail`, `skip` or `continue`.
    pub otherwise: Value,
    /// Set once enough have said yes.
    pub approved_by: Option<String>,
    /// How many must say yes.
    pub of: u32,
    /// Who has said yes so far.
    pub yes: Vec<String>,
    /// Why it asks although the step does not say so: its playbook has still to earn that it need not.
    pub why: Option<String>,
}

/// A step with all that is known of it: each attempt, how far the limits are used that its next one would meet, and what became of the
/// same step the last times.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct StepEvidence {
    pub step: StepBody,
    pub attempts: Vec<AttemptBody>,
    /// Of steps that change something.
    pub limits: Vec<GaugeBody>,
    /// The newest first, at most five.
    pub before: Vec<PastBody>,
}

/// One attempt: what it was sent with, on disk before it was sent, and what came of it.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct AttemptBody {
    pub attempt: u32,
    /// Whether it took the step back.
    pub undo: bool,
    pub action: String,
    pub target: Option<String>,
    pub params: Value,
    /// The `Idempotency-Key` it carried.
    pub key: String,
    pub sent_at: String,
    pub ended_at: Option<String>,
    /// `running`, `succeeded`, `failed`, `in_doubt` or `undone`.
    pub status: &'static str,
    pub answer: Option<String>,
    /// What it answered when nobody waited any more, which changed nothing: when that was, and its words.
    pub late_at: Option<String>,
    pub late_answer: Option<String>,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct GaugeBody {
    /// `per_target: 3 per 1h`.
    pub limit: String,
    pub used: u32,
    pub of: u32,
    /// When there is room again; none while there is.
    pub free_at: Option<String>,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct PastBody {
    /// The incident's number.
    pub incident: u64,
    pub run: String,
    pub at: String,
    /// How the step ended.
    pub status: &'static str,
    pub reason: Option<String>,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct StepBody {
    pub id: String,
    /// `pending`, `waiting`, `running`, `succeeded`, `failed`, `skipped`, `in_doubt` or `undone`.
    pub status: &'static str,
    pub title: String,
    pub action: String,
    pub target: Option<String>,
    pub attempt: u32,
    pub params: Value,
    pub output: Value,
    pub reason: Option<String>,
    pub started_at: Option<String>,
    pub ended_at: Option<String>,
    pub retry_at: Option<String>,
    pub approval: Option<ApprovalBody>,
    /// The target that another run is at work on, while this step waits for it.
    pub waits_for: Option<String>,
    /// For a `for_each`: its items, each a step of its own.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(no_recursion)]
    pub items: Vec<StepBody>,
}

/// What happened in a step in doubt.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Settlement {
    pub outcome: Outcome,
    #[serde(default)]
    pub note: String,
    #[serde(default)]
    pub by: Option<String>,
}

#[utoipa::path(get, path = "/api/v1/runs/{id}", tag = "runs", params(("id" = String, Path)),
    responses((status = 200, body = RunBody), (status = 404, body = ProblemBody)))]
pub async fn one(State(web): State<WebState>, OfRun(id): OfRun) -> Result<Json<RunBody>, Problem> {
    let incident = incident_of(&web, id).await?;
    match incident.runs.contains_key(&id) {
        true => body(&web, &incident, id),
        false => retold(&web, &incident, id).await,
    }
}

/// One step with the evidence: for whoever is asked whether it took effect, or for a yes.
#[utoipa::path(get, path = "/api/v1/runs/{id}/steps/{step}", tag = "runs", params(("id" = String, Path), ("step" = String, Path)),
    responses((status = 200, body = StepEvidence), (status = 404, body = ProblemBody)))]
pub async fn step(State(web): State<WebState>, OfRun(id): OfRun, OfStep(step): OfStep) -> Result<Json<StepEvidence>, Problem> {
    let incident = incident_of(&web, id).await?;
    let run = incident.runs.get(&id).ok_or_else(|| Problem::missing("run"))?;
    let state = run.steps.get(&step).ok_or_else(|| Problem::missing("step"))?;
    let record = record(&*web.runtime.reads, (&incident, run, &step), &web.runtime.rulebook(), web.runtime.clock.now()).await?;
    Ok(Json(StepEvidence {
        step: StepBody::new(&step, state),
        attempts: record.attempts.iter().map(AttemptBody::new).collect(),
        limits: record.gauges.iter().map(GaugeBody::new).collect(),
        before: record.before.iter().map(PastBody::new).collect(),
    }))
}

/// A run that its incident does not hold any more is on the log.
async fn retold(web: &WebState, incident: &Incident, id: RunId) -> Result<Json<RunBody>, Problem> {
    let (mut told, mut after) = (Vec::new(), 0);
    while after < incident.seq {
        let page = web.runtime.reads.timeline(incident.id, after, PAGE).await?;
        let Some(last) = page.last().map(|entry| entry.seq) else { break };
        after = last;
        told.extend(page.into_iter().filter(|entry| entry.event.run() == Some(id)));
    }
    let run = Run::retold(&told, id).ok_or_else(|| Problem::missing("run"))?;
    Ok(Json(RunBody::new(incident, &run, &web.runtime.rulebook())))
}

/// Ends the run and cuts off what is under way of it: a request is dropped, a program ended, a query cancelled. Where nobody knows then
/// whether that took effect, its step says so.
#[utoipa::path(post, path = "/api/v1/runs/{id}/cancel", tag = "runs", params(("id" = String, Path)), request_body = Note,
    responses((status = 200, body = RunBody), (status = 400, body = ProblemBody), (status = 404, body = ProblemBody), (status = 409, body = ProblemBody), (status = 422, body = ProblemBody)))]
pub async fn cancel(
    State(web): State<WebState>,
    OfRun(id): OfRun,
    asking: Asking,
    Wish(wish): Wish<Note>,
) -> Result<Json<RunBody>, Problem> {
    act(&web, id, asking, wish.by, Command::CancelRun { run: id, note: wish.note }).await
}

#[utoipa::path(post, path = "/api/v1/runs/{id}/steps/{step}/skip", tag = "runs",
    params(("id" = String, Path), ("step" = String, Path)), request_body = Note,
    responses((status = 200, body = RunBody), (status = 400, body = ProblemBody), (status = 404, body = ProblemBody), (status = 409, body = ProblemBody), (status = 422, body = ProblemBody)))]
pub async fn skip(
    State(web): State<WebState>,
    OfRun(id): OfRun,
    OfStep(step): OfStep,
    asking: Asking,
    Wish(wish): Wish<Note>,
) -> Result<Json<RunBody>, Problem> {
    act(&web, id, asking, wish.by, Command::SkipStep { run: id, step, note: wish.note }).await
}

/// Takes a step back before its time.
#[utoipa::path(post, path = "/api/v1/runs/{id}/steps/{step}/undo", tag = "runs",
    params(("id" = String, Path), ("step" = String, Path)), request_body = Note,
    responses((status = 200, body = RunBody), (status = 400, body = ProblemBody), (status = 404, body = ProblemBody), (status = 409, body = ProblemBody), (status = 422, body = ProblemBody)))]
pub async fn undo(
    State(web): State<WebState>,
    OfRun(id): OfRun,
    OfStep(step): OfStep,
    asking: Asking,
    Wish(wish): Wish<Note>,
) -> Result<Json<RunBody>, Problem> {
    act(&web, id, asking, wish.by, Command::UndoStep { run: id, step, note: wish.note }).await
}

#[utoipa::path(post, path = "/api/v1/runs/{id}/steps/{step}/retry", tag = "runs",
    params(("id" = String, Path), ("step" = String, Path)), request_body = Note,
    responses((status = 200, body = RunBody), (status = 400, body = ProblemBody), (status = 404, body = ProblemBody), (status = 409, body = ProblemBody), (status = 422, body = ProblemBody)))]
pub async fn retry(
    State(web): State<WebState>,
    OfRun(id): OfRun,
    OfStep(step): OfStep,
    asking: Asking,
    Wish(wish): Wish<Note>,
) -> Result<Json<RunBody>, Problem> {
    act(&web, id, asking, wish.by, Command::RetryStep { run: id, step, note: wish.note }).await
}

/// Answers a step in doubt: did it take effect?
#[utoipa::path(post, path = "/api/v1/runs/{id}/steps/{step}/settle", tag = "runs",
    params(("id" = String, Path), ("step" = String, Path)), request_body = Settlement,
    responses((status = 200, body = RunBody), (status = 400, body = ProblemBody), (status = 404, body = ProblemBody), (status = 409, body = ProblemBody), (status = 422, body = ProblemBody)))]
pub async fn settle(
    State(web): State<WebState>,
    OfRun(id): OfRun,
    OfStep(step): OfStep,
    asking: Asking,
    Wish(wish): Wish<Settlement>,
) -> Result<Json<RunBody>, Problem> {
    act(&web, id, asking, wish.by, Command::SettleStep { run: id, step, outcome: wish.outcome, note: wish.note }).await
}

/// Says yes to a step that asks for approval; not for whoever asked for the run.
#[utoipa::path(post, path = "/api/v1/runs/{id}/steps/{step}/approve", tag = "runs",
    params(("id" = String, Path), ("step" = String, Path)), request_body = Note,
    responses((status = 200, body = RunBody), (status = 400, body = ProblemBody), (status = 404, body = ProblemBody), (status = 409, body = ProblemBody), (status = 422, body = ProblemBody)))]
pub async fn approve(
    State(web): State<WebState>,
    OfRun(id): OfRun,
    OfStep(step): OfStep,
    asking: Asking,
    Wish(wish): Wish<Note>,
) -> Result<Json<RunBody>, Problem> {
    act(&web, id, asking, wish.by, Command::AnswerApproval { run: id, step, yes: true, note: wish.note }).await
}

/// Says no to a step that asks for approval: it fails.
#[utoipa::path(post, path = "/api/v1/runs/{id}/steps/{step}/reject", tag = "runs",
    params(("id" = String, Path), ("step" = String, Path)), request_body = Note,
    responses((status = 200, body = RunBody), (status = 400, body = ProblemBody), (status = 404, body = ProblemBody), (status = 409, body = ProblemBody), (status = 422, body = ProblemBody)))]
pub async fn reject(
    State(web): State<WebState>,
    OfRun(id): OfRun,
    OfStep(step): OfStep,
    asking: Asking,
    Wish(wish): Wish<Note>,
) -> Result<Json<RunBody>, Problem> {
    act(&web, id, asking, wish.by, Command::AnswerApproval { run: id, step, yes: false, note: wish.note }).await
}

async fn act(web: &WebState, id: RunId, asking: Asking, by: Option<String>, command: Command) -> Result<Json<RunBody>, Problem> {
    let actor = if matches!(command, Command::AnswerApproval { .. }) { asking.person(by)? } else { asking.actor(by)? };
    let incident = web.runtime.reads.incident_of_run(id).await?.ok_or_else(|| Problem::missing("run"))?;
    web.runtime.command(incident, actor, command, asking.request).await?;
    let incident = find(web, IncidentName::Id(incident)).await?;
    body(web, &incident, id)
}

async fn incident_of(web: &WebState, run: RunId) -> Result<Incident, Problem> {
    let incident = web.runtime.reads.incident_of_run(run).await?.ok_or_else(|| Problem::missing("run"))?;
    find(web, IncidentName::Id(incident)).await
}

fn body(web: &WebState, incident: &Incident, id: RunId) -> Result<Json<RunBody>, Problem> {
    let run = incident.runs.get(&id).ok_or_else(|| Problem::missing("run"))?;
    Ok(Json(RunBody::new(incident, run, &web.runtime.rulebook())))
}

impl RunBody {
    pub fn new(incident: &Incident, run: &Run, rulebook: &Rulebook) -> Self {
        Self {
            id: run.id.to_string(),
            incident: incident.id.to_string(),
            playbook: run.playbook.clone(),
            title: run.title.clone(),
            revision: run.revision.clone(),
            status: run.status.word(),
            started_at: run.started_at.to_rfc3339(),
            ended_at: instant(run.ended_at),
            current: run.current.clone(),
            reason: run.reason.clone(),
            requested_by: run.requested_by.clone(),
            vars: run.vars.clone(),
            parent: run.parent.as_ref().map(|at| ParentBody { run: at.run.to_string(), step: at.step.clone() }),
            tried_anew: run.tried_anew,
            verified: run.verified,
            steps: steps(run, rulebook),
        }
    }
}

/// The playbook's steps in its order, begun or not; then any that the revision no longer tells of.
fn steps(run: &Run, rulebook: &Rulebook) -> Vec<StepBody> {
    let planned = rulebook.revisions.get(&run.revision).map(|playbook| playbook.steps.as_slice()).unwrap_or_default();
    let blank = |step: &Step| StepState {
        title: step.title.clone(),
        action: step.action.clone(),
        target: step.target.clone(),
        ..StepState::default()
    };
    let unplanned = run.steps.iter().filter(|(id, _)| planned.iter().all(|step| step.id != path::split(id).0));
    let in_order = planned.iter().map(|step| match run.steps.get(&step.id) {
        Some(state) => {
            let items = run.items(&step.id).map(|(visit, item)| StepBody::new(&path::of_item(&step.id, visit), item));
            StepBody { items: items.collect(), ..StepBody::new(&step.id, state) }
        }
        None => StepBody::new(&step.id, &blank(step)),
    });
    in_order.chain(unplanned.map(|(id, state)| StepBody::new(id, state))).collect()
}

impl ApprovalBody {
    fn new(request: &Request) -> Self {
        Self {
            by: request.by.clone(),
            asked_at: request.asked_at.to_rfc3339(),
            expires_at: request.expires_at.to_rfc3339(),
            otherwise: serde_json::json!(request.otherwise),
            approved_by: request.approved_by.clone(),
            of: request.of,
            yes: request.yes.clone(),
            why: request.why.clone(),
        }
    }
}

impl AttemptBody {
    fn new(known: &Attempted) -> Self {
        Self {
            attempt: known.attempt,
            undo: known.undo,
            action: known.action.clone(),
            target: known.target.clone(),
            params: known.params.clone(),
            key: known.key.clone(),
            sent_at: known.sent_at.to_rfc3339(),
            ended_at: instant(known.ended_at),
            status: known.status,
            answer: known.answer.clone(),
            late_at: instant(known.late.as_ref().map(|late| late.at)),
            late_answer: known.late.as_ref().map(|late| late.said.clone()),
        }
    }
}

impl GaugeBody {
    fn new(gauge: &Gauge) -> Self {
        Self { limit: gauge.limit(), used: gauge.used, of: gauge.rate.count, free_at: instant(gauge.free_at) }
    }
}

impl PastBody {
    fn new(past: &Past) -> Self {
        let (incident, run, at) = (past.incident, past.run.to_string(), past.at.to_rfc3339());
        Self { incident, run, at, status: past.status.word(), reason: past.reason.clone() }
    }
}

impl StepBody {
    fn new(id: &str, state: &StepState) -> Self {
        Self {
            id: id.to_owned(),
            status: state.status.word(),
            title: state.title.clone(),
            action: state.action.clone(),
            target: state.target.clone(),
            attempt: state.attempt,
            params: state.params.clone(),
            output: state.output.clone(),
            reason: state.reason.clone(),
            started_at: instant(state.started_at),
            ended_at: instant(state.ended_at),
            retry_at: instant(state.retry_at),
            approval: state.approval.as_ref().map(ApprovalBody::new),
            waits_for: state.waits_for.as_ref().map(|(target, _)| target.clone()),
            items: Vec::new(),
        }
    }
}
