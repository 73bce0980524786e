//! Rows to values and back, and sets of rows as columns. Knows no verbs.

use std::borrow::Cow;

use std::collections::BTreeMap;

use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};
use sqlx::Row;
use sqlx::postgres::PgRow;

use crate::domain::autonomy::Record;
use crate::domain::hold::Holds;
use crate::domain::id::{DeliveryId, IncidentId, RunId};
use crate::domain::incident::{AlertMark, Incident};
use crate::domain::limits::Waiter;
use crate::domain::time::Timestamp;
use crate::domain::timeline::{Actor, Entry};
use crate::domain::watch::{Asked, Overdue};
use crate::engine::store::{AlertRow, Delivery, Job};

/// One column of a set of rows, for `unnest`: one statement takes them all, however many they are.
pub(super) fn column<'q, T, V>(rows: &'q [T], of: impl Fn(&'q T) -> V) -> Vec<V> {
    rows.iter().map(of).collect()
}

/// A text as PostgreSQL can hold it: NUL becomes U+FFFD. Inside JSON it is an escape, and stays.
pub(in crate::store) fn plain(text: &str) -> Cow<'_, str> {
    if text.contains('\0') { Cow::Owned(text.replace('\0', "\u{fffd}")) } else { Cow::Borrowed(text) }
}

/// What an incident's key is looked for by. Two keys may share it; the key itself is compared as well.
pub(in crate::store) fn key_hash(key: &str) -> i64 {
    hash(Sha256::new_with_prefix(plain(key).as_bytes()))
}

/// The same for a type and a service.
pub(in crate::store) fn family_hash(kind: &str, service: &str) -> i64 {
    hash(Sha256::new_with_prefix(plain(kind).as_bytes()).chain_update([0]).chain_update(plain(service).as_bytes()))
}

fn hash(text: Sha256) -> i64 {
    let digest = text.finalize();
    digest.iter().take(8).fold(0, |hash, byte| (hash << 8) | i64::from(*byte))
}

pub(super) fn to_json(value: &impl Serialize) -> String {
    // Our own types have text keys and no failing serialisers.
    serde_json::to_string(value).unwrap_or_default()
}

pub(super) fn from_json<T: DeserializeOwned>(text: &str) -> Result<T, sqlx::Error> {
    serde_json::from_str(text).map_err(|error| sqlx::Error::Decode(error.into()))
}

pub(super) fn overdue(row: &PgRow) -> Result<Overdue, sqlx::Error> {
    let (number, count): (i64, i64) = (row.try_get("number")?, row.try_get("n")?);
    Ok(Overdue { number: number.unsigned_abs(), due_at: Timestamp(row.try_get("due_at")?), count: count.unsigned_abs() })
}

pub(super) fn asked(row: &PgRow) -> Result<Asked, sqlx::Error> {
    let number: i64 = row.try_get("number")?;
    let effect = from_json(row.try_get("effect")?)?;
    Ok(Asked { number: number.unsigned_abs(), at: Timestamp(row.try_get("due_at")?), started: row.try_get("started")?, effect })
}

pub(super) const RECORDS: &str = "
    select name, value
    from meta
    where name >= 'record/' and name < 'record0'";

/// What each playbook's runs came to.
pub(super) fn records(rows: &[PgRow]) -> Result<BTreeMap<String, Record>, sqlx::Error> {
    let record = |row: &PgRow| {
        let (name, value): (String, String) = (row.try_get("name")?, row.try_get("value")?);
        Ok((name.trim_start_matches("record/").to_owned(), from_json(&value)?))
    };
    rows.iter().map(record).collect()
}

/// Who holds automation; nobody where nothing is written.
pub(super) fn holds(text: Option<String>) -> Result<Holds, sqlx::Error> {
    text.map_or_else(|| Ok(Holds::default()), |text| from_json(&text))
}

pub(super) fn incident(row: &PgRow) -> Result<Incident, sqlx::Error> {
    let mut state: Incident = from_json(row.try_get("state")?)?;
    state.heard_at = Timestamp(row.try_get("heard_at")?);
    Ok(state)
}

pub(super) fn alert(row: &PgRow) -> Result<AlertRow, sqlx::Error> {
    Ok(AlertRow {
        incident: incident_id(row, "incident")?,
        fingerprint: row.try_get("fingerprint")?,
        last_seen_at: Timestamp(row.try_get("last_seen_at")?),
        // What nobody has looked at yet may.
        may_name: row.try_get::<Option<bool>, _>("may_name")?.unwrap_or(true),
        mark: AlertMark {
            firing: row.try_get("firing")?,
            starts_at: Timestamp(row.try_get("starts_at")?),
            changed_at: Timestamp(row.try_get("changed_at")?),
            labels: from_json(row.try_get("labels")?)?,
            annotations: from_json(row.try_get("annotations")?)?,
        },
    })
}

pub(super) fn entry(row: &PgRow) -> Result<Entry, sqlx::Error> {
    let name: String = row.try_get("actor")?;
    let actor = match row.try_get("actor_kind")? {
        "person" => Actor::Person(name),
        "source" => Actor::Source(name),
        _ => Actor::Engine(name),
    };
    let seq: i64 = row.try_get("seq")?;
    Ok(Entry { seq: seq.unsigned_abs(), at: Timestamp(row.try_get("at")?), actor, event: from_json(row.try_get("event")?)? })
}

pub(super) fn job(row: &PgRow) -> Result<Job, sqlx::Error> {
    Ok(Job {
        id: row.try_get("id")?,
        incident: incident_id(row, "incident")?,
        due_at: Timestamp(row.try_get("due_at")?),
        effect: from_json(row.try_get("effect")?)?,
        started: row.try_get("started")?,
    })
}

/// None for a run that waits for something else than its turn.
pub(super) fn waiter(row: &PgRow) -> Result<Option<(String, Waiter)>, sqlx::Error> {
    let run = run_id(row, "id")?;
    let state = incident(row)?;
    let began = state.runs.get(&run).is_some_and(|run| run.current.is_some());
    let playbook = row.try_get("playbook")?;
    Ok((!began).then_some((playbook, Waiter { incident: state.id, run })))
}

pub(super) fn delivery(row: &PgRow) -> Result<Delivery, sqlx::Error> {
    let id: &str = row.try_get("id")?;
    Ok(Delivery {
        id: id.parse::<DeliveryId>().map_err(|error| sqlx::Error::Decode(error.into()))?,
        source: row.try_get("source")?,
        received_at: Timestamp(row.try_get("received_at")?),
        body: row.try_get("body")?,
    })
}

pub(super) fn run_id(row: &PgRow, column: &str) -> Result<RunId, sqlx::Error> {
    let text: &str = row.try_get(column)?;
    text.parse().map_err(|error: uuid::Error| sqlx::Error::Decode(error.into()))
}

pub(super) fn incident_id(row: &PgRow, column: &str) -> Result<IncidentId, sqlx::Error> {
    let text: &str = row.try_get(column)?;
    text.parse().map_err(|error: uuid::Error| sqlx::Error::Decode(error.into()))
}
