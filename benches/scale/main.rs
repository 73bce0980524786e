//! A large house: 100,000 open incidents, 1,000,000 timers and as many alerts, on both databases, and the binary that starts on them.
//! `cargo bench --bench scale` fills them set-wise and measures from outside, at last while retention runs; `INCIDENTS=10000` makes them smaller, `ONLY=SQLite`
//! leaves one out, `REYNARD_BINARY` names another binary. PostgreSQL needs Debian's postgresql.

mod fill;
#[path = "../../tests/store/parts.rs"]
#[allow(dead_code, reason = "shared with stories, which need more of it")]
mod parts;
mod server;
mod sink;

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::fill::Fill;
use crate::parts::postgres::Postgres;
use crate::server::{Server, TARGETS};
use crate::sink::Sink;

/// Timers and alerts of one incident.
const EACH: u32 = 10;
/// The second level is due half a minute after the first.
const OVERDUE_AFTER: Duration = Duration::from_secs(45);
const LOOKS: usize = 100;
const POSTS: usize = 1_000;
/// Whatever else the machine does meets some of them alone, so the middle of several is told.
const WINDOWS: usize = 9;
/// Deliveries that are too old to be kept: enough that letting them go outlasts the posts.
const OLD: u32 = 300_000;

#[tokio::main]
async fn main() -> Result<()> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let incidents = std::env::var("INCIDENTS").ok().and_then(|text| text.parse().ok()).unwrap_or(100_000);
    let only = std::env::var("ONLY").unwrap_or_default();
    println!("{incidents} open incidents, {} timers, {} alerts\n", incidents * EACH, incidents * EACH);
    if "SQLite".contains(&only) {
        let folder = tempfile::tempdir()?;
        measure("SQLite", &format!("sqlite://{}", folder.path().join("reynard.db").display()), incidents).await?;
    }
    if "PostgreSQL".contains(&only) {
        let postgres = Postgres::start_synced().await?;
        measure("PostgreSQL", &postgres.url("admin"), incidents).await?;
    }
    Ok(())
}

async fn measure(name: &str, url: &str, incidents: u32) -> Result<()> {
    let sink = Sink::start().await?;
    let began = Instant::now();
    let seeded = Server::start(url, &sink, TARGETS).await?;
    seeded.opens_templates().await?;
    let before = latency(&seeded).await?;
    seeded.ends();
    Fill { url, incidents, each: EACH }.run().await?;
    // So that the second level of every P1 is overdue.
    tokio::time::sleep(OVERDUE_AFTER.saturating_sub(began.elapsed())).await;
    println!("{name}: filled in {:.0?}", began.elapsed());

    sink.clear();
    let mut server = Server::start(url, &sink, TARGETS).await?;
    println!("{name}: ready after {:.2?}", server.ready_after);
    let page = sink.first_page(Duration::from_secs(60)).await.context("an overdue P1 is paged")?;
    println!("{name}: first overdue P1 page after {:.2?}", page.duration_since(server.started));
    tokio::time::sleep(Duration::from_secs(5)).await;
    println!("{name}: {} MiB at most, {} MiB now, {} pages so far", server.memory("VmHWM")?, server.memory("VmRSS")?, sink.count());
    let number = incidents / 2;
    for path in
        ["/incidents", "/incidents?status=all", "/incidents?priority=P1", "/api/v1/incidents", &format!("/incidents/{number}"), "/metrics"]
    {
        let took = server.looks(path, LOOKS).await?;
        println!("{name}: p95 {:>8.1?}, middle {:>8.1?}  GET {path}", took[LOOKS * 95 / 100], took[LOOKS / 2]);
    }
    let after = latency(&server).await?;
    println!("{name}: intake p99 {:.1?}, middle {:.1?}; on the empty database {:.1?} and {:.1?}", after.0, after.1, before.0, before.1);
    println!("{name}: {} MiB at most in the end", server.memory("VmHWM")?);
    server.ends();
    retention(name, url, incidents, &sink).await
}

/// What is too old begins to go a minute after a start: the same posts before and meanwhile.
async fn retention(name: &str, url: &str, incidents: u32, sink: &Sink) -> Result<()> {
    Fill { url, incidents, each: EACH }.deliveries(OLD).await?;
    // One target more, so that every alert that fires has to be asked whether it names one.
    let mut server = Server::start(url, sink, TARGETS + 1).await?;
    let most = server.memory("VmHWM")?;
    println!("{name}: ready after {:.2?} with one target more, {most} MiB at most", server.ready_after);
    latency(&server).await?;
    let before = middle_latency(&server).await?;
    while server.let_go().await? == 0 {
        ensure!(server.started.elapsed() < Duration::from_secs(120), "nothing was let go two minutes after the start");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let meanwhile = middle_latency(&server).await?;
    let gone = server.let_go().await?;
    ensure!(gone < u64::from(OLD), "it was over before the posts were");
    println!(
        "{name}: intake p99 {:.1?}, middle {:.1?} while retention runs ({gone} rows so far); before it {:.1?} and {:.1?}: p99 {:.2} times\n",
        meanwhile.0,
        meanwhile.1,
        before.0,
        before.1,
        meanwhile.0.as_secs_f64() / before.0.as_secs_f64()
    );
    server.ends();
    Ok(())
}

/// The middle of several windows' 99th percentiles, and of their middles. A slice goes every other second, so that they meet some.
async fn middle_latency(server: &Server) -> Result<(Duration, Duration)> {
    let (mut slow, mut middle) = (Vec::new(), Vec::new());
    for _ in 0..WINDOWS {
        let took = latency(server).await?;
        slow.push(took.0);
        middle.push(took.1);
    }
    slow.sort();
    middle.sort();
    Ok((slow[WINDOWS / 2], middle[WINDOWS / 2]))
}

/// Of deliveries one after the other: the 99th percentile, and the middle.
async fn latency(server: &Server) -> Result<(Duration, Duration)> {
    let mut took = Vec::new();
    for number in 0..POSTS {
        took.push(server.posts(&format!("load-{}", number % 20)).await?);
    }
    took.sort();
    Ok((took[POSTS * 99 / 100], took[POSTS / 2]))
}
