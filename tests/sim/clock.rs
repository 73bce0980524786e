//! The machine's clock of a simulated node: it goes with the runtime's turned time, and may be set to another hour while it runs.
//! What the engine makes of it is the real thing, `Steady`; nothing here knows what waits.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use async_trait::async_trait;
use reynard::domain::time::Timestamp;
use reynard::engine::clock::Steady;
use reynard::engine::ports::Clock;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::life::Life;

pub const START: Timestamp = Timestamp(1_790_000_000_000);

/// The clock in the machine: it outlives every process.
pub struct Machine {
    begin: Instant,
    /// Milliseconds by which it is set away from the true time.
    set_by: AtomicI64,
    set: Notify,
}

impl Machine {
    /// A machine that is switched on now, whose clock is so many milliseconds off.
    pub fn off_by(millis: i64) -> Self {
        Self { begin: Instant::now(), set_by: AtomicI64::new(millis), set: Notify::new() }
    }

    /// Milliseconds since the story began, as no clock tells them.
    pub fn elapsed(&self) -> i64 {
        i64::try_from(self.begin.elapsed().as_millis()).unwrap_or(i64::MAX)
    }

    pub fn tells(&self) -> Timestamp {
        Timestamp(START.0 + self.elapsed() + self.set_by.load(Ordering::SeqCst))
    }

    pub fn set_by(&self, millis: i64) {
        self.set_by.fetch_add(millis, Ordering::SeqCst);
        self.set.notify_waiters();
    }
}

/// The clock as one process has it.
pub struct ProcessClock {
    pub machine: Arc<Machine>,
    life: Arc<Life>,
    steady: Steady,
    /// A planted bug: it believes the machine, whatever it says.
    believes: bool,
}

impl ProcessClock {
    pub fn new(machine: Arc<Machine>, life: Arc<Life>, believes: bool) -> Self {
        Self { machine, life, steady: Steady::default(), believes }
    }
}

#[async_trait]
impl Clock for ProcessClock {
    fn now(&self) -> Timestamp {
        let told = self.machine.tells();
        if self.believes { told } else { self.steady.told(told, Instant::now().into_std()) }
    }

    /// A clock that is set is noticed at once here, and within a second by the real one.
    async fn wait_until(&self, at: Timestamp) {
        let set = self.machine.set.notified();
        tokio::select! {
            biased;
            () = tokio::time::sleep(at.since(self.now()).to_std()) => {}
            () = set => {}
        }
        self.life.goes_on().await;
    }

    fn not_before(&self, at: Timestamp) {
        if !self.believes {
            self.steady.not_before(at, self.machine.tells(), Instant::now().into_std());
        }
    }
}
