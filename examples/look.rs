//! A fake for looking at pages: made-up incidents, drawn by the real templates, served without an engine.
//! `cargo run --example look`, then open http://127.0.0.1:5099/incidents (`?theme=dark`, `/empty`, `/new`).

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use futures_util::StreamExt;
use futures_util::stream;
use reynard::domain::settings::Rulebook;
use reynard::domain::timeline::Entry;
use reynard::engine::store::{Reads, Totals};
use reynard::web::assets;
use reynard::web::pages::fault::Fault;
use reynard::web::pages::render::page;
use reynard::web::pages::view::list::{Filter, SeenList, list_view};
use reynard::web::pages::view::shell::{Page, Place, shell};
use reynard::web::pages::view::times::Lens;
use reynard::web::pages::visitor::Visitor;
use reynard::web::pages::{incident, incidents, nodes, playbooks};
use serde::Deserialize;
use tokio::sync::{RwLock, broadcast};
use tower_http::set_header::SetResponseHeaderLayer;

use crate::samples::{Fake, NOW};

#[path = "../tests/pages/samples.rs"]
mod samples;

#[derive(Clone)]
struct House {
    fake: Arc<RwLock<Fake>>,
    changed: broadcast::Sender<String>,
    rulebook: Arc<Rulebook>,
}

#[derive(Deserialize)]
struct Look {
    theme: Option<String>,
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let mut fake = samples::fake();
    fake.samples.push(samples::hostile());
    fake.samples.push(samples::every_kind());
    let house = House { fake: Arc::new(RwLock::new(fake)), changed: broadcast::channel(16).0, rulebook: Arc::new(samples::rulebook()) };
    let policy = HeaderValue::from_static(assets::CONTENT_SECURITY_POLICY);
    let app = Router::new()
        .route("/", get(list))
        .route("/incidents", get(list))
        .route("/incidents/{id}", get(one))
        .route("/incidents/{id}/acknowledge", post(acknowledge))
        .route("/playbooks", get(books))
        .route("/nodes", get(peers))
        .route("/empty", get(empty))
        .route("/new", get(never))
        .route("/api/v1/stream", get(changes))
        .route("/assets/{name}", get(assets::serve))
        .layer(SetResponseHeaderLayer::overriding(header::CONTENT_SECURITY_POLICY, policy))
        .with_state(house);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:5099").await?;
    println!("http://{}/incidents", listener.local_addr()?);
    axum::serve(listener, app).await
}

async fn list(
    State(house): State<House>,
    Query(filter): Query<Filter>,
    Query(look): Query<Look>,
    headers: HeaderMap,
) -> Result<Response, Fault> {
    let shown = incidents::look(&*house.fake.read().await, &house.rulebook, &filter, &visitor(&headers, &look), NOW).await?;
    Ok(page("incidents", &shown))
}

async fn one(
    State(house): State<House>,
    Path(id): Path<String>,
    Query(asked): Query<incident::Asked>,
    Query(look): Query<Look>,
    headers: HeaderMap,
) -> Result<Response, Fault> {
    if let Some(number) = id.strip_suffix(".md") {
        return Ok(incident::markdown(&*house.fake.read().await, number).await?.into_response());
    }
    let shown = incident::look(&*house.fake.read().await, &house.rulebook, (&id, &asked), &visitor(&headers, &look), NOW).await?;
    Ok(page("incident", &shown))
}

async fn books(State(house): State<House>, Query(look): Query<Look>, headers: HeaderMap) -> Result<Response, Fault> {
    let shown = playbooks::look(&*house.fake.read().await, &house.rulebook, &visitor(&headers, &look), NOW).await?;
    Ok(page("playbooks", &shown))
}

async fn peers(State(house): State<House>, Query(look): Query<Look>, headers: HeaderMap) -> Result<Response, Fault> {
    let shown = nodes::look(&*house.fake.read().await, &house.rulebook, "db1:5001", &visitor(&headers, &look), NOW).await?;
    Ok(page("nodes", &shown))
}

/// The one thing that can be done here, to see pages change.
async fn acknowledge(State(house): State<House>, Path(number): Path<u64>, headers: HeaderMap) -> Redirect {
    let visitor = Visitor::read(&headers, String::new());
    for sample in house.fake.write().await.samples.iter_mut().filter(|sample| sample.incident.number == number) {
        let event = reynard::domain::timeline::Event::Acknowledged { note: String::new() };
        let entry = Entry { seq: sample.incident.seq + 1, at: NOW, actor: visitor.actor(), event };
        sample.incident.apply(&entry);
        sample.entries.push(entry);
        let _ = house.changed.send(format!("{{\"incident\":\"{}\"}}", sample.incident.id));
    }
    Redirect::to(&format!("/incidents/{number}"))
}

/// What changed, and a ping now and then.
async fn changes(State(house): State<House>) -> impl IntoResponse {
    let first = stream::once(async { Event::default().event("ping").data("1") });
    let later = stream::unfold(house.changed.subscribe(), |mut heard| async move {
        let event = tokio::select! {
            Ok(change) = heard.recv() => Event::default().event("change").data(change),
            () = tokio::time::sleep(Duration::from_secs(15)) => Event::default().event("ping").data("1"),
        };
        Some((event, heard))
    });
    Sse::new(first.chain(later).map(Ok::<_, Infallible>))
}

async fn empty(State(house): State<House>, Query(look): Query<Look>, headers: HeaderMap) -> Result<Response, Fault> {
    let totals = Fake::default().totals().await?;
    Ok(nothing(&house, &totals, &visitor(&headers, &look)))
}

async fn never(State(house): State<House>, Query(look): Query<Look>, headers: HeaderMap) -> Response {
    nothing(&house, &Totals::default(), &visitor(&headers, &look))
}

fn nothing(house: &House, totals: &Totals, visitor: &Visitor) -> Response {
    let lens = Lens { now: NOW, zone: visitor.zone };
    let filter = Filter::default();
    let seen = SeenList { incidents: &[], first: &[], kin: &[], open: &[], totals, rulebook: &house.rulebook, filter: &filter, lens };
    let place = Place { title: "All quiet".to_owned(), place: "incidents", scope: String::new() };
    page("incidents", &Page { shell: shell(place, visitor, totals, &house.rulebook, lens), view: list_view(&seen) }).into_response()
}

fn visitor(headers: &HeaderMap, look: &Look) -> Visitor {
    let mut visitor = Visitor::read(headers, "/incidents".to_owned());
    match look.theme.as_deref() {
        Some("dark") => visitor.theme = "dark",
        Some("light") => visitor.theme = "light",
        _ => {}
    }
    if visitor.zone == chrono_tz::UTC {
        visitor.zone = chrono_tz::Europe::Berlin;
    }
    visitor
}
