//! The two clocks: the machine's, and one that tests and simulations turn by hand.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use tokio::sync::Notify;

use crate::domain::time::{Span, Timestamp};
use crate::engine::ports::Clock;

/// The machine's clock; the only place that asks it.
#[derive(Debug, Default)]
pub struct SystemClock(Steady);

/// The wall clock may be set while we sleep, and a sleep does not notice: look again this often.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

#[async_trait]
impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        self.0.told(machine(), Instant::now())
    }

    async fn wait_until(&self, at: Timestamp) {
        tokio::time::sleep(at.since(self.now()).to_std().min(LOOK_AGAIN)).await;
    }

    fn trails(&self) -> Span {
        self.now().since(machine())
    }

    fn not_before(&self, at: Timestamp) {
        self.0.not_before(at, machine(), Instant::now());
    }
}

fn machine() -> Timestamp {
    Timestamp::from(chrono::Utc::now())
}

/// What is made of a machine's clock: time that does not go back. Where the machine's clock is set back, this goes on a little
/// slower until the other has caught up, so that what is due in a quarter of an hour is due in little more than that.
#[derive(Debug, Default)]
pub struct Steady {
    last: Mutex<Option<(Timestamp, Instant)>>,
}

impl Steady {
    /// Now, by what the machine tells and by how long the process has been there.
    pub fn told(&self, machine: Timestamp, at: Instant) -> Timestamp {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let slower = |(told, then): (Timestamp, Instant)| told + elapsed(then, at);
        match last.map(slower).filter(|slower| *slower > machine) {
            Some(slower) => slower,
            None => {
                *last = Some((machine, at));
                machine
            }
        }
    }

    /// Time goes on from `last`, the latest instant that an earlier life committed.
    pub fn not_before(&self, last: Timestamp, machine: Timestamp, at: Instant) {
        let now = self.told(machine, at);
        if last > now {
            tracing::warn!(%last, %now, "The clock is behind what was committed last; time goes on from there, a little slower");
            *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some((last, at));
        }
    }
}

/// Nine tenths of the time that has passed.
fn elapsed(then: Instant, at: Instant) -> Span {
    Span(u64::try_from(at.saturating_duration_since(then).as_millis() * 9 / 10).unwrap_or(u64::MAX))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_set_back_goes_on_until_the_machine_has_caught_up() {
        let (clock, begin) = (Steady::default(), Instant::now());
        let told = |machine: i64, after: u64| clock.told(Timestamp(machine), begin + Duration::from_millis(after)).0;
        assert_eq!((told(100_000, 0), told(101_000, 1_000)), (100_000, 101_000));
        // Set back by half a minute.
        assert_eq!((told(72_000, 2_000), told(81_000, 11_000)), (101_900, 110_000));
        assert_eq!((told(421_000, 351_000), told(422_000, 352_000)), (421_000, 422_000));
        // Set ahead: that is believed.
        assert_eq!(told(900_000, 353_000), 900_000);
    }

    #[test]
    fn time_goes_on_from_the_last_commit() {
        let clock = SystemClock::default();
        let ahead = clock.now() + Span::hours(5);
        clock.not_before(ahead);
        assert!(clock.now() >= ahead);
    }
}
