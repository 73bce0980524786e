//! The lease of several nodes on one PostgreSQL: one writes, the others cannot, and who comes back too late changes nothing.

use std::sync::Arc;
use std::time::{Duration, Instant};

use reynard::domain::timeline::Event;
use reynard::engine::store::{Holder, Journal, Lease, Reads, StoreError};
use reynard::store::postgres::open::PostgresStore;
use sqlx::{Connection, PgConnection};

use crate::databases::Server;
use crate::proxy::{Lose, Proxy};
use crate::writing::Writing;

async fn node(url: &str, name: &str) -> PostgresStore {
    PostgresStore::open(url, name).await.expect("it opens")
}

/// The holder has been silent for longer than its lease lasts: by the database's clock, which no story can turn.
async fn runs_out(url: &str) {
    let mut admin = PgConnection::connect(url).await.expect("it answers");
    sqlx::query("update lease set expires_at = 0").execute(&mut admin).await.expect("written");
}

fn is_fenced<T: std::fmt::Debug>(answer: &Result<T, StoreError>) -> bool {
    matches!(answer, Err(StoreError::Fenced(_)))
}

#[tokio::test]
async fn one_node_writes_and_the_fenced_one_changes_nothing() {
    let Some(server) = Server::wanted("one_node_writes").await else { return };
    let url = server.schema().await;
    let (a, b) = (node(&url, "a").await, node(&url, "b").await);
    assert_eq!(a.take(true).await.expect("answered"), Holder::Us);
    assert_eq!(b.take(true).await.expect("answered"), Holder::Node("a".to_owned()), "it is a's while a lives");
    let mut writing = Writing::new(1);
    let mut batch = writing.blank();
    let at = writing.opens(&mut batch, "key");
    let refused = b.commit(&batch, writing.now).await;
    assert!(is_fenced(&refused) && !b.may_begin(), "{refused:?}");
    a.commit(&batch, writing.now).await.expect("it is a's");
    writing.written(&batch);
    assert!(a.may_begin());

    runs_out(&url).await;
    assert_eq!(b.take(false).await.expect("answered"), Holder::Us);
    let mut late = writing.blank();
    writing.says(&mut late, at, Event::Commented { text: "too late".to_owned() });
    let fenced = a.commit(&late, writing.now).await;
    assert!(is_fenced(&fenced), "{fenced:?}");
    assert!(!a.may_begin() && is_fenced(&a.renew().await));
    assert_eq!(a.totals().await.expect("it still reads").last_position, 1, "nothing of it was made");
    b.commit(&late, writing.now).await.expect("the new holder writes at that place");

    assert_eq!(a.take(false).await.expect("answered"), Holder::Node("b".to_owned()));
    b.release().await.expect("given back");
    assert_eq!(a.take(false).await.expect("answered"), Holder::Us, "a lease that was given back is had at once");
    assert!(is_fenced(&b.commit(&writing.blank(), writing.now).await));
}

#[tokio::test]
async fn a_lease_that_was_handed_over_is_kept_for_one_node_for_a_while() {
    let Some(server) = Server::wanted("a_lease_that_was_handed_over").await else { return };
    let url = server.schema().await;
    let (a, b, c) = (node(&url, "a").await, node(&url, "b").await, node(&url, "c").await);
    a.take(true).await.expect("answered");
    a.hand_to("b").await.expect("handed over");
    let holder = a.overview(Writing::new(1).now).await.expect("readable").holder;
    assert_eq!(holder, None, "nobody has it until it is taken");
    for other in [&a, &c] {
        assert_eq!(other.take(false).await.expect("answered"), Holder::Node("b".to_owned()));
        assert!(is_fenced(&other.commit(&Writing::new(1).blank(), Writing::new(1).now).await) && !other.may_begin());
    }
    assert_eq!(b.take(false).await.expect("answered"), Holder::Us);
    assert_eq!(c.take(false).await.expect("answered"), Holder::Node("b".to_owned()));

    b.hand_to("gone").await.expect("handed over");
    assert_eq!(c.take(false).await.expect("answered"), Holder::Node("gone".to_owned()));
    runs_out(&url).await;
    assert_eq!(c.take(false).await.expect("answered"), Holder::Us, "nobody waits for one that does not come");
    a.hand_to("b").await.expect("nothing of its own to hand over");
    c.renew().await.expect("it is c's");
}

