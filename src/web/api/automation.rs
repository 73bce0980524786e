//! The red switch over HTTP: who holds automation, hold it, release it. Decides nothing about any step.

use std::collections::{BTreeMap, BTreeSet};

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};

use crate::domain::hold::{Hand, Holds};
use crate::domain::settings::Automation;
use crate::domain::shadow::{Fate, Sum, Would, sums, woulds};
use crate::domain::time::{Span, SpanError, Timestamp};
use crate::domain::timeline::Actor;
use crate::engine::store::{IncidentName, Reads, StoreError};
use crate::web::extract::{Asking, Queried, Wish};
use crate::web::problem::{Problem, ProblemBody};
use crate::web::releasing::Origin;
use crate::web::sign_in::caller::Caller;
use crate::web::state::WebState;

/// The longest reason; it goes into the timeline of every incident that it matters to.
pub const LONGEST_REASON: usize = 2_048;

#[derive(Debug, Default, Deserialize, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct HoldWish {
    /// Why; it stands on the timelines.
    pub reason: String,
    /// Whether runs under way are cancelled, too. What has begun ends by itself.
    pub cancel: bool,
    /// Who, unless the header `Reynard-Actor` says so.
    pub by: Option<String>,
}

#[derive(Debug, Default, Deserialize, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ReleaseWish {
    pub reason: String,
    pub waiting: Waiting,
    pub by: Option<String>,
}

/// What becomes of steps that wait for the release.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Waiting {
    /// They begin, as far as their conditions and the limits let them.
    #[default]
    Begin,
    /// They are skipped, and their runs go on.
    Skip,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct AutomationBody {
    /// `live`, `shadow` or `held`.
    pub automation: &'static str,
    /// Everything that holds: each lets go for itself.
    pub holds: Vec<HoldBody>,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct HoldBody {
    /// `person`, `file` or `settings`.
    pub hand: &'static str,
    pub by: String,
    pub at: String,
    pub reason: String,
}

/// Whether automation acts, and who holds it if it does not.
#[utoipa::path(get, path = "/api/v1/automation", tag = "automation",
    responses((status = 200, body = AutomationBody), (status = 503, body = ProblemBody)))]
pub async fn show(State(web): State<WebState>) -> Result<Json<AutomationBody>, Problem> {
    let holds = web.runtime.reads.totals().await?.holds;
    Ok(Json(body(&web, &holds)))
}

/// Holds automation: nothing that changes things begins from here on. People are still told, and undoing goes on.
#[utoipa::path(post, path = "/api/v1/automation/hold", tag = "automation", request_body = HoldWish,
    params(("Reynard-Actor" = Option<String>, Header)),
    responses((status = 200, body = AutomationBody), (status = 400, body = ProblemBody), (status = 422, body = ProblemBody),
        (status = 503, body = ProblemBody)))]
pub async fn hold(State(web): State<WebState>, asking: Asking, Wish(wish): Wish<HoldWish>) -> Result<Json<AutomationBody>, Problem> {
    let by = asking.actor(wish.by)?;
    let reason = reason(&wish.reason)?;
    let holds = web.runtime.hold(by.name(), reason, wish.cancel).await?;
    Ok(Json(body(&web, &holds)))
}

/// Releases what people hold: a person who signed in within 12 hours, or `hold.release_token`; where nobody can sign in, this machine
/// itself, and a name.
#[utoipa::path(post, path = "/api/v1/automation/release", tag = "automation", request_body = ReleaseWish,
    params(("Reynard-Actor" = Option<String>, Header)),
    responses((status = 200, body = AutomationBody), (status = 400, body = ProblemBody), (status = 401, body = ProblemBody),
        (status = 403, body = ProblemBody), (status = 409, body = ProblemBody), (status = 422, body = ProblemBody),
        (status = 503, body = ProblemBody)))]
pub async fn release(
    State(web): State<WebState>,
    (from, caller): (Origin, Caller),
    asking: Asking,
    Wish(wish): Wish<ReleaseWish>,
) -> Result<Json<AutomationBody>, Problem> {
    if caller.offered {
        caller.may_release(web.runtime.clock.now())?;
    } else {
        web.releasing.admit(&from, None)?;
    }
    let by = named(asking.actor(wish.by)?)?;
    let reason = reason(&wish.reason)?;
    let holds = web.runtime.release(by.name(), reason, wish.waiting == Waiting::Skip).await?;
    Ok(Json(body(&web, &holds)))
}

#[derive(Debug, Deserialize)]
pub struct Window {
    since: Option<String>,
}

