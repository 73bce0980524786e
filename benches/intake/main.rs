//! How fast deliveries are taken and worked, as ratios to raw probes in the same run: absolute figures depend on the machine.
//! `cargo bench --bench intake` prints the table that README quotes. `SECONDS=10` measures longer, `ONLY=20` leaves rows out.

mod house;
mod idle;
mod latency;
mod limit;
mod load;
mod probe;

use std::time::Duration;

use crate::load::Load;

/// Probe and Reynard take turns, and the middle pair counts, because the machine is not alone.
const PAIRS: usize = 5;

#[tokio::main]
async fn main() {
    let seconds = std::env::var("SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(3);
    let span = Duration::from_secs(seconds);
    println!("| what | raw | Reynard | ratio |\n|---|---|---|---|");
    let known = |alerts| Load { alerts, groups: Some(64) };
    let fresh = Load { alerts: 1, groups: None };
    compare("1 alert, known groups, requests/s", async || (house::rate(known(1), span).await, probe::rate(known(1), span).await)).await;
    compare("20 alerts, known groups, requests/s", async || (house::rate(known(20), span).await, probe::rate(known(20), span).await)).await;
    compare("new incidents, first step begun, incidents/s", async || limit::pair(fresh, span).await).await;
    if std::env::var("ONLY").is_err() {
        latency::measure(500, span).await;
        tokio::task::spawn_blocking(idle::measure).await.expect("measured");
    }
}

async fn compare(what: &str, measure: impl AsyncFn() -> (f64, f64)) {
    if std::env::var("ONLY").is_ok_and(|only| !what.contains(&only)) {
        return;
    }
    let mut pairs = Vec::new();
    for _ in 0..PAIRS {
        pairs.push(measure().await);
    }
    pairs.sort_by(|a, b| (a.0 / a.1).total_cmp(&(b.0 / b.1)));
    let (own, raw) = pairs[PAIRS / 2];
    println!("| {what} | {raw:.0} | {own:.0} | {:.2} |", own / raw);
}
