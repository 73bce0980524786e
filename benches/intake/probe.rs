//! What intake is measured against: a bare axum server with the same parse, whose one writer appends the raw bodies in groups to SQLite,
//! each group synced to disk before it is answered. It does nothing else.

use std::path::PathBuf;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::State;
use axum::routing::post;
use reynard::engine::wire;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{AssertSqlSafe, Connection, SqliteConnection};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::load::{Load, socket};

/// A body, and who waits for it to be on disk.
pub type Waiting = (Bytes, oneshot::Sender<()>);

/// Requests answered a second.
pub async fn rate(load: Load, span: Duration) -> f64 {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("probe.db");
    rate_of(|waiting| tokio::spawn(append(path, waiting)), load, span).await
}

/// The same with a writer of its own.
pub async fn rate_of(writer: impl FnOnce(mpsc::Receiver<Waiting>) -> JoinHandle<()>, load: Load, span: Duration) -> f64 {
    let (queue, waiting) = mpsc::channel(4_096);
    let writer = writer(waiting);
    let app = axum::Router::new().route("/", post(taken)).with_state(queue);
    let (listener, address) = socket();
    let server = tokio::spawn(async move { axum::serve(tokio::net::TcpListener::from_std(listener).expect("a socket"), app).await });
    let rate = load.run(address, span).await;
    server.abort();
    writer.abort();
    rate
}

async fn taken(State(queue): State<mpsc::Sender<Waiting>>, body: Bytes) -> String {
    let parsed = wire::parse(&body).expect("a good body");
    let (done, stored) = oneshot::channel();
    queue.send((body, done)).await.expect("a writer");
    stored.await.expect("stored");
    format!("{{\"delivery\":\"x\",\"alerts\":{}}}", parsed.alerts.len())
}

async fn append(path: PathBuf, mut queue: mpsc::Receiver<Waiting>) {
    let mut connection = database(&path).await;
    sqlx::query("create table deliveries (id integer primary key, body blob not null)").execute(&mut connection).await.expect("a table");
    let mut batch = Vec::new();
    while queue.recv_many(&mut batch, 1_024).await > 0 {
        let mut tx = connection.begin_with("begin immediate").await.expect("begun");
        let mut rest = &batch[..];
        for size in [64, 16, 4, 1] {
            while rest.len() >= size {
                let (now, later) = rest.split_at(size);
                let text = format!("insert into deliveries (body) values {}", vec!["(?)"; size].join(", "));
                let statement = now.iter().fold(sqlx::query(AssertSqlSafe(text)), |q, (body, _): &Waiting| q.bind(body.to_vec()));
                statement.execute(&mut *tx).await.expect("stored");
                rest = later;
            }
        }
        tx.commit().await.expect("committed");
        for (_, done) in batch.drain(..) {
            let _ = done.send(());
        }
    }
}

/// A database with the same promises as Reynard's.
pub async fn database(path: &std::path::Path) -> SqliteConnection {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .pragma("wal_autocheckpoint", "4000");
    SqliteConnection::connect_with(&options).await.expect("a database")
}
