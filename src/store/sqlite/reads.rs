//! Everybody else's verbs on SQLite, over connections that cannot write.

use std::collections::BTreeMap;

use async_trait::async_trait;
use sqlx::Row;

use crate::domain::autonomy::Record;
use crate::domain::breaker::Breaker;
use crate::domain::id::{DeliveryId, IncidentId, RunId};
use crate::domain::incident::Incident;
use crate::domain::limits::Spent;
use crate::domain::run::Run;
use crate::domain::time::Timestamp;
use crate::domain::timeline::Entry;
use crate::domain::watch::Audit;
use crate::engine::nodes::Overview;
use crate::engine::store::{AlertRow, Change, DeliveryReport, Family, IncidentName, IncidentQuery, Kin, Reads, StoreError, Totals};
use crate::store::sqlite::open::{SqliteStore, store_error};
use crate::store::sqlite::rows;

const INCIDENTS: &str = "
    select state, heard_at
    from incidents
    where ($1 is null or status = $1)
      and ($2 is null or priority = $2)
      and ($3 is null or service = $3)
      and ($4 is null or title like $4 escape '\\' or service like $4 escape '\\' or type like $4 escape '\\')
      and ($5 is null or number < $5)
    order by number desc
    limit $6";

/// The same for those not resolved, along an index that only they are in: the newest stand first, however many there are.
const OPEN_INCIDENTS: &str = "
    select state, heard_at
    from incidents indexed by incidents_open_by_number
    where status <> 'resolved'
      and ($1 = 'open' or status = $1)
      and ($2 is null or priority = $2)
      and ($3 is null or service = $3)
      and ($4 is null or title like $4 escape '\\' or service like $4 escape '\\' or type like $4 escape '\\')
      and number < coalesce($5, 9223372036854775807)
    order by number desc
    limit $6";

/// And for those of one priority, so that a few of the worst are found among many others.
const OPEN_OF_PRIORITY: &str = "
    select state, heard_at
    from incidents indexed by incidents_open
    where status <> 'resolved'
      and ($1 = 'open' or status = $1)
      and priority = $2
      and ($3 is null or service = $3)
      and ($4 is null or title like $4 escape '\\' or service like $4 escape '\\' or type like $4 escape '\\')
      and number < coalesce($5, 9223372036854775807)
    order by number desc
    limit $6";

const TIMELINE: &str = "
    select seq, at, actor_kind, actor, event
    from timeline
    where incident = $1 and seq > $2
    order by seq
    limit $3";

const TIMELINE_BACKWARDS: &str = "
    select seq, at, actor_kind, actor, event
    from timeline
    where incident = $1 and seq < $2
    order by seq desc
    limit $3";

const ALERTS: &str = "
    select *
    from alerts
    where incident = $1
    order by firing desc, starts_at, fingerprint
    limit $2";

/// A delivery belongs to the incident of each of its keys that was open when it came; one that it opened is a moment younger.
const DELIVERY: &str = "
    select d.*,
        d.position <= coalesce((select cast(value as integer) from meta where name = 'worked_up_to'), 0) as worked,
        (select json_group_array(i.id)
         from json_each(d.keys) as k
         join incidents as i on i.key = k.value
         where i.number = (select max(number) from incidents where key = k.value and opened_at <= d.received_at + 5000)) as incidents
    from deliveries as d
    where d.id = $1";

const IN_INBOX: &str = "
    select *
    from inbox
    where id = $1";

const LATENESS: &str = "
    select
        (select min(due_at) from jobs where started = 0 and due_at <= $1) as due_at,
        (select count(*) from inbox) as inbox,
        (select min(kept_at) from inbox) as kept_at";

const CHANGES_SINCE: &str = "
    select max(t.position) as position, t.incident, i.number, max(t.seq) as seq
    from timeline as t
    join incidents as i on i.id = t.incident
    where t.position > $1
    group by t.incident
    order by position
    limit $2";

