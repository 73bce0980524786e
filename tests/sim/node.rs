//! A node: the real engine in a process that dies and comes back, with hands and a disk that belong to the stage.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reynard::domain::time::{Span, Timestamp};
use reynard::engine::metrics::Metrics;
use reynard::engine::ports::{Action, Clock, Sender};
use reynard::engine::runtime::{Loops, Parts, Runtime};
use reynard::engine::shared::Hands;

use crate::clock::ProcessClock;
use crate::life::Life;
use crate::nowhere::Nowhere;
use crate::plant::Bug;
use crate::stage::Stage;
use crate::store::Session;
use crate::world::{Doer, Postman};

/// A life that does not end by chance.
pub const LONG: i64 = i64::MAX;

/// The engine, for whoever calls from outside; nobody answers while it is down.
pub type Door = Arc<Mutex<Option<Runtime>>>;

pub struct Node {
    stage: Arc<Stage>,
    pub door: Door,
    pub life: Arc<Life>,
    pub clock: Arc<ProcessClock>,
    loops: Option<Loops>,
    down_since: Timestamp,
}

impl Node {
    pub fn new(stage: Arc<Stage>) -> Self {
        let clock = Arc::new(ProcessClock::new(stage.machine.clone(), stage.planted == Some(Bug::BelievesTheMachine)));
        let down_since = stage.machine.tells();
        Self { stage, door: Door::default(), life: Arc::new(Life::new(LONG)), clock, loops: None, down_since }
    }

    pub fn runtime(&self) -> Option<Runtime> {
        self.door.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn opens(&self, runtime: Option<Runtime>) {
        *self.door.lock().unwrap_or_else(PoisonError::into_inner) = runtime;
    }

    /// Starts, again and again if need be; it may die while it starts.
    pub async fn comes_up(&mut self, mut fuse: i64) {
        loop {
            let life = Arc::new(Life::new(fuse));
            let clock = Arc::new(ProcessClock::new(self.stage.machine.clone(), self.stage.planted == Some(Bug::BelievesTheMachine)));
            self.stage.lives.fetch_add(1, Ordering::SeqCst);
            self.stage.record.line(|| "node: starts");
            let parts = self.parts(&life, &clock);
            let started = tokio::select! {
                biased;
                () = life.death() => None,
                started = Runtime::start(parts) => Some(started),
            };
            (self.life, self.clock) = (life, clock);
            match started {
                Some(Ok((runtime, loops))) => {
                    self.opens(Some(runtime));
                    self.loops = Some(loops);
                    self.stage.weather.trouble(self.down_since, self.clock.now());
                    self.stage.record.line(|| "node: is up");
                    return;
                }
                // Whoever looks after processes starts it again.
                Some(Err(_)) | None => tokio::time::sleep(Duration::from_secs(1)).await,
            }
            fuse = LONG;
        }
    }

    fn parts(&self, life: &Arc<Life>, clock: &Arc<ProcessClock>) -> Parts {
        let (stage, rulebook) = (&self.stage, &self.stage.settings.rulebook);
        let doer = |spec: &reynard::domain::action::Spec| {
            (spec.name, Arc::new(Doer { spec: *spec, stage: stage.clone(), life: life.clone() }) as Arc<dyn Action>)
        };
        let postman = |channel: &String| {
            (channel.clone(), Arc::new(Postman { channel: channel.clone(), stage: stage.clone(), life: life.clone() }) as Arc<dyn Sender>)
        };
        let hands = Hands {
            actions: rulebook.specs.iter().map(doer).collect(),
            senders: stage.settings.channels.keys().map(postman).collect(),
            ..Hands::default()
        };
        Parts {
            journal: Arc::new(Session { stage: stage.clone(), life: life.clone(), clock: clock.clone() }),
            reads: Arc::new(Nowhere),
            clock: clock.clone(),
            rulebook: Arc::new(rulebook.clone()),
            hands,
            metrics: Arc::new(Metrics::default()),
        }
    }

    /// The process is gone between one moment and the next.
    pub fn dies(&mut self) {
        if let Some(loops) = self.loops.take() {
            self.stage.record.line(|| "node: dies");
            self.life.ends();
            loops.abort();
            self.opens(None);
            self.down_since = self.clock.now();
        }
    }

    pub async fn stops(&mut self) {
        let (Some(loops), Some(runtime)) = (self.loops.take(), self.runtime()) else { return };
        self.stage.record.line(|| "node: stops in order");
        self.down_since = self.clock.now();
        let life = self.life.clone();
        tokio::select! {
            biased;
            () = life.death() => {}
            () = loops.stop(runtime, Span::seconds(5)) => {}
        }
        // What is still under way ends with the process.
        self.life.ends();
        self.opens(None);
    }

    /// Sets the machine's clock; what was due in what is left out cannot have been done in time.
    pub fn machine_is_set_by(&self, millis: i64) {
        self.stage.record.line(|| format!("the machine's clock is set by {millis} ms"));
        let before = self.clock.now();
        self.stage.machine.set_by(millis);
        self.stage.weather.trouble(before, self.clock.now());
    }
}
