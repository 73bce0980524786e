//! `GET /playbooks`: what may act, and the files that are broken. Reads, asks, shows.

use axum::extract::State;
use axum::response::Response;

use crate::domain::settings::Rulebook;
use crate::domain::time::Timestamp;
use crate::engine::store::Reads;
use crate::web::pages::fault::Fault;
use crate::web::pages::render::page;
use crate::web::pages::view::playbooks::{PlaybooksView, playbooks_view};
use crate::web::pages::view::shell::{Page, Place, shell};
use crate::web::pages::view::times::Lens;
use crate::web::pages::visitor::Visitor;
use crate::web::state::WebState;

pub async fn list(State(web): State<WebState>, visitor: Visitor) -> Result<Response, Fault> {
    let shown = look(&*web.runtime.reads, &web.runtime.rulebook(), &visitor, web.runtime.clock.now()).await?;
    Ok(page("playbooks", &shown))
}

/// The page's content, for anybody who can read.
pub async fn look(reads: &dyn Reads, rulebook: &Rulebook, visitor: &Visitor, now: Timestamp) -> Result<Page<PlaybooksView>, Fault> {
    let lens = Lens { now, zone: visitor.zone };
    let place = Place { title: "Playbooks".to_owned(), place: "playbooks", scope: String::new() };
    Ok(Page {
        shell: shell(place, visitor, &reads.totals().await?, rulebook, lens),
        view: playbooks_view(rulebook, (&reads.records().await?, &reads.breakers().await?), lens),
    })
}
