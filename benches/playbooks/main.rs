//! What a thousand playbooks cost: to check, to load at a start, to test, and to ask one condition of. Absolute figures depend on the machine.
//! `cargo bench --bench playbooks` prints the table; `PLAYBOOKS=10000` takes more.

use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};

use reynard::action::catalog;
use reynard::config::check::{Request, check};
use reynard::config::files::Files;
use reynard::config::load;
use reynard::config::scope;
use reynard::config::secrets::NoSecrets;
use reynard::domain::expression::condition::Expression;
use reynard::domain::secret::Secret;
use reynard::domain::settings::Rulebook;
use reynard::domain::time::Timestamp;
use reynard::engine::store::{Journal, RevisionText};
use reynard::rehearse_tests;
use reynard::store::catalog as databases;
use serde_json::{Value, json};

const ROUNDS: usize = 7;
const CONDITION: &str = "incident.priority == \"P1\" && signals.error_rate > 0.5 || labels.severity.matches(\"^(critical|page)$\")";
const EACH: u32 = 100_000;

#[tokio::main]
async fn main() {
    let count = std::env::var("PLAYBOOKS").ok().and_then(|text| text.parse().ok()).unwrap_or(1_000);
    let folder = tempfile::tempdir().expect("a folder");
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (settings, playbooks) = (root.join("examples/reynard.yaml"), folder.path().join("playbooks"));
    std::fs::create_dir(&playbooks).expect("a folder");
    (0..count).for_each(|n| std::fs::write(playbooks.join(format!("book-{n}.yaml")), book(n)).expect("written"));
    println!("| what | median |\n|---|---|");
    let request = Request { settings: &settings, playbooks: &playbooks, paths: &[] };
    let checked = median(|| timed(|| assert!(!check(request, &[], &catalog::specs(), &NoSecrets).diagnostics.has_errors())));
    println!("| check of {count} playbooks, read from disk | {} ms |", checked.as_millis());
    let read = || load::load(&Files::gather(&settings, &playbooks, &[]).expect("readable"), &catalog::specs(), &NoSecrets, None);
    let loaded = median(|| timed(|| drop(black_box(read()))));
    let rulebook = read().settings.expect("good").rulebook;
    let mut kept = Vec::new();
    for n in 0..ROUNDS {
        kept.push(keeps(folder.path(), n, &rulebook).await);
    }
    kept.sort();
    let (first, again) = kept[ROUNDS / 2];
    println!("| what they add to the first start: read, checked, texts kept | {} ms |", (loaded + first).as_millis());
    println!("| what they add to a later start | {} ms |", (loaded + again).as_millis());
    println!("| stories that `reynard test` plays, files read and all | {:.0}/s |", stories(folder.path(), root));
    println!("| one condition | {:.2} µs |", condition().as_nanos() as f64 / f64::from(EACH) / 1_000.0);
}

/// Six steps with conditions, holes, a list and branches.
fn book(n: usize) -> String {
    format!(
        "title: Playbook {n}
on: {{ match: ['alertname=\"Alert{n}\"', 'severity=~\"critical|warning\"'], priority: [P1, P2] }}
limits: {{ concurrency: 1, per_target: 3 per 1h }}
recovered: {{ alerts: resolved, for: 2m, within: 15m }}
steps:
  - {{ id: look, action: postgres.pool_status, target: orders-db, on_failure: continue }}
  - {{ id: protect, when: '{CONDITION}', action: postgres.read_only, target: orders-db, undo: on_resolve }}
  - parallel:
      - {{ id: health, action: http.check, target: orders-api, with: {{ path: '/health/{{{{ incident.number }}}}' }}, on_failure: continue }}
      - {{ id: errors, action: prometheus.query, target: prom, with: {{ query: 'rate(errors{{service=\"{{{{ incident.service }}}}\"}}[5m])' }} }}
  - {{ id: each, for_each: 'alerts.filter(a, a.status == \"firing\")', as: one, action: note, with: {{ text: '{{{{ one.labels.instance }}}}' }} }}
  - {{ id: tell, action: notify, with: {{ to: [on-call], text: '{{{{ incident.title }}}}: {{{{ steps.health.status }}}} of {n}' }} }}
"
    )
}

/// The shipped files of tests, so many times over.
const COPIES: usize = 100;

/// In a second.
fn stories(folder: &Path, root: &Path) -> f64 {
    let (shipped, playbooks) = (root.join("playbooks"), folder.join("shipped"));
    let tests = playbooks.join("tests");
    std::fs::create_dir_all(&tests).expect("a folder");
    copy(&shipped, &playbooks, "");
    (0..COPIES).for_each(|n| copy(&shipped.join("tests"), &tests, &format!("{n}-")));
    let begun = Instant::now();
    let told = rehearse_tests::run(&[tests], Path::new("/nonexistent"), &playbooks).expect("played");
    assert!(told.len() > COPIES && told.iter().all(|told| told.flaws.is_empty()), "a shipped playbook fails its tests");
    told.len() as f64 / begun.elapsed().as_secs_f64()
}

/// Every file of a folder into another one, under its name with something in front.
fn copy(from: &Path, to: &Path, front: &str) {
    for file in std::fs::read_dir(from).expect("a folder").map(|file| file.expect("readable")).filter(|file| file.path().is_file()) {
        std::fs::copy(file.path(), to.join(format!("{front}{}", file.file_name().display()))).expect("copied");
    }
}

/// How long keeping the texts takes in an empty database, and in one that has them.
async fn keeps(folder: &Path, round: usize, rulebook: &Rulebook) -> (Duration, Duration) {
    let url = Secret::new(format!("sqlite://{}", folder.join(format!("{round}.db")).display()));
    let opened = databases::open(&url, "bench").await.expect("a database");
    let first = keep(opened.journal.as_ref(), rulebook).await;
    (first, keep(opened.journal.as_ref(), rulebook).await)
}

async fn keep(journal: &dyn Journal, rulebook: &Rulebook) -> Duration {
    let books = rulebook.playbooks.values();
    let texts: Vec<_> = books.map(|book| RevisionText { revision: &book.revision, slug: &book.slug, source: &book.source }).collect();
    let begun = Instant::now();
    journal.keep_revisions(&texts, Timestamp(0)).await.expect("kept");
    begun.elapsed()
}

fn condition() -> Duration {
    let condition = Expression::parse(CONDITION, &scope::incident()).expect("it is good");
    let scope: Value = json!({
        "incident": {"priority": "P2", "title": "x"}, "signals": {"error_rate": 0.3}, "labels": {"severity": "warning"},
    });
    median(|| timed(|| (0..EACH).for_each(|_| drop(black_box(condition.matches(black_box(&scope)))))))
}

fn timed(what: impl FnOnce()) -> Duration {
    let begun = Instant::now();
    what();
    begun.elapsed()
}

fn median(mut measure: impl FnMut() -> Duration) -> Duration {
    let mut all: Vec<Duration> = (0..ROUNDS).map(|_| measure()).collect();
    all.sort();
    all[ROUNDS / 2]
}
