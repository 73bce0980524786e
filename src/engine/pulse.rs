//! Counts work under way, so that a shutdown knows when it is done and a test knows when to look.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

/// How much is under way.
#[derive(Clone, Debug, Default)]
pub struct Pulse(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    busy: AtomicUsize,
    quiet: Notify,
}

/// One piece of work under way, for as long as it lives.
#[derive(Debug)]
pub struct Beat(Arc<Inner>);

impl Pulse {
    pub fn begin(&self) -> Beat {
        self.0.busy.fetch_add(1, Ordering::SeqCst);
        Beat(self.0.clone())
    }

    /// Returns once nothing is under way.
    pub async fn until_quiet(&self) {
        loop {
            let quiet = self.0.quiet.notified();
            if self.0.busy.load(Ordering::SeqCst) == 0 {
                return;
            }
            quiet.await;
        }
    }
}

/// Work that is taken apart is as many pieces of work.
impl Clone for Beat {
    fn clone(&self) -> Self {
        self.0.busy.fetch_add(1, Ordering::SeqCst);
        Self(self.0.clone())
    }
}

impl Drop for Beat {
    fn drop(&mut self) {
        if self.0.busy.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.0.quiet.notify_waiters();
        }
    }
}