/// `cross join` keeps the order: with statistics, SQLite would walk all incidents and ask for each whether it is one of them.
const KIN: &str = "
    select i.type, i.service, i.number, i.priority, i.status <> 'resolved' as open, i.opened_at, i.heard_at
    from json_each($1) as family
    cross join incidents as i on i.number in (
        select k.number
        from incidents as k
        where k.type = family.value ->> 0 and k.service = family.value ->> 1
        order by k.number desc
        limit $2)
    order by i.number desc";

/// The open ones are walked once.
const TOTALS: &str = "
    select
        open.*,
        (select max(position) from deliveries) as deliveries,
        (select received_at from deliveries order by position desc limit 1) as last_delivery_at,
        (select source from deliveries order by position desc limit 1) as last_delivery_from,
        (select max(position) from timeline) as last_position,
        (select value from meta where name = 'holds') as holds
    from (
        select
            count(*) filter (where priority = 1) as p1,
            count(*) filter (where priority = 2) as p2,
            count(*) filter (where priority = 3) as p3,
            count(*) filter (where priority = 4) as p4,
            count(*) filter (where status = 'triggered') as unacknowledged
        from incidents indexed by incidents_open_by_number
        where status <> 'resolved') as open";

/// By the index of what was skipped, so that only its last days are read.
const SHADOWED: &str = "
    select incident, seq, at, actor_kind, actor, event
    from timeline
    where kind = 'step_skipped'
      and at >= $1
      and event like '{\"kind\":\"step_shadowed\"%'
    order by at desc, position desc
    limit $2";

/// Open, nobody is at it, and nothing is asked for.
const ADRIFT: &str = "
    select number
    from incidents as i
    where status <> 'resolved'
      and status = 'triggered'
      and not exists (select 1 from jobs where incident = i.id)
    order by priority, number
    limit $1";

const OVERDUE: &str = "
    select i.number, j.due_at,
        (select count(*) from (select 1 from jobs where started = 0 and due_at < $1 limit 1000)) as n
    from jobs as j
    join incidents as i on i.id = j.incident
    where j.started = 0 and j.due_at < $1
    order by j.due_at, j.id
    limit 1";

const UNDER_WAY: &str = "
    select state, heard_at
    from incidents
    where status <> 'resolved'
      and id in (select incident from runs where ended_at is null)
    order by number
    limit $1";

const ATTEMPTS: &str = "
    select i.number, j.due_at, j.started, j.effect
    from json_each($1) as one
    join jobs as j on j.incident = one.value and j.kind = 'perform'
    join incidents as i on i.id = j.incident
    order by j.id";

#[async_trait]
impl Reads for SqliteStore {
    async fn incidents(&self, query: &IncidentQuery) -> Result<Vec<Incident>, StoreError> {
        let open = matches!(query.status.as_deref(), Some("open" | "triggered" | "acknowledged"));
        let text = match (open, query.priority) {
            (true, Some(_)) => OPEN_OF_PRIORITY,
            (true, None) => OPEN_INCIDENTS,
            (false, _) => INCIDENTS,
        };
        let found = sqlx::query(text)
            .bind(&query.status)
            .bind(query.priority)
            .bind(&query.service)
            .bind(query.q.as_deref().map(pattern))
            .bind(query.before.map(u64::cast_signed))
            .bind(query.limit)
            .fetch_all(&self.readers)
            .await
            .map_err(store_error)?;
        found.iter().map(rows::incident).collect::<Result<_, _>>().map_err(store_error)
    }

    async fn incident(&self, name: IncidentName) -> Result<Option<Incident>, StoreError> {
        let query = match name {
            IncidentName::Id(id) => sqlx::query("select state, heard_at from incidents where id = $1").bind(id.to_string()),
            IncidentName::Number(number) => {
                sqlx::query("select state, heard_at from incidents where number = $1").bind(number.cast_signed())
            }
        };
        let found = query.fetch_optional(&self.readers).await.map_err(store_error)?;
        found.as_ref().map(rows::incident).transpose().map_err(store_error)
    }

