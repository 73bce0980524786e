//! One process: the real engine with hands and a disk that belong to the stage. Alone it works at once; beside another it stands by,
//! takes over and is taken over from, in the order in which `app.rs` has it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use reynard::domain::time::Span;
use reynard::engine::metrics::Metrics;
use reynard::engine::node::Node;
use reynard::engine::ports::{Action, Sender};
use reynard::engine::runtime::{Loops, Over, Parts, Runtime};
use reynard::engine::shared::Hands;

use crate::clock::{Machine, ProcessClock};
use crate::lease::Who;
use crate::life::Life;
use crate::nowhere::Nowhere;
use crate::plant::Bug;
use crate::stage::{Active, Stage};
use crate::store::Session;
use crate::verdict;
use crate::world::{Doer, Postman};

/// How long what runs may take to end, when it is stopped.
const GRACE: Span = Span::seconds(5);
const AGAIN: Duration = Duration::from_secs(1);

/// How a life ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Died,
    Stopped,
    CouldNotStart,
}

pub struct Process {
    stage: Arc<Stage>,
    who: Who,
    life: Arc<Life>,
    clock: Arc<ProcessClock>,
    cut_off_until: Arc<AtomicI64>,
    session: Arc<Session>,
    runtime: Runtime,
    /// None where the database is its own.
    node: Option<Node>,
}

impl Process {
    pub fn new(stage: Arc<Stage>, who: Who, life: Arc<Life>, machine: Arc<Machine>, cut_off_until: Arc<AtomicI64>) -> Self {
        let clock = Arc::new(ProcessClock::new(machine, life.clone(), stage.planted == Some(Bug::BelievesTheMachine)));
        let session = Arc::new(Session::new(stage.clone(), who, life.clone(), clock.clone(), cut_off_until.clone()));
        let runtime = Runtime::idle(parts(&stage, who, &life, &session, &clock)).named(&format!("node {}", who.node));
        let runtime = if stage.nodes > 1 { runtime.sharing(session.clone()) } else { runtime };
        let node = (stage.nodes > 1).then(|| Node::new(runtime.clone(), session.clone()));
        Self { stage, who, life, clock, cut_off_until, session, runtime, node }
    }

    /// Its whole life, to the end of it.
    pub async fn lives(self) -> End {
        self.stage.opens(self.who.node, Some(self.runtime.clone()));
        let mut loops = None;
        let end = tokio::select! {
            biased;
            () = self.life.death() => End::Died,
            end = self.works(&mut loops) => end,
        };
        if self.stage.is_active(self.who) {
            self.stage.is_away(self.who);
        }
        // What is still under way ends with the process.
        self.life.ends();
        self.stage.opens(self.who.node, None);
        if let Some(loops) = loops {
            loops.abort();
        }
        end
    }

    async fn works(&self, loops: &mut Option<Loops>) -> End {
        match self.begins().await {
            Ok(begun) => *loops = begun,
            Err(()) => return End::CouldNotStart,
        }
        loop {
            if loops.is_none() {
                *loops = tokio::select! {
                    biased;
                    () = self.life.asked_to_end() => return self.leaves().await,
                    running = self.becomes_active() => Some(running),
                };
            }
            let Some(running) = loops.as_mut() else { continue };
            let over = tokio::select! {
                biased;
                () = self.life.asked_to_end() => None,
                over = self.holds(running) => Some(over),
            };
            let Some(running) = loops.take() else { continue };
            match over {
                None => return self.ends_in_order(running).await,
                Some(Over::Fell) => {
                    self.stage.record.fault("a writer fell over".to_owned());
                    return End::Died;
                }
                Some(Over::Heir(heir)) => self.hands_over(running, &heir).await,
                Some(Over::Fenced) => {
                    running.abort();
                    self.says("is fenced");
                    self.stage.record.demand(!self.stage.may_write(self.who), || "somebody was fenced who has the lease".to_owned());
                    self.runtime.stands_by("");
                }
            }
        }
    }

