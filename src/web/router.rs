//! Joins the API, the webhook and the pages into one router, and puts around them what every answer needs.
//! Knows no handler's insides.

use std::any::Any;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, MatchedPath, Request, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderName, HeaderValue, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use tower::ServiceExt;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::csrf::{CsrfLayer, ProtectionError};

use crate::web::api::{acts, automation, deliveries, health, incidents, metrics, nodes, on_call, openapi, playbooks, revisions, runs};
use crate::web::forward;
use crate::web::problem::Problem;
use crate::web::sign_in::guard;
use crate::web::state::WebState;
use crate::web::webhook;

/// The largest form or JSON body, the webhook's apart.
pub const MAX_BODY: usize = 256 * 1024;
/// The largest body with a playbook's text in it, which a form makes longer.
pub const MAX_TEXT: usize = 1024 * 1024;
/// How long an answer may take to begin.
const TIME_LIMIT: Duration = Duration::from_secs(30);

/// Everything the server answers. `pages` keeps its own answer for addresses that nobody knows.
pub fn router(state: WebState, pages: Router<WebState>) -> Router {
    let bounded = |router: Router<WebState>| router.layer(DefaultBodyLimit::max(MAX_BODY)).layer(from_fn(in_time));
    let routes = bounded(pages)
        .layer(CompressionLayer::new())
        .merge(bounded(api()).merge(webhooks()))
        .layer(from_fn_with_state(state.clone(), forward::sent_on))
        .layer(from_fn_with_state(state.clone(), guard::known))
        .layer(CsrfLayer::new().with_rejection_response(foreign))
        .layer(from_fn_with_state(state.clone(), by_its_name))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(from_fn_with_state(state.clone(), observed))
        .with_state(state);
    // Addresses are looked up after they have been tidied, so all of it lies behind.
    Router::new().fallback_service(routes.map_request(tidied))
}

/// `//api/v1/webhooks/alertmanager/` is meant as it reads: settings join addresses with a slash too many, proxies add one at the end,
/// and an alert is not to be lost over it. Elsewhere an empty name in an address is a name that somebody forgot to fill in.
fn tidied(mut request: Request) -> Request {
    let names: Vec<&str> = request.uri().path().split('/').filter(|name| !name.is_empty()).collect();
    let path = format!("/{}", names.join("/"));
    if path != request.uri().path() && (path == "/" || path.starts_with("/api/v1/webhooks/")) {
        let query = request.uri().query().map(|query| format!("?{query}")).unwrap_or_default();
        let mut parts = request.uri().clone().into_parts();
        parts.path_and_query = format!("{path}{query}").parse().ok();
        *request.uri_mut() = Uri::from_parts(parts).unwrap_or_default();
    }
    request
}

fn webhooks() -> Router<WebState> {
    // The root is shared with the pages, and so is what it says to other methods.
    let root = Router::new().route("/", post(webhook::receive));
    Router::new()
        .route("/api/v1/webhooks/alertmanager", post(webhook::receive))
        .route("/api/v1/webhooks/alertmanager/{source}", post(webhook::receive_from))
        .method_not_allowed_fallback(wrong_method)
        .merge(root)
}

