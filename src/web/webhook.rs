//! Takes what Alertmanager posts: who it is, that it is whole, and an answer only once it is on disk.
//! Reads no alert; the engine does.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::{ConnectInfo, Path, Request, State};
use axum::http::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, FORWARDED};
use axum::http::{Extensions, HeaderMap, StatusCode};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use futures_util::StreamExt;
use serde::Serialize;
use sha2::{Digest, Sha256};
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};

use crate::domain::settings::Source;
use crate::engine::error::EngineError;
use crate::engine::store::RejectedAlert;
use crate::web::problem::{Problem, ProblemBody};
use crate::web::state::WebState;

/// The largest body that is taken.
pub const MAX_BODY: usize = 16 * 1024 * 1024;
/// How long a sender may take over its body, and how long storing it may take.
const TIME_LIMIT: Duration = Duration::from_secs(10);

/// What the sender is told once the delivery is on disk.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Taken {
    pub delivery: String,
    /// Alerts taken.
    pub alerts: usize,
    /// Alerts that could not be read; the others were taken all the same.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rejected: Vec<RejectedAlert>,
}

/// `POST /` and `POST /api/v1/webhooks/alertmanager`.
#[utoipa::path(post, path = "/api/v1/webhooks/alertmanager", tag = "webhooks",
    request_body(content = serde_json::Value, description = "Alertmanager's webhook body, version \"4\"", content_type = "application/json"),
    responses((status = 200, body = Taken), (status = 400, body = ProblemBody), (status = 401, body = ProblemBody),
        (status = 413, body = ProblemBody), (status = 415, body = ProblemBody), (status = 503, body = ProblemBody)))]
pub async fn receive(State(web): State<WebState>, request: Request) -> Result<Json<Taken>, Problem> {
    take(&web, None, request).await
}

/// `POST /api/v1/webhooks/alertmanager/{source}`.
#[utoipa::path(post, path = "/api/v1/webhooks/alertmanager/{source}", tag = "webhooks",
    params(("source" = String, Path, description = "The source's name; its token must go with it")),
    request_body(content = serde_json::Value, description = "Alertmanager's webhook body, version \"4\"", content_type = "application/json"),
    responses((status = 200, body = Taken), (status = 400, body = ProblemBody), (status = 401, body = ProblemBody),
        (status = 413, body = ProblemBody), (status = 415, body = ProblemBody), (status = 503, body = ProblemBody)))]
pub async fn receive_from(State(web): State<WebState>, Path(source): Path<String>, request: Request) -> Result<Json<Taken>, Problem> {
    take(&web, Some(&source), request).await
}

async fn take(web: &WebState, named: Option<&str>, request: Request) -> Result<Json<Taken>, Problem> {
    let Some(source) = source(&web.sources.now(), named, &request) else {
        web.metrics.delivery("unknown", "unauthorized");
        return Err(Problem::unauthorized());
    };
    let taken = store(web, &source, request).await;
    web.metrics.delivery(&source, outcome(&taken));
    taken.map(Json)
}

async fn store(web: &WebState, source: &str, request: Request) -> Result<Taken, Problem> {
    plain_json(request.headers())?;
    let announced = announced(request.headers())?;
    let room = u32::try_from(announced.unwrap_or(MAX_BODY) / 1024 + 1).unwrap_or(u32::MAX);
    let _room = web.intake.try_acquire_many(room).map_err(|_| Problem::unavailable("too many deliveries are being read"))?;
    let body = tokio::time::timeout(TIME_LIMIT, read(request)).await.map_err(|_| Problem::unavailable("the body came too slowly"))??;
    let stored = tokio::time::timeout(TIME_LIMIT, web.runtime.deliver(source, body)).await;
    let receipt = stored.unwrap_or_else(|_| Err(EngineError::Unavailable("storing a delivery took too long".to_owned())))?;
    Ok(Taken { delivery: receipt.delivery.to_string(), alerts: receipt.alerts, rejected: receipt.rejected })
}

