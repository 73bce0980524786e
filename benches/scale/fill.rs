//! Copies the incidents that are there until there are as many as asked for, with their logs, alerts and timers, by set-wise SQL.
//! Their chains are not linked anew: what is measured does not look at them.

use anyhow::{Result, ensure};
use sqlx::{AssertSqlSafe, Connection, PgConnection, SqliteConnection};

pub struct Fill<'a> {
    pub url: &'a str,
    pub incidents: u32,
    /// Timers of one incident.
    pub each: u32,
}

/// What the two dialects say differently.
struct Dialect {
    numbers: fn(u32) -> String,
    id: &'static str,
    cast: &'static str,
    no: &'static str,
}

const SQLITE: Dialect = Dialect {
    numbers: |last| format!("(with recursive r(n) as (select 1 union all select n + 1 from r where n < {last}) select n from r)"),
    id: "printf('%08x-0000-7000-8000-000000000000', n)",
    cast: "cast(n as text)",
    no: "0",
};

const POSTGRES: Dialect = Dialect {
    numbers: |last| format!("(select n from generate_series(1, {last}) as g (n))"),
    id: "lpad(to_hex(n), 8, '0') || '-0000-7000-8000-000000000000'",
    cast: "n::text",
    no: "false",
};

/// Either database.
enum Database {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
}

impl Database {
    async fn open(url: &str) -> Result<(Self, Dialect)> {
        Ok(match url.starts_with("sqlite") {
            true => (Self::Sqlite(SqliteConnection::connect(url).await?), SQLITE),
            false => (Self::Postgres(PgConnection::connect(url).await?), POSTGRES),
        })
    }

    /// How many rows that changed.
    async fn execute(&mut self, statement: &str) -> Result<u64, sqlx::Error> {
        let query = AssertSqlSafe(statement.to_owned());
        Ok(match self {
            Self::Sqlite(db) => sqlx::query(query).execute(db).await?.rows_affected(),
            Self::Postgres(db) => sqlx::query(query).execute(db).await?.rows_affected(),
        })
    }

    /// Id and number of what all others are copies of, the worst first.
    async fn templates(&mut self) -> Result<Vec<(String, i64)>, sqlx::Error> {
        let query = "select id, number from incidents where service = 'svc-00' order by priority";
        match self {
            Self::Sqlite(db) => sqlx::query_as(query).fetch_all(db).await,
            Self::Postgres(db) => sqlx::query_as(query).fetch_all(db).await,
        }
    }
}

impl Fill<'_> {
    pub async fn run(&self) -> Result<()> {
        let (mut db, dialect) = Database::open(self.url).await?;
        let templates = db.templates().await?;
        let [p1, p2, p3] = &templates[..] else { anyhow::bail!("there are {} templates", templates.len()) };
        // One in a thousand is a P1, one in a hundred a P2.
        let of =
            |last: u32, from: u32, step: u32| format!("(select n from {} as all_of where n % {step} = {from})", (dialect.numbers)(last));
        for ((id, number), numbers) in [
            (p1, of(self.incidents, 0, 1_000)),
            (p2, of(self.incidents, 1, 100)),
            (p3, format!("(select n from {} as all_of where n % 1000 <> 0 and n % 100 <> 1)", (dialect.numbers)(self.incidents))),
        ] {
            self.copy(&mut db, &dialect, id, *number, &numbers).await?;
        }
        // PostgreSQL looks at its tables by itself after a while; SQLite never does.
        if matches!(db, Database::Postgres(_)) {
            db.execute("vacuum analyze").await?;
        }
        for statement in ["update meta set value = cast(cast(value as bigint) - 60000 as text) where name = 'last_commit_at'"] {
            db.execute(statement).await?;
        }
        let jobs = "insert into meta (name, value) select 'last_job', cast(max(id) as text) from jobs where true on conflict (name) do update set value = excluded.value";
        db.execute(jobs).await?;
        Ok(())
    }

    /// Deliveries of forty days ago, worked long since.
    pub async fn deliveries(&self, count: u32) -> Result<()> {
        const AGO: u64 = 40 * 86_400_000;
        let (mut db, dialect) = Database::open(self.url).await?;
        let statement = format!(
            "insert into deliveries (position, id, source, received_at, keys, rejected, body)
             select n - 100000000, {}, source, received_at - {AGO}, keys, rejected, body
             from deliveries, {} as c where position = 1",
            dialect.id,
            (dialect.numbers)(count)
        );
        ensure!(db.execute(&statement).await? == u64::from(count), "nothing was copied: {statement}");
        Ok(())
    }

    async fn copy(&self, db: &mut Database, dialect: &Dialect, id: &str, number: i64, numbers: &str) -> Result<()> {
        let Dialect { id: new_id, cast, no, .. } = dialect;
        let base = 1_000;
        let renamed = |column: &str| {
            format!(
                "replace(replace(replace({column}, '{id}', {new_id}), '\"number\":{number},', '\"number\":' || {cast} || ','), 'svc-00', 'svc-' || substr('0' || ({cast}), -2))"
            )
        };
        let service = |column: &str| {
            if *no == "0" {
                renamed(column)
            } else {
                renamed(column).replace(&format!("substr('0' || ({cast}), -2)"), &format!("right('0' || ({cast}), 2)"))
            }
        };
        let state = service("state").replace(&format!("'\"number\":' || {cast}"), &format!("'\"number\":' || (n + {base})"));
        let hashes = if *no == "0" { ("", "") } else { ("key_hash, family_hash, ", "n, family_hash, ") };
        let statements = [
            format!(
                "insert into incidents (id, number, key, {} status, priority, type, service, title, opened_at, heard_at, seq, state)
                 select {new_id}, n + {base}, key || {cast}, {} status, priority, type, {}, title, opened_at, heard_at, seq, {state}
                 from incidents, {numbers} as c where id = '{id}'",
                hashes.0,
                hashes.1,
                service("service")
            ),
            format!(
                "insert into timeline (position, incident, seq, at, kind, actor_kind, actor, event, digest)
                 select 1000000 + (n * 20) + seq, {new_id}, seq, at, kind, actor_kind, actor, event, digest
                 from timeline, {numbers} as c where incident = '{id}'"
            ),
            format!(
                "insert into alerts (incident, fingerprint, firing, starts_at, changed_at, last_seen_at, labels, annotations, may_name)
                 select {new_id}, fingerprint, firing, starts_at, changed_at, last_seen_at, {}, annotations, may_name
                 from alerts, {numbers} as c where incident = '{id}'",
                service("labels")
            ),
            // The next level of each, as it stands.
            format!(
                "insert into jobs (id, incident, kind, due_at, started, effect)
                 select 1000000 + n * 20, {new_id}, kind, due_at, {no}, effect
                 from jobs, {numbers} as c where incident = '{id}' and effect like '%escalate%'"
            ),
            // And what else may come within a day.
            format!(
                "insert into jobs (id, incident, kind, due_at, started, effect)
                 select 1000000 + n * 20 + k, {new_id}, kind, due_at + (n * 864 + k * 8640000) % 86400000 - 43000000, {no}, effect
                 from jobs, {numbers} as c, (select n as k from {} as few) as each_of
                 where incident = '{id}' and effect like '%stale%'",
                (dialect.numbers)(self.each - 1)
            ),
        ];
        for statement in statements {
            let rows = db.execute(&statement).await.map_err(|error| anyhow::anyhow!("{error}: {statement}"))?;
            ensure!(rows > 0, "nothing was copied: {statement}");
        }
        Ok(())
    }
}
