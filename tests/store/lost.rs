//! PostgreSQL that goes away: commits without an answer, restarts, read-only servers, a standby that takes over.
//! What was answered is there, what was refused is not, and it heals without anybody's help.

use std::sync::Arc;
use std::time::{Duration, Instant};

use reynard::engine::store::{Batch, Journal, Lease, Reads, StoreError};
use reynard::store::postgres::open::PostgresStore;
use sqlx::{AssertSqlSafe, PgConnection};

use crate::databases::Server;
use crate::parts::postgres::Postgres;
use crate::proxy::{Lose, Proxy};
use crate::writing::Writing;

const HEALS_WITHIN: Duration = Duration::from_secs(20);

async fn open(url: &str) -> Arc<PostgresStore> {
    let store = PostgresStore::open(url, "story").await.expect("it opens");
    store.take(true).await.expect("the lease is asked for");
    Arc::new(store)
}

async fn own(story: &str) -> Option<Postgres> {
    let wanted = std::env::var_os("REYNARD_REAL").is_some_and(|value| value == "1");
    if !wanted {
        println!("skipped: {story} needs a real PostgreSQL of its own; tests/run starts one (REYNARD_REAL=1)");
        return None;
    }
    Some(Postgres::start().await.expect("PostgreSQL starts"))
}

/// A batch with one more incident in it.
fn one_more(writing: &mut Writing) -> Batch {
    let mut batch = writing.blank();
    let key = format!("key {}", writing.incidents.len());
    writing.opens(&mut batch, &key);
    batch
}

