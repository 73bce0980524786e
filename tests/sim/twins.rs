//! What stories left on the simulated disk, committed once more to the real ones: all of them must answer the same in the end, timelines
//! and what a start needs alike. SQLite always; PostgreSQL at `REYNARD_STORY_DATABASE_URL` (a superuser's), as `tests/run` has it.

use std::fmt::Debug;
use std::sync::Arc;

use reynard::domain::id::IncidentId;
use reynard::domain::secret::Secret;
use reynard::domain::time::Timestamp;
use reynard::domain::trouble::Words;
use reynard::engine::store::{Holder, Resumed};
use reynard::store::catalog::{self, Opened};
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use crate::disk::Tables;
use crate::drive::kept_by;
use crate::number;

/// Stories that a short test writes down.
const FEW: u64 = 6;
/// What alerts of these stories may name here; the stories had other targets.
const NAMED: [&str; 4] = ["users-db", "orders-api", "i2", "i6"];
/// After so many commits each is asked.
const ASKED_EVERY: usize = 40;

#[tokio::test]
async fn both_databases_hold_what_the_simulated_one_does() {
    let seeds = number("REYNARD_SEED").map_or(1..=FEW, |seed| seed..=seed);
    for seed in seeds {
        let mut kept = std::thread::spawn(move || kept_by(seed)).join().expect("a story");
        let words = words();
        kept.iter_mut().flat_map(|(batch, _)| &mut batch.alerts).for_each(|row| row.may_name = words.may_be_in(&row.mark.labels));
        let folder = tempfile::tempdir().expect("a temporary folder");
        for url in urls(&folder).await {
            let real = open(&url).await;
            let mut tables = Tables::default();
            for (at, (batch, now)) in kept.iter().enumerate() {
                real.journal.commit(batch, *now).await.unwrap_or_else(|error| panic!("REYNARD_SEED={seed}, commit {at}: {error}"));
                tables.apply(batch, *now);
                if at % ASKED_EVERY == 0 || at + 1 == kept.len() {
                    compare(&format!("REYNARD_SEED={seed}, commit {at}, {}", url.split(':').next().unwrap_or("")), &tables, &real, *now)
                        .await;
                }
            }
        }
    }
}

async fn urls(folder: &tempfile::TempDir) -> Vec<String> {
    let mut urls = vec![format!("sqlite://{}", folder.path().join("reynard.db").display())];
    if let Ok(server) = std::env::var("REYNARD_STORY_DATABASE_URL") {
        let schema = format!("sim_{}", uuid::Uuid::new_v4().simple());
        let mut admin = PgConnection::connect(&server).await.expect("the server answers");
        sqlx::raw_sql(AssertSqlSafe(format!("create schema {schema}"))).execute(&mut admin).await.expect("a schema");
        urls.push(format!("{server}{}options[search_path]={schema}", if server.contains('?') { '&' } else { '?' }));
    }
    urls
}

async fn open(url: &str) -> Arc<Opened> {
    let opened = catalog::open(&Secret::new(url), "simulated").await.unwrap_or_else(|error| panic!("{error}"));
    if let Some(lease) = &opened.lease {
        assert_eq!(lease.take(true).await.expect("the lease is asked for"), Holder::Us);
    }
    Arc::new(opened)
}

fn words() -> Words {
    NAMED.map(str::to_owned).into_iter().collect()
}

async fn compare(where_: &str, tables: &Tables, real: &Opened, now: Timestamp) {
    let journal = &real.journal;
    let words = words();
    let simulated = Resumed { firing: tables.firing(&words), words: words.clone(), ..tables.resumed(now) };
    let told = journal.resume_with(now, &words).await.expect("readable");
    same(where_, "what a start needs", &in_order(simulated), &in_order(told));
    let due: Vec<_> = tables.jobs.values().filter(|job| !job.started).cloned().collect();
    same(where_, "jobs", &due, &journal.jobs_due(Timestamp(i64::MAX), 0, u32::MAX).await.expect("readable"));
    for id in tables.incidents.keys() {
        let loaded = journal.load(&[*id]).await.expect("readable");
        same(where_, "an incident", &tables.with_alerts(*id).into_iter().collect::<Vec<_>>(), &loaded);
        same(where_, "its timeline", &entries(tables, *id), &real.reads.timeline(*id, 0, u32::MAX).await.expect("readable"));
    }
}

fn entries(tables: &Tables, id: IncidentId) -> Vec<reynard::domain::timeline::Entry> {
    tables.timeline.iter().filter(|(of, _)| *of == id).map(|(_, entry)| entry.clone()).collect()
}

/// What has no order of its own.
fn in_order(mut resumed: Resumed) -> Resumed {
    resumed.spent.sort_by_key(|spent| (spent.at, spent.playbook.clone(), spent.target.clone()));
    resumed.firing.sort();
    resumed.interrupted.sort_by_key(|job| job.id);
    // Which ones take something back is looked for by words in a row: one too many does no harm, nor does one that is found twice.
    resumed.at_work.retain(|state| state.runs.values().any(|run| run.ended_at.is_none()));
    resumed.at_work.sort_by_key(|state| state.number);
    resumed.at_work.dedup_by_key(|state| state.number);
    resumed
}

fn same(where_: &str, what: &str, simulated: &impl Debug, real: &impl Debug) {
    let (simulated, real) = (format!("{simulated:#?}"), format!("{real:#?}"));
    let apart = simulated.lines().zip(real.lines()).find(|(one, other)| one != other);
    assert!(simulated == real, "{where_}: {what} is not the same, simulated and real: {apart:?}");
}
