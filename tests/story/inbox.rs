//! What comes in while this node stands by: it is kept, answered, and worked once by whoever is active next.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use reynard::domain::id::DeliveryId;
use reynard::engine::error::EngineError;
use reynard::engine::node::Node;
use reynard::engine::runtime::Loops;
use reynard::engine::store::{Holder, Lease, StoreError};

use crate::app::{App, alert, body};

/// A lease that is always ours; who has it is not what these stories are about.
pub struct Ours;

#[async_trait]
impl Lease for Ours {
    async fn take(&self, _at_start: bool) -> Result<Holder, StoreError> {
        Ok(Holder::Us)
    }

    async fn renew(&self) -> Result<(), StoreError> {
        Ok(())
    }

    async fn release(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

/// An engine whose work another node does.
async fn standing_by() -> App {
    let app = whose_writer_is_gone().await;
    app.runtime.stands_by("b:1");
    app
}

async fn whose_writer_is_gone() -> App {
    let mut app = App::new().await;
    app.loops.take().expect("running").abort();
    app.runtime = app.runtime.clone().sharing(app.inbox.clone().expect("open"));
    app
}

async fn takes_over(app: &App) -> Loops {
    app.runtime.take_over(app.mortal.clone().expect("alive")).await.expect("taken over")
}

/// Is active, as a node is, until these deliveries are worked.
async fn is_active_until_worked(app: &App, loops: &mut Loops, deliveries: &[DeliveryId]) {
    let node = Node::new(app.runtime.clone(), Arc::new(Ours));
    let worked = async {
        for delivery in deliveries {
            while !app.runtime.reads.delivery(*delivery).await.expect("readable").expect("it is there").worked {
                tokio::task::yield_now().await;
            }
        }
    };
    tokio::select! {
        over = node.hold(loops) => panic!("{over:?}"),
        worked = tokio::time::timeout(Duration::from_secs(20), worked) => worked.expect("it is worked"),
    }
}

#[tokio::test]
async fn what_comes_while_another_node_writes_waits_for_whoever_is_active_next() {
    let app = standing_by().await;
    let mut taken = Vec::new();
    for instance in 0..3 {
        let receipt = app.runtime.deliver("am", body(&[alert("Down", "critical", "firing", instance)]).to_string().into_bytes()).await;
        let receipt = receipt.expect("no webhook is refused while the database lives");
        let report = app.runtime.reads.delivery(receipt.delivery).await.expect("readable").expect("it is on disk");
        assert!(!report.worked && report.incidents.is_empty());
        taken.push(receipt.delivery);
    }
    assert!(app.newest_if_any().await.is_none(), "only the writer opens incidents");
    let unreadable = app.runtime.deliver("am", b"hello".to_vec()).await;
    assert!(matches!(unreadable, Err(EngineError::Unreadable(_))), "what cannot be read is refused here too: {unreadable:?}");
    let mut loops = takes_over(&app).await;
    is_active_until_worked(&app, &mut loops, &taken).await;
    app.settles().await;
    let incident = app.newest().await;
    assert_eq!((app.incidents().await.len(), app.kinds(incident.id).await.iter().filter(|kind| *kind == "alert_fired").count()), (1, 3));
    assert_eq!(app.runtime.reads.overview(app.runtime.clock.now()).await.expect("readable").inbox, 0);
    assert_eq!(app.runtime.reads.totals().await.expect("readable").deliveries, 3, "none is there twice");
    app.assert_fold_is_state(incident.id).await;
    loops.abort();
}

#[tokio::test]
async fn a_commit_that_fails_leaves_the_inbox_as_it_was() {
    let app = standing_by().await;
    let receipt = app.runtime.deliver("am", body(&[alert("Down", "critical", "firing", 0)]).to_string().into_bytes()).await.expect("kept");
    let mut loops = takes_over(&app).await;
    app.trouble.comes(&["commit"]);
    // The engine tries again a second later by its own clock, which stands still here.
    let turning = tokio::spawn({
        let clock = app.clock.clone();
        async move {
            loop {
                clock.turn(reynard::domain::time::Span(100));
                tokio::task::yield_now().await;
            }
        }
    });
    is_active_until_worked(&app, &mut loops, &[receipt.delivery]).await;
    turning.abort();
    app.settles().await;
    assert_eq!((app.incidents().await.len(), app.runtime.reads.totals().await.expect("readable").deliveries), (1, 1));
    loops.abort();
}

#[tokio::test]
async fn what_the_writer_had_in_hand_when_it_was_gone_is_kept_all_the_same() {
    let app = whose_writer_is_gone().await;
    // Nobody has noticed yet: the node still believes that it is active.
    let receipt = app.runtime.deliver("am", body(&[alert("Down", "critical", "firing", 0)]).to_string().into_bytes()).await.expect("kept");
    app.runtime.stands_by("");
    let mut loops = takes_over(&app).await;
    is_active_until_worked(&app, &mut loops, &[receipt.delivery]).await;
    app.runtime.close();
    let late = app.runtime.deliver("am", body(&[]).to_string().into_bytes()).await;
    assert!(matches!(late, Err(EngineError::Unavailable(_))), "one that is stopping takes nothing: {late:?}");
    loops.abort();
}