    async fn timeline(&self, id: IncidentId, after: u64, limit: u32) -> Result<Vec<Entry>, StoreError> {
        self.entries(TIMELINE, id, after, limit).await
    }

    async fn timeline_backwards(&self, id: IncidentId, before: u64, limit: u32) -> Result<Vec<Entry>, StoreError> {
        self.entries(TIMELINE_BACKWARDS, id, before.min(i64::MAX.unsigned_abs()), limit).await
    }

    async fn alerts(&self, id: IncidentId, limit: u32) -> Result<Vec<AlertRow>, StoreError> {
        let found = sqlx::query(ALERTS).bind(id.to_string()).bind(limit).fetch_all(&self.readers).await.map_err(store_error)?;
        found.iter().map(rows::alert).collect::<Result<_, _>>().map_err(store_error)
    }

    async fn incident_of_run(&self, run: RunId) -> Result<Option<IncidentId>, StoreError> {
        let found = sqlx::query("select incident from runs where id = $1")
            .bind(run.to_string())
            .fetch_optional(&self.readers)
            .await
            .map_err(store_error)?;
        found.as_ref().map(|row| rows::incident_id(row, "incident")).transpose().map_err(store_error)
    }

    async fn delivery(&self, id: DeliveryId) -> Result<Option<DeliveryReport>, StoreError> {
        // First where it would be earlier: it goes from the inbox to the deliveries, and never back.
        let waiting = sqlx::query(IN_INBOX).bind(id.to_string()).fetch_optional(&self.readers).await.map_err(store_error)?;
        let found = sqlx::query(DELIVERY).bind(id.to_string()).fetch_optional(&self.readers).await.map_err(store_error)?;
        let told = found.as_ref().map(report).or_else(|| waiting.as_ref().map(report_of_waiting));
        told.transpose().map_err(store_error)
    }

    async fn changes_since(&self, position: i64, limit: u32) -> Result<Vec<Change>, StoreError> {
        let found = sqlx::query(CHANGES_SINCE).bind(position).bind(limit).fetch_all(&self.readers).await.map_err(store_error)?;
        let change = |row: &sqlx::sqlite::SqliteRow| -> Result<Change, sqlx::Error> {
            let (number, seq): (i64, i64) = (row.try_get("number")?, row.try_get("seq")?);
            Ok(Change {
                position: row.try_get("position")?,
                incident: rows::incident_id(row, "incident")?,
                number: number.unsigned_abs(),
                seq: seq.unsigned_abs(),
            })
        };
        found.iter().map(change).collect::<Result<_, _>>().map_err(store_error)
    }

    async fn kin(&self, families: &[Family], limit: u32) -> Result<Vec<Kin>, StoreError> {
        let found = sqlx::query(KIN).bind(rows::to_json(&families)).bind(limit).fetch_all(&self.readers).await.map_err(store_error)?;
        found.iter().map(kin).collect::<Result<_, _>>().map_err(store_error)
    }

    async fn records(&self) -> Result<BTreeMap<String, Record>, StoreError> {
        let found = sqlx::query(rows::RECORDS).fetch_all(&self.readers).await.map_err(store_error)?;
        rows::records(&found).map_err(store_error)
    }

    async fn shadowed(&self, since: Timestamp, limit: u32) -> Result<Vec<(IncidentId, Entry)>, StoreError> {
        let found = sqlx::query(SHADOWED).bind(since.0).bind(limit).fetch_all(&self.readers).await.map_err(store_error)?;
        let entry = |row: &sqlx::sqlite::SqliteRow| Ok((rows::incident_id(row, "incident")?, rows::entry(row)?));
        found.iter().map(entry).collect::<Result<_, _>>().map_err(store_error)
    }

