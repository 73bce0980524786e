//! One story from a seed: hours in which everything happens, then fair weather until all is at rest, then the verdict.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::alertmanager::Alertmanager;
use crate::node::{LONG, Node};
use crate::people::People;
use crate::plant::Bug;
use crate::stage::Stage;
use crate::verdict;

pub struct Story {
    pub fault: Option<String>,
    pub log: String,
}

/// Lives a story on a thread of its own time: nothing in it waits for the real one.
pub fn live(seed: u64, planted: Option<Bug>, told: bool) -> Story {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime");
    runtime.block_on(async {
        let stage = Arc::new(Stage::new(seed, planted, told));
        let mut plot = Plot::new(stage.clone());
        plot.unfolds().await;
        Story { fault: stage.record.first_fault(), log: stage.record.text() }
    })
}

struct Plot {
    stage: Arc<Stage>,
    node: Node,
    sender: Alertmanager,
    people: People,
}

impl Plot {
    fn new(stage: Arc<Stage>) -> Self {
        let node = Node::new(stage.clone());
        let sender = Alertmanager::new(stage.clone(), node.door.clone());
        let people = People::new(stage.clone(), node.door.clone());
        Self { stage, node, sender, people }
    }

    fn is_broken(&self) -> bool {
        self.stage.record.first_fault().is_some()
    }

    async fn unfolds(&mut self) {
        self.node.comes_up(LONG).await;
        for _ in 0..self.stage.chance.between(10, 40) {
            self.something_happens().await;
            self.time_passes().await;
            if self.is_broken() {
                return;
            }
        }
        self.clears_up().await;
        if !self.is_broken() {
            verdict::speak(&self.stage, &self.sender, &self.people, self.node.clock.as_ref());
        }
    }

    async fn something_happens(&mut self) {
        let chance = &self.stage.chance;
        match chance.below(20) {
            0..=4 => self.sender.something_fires(),
            5..=6 => self.sender.something_ends(),
            7 => self.sender.something_is_repeated(),
            8 if chance.one_in(4) => self.sender.a_storm_comes(),
            8..=12 => self.people.somebody_acts(),
            13 => self.crashes().await,
            14 => self.node.life.burns(chance.between(1, 40) as i64),
            15 if chance.one_in(2) => self.stops().await,
            15..=16 => self.disk_fails(),
            17 if chance.one_in(2) => self.clock_is_set(),
            _ => {}
        }
    }

    /// Mostly a moment, sometimes most of an hour; whatever dies meanwhile is brought up again after a while.
    async fn time_passes(&mut self) {
        let chance = &self.stage.chance;
        let millis = match chance.below(10) {
            0 => 0,
            1..=4 => chance.below(2_000),
            5..=8 => chance.below(120_000),
            _ => chance.below(2_400_000),
        };
        self.waits(Duration::from_millis(millis)).await;
    }

    async fn waits(&mut self, time: Duration) {
        let end = tokio::time::Instant::now() + time;
        while tokio::time::Instant::now() < end {
            let life = self.node.life.clone();
            tokio::select! {
                biased;
                () = life.death() => self.crashes().await,
                () = tokio::time::sleep_until(end) => return,
            }
        }
    }

    async fn crashes(&mut self) {
        self.node.dies();
        let chance = &self.stage.chance;
        let down = if chance.one_in(3) { chance.below(600_000) } else { chance.below(3_000) };
        tokio::time::sleep(Duration::from_millis(if self.stage.weather.is_fair() { 0 } else { down })).await;
        let fuse = if !self.stage.weather.is_fair() && chance.one_in(4) { chance.between(1, 30) as i64 } else { LONG };
        self.node.comes_up(fuse).await;
    }

    async fn stops(&mut self) {
        self.node.stops().await;
        tokio::time::sleep(Duration::from_millis(self.stage.chance.below(20_000))).await;
        self.node.comes_up(LONG).await;
    }

    fn disk_fails(&self) {
        let (chance, now) = (&self.stage.chance, self.stage.machine.elapsed());
        let until = now + chance.between(200, 60_000) as i64;
        let which = if chance.one_in(2) { &self.stage.weather.full_until } else { &self.stage.weather.stands_still_until };
        which.store(until, Ordering::SeqCst);
    }

    fn clock_is_set(&self) {
        let chance = &self.stage.chance;
        let by = *chance.pick(&[1_000, 60_000, 3_600_000, 86_400_000]);
        self.node.machine_is_set_by(if chance.one_in(2) { by } else { -by });
    }

    /// The faults end, the alerts too, people tidy up, and time passes.
    async fn clears_up(&mut self) {
        self.stage.weather.clears_up();
        self.stage.record.line(|| "the weather clears up");
        self.node.life.burns(LONG);
        if self.node.life.is_over() {
            self.crashes().await;
        }
        self.waits(Duration::from_secs(120)).await;
        self.sender.is_done_sending().await;
        self.people.are_done().await;
        self.sender.all_is_over().await;
        for _ in 0..3 {
            self.waits(Duration::from_secs(600)).await;
            verdict::all_has_ended(&self.stage);
            self.people.tidy_up().await;
        }
        self.waits(Duration::from_secs(4 * 3_600)).await;
    }
}
