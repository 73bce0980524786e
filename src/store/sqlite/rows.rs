//! Rows to values and back, and inserts of many rows in one statement. Knows no verbs.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::query::Query;
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{Row, Sqlite, SqliteConnection};

use crate::domain::autonomy::Record;
use crate::domain::hold::Holds;
use crate::domain::id::{DeliveryId, IncidentId, RunId};
use crate::domain::incident::{AlertMark, Incident};
use crate::domain::limits::Waiter;
use crate::domain::time::Timestamp;
use crate::domain::timeline::{Actor, Entry};
use crate::domain::watch::{Asked, Overdue};
use crate::engine::store::{AlertRow, Delivery, Job};

/// Rows a statement takes: a few sizes, so that every text is in the statement cache.
const SIZES: [usize; 4] = [64, 16, 4, 1];

pub(super) type Statement<'q> = Query<'q, Sqlite, SqliteArguments>;

/// An insert of many rows; its texts are made once, one for each size.
pub(super) struct Insert {
    /// Ends before `values`.
    head: &'static str,
    columns: usize,
    /// Comes after the rows.
    tail: &'static str,
    texts: [OnceLock<String>; SIZES.len()],
}

impl Insert {
    pub const fn new(head: &'static str, columns: usize, tail: &'static str) -> Self {
        Self { head, columns, tail, texts: [const { OnceLock::new() }; SIZES.len()] }
    }

    /// Inserts all rows with as few statements as the sizes allow.
    pub async fn rows<'q, T>(
        &'static self,
        connection: &mut SqliteConnection,
        rows: &'q [T],
        bind: impl Fn(Statement<'q>, &'q T) -> Statement<'q>,
    ) -> Result<(), sqlx::Error> {
        let mut rest = rows;
        for (size, text) in SIZES.into_iter().zip(&self.texts) {
            while rest.len() >= size {
                let (now, later) = rest.split_at(size);
                let text = text.get_or_init(|| self.text(size)).as_str();
                now.iter().fold(sqlx::query(text), &bind).execute(&mut *connection).await?;
                rest = later;
            }
        }
        Ok(())
    }

    fn text(&self, size: usize) -> String {
        let row = format!("({})", vec!["?"; self.columns].join(", "));
        format!("{} values {} {}", self.head, vec![row; size].join(", "), self.tail)
    }
}

pub(super) fn to_json(value: &impl Serialize) -> String {
    // Our own types have text keys and no failing serialisers.
    serde_json::to_string(value).unwrap_or_default()
}

pub(super) fn from_json<T: DeserializeOwned>(text: &str) -> Result<T, sqlx::Error> {
    serde_json::from_str(text).map_err(|error| sqlx::Error::Decode(error.into()))
}

pub(super) fn overdue(row: &SqliteRow) -> Result<Overdue, sqlx::Error> {
    let (number, count): (i64, i64) = (row.try_get("number")?, row.try_get("n")?);
    Ok(Overdue { number: number.unsigned_abs(), due_at: Timestamp(row.try_get("due_at")?), count: count.unsigned_abs() })
}

pub(super) fn asked(row: &SqliteRow) -> Result<Asked, sqlx::Error> {
    let number: i64 = row.try_get("number")?;
    let effect = from_json(row.try_get("effect")?)?;
    Ok(Asked { number: number.unsigned_abs(), at: Timestamp(row.try_get("due_at")?), started: row.try_get("started")?, effect })
}

pub(super) const RECORDS: &str = "
    select name, value
    from meta
    where name >= 'record/' and name < 'record0'";

/// What each playbook's runs came to.
pub(super) fn records(rows: &[SqliteRow]) -> Result<BTreeMap<String, Record>, sqlx::Error> {
    let record = |row: &SqliteRow| {
        let (name, value): (String, String) = (row.try_get("name")?, row.try_get("value")?);
        Ok((name.trim_start_matches("record/").to_owned(), from_json(&value)?))
    };
    rows.iter().map(record).collect()
}

/// Who holds automation; nobody where nothing is written.
pub(super) fn holds(text: Option<String>) -> Result<Holds, sqlx::Error> {
    text.map_or_else(|| Ok(Holds::default()), |text| from_json(&text))
}

pub(super) fn incident(row: &SqliteRow) -> Result<Incident, sqlx::Error> {
    let mut state: Incident = from_json(row.try_get("state")?)?;
    state.heard_at = Timestamp(row.try_get("heard_at")?);
    Ok(state)
}

pub(super) fn alert(row: &SqliteRow) -> Result<AlertRow, sqlx::Error> {
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

pub(super) fn entry(row: &SqliteRow) -> Result<Entry, sqlx::Error> {
    let name: String = row.try_get("actor")?;
    let actor = match row.try_get("actor_kind")? {
        "person" => Actor::Person(name),
        "source" => Actor::Source(name),
        _ => Actor::Engine(name),
    };
    let seq: i64 = row.try_get("seq")?;
    Ok(Entry { seq: seq.unsigned_abs(), at: Timestamp(row.try_get("at")?), actor, event: from_json(row.try_get("event")?)? })
}

pub(super) fn job(row: &SqliteRow) -> Result<Job, sqlx::Error> {
    Ok(Job {
        id: row.try_get("id")?,
        incident: incident_id(row, "incident")?,
        due_at: Timestamp(row.try_get("due_at")?),
        effect: from_json(row.try_get("effect")?)?,
        started: row.try_get("started")?,
    })
}

pub(super) fn waiter(row: &SqliteRow) -> Result<(String, Waiter), sqlx::Error> {
    let run = run_id(row, "id")?;
    Ok((row.try_get("playbook")?, Waiter { incident: incident_id(row, "incident")?, run }))
}

pub(super) fn delivery(row: &SqliteRow) -> Result<Delivery, sqlx::Error> {
    let id: &str = row.try_get("id")?;
    Ok(Delivery {
        id: id.parse::<DeliveryId>().map_err(|error| sqlx::Error::Decode(error.into()))?,
        source: row.try_get("source")?,
        received_at: Timestamp(row.try_get("received_at")?),
        body: row.try_get("body")?,
    })
}

pub(super) fn run_id(row: &SqliteRow, column: &str) -> Result<RunId, sqlx::Error> {
    let text: &str = row.try_get(column)?;
    text.parse().map_err(|error: uuid::Error| sqlx::Error::Decode(error.into()))
}

pub(super) fn incident_id(row: &SqliteRow, column: &str) -> Result<IncidentId, sqlx::Error> {
    let text: &str = row.try_get(column)?;
    text.parse().map_err(|error: uuid::Error| sqlx::Error::Decode(error.into()))
}
