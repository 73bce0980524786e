//! The life of one process: whether it still is, whether it goes at all, and when chance ends it. Who is dead commits nothing and
//! reaches nobody; who is paused does so later. Knows nothing of the engine; whatever leads out of the process asks here first.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

use tokio::sync::Notify;

use crate::bound::Bound;

pub struct Life {
    bound: Arc<Bound>,
    alive: AtomicBool,
    /// It dies when it has come to so many more places where it waits for the world.
    fuse: AtomicI64,
    died: Notify,
    paused: AtomicBool,
    woke: Notify,
    /// Set when it is to end in order the next time that it commits an attempt: a delicate moment.
    ends_with_an_attempt: AtomicBool,
    /// Another one: it is to pause for so many milliseconds when the next attempt is committed and not begun yet.
    pauses_with_an_attempt: AtomicU64,
    asked_to_end: Notify,
}

impl Life {
    pub fn new(bound: Arc<Bound>, fuse: i64) -> Self {
        Self {
            bound,
            alive: AtomicBool::new(true),
            fuse: AtomicI64::new(fuse),
            died: Notify::new(),
            paused: AtomicBool::new(false),
            woke: Notify::new(),
            ends_with_an_attempt: AtomicBool::new(false),
            pauses_with_an_attempt: AtomicU64::new(0),
            asked_to_end: Notify::new(),
        }
    }

    pub fn is_over(&self) -> bool {
        !self.alive.load(Ordering::SeqCst)
    }

    pub fn ends(&self) {
        self.alive.store(false, Ordering::SeqCst);
        self.died.notify_waiters();
    }

    pub fn burns(&self, fuse: i64) {
        self.fuse.store(fuse, Ordering::SeqCst);
    }

    pub fn is_paused(&self) -> bool {
        self.paused.load(Ordering::SeqCst)
    }

    pub fn pauses(&self) {
        self.paused.store(true, Ordering::SeqCst);
    }

    pub fn wakes(&self) {
        self.paused.store(false, Ordering::SeqCst);
        self.woke.notify_waiters();
    }

    /// A place where a process may die; the dead never come back from it, the paused do when they wake.
    pub async fn place(&self) {
        if self.fuse.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.ends();
        }
        self.goes_on().await;
    }

    /// Returns when the process is there and not paused.
    pub async fn goes_on(&self) {
        self.bound.step().await;
        loop {
            let woke = self.woke.notified();
            if self.is_over() {
                return std::future::pending().await;
            }
            if !self.is_paused() {
                return;
            }
            woke.await;
        }
    }

    pub async fn death(&self) {
        loop {
            let died = self.died.notified();
            if self.is_over() {
                return;
            }
            died.await;
        }
    }

    pub fn is_to_end(&self) {
        self.asked_to_end.notify_one();
    }

    pub fn is_to_end_with_an_attempt(&self) {
        self.ends_with_an_attempt.store(true, Ordering::SeqCst);
    }

    /// It commits an attempt.
    pub fn attempts(&self) {
        if self.ends_with_an_attempt.swap(false, Ordering::SeqCst) {
            self.is_to_end();
        }
    }

    pub fn is_to_pause_with_an_attempt(&self, millis: u64) {
        self.pauses_with_an_attempt.store(millis, Ordering::SeqCst);
    }

    /// It has committed an attempt; for how long it is to pause now.
    pub fn has_committed_an_attempt(&self) -> u64 {
        self.pauses_with_an_attempt.swap(0, Ordering::SeqCst)
    }

    pub async fn asked_to_end(&self) {
        self.asked_to_end.notified().await;
    }
}