#[tokio::test]
async fn a_node_takes_over_from_its_own_former_life_at_once_but_only_at_its_start() {
    let Some(server) = Server::wanted("a_node_takes_over_from_its_own_former_life").await else { return };
    let url = server.schema().await;
    let (former, again) = (node(&url, "a").await, node(&url, "a").await);
    assert_eq!(former.take(true).await.expect("answered"), Holder::Us);
    assert_eq!(again.take(false).await.expect("answered"), Holder::Node("a".to_owned()));
    assert_eq!(again.take(true).await.expect("answered"), Holder::Us);
    let writing = &mut Writing::new(1);
    assert!(is_fenced(&former.commit(&writing.blank(), writing.now).await));
    again.renew().await.expect("it is the new life's");
}

#[tokio::test]
async fn an_expired_lease_that_nobody_took_goes_on() {
    let Some(server) = Server::wanted("an_expired_lease_that_nobody_took").await else { return };
    let url = server.schema().await;
    let (a, b) = (node(&url, "a").await, node(&url, "b").await);
    a.take(true).await.expect("answered");
    runs_out(&url).await;
    let writing = &mut Writing::new(1);
    a.commit(&writing.blank(), writing.now).await.expect("nobody else has it");
    assert_eq!(b.take(false).await.expect("answered"), Holder::Node("a".to_owned()), "a commit renews it");
}

#[tokio::test]
async fn two_nodes_that_start_at_once_both_find_the_tables() {
    let Some(server) = Server::wanted("two_nodes_that_start_at_once").await else { return };
    for _ in 0..5 {
        let url = server.schema().await;
        let (a, b, c) = tokio::join!(node(&url, "a"), node(&url, "b"), node(&url, "c"));
        let mut held = 0;
        for one in [&a, &b, &c] {
            held += usize::from(one.take(false).await.expect("answered") == Holder::Us);
        }
        assert_eq!(held, 1);
    }
}

#[tokio::test]
async fn a_node_that_freezes_in_the_middle_of_a_commit_does_not_keep_the_lease() {
    let Some(server) = Server::wanted("a_node_that_freezes_in_the_middle_of_a_commit").await else { return };
    let url = server.schema().await;
    let port = url::Url::parse(&url).expect("an address").port().expect("a port");
    let proxy = Proxy::to(port).await;
    let frozen = Arc::new(node(&url.replace(&format!(":{port}"), &format!(":{}", proxy.port)), "a").await);
    let b = node(&url, "b").await;
    frozen.take(true).await.expect("answered");
    runs_out(&url).await;
    proxy.loses(Lose::Everything);
    let mut writing = Writing::new(1);
    let mut batch = writing.blank();
    writing.opens(&mut batch, "key");
    let (a, now, late) = (frozen.clone(), writing.now, batch.clone());
    let commit = tokio::spawn(async move { a.commit(&late, now).await });
    while !proxy.has_lost() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let begun = Instant::now();
    while b.take(false).await.ok() != Some(Holder::Us) {
        assert!(begun.elapsed() < Duration::from_secs(9), "the frozen node's commit holds the lease's row");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    println!("the lease was had after {:?}", begun.elapsed());
    b.commit(&batch, writing.now).await.expect("nothing of the frozen commit was made");
    let thawed = commit.await.expect("no panics");
    assert!(matches!(thawed, Err(StoreError::Unavailable(_))), "{thawed:?}");
    assert!(is_fenced(&frozen.commit(&writing.blank(), writing.now).await));
}
