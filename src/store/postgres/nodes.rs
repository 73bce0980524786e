//! The nodes that share the database, each in a row of its own that it writes itself, and how late the work is.

use sqlx::Row;
use sqlx::postgres::PgRow;

use crate::domain::time::{Span, Timestamp};
use crate::engine::nodes::{Overview, Peer, Role};
use crate::store::postgres::lease::{LASTS, SHARD};
use crate::store::postgres::open::PostgresStore;

/// A node that was not heard of for so long, in milliseconds, is no node any more.
const FORGOTTEN_AFTER: i64 = 24 * 3_600_000;

const HERE: &str = "
    insert into nodes as n (name, url, version, role, since, seen_at)
    select $1, $2, $3, $4, clock.at, clock.at
    from (select (extract(epoch from clock_timestamp()) * 1000)::bigint as at) as clock
    on conflict (name) do update set url = excluded.url, version = excluded.version, role = excluded.role, seen_at = excluded.seen_at,
        since = case when n.role = excluded.role then n.since else excluded.since end";

const FORGET: &str = "
    delete from nodes
    where seen_at < (extract(epoch from clock_timestamp()) * 1000)::bigint - $1";

const PEERS: &str = "
    select name, url, version, role, since, greatest((extract(epoch from clock_timestamp()) * 1000)::bigint - seen_at, 0) as seen
    from nodes
    order by name";

const LEASE: &str = "
    select case when expires_at > clock.at and owner <> '' then node end as holder, epoch,
        case when expires_at > 0 then greatest(clock.at - (expires_at - $2), 0) end as age,
        (select count(*) from inbox) as inbox,
        (select case when count(*) > 0 then greatest(clock.at - min(kept_at), 0) end from inbox) as oldest
    from lease, (select (extract(epoch from clock_timestamp()) * 1000)::bigint as at) as clock
    where shard = $1";

const OLDEST_DUE: &str = "
    select min(due_at)
    from jobs
    where not started and due_at <= $1";

impl PostgresStore {
    /// Over a connection of its own, so that no commit waits for it.
    pub(super) async fn say_here(&self, role: Role, url: Option<&str>) -> Result<(), sqlx::Error> {
        let takers = self.takers();
        let here = sqlx::query(HERE).bind(&self.node).bind(url).bind(env!("CARGO_PKG_VERSION")).bind(role.word());
        here.execute(&takers).await?;
        if role == Role::Active {
            sqlx::query(FORGET).bind(FORGOTTEN_AFTER).execute(&takers).await?;
        }
        Ok(())
    }

    pub(super) async fn read_overview(&self, now: Timestamp) -> Result<Overview, sqlx::Error> {
        let readers = self.readers();
        let peers = sqlx::query(PEERS).fetch_all(&readers).await?.iter().map(peer).collect::<Result<_, _>>()?;
        let due: Option<i64> = sqlx::query_scalar(OLDEST_DUE).bind(now.0).fetch_one(&readers).await?;
        let row = sqlx::query(LEASE).bind(SHARD).bind(LASTS).fetch_one(&readers).await?;
        let inbox: i64 = row.try_get("inbox")?;
        Ok(Overview {
            peers,
            holder: row.try_get("holder")?,
            epoch: row.try_get("epoch")?,
            lease_age: span(row.try_get("age")?),
            oldest_due: due.map(|at| now.since(Timestamp(at))),
            inbox: inbox.unsigned_abs(),
            oldest_in_inbox: span(row.try_get("oldest")?),
        })
    }
}

fn peer(row: &PgRow) -> Result<Peer, sqlx::Error> {
    let seen: i64 = row.try_get("seen")?;
    Ok(Peer {
        name: row.try_get("name")?,
        url: row.try_get("url")?,
        version: row.try_get("version")?,
        role: match row.try_get("role")? {
            "active" => Role::Active,
            "stopped" => Role::Stopped,
            _ => Role::StandingBy,
        },
        since: Timestamp(row.try_get("since")?),
        seen: Span(seen.unsigned_abs()),
    })
}

fn span(millis: Option<i64>) -> Option<Span> {
    millis.map(|millis| Span(millis.unsigned_abs()))
}
