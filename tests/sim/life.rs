//! The life of one process: whether it still is, and when chance ends it. Who is dead commits nothing and reaches nobody.
//! Knows nothing of the engine; whatever leads out of the process asks here first.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use tokio::sync::Notify;

pub struct Life {
    alive: AtomicBool,
    /// It dies when it has come to so many more places where it waits for the world.
    fuse: AtomicI64,
    died: Notify,
}

impl Life {
    pub fn new(fuse: i64) -> Self {
        Self { alive: AtomicBool::new(true), fuse: AtomicI64::new(fuse), died: Notify::new() }
    }

    pub fn is_over(&self) -> bool {
        !self.alive.load(Ordering::SeqCst)
    }

    pub fn ends(&self) {
        self.alive.store(false, Ordering::SeqCst);
        self.died.notify_one();
    }

    pub fn burns(&self, fuse: i64) {
        self.fuse.store(fuse, Ordering::SeqCst);
    }

    /// A place where a process may die; the dead never come back from it.
    pub async fn place(&self) {
        if self.fuse.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.ends();
        }
        if self.is_over() {
            std::future::pending::<()>().await;
        }
    }

    pub async fn death(&self) {
        while !self.is_over() {
            self.died.notified().await;
        }
    }
}
