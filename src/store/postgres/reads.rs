//! Everybody else's verbs on PostgreSQL, over connections that the writer does not use.

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
use crate::store::postgres::open::{PostgresStore, store_error};
use crate::store::postgres::rows::{self, column, plain};

const INCIDENTS: &str = "
    select state, heard_at
    from incidents
    where ($1::text is null or status = $1)
      and ($2::bigint is null or priority = $2)
      and ($3::text is null or service = $3)
      and ($4::text is null or title ilike $4 escape '\\' or service ilike $4 escape '\\' or type ilike $4 escape '\\')
      and ($5::bigint is null or number < $5)
    order by number desc
    limit $6";

/// The same for those not resolved, along an index that only they are in: the newest stand first, however many there are.
const OPEN_INCIDENTS: &str = "
    select state, heard_at
    from incidents
    where status <> 'resolved'
      and ($1 = 'open' or status = $1)
      and ($2::bigint is null or priority = $2)
      and ($3::text is null or service = $3)
      and ($4::text is null or title ilike $4 escape '\\' or service ilike $4 escape '\\' or type ilike $4 escape '\\')
      and ($5::bigint is null or number < $5)
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

const DELIVERY: &str = "
    select d.*,
        d.position <= coalesce((select cast(value as bigint) from meta where name = 'worked_up_to'), 0) as worked
    from deliveries as d
    where d.id = $1";

const IN_INBOX: &str = "
    select *
    from inbox
    where id = $1";

/// A delivery belongs to the incident of each of its keys that was open when it came; one that it opened is a moment younger.
/// A statement of its own here: keys are looked for by their hash.
const INCIDENTS_OF_KEYS: &str = "
    select i.id
    from unnest($1::bigint[], $2::text[]) with ordinality as k (key_hash, key, place)
    join incidents as i on i.key_hash = k.key_hash and i.key = k.key
    where i.number = (select max(number) from incidents where key_hash = k.key_hash and key = k.key and opened_at <= $3 + 5000)
    order by k.place";

const CHANGES_SINCE: &str = "
    select max(t.position) as position, t.incident, i.number, max(t.seq) as seq
    from timeline as t
    join incidents as i on i.id = t.incident
    where t.position > $1
    group by t.incident, i.number
    order by position
    limit $2";

const KIN: &str = "
    select i.type, i.service, i.number, i.priority, i.status <> 'resolved' as open, i.opened_at, i.heard_at
    from unnest($1::bigint[], $2::text[], $3::text[]) as family (hash, type, service)
    cross join lateral (
        select *
        from incidents as k
        where k.family_hash = family.hash and k.type = family.type and k.service = family.service
        order by k.number desc
        limit $4) as i
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
        from incidents
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
        (select count(*) from (select 1 from jobs where not started and due_at < $1 limit 1000) as late) as n
    from jobs as j
    join incidents as i on i.id = j.incident
    where not j.started and j.due_at < $1
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
    from jobs as j
    join incidents as i on i.id = j.incident
    where j.incident = any($1) and j.kind = 'perform'
    order by j.id";

#[async_trait]
impl Reads for PostgresStore {
    async fn incidents(&self, query: &IncidentQuery) -> Result<Vec<Incident>, StoreError> {
        let open = matches!(query.status.as_deref(), Some("open" | "triggered" | "acknowledged"));
        // Planned anew each time: which index is the right one hangs on what is asked for.
        let found = sqlx::query(if open { OPEN_INCIDENTS } else { INCIDENTS })
            .persistent(false)
            .bind(query.status.as_deref().map(plain))
            .bind(query.priority.map(i64::from))
            .bind(query.service.as_deref().map(plain))
            .bind(query.q.as_deref().map(pattern))
            .bind(query.before.map(u64::cast_signed))
            .bind(i64::from(query.limit))
            .fetch_all(&self.readers())
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
        let found = query.fetch_optional(&self.readers()).await.map_err(store_error)?;
        found.as_ref().map(rows::incident).transpose().map_err(store_error)
    }

    async fn timeline(&self, id: IncidentId, after: u64, limit: u32) -> Result<Vec<Entry>, StoreError> {
        self.entries(TIMELINE, id, after, limit).await
    }