    async fn begins(&self) -> Result<Option<Loops>, ()> {
        match &self.node {
            Some(node) if !node.first_look().await.map_err(drop)? => Ok(None),
            _ => self.takes_over().await.map(Some),
        }
    }

    async fn takes_over(&self) -> Result<Loops, ()> {
        let loops = self.runtime.take_over(self.session.clone()).await.map_err(drop)?;
        self.says("is at work");
        let (life, clock, cut_off_until) = (self.life.clone(), self.clock.clone(), self.cut_off_until.clone());
        self.stage.takes_over(Active { who: self.who, life, clock, cut_off_until });
        Ok(loops)
    }

    async fn becomes_active(&self) -> Loops {
        loop {
            if let Some(node) = &self.node {
                node.stand_by().await;
            }
            if let Ok(loops) = self.takes_over().await {
                return loops;
            }
            tokio::time::sleep(AGAIN).await;
            self.life.goes_on().await;
        }
    }

    async fn holds(&self, running: &mut Loops) -> Over {
        match &self.node {
            Some(node) => node.hold(running).await,
            None => running.over().await,
        }
    }

    async fn ends_in_order(&self, running: Loops) -> End {
        // A process that is paused hears of it when it wakes.
        self.life.goes_on().await;
        self.says("stops in order");
        let failures = self.stage.weather.failures.load(Ordering::SeqCst);
        self.stage.is_away(self.who);
        self.runtime.close();
        let stopped = running.stop(self.runtime.clone(), GRACE);
        match &self.node {
            None => stopped.await,
            Some(node) => {
                tokio::select! {
                    biased;
                    () = stopped => {}
                    () = node.renew() => {}
                }
            }
        }
        // A disk that stands still for longer than the grace has failed nobody, and said nothing either.
        let answers = !self.stage.weather.keeps_all_from_work(self.stage.truth.elapsed());
        let undisturbed = answers && failures == self.stage.weather.failures.load(Ordering::SeqCst) && self.stage.may_write(self.who);
        if undisturbed {
            verdict::nothing_is_held_that_was_not_begun(&self.stage);
        }
        self.leaves().await
    }

    async fn hands_over(&self, running: Loops, heir: &str) {
        self.life.goes_on().await;
        self.says("hands over");
        self.stage.is_away(self.who);
        if let Some(node) = &self.node {
            node.hand_over(running, heir, GRACE).await;
        }
    }

    async fn leaves(&self) -> End {
        if let Some(node) = &self.node {
            node.leave().await;
        }
        End::Stopped
    }

    fn says(&self, what: &str) {
        self.stage.record.line(|| format!("node {}: {what}", self.who.node));
    }
}

fn parts(stage: &Arc<Stage>, who: Who, life: &Arc<Life>, session: &Arc<Session>, clock: &Arc<ProcessClock>) -> Parts {
    let rulebook = &stage.settings.rulebook;
    let doer = |spec: &reynard::domain::action::Spec| {
        (spec.name, Arc::new(Doer { spec: *spec, stage: stage.clone(), who, life: life.clone() }) as Arc<dyn Action>)
    };
    let postman = |channel: &String| {
        (channel.clone(), Arc::new(Postman { channel: channel.clone(), stage: stage.clone(), life: life.clone() }) as Arc<dyn Sender>)
    };
    let hands = Hands {
        actions: rulebook.specs.iter().map(doer).collect(),
        senders: stage.settings.channels.keys().map(postman).collect(),
        messages: stage.messages.clone(),
        ..Hands::default()
    };
    Parts {
        journal: session.clone(),
        reads: Arc::new(Nowhere),
        clock: clock.clone(),
        rulebook: Arc::new(rulebook.clone()),
        hands,
        metrics: Arc::new(Metrics::default()),
    }
}
