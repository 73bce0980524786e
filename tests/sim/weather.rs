//! What goes wrong around the engine, and when: the times in which it cannot be asked to be punctual are remembered.
//! Knows neither engine nor database.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Mutex, PoisonError};

use reynard::domain::time::{Span, Timestamp};

#[derive(Default)]
pub struct Weather {
    /// From now on all goes well.
    fair: AtomicBool,
    /// Until then, in milliseconds of the story, the disk is full, or answers nothing.
    pub full_until: AtomicI64,
    pub stands_still_until: AtomicI64,
    /// In the engine's time.
    troubles: Mutex<Vec<(Timestamp, Timestamp)>>,
}

impl Weather {
    pub fn clears_up(&self) {
        self.fair.store(true, Ordering::SeqCst);
        self.full_until.store(0, Ordering::SeqCst);
        self.stands_still_until.store(0, Ordering::SeqCst);
    }

    pub fn is_fair(&self) -> bool {
        self.fair.load(Ordering::SeqCst)
    }

    pub fn trouble(&self, from: Timestamp, to: Timestamp) {
        self.troubles.lock().unwrap_or_else(PoisonError::into_inner).push((from.min(to), from.max(to)));
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
