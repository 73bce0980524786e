//! `GET /playbooks`: what may act, and the files that are broken. Reads, asks, shows.

use axum::extract::{Query, State};
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;

use crate::domain::settings::Rulebook;
use crate::domain::time::Timestamp;
use crate::engine::store::Reads;
use crate::web::pages::fault::Fault;
use crate::web::pages::render::page;
use crate::web::pages::view::playbooks::{PlaybooksView, playbooks_view};
use crate::web::pages::view::shell::{Page, Place, shell};
use crate::web::pages::view::times::Lens;
use crate::web::pages::visitor::{Visitor, encode};
use crate::web::state::WebState;

/// The address, after the question mark.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Asked {
    /// The incident that one of them is to be started on.
    r#for: Option<u64>,
    /// The name of a playbook to write.
    new: Option<String>,
}

pub async fn list(State(web): State<WebState>, Query(asked): Query<Asked>, visitor: Visitor) -> Result<Response, Fault> {
    if let Some(slug) = asked.new {
        return Ok(Redirect::to(&format!("/playbooks/{}/edit", encode(slug.trim()).replace('/', "%2F"))).into_response());
    }
    let from = (asked.r#for, web.library.get().is_some());
    let shown = look(&*web.runtime.reads, &web.runtime.rulebook(), from, &visitor, web.runtime.clock.now()).await?;
    Ok(page("playbooks", &shown))
}

/// The page's content, for anybody who can read: what is started on which incident, and whether files can be edited.
pub async fn look(
    reads: &dyn Reads,
    rulebook: &Rulebook,
    (start_on, editable): (Option<u64>, bool),
    visitor: &Visitor,
    now: Timestamp,
) -> Result<Page<PlaybooksView>, Fault> {
    let lens = Lens { now, zone: visitor.zone };
    let place = Place { title: "Playbooks".to_owned(), place: "playbooks", scope: String::new() };
    let view = playbooks_view(rulebook, (&reads.records().await?, &reads.breakers().await?), (start_on, editable), lens);
    Ok(Page { shell: shell(place, visitor, &reads.totals().await?, rulebook, lens), view })
}
