//! `GET /nodes`: who shares the database, who is active, and how late the work is. Reads, asks, shows.

use axum::extract::State;
use axum::response::Response;

use crate::domain::settings::Rulebook;
use crate::domain::time::Timestamp;
use crate::engine::store::Reads;
use crate::web::pages::fault::Fault;
use crate::web::pages::render::page;
use crate::web::pages::view::nodes::{NodesView, nodes_view};
use crate::web::pages::view::shell::{Page, Place, shell};
use crate::web::pages::view::times::Lens;
use crate::web::pages::visitor::Visitor;
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
