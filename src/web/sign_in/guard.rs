//! What stands before every address: finds out who asks, and refuses what they would have to show it for. What is not known to be open
//! is shut. Knows no address's insides.

use std::time::Duration;

use axum::body::to_bytes;
use axum::extract::{Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};

use crate::domain::sign_in::Mode;
use crate::web::pages::sign_in;
use crate::web::pages::visitor::encode;
use crate::web::problem::Problem;
use crate::web::router::MAX_TEXT;
use crate::web::sign_in::browser::Browser;
use crate::web::sign_in::caller::{Caller, Proof};
use crate::web::sign_in::sessions;
use crate::web::state::WebState;
use crate::web::webhook::bearer;

/// How long a form may take to come that is to be kept over a sign-in.
const FORM_WITHIN: Duration = Duration::from_secs(10);
/// Where automation is let loose over the API; whoever shows what that takes shows nothing else.
const RELEASE: &str = "/api/v1/automation/release";

/// Who asks goes with the request; without what it takes, it goes no further.
pub async fn known(State(web): State<WebState>, mut request: Request, next: Next) -> Response {
    let settings = web.sign_in.now();
    if is_machines(request.method(), request.uri().path()) {
        return next.run(request).await;
    }
    if settings.is_unused() {
        request.extensions_mut().insert(Caller::new(&settings, None, web.sign_in.is_exposed()));
        return next.run(request).await;
    }
    let needed = needs(request.method(), request.uri().path(), settings.mode());
    let browser = Browser::read(request.headers(), request.extensions(), &web.runtime.rulebook().public_url);
    let token = bearer(request.headers()).and_then(|shown| token(&web, request.uri().path(), &shown));
    let proof = match sessions::of(&web, &browser).await {
        // A session is a person's, so it goes before a program's token; what is shown for this very act goes before both.
        Ok(session) if !matches!(token, Some(Proof::Release)) => session.map(Proof::Session).or(token),
        _ if token.is_some() => token,
        Err(error) if needed => return Problem::from(error).into_response(),
        _ => None,
    };
    if needed && proof.is_none() {
        return refused(&web, request).await;
    }
    request.extensions_mut().insert(Caller::new(&settings, proof, web.sign_in.is_exposed()));
    next.run(request).await
}

/// What a token shows.
fn token(web: &WebState, path: &str, shown: &str) -> Option<Proof> {
    if path == RELEASE && web.releasing.is_token(shown) {
        return Some(Proof::Release);
    }
    web.sign_in.token(shown).map(|token| Proof::Token(token.name, token.person))
}

/// What programs ask that have rules of their own, and what a page looks like.
fn is_machines(method: &Method, path: &str) -> bool {
    let probes = ["/health", "/ready", "/active", "/startup", "/metrics"];
    let delivers = method == Method::POST && path == "/" || path.starts_with("/api/v1/webhooks/");
    delivers || probes.contains(&path) || path.starts_with("/assets/")
}

/// Whether somebody has to show who they are.
fn needs(method: &Method, path: &str, mode: Mode) -> bool {
    let reads = [Method::GET, Method::HEAD, Method::OPTIONS].contains(method);
    let asks = path.starts_with("/api/v1/playbooks/") && (path.ends_with("/check") || path.ends_with("/simulate"));
    let comes_in = ["/sign-in", "/sign-out", "/me"].contains(&path);
    match mode {
        Mode::Optional => false,
        _ if comes_in || is_machines(method, path) => false,
        Mode::Acts => !reads && !asks,
        Mode::All => true,
    }
}

/// Programs are told what to show. People are asked to sign in; what they had typed is kept meanwhile.
async fn refused(web: &WebState, request: Request) -> Response {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let whole = request.uri().path_and_query().map_or_else(|| path.clone(), ToString::to_string);
    if method != Method::GET && method != Method::HEAD {
        tracing::warn!(%method, path, "Refused: nobody has signed in, and no token was shown");
    }
    if path.starts_with("/api/") {
        return Problem::sign_in(
            "this takes a person who has signed in, or a token of `tokens` in reynard.yaml as \"Authorization: Bearer …\"",
        )
        .into_response();
    }
    if method == Method::GET || method == Method::HEAD {
        return Redirect::to(&format!("/sign-in?back={}", encode(&whole))).into_response();
    }
    let (parts, body) = request.into_parts();
    let kind = parts.headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let is_form = kind.starts_with("application/x-www-form-urlencoded");
    let body = match tokio::time::timeout(FORM_WITHIN, to_bytes(body, MAX_TEXT)).await {
        Ok(Ok(body)) if is_form => body,
        _ => return Problem::new(StatusCode::UNAUTHORIZED, "sign in first").into_response(),
    };
    let fields = url::form_urlencoded::parse(&body).into_owned().collect();
    sign_in::asked_first(web, &parts.headers, &whole, fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_to_be_open_is_shut() {
        let needs = |method: Method, path: &str| [Mode::Optional, Mode::Acts, Mode::All].map(|mode| super::needs(&method, path, mode));
        let (never, acts, all) = ([false, false, false], [false, true, true], [false, false, true]);
        for (method, path, wanted) in [
            (Method::GET, "/incidents", all),
            (Method::HEAD, "/incidents/7", all),
            (Method::GET, "/", all),
            (Method::POST, "/", never),
            (Method::POST, "/api/v1/webhooks/alertmanager/x", never),
            (Method::GET, "/metrics", never),
            (Method::GET, "/ready", never),
            (Method::GET, "/assets/reynard.css", never),
            (Method::GET, "/sign-in", never),
            (Method::POST, "/sign-in", never),
            (Method::POST, "/me", never),
            (Method::POST, "/me/sessions", acts),
            (Method::POST, "/sign-in/x", acts),
            (Method::POST, "/incidents/7/acknowledge", acts),
            (Method::POST, "/automation/release", acts),
            (Method::POST, "/playbooks/x/edit", acts),
            (Method::PUT, "/api/v1/playbooks/x", acts),
            (Method::PATCH, "/api/v1/incidents/7", acts),
            (Method::DELETE, "/assets", acts),
            (Method::POST, "/api/v1/playbooks/x/check", all),
            (Method::POST, "/api/v1/playbooks/x/simulate", all),
            (Method::POST, "/api/v1/runs/x/steps/check", acts),
            (Method::GET, "/api/v1/stream", all),
            (Method::GET, "/api/openapi.json", all),
        ] {
            assert_eq!(needs(method.clone(), path), wanted, "{method} {path}");
        }
    }
}
