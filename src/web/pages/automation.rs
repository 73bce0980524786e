//! `/automation`: the red switch. Looking is the first step, sending the form the second. Reads, asks, shows.

use axum::extract::{Form, State};
use axum::http::header::SET_COOKIE;
use axum::response::{AppendHeaders, IntoResponse, Redirect, Response};
use serde::Deserialize;

use crate::domain::hold::Holds;
use crate::domain::settings::Rulebook;
use crate::domain::time::Timestamp;
use crate::engine::error::EngineError;
use crate::engine::store::{IncidentQuery, Reads};
use crate::web::api::automation::{LONGEST_REASON, SHADOW_WINDOW, woulds_since};
use crate::web::pages::fault::Fault;
use crate::web::pages::render::page;
use crate::web::pages::view::automation::{AutomationView, Seen, ShadowView, Shows, automation_view, shadow_view};
use crate::web::pages::view::shell::{Page, Place, shell};
use crate::web::pages::view::times::Lens;
use crate::web::pages::visitor::{Notice, Visitor};
use crate::web::releasing::Origin;
use crate::web::sign_in::browser::Browser;
use crate::web::sign_in::sessions::enter;
use crate::web::state::WebState;

const HERE: &str = "/automation";
/// Open incidents that are looked through for steps that wait.
const LOOKED_THROUGH: u32 = 200;

#[derive(Clone, Default, Deserialize)]
pub struct Fields {
    reason: Option<String>,
    name: Option<String>,
    cancel: Option<String>,
    waiting: Option<String>,
    token: Option<String>,
    /// Once more, where the sign-in is old.
    password: Option<String>,
    sure: Option<String>,
}

/// What a release from there takes.
#[derive(Clone, Copy, Debug)]
pub struct May {
    pub here: bool,
    pub needs_token: bool,
    pub shows: Shows,
}

pub async fn show(State(web): State<WebState>, from: Origin, visitor: Visitor) -> Result<Response, Fault> {
    let now = web.runtime.clock.now();
    let shows = match (visitor.caller.offered, visitor.caller.session()) {
        (false, _) => Shows::Nothing,
        (true, None) => Shows::SignIn,
        (true, Some(session)) if session.is_fresh(now) => Shows::Enough,
        (true, Some(_)) => Shows::Password,
    };
    let may = May { here: from.here, needs_token: web.releasing.needs_token(), shows };
    let shown = look(&*web.runtime.reads, &web.runtime.rulebook(), &visitor, (may, now)).await?;
    Ok(page("automation", &shown))
}

/// The page's content, for anybody who can read.
pub async fn look(
    reads: &dyn Reads,
    rulebook: &Rulebook,
    visitor: &Visitor,
    (may, now): (May, Timestamp),
) -> Result<Page<AutomationView>, Fault> {
    let lens = Lens { now, zone: visitor.zone };
    let totals = reads.totals().await?;
    let open = IncidentQuery { status: Some("open".to_owned()), limit: LOOKED_THROUGH, ..IncidentQuery::default() };
    let open = if totals.holds.are_none() { Vec::new() } else { reads.incidents(&open).await? };
    let seen = Seen { holds: &totals.holds, open: &open, rulebook, needs_token: may.needs_token, here: may.here, shows: may.shows };
    let view = automation_view(&seen, lens);
    let place = Place { title: "Automation".to_owned(), place: "automation", scope: String::new() };
    Ok(Page { shell: shell(place, visitor, &totals, rulebook, lens), view })
}

pub async fn show_shadow(State(web): State<WebState>, visitor: Visitor) -> Result<Response, Fault> {
    let shown = look_at_shadow(&*web.runtime.reads, &web.runtime.rulebook(), &visitor, web.runtime.clock.now()).await?;
    Ok(page("shadow", &shown))
}

