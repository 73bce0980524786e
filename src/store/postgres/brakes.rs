//! What the limits have counted, and what playbooks did before, on PostgreSQL.

use sqlx::{PgPool, Row};

use crate::domain::breaker::{Breaker, Opened};
use crate::domain::limits::Spent;
use crate::domain::run::Run;
use crate::domain::time::Timestamp;
use crate::store::postgres::open::PostgresStore;
use crate::store::postgres::rows::{self, plain};

const SPENT: &str = "
    select at, playbook, target, service
    from spent
    where at > $1
    order by at";

const BREAKERS: &str = "
    select playbook, failures, opened_at, opened_by
    from breakers
    order by playbook";

const LAST_RUNS: &str = "
    select r.id, i.number, i.state, i.heard_at
    from runs as r
    join incidents as i on i.id = r.incident
    where r.playbook = $1 and r.ended_at is not null
    order by r.started_at desc, i.number desc
    limit $2";

impl PostgresStore {
    pub(super) async fn spent_after(&self, readers: &PgPool, at: Timestamp) -> Result<Vec<Spent>, sqlx::Error> {
        let found = sqlx::query(SPENT).bind(at.0).fetch_all(readers).await?;
        let spent = |row: &sqlx::postgres::PgRow| {
            Ok(Spent {
                at: Timestamp(row.try_get("at")?),
                playbook: row.try_get("playbook")?,
                target: row.try_get("target")?,
                service: row.try_get("service")?,
            })
        };
        found.iter().map(spent).collect()
    }

    pub(super) async fn stored_breakers(&self, readers: &PgPool) -> Result<Vec<Breaker>, sqlx::Error> {
        let found = sqlx::query(BREAKERS).fetch_all(readers).await?;
        let breaker = |row: &sqlx::postgres::PgRow| {
            let at = row.try_get::<Option<i64>, _>("opened_at")?.map(Timestamp);
            let by = at.map(|_| rows::incident_id(row, "opened_by")).transpose()?;
            Ok(Breaker {
                playbook: row.try_get("playbook")?,
                failures: u32::try_from(row.try_get::<i64, _>("failures")?).unwrap_or(u32::MAX),
                opened: at.zip(by).map(|(at, incident)| Opened { at, incident }),
            })
        };
        found.iter().map(breaker).collect()
    }

    pub(super) async fn runs_before(&self, playbook: &str, limit: u32) -> Result<Vec<(u64, Run)>, sqlx::Error> {
        let mut told = Vec::new();
        for row in sqlx::query(LAST_RUNS).bind(plain(playbook)).bind(i64::from(limit)).fetch_all(&self.readers()).await? {
            let mut incident = rows::incident(&row)?;
            let run = rows::run_id(&row, "id")?;
            told.extend(incident.runs.remove(&run).map(|run| (incident.number, run)));
        }
        Ok(told)
    }
}
