//! Everything that outlives a process: the machine's clock, the disk, the world, and who judges. One a story.

use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use reynard::domain::settings::Settings;

use crate::clock::Machine;
use crate::disk::Tables;
use crate::house;
use crate::oracle::Oracle;
use crate::plant::Bug;
use crate::record::Record;
use crate::seed::Chance;
use crate::weather::Weather;
use crate::world::Seen;

pub struct Stage {
    pub chance: Chance,
    pub machine: Arc<Machine>,
    pub record: Arc<Record>,
    pub weather: Arc<Weather>,
    pub settings: Settings,
    pub planted: Option<Bug>,
    pub tables: Mutex<Tables>,
    pub seen: Mutex<Seen>,
    /// Processes that have been started so far.
    pub lives: AtomicU32,
    oracle: Mutex<Oracle>,
}

impl Stage {
    pub fn new(seed: u64, planted: Option<Bug>, told: bool) -> Self {
        let chance = Chance::of(seed);
        let machine = Arc::new(Machine::default());
        let record = Arc::new(Record::new(machine.clone(), told));
        let weather = Arc::new(Weather::default());
        let settings = house::draw(&chance);
        let oracle = Mutex::new(Oracle::new(record.clone(), weather.clone(), Arc::new(settings.rulebook.clone())));
        let (tables, seen, lives) = Default::default();
        Self { chance, machine, record, weather, settings, planted, tables, seen, lives, oracle }
    }

    pub fn oracle(&self) -> MutexGuard<'_, Oracle> {
        self.oracle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn tables(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
