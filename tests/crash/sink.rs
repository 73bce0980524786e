//! A fake of everything that Reynard calls: a target and a webhook channel that write down each request and answer 200.
//! It takes a moment over each answer, so that a kill finds requests under way.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use tokio::net::TcpListener;

const MOMENT: Duration = Duration::from_millis(15);

#[derive(Clone, Default)]
pub struct Sink {
    /// How often each path was asked under each key.
    seen: Arc<Mutex<BTreeMap<(String, String), u32>>>,
}

impl Sink {
    pub async fn start() -> (Sink, String) {
        let sink = Sink::default();
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("it is bound"));
        let router = Router::new().fallback(record).with_state(sink.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        (sink, url)
    }

    /// Keys that came to a path, and how often each.
    pub fn keys(&self, path: &str) -> BTreeMap<String, u32> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.iter().filter(|((asked, _), _)| asked == path).map(|((_, key), times)| (key.clone(), *times)).collect()
    }
}

async fn record(State(sink): State<Sink>, request: Request) -> &'static str {
    let key = request.headers().get("idempotency-key").and_then(|key| key.to_str().ok()).unwrap_or_default().to_owned();
    let asked = (request.uri().path().to_owned(), key);
    *sink.seen.lock().unwrap_or_else(PoisonError::into_inner).entry(asked).or_default() += 1;
    tokio::time::sleep(MOMENT).await;
    "ok"
}
