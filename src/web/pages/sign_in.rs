//! `/sign-in` and `/sign-out`. A form that came from a browser whose session was over waits on the page meanwhile, and is sent by one
//! more press. Knows no act.

use axum::extract::{Form, Query, State};
use axum::http::header::{RETRY_AFTER, SET_COOKIE, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{AppendHeaders, IntoResponse, Redirect, Response};
use serde::Deserialize;

use crate::web::pages::render::bare;
use crate::web::pages::view::sign_in::{Frame, Kept, ResumeView, SignInView};
use crate::web::pages::visitor::{Visitor, local};
use crate::web::sign_in::browser::Browser;
use crate::web::sign_in::sessions::{NotIn, enter, kept};
use crate::web::state::WebState;

/// What the name of a field begins with that is kept for later.
const KEPT: &str = "kept.";
/// What is typed anew rather than kept.
const NOT_KEPT: [&str; 2] = ["password", "token"];

#[derive(Clone, Debug, Default, Deserialize)]
pub struct Asked {
    back: Option<String>,
}

pub async fn form(State(web): State<WebState>, Query(asked): Query<Asked>, visitor: Visitor) -> Response {
    let view = SignInView { back: local(asked.back.as_deref()).to_owned(), ..blank(&web, &visitor) };
    bare("sign_in", &view)
}

/// In the place of an answer: sign in first. What was sent is kept in the page.
pub fn asked_first(web: &WebState, headers: &HeaderMap, path: &str, fields: Vec<(String, String)>) -> Response {
    let visitor = Visitor::read(headers, path.to_owned());
    let kept = fields.into_iter().filter(|(name, _)| !NOT_KEPT.contains(&name.as_str()));
    let view = SignInView {
        why: Some("Sign in first. What you typed is kept."),
        then: local(Some(path)).to_owned(),
        kept: kept.map(|(name, value)| Kept { name: format!("{KEPT}{name}"), value }).collect(),
        ..blank(web, &visitor)
    };
    (StatusCode::UNAUTHORIZED, [(WWW_AUTHENTICATE, "Bearer")], bare("sign_in", &view)).into_response()
}

pub async fn sign_in(
    State(web): State<WebState>,
    visitor: Visitor,
    browser: Browser,
    Form(fields): Form<Vec<(String, String)>>,
) -> Response {
    let field = |wanted: &str| fields.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str()).unwrap_or_default();
    let (name, then) = (field("name"), field("then"));
    let held: Vec<Kept> = fields.iter().filter_map(kept_field).collect();
    match enter(&web, name, field("password"), &browser).await {
        Ok((_, cookie)) if then.is_empty() => {
            (AppendHeaders([(SET_COOKIE, cookie)]), Redirect::to(local(Some(field("back"))))).into_response()
        }
        Ok((person, cookie)) => {
            let view = ResumeView::new(frame(&visitor), person, local(Some(then)), held);
            (AppendHeaders([(SET_COOKIE, cookie)]), bare("resume", &view)).into_response()
        }
        Err(why) => {
            let view = SignInView {
                fault: Some(why.words()),
                name: name.chars().take(64).collect(),
                back: local(Some(field("back"))).to_owned(),
                then: if then.is_empty() { String::new() } else { local(Some(then)).to_owned() },
                kept: held.into_iter().map(|Kept { name, value }| Kept { name: format!("{KEPT}{name}"), value }).collect(),
                ..blank(&web, &visitor)
            };
            let page = bare("sign_in", &view);
            match why {
                NotIn::Wrong => (StatusCode::UNAUTHORIZED, [(WWW_AUTHENTICATE, "Bearer")], page).into_response(),
                NotIn::Wait(span) => {
                    let seconds = span.as_millis().div_ceil(1_000).to_string();
                    (StatusCode::TOO_MANY_REQUESTS, [(RETRY_AFTER, seconds)], page).into_response()
                }
                NotIn::Busy | NotIn::Store(_) => (StatusCode::SERVICE_UNAVAILABLE, page).into_response(),
            }
        }
    }
}

/// The session ends, here and in the database; a database that does not answer keeps nobody from leaving.
pub async fn sign_out(State(web): State<WebState>, visitor: Visitor, browser: Browser) -> Response {
    if let (Some(session), Ok(sessions)) = (visitor.caller.session(), kept(&web)) {
        match sessions.end(&session.person, &session.digest).await {
            Ok(_) => tracing::info!(person = session.person, "Signed out"),
            Err(error) => tracing::warn!(%error, person = session.person, "A session could not be ended; its cookie is gone all the same"),
        }
    }
    (AppendHeaders([(SET_COOKIE, browser.forgets())]), Redirect::to("/")).into_response()
}

fn kept_field((name, value): &(String, String)) -> Option<Kept> {
    Some(Kept { name: name.strip_prefix(KEPT)?.to_owned(), value: value.clone() })
}

fn blank(web: &WebState, visitor: &Visitor) -> SignInView {
    SignInView { frame: frame(visitor), offered: web.sign_in.now().is_offered(), back: "/".to_owned(), ..SignInView::default() }
}

fn frame(visitor: &Visitor) -> Frame {
    Frame::new(visitor.theme)
}