fn api() -> Router<WebState> {
    Router::new()
        .route("/api/v1/deliveries/{id}", get(deliveries::one))
        .route("/api/v1/incidents", get(incidents::list))
        .route("/api/v1/incidents/{id}", get(incidents::one))
        .route("/api/v1/incidents/{id}/timeline", get(incidents::timeline))
        .route("/api/v1/incidents/{id}/alerts", get(incidents::alerts))
        .route("/api/v1/incidents/{id}/runs", get(incidents::runs).post(acts::start_run))
        .route("/api/v1/incidents/{id}/acknowledge", post(acts::acknowledge))
        .route("/api/v1/incidents/{id}/unacknowledge", post(acts::unacknowledge))
        .route("/api/v1/incidents/{id}/resolve", post(acts::resolve))
        .route("/api/v1/incidents/{id}/reopen", post(acts::reopen))
        .route("/api/v1/incidents/{id}/snooze", post(acts::snooze))
        .route("/api/v1/incidents/{id}/priority", post(acts::priority))
        .route("/api/v1/incidents/{id}/comment", post(acts::comment))
        .route("/api/v1/incidents/{id}/assign", post(acts::assign))
        .route("/api/v1/incidents/{id}/escalate", post(acts::escalate))
        .route("/api/v1/runs/{id}", get(runs::one))
        .route("/api/v1/runs/{id}/cancel", post(runs::cancel))
        .route("/api/v1/runs/{id}/steps/{step}", get(runs::step))
        .route("/api/v1/runs/{id}/steps/{step}/skip", post(runs::skip))
        .route("/api/v1/runs/{id}/steps/{step}/retry", post(runs::retry))
        .route("/api/v1/runs/{id}/steps/{step}/undo", post(runs::undo))
        .route("/api/v1/runs/{id}/steps/{step}/settle", post(runs::settle))
        .route("/api/v1/runs/{id}/steps/{step}/approve", post(runs::approve))
        .route("/api/v1/runs/{id}/steps/{step}/reject", post(runs::reject))
        .route("/api/v1/playbooks", get(playbooks::list))
        .route("/api/v1/playbooks/{slug}", get(playbooks::one).put(revisions::put).layer(DefaultBodyLimit::max(MAX_TEXT)))
        .route("/api/v1/playbooks/{slug}/revisions", get(revisions::list))
        .route("/api/v1/playbooks/{slug}/revisions/{revision}", get(revisions::one))
        .route("/api/v1/playbooks/{slug}/revisions/{revision}/diff", get(revisions::changes))
        .route("/api/v1/playbooks/{slug}/revisions/{revision}/restore", post(revisions::restore))
        .route("/api/v1/playbooks/{slug}/rearm", post(playbooks::rearm))
        .route("/api/v1/playbooks/{slug}/check", post(playbooks::check))
        .route("/api/v1/playbooks/{slug}/simulate", post(playbooks::simulate))
        .route("/api/v1/automation", get(automation::show))
        .route("/api/v1/automation/shadow", get(automation::shadow))
        .route("/api/v1/automation/hold", post(automation::hold))
        .route("/api/v1/automation/release", post(automation::release))
        .route("/api/v1/nodes", get(nodes::list))
        .route("/api/v1/nodes/{name}/activate", post(nodes::activate))
        .route("/api/v1/on-call", get(on_call::on_call))
        .route("/api/openapi.json", get(openapi::openapi))
        .route("/health", get(health::health))
        .route("/ready", get(health::ready))
        .route("/active", get(health::active))
        .route("/startup", get(health::startup))
        .route("/metrics", get(metrics::metrics))
        .route("/api/{*rest}", any(unknown))
        .method_not_allowed_fallback(wrong_method)
}

async fn unknown() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "there is nothing at this address; /api/openapi.json lists what there is")
}

async fn wrong_method(method: Method) -> Problem {
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, format!("this address does not answer {method}; the header Allow says what it answers"))
}

fn foreign(_: ProtectionError) -> Response<Body> {
    Problem::new(StatusCode::FORBIDDEN, "a page of another site may not do this").into_response()
}

fn panicked(cause: Box<dyn Any + Send + 'static>) -> Response<Body> {
    let words = cause.downcast_ref::<String>().map(String::as_str).or_else(|| cause.downcast_ref::<&str>().copied());
    Problem::fault(format!("panic: {}", words.unwrap_or("without words"))).into_response()
}

/// Whoever asks for another name was sent here by somebody who made that name mean this machine. A sender with a token has shown
/// who it is, by whichever name it knows us.
async fn by_its_name(State(web): State<WebState>, request: Request, next: Next) -> Response {
    let shown_by_token = request.uri().path() == "/" || request.uri().path().starts_with("/api/v1/webhooks/");
    let is_sender = shown_by_token && request.method() == Method::POST && !web.sources.now().is_empty();
    match web.hosts.admit(&request) {
        Err(foreign) if !is_sender => foreign.into_response(),
        _ => next.run(request).await,
    }
}

async fn in_time(request: Request, next: Next) -> Response {
    match tokio::time::timeout(TIME_LIMIT, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Problem::unavailable("the answer took too long").into_response(),
    }
}

/// Measures every answer under the route that gave it, so that addresses do not become labels, and guards it.
async fn observed(State(web): State<WebState>, request: Request, next: Next) -> Response {
    let began = Instant::now();
    let is_api = request.uri().path().starts_with("/api/");
    let route = request.extensions().get::<MatchedPath>().cloned();
    let method = request.method().clone();
    let mut response = next.run(request).await;
    let route = route.as_ref().map_or("none", MatchedPath::as_str);
    web.metrics.request(route, method_word(&method), response.status().as_u16(), began.elapsed());
    guard(response.headers_mut(), is_api);
    response
}

fn method_word(method: &Method) -> &str {
    let known = [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::DELETE, Method::OPTIONS, Method::PATCH];
    if known.contains(method) { method.as_str() } else { "other" }
}

/// Headers that keep a browser from doing more with an answer than it should.
fn guard(headers: &mut HeaderMap, is_api: bool) {
    for (name, value) in GUARDS {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    if is_api {
        headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    }
}

const GUARDS: [(HeaderName, &str); 6] = [
    (CONTENT_SECURITY_POLICY, crate::web::assets::CONTENT_SECURITY_POLICY),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (X_FRAME_OPTIONS, "DENY"),
    (REFERRER_POLICY, "same-origin"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];