fn outcome(taken: &Result<Taken, Problem>) -> &'static str {
    match taken.as_ref().map_err(|problem| problem.status) {
        Ok(_) => "stored",
        Err(StatusCode::PAYLOAD_TOO_LARGE) => "too_large",
        Err(StatusCode::UNSUPPORTED_MEDIA_TYPE) => "wrong_type",
        Err(StatusCode::SERVICE_UNAVAILABLE) => "unavailable",
        Err(_) => "unreadable",
    }
}

/// The source that posts, by its token; without any source configured, this machine itself under any name.
fn source(sources: &[Source], named: Option<&str>, request: &Request) -> Option<String> {
    if sources.is_empty() {
        let name = named.unwrap_or("default");
        return (is_this_machine(request) && is_name(name)).then(|| name.to_owned());
    }
    let token = bearer(request.headers())?;
    let source = owner(sources, &token)?;
    named.is_none_or(|named| named == source.name).then(|| source.name.clone())
}

fn is_this_machine(request: &Request) -> bool {
    is_direct(request.headers(), request.extensions())
}

/// A direct call from loopback. What a proxy on this machine passes on comes from elsewhere.
pub fn is_direct(headers: &HeaderMap, extensions: &Extensions) -> bool {
    let forwarded = headers.contains_key(FORWARDED) || headers.contains_key("x-forwarded-for");
    let peer = extensions.get::<ConnectInfo<SocketAddr>>();
    !forwarded && peer.is_some_and(|ConnectInfo(peer)| peer.ip().to_canonical().is_loopback())
}

fn is_name(name: &str) -> bool {
    (1..=64).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

/// The bearer token, or the password of basic authentication.
pub fn bearer(headers: &HeaderMap) -> Option<String> {
    let (scheme, rest) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    let rest = rest.trim();
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(rest.to_owned());
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let pair = String::from_utf8(BASE64_STANDARD.decode(rest).ok()?).ok()?;
    pair.split_once(':').map(|(_, password)| password.to_owned())
}

/// Compares with every source, each in the same time.
fn owner<'a>(sources: &'a [Source], token: &str) -> Option<&'a Source> {
    let given = Sha256::digest(token);
    let mut found = 0u32;
    for (number, source) in (1u32..).zip(sources) {
        let known = Sha256::digest(source.token.expose());
        let same = given.as_slice().ct_eq(known.as_slice()) & Choice::from(u8::from(!source.token.expose().is_empty()));
        found = u32::conditional_select(&found, &number, same);
    }
    sources.get(found.checked_sub(1)? as usize)
}

/// Refuses what is packed and what says it is not JSON; no word about it is fine.
fn plain_json(headers: &HeaderMap) -> Result<(), Problem> {
    let said = |name| headers.get(name).map(|value| value.to_str().unwrap_or("?").trim().to_ascii_lowercase());
    if let Some(encoding) = said(CONTENT_ENCODING).filter(|encoding| !encoding.is_empty() && encoding != "identity") {
        let encoding: String = encoding.chars().take(40).collect();
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, format!("send the body as it is, not as {encoding}")));
    }
    let kind = said(CONTENT_TYPE).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    if matches!(kind, "" | "application/json" | "text/json") || (kind.starts_with("application/") && kind.ends_with("+json")) {
        return Ok(());
    }
    Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "send the body as application/json"))
}

/// The size that the sender speaks of, unless it is too large.
fn announced(headers: &HeaderMap) -> Result<Option<usize>, Problem> {
    let length = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if length.is_some_and(|length| length > MAX_BODY) { Err(too_large()) } else { Ok(length) }
}

async fn read(request: Request) -> Result<Vec<u8>, Problem> {
    let mut body = Vec::new();
    let mut chunks = Body::into_data_stream(request.into_body());
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|error| Problem::unreadable(format!("the body broke off after {} bytes: {error}", body.len())))?;
        if body.len() + chunk.len() > MAX_BODY {
            return Err(too_large());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

fn too_large() -> Problem {
    let detail = format!("the body is larger than {} MiB; set max_alerts on the Alertmanager receiver", MAX_BODY / 1024 / 1024);
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail)
}