    async fn audit(&self, due_before: Timestamp, limit: u32) -> Result<Audit, StoreError> {
        self.read_audit(due_before, limit).await.map_err(store_error)
    }

    async fn totals(&self) -> Result<Totals, StoreError> {
        let row = sqlx::query(TOTALS).fetch_one(&self.readers).await.map_err(store_error)?;
        let number = |name: &str| row.try_get::<Option<i64>, _>(name).map(|n| n.unwrap_or(0).unsigned_abs()).map_err(store_error);
        Ok(Totals {
            open: [number("p1")?, number("p2")?, number("p3")?, number("p4")?],
            unacknowledged: number("unacknowledged")?,
            deliveries: number("deliveries")?,
            last_delivery_at: row.try_get::<Option<i64>, _>("last_delivery_at").map_err(store_error)?.map(Timestamp),
            last_delivery_from: row.try_get("last_delivery_from").map_err(store_error)?,
            last_position: row.try_get::<Option<i64>, _>("last_position").map_err(store_error)?.unwrap_or(0),
            holds: rows::holds(row.try_get("holds").map_err(store_error)?).map_err(store_error)?,
        })
    }

    async fn jobs_pending(&self) -> Result<u64, StoreError> {
        let count: i64 = sqlx::query_scalar("select count(*) from jobs").fetch_one(&self.readers).await.map_err(store_error)?;
        Ok(count.unsigned_abs())
    }

    async fn spent_since(&self, since: Timestamp) -> Result<Vec<Spent>, StoreError> {
        self.spent_after(since).await.map_err(store_error)
    }

    async fn breakers(&self) -> Result<Vec<Breaker>, StoreError> {
        self.stored_breakers().await.map_err(store_error)
    }

    async fn last_runs(&self, playbook: &str, limit: u32) -> Result<Vec<(u64, Run)>, StoreError> {
        self.runs_before(playbook, limit).await.map_err(store_error)
    }

    /// There are no nodes here: whoever has the file is the only one.
    async fn overview(&self, now: Timestamp) -> Result<Overview, StoreError> {
        let row = sqlx::query(LATENESS).bind(now.0).fetch_one(&self.readers).await.map_err(store_error)?;
        let since = |name: &str| row.try_get::<Option<i64>, _>(name).map(|at| at.map(|at| now.since(Timestamp(at)))).map_err(store_error);
        let inbox: i64 = row.try_get("inbox").map_err(store_error)?;
        Ok(Overview {
            oldest_due: since("due_at")?,
            inbox: inbox.unsigned_abs(),
            oldest_in_inbox: since("kept_at")?,
            ..Overview::default()
        })
    }
}

impl SqliteStore {
    async fn read_audit(&self, due_before: Timestamp, limit: u32) -> Result<Audit, sqlx::Error> {
        let adrift: Vec<i64> = sqlx::query_scalar(ADRIFT).bind(limit).fetch_all(&self.readers).await?;
        let overdue = sqlx::query(OVERDUE).bind(due_before.0).fetch_optional(&self.readers).await?;
        let at_work = sqlx::query(UNDER_WAY).bind(limit).fetch_all(&self.readers).await?;
        let at_work = at_work.iter().map(rows::incident).collect::<Result<Vec<_>, _>>()?;
        let ids: Vec<IncidentId> = at_work.iter().map(|incident| incident.id).collect();
        let attempts = sqlx::query(ATTEMPTS).bind(rows::to_json(&ids)).fetch_all(&self.readers).await?;
        Ok(Audit {
            adrift: adrift.into_iter().map(i64::unsigned_abs).collect(),
            overdue: overdue.as_ref().map(rows::overdue).transpose()?,
            attempts: attempts.iter().map(rows::asked).collect::<Result<_, _>>()?,
            at_work,
        })
    }

