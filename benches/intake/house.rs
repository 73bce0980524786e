//! The whole of Reynard with its shipped rules and playbooks, in this process.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use reynard::action::catalog;
use reynard::carried;
use reynard::config::files::Files;
use reynard::config::load;
use reynard::config::secrets::NoSecrets;
use reynard::domain::secret::Secret;
use reynard::engine::clock::SystemClock;
use reynard::engine::metrics::Metrics;
use reynard::engine::runtime::{Loops, Parts, Runtime};
use reynard::engine::shared::Hands;
use reynard::engine::store::Journal;
use reynard::store;
use reynard::web::pages;
use reynard::web::router::router;
use reynard::web::serve::serve;
use reynard::web::state::WebState;
use tokio_util::sync::CancellationToken;

use crate::load::{Load, socket};

pub struct House {
    pub runtime: Runtime,
    pub address: SocketAddr,
    loops: Loops,
    closing: CancellationToken,
    _folder: Option<tempfile::TempDir>,
}

impl House {
    /// On a fresh SQLite file.
    pub async fn new() -> Self {
        Self::with(|store| store).await
    }

    /// On a fresh SQLite file, with something around its journal.
    pub async fn with(around: impl FnOnce(Arc<dyn Journal>) -> Arc<dyn Journal>) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let url = format!("sqlite://{}", folder.path().join("reynard.db").display());
        Self { _folder: Some(folder), ..Self::on(&url, around).await }
    }

    /// On the database of this address.
    pub async fn on(url: &str, around: impl FnOnce(Arc<dyn Journal>) -> Arc<dyn Journal>) -> Self {
        let opened = store::catalog::open(&Secret::new(url), "bench").await.expect("a database");
        if let Some(lease) = &opened.lease {
            lease.take(true).await.expect("the lease");
        }
        let files = Files::gather(Path::new("/nonexistent"), Path::new("/nonexistent"), &carried::playbooks()).expect("carried files");
        let settings = load::load(&files, &catalog::specs(), &NoSecrets, None).settings.expect("good files");
        let metrics = Arc::new(Metrics::new());
        let parts = Parts {
            journal: around(opened.journal),
            reads: opened.reads,
            clock: Arc::new(SystemClock::default()),
            rulebook: Arc::new(settings.rulebook),
            hands: Hands::default(),
            metrics: metrics.clone(),
        };
        let (runtime, loops) = Runtime::start(parts).await.expect("started");
        let closing = CancellationToken::new();
        let state = WebState::new(runtime.clone(), Vec::new(), metrics, closing.clone());
        let (listener, address) = socket();
        tokio::spawn(serve(listener, router(state, pages::router::routes()), closing.clone(), Duration::from_millis(100)));
        Self { runtime, address, loops, closing, _folder: None }
    }

    pub fn ends(self) {
        self.closing.cancel();
        self.loops.abort();
    }
}

/// Requests answered a second.
pub async fn rate(load: Load, span: Duration) -> f64 {
    rate_of(House::new().await, load, span).await
}

pub async fn rate_of(house: House, load: Load, span: Duration) -> f64 {
    let rate = load.run(house.address, span).await;
    house.ends();
    rate
}