/// Tries until it is made; how long that took.
async fn until_made(store: &PostgresStore, writing: &mut Writing, batch: &Batch) -> Duration {
    let begun = Instant::now();
    while let Err(error) = store.commit(batch, writing.now).await {
        assert!(matches!(error, StoreError::Unavailable(_)), "it is away, and nothing else: {error}");
        assert!(begun.elapsed() < HEALS_WITHIN, "it has not healed: {error}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    writing.written(batch);
    begun.elapsed()
}

async fn assert_whole(store: &PostgresStore, writing: &Writing) {
    let resumed = store.resume(writing.now).await.expect("readable");
    assert_eq!(resumed.last_number, writing.incidents.len() as u64);
    assert_eq!(resumed.last_position, writing.incidents.iter().map(|(_, incident)| incident.seq.cast_signed()).sum::<i64>());
}

#[tokio::test]
async fn a_commit_whose_answer_was_lost_is_known_to_be_made_or_not() {
    let Some(server) = Server::wanted("a_commit_whose_answer_was_lost").await else { return };
    let url = server.schema().await;
    let port = url::Url::parse(&url).expect("an address").port().expect("a port");
    let proxy = Proxy::to(port).await;
    let store = open(&url.replace(&format!(":{port}"), &format!(":{}", proxy.port))).await;
    let mut writing = Writing::new(1);
    for lost in [Lose::ItsAnswer, Lose::TheCommit, Lose::ItsAnswer, Lose::TheCommit] {
        let batch = one_more(&mut writing);
        proxy.loses(lost);
        let committed = store.commit(&batch, writing.now).await;
        assert!(proxy.has_lost());
        match lost {
            Lose::ItsAnswer => {
                committed.expect("the mark says that it was made");
                writing.written(&batch);
            }
            Lose::TheCommit => {
                assert!(matches!(committed, Err(StoreError::Unavailable(_))), "{committed:?}");
                until_made(&store, &mut writing, &batch).await;
            }
            Lose::Everything => unreachable!("not planned here"),
        }
        assert_whole(&store, &writing).await;
    }
}

#[tokio::test]
async fn it_heals_from_every_kind_of_restart() {
    let Some(mut postgres) = own("it_heals_from_every_kind_of_restart").await else { return };
    let store = open(&postgres.url("admin")).await;
    let mut writing = Writing::new(2);
    for signal in ["INT", "QUIT"] {
        let batch = one_more(&mut writing);
        until_made(&store, &mut writing, &batch).await;
        postgres.stop(signal);
        let batch = one_more(&mut writing);
        let refused = store.commit(&batch, writing.now).await;
        assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
        assert!(matches!(store.totals().await, Err(StoreError::Unavailable(_))));
        postgres.start_again().await.expect("it starts again");
        println!("after {signal}: healed within {:?}", until_made(&store, &mut writing, &batch).await);
        assert_whole(&store, &writing).await;
    }
}

#[tokio::test]
async fn a_server_that_became_read_only_is_left_until_it_writes_again() {
    let Some(postgres) = own("a_server_that_became_read_only").await else { return };
    let store = open(&postgres.url("admin")).await;
    let mut admin = postgres.connect("admin").await.expect("it answers");
    let mut writing = Writing::new(3);
    let batch = one_more(&mut writing);
    until_made(&store, &mut writing, &batch).await;
    read_only(&mut admin, "on").await;
    let batch = one_more(&mut writing);
    for _ in 0..2 {
        let refused = store.commit(&batch, writing.now).await;
        assert!(matches!(&refused, Err(StoreError::Unavailable(why)) if why.contains("read-only")), "{refused:?}");
    }
    assert_eq!(store.totals().await.expect("it can still be read").last_position, 1);
    read_only(&mut admin, "off").await;
    until_made(&store, &mut writing, &batch).await;
    assert_whole(&store, &writing).await;
}

async fn read_only(admin: &mut PgConnection, value: &str) {
    let set = format!("alter system set default_transaction_read_only = {value}");
    for statement in [set.as_str(), "select pg_reload_conf()"] {
        sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut *admin).await.expect("a superuser may");
    }
    // Open sessions hear of it a moment later; this one is one of them.
    let begun = Instant::now();
    loop {
        let shown: String = sqlx::query_scalar("show default_transaction_read_only").fetch_one(&mut *admin).await.expect("it answers");
        if shown == value {
            return tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert!(begun.elapsed() < HEALS_WITHIN, "the setting is not heard of");
    }
}

#[tokio::test]
async fn a_commit_that_waits_for_a_standby_that_is_gone_is_not_answered_and_not_made_twice() {
    let Some(postgres) = own("a_commit_that_waits_for_a_standby").await else { return };
    let store = open(&postgres.url("admin")).await;
    let mut admin = postgres.connect("admin").await.expect("it answers");
    let mut writing = Writing::new(5);
    let batch = one_more(&mut writing);
    until_made(&store, &mut writing, &batch).await;
    synchronous(&mut admin, "*").await;
    let batch = one_more(&mut writing);
    let waited = store.commit(&batch, writing.now).await;
    assert!(matches!(waited, Err(StoreError::Unavailable(_))), "{waited:?}");
    for _ in 0..3 {
        let renewed = store.renew().await;
        assert!(matches!(renewed, Err(StoreError::Unavailable(_))), "the commit still holds the lease's row: {renewed:?}");
    }
    let sessions = "select count(*) from pg_stat_activity where application_name = 'reynard' and wait_event_type = 'Lock'";
    let left: i64 = sqlx::query_scalar(sessions).fetch_one(&mut admin).await.expect("readable");
    assert!(left <= 1, "{left} sessions still wait although nobody asks");
    synchronous(&mut admin, "").await;
    let begun = Instant::now();
    while !matches!(store.commit(&batch, writing.now).await, Err(StoreError::Refused(_))) {
        assert!(begun.elapsed() < HEALS_WITHIN, "its places are taken: it was made");
    }
    writing.written(&batch);
    assert_whole(&store, &writing).await;
}

async fn synchronous(admin: &mut PgConnection, standbys: &str) {
    sqlx::raw_sql("set synchronous_commit = local").execute(&mut *admin).await.expect("ours alone");
    let set = format!("alter system set synchronous_standby_names = '{standbys}'");
    for statement in [set.as_str(), "select pg_reload_conf()", "select pg_sleep(0.3)"] {
        sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut *admin).await.expect("a superuser may");
    }
}

#[tokio::test]
async fn when_the_primary_is_lost_the_promoted_standby_takes_the_commits_and_the_reads() {
    let Some(mut primary) = own("when_the_primary_is_lost").await else { return };
    let standby = primary.standby().await.expect("a standby");
    synchronous(&mut primary.connect("admin").await.expect("it answers"), "*").await;
    // Written down the wrong way round: the one that takes writes is looked for.
    let url = format!("postgres://admin@127.0.0.1:{},127.0.0.1:{}/postgres?sslmode=disable", standby.port, primary.port);
    let store = open(&url).await;
    let mut writing = Writing::new(4);
    for _ in 0..20 {
        let batch = one_more(&mut writing);
        until_made(&store, &mut writing, &batch).await;
    }
    assert_whole(&store, &writing).await;
    primary.stop("QUIT");
    let batch = one_more(&mut writing);
    assert!(store.commit(&batch, writing.now).await.is_err());
    sqlx::query("select pg_promote()").execute(&mut standby.connect("admin").await.expect("it answers")).await.expect("promoted");
    println!("the promoted standby took a commit after {:?}", until_made(&store, &mut writing, &batch).await);
    assert_whole(&store, &writing).await;
    let batch = Batch { heard: vec![(writing.incidents[0].1.id, writing.now)], ..writing.blank() };
    until_made(&store, &mut writing, &batch).await;
}
