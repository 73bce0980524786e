//! Who shares the database, who of them is active, and how late the work is.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};

use crate::domain::time::Span;
use crate::engine::nodes::{Overview, Peer, Role};
use crate::web::extract::{Asking, OfNode, Wish};
use crate::web::problem::{Problem, ProblemBody};
use crate::web::state::WebState;

#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct NodesBody {
    /// By name. On SQLite only the one that is asked.
    pub nodes: Vec<NodeBody>,
    /// Who may write; none on SQLite, where nobody else can.
    pub lease: Option<LeaseBody>,
    /// How long the oldest job has been due that nobody has begun.
    pub oldest_due_ms: Option<u64>,
    /// Deliveries taken in by nodes that stand by, which the active one has not worked yet.
    pub inbox: InboxBody,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct NodeBody {
    pub name: String,
    pub version: String,
    /// `active`, `standing_by` or `stopped`.
    pub role: &'static str,
    /// Whether it has not been heard of for more than ten seconds.
    pub silent: bool,
    /// Whether it is the one that answers.
    pub this: bool,
    /// Where other nodes reach it.
    pub url: Option<String>,
    /// Since when it does what it does.
    pub since: Option<String>,
    pub last_seen_ms: u64,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct LeaseBody {
    /// The active node; none while the lease is free.
    pub holder: Option<String>,
    /// How often it has changed hands.
    pub epoch: i64,
    /// Since its holder was last heard of.
    pub age_ms: Option<u64>,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct InboxBody {
    pub waiting: u64,
    pub oldest_ms: Option<u64>,
}

#[utoipa::path(get, path = "/api/v1/nodes", tag = "nodes", responses((status = 200, body = NodesBody), (status = 503, body = ProblemBody)))]
pub async fn list(State(web): State<WebState>) -> Result<Json<NodesBody>, Problem> {
    let overview = web.runtime.reads.overview(web.runtime.clock.now()).await?;
    Ok(Json(NodesBody::new(&overview, &web.runtime.node)))
}

/// Who asks.
#[derive(Debug, Default, Deserialize, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ActivateWish {
    /// Unless the header `Reynard-Actor` says so.
    pub by: Option<String>,
}

/// Has this node become active in place of the one that is. Answered once that is on its way: what runs on the active one may end
/// first, for 20 s at most.
#[utoipa::path(post, path = "/api/v1/nodes/{name}/activate", tag = "nodes", request_body = ActivateWish,
    params(("name" = String, Path), ("Reynard-Actor" = Option<String>, Header)),
    responses((status = 202, body = NodesBody), (status = 400, body = ProblemBody), (status = 409, body = ProblemBody),
        (status = 422, body = ProblemBody), (status = 503, body = ProblemBody)))]
pub async fn activate(
    State(web): State<WebState>,
    OfNode(name): OfNode,
    asking: Asking,
    Wish(wish): Wish<ActivateWish>,
) -> Result<(StatusCode, Json<NodesBody>), Problem> {
    let by = asking.actor(wish.by)?;
    web.runtime.hand_over(&name, by.name()).await?;
    Ok((StatusCode::ACCEPTED, list(State(web)).await?))
}

impl NodesBody {
    fn new(overview: &Overview, this: &str) -> Self {
        let millis = |span: Option<Span>| span.map(Span::as_millis);
        let mut nodes: Vec<NodeBody> = overview.peers.iter().map(|peer| NodeBody::new(peer, overview, this)).collect();
        if overview.epoch.is_none() {
            nodes.push(NodeBody::alone(this));
        }
        let lease = overview.epoch.map(|epoch| LeaseBody { holder: overview.holder.clone(), epoch, age_ms: millis(overview.lease_age) });
        let inbox = InboxBody { waiting: overview.inbox, oldest_ms: millis(overview.oldest_in_inbox) };
        Self { nodes, lease, oldest_due_ms: millis(overview.oldest_due), inbox }
    }
}

impl NodeBody {
    /// Active is who has the lease, whatever it says of itself.
    fn new(peer: &Peer, overview: &Overview, this: &str) -> Self {
        let holds = overview.holder.as_ref() == Some(&peer.name);
        let role = match peer.role {
            Role::Stopped => Role::Stopped,
            _ if holds => Role::Active,
            _ => Role::StandingBy,
        };
        Self {
            name: peer.name.clone(),
            version: peer.version.clone(),
            role: role.word(),
            silent: peer.is_silent(),
            this: peer.name == this,
            url: peer.url.clone(),
            since: Some(peer.since.to_rfc3339()),
            last_seen_ms: peer.seen.as_millis(),
        }
    }

    fn alone(this: &str) -> Self {
        Self {
            name: this.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            role: Role::Active.word(),
            silent: false,
            this: true,
            url: None,
            since: None,
            last_seen_ms: 0,
        }
    }
}
