//! `GET /` and `GET /incidents`: what burns. Reads, asks, shows.

use std::collections::BTreeSet;

use axum::extract::{Query, State};
use axum::response::Response;

use crate::domain::incident::Incident;
use crate::domain::settings::Rulebook;
use crate::domain::time::Timestamp;
use crate::engine::store::{Family, IncidentQuery, Kin, Reads, StoreError};
use crate::web::pages::fault::Fault;
use crate::web::pages::render::page;
use crate::web::pages::view::list::{Filter, ListView, SeenList, family, list_view};
use crate::web::pages::view::shell::{Page, Place, shell};
use crate::web::pages::view::times::Lens;
use crate::web::pages::visitor::Visitor;
use crate::web::state::WebState;

/// How many earlier incidents of a family are asked for, to draw its last day.
const DAY_OF_TROUBLE: u32 = 24;

pub async fn list(State(web): State<WebState>, Query(filter): Query<Filter>, visitor: Visitor) -> Result<Response, Fault> {
    let rulebook = web.runtime.rulebook();
    let shown = look(&*web.runtime.reads, &rulebook, &filter, &visitor, web.runtime.clock.now()).await?;
    Ok(page("incidents", &shown))
}

/// The page's content, for anybody who can read.
pub async fn look(
    reads: &dyn Reads,
    rulebook: &Rulebook,
    filter: &Filter,
    visitor: &Visitor,
    now: Timestamp,
) -> Result<Page<ListView>, Fault> {
    let lens = Lens { now, zone: visitor.zone };
    let totals = reads.totals().await?;
    let incidents = reads.incidents(&filter.query()).await?;
    let first = match filter.first() {
        Some(query) => reads.incidents(&query).await?,
        None => Vec::new(),
    };
    let kin = kin(reads, first.iter().chain(&incidents)).await?;
    let open = open(reads).await?;
    let seen = SeenList { incidents: &incidents, first: &first, kin: &kin, open: &open, totals: &totals, rulebook, filter, lens };
    let view = list_view(&seen);
    let burning: u64 = totals.open.iter().sum();
    let title = if burning == 0 { "All quiet".to_owned() } else { format!("{burning} open") };
    let place = Place { title, place: "incidents", scope: String::new() };
    Ok(Page { shell: shell(place, visitor, &totals, rulebook, lens), view })
}

/// The last of each family's incidents, enough for a day of trouble.
async fn kin(reads: &dyn Reads, shown: impl Iterator<Item = &Incident>) -> Result<Vec<Kin>, StoreError> {
    let families: BTreeSet<Family> = shown.map(family).collect();
    let families: Vec<Family> = families.into_iter().collect();
    if families.is_empty() { Ok(Vec::new()) } else { reads.kin(&families, DAY_OF_TROUBLE).await }
}

/// Open incidents among which those are that need a person: the worst of any age, and the newest.
async fn open(reads: &dyn Reads) -> Result<Vec<Incident>, StoreError> {
    let worst = IncidentQuery { status: Some("open".to_owned()), priority: Some(1), limit: 20, ..IncidentQuery::default() };
    let newest = IncidentQuery { status: Some("open".to_owned()), limit: 100, ..IncidentQuery::default() };
    let mut open = reads.incidents(&worst).await?;
    for incident in reads.incidents(&newest).await? {
        if !open.iter().any(|known| known.id == incident.id) {
            open.push(incident);
        }
    }
    Ok(open)
}
