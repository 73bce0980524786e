//! A webhook's receiver that keeps what it was sent: stands where Reynard will stand.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use axum::extract::State;
use axum::{Json, Router};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

type Bodies = Arc<Mutex<Vec<Value>>>;

pub struct Recorder {
    pub address: SocketAddr,
    bodies: Bodies,
    serving: JoinHandle<()>,
}

impl Recorder {
    pub async fn start() -> Result<Recorder> {
        let bodies = Bodies::default();
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let router = Router::new().fallback(record).with_state(Arc::clone(&bodies));
        let serving = tokio::spawn(async move {
            let _ = axum::serve(listener, router).await;
        });
        Ok(Recorder { address, bodies, serving })
    }

    pub fn bodies(&self) -> Vec<Value> {
        self.bodies.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn record(State(bodies): State<Bodies>, Json(body): Json<Value>) {
    bodies.lock().unwrap_or_else(PoisonError::into_inner).push(body);
}
