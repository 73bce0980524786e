//! Letting go on PostgreSQL: which incidents are old enough, and one slice of rows in a transaction of the lease's holder.
//! Knows no clock and no seal; both are handed in.

use sqlx::{PgPool, Postgres, Row, Transaction};

use crate::domain::chain::Digest;
use crate::domain::id::IncidentId;
use crate::domain::time::Timestamp;
use crate::engine::store::{LetGo, Slice};
use crate::store::postgres::rows::{self, column};

/// Bytes of deliveries that one slice takes: long bodies lie in many rows of their own.
const BYTES: i64 = 4 * 1024 * 1024;

// Whatever was resolved before an instant was opened before it.
const EXPIRED: &str = "
    select id, state::json ->> 'chain' as chain
    from incidents as i
    where status = 'resolved'
      and opened_at < $1
      and (state::json ->> 'resolved_at')::bigint < $1
      and number < (select max(number) from incidents)
      and id <> (select incident from timeline order by position desc limit 1)
      and not exists (select 1 from jobs where incident = i.id)
      and not exists (select 1 from runs where incident = i.id and ended_at is null)
    order by opened_at
    limit $2";

// The oldest stand first, so that only as many are looked at as may go. The newest stays: positions go on from it.
const DELIVERIES: &str = "
    delete from deliveries
    where position in (
        select position
        from (select position, received_at, octet_length(body)::bigint as size, (sum(octet_length(body)) over (order by position))::bigint as upto
              from (select position, received_at, body
                    from deliveries
                    where position <= coalesce((select cast(value as bigint) from meta where name = 'worked_up_to'), 0)
                      and position < (select max(position) from deliveries)
                    order by position
                    limit $2) as oldest) as weighed
        where received_at < $1 and upto - size < $3)";

const REQUESTS: &str = "delete from requests where key in (select key from requests where at < $1 order by at limit $2)";

// Nothing names a row, so it is the instant up to which they go.
const SPENT: &str = "
    delete from spent
    where at <= (select max(at) from (select at from spent where at < $1 order by at limit $2) as oldest)";

const LEAVE: &str = "insert into leaving (incident) select unnest($1::text[])";

const INCIDENTS: &str = "delete from incidents where id = any($1)";

const SEAL: &str = "insert into meta (name, value) values ('seal', $1) on conflict (name) do update set value = excluded.value";

const RUNS: &str = "delete from runs where id in (select r.id from leaving as l join runs as r on r.incident = l.incident limit $1)";

const ALERTS: &str = "
    delete from alerts
    where (incident, fingerprint) in (
        select a.incident, a.fingerprint from leaving as l join alerts as a on a.incident = l.incident limit $1)";

const ENTRIES: &str = "
    delete from timeline
    where position in (select t.position from leaving as l join timeline as t on t.incident = l.incident limit $1)";

// Only once nothing of any is left; whoever leaves meanwhile waits for the others.
const GONE: &str = "delete from leaving";

pub(super) async fn expired(readers: &PgPool, before: Timestamp, limit: u32) -> Result<Vec<(IncidentId, Digest)>, sqlx::Error> {
    let found = sqlx::query(EXPIRED).bind(before.0).bind(i64::from(limit)).fetch_all(readers).await?;
    let read = |row: &sqlx::postgres::PgRow| {
        let chain: Option<String> = row.try_get("chain")?;
        let chain = chain.and_then(|text| text.parse().ok()).unwrap_or_default();
        Ok((rows::incident_id(row, "id")?, chain))
    };
    found.iter().map(read).collect()
}

pub(super) async fn let_go(tx: &mut Transaction<'_, Postgres>, slice: &Slice) -> Result<LetGo, sqlx::Error> {
    let mut went = LetGo::default();
    leave(tx, slice, &mut went).await?;
    the_rest_of_those_leaving(tx, slice.rows, &mut went).await?;
    let horizon = &slice.horizon;
    if let Some(before) = horizon.deliveries {
        let query = sqlx::query(DELIVERIES).bind(before.0).bind(left(slice.rows, &went)).bind(BYTES);
        went.deliveries = query.execute(&mut **tx).await?.rows_affected();
    }
    went.requests = older(tx, REQUESTS, horizon.requests, left(slice.rows, &went)).await?;
    went.spent = older(tx, SPENT, horizon.spent, left(slice.rows, &went)).await?;
    Ok(went)
}

/// From here on nobody finds them any more.
async fn leave(tx: &mut Transaction<'_, Postgres>, slice: &Slice, went: &mut LetGo) -> Result<(), sqlx::Error> {
    if slice.leaving.is_empty() {
        return Ok(());
    }
    let leaving = column(&slice.leaving, IncidentId::to_string);
    sqlx::query(LEAVE).bind(&leaving).execute(&mut **tx).await?;
    went.incidents = sqlx::query(INCIDENTS).bind(&leaving).execute(&mut **tx).await?.rows_affected();
    sqlx::query(SEAL).bind(slice.seal.to_string()).execute(&mut **tx).await?;
    Ok(())
}

async fn the_rest_of_those_leaving(tx: &mut Transaction<'_, Postgres>, rows: u32, went: &mut LetGo) -> Result<(), sqlx::Error> {
    let some: bool = sqlx::query_scalar("select exists (select 1 from leaving)").fetch_one(&mut **tx).await?;
    if !some {
        return Ok(());
    }
    went.runs = sqlx::query(RUNS).bind(left(rows, went)).execute(&mut **tx).await?.rows_affected();
    went.alerts = sqlx::query(ALERTS).bind(left(rows, went)).execute(&mut **tx).await?.rows_affected();
    went.entries = sqlx::query(ENTRIES).bind(left(rows, went)).execute(&mut **tx).await?.rows_affected();
    if left(rows, went) > 0 {
        sqlx::query(GONE).execute(&mut **tx).await?;
    }
    Ok(())
}

async fn older(tx: &mut Transaction<'_, Postgres>, text: &'static str, before: Timestamp, limit: i64) -> Result<u64, sqlx::Error> {
    Ok(sqlx::query(text).bind(before.0).bind(limit).execute(&mut **tx).await?.rows_affected())
}

/// Rows that the slice may still take.
fn left(rows: u32, went: &LetGo) -> i64 {
    (i64::from(rows) - went.rows().cast_signed()).max(0)
}
