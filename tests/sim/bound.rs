//! How far a story may go: one that never comes to rest ends here, with its number, instead of eating the machine.
//! Knows nothing of what it counts.

use std::sync::atomic::{AtomicI64, Ordering};

use tokio::sync::Notify;

/// Places at which anybody waited for anything. Whole stories have some thousands of them.
const MOST: i64 = 200_000;

pub struct Bound {
    left: AtomicI64,
    reached: Notify,
}

impl Default for Bound {
    fn default() -> Self {
        Self { left: AtomicI64::new(MOST), reached: Notify::new() }
    }
}

impl Bound {
    /// One step further; whoever takes the last one never comes back.
    pub async fn step(&self) {
        if self.left.fetch_sub(1, Ordering::SeqCst) <= 1 {
            self.reached.notify_one();
            std::future::pending::<()>().await;
        }
    }

    pub async fn is_reached(&self) {
        self.reached.notified().await;
    }

    /// How many steps were taken.
    pub fn taken(&self) -> i64 {
        MOST - self.left.load(Ordering::SeqCst)
    }
}
