//! How long 100,000 deliveries of a month take to be lived through again under other rules; the goal is 30 s on two cores.
//! `cargo bench --bench backtest`; `DELIVERIES=10000` takes fewer. The month is made first, by the engine itself on a clock of its own.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use reynard::action::catalog;
use reynard::app::backtest::live_through;
use reynard::carried;
use reynard::config::files::{Files, TextFile};
use reynard::config::load;
use reynard::config::secrets::NoSecrets;
use reynard::domain::secret::Secret;
use reynard::domain::settings::Rulebook;
use reynard::domain::time::{Span, Timestamp};
use reynard::engine::clock::HandClock;
use reynard::engine::metrics::Metrics;
use reynard::engine::ports::Clock;
use reynard::engine::runtime::{Parts, Runtime};
use reynard::engine::shared::Hands;
use reynard::store::catalog as databases;
use serde_json::json;

const MONTH: Span = Span::hours(30 * 24);
const BEGIN: Timestamp = Timestamp(1_790_000_000_000);
/// Deliveries between two looks at what is due.
const AT_ONCE: u64 = 50;
/// Deliveries of one incident: it fires, is repeated, and ends.
const OF_ONE: u64 = 10;

const PEOPLE: &str = "
on_call: { schedules: { primary: { time_zone: UTC, rotations: [ { people: [ana, bo], handoff: '0 9 * * MON' } ] } } }
people: { ana: { email: ana@example.com }, bo: { email: bo@example.com } }
channels: { email: { kind: email, smtp: 'smtp://localhost:587', from: alerts@example.com } }
";

fn rulebook(settings: &str) -> Rulebook {
    let mut files = Files::gather(Path::new("/nonexistent"), Path::new("/nonexistent"), &carried::playbooks()).expect("carried files");
    files.settings = Some(TextFile::new("reynard.yaml", format!("{PEOPLE}{settings}")));
    load::load(&files, &catalog::specs(), &NoSecrets, None).settings.expect("good files").rulebook
}

// One thread: whatever comes in one moment is taken in one commit, as a storm is. Time stands still in it, so nothing else could tell what was first.
#[tokio::main(flavor = "current_thread")]
async fn main() {
    let count: u64 = std::env::var("DELIVERIES").ok().and_then(|text| text.parse().ok()).unwrap_or(100_000);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let url = Secret::new(format!("sqlite://{}", folder.path().join("reynard.db").display()));
    let began = Instant::now();
    month(&url, count).await;
    println!("a month of {count} deliveries was made in {:.1} s", began.elapsed().as_secs_f64());
    for (what, settings) in [
        ("the same rules", ""),
        (
            "another rule and another grouping",
            "classification: [ { name: calm, when: 'incident.service == \"s1\"', priority: P3 } ]\nincidents: { settle: 5m }",
        ),
    ] {
        let (rulebook, archive) = (rulebook(settings), databases::archive(&url).await.expect("readable"));
        let began = Instant::now();
        let outcome = live_through(archive.as_ref(), &rulebook, Timestamp(0), &mut |_, _| {}).await.expect("lived through");
        let seconds = began.elapsed().as_secs_f64();
        println!(
            "{what}: {} deliveries, {} incidents, {} otherwise, {seconds:.1} s, {:.0} deliveries/s",
            outcome.deliveries,
            outcome.then.incidents,
            outcome.changed.len(),
            outcome.deliveries as f64 / seconds
        );
        for (kind, count) in outcome.kinds() {
            println!("  {count:>7} {kind}");
        }
    }
}

async fn month(url: &Secret, count: u64) {
    let opened = databases::open(url, "bench").await.expect("a database");
    let clock = Arc::new(HandClock::at(BEGIN));
    let (journal, reads, metrics) = (opened.journal, opened.reads, Arc::new(Metrics::new()));
    let parts = Parts { journal, reads, clock: clock.clone(), rulebook: Arc::new(rulebook("")), hands: Hands::default(), metrics };
    let (runtime, loops) = Runtime::start(parts).await.expect("started");
    let step = Span(MONTH.as_millis() / count.max(1) * AT_ONCE);
    for batch in 0..count / AT_ONCE {
        let posts = (0..AT_ONCE).map(|at| runtime.deliver("am", body(batch * AT_ONCE + at).into_bytes()));
        futures_util::future::join_all(posts).await.into_iter().for_each(|done| drop(done.expect("stored")));
        pass_until(&runtime, &clock, BEGIN + Span(step.as_millis() * (batch + 1))).await;
    }
    loops.stop(runtime.clone(), Span::seconds(1)).await;
}

/// Stops wherever something is due.
async fn pass_until(runtime: &Runtime, clock: &HandClock, end: Timestamp) {
    while let Some(next) = runtime.settle().await
        && next <= end
    {
        clock.set(next.max(clock.now()));
    }
    clock.set(end);
    runtime.settle().await;
}

/// Ten of one incident after the other, of fifty incidents in turn.
fn body(n: u64) -> String {
    let (incident, visit) = (n % AT_ONCE + n / (AT_ONCE * OF_ONE) * AT_ONCE, n / AT_ONCE % OF_ONE);
    let name = ["ServiceDown", "HighErrorRate", "DatabaseConnectionFailure", "Strange"][(incident % 4) as usize];
    let status = if visit == OF_ONE - 1 { "resolved" } else { "firing" };
    let alert = json!({
        "status": status,
        "labels": { "alertname": name, "service": format!("s{}", incident % 200), "instance": format!("10.0.0.{}:80", incident % 250), "n": incident.to_string(), "severity": "warning", "cluster": "prod-eu-1", "team": "payments" },
        "annotations": { "summary": format!("{name} on s{}", incident % 200), "error_rate": format!("0.{:02}", incident % 70) },
        "startsAt": BEGIN.to_rfc3339(), "endsAt": if status == "resolved" { "2026-12-31T00:00:00Z" } else { "0001-01-01T00:00:00Z" },
        "fingerprint": format!("{incident:016x}"),
    });
    json!({ "version": "4", "receiver": "reynard", "groupKey": format!("g{incident}"), "alerts": [alert] }).to_string()
}
