//! The same chances on both databases: everything that can be read afterwards is the same. `REYNARD_SEED` has them again.

use std::fmt::{Debug, Write};

use reynard::domain::time::Span;
use reynard::engine::store::{Family, IncidentName, IncidentQuery};

use crate::databases::{Database, Databases};
use crate::writing::{Writing, words};

const SEEDS: u64 = 12;
const BATCHES: usize = 40;

#[tokio::test]
async fn the_same_chances_leave_the_same_to_read_on_both_databases() {
    let first = std::env::var("REYNARD_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(1);
    for seed in first..first + SEEDS {
        let mut databases = Databases::empty("the_same_chances").await;
        let mut writing = Writing::new(seed);
        for round in 0..BATCHES {
            let batch = writing.anything();
            for database in &databases.all {
                let committed = database.journal.commit(&batch, writing.now).await;
                committed.unwrap_or_else(|error| panic!("REYNARD_SEED={seed}, batch {round}, {}: {error}", database.name));
            }
            writing.written(&batch);
            if round % 13 == 12 {
                let all = std::mem::take(&mut databases.all);
                for database in all {
                    databases.all.push(database.again().await);
                }
            }
        }
        let mut read = Vec::new();
        for database in &databases.all {
            read.push((database.name, everything(database, &writing).await));
        }
        for (name, other) in &read[1..] {
            let differs = read[0].1.lines().zip(other.lines()).find(|(one, two)| one != two);
            assert!(read[0].1 == *other, "REYNARD_SEED={seed}: SQLite and {name} differ: {differs:#?}");
        }
    }
}

/// Everything readable as text. What PostgreSQL cannot hold is taken for what it holds instead.
async fn everything(database: &Database, writing: &Writing) -> String {
    let (reads, journal) = (&database.reads, &database.journal);
    let mut told = String::new();
    for query in queries() {
        tell(&mut told, &query, &reads.incidents(&query).await);
    }
    for (key, incident) in &writing.incidents {
        tell(&mut told, "by id", &reads.incident(IncidentName::Id(incident.id)).await);
        tell(&mut told, "by number", &reads.incident(IncidentName::Number(incident.number)).await);
        tell(&mut told, "forwards", &reads.timeline(incident.id, 1, 3).await);
        tell(&mut told, "all", &reads.timeline(incident.id, 0, u32::MAX).await);
        tell(&mut told, "backwards", &reads.timeline_backwards(incident.id, u64::MAX, 4).await);
        tell(&mut told, "alerts", &reads.alerts(incident.id, 2).await);
        let family = Family(incident.kind.clone(), incident.service.clone());
        tell(&mut told, "kin", &reads.kin(&[family, Family("no".to_owned(), "such".to_owned())], 3).await);
        tell(&mut told, "newest", &journal.newest_of_keys(std::slice::from_ref(key)).await);
        tell(&mut told, "loaded", &journal.load(&[incident.id]).await);
        for run in incident.runs.keys() {
            tell(&mut told, "of run", &reads.incident_of_run(*run).await);
        }
    }
    for delivery in &writing.deliveries {
        tell(&mut told, "delivery", &reads.delivery(*delivery).await);
    }
    for request in &writing.requests {
        assert!(journal.request_known(request).await.expect("readable"), "{request:?}");
    }
    tell(&mut told, "changes", &reads.changes_since(5, 100).await);
    let mut breakers = reads.breakers().await.expect("readable");
    breakers.sort_by(|one, other| one.playbook.cmp(&other.playbook));
    tell(&mut told, "breakers", &breakers);
    tell(&mut told, "last runs", &reads.last_runs("reset", 3).await);
    tell(&mut told, "totals", &reads.totals().await);
    tell(&mut told, "due", &journal.jobs_due(writing.now + Span::seconds(50), 3, 10).await);
    let mut resumed = journal.resume_with(writing.now, &words()).await.expect("readable");
    resumed.breakers.sort_by(|one, other| one.playbook.cmp(&other.playbook));
    resumed.firing.sort();
    resumed.spent.sort_by_key(|spent| (spent.at, format!("{spent:?}").replace("\\0", "\u{fffd}")));
    tell(&mut told, "resumed", &resumed);
    told
}

fn queries() -> Vec<IncidentQuery> {
    let all = IncidentQuery { limit: 50, ..IncidentQuery::default() };
    let of = |status: &str| IncidentQuery { status: Some(status.to_owned()), ..all.clone() };
    let with = |q: &str| IncidentQuery { q: Some(q.to_owned()), ..all.clone() };
    vec![
        all.clone(),
        of("open"),
        of("acknowledged"),
        of("resolved"),
        IncidentQuery { before: Some(9), limit: 3, ..of("open") },
        IncidentQuery { q: Some("%".to_owned()), priority: Some(1), ..of("triggered") },
        of("none"),
        IncidentQuery { priority: Some(2), ..all.clone() },
        IncidentQuery { service: Some("disk full".to_owned()), ..all.clone() },
        IncidentQuery { before: Some(9), limit: 3, ..all.clone() },
        with("%"),
        with("_"),
        with("\\"),
        with("DISK"),
        with("größer"),
        with("'"),
    ]
}

fn tell(told: &mut String, what: impl Debug, answer: &impl Debug) {
    let line = format!("{what:?} {answer:?}").replace("\\0", "\u{fffd}");
    writeln!(told, "{line}").expect("a text takes everything");
}