/// What shadow kept from being done, by playbook, and each step, newest first.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct ShadowBody {
    pub since: String,
    pub playbooks: Vec<ShadowSum>,
    pub items: Vec<ShadowItem>,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct ShadowSum {
    pub playbook: String,
    /// A person had to take it: it might have been fixed without.
    pub fixed: u64,
    /// A limit would have held it back.
    pub stopped: u64,
    /// It recovered by itself: acting would have been a false start.
    pub by_itself: u64,
    /// The trouble goes on.
    pub open: u64,
    /// Which limits would have held it back, and how often.
    pub limits: BTreeMap<String, u64>,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct ShadowItem {
    pub at: String,
    pub incident: u64,
    pub playbook: String,
    pub step: String,
    pub action: String,
    pub target: Option<String>,
    #[schema(value_type = Object)]
    pub params: serde_json::Value,
    pub limit: Option<String>,
    /// Whether it would have asked first.
    pub asks: bool,
    /// `fixed`, `stopped`, `by_itself` or `open`.
    pub fate: &'static str,
}

/// What automation would have done.
#[utoipa::path(get, path = "/api/v1/automation/shadow", tag = "automation",
    params(("since" = Option<String>, Query, description = "How far back, such as `7d`; 30d unless said otherwise")),
    responses((status = 200, body = ShadowBody), (status = 400, body = ProblemBody), (status = 503, body = ProblemBody)))]
pub async fn shadow(State(web): State<WebState>, Queried(window): Queried<Window>) -> Result<Json<ShadowBody>, Problem> {
    let span = match window.since.as_deref() {
        None => SHADOW_WINDOW,
        Some(text) => text.parse().map_err(|error: SpanError| Problem::unreadable(error.to_string()))?,
    };
    let since = web.runtime.clock.now() - span;
    let woulds = woulds_since(&*web.runtime.reads, since).await?;
    let count = |sum: &Sum, fate| sum.fates.get(&fate).copied().unwrap_or(0);
    let sum = |(playbook, sum): (String, Sum)| ShadowSum {
        fixed: count(&sum, Fate::Person),
        stopped: count(&sum, Fate::Stopped),
        by_itself: count(&sum, Fate::ByItself),
        open: count(&sum, Fate::Open),
        limits: sum.limits,
        playbook,
    };
    let playbooks = sums(&woulds).into_iter().map(sum).collect();
    Ok(Json(ShadowBody { since: since.to_rfc3339(), playbooks, items: woulds.into_iter().map(item).collect() }))
}

/// How far back the report looks, and at how many steps at most.
pub const SHADOW_WINDOW: Span = Span::hours(30 * 24);
const SHADOW_STEPS: u32 = 500;

/// The steps that shadow kept from being done, newest first, each with what became of its incident.
pub async fn woulds_since(reads: &dyn Reads, since: Timestamp) -> Result<Vec<Would>, StoreError> {
    let entries = reads.shadowed(since, SHADOW_STEPS).await?;
    let mut incidents = BTreeMap::new();
    for id in entries.iter().map(|(id, _)| *id).collect::<BTreeSet<_>>() {
        incidents.extend(reads.incident(IncidentName::Id(id)).await?.map(|incident| (id, incident)));
    }
    Ok(woulds(&entries, &incidents))
}

fn item(would: Would) -> ShadowItem {
    ShadowItem {
        at: would.at.to_rfc3339(),
        incident: would.number,
        playbook: would.playbook,
        step: would.step,
        action: would.action,
        target: would.target,
        params: would.params,
        limit: would.limit,
        asks: would.asks,
        fate: would.fate.word(),
    }
}

/// A reason is what the next person reads at night: there has to be one.
pub fn reason(text: &str) -> Result<&str, Problem> {
    let text = text.trim();
    match text.len() {
        0 => Err(Problem::unreadable("say why: {\"reason\": \"the restarts make it worse\"}")),
        1..=LONGEST_REASON => Ok(text),
        n => Err(Problem::unreadable(format!("a reason has at most {LONGEST_REASON} bytes, this one has {n}"))),
    }
}

/// Whoever lets automation loose says who they are.
fn named(by: Actor) -> Result<Actor, Problem> {
    if by.name() == "api" {
        return Err(Problem::unreadable("say who releases it: the header Reynard-Actor, or {\"by\": \"ana\"}"));
    }
    Ok(by)
}

fn body(web: &WebState, holds: &Holds) -> AutomationBody {
    let automation = match web.runtime.rulebook().automation {
        _ if !holds.are_none() => "held",
        Automation::Held => "held",
        Automation::Shadow => "shadow",
        Automation::Live => "live",
    };
    let holds = holds.iter().map(|(hand, hold)| HoldBody {
        hand: word(hand),
        by: hold.by.clone(),
        at: hold.at.to_rfc3339(),
        reason: hold.reason.clone(),
    });
    AutomationBody { automation, holds: holds.collect() }
}

fn word(hand: Hand) -> &'static str {
    match hand {
        Hand::Person => "person",
        Hand::File => "file",
        Hand::Settings => "settings",
    }
}
