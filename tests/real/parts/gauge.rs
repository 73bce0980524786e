//! A page of metrics whose numbers the story sets, so that a Prometheus rule fires and resolves when it wants.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use axum::Router;
use axum::extract::State;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

type Values = Arc<Mutex<BTreeMap<String, f64>>>;

pub struct Gauge {
    pub address: SocketAddr,
    values: Values,
    serving: JoinHandle<()>,
}

impl Gauge {
    pub async fn start() -> Result<Gauge> {
        let values = Values::default();
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let router = Router::new().route("/metrics", get(page)).with_state(Arc::clone(&values));
        let serving = tokio::spawn(async move {
            let _ = axum::serve(listener, router).await;
        });
        Ok(Gauge { address, values, serving })
    }

    /// `series` is a name with or without labels: `pg_up{service="orders"}`.
    pub fn set(&self, series: &str, value: f64) {
        self.values.lock().unwrap_or_else(PoisonError::into_inner).insert(series.to_owned(), value);
    }
}

impl Drop for Gauge {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn page(State(values): State<Values>) -> String {
    let values = values.lock().unwrap_or_else(PoisonError::into_inner);
    values.iter().fold(String::new(), |mut page, (series, value)| {
        let _ = writeln!(page, "{series} {value}");
        page
    })
}
