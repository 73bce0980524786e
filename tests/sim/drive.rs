//! One story from a seed: hours in which everything happens, then fair weather until all is at rest, then the verdict.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use reynard::domain::watch::Suspects;

use crate::alertmanager::Alertmanager;
use crate::node::{LONG, Node};
use crate::people::People;
use crate::plant::Bug;
use crate::stage::{Kept, Stage};
use crate::verdict;

pub struct Story {
    pub fault: Option<String>,
    pub log: String,
    /// Places at which anybody waited.
    pub steps: i64,
}

/// Lives a story on a thread of its own time: nothing in it waits for the real one.
pub fn live(seed: u64, planted: Option<Bug>, told: bool) -> Story {
    let stage = lives(|| Stage::new(seed, planted, told));
    Story { fault: stage.record.first_fault(), log: stage.record.text(), steps: stage.bound.taken() }
}

/// Every commit of a story.
pub fn kept_by(seed: u64) -> Vec<Kept> {
    let stage = lives(|| Stage::kept(seed));
    let kept = stage.kept.as_ref().map(|kept| std::mem::take(&mut *kept.lock().unwrap_or_else(PoisonError::into_inner)));
    kept.unwrap_or_default()
}

fn lives(stage: impl FnOnce() -> Stage) -> Arc<Stage> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime");
    runtime.block_on(async {
        let stage = Arc::new(stage());
        let mut plot = Plot::new(stage.clone());
        tokio::select! {
            biased;
            () = stage.bound.is_reached() => stage.record.fault("it goes on for ever".to_owned()),
            () = plot.unfolds() => {}
        }
        stage
    })
}

struct Plot {
    stage: Arc<Stage>,
    nodes: Vec<Arc<Node>>,
    sender: Alertmanager,
    people: People,
}

impl Plot {
    fn new(stage: Arc<Stage>) -> Self {
        let nodes = (0..stage.nodes).map(|number| Node::starts(&stage, number)).collect();
        let sender = Alertmanager::new(stage.clone());
        let people = People::new(stage.clone());
        Self { stage, nodes, sender, people }
    }

    fn is_broken(&self) -> bool {
        self.stage.record.first_fault().is_some()
    }

    async fn unfolds(&mut self) {
        waits(1).await;
        for _ in 0..self.stage.chance.between(8, 32) {
            self.something_happens();
            self.time_passes().await;
            if self.is_broken() {
                return;
            }
        }
        self.clears_up().await;
        if !self.is_broken() {
            verdict::speak(&self.stage, &self.sender, &self.people);
        }
    }

    fn something_happens(&mut self) {
        let chance = &self.stage.chance;
        let node = chance.pick(&self.nodes).clone();
        match chance.below(24) {
            0..=4 => self.sender.something_fires(),
            5..=6 => self.sender.something_ends(),
            7 => self.sender.something_is_repeated(),
            8 if chance.one_in(4) => self.sender.a_storm_comes(),
            8..=12 => self.people.somebody_acts(),
            13 => node.life().ends(),
            14 => node.life().burns(chance.between(1, 40) as i64),
            15 if chance.one_in(2) => node.life().is_to_end(),
            15 => node.life().is_to_end_with_an_attempt(),
            16..=17 => self.disk_fails(),
            18 if chance.one_in(2) => self.clock_is_set(&node),
            19 if chance.one_in(3) => node.is_paused(chance.between(500, 60_000)),
            // Mostly long enough for another one to have its place when it wakes.
            19 => node.life().is_to_pause_with_an_attempt(chance.between(8_000, 60_000)),
            20 if self.nodes.len() > 1 => node.is_cut_off(chance.between(500, 60_000)),
            21 => self.people.somebody_presses_the_switch(),
            22 if self.nodes.len() > 1 => self.people.somebody_has_it_handed_over(),
            _ => {}
        }
    }

    /// Mostly a moment, sometimes most of an hour.
    async fn time_passes(&self) {
        let chance = &self.stage.chance;
        waits(match chance.below(10) {
            0 => 0,
            1..=4 => chance.below(2_000),
            5..=8 => chance.below(120_000),
            _ => chance.below(2_400_000),
        })
        .await;
    }

    fn disk_fails(&self) {
        let (chance, now) = (&self.stage.chance, self.stage.truth.elapsed());
        let lasts = chance.between(200, 60_000);
        let until = now + lasts as i64;
        let which = if chance.one_in(2) { &self.stage.weather.full_until } else { &self.stage.weather.stands_still_until };
        self.stage.record.line(|| format!("the disk fails until {until}"));
        which.store(until, Ordering::SeqCst);
        self.stage.nobody_can_work();
        let stage = self.stage.clone();
        tokio::spawn(async move {
            stage.weather.lasts(Duration::from_millis(lasts)).await;
            stage.somebody_may_work();
        });
    }

    fn clock_is_set(&self, node: &Node) {
        let chance = &self.stage.chance;
        let by = *chance.pick(&[1_000, 60_000, 3_600_000, 86_400_000]);
        node.machine_is_set_by(if chance.one_in(2) { by } else { -by });
    }

    /// The faults end, the alerts too, people tidy up, one of two nodes goes home, and time passes.
    async fn clears_up(&mut self) {
        self.stage.weather.clears_up();
        self.stage.record.line(|| "the weather clears up");
        self.nodes.iter().for_each(|node| node.life().burns(LONG));
        waits(120_000).await;
        self.sender.is_done_sending().await;
        self.people.are_done().await;
        self.people.let_automation_go().await;
        self.sender.all_is_over().await;
        let mut suspects = Suspects::new();
        for round in 0..3 {
            waits(600_000).await;
            verdict::all_has_ended(&self.stage);
            verdict::the_watch_is_silent(&self.stage, &mut suspects);
            self.people.tidy_up().await;
            if round == 0 && self.nodes.len() > 1 {
                self.stage.chance.pick(&self.nodes).retires();
            }
        }
        // What still goes on may take as long as all limits, backoffs and pauses together.
        for _ in 0..12 {
            waits(20 * 60_000).await;
            verdict::the_watch_is_silent(&self.stage, &mut suspects);
            if verdict::nothing_is_under_way(&self.stage) {
                return;
            }
        }
    }
}

async fn waits(millis: u64) {
    tokio::time::sleep(Duration::from_millis(millis)).await;
}
