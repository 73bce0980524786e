//! A node: a machine on which one process after the other lives, dies or is stopped, and is started again after a while.
//! Knows what may happen to it; what a process is, is in `process`.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::clock::Machine;
use crate::lease::Who;
use crate::life::Life;
use crate::process::{End, Process};
use crate::stage::Stage;

/// A life that does not end by chance.
pub const LONG: i64 = i64::MAX;

pub struct Node {
    number: usize,
    stage: Arc<Stage>,
    machine: Arc<Machine>,
    life: Mutex<Arc<Life>>,
    lives: AtomicU32,
    /// Whether it is not started again.
    retired: AtomicBool,
    /// Until then, in milliseconds of the story, it does not reach the database.
    cut_off_until: Arc<AtomicI64>,
}

impl Node {
    pub fn starts(stage: &Arc<Stage>, number: usize) -> Arc<Self> {
        // No two machines have quite the same time.
        let off = if number == 0 { 0 } else { *stage.chance.pick(&[0, 40, -40, 900, -30_000, 60_000]) };
        let node = Arc::new(Self {
            number,
            stage: stage.clone(),
            machine: Arc::new(Machine::off_by(off)),
            life: Mutex::new(Arc::new(Life::new(stage.bound.clone(), LONG))),
            lives: AtomicU32::new(0),
            retired: AtomicBool::new(false),
            cut_off_until: Arc::default(),
        });
        tokio::spawn(node.clone().lives_on());
        node
    }

    /// Whoever looks after processes starts it again, time after time.
    async fn lives_on(self: Arc<Self>) {
        let (stage, mut fuse) = (self.stage.clone(), LONG);
        loop {
            let who = Who { node: self.number, process: self.lives.fetch_add(1, Ordering::SeqCst) };
            let life = Arc::new(Life::new(stage.bound.clone(), fuse));
            *self.life.lock().unwrap_or_else(PoisonError::into_inner) = life.clone();
            stage.record.line(|| format!("node {}: starts", self.number));
            let process = Process::new(stage.clone(), who, life, self.machine.clone(), self.cut_off_until.clone());
            let end = process.lives().await;
            stage.record.line(|| format!("node {}: {end:?}", self.number));
            if self.retired.load(Ordering::SeqCst) {
                return;
            }
            let chance = &stage.chance;
            let down = match end {
                End::Died if chance.one_in(3) => chance.below(600_000),
                End::Died => chance.below(3_000),
                End::CouldNotStart => 1_000,
                End::Stopped => chance.below(20_000),
            };
            // Not even in fair weather is it started again in no time.
            tokio::time::sleep(Duration::from_millis(500)).await;
            stage.weather.lasts(Duration::from_millis(down)).await;
            fuse = if !stage.weather.is_fair() && chance.one_in(4) { chance.between(1, 30) as i64 } else { LONG };
        }
    }

    pub fn life(&self) -> Arc<Life> {
        self.life.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn who(&self) -> Who {
        Who { node: self.number, process: self.lives.load(Ordering::SeqCst).saturating_sub(1) }
    }

    /// It stops in order, and stays down.
    pub fn retires(&self) {
        self.retired.store(true, Ordering::SeqCst);
        self.life().is_to_end();
    }

    pub fn is_paused(&self, millis: u64) {
        pause(&self.stage, self.who(), &self.life(), millis);
    }

    /// The way to the database is gone for so long.
    pub fn is_cut_off(&self, millis: u64) {
        let (stage, who, number) = (self.stage.clone(), self.who(), self.number);
        let until = stage.truth.elapsed() + i64::try_from(millis).unwrap_or(i64::MAX);
        stage.record.line(|| format!("node {number}: is cut off for {millis} ms"));
        self.cut_off_until.store(until, Ordering::SeqCst);
        stage.is_away(who);
        let cut_off_until = self.cut_off_until.clone();
        tokio::spawn(async move {
            stage.weather.lasts(Duration::from_millis(millis)).await;
            // Another cut may have begun meanwhile.
            if stage.weather.is_fair() || stage.truth.elapsed() >= cut_off_until.load(Ordering::SeqCst) {
                cut_off_until.store(0, Ordering::SeqCst);
                stage.somebody_may_work();
            }
        });
    }

    /// Sets the machine's clock; what was due in what is left out cannot have been done in time.
    pub fn machine_is_set_by(&self, millis: i64) {
        self.stage.record.line(|| format!("node {}: the machine's clock is set by {millis} ms", self.number));
        let before = self.stage.now();
        self.machine.set_by(millis);
        self.stage.weather.trouble(before, self.stage.now());
    }
}

/// Nothing of it moves for so long; the world does.
pub fn pause(stage: &Arc<Stage>, who: Who, life: &Arc<Life>, millis: u64) {
    if life.is_paused() || life.is_over() {
        return;
    }
    stage.record.line(|| format!("node {}: is paused for {millis} ms", who.node));
    life.pauses();
    stage.weather.failures.fetch_add(1, Ordering::SeqCst);
    stage.is_away(who);
    let (stage, life) = (stage.clone(), life.clone());
    tokio::spawn(async move {
        stage.weather.lasts(Duration::from_millis(millis)).await;
        stage.record.line(|| format!("node {}: wakes", who.node));
        life.wakes();
        stage.somebody_may_work();
    });
}
