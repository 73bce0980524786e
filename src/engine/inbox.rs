//! Takes over what other nodes have left: a delivery in the inbox is worked like one that came here, and a late answer is written
//! down, each in one commit with its leaving the inbox. Knows no database.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::sleep;

use crate::engine::late;
use crate::engine::runtime::Runtime;
use crate::engine::store::{Delivery, Inbox};
use crate::engine::wire;

/// How often it is looked whether something waits.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// The pause after something went wrong.
const AGAIN: Duration = Duration::from_secs(1);
/// Deliveries taken out at once.
const PAGE: u32 = 256;

/// Works until it is dropped; only the active node does.
pub(super) async fn empty(runtime: &Runtime, inbox: &Arc<dyn Inbox>) {
    let mut silent = false;
    loop {
        let pause = match inbox.waiting(PAGE).await {
            Ok(waiting) if waiting.is_empty() => LOOK_EVERY,
            Ok(waiting) => take_out(runtime, waiting).await,
            Err(error) => {
                if !silent {
                    tracing::debug!(%error, "The inbox cannot be read; trying again");
                }
                AGAIN
            }
        };
        silent = pause == AGAIN;
        sleep(pause).await;
    }
}

/// Hands all of them to the writer at once, in their order; those that fail stay where they are. How long to wait afterwards.
async fn take_out(runtime: &Runtime, waiting: Vec<Delivery>) -> Duration {
    let worked = join_all(waiting.into_iter().map(|delivery| take(runtime, delivery))).await;
    if worked.into_iter().all(|worked| worked) { Duration::ZERO } else { AGAIN }
}

async fn take(runtime: &Runtime, delivery: Delivery) -> bool {
    let id = delivery.id;
    if let Some((incident, command)) = late::read(&delivery) {
        return runtime.record_from_inbox(id, incident, command).await;
    }
    // It was read when it came. A version that cannot read it any more keeps it all the same.
    let parsed = wire::parse(&delivery.body).unwrap_or_else(|error| {
        tracing::error!(delivery = %id, %error, "A delivery from the inbox cannot be read any more; it is kept as it came");
        wire::Parsed::default()
    });
    let worked = runtime.work_from_inbox(delivery, parsed).await;
    if let Err(error) = &worked {
        tracing::warn!(delivery = %id, %error, "A delivery from the inbox was not taken; trying again");
    }
    worked.is_ok()
}