    async fn timeline_backwards(&self, id: IncidentId, before: u64, limit: u32) -> Result<Vec<Entry>, StoreError> {
        self.entries(TIMELINE_BACKWARDS, id, before.min(i64::MAX.unsigned_abs()), limit).await
    }

    async fn alerts(&self, id: IncidentId, limit: u32) -> Result<Vec<AlertRow>, StoreError> {
        let found =
            sqlx::query(ALERTS).bind(id.to_string()).bind(i64::from(limit)).fetch_all(&self.readers()).await.map_err(store_error)?;
        found.iter().map(rows::alert).collect::<Result<_, _>>().map_err(store_error)
    }

    async fn incident_of_run(&self, run: RunId) -> Result<Option<IncidentId>, StoreError> {
        let found = sqlx::query("select incident from runs where id = $1")
            .bind(run.to_string())
            .fetch_optional(&self.readers())
            .await
            .map_err(store_error)?;
        found.as_ref().map(|row| rows::incident_id(row, "incident")).transpose().map_err(store_error)
    }

    async fn delivery(&self, id: DeliveryId) -> Result<Option<DeliveryReport>, StoreError> {
        self.report(id).await.map_err(store_error)
    }

    async fn changes_since(&self, position: i64, limit: u32) -> Result<Vec<Change>, StoreError> {
        let found =
            sqlx::query(CHANGES_SINCE).bind(position).bind(i64::from(limit)).fetch_all(&self.readers()).await.map_err(store_error)?;
        let change = |row: &sqlx::postgres::PgRow| -> Result<Change, sqlx::Error> {
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
        let found = sqlx::query(KIN)
            .bind(column(families, |Family(kind, service)| rows::family_hash(kind, service)))
            .bind(column(families, |Family(kind, _)| plain(kind)))
            .bind(column(families, |Family(_, service)| plain(service)))
            .bind(i64::from(limit))
            .fetch_all(&self.readers())
            .await
            .map_err(store_error)?;
        found.iter().map(kin).collect::<Result<_, _>>().map_err(store_error)
    }

    async fn records(&self) -> Result<BTreeMap<String, Record>, StoreError> {
        let found = sqlx::query(rows::RECORDS).fetch_all(&self.readers()).await.map_err(store_error)?;
        rows::records(&found).map_err(store_error)
    }

    async fn shadowed(&self, since: Timestamp, limit: u32) -> Result<Vec<(IncidentId, Entry)>, StoreError> {
        let found = sqlx::query(SHADOWED).bind(since.0).bind(i64::from(limit)).fetch_all(&self.readers()).await.map_err(store_error)?;
        let entry = |row: &sqlx::postgres::PgRow| Ok((rows::incident_id(row, "incident")?, rows::entry(row)?));
        found.iter().map(entry).collect::<Result<_, _>>().map_err(store_error)
    }

    async fn audit(&self, due_before: Timestamp, limit: u32) -> Result<Audit, StoreError> {
        self.read_audit(due_before, i64::from(limit)).await.map_err(store_error)
    }

    async fn totals(&self) -> Result<Totals, StoreError> {
        let row = sqlx::query(TOTALS).fetch_one(&self.readers()).await.map_err(store_error)?;
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
        let count: i64 = sqlx::query_scalar("select count(*) from jobs").fetch_one(&self.readers()).await.map_err(store_error)?;
        Ok(count.unsigned_abs())
    }

    async fn spent_since(&self, since: Timestamp) -> Result<Vec<Spent>, StoreError> {
        self.spent_after(&self.readers(), since).await.map_err(store_error)
    }

    async fn breakers(&self) -> Result<Vec<Breaker>, StoreError> {
        self.stored_breakers(&self.readers()).await.map_err(store_error)
    }

    async fn last_runs(&self, playbook: &str, limit: u32) -> Result<Vec<(u64, Run)>, StoreError> {
        self.runs_before(playbook, limit).await.map_err(store_error)
    }

    async fn overview(&self, now: Timestamp) -> Result<Overview, StoreError> {
        self.read_overview(now).await.map_err(store_error)
    }
}

impl PostgresStore {
    async fn read_audit(&self, due_before: Timestamp, limit: i64) -> Result<Audit, sqlx::Error> {
        let readers = self.readers();
        let adrift: Vec<i64> = sqlx::query_scalar(ADRIFT).bind(limit).fetch_all(&readers).await?;
        let overdue = sqlx::query(OVERDUE).bind(due_before.0).fetch_optional(&readers).await?;
        let at_work = sqlx::query(UNDER_WAY).bind(limit).fetch_all(&readers).await?;
        let at_work = at_work.iter().map(rows::incident).collect::<Result<Vec<_>, _>>()?;
        let ids: Vec<String> = at_work.iter().map(|incident| incident.id.to_string()).collect();
        let attempts = sqlx::query(ATTEMPTS).bind(ids).fetch_all(&readers).await?;
        Ok(Audit {
            adrift: adrift.into_iter().map(i64::unsigned_abs).collect(),
            overdue: overdue.as_ref().map(rows::overdue).transpose()?,
            attempts: attempts.iter().map(rows::asked).collect::<Result<_, _>>()?,
            at_work,
        })
    }

