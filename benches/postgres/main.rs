//! Intake on PostgreSQL, as ratios within one run: to a raw probe that appends the bodies by `unnest`, and with a synchronous standby to without.
//! `cargo bench --bench postgres` needs Debian's postgresql; `SECONDS=10` measures longer.

#[path = "../intake/house.rs"]
#[allow(dead_code, reason = "shared with the benchmark of intake, which needs more of it")]
mod house;
#[path = "../intake/load.rs"]
mod load;
#[path = "../../tests/store/parts.rs"]
#[allow(dead_code, reason = "shared with stories, which need more of it")]
mod parts;
#[path = "../intake/probe.rs"]
#[allow(dead_code, reason = "shared with the benchmark of intake, which needs more of it")]
mod probe;

use std::time::Duration;

use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tokio::sync::mpsc;

use crate::house::House;
use crate::load::Load;
use crate::parts::postgres::Postgres;
use crate::probe::Waiting;

/// The middle pair counts, because the machine is not alone.
const PAIRS: usize = 3;

#[tokio::main]
async fn main() {
    let seconds = std::env::var("SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(3);
    let span = Duration::from_secs(seconds);
    let server = Postgres::start_synced().await.expect("PostgreSQL starts");
    let known = |alerts| Load { alerts, groups: Some(64) };
    println!("| what | raw | Reynard | ratio |\n|---|---|---|---|");
    for (what, load) in [("1 alert, known groups, requests/s", known(1)), ("20 alerts, known groups, requests/s", known(20))] {
        compare(what, async || (reynard(&server, load, span).await, raw(&server, load, span).await)).await;
    }
    let alone = reynard(&server, known(1), span).await;
    let _standby = server.standby().await.expect("a standby");
    set(&server, "alter system set synchronous_standby_names = '*'").await;
    let doubled = reynard(&server, known(1), span).await;
    println!(
        "\n1 alert, known groups, with a synchronous standby to without: {doubled:.0} to {alone:.0} requests/s, {:.2}",
        doubled / alone
    );
}

async fn compare(what: &str, measure: impl AsyncFn() -> (f64, f64)) {
    let mut pairs = Vec::new();
    for _ in 0..PAIRS {
        pairs.push(measure().await);
    }
    pairs.sort_by(|a, b| (a.0 / a.1).total_cmp(&(b.0 / b.1)));
    let (own, raw) = pairs[PAIRS / 2];
    println!("| {what} | {raw:.0} | {own:.0} | {:.2} |", own / raw);
}

async fn reynard(server: &Postgres, load: Load, span: Duration) -> f64 {
    let url = schema(server, "reynard").await;
    house::rate_of(House::on(&url, |store| store).await, load, span).await
}

/// The same promise with nothing else done: one writer, one statement and one commit for whatever waits.
async fn raw(server: &Postgres, load: Load, span: Duration) -> f64 {
    let url = schema(server, "probe").await;
    let connection = PgConnection::connect(&url).await.expect("it answers");
    probe::rate_of(|waiting| tokio::spawn(append(connection, waiting)), load, span).await
}

async fn append(mut connection: PgConnection, mut queue: mpsc::Receiver<Waiting>) {
    let table = "create table deliveries (position bigint primary key, body bytea not null)";
    sqlx::query(table).execute(&mut connection).await.expect("a table");
    let (mut batch, mut last) = (Vec::new(), 0i64);
    while queue.recv_many(&mut batch, 1_024).await > 0 {
        let positions: Vec<i64> = (last + 1..).take(batch.len()).collect();
        let bodies: Vec<Vec<u8>> = batch.iter().map(|(body, _): &Waiting| body.to_vec()).collect();
        last += i64::try_from(batch.len()).expect("few");
        let mut tx = connection.begin().await.expect("begun");
        let insert = sqlx::query("insert into deliveries (position, body) select * from unnest($1::bigint[], $2::bytea[])");
        insert.bind(positions).bind(bodies).execute(&mut *tx).await.expect("stored");
        tx.commit().await.expect("committed");
        for (_, done) in batch.drain(..) {
            let _ = done.send(());
        }
    }
}

/// The address of a schema that is empty.
async fn schema(server: &Postgres, name: &str) -> String {
    set(server, &format!("drop schema if exists {name} cascade")).await;
    set(server, &format!("create schema {name}")).await;
    format!("{}&options[search_path]={name}", server.url("admin"))
}

async fn set(server: &Postgres, statement: &str) {
    let mut admin = server.connect("admin").await.expect("it answers");
    for text in ["set synchronous_commit = local", statement, "select pg_reload_conf()", "select pg_sleep(0.3)"] {
        sqlx::query(AssertSqlSafe(text)).execute(&mut admin).await.expect("a superuser may");
    }
}
