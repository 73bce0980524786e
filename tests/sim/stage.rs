//! Everything that outlives a process: the true time, the disk, the world, the doors to knock at, and who judges. One a story.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use reynard::domain::settings::Settings;
use reynard::domain::time::Timestamp;
use reynard::engine::ports::Clock;
use reynard::engine::render::Messages;
use reynard::engine::runtime::Runtime;
use reynard::engine::store::Batch;
use tokio::sync::Notify;

use crate::bound::Bound;
use crate::clock::{Machine, ProcessClock};
use crate::disk::Tables;
use crate::grip::{Consents, Grips};
use crate::house;
use crate::lease::{Row, Who};
use crate::life::Life;
use crate::oracle::Oracle;
use crate::plant::Bug;
use crate::record::Record;
use crate::seed::Chance;
use crate::weather::Weather;
use crate::world::Seen;

/// Who is at work, by which clock, and what may keep it from it.
#[derive(Clone)]
pub struct Active {
    pub who: Who,
    pub life: Arc<Life>,
    pub clock: Arc<ProcessClock>,
    pub cut_off_until: Arc<AtomicI64>,
}

impl Active {
    fn can_work(&self, now: i64) -> bool {
        !self.life.is_over() && !self.life.is_paused() && now >= self.cut_off_until.load(Ordering::SeqCst)
    }
}

/// A commit, and when it was made.
pub type Kept = (Batch, Timestamp);

pub struct Stage {
    pub chance: Chance,
    /// A clock that nobody sets.
    pub truth: Arc<Machine>,
    pub record: Arc<Record>,
    pub weather: Arc<Weather>,
    pub bound: Arc<Bound>,
    pub settings: Settings,
    /// The words of messages, which are long to read and the same for every process.
    pub messages: Arc<Messages>,
    pub planted: Option<Bug>,
    pub tables: Mutex<Tables>,
    /// Every commit that was made, where somebody wants to make them once more elsewhere.
    pub kept: Option<Mutex<Vec<Kept>>>,
    pub lease: Mutex<Row>,
    /// Rings when the lease is given back.
    pub released: Notify,
    /// Rung when a node has left something for the writer.
    pub left: Notify,
    pub seen: Mutex<Seen>,
    /// Changes of targets that are under way.
    pub grips: Mutex<Grips>,
    pub consents: Mutex<Consents>,
    /// Whether somebody was told that automation is held, and nobody has wished otherwise since.
    pub held: AtomicBool,
    /// Wishes to release it that were not answered yet.
    pub releases: AtomicU32,
    /// How many nodes there are; one has the database for itself.
    pub nodes: usize,
    /// The engines, for whoever calls from outside; nobody answers at the door of a node that is down.
    doors: Mutex<Vec<Option<Runtime>>>,
    active: Mutex<Option<Active>>,
    /// How often somebody took up the work.
    pub turns: AtomicU32,
    oracle: Mutex<Oracle>,
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Stage {
    pub fn new(seed: u64, planted: Option<Bug>, told: bool) -> Self {
        let chance = Chance::of(seed);
        let truth = Arc::new(Machine::off_by(0));
        let record = Arc::new(Record::new(truth.clone(), told));
        let weather = Arc::new(Weather::default());
        weather.nobody_works(truth.tells());
        let nodes = 1 + chance.below(2) as usize;
        let settings = house::draw(&chance);
        let earned = house::earned(&chance, &settings);
        let oracle = Mutex::new(Oracle::new(record.clone(), weather.clone(), Arc::new(settings.rulebook.clone()), &earned));
        let doors = Mutex::new(vec![None; nodes]);
        let (bound, messages, lease, released, left, seen, held, releases, active, turns) = Default::default();
        let (grips, consents) = Default::default();
        let mut tables = Tables::default();
        tables.remembers(earned);
        let tables = Mutex::new(tables);
        Self {
            chance,
            truth,
            record,
            weather,
            bound,
            settings,
            messages,
            planted,
            tables,
            kept: None,
            lease,
            released,
            left,
            seen,
            grips,
            consents,
            held,
            releases,
            nodes,
            doors,
            active,
            turns,
            oracle,
        }
    }

    /// One whose commits are kept.
    pub fn kept(seed: u64) -> Self {
        let stage = Self::new(seed, None, false);
        let now = stage.truth.tells();
        let records = stage.tables().resumed(now).records.into_iter().collect();
        Self { kept: Some(Mutex::new(vec![(Batch { records, ..Batch::default() }, now)])), ..stage }
    }

    pub fn oracle(&self) -> MutexGuard<'_, Oracle> {
        lock(&self.oracle)
    }

    pub fn tables(&self) -> MutexGuard<'_, Tables> {
        lock(&self.tables)
    }

    pub fn lease(&self) -> MutexGuard<'_, Row> {
        lock(&self.lease)
    }

    pub fn seen(&self) -> MutexGuard<'_, Seen> {
        lock(&self.seen)
    }

    pub fn opens(&self, node: usize, runtime: Option<Runtime>) {
        lock(&self.doors)[node] = runtime;
    }

    /// The doors in an order of chance: who knocks at one in vain may go to the next.
    pub fn doors(&self) -> Vec<Option<Runtime>> {
        let mut doors = lock(&self.doors).clone();
        doors.rotate_left(self.chance.below(self.nodes as u64) as usize);
        doors
    }

    /// One that has the lease may write, and anybody where there is none.
    pub fn may_write(&self, who: Who) -> bool {
        self.nodes == 1 || self.lease().is_held_by(who)
    }

    pub fn takes_over(&self, active: Active) {
        self.turns.fetch_add(1, Ordering::SeqCst);
        let now = active.clock.now();
        if let Some(before) = lock(&self.active).replace(active) {
            // The clocks of two machines are not the same; what lies between them was nobody's time.
            self.weather.trouble(before.clock.now(), now);
        }
        self.weather.somebody_works(now);
    }

    fn active(&self) -> Option<Active> {
        lock(&self.active).clone()
    }

    pub fn is_active(&self, who: Who) -> bool {
        self.active().is_some_and(|active| active.who == who)
    }

    /// It goes away, for a while or for good.
    pub fn is_away(&self, who: Who) {
        if self.is_active(who) {
            self.nobody_can_work();
        }
    }

    /// Whoever is at work can do nothing, be it the database's fault or its own.
    pub fn nobody_can_work(&self) {
        self.weather.nobody_works(self.now());
    }

    /// Something is over that kept whoever is at work from it; something else may still do so, or another one has taken its place.
    pub fn somebody_may_work(&self) {
        if let Some(active) = self.active()
            && self.may_write(active.who)
            && active.can_work(self.truth.elapsed())
            && !self.weather.keeps_all_from_work(self.truth.elapsed())
        {
            self.weather.somebody_works(active.clock.now());
        }
    }

    /// The time that whoever is at work goes by.
    pub fn now(&self) -> Timestamp {
        self.active().map_or_else(|| self.truth.tells(), |active| active.clock.now())
    }
}
