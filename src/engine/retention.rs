//! Lets what is too old go, now and then, in slices so small that nobody waits for them.
//! Knows no database: the writer takes a slice whenever nothing else waits for it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};

use crate::domain::limits::LONGEST_WINDOW;
use crate::domain::settings::Retention;
use crate::domain::time::{Span, Timestamp};
use crate::engine::shared::Shared;
use crate::engine::store::{Horizon, LetGo};
use crate::engine::work::{Item, Work};

/// How long after a start, and after there was nothing left to let go, it is looked again.
const FIRST: Span = Span::minutes(1);
const EVERY: Span = Span::hours(1);
/// The pause between two slices at the least: what comes in meanwhile goes first.
const BETWEEN: Span = Span(50);
/// And so many times as long as the last slice took: of those who come in meanwhile one in a hundred meets one at most.
const REST: u32 = 100;
/// The pause after the writer had something better to do.
const LATER: Span = Span::seconds(1);
/// How long a person's request is known again by its idempotency key. A repeat comes within minutes.
const REQUESTS: Span = Span::hours(24 * 7);

/// Works until the writer is gone.
pub(super) async fn keep(shared: Arc<Shared>, queue: mpsc::WeakSender<Item>) {
    let mut at = shared.now() + FIRST;
    loop {
        while shared.clock.now() < at {
            shared.clock.wait_until(at).await;
        }
        let began = Instant::now();
        let Some(answer) = ask(&shared, &queue) else { return };
        let answer = answer.await.ok().flatten();
        let took = began.elapsed();
        let pause = match answer {
            Some(went) if went.rows() > 0 => {
                told(&shared, went);
                BETWEEN.max(rest_after(took))
            }
            Some(_) => EVERY,
            None => LATER,
        };
        at = shared.clock.now() + pause;
    }
}

fn rest_after(took: Duration) -> Span {
    Span(u64::try_from((took * REST).as_millis()).unwrap_or(u64::MAX))
}

/// Asks the writer for a slice. None once there is no writer; an answer that never comes when its queue is full.
fn ask(shared: &Shared, queue: &mpsc::WeakSender<Item>) -> Option<oneshot::Receiver<Option<LetGo>>> {
    let queue = queue.upgrade()?;
    let horizon = horizon(&shared.rulebook().retention, shared.now());
    let (done, answer) = oneshot::channel();
    let full = queue.try_send(Item { work: Work::LetGo { horizon, done }, beat: shared.pulse.begin() });
    match full {
        Err(mpsc::error::TrySendError::Closed(_)) => None,
        _ => Some(answer),
    }
}

fn horizon(retention: &Retention, now: Timestamp) -> Horizon {
    Horizon {
        deliveries: retention.deliveries.map(|kept| now - kept),
        resolved: retention.resolved.map(|kept| now - kept),
        requests: now - REQUESTS,
        spent: now - LONGEST_WINDOW,
    }
}

fn told(shared: &Shared, went: LetGo) {
    for (kind, rows) in went.by_kind() {
        shared.metrics.let_go(kind, rows);
    }
    tracing::debug!(?went, "What was too old was let go");
}