    async fn entries(&self, text: &'static str, id: IncidentId, from: u64, limit: u32) -> Result<Vec<Entry>, StoreError> {
        let found = sqlx::query(text)
            .bind(id.to_string())
            .bind(from.cast_signed())
            .bind(limit)
            .fetch_all(&self.readers)
            .await
            .map_err(store_error)?;
        found.iter().map(rows::entry).collect::<Result<_, _>>().map_err(store_error)
    }
}

fn kin(row: &sqlx::sqlite::SqliteRow) -> Result<Kin, sqlx::Error> {
    let number: i64 = row.try_get("number")?;
    Ok(Kin {
        family: Family(row.try_get("type")?, row.try_get("service")?),
        number: number.unsigned_abs(),
        priority: row.try_get("priority")?,
        open: row.try_get("open")?,
        opened_at: Timestamp(row.try_get("opened_at")?),
        heard_at: Timestamp(row.try_get("heard_at")?),
    })
}

/// One that was taken in, and that the writer has not seen yet.
fn report_of_waiting(row: &sqlx::sqlite::SqliteRow) -> Result<DeliveryReport, sqlx::Error> {
    Ok(DeliveryReport { delivery: rows::delivery(row)?, worked: false, incidents: Vec::new(), rejected: Vec::new() })
}

fn report(row: &sqlx::sqlite::SqliteRow) -> Result<DeliveryReport, sqlx::Error> {
    let list = |column: &str| row.try_get::<Option<String>, _>(column).map(|text| text.unwrap_or_else(|| "[]".to_owned()));
    Ok(DeliveryReport {
        delivery: rows::delivery(row)?,
        worked: row.try_get("worked")?,
        incidents: rows::from_json(&list("incidents")?)?,
        rejected: rows::from_json(&list("rejected")?)?,
    })
}

/// Words as a `like` pattern; the user's own `%` and `_` are only letters.
fn pattern(words: &str) -> String {
    let plain = words.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
    format!("%{plain}%")
}

#[cfg(test)]
mod tests {
    use super::*;
    use sqlx::AssertSqlSafe;

    /// How SQLite goes about a query, a line a step.
    async fn plan(store: &SqliteStore, text: &str, values: usize) -> String {
        let explained = format!("explain query plan {text}");
        let query = (0..values).fold(sqlx::query(AssertSqlSafe(explained)), |query, _| query.bind("[]"));
        let steps = query.fetch_all(&store.readers).await.expect("it is explained");
        steps.iter().map(|step| step.get::<String, _>("detail")).collect::<Vec<_>>().join("\n")
    }

    #[tokio::test]
    async fn what_every_page_asks_costs_the_same_after_a_year() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = SqliteStore::open(&folder.path().join("reynard.db")).await.expect("a database");
        for (name, text, values, index) in [
            ("open", OPEN_INCIDENTS, 6, "incidents_open_by_number"),
            ("open of a priority", OPEN_OF_PRIORITY, 6, "incidents_open (priority=?"),
            ("jobs", crate::store::sqlite::journal::JOBS_NEXT, 4, "jobs_due"),
            ("at work", crate::store::sqlite::journal::AT_WORK, 0, "jobs_at_work"),
            ("kin", KIN, 2, "incidents_of_family"),
            ("totals", TOTALS, 0, "incidents_open"),
            ("adrift", ADRIFT, 1, "incidents_open"),
            ("overdue", OVERDUE, 1, "jobs_due"),
            ("shadowed", SHADOWED, 2, "timeline_skipped"),
            ("under way", UNDER_WAY, 1, "runs_open"),
            ("timeline", TIMELINE, 3, "timeline_of_incident"),
            ("timeline backwards", TIMELINE_BACKWARDS, 3, "timeline_of_incident"),
        ] {
            let plan = plan(&store, text, values).await;
            assert!(plan.contains(index), "{name}:\n{plan}");
            let walks = |step: &str| step.starts_with("SCAN incidents") && !step.contains("incidents_open");
            assert!(!plan.lines().any(walks), "{name} walks every incident there ever was:\n{plan}");
        }
    }
}
