//! The inbox, on both databases: what was put in is there until a commit keeps it, and then it is nowhere else.

use std::sync::Arc;

use reynard::domain::id::DeliveryId;
use reynard::engine::store::{Batch, Delivery, DeliveryRow, StoreError};
use uuid::Uuid;

use crate::databases::{Database, Databases, Server};
use crate::proxy::{Lose, Proxy};
use crate::writing::{ODD, START, Writing};

fn delivery(body: &str) -> Delivery {
    Delivery { id: DeliveryId(Uuid::now_v7()), source: "am".to_owned(), received_at: START, body: body.as_bytes().to_vec() }
}

/// The commit that works it.
fn keeping(writing: &mut Writing, delivery: &Delivery) -> Batch {
    let mut batch = writing.blank();
    let row = DeliveryRow { delivery: delivery.clone(), keys: Vec::new(), rejected: Vec::new(), from_inbox: true };
    batch.deliveries.push(Arc::new(row));
    batch.worked_up_to = Some(batch.first_delivery);
    batch
}

async fn waiting(database: &Database) -> Vec<DeliveryId> {
    database.inbox.waiting(100).await.expect("readable").iter().map(|delivery| delivery.id).collect()
}

#[tokio::test]
async fn what_was_put_in_waits_in_its_order_until_a_commit_keeps_it() {
    for database in Databases::empty("what_was_put_in").await.all {
        let name = database.name;
        let kept: Vec<Delivery> = ODD.into_iter().map(delivery).collect();
        for one in &kept {
            database.inbox.put(one).await.expect("kept");
        }
        let database = database.again().await;
        let found = database.inbox.waiting(100).await.expect("readable");
        assert_eq!(
            found.iter().map(|one| (&one.source, &one.body)).collect::<Vec<_>>(),
            kept.iter().map(|one| (&one.source, &one.body)).collect::<Vec<_>>(),
            "{name}"
        );
        assert_eq!(database.inbox.waiting(2).await.expect("readable").len(), 2, "{name}");
        let overview = database.reads.overview(START).await.expect("readable");
        assert_eq!((overview.inbox, overview.oldest_in_inbox.is_some()), (kept.len() as u64, true), "{name}");
        let report = database.reads.delivery(kept[0].id).await.expect("readable").expect("the sender's id is known at once");
        assert_eq!((report.worked, &report.delivery), (false, &found[0]), "{name}");

        let mut writing = Writing::new(1);
        let batch = keeping(&mut writing, &kept[0]);
        database.journal.commit(&batch, writing.now).await.expect("committed");
        writing.written(&batch);
        assert_eq!(waiting(&database).await, kept[1..].iter().map(|one| one.id).collect::<Vec<_>>(), "{name}");
        let report = database.reads.delivery(kept[0].id).await.expect("readable").expect("there");
        assert!(report.worked, "{name}");

        // A commit that is refused keeps nothing, so that it is still in the inbox.
        let mut refused = keeping(&mut writing, &kept[1]);
        refused.first_delivery = 1;
        let answer = database.journal.commit(&refused, writing.now).await;
        assert!(matches!(answer, Err(StoreError::Refused(_))), "{name}: {answer:?}");
        assert_eq!(waiting(&database).await.first(), Some(&kept[1].id), "{name}");
    }
}

#[tokio::test]
async fn what_is_a_delivery_already_does_not_come_out_of_the_inbox_again() {
    for database in Databases::empty("what_is_a_delivery_already").await.all {
        let (one, mut writing) = (delivery("x"), Writing::new(1));
        let batch = keeping(&mut writing, &one);
        database.journal.commit(&batch, writing.now).await.expect("committed");
        // A node that lost its writer in the middle of that commit puts it in, to be on the safe side.
        database.inbox.put(&one).await.expect("kept");
        assert_eq!(waiting(&database).await, [], "{}", database.name);
        let overview = database.reads.overview(START).await.expect("readable");
        assert_eq!((overview.inbox, overview.oldest_in_inbox), (0, None), "{}: it is cleared away", database.name);
    }
}

#[tokio::test]
async fn large_bodies_come_out_a_few_at_a_time_and_none_is_too_large() {
    for database in Databases::empty("one_that_is_larger").await.all {
        database.inbox.put(&delivery(&"x".repeat(16 << 20))).await.expect("kept");
        assert_eq!(waiting(&database).await.len(), 1, "{}", database.name);
    }
    for database in Databases::empty("large_bodies").await.all {
        let large = "x".repeat(5 << 20);
        for _ in 0..3 {
            database.inbox.put(&delivery(&large)).await.expect("kept");
        }
        assert_eq!(waiting(&database).await.len(), 2, "{}", database.name);
    }
}

#[tokio::test]
async fn any_node_puts_in_and_needs_no_lease_for_it() {
    let Some(server) = Server::wanted("any_node_puts_in").await else { return };
    let url = server.schema().await;
    let active = Database::open("active", url.clone()).await;
    let other = reynard::store::catalog::open(&reynard::domain::secret::Secret::new(&url), "other").await.expect("it opens");
    let one = delivery("x");
    other.inbox.put(&one).await.expect("kept");
    assert_eq!(waiting(&active).await, [one.id]);
    let mut writing = Writing::new(1);
    let batch = keeping(&mut writing, &one);
    let refused = other.journal.commit(&batch, writing.now).await;
    assert!(matches!(refused, Err(StoreError::Fenced(_))), "only the holder takes out: {refused:?}");
    assert_eq!(waiting(&active).await, [one.id]);
}

#[tokio::test]
async fn the_inbox_is_not_read_while_a_commit_that_empties_it_may_be_under_way() {
    let Some(server) = Server::wanted("the_inbox_is_not_read").await else { return };
    let url = server.schema().await;
    let port = url::Url::parse(&url).expect("an address").port().expect("a port");
    let proxy = Proxy::to(port).await;
    let database = Database::open("through a proxy", url.replace(&format!(":{port}"), &format!(":{}", proxy.port))).await;
    let one = delivery("x");
    database.inbox.put(&one).await.expect("kept");
    let mut writing = Writing::new(1);
    let batch = keeping(&mut writing, &one);
    proxy.loses(Lose::ItsAnswer);
    let committed = database.journal.commit(&batch, writing.now).await;
    committed.expect("the mark says that it was made");
    assert_eq!(waiting(&database).await, [], "and what it took out is not seen again");
}
