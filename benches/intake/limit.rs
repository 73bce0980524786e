//! What new incidents could cost at the least: the very batches that Reynard committed, written again to the same five tables by plain
//! statements, with every text made beforehand. Between the two lie HTTP, parsing, classifying, deciding and serialising.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use reynard::domain::id::IncidentId;
use reynard::domain::incident::Incident;
use reynard::domain::labels::Labels;
use reynard::domain::time::Timestamp;
use reynard::domain::trouble::Words;
use reynard::engine::store::{Batch, Job, Journal, Resumed, StoreError};
use sqlx::{AssertSqlSafe, Connection, SqliteConnection};

use crate::house::{self, House};
use crate::load::Load;
use crate::probe::database;

/// New incidents a second, their first steps begun: Reynard's, and the tables' limit. The batches are those of a second run, because
/// keeping a copy of each would slow the first.
pub async fn pair(load: Load, span: Duration) -> (f64, f64) {
    let own = house::rate(load, span).await;
    let batches = Arc::new(Mutex::new(Vec::new()));
    let kept = batches.clone();
    let house = House::with(|inner| Arc::new(Recorder { inner, kept })).await;
    load.run(house.address, span).await;
    house.ends();
    let batches = std::mem::take(&mut *batches.lock().expect("no panics"));
    (own, raw(&batches).await)
}

async fn raw(batches: &[Batch]) -> f64 {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut connection = database(&folder.path().join("limit.db")).await;
    sqlx::raw_sql(include_str!("../../migrations/sqlite/0001_initial.sql")).execute(&mut connection).await.expect("the same tables");
    let written: Vec<[Rows; 5]> = batches.iter().map(rows_of).collect();
    let incidents: usize = batches.iter().map(|batch| batch.deliveries.len()).sum();
    let began = Instant::now();
    for tables in &written {
        let mut tx = connection.begin_with("begin immediate").await.expect("begun");
        for rows in tables {
            rows.write(&mut tx).await;
        }
        tx.commit().await.expect("committed");
    }
    incidents as f64 / began.elapsed().as_secs_f64()
}

enum Cell {
    Number(i64),
    Text(String),
    Bytes(Vec<u8>),
}

struct Rows {
    head: &'static str,
    tail: &'static str,
    rows: Vec<Vec<Cell>>,
}

impl Rows {
    async fn write(&self, connection: &mut SqliteConnection) {
        let mut rest = &self.rows[..];
        for size in [64, 16, 4, 1] {
            while rest.len() >= size {
                let (now, later) = rest.split_at(size);
                let row = format!("({})", vec!["?"; now[0].len()].join(", "));
                let text = format!("{} values {} {}", self.head, vec![row; size].join(", "), self.tail);
                let cells = now.iter().flatten();
                let statement = cells.fold(sqlx::query(AssertSqlSafe(text)), |q, cell| match cell {
                    Cell::Number(number) => q.bind(number),
                    Cell::Text(text) => q.bind(text),
                    Cell::Bytes(bytes) => q.bind(bytes),
                });
                statement.execute(&mut *connection).await.expect("stored");
                rest = later;
            }
        }
    }
}