/// The report's content, for anybody who can read.
pub async fn look_at_shadow(reads: &dyn Reads, rulebook: &Rulebook, visitor: &Visitor, now: Timestamp) -> Result<Page<ShadowView>, Fault> {
    let lens = Lens { now, zone: visitor.zone };
    let woulds = woulds_since(reads, now - SHADOW_WINDOW).await?;
    let place = Place { title: "Shadow".to_owned(), place: "automation", scope: String::new() };
    Ok(Page { shell: shell(place, visitor, &reads.totals().await?, rulebook, lens), view: shadow_view(&woulds, lens) })
}

pub async fn hold(State(web): State<WebState>, visitor: Visitor, Form(fields): Form<Fields>) -> Response {
    let notice = match fields.reason() {
        Err(no) => Notice::refused(no.to_owned()),
        Ok(reason) => {
            let by = visitor.by(fields.name.as_deref()).unwrap_or_else(|| visitor.name().to_owned());
            let held = web.runtime.hold(&by, reason, fields.cancel.is_some()).await;
            told(held, "Automation is held: nothing that changes things begins.")
        }
    };
    back(&notice)
}

pub async fn release(
    State(web): State<WebState>,
    from: Origin,
    visitor: Visitor,
    browser: Browser,
    Form(fields): Form<Fields>,
) -> Response {
    let wish = || -> Result<(&str, bool), String> {
        let reason = fields.reason()?;
        fields.sure.as_ref().ok_or("Not released: tick that you have looked at what begins.")?;
        Ok((reason, fields.waiting.as_deref() == Some("skip")))
    };
    let admitted = match wish() {
        Ok(wish) => releaser(&web, (&from, &visitor, &browser), &fields).await.map(|by| (by, wish)),
        Err(no) => Err(no),
    };
    match admitted {
        Err(no) => back(&Notice::refused(no)),
        Ok(((by, cookie), (reason, leave_out))) => {
            let notice = told(web.runtime.release(&by, reason, leave_out).await, "Released: automation acts again.");
            let cookie = cookie.map(|cookie| AppendHeaders([(SET_COOKIE, cookie)]));
            (cookie, back(&notice)).into_response()
        }
    }
}

/// Who lets automation loose: a person who signed in lately or does so now, with the cookie of that; where nobody can, whoever shows the
/// token or is at this machine.
async fn releaser(
    web: &WebState,
    (from, visitor, browser): (&Origin, &Visitor, &Browser),
    fields: &Fields,
) -> Result<(String, Option<String>), String> {
    let no = |words: String| format!("Not released: {words}");
    if !visitor.caller.offered {
        web.releasing.admit(from, fields.token.as_deref().map(str::trim)).map_err(|problem| no(problem.detail + "."))?;
        return Ok((visitor.by(fields.name.as_deref()).ok_or_else(|| no("say who you are.".to_owned()))?, None));
    }
    let Some(session) = visitor.caller.session() else { return Err(no("sign in first.".to_owned())) };
    match fields.password.as_deref().filter(|password| !password.is_empty()) {
        _ if session.is_fresh(web.runtime.clock.now()) => Ok((session.person.clone(), None)),
        None => Err(no("you signed in more than 12 hours ago; type your password, too.".to_owned())),
        Some(password) => match enter(web, &session.person, password, browser).await {
            Ok((person, cookie)) => Ok((person, Some(cookie))),
            Err(why) => Err(no(why.words())),
        },
    }
}

fn told(answer: Result<Holds, EngineError>, done: &str) -> Notice {
    match answer {
        Ok(_) => Notice::done(done, None),
        Err(EngineError::Refused(no)) => Notice::refused(format!("Nothing was changed: {no}.")),
        Err(error) => Notice::refused(format!("Not done: {error}. A file named HOLD beside the database holds automation, too.")),
    }
}

fn back(notice: &Notice) -> Response {
    ([(SET_COOKIE, notice.cookie())], Redirect::to(HERE)).into_response()
}

impl Fields {
    fn reason(&self) -> Result<&str, &'static str> {
        match self.reason.as_deref().unwrap_or_default().trim() {
            "" => Err("Nothing was changed: say why, for whoever reads it at night."),
            long if long.len() > LONGEST_REASON => Err("Nothing was changed: that reason is too long."),
            reason => Ok(reason),
        }
    }
}
