//! What nodes say of themselves on one PostgreSQL, and what is told of them; on SQLite there is nobody else.

use reynard::domain::time::Span;
use reynard::engine::nodes::Role;
use reynard::engine::store::{Lease, Reads};
use reynard::store::postgres::open::PostgresStore;
use sqlx::{Connection, PgConnection};

use crate::databases::{Databases, Server};
use crate::writing::{START, Writing};

#[tokio::test]
async fn each_node_is_told_with_what_it_does_and_when_it_was_last_heard_of() {
    let Some(server) = Server::wanted("each_node_is_told").await else { return };
    let url = server.schema().await;
    let a = PostgresStore::open(&url, "a").await.expect("it opens");
    let b = PostgresStore::open(&url, "b").await.expect("it opens");
    assert_eq!(b.overview(START).await.expect("readable").holder, None, "the lease is free at first");
    a.take(true).await.expect("answered");
    a.here(Role::Active, Some("http://a:5001")).await.expect("said");
    b.here(Role::StandingBy, None).await.expect("said");
    let overview = b.overview(START).await.expect("readable");
    assert_eq!((overview.holder.as_deref(), overview.epoch), (Some("a"), Some(1)));
    assert!(overview.lease_age.is_some_and(|age| age < Span::seconds(10)), "{overview:?}");
    let told: Vec<_> = overview.peers.iter().map(|peer| (peer.name.as_str(), peer.role, peer.url.as_deref(), peer.is_silent())).collect();
    assert_eq!(told, [("a", Role::Active, Some("http://a:5001"), false), ("b", Role::StandingBy, None, false)]);
    let since = overview.peers[1].since;
    b.here(Role::StandingBy, None).await.expect("said");
    assert_eq!(b.overview(START).await.expect("readable").peers[1].since, since, "it does the same as before");

    a.release().await.expect("given back");
    a.here(Role::Stopped, None).await.expect("said");
    let overview = b.overview(START).await.expect("readable");
    assert_eq!((overview.holder, overview.lease_age, overview.peers[0].role), (None, None, Role::Stopped));
    let mut admin = PgConnection::connect(&url).await.expect("it answers");
    sqlx::query("update nodes set seen_at = seen_at - 60000 where name = 'b'").execute(&mut admin).await.expect("written");
    assert!(b.overview(START).await.expect("readable").peer("b").expect("known").is_silent());
    sqlx::query("update nodes set seen_at = 0 where name = 'b'").execute(&mut admin).await.expect("written");
    a.here(Role::Active, None).await.expect("said");
    assert_eq!(a.overview(START).await.expect("readable").peer("b"), None, "after a day it is forgotten");
}

#[tokio::test]
async fn the_oldest_job_that_is_due_tells_how_late_the_work_is() {
    for database in Databases::empty("the_oldest_job").await.all {
        let mut writing = Writing::new(6);
        let mut batch = writing.blank();
        let at = writing.opens(&mut batch, "key");
        writing.asks(&mut batch, at, false);
        let due_at = batch.jobs[0].due_at;
        database.journal.commit(&batch, writing.now).await.expect("committed");
        let late = async |now| database.reads.overview(now).await.expect("readable").oldest_due;
        assert_eq!(late(due_at - Span(1)).await, None, "{}", database.name);
        assert_eq!(late(due_at + Span::seconds(7)).await, Some(Span::seconds(7)), "{}", database.name);
    }
}
