//! The two clocks: the machine's, and one that tests and simulations turn by hand.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Notify;

use crate::domain::time::{Span, Timestamp};
use crate::engine::ports::Clock;

/// The machine's clock. The only place that asks it.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

/// The wall clock may be set while we sleep, and a sleep does not notice: look again this often.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

#[async_trait]
impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::from(chrono::Utc::now())
    }

    async fn wait_until(&self, at: Timestamp) {
        tokio::time::sleep(at.since(self.now()).to_std().min(LOOK_AGAIN)).await;
    }
}

/// A clock that stands still until it is turned.
#[derive(Debug)]
pub struct HandClock {
    now: AtomicI64,
    turned: Notify,
}

impl HandClock {
    pub fn at(now: Timestamp) -> Self {
        Self { now: AtomicI64::new(now.0), turned: Notify::new() }
    }

    pub fn set(&self, now: Timestamp) {
        self.now.store(now.0, Ordering::SeqCst);
        self.turned.notify_waiters();
    }

    pub fn turn(&self, span: Span) {
        self.set(self.now() + span);
    }
}

#[async_trait]
impl Clock for HandClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.now.load(Ordering::SeqCst))
    }

    async fn wait_until(&self, at: Timestamp) {
        let turned = self.turned.notified();
        if self.now() < at {
            turned.await;
        }
    }
}