fn rows_of(batch: &Batch) -> [Rows; 5] {
    use Cell::{Bytes, Number, Text};
    let deliveries = (batch.first_delivery..).zip(&batch.deliveries).map(|(position, row)| {
        let d = &row.delivery;
        let keys = json(&row.keys);
        vec![Number(position), Text(d.id.to_string()), Text(d.source.clone()), Number(d.received_at.0), Text(keys), Bytes(d.body.clone())]
    });
    let timeline = (batch.first_position..).zip(&batch.entries).map(|(position, (incident, entry))| {
        let (kind, name) = (entry.actor.kind().to_owned(), entry.actor.name().to_owned());
        let event = json(&entry.event);
        let (incident, what) = (incident.to_string(), entry.event.kind().to_owned());
        vec![
            Number(position),
            Text(incident),
            Number(entry.seq.cast_signed()),
            Number(entry.at.0),
            Text(what),
            Text(kind),
            Text(name),
            Text(event),
        ]
    });
    let incidents = batch.incidents.iter().map(|row| {
        let i = &row.state;
        vec![
            Text(i.id.to_string()),
            Number(i.number.cast_signed()),
            Text(row.key.clone()),
            Text(i.status.word().to_owned()),
            Number(i.priority.number().into()),
            Text(i.kind.clone()),
            Text(i.service.clone()),
            Text(i.title.clone()),
            Number(i.opened_at.0),
            Number(i.heard_at.0),
            Number(i.seq.cast_signed()),
            Text(json(i)),
        ]
    });
    let alerts = batch.alerts.iter().map(|row| {
        let m = &row.mark;
        let (labels, annotations) = (json(&m.labels), json(&m.annotations));
        let (incident, fingerprint) = (row.incident.to_string(), row.fingerprint.clone());
        let (starts, changed, seen) = (Number(m.starts_at.0), Number(m.changed_at.0), Number(row.last_seen_at.0));
        vec![Text(incident), Text(fingerprint), Number(m.firing.into()), starts, changed, seen, Text(labels), Text(annotations)]
    });
    let jobs = batch.jobs.iter().map(|job| {
        vec![
            Number(job.id),
            Text(job.incident.to_string()),
            Text("timer".into()),
            Number(job.due_at.0),
            Number(job.started.into()),
            Text(json(&job.effect)),
        ]
    });
    [
        rows("insert into deliveries (position, id, source, received_at, keys, body)", "", deliveries),
        rows("insert into timeline (position, incident, seq, at, kind, actor_kind, actor, event)", "", timeline),
        rows(
            "insert into incidents (id, number, key, status, priority, type, service, title, opened_at, heard_at, seq, state)",
            "on conflict (id) do update set status = excluded.status, seq = excluded.seq, state = excluded.state",
            incidents,
        ),
        rows(
            "insert into alerts (incident, fingerprint, firing, starts_at, changed_at, last_seen_at, labels, annotations)",
            "on conflict (incident, fingerprint) do update set firing = excluded.firing, changed_at = excluded.changed_at",
            alerts,
        ),
        rows("insert into jobs (id, incident, kind, due_at, started, effect)", "", jobs),
    ]
}

fn rows(head: &'static str, tail: &'static str, rows: impl Iterator<Item = Vec<Cell>>) -> Rows {
    Rows { head, tail, rows: rows.collect() }
}

fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).expect("our own types")
}

/// Keeps a copy of every batch.
struct Recorder {
    inner: Arc<dyn Journal>,
    kept: Arc<Mutex<Vec<Batch>>>,
}

#[async_trait]
impl Journal for Recorder {
    async fn resume(&self, now: Timestamp) -> Result<Resumed, StoreError> {
        self.inner.resume(now).await
    }

    async fn firing(&self, words: &Words) -> Result<Vec<(IncidentId, String, Labels)>, StoreError> {
        self.inner.firing(words).await
    }

    async fn commit(&self, batch: &Batch, now: Timestamp) -> Result<(), StoreError> {
        self.kept.lock().expect("no panics").push(batch.clone());
        self.inner.commit(batch, now).await
    }

    async fn newest_of_keys(&self, keys: &[String]) -> Result<Vec<(String, Incident)>, StoreError> {
        self.inner.newest_of_keys(keys).await
    }

    async fn load(&self, ids: &[IncidentId]) -> Result<Vec<(String, Incident)>, StoreError> {
        self.inner.load(ids).await
    }

    async fn jobs_due(&self, until: Timestamp, after: i64, limit: u32) -> Result<Vec<Job>, StoreError> {
        self.inner.jobs_due(until, after, limit).await
    }

    async fn request_known(&self, key: &str) -> Result<bool, StoreError> {
        self.inner.request_known(key).await
    }

    async fn keep_revision(&self, revision: &str, slug: &str, source: &str, now: Timestamp) -> Result<(), StoreError> {
        self.inner.keep_revision(revision, slug, source, now).await
    }

    async fn pinned_revisions(&self) -> Result<Vec<(String, String, String)>, StoreError> {
        self.inner.pinned_revisions().await
    }
}
