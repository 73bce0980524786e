//! How fast deliveries are taken and worked, as ratios to raw probes in the same run: absolute figures depend on the machine.
//! `cargo bench --bench intake` prints the table that README quotes. `SECONDS=10` measures longer.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use axum::body::Bytes;
use axum::extract::State;
use axum::routing::post;
use reynard::action::catalog;
use reynard::carried;
use reynard::config::files::Files;
use reynard::config::load;
use reynard::config::secrets::NoSecrets;
use reynard::domain::id::IncidentId;
use reynard::engine::clock::SystemClock;
use reynard::engine::metrics::Metrics;
use reynard::engine::runtime::{Hands, Loops, Parts, Runtime};
use reynard::engine::store::IncidentQuery;
use reynard::engine::wire;
use reynard::store::sqlite::open::SqliteStore;
use reynard::web::pages;
use reynard::web::router::router;
use reynard::web::serve::serve;
use reynard::web::state::WebState;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{AssertSqlSafe, Connection, SqliteConnection};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

const CONNECTIONS: usize = 64;

#[tokio::main]
async fn main() {
    let seconds = std::env::var("SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(4);
    let span = Duration::from_secs(seconds);
    println!("| what | probe | Reynard | ratio |\n|---|---|---|---|");
    for (what, alerts, groups) in [
        ("1 alert, known groups, requests/s", 1, Some(64)),
        ("20 alerts, known groups, requests/s", 20, Some(64)),
        ("1 alert, every one a new incident, requests/s", 1, None),
    ] {
        // Probe and Reynard take turns, and the middle of three counts, because the machine is not alone.
        let mut pairs = Vec::new();
        for _ in 0..3 {
            let raw = probe(span, alerts, groups).await;
            let own = reynard(span, alerts, groups).await;
            pairs.push((raw, own));
        }
        pairs.sort_by(|a, b| (a.1 / a.0).total_cmp(&(b.1 / b.0)));
        let (raw, own) = pairs[1];
        println!("| {what} | {raw:.0} | {own:.0} | {:.2} |", own / raw);
    }
    latency(500, span).await;
    start_up().await;
}

/// A bare server: the same parse, the raw body appended by one group-committing writer, SQLite FULL.
async fn probe(span: Duration, alerts: usize, groups: Option<u64>) -> f64 {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (queue, waiting) = mpsc::channel(4_096);
    let writer = tokio::spawn(append(folder.path().join("probe.db"), waiting));
    let app = axum::Router::new().route("/", post(taken)).with_state(queue);
    let (listener, address) = socket();
    let server = tokio::spawn(async move { axum::serve(tokio::net::TcpListener::from_std(listener).expect("a socket"), app).await });
    let rate = load(address, span, alerts, groups).await;
    server.abort();
    writer.abort();
    rate
}

type Waiting = (Bytes, oneshot::Sender<()>);

async fn taken(State(queue): State<mpsc::Sender<Waiting>>, body: Bytes) -> String {
    let parsed = wire::parse(&body).expect("a good body");
    let (done, stored) = oneshot::channel();
    queue.send((body, done)).await.expect("a writer");
    stored.await.expect("stored");
    format!("{{\"delivery\":\"x\",\"alerts\":{}}}", parsed.alerts.len())
}

async fn append(path: std::path::PathBuf, mut queue: mpsc::Receiver<Waiting>) {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .pragma("wal_autocheckpoint", "4000");
    let mut connection = SqliteConnection::connect_with(&options).await.expect("a database");
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

struct House {
    runtime: Runtime,
    loops: Loops,
    address: SocketAddr,
    closing: CancellationToken,
    _folder: tempfile::TempDir,
}

/// The whole of Reynard with its shipped rules and playbooks, in this process.
async fn house() -> House {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let files = Files::gather(Path::new("/nonexistent"), Path::new("/nonexistent"), &carried::playbooks()).expect("carried files");
    let settings = load::load(&files, &catalog::specs(), &NoSecrets, None).settings.expect("good files");
    let store = Arc::new(SqliteStore::open(&folder.path().join("reynard.db")).await.expect("a database"));
    let metrics = Arc::new(Metrics::new());
    let parts = Parts {
        journal: store.clone(),
        reads: store,
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
    House { runtime, loops, address, closing, _folder: folder }
}

async fn reynard(span: Duration, alerts: usize, groups: Option<u64>) -> f64 {
    let house = house().await;
    let rate = load(house.address, span, alerts, groups).await;
    house.closing.cancel();
    house.loops.abort();
    rate
}

/// Requests answered 200 a second over all connections.
async fn load(address: SocketAddr, span: Duration, alerts: usize, groups: Option<u64>) -> f64 {
    let next = Arc::new(AtomicU64::new(0));
    let began = Instant::now();
    let clients: Vec<_> = (0..CONNECTIONS)
        .map(|_| {
            let next = next.clone();
            tokio::spawn(async move {
                let mut stream = TcpStream::connect(address).await.expect("connected");
                let mut answered = 0u64;
                while began.elapsed() < span {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    let group = groups.map_or(n, |groups| n % groups);
                    post_body(&mut stream, &body(group, alerts)).await;
                    answered += 1;
                }
                answered
            })
        })
        .collect();
    let mut answered = 0;
    for client in clients {
        answered += client.await.expect("a client that ends");
    }
    answered as f64 / began.elapsed().as_secs_f64()
}

async fn post_body(stream: &mut TcpStream, body: &str) {
    let request = format!("POST / HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut answer = [0; 4_096];
    let mut seen = 0;
    loop {
        let n = stream.read(&mut answer[seen..]).await.expect("answered");
        assert!(n > 0, "the server hung up");
        seen += n;
        let text = std::str::from_utf8(&answer[..seen]).expect("text");
        if let Some((head, rest)) = text.split_once("\r\n\r\n") {
            assert!(head.starts_with("HTTP/1.1 200"), "{text}");
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).and_then(|n| n.parse::<usize>().ok());
            if rest.len() >= length.expect("a length") {
                return;
            }
        }
    }
}

fn body(group: u64, alerts: usize) -> String {
    let alerts: Vec<String> = (0..alerts)
        .map(|instance| {
            format!(
                r#"{{"status":"firing","labels":{{"alertname":"ServiceDown","service":"s{group}","severity":"critical","instance":"i{instance}","job":"orders","namespace":"shop","cluster":"prod-eu-1","team":"payments"}},"annotations":{{"summary":"service s{group} is down","description":"The probe of s{group} has failed for five minutes in a row from every region we look from.","runbook_url":"https://runbooks.example.com/ServiceDown"}},"startsAt":"2026-11-23T22:51:09.497Z","endsAt":"0001-01-01T00:00:00Z","generatorURL":"http://prometheus.example.com:9090/graph","fingerprint":"{:016x}"}}"#,
                group * 1_000 + instance as u64
            )
        })
        .collect();
    format!(
        r#"{{"receiver":"reynard","status":"firing","alerts":[{}],"groupLabels":{{"service":"s{group}"}},"commonLabels":{{}},"commonAnnotations":{{}},"externalURL":"http://am","version":"4","groupKey":"{{}}:{{service=\"s{group}\"}}","truncatedAlerts":0}}"#,
        alerts.join(",")
    )
}

/// From the request to the commit that started the playbook's first step, at a fixed rate of new incidents.
async fn latency(per_second: u64, span: Duration) {
    let house = house().await;
    let mut changes = house.runtime.changes();
    let listener = tokio::spawn(async move {
        let mut first: BTreeMap<IncidentId, Instant> = BTreeMap::new();
        while let Ok(Ok(change)) = tokio::time::timeout(Duration::from_secs(2), changes.recv()).await {
            first.entry(change.incident).or_insert_with(Instant::now);
        }
        first
    });
    let total = per_second * span.as_secs();
    let began = Instant::now();
    let mut sent = BTreeMap::new();
    let mut streams = Vec::new();
    for _ in 0..16 {
        streams.push(Some(TcpStream::connect(house.address).await.expect("connected")));
    }
    let mut posts = Vec::new();
    let (back, mut returned) = mpsc::unbounded_channel();
    for n in 0..total {
        tokio::time::sleep_until((began + Duration::from_micros(n * 1_000_000 / per_second)).into()).await;
        let mut stream = match streams.pop().flatten() {
            Some(stream) => stream,
            None => returned.recv().await.expect("a connection"),
        };
        sent.insert(format!("s{n}"), Instant::now());
        let back = back.clone();
        posts.push(tokio::spawn(async move {
            post_body(&mut stream, &body(n, 1)).await;
            let _ = back.send(stream);
        }));
    }
    for post in posts {
        post.await.expect("answered");
    }
    let first = listener.await.expect("heard");
    let mut took = Vec::new();
    let mut before = None;
    loop {
        let query = IncidentQuery { limit: 1_000, before, ..IncidentQuery::default() };
        let page = house.runtime.reads.incidents(&query).await.expect("readable");
        let Some(last) = page.last() else { break };
        before = Some(last.number);
        for incident in &page {
            if let (Some(heard), Some(sent)) = (first.get(&incident.id), sent.get(&incident.service)) {
                took.push(heard.duration_since(*sent));
            }
        }
    }
    took.sort();
    assert!(took.len() as u64 > total * 9 / 10, "{} of {total} were heard of", took.len());
    let at = |share: f64| took[((took.len() - 1) as f64 * share) as usize].as_secs_f64() * 1_000.0;
    println!(
        "\nWebhook to first step started, {per_second} new incidents/s: p50 {:.1} ms, p99 {:.1} ms ({} seen)",
        at(0.5),
        at(0.99),
        took.len()
    );
    house.closing.cancel();
    house.loops.abort();
}

async fn start_up() {
    let began = Instant::now();
    let house = house().await;
    println!("Start on an empty database, in this process: {:.0} ms", began.elapsed().as_secs_f64() * 1_000.0);
    house.closing.cancel();
    house.loops.abort();
}

fn socket() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.set_nonblocking(true).expect("a socket");
    let address = listener.local_addr().expect("bound");
    (listener, address)
}
