//! A target that takes a request and answers it when the story says so; it sees when whoever asked hangs up.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::Result;
use axum::extract::State;
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

pub struct Slow {
    pub address: SocketAddr,
    seen: Arc<Seen>,
    answering: watch::Sender<bool>,
    serving: JoinHandle<()>,
}

#[derive(Default)]
struct Seen {
    asked: AtomicUsize,
    hung_up: AtomicUsize,
}

impl Slow {
    pub async fn start() -> Result<Slow> {
        let (seen, (answering, answers)) = (Arc::new(Seen::default()), watch::channel(false));
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let router = Router::new().fallback(answer).with_state((seen.clone(), answers));
        let serving = tokio::spawn(async move {
            let _ = axum::serve(listener, router).await;
        });
        Ok(Slow { address, seen, answering, serving })
    }

    /// From now on, also to whoever has asked already.
    pub fn answers(&self) {
        self.answering.send_replace(true);
    }

    pub fn asked(&self) -> usize {
        self.seen.asked.load(Ordering::SeqCst)
    }

    /// How many had no patience left.
    pub fn hung_up(&self) -> usize {
        self.seen.hung_up.load(Ordering::SeqCst)
    }
}

impl Drop for Slow {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// Counts, unless the answer went out.
struct Patience(Option<Arc<Seen>>);

impl Drop for Patience {
    fn drop(&mut self) {
        if let Some(seen) = &self.0 {
            seen.hung_up.fetch_add(1, Ordering::SeqCst);
        }
    }
}

async fn answer(State((seen, mut answers)): State<(Arc<Seen>, watch::Receiver<bool>)>) -> Json<Value> {
    seen.asked.fetch_add(1, Ordering::SeqCst);
    let mut patience = Patience(Some(seen));
    let _ = answers.wait_for(|answers| *answers).await;
    patience.0 = None;
    Json(json!({ "restarted": true }))
}
