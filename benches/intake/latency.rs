//! How long it takes from a request to the commit that began the playbook's first step, at a fixed rate of new incidents.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use reynard::domain::id::IncidentId;
use reynard::engine::store::IncidentQuery;
use tokio::net::TcpStream;
use tokio::sync::mpsc;

use crate::house::House;
use crate::load::{body, post};

pub async fn measure(per_second: u64, span: Duration) {
    let house = House::new().await;
    let mut changes = house.runtime.changes();
    let listener = tokio::spawn(async move {
        let mut first: BTreeMap<IncidentId, Instant> = BTreeMap::new();
        while let Ok(Ok(change)) = tokio::time::timeout(Duration::from_secs(2), changes.recv()).await {
            first.entry(change.incident).or_insert_with(Instant::now);
        }
        first
    });
    let sent = post_steadily(&house, per_second, per_second * span.as_secs()).await;
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
    house.ends();
    took.sort();
    assert!(took.len() * 10 > sent.len() * 9, "{} of {} were heard of", took.len(), sent.len());
    let at = |share: f64| took[((took.len() - 1) as f64 * share) as usize].as_secs_f64() * 1_000.0;
    println!(
        "\nWebhook to first step begun, {per_second} new incidents/s: p50 {:.1} ms, p99 {:.1} ms ({} seen)",
        at(0.5),
        at(0.99),
        took.len()
    );
}

/// Each body at its time, whether or not the earlier ones were answered; tells when each service's was sent.
async fn post_steadily(house: &House, per_second: u64, total: u64) -> BTreeMap<String, Instant> {
    let began = Instant::now();
    let mut sent = BTreeMap::new();
    let (back, mut free) = mpsc::unbounded_channel();
    for _ in 0..32 {
        let _ = back.send(TcpStream::connect(house.address).await.expect("connected"));
    }
    let mut posts = Vec::new();
    for n in 0..total {
        tokio::time::sleep_until((began + Duration::from_micros(n * 1_000_000 / per_second)).into()).await;
        sent.insert(format!("s{n}"), Instant::now());
        let mut stream = free.recv().await.expect("a connection");
        let back = back.clone();
        posts.push(tokio::spawn(async move {
            post(&mut stream, &body(n, 1)).await;
            let _ = back.send(stream);
        }));
    }
    for post in posts {
        post.await.expect("answered");
    }
    sent
}
