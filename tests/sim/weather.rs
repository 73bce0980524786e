//! What goes wrong around the engine, and when: the times in which it cannot be asked to be punctual are remembered.
//! Knows neither engine nor database.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

use reynard::domain::time::{Span, Timestamp};
use tokio::sync::Notify;

/// The engine tries again a second after a failure.
const TRIED_AGAIN: Span = Span(1_100);

#[derive(Default)]
pub struct Weather {
    /// From now on all goes well.
    fair: AtomicBool,
    cleared: Notify,
    /// Until then, in milliseconds of the story, the disk is full, or answers nothing.
    pub full_until: AtomicI64,
    pub stands_still_until: AtomicI64,
    /// How often the database has failed, or a node stood still.
    pub failures: AtomicU32,
    /// Since then nobody is at work, in the engine's time.
    nobody_since: Mutex<Option<Timestamp>>,
    /// In the engine's time.
    troubles: Mutex<Vec<(Timestamp, Timestamp)>>,
}

impl Weather {
    pub fn clears_up(&self) {
        self.fair.store(true, Ordering::SeqCst);
        self.full_until.store(0, Ordering::SeqCst);
        self.stands_still_until.store(0, Ordering::SeqCst);
        self.cleared.notify_waiters();
    }

    pub fn is_fair(&self) -> bool {
        self.fair.load(Ordering::SeqCst)
    }

    /// Whether the database is full or stands still.
    pub fn keeps_all_from_work(&self, now: i64) -> bool {
        now < self.full_until.load(Ordering::SeqCst).max(self.stands_still_until.load(Ordering::SeqCst))
    }

    /// Returns after that time, or as soon as all goes well.
    pub async fn lasts(&self, time: std::time::Duration) {
        let cleared = self.cleared.notified();
        if !self.is_fair() {
            let _ = tokio::time::timeout(time, cleared).await;
        }
    }

    pub fn trouble(&self, from: Timestamp, to: Timestamp) {
        self.troubles.lock().unwrap_or_else(PoisonError::into_inner).push((from.min(to), from.max(to)));
    }

    /// Something failed just now and will be tried again.
    pub fn failure(&self, now: Timestamp) {
        self.failures.fetch_add(1, Ordering::SeqCst);
        self.trouble(now, now + TRIED_AGAIN);
    }

    /// Whoever was at work is away.
    pub fn nobody_works(&self, since: Timestamp) {
        self.nobody_since.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(since);
    }

    /// Somebody is at work again, the same or another one.
    pub fn somebody_works(&self, now: Timestamp) {
        if let Some(since) = self.nobody_since.lock().unwrap_or_else(PoisonError::into_inner).take() {
            self.trouble(since.min(now), since.max(now) + TRIED_AGAIN);
        }
    }

    /// For how long between two instants punctuality could not be asked for.
    pub fn excused(&self, from: Timestamp, to: Timestamp) -> Span {
        let mut within: Vec<(i64, i64)> = self
            .troubles
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
            .map(|(begin, end)| (begin.0.max(from.0), end.0.min(to.0)))
            .filter(|(begin, end)| begin < end)
            .collect();
        within.sort_unstable();
        let (mut excused, mut reached) = (0, i64::MIN);
        for (begin, end) in within {
            excused += (end - begin.max(reached)).max(0);
            reached = reached.max(end);
        }
        Span(excused.unsigned_abs())
    }
}
