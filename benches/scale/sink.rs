//! A pager's other end: it remembers when each page came.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::routing::post;

type Pages = Arc<Mutex<Vec<Instant>>>;

pub struct Sink {
    pub url: String,
    pages: Pages,
}

impl Sink {
    pub async fn start() -> Result<Self> {
        let pages = Pages::default();
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await?;
        let url = format!("http://{}/page", listener.local_addr()?);
        let router = Router::new().route("/page", post(remember)).with_state(pages.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(Self { url, pages })
    }

    pub fn clear(&self) {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    pub fn count(&self) -> usize {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    pub async fn first_page(&self, within: Duration) -> Result<Instant> {
        let began = Instant::now();
        while began.elapsed() < within {
            if let Some(first) = self.pages.lock().unwrap_or_else(PoisonError::into_inner).first() {
                return Ok(*first);
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        bail!("no page within {within:?}")
    }
}

async fn remember(State(pages): State<Pages>, _body: Bytes) {
    pages.lock().unwrap_or_else(PoisonError::into_inner).push(Instant::now());
}
