//! `/me`: where a person is signed in, with a way to end it; and how bright the page shall be. Where nobody signs in, a visitor says who
//! they are. Reads, asks, shows.

use axum::extract::{Form, State};
use axum::http::header::SET_COOKIE;
use axum::response::{AppendHeaders, IntoResponse, Redirect, Response};
use serde::Deserialize;

use crate::domain::settings::Rulebook;
use crate::domain::time::Timestamp;
use crate::engine::sessions::Session;
use crate::engine::store::{Reads, StoreError};
use crate::web::pages::fault::Fault;
use crate::web::pages::render::page;
use crate::web::pages::view::me::{MeView, me_view};
use crate::web::pages::view::shell::{Page, Place, shell};
use crate::web::pages::view::times::Lens;
use crate::web::pages::visitor::{Notice, Visitor, local, remember_name, remember_theme};
use crate::web::sign_in::sessions::{holds, kept};
use crate::web::state::WebState;

const SIGN_IN: &str = "/sign-in?back=/me";

#[derive(Debug, Deserialize)]
pub struct Wish {
    name: Option<String>,
    theme: Option<String>,
    back: Option<String>,
}

pub async fn remember(Form(wish): Form<Wish>) -> Response {
    let cookies = wish.name.as_deref().map(remember_name).into_iter().chain(wish.theme.as_deref().map(remember_theme));
    let cookies: Vec<_> = cookies.map(|cookie| (SET_COOKIE, cookie)).collect();
    (AppendHeaders(cookies), Redirect::to(local(wish.back.as_deref()))).into_response()
}

pub async fn show(State(web): State<WebState>, visitor: Visitor) -> Result<Response, Fault> {
    let Some(session) = visitor.caller.session().cloned() else { return Ok(Redirect::to(SIGN_IN).into_response()) };
    let sessions = live(&web, &session.person).await?;
    let shown = look(&*web.runtime.reads, &web.runtime.rulebook(), (&session, &sessions), &visitor, web.runtime.clock.now()).await?;
    Ok(page("me", &shown))
}

/// The page's content, for anybody who can read.
pub async fn look(
    reads: &dyn Reads,
    rulebook: &Rulebook,
    (this, sessions): (&Session, &[Session]),
    visitor: &Visitor,
    now: Timestamp,
) -> Result<Page<MeView>, Fault> {
    let lens = Lens { now, zone: visitor.zone };
    let place = Place { title: this.person.clone(), place: "me", scope: String::new() };
    Ok(Page { shell: shell(place, visitor, &reads.totals().await?, rulebook, lens), view: me_view(this, sessions, rulebook, lens) })
}

#[derive(Debug, Deserialize)]
pub struct Ending {
    /// One session by its digest; left out: all others.
    session: Option<String>,
}

pub async fn end(State(web): State<WebState>, visitor: Visitor, Form(ending): Form<Ending>) -> Result<Response, Fault> {
    let Some(this) = visitor.caller.session() else { return Ok(Redirect::to(SIGN_IN).into_response()) };
    let mut ended = 0;
    for session in live(&web, &this.person).await? {
        let wanted = ending.session.as_ref().map_or(session.digest != this.digest, |digest| *digest == session.digest);
        if wanted && kept(&web)?.end(&this.person, &session.digest).await? {
            ended += 1;
        }
    }
    tracing::info!(person = this.person, ended, "Sessions were ended by hand");
    let notice = Notice::done(if ended == 1 { "One session was ended.".to_owned() } else { format!("{ended} sessions were ended.") }, None);
    Ok(([(SET_COOKIE, notice.cookie())], Redirect::to("/me")).into_response())
}

/// Those that still hold.
async fn live(web: &WebState, person: &str) -> Result<Vec<Session>, StoreError> {
    let (settings, now) = (web.sign_in.now(), web.runtime.clock.now());
    let mut sessions = kept(web)?.sessions_of(person).await?;
    sessions.retain(|session| holds(session, &settings, now));
    Ok(sessions)
}
