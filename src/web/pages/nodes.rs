//! `/nodes`: who shares the database, who is active, and how late the work is; and giving the work to another of them. Reads, asks,
//! shows.

use axum::extract::{Form, State};
use axum::http::header::SET_COOKIE;
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;

use crate::domain::settings::Rulebook;
use crate::domain::time::Timestamp;
use crate::engine::store::Reads;
use crate::web::pages::fault::Fault;
use crate::web::pages::render::page;
use crate::web::pages::view::nodes::{NodesView, nodes_view};
use crate::web::pages::view::shell::{Page, Place, shell};
use crate::web::pages::view::times::Lens;
use crate::web::pages::visitor::{Notice, Visitor};
use crate::web::state::WebState;

pub async fn list(State(web): State<WebState>, visitor: Visitor) -> Result<Response, Fault> {
    let runtime = &web.runtime;
    let shown = look(&*runtime.reads, &runtime.rulebook(), &runtime.node, &visitor, runtime.clock.now()).await?;
    Ok(page("nodes", &shown))
}

/// The page's content, for anybody who can read; `this` is the node that is asked.
pub async fn look(reads: &dyn Reads, rulebook: &Rulebook, this: &str, visitor: &Visitor, now: Timestamp) -> Result<Page<NodesView>, Fault> {
    let lens = Lens { now, zone: visitor.zone };
    let overview = reads.overview(now).await?;
    let place = Place { title: "Nodes".to_owned(), place: "nodes", scope: String::new() };
    Ok(Page { shell: shell(place, visitor, &reads.totals().await?, rulebook, lens), view: nodes_view(&overview, this, lens) })
}

#[derive(Clone, Default, Deserialize)]
pub struct Fields {
    node: String,
    by: Option<String>,
}

pub async fn activate(State(web): State<WebState>, visitor: Visitor, Form(fields): Form<Fields>) -> Response {
    let by = visitor.named(fields.by.as_deref());
    let notice = match web.runtime.hand_over(&fields.node, by.name()).await {
        Ok(()) => Notice::done(format!("{} is to be active: what runs may end first, for 20 s at most.", fields.node), None),
        Err(no) => Notice::refused(format!("Nothing was changed: {no}.")),
    };
    ([(SET_COOKIE, notice.cookie())], Redirect::to("/nodes")).into_response()
}
