//! What a page may weigh, measured as it travels: compressed, by the real router. A page that grows heavy fails here.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::ConnectInfo;
use axum::http::{Request, header};
use reynard::domain::incident::Incident;
use reynard::engine::clock::HandClock;
use reynard::engine::metrics::Metrics;
use reynard::engine::runtime::Runtime;
use reynard::web::assets::href;
use reynard::web::pages::router::routes;
use reynard::web::router::router;
use reynard::web::state::WebState;
use tower::ServiceExt;

use crate::samples::{self, Fake, NOW};

fn app(fake: Fake) -> Router {
    let runtime = Runtime::reading(Arc::new(fake), Arc::new(HandClock::at(NOW)), samples::rulebook());
    router(WebState::new(runtime, Vec::new(), Arc::new(Metrics::new()), Default::default()), routes())
}

/// An answer's bytes as they travel, or as they are read.
async fn bytes(app: &Router, path: &str, packed: bool) -> Vec<u8> {
    let peer: SocketAddr = "127.0.0.1:9".parse().expect("an address");
    let mut request = Request::builder().uri(path).header(header::HOST, "reynard.test").extension(ConnectInfo(peer));
    if packed {
        request = request.header(header::ACCEPT_ENCODING, "gzip");
    }
    let answer = app.clone().oneshot(request.body(Body::empty()).expect("a request")).await.expect("routers do not fail");
    assert_eq!((answer.status().as_u16(), answer.headers().contains_key(header::CONTENT_ENCODING)), (200, packed), "{path}");
    to_bytes(answer.into_body(), usize::MAX).await.expect("it is in memory").to_vec()
}

#[tokio::test]
async fn a_cold_visit_is_light() {
    let app = app(samples::fake());
    for path in [
        "/incidents",
        "/incidents?status=all",
        "/incidents/412",
        "/incidents/412?view=gantt",
        "/incidents/405",
        "/incidents/411",
        "/nodes",
        "/sign-in",
    ] {
        let html = bytes(&app, path, true).await.len();
        assert!(html <= 14 * 1024, "{path}: {html} bytes of HTML");
        let mut all = html;
        for (name, most, most_raw) in
            [("reynard.css", 6 * 1024, 19 * 1024), ("live.js", 3 * 1024, 7 * 1024 + 512), ("sprite.svg", 2 * 1024, 5 * 1024)]
        {
            let (packed, raw) = (bytes(&app, &href(name), true).await.len(), bytes(&app, &href(name), false).await.len());
            assert!(packed <= most && raw <= most_raw, "{name}: {packed} bytes packed, {raw} as written");
            all += packed;
        }
        assert!(all <= 40 * 1024, "{path}: {all} bytes for a first visit");
    }
}

/// The burning incident with a log as long as asked for.
fn with_a_log_of(entries: u64) -> Fake {
    let mut fake = samples::fake();
    let sample = &mut fake.samples[0];
    let (first, mut last) = (sample.entries.clone(), sample.entries[7].clone());
    sample.entries.truncate(usize::try_from(entries).unwrap_or(usize::MAX));
    for seq in first.len() as u64 + 1..=entries {
        last.seq = seq;
        sample.entries.push(last.clone());
    }
    let mut incident = Incident::blank(sample.incident.id);
    first.iter().for_each(|entry| incident.apply(entry));
    incident.seq = entries;
    sample.incident = incident;
    fake
}

#[tokio::test]
async fn a_log_of_a_hundred_thousand_entries_costs_what_a_page_of_it_costs() {
    let (short, long) = (app(with_a_log_of(200)), app(with_a_log_of(100_000)));
    for path in ["/incidents/412", "/incidents/412?view=gantt", "/incidents/412?show=machine", "/incidents/412?entry=55000", "/incidents"] {
        let (few, many) = (bytes(&short, path, false).await.len(), bytes(&long, path, false).await);
        assert!(many.len() < few + few / 2 + 4_000, "{path}: {few} bytes with 200 entries, {} with 100,000", many.len());
        let rows = String::from_utf8_lossy(&many).matches("class=\"en ").count();
        assert!(rows <= 200, "{path}: {rows} rows");
    }
    let linked = String::from_utf8_lossy(&bytes(&long, "/incidents/412?entry=55000", false).await).into_owned();
    assert!(linked.contains("id=\"e55000\"") && linked.contains("Newest"), "a link to one entry brings the page that it stands on");
    let told = String::from_utf8_lossy(&bytes(&long, "/incidents/412.md", false).await).into_owned();
    assert!(told.ends_with("98000 later entries are not written here\n"), "the Markdown of a long log ends somewhere, and says so");
}