    async fn report(&self, id: DeliveryId) -> Result<Option<DeliveryReport>, sqlx::Error> {
        // First where it would be earlier: it goes from the inbox to the deliveries, and never back.
        let waiting = self.report_of_waiting(id).await?;
        let Some(row) = sqlx::query(DELIVERY).bind(id.to_string()).fetch_optional(&self.readers()).await? else { return Ok(waiting) };
        let list = |column: &str| row.try_get::<Option<String>, _>(column).map(|text| text.unwrap_or_else(|| "[]".to_owned()));
        let keys: Vec<String> = rows::from_json(&list("keys")?)?;
        let delivery = rows::delivery(&row)?;
        let incidents = sqlx::query(INCIDENTS_OF_KEYS)
            .bind(column(&keys, |key| rows::key_hash(key)))
            .bind(column(&keys, |key| plain(key)))
            .bind(delivery.received_at.0)
            .fetch_all(&self.readers())
            .await?;
        Ok(Some(DeliveryReport {
            worked: row.try_get("worked")?,
            incidents: incidents.iter().map(|row| rows::incident_id(row, "id")).collect::<Result<_, _>>()?,
            rejected: rows::from_json(&list("rejected")?)?,
            delivery,
        }))
    }

    /// One that was taken in, and that the writer has not seen yet.
    async fn report_of_waiting(&self, id: DeliveryId) -> Result<Option<DeliveryReport>, sqlx::Error> {
        let found = sqlx::query(IN_INBOX).bind(id.to_string()).fetch_optional(&self.readers()).await?;
        let Some(row) = found else { return Ok(None) };
        Ok(Some(DeliveryReport { delivery: rows::delivery(&row)?, worked: false, incidents: Vec::new(), rejected: Vec::new() }))
    }

    async fn entries(&self, text: &'static str, id: IncidentId, from: u64, limit: u32) -> Result<Vec<Entry>, StoreError> {
        let found = sqlx::query(text)
            .bind(id.to_string())
            .bind(from.cast_signed())
            .bind(i64::from(limit))
            .fetch_all(&self.readers())
            .await
            .map_err(store_error)?;
        found.iter().map(rows::entry).collect::<Result<_, _>>().map_err(store_error)
    }
}

fn kin(row: &sqlx::postgres::PgRow) -> Result<Kin, sqlx::Error> {
    let (number, priority): (i64, i64) = (row.try_get("number")?, row.try_get("priority")?);
    Ok(Kin {
        family: Family(row.try_get("type")?, row.try_get("service")?),
        number: number.unsigned_abs(),
        priority: u8::try_from(priority).unwrap_or(u8::MAX),
        open: row.try_get("open")?,
        opened_at: Timestamp(row.try_get("opened_at")?),
        heard_at: Timestamp(row.try_get("heard_at")?),
    })
}

/// Words as a `like` pattern; the user's own `%` and `_` are only letters.
fn pattern(words: &str) -> String {
    let words = plain(words).replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
    format!("%{words}%")
}
