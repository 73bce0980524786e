//! The world that steps act on and messages go to: it counts by key what reached it, whatever the engine believes.
//! Answers come late, or wrong, or never, as chance will have it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use reynard::domain::action::Spec;
use reynard::domain::limits::Spent;
use reynard::engine::ports::{Action, ActionError, Call, Delivered, Message, Sender, Verdict};
use serde_json::{Value, json};

use crate::deed::Deed;
use crate::grip::Letting;
use crate::lease::Who;
use crate::life::Life;
use crate::plant::Bug;
use crate::stage::Stage;

/// What the world has seen.
#[derive(Default)]
pub struct Seen {
    /// Attempts that were handed to a target, by key and number, whatever became of them on the way.
    pub begun: BTreeSet<(String, u32)>,
    /// How often an attempt of that key and number came.
    pub attempts: BTreeMap<(String, u32), u32>,
    /// Destructive attempts that came, each at the instant at which the log says that it was begun.
    pub destructive: Vec<Spent>,
    /// How often what a key asks for took effect.
    pub effects: BTreeMap<String, u32>,
    /// How often of those it was done by a process that had lost the work to another one after it had begun.
    pub overtaken: BTreeMap<String, u32>,
    /// What is in force, by target: the keys that put it there.
    pub in_force: BTreeMap<String, BTreeSet<String>>,
    /// How often a message was handed to its channel, and how often the channel took it.
    pub handed: BTreeMap<String, u32>,
    pub taken: BTreeMap<String, u32>,
}

/// One process's hand on one kind of step.
pub struct Doer {
    pub spec: Spec,
    pub stage: Arc<Stage>,
    pub who: Who,
    pub life: Arc<Life>,
}

/// How an attempt goes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Well,
    Retry,
    Fatal,
    Barred,
    Lost {
        happened: bool,
    },
    Silent {
        happened: bool,
    },
    /// Its answer comes when its time is over.
    Late {
        happened: bool,
    },
}

impl Fate {
    fn draw(stage: &Stage) -> Self {
        if stage.weather.is_fair() {
            return Self::Well;
        }
        match stage.chance.below(20) {
            0..=2 => Self::Retry,
            3 => Self::Fatal,
            4 => Self::Barred,
            5..=6 => Self::Lost { happened: stage.chance.one_in(2) },
            7 => Self::Silent { happened: stage.chance.one_in(2) },
            8 => Self::Late { happened: stage.chance.one_in(2) },
            _ => Self::Well,
        }
    }

    fn happens(self) -> bool {
        matches!(self, Self::Well | Self::Lost { happened: true } | Self::Silent { happened: true } | Self::Late { happened: true })
    }
}

impl Doer {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.stage.seen()
    }

    async fn comes(&self, call: &Call, what: &str) -> Fate {
        self.begins(call, what == "does");
        self.life.place().await;
        self.stage.record.line(|| format!("world: {what} {} {} attempt {}", self.spec.name, call.key, call.attempt));
        let fate = Fate::draw(&self.stage);
        self.stage.takes_time().await;
        self.life.place().await;
        fate
    }

    /// Nothing is begun by a node that may have lost the work: what it has begun before that may still arrive.
    fn begins(&self, call: &Call, does: bool) {
        if !self.life.is_over() {
            let held = does && self.spec.destructive && self.stage.held.load(Ordering::SeqCst);
            self.stage.record.demand(!held, || format!("{} began though automation is held", call.key));
            let may = self.stage.may_write(self.who);
            self.stage.record.demand(may, || format!("node {} began {} without the lease", self.who.node, call.key));
            self.seen().begun.insert((call.key.clone(), call.attempt));
        }
    }

    async fn answers(&self, call: &Call, fate: Fate) -> Result<Value, ActionError> {
        self.life.place().await;
        self.stage.takes_time().await;
        self.life.place().await;
        match fate {
            Fate::Well => Ok(json!({"done": true})),
            Fate::Retry => Err(ActionError::Retry("later".to_owned())),
            Fate::Fatal => Err(ActionError::Fatal("no".to_owned())),
            Fate::Barred => Err(ActionError::Barred("not here".to_owned())),
            Fate::Lost { .. } => Err(ActionError::Unknown("the answer was lost".to_owned())),
            Fate::Silent { .. } => std::future::pending().await,
            Fate::Late { happened } => self.answers_late(call, happened).await,
        }
    }

    /// Gives up waiting in time, as an action does, and leaves the answer to come.
    async fn answers_late(&self, call: &Call, happened: bool) -> Result<Value, ActionError> {
        let (stage, life) = (self.stage.clone(), self.life.clone());
        let after = Duration::from_millis(stage.chance.below(120_000));
        let name = format!("{} attempt {}", call.key, call.attempt);
        call.late.may_come(Box::pin(async move {
            tokio::time::sleep(after).await;
            life.place().await;
            stage.record.line(|| format!("world: answers {name} late"));
            if happened { Ok(json!({"done": true})) } else { Err(ActionError::Fatal("no".to_owned())) }
        }));
        tokio::time::sleep(call.timeout / 2).await;
        self.life.place().await;
        Err(ActionError::Unknown("it took too long".to_owned()))
    }

    fn place_of(call: &Call, spec: &Spec) -> String {
        format!("{} of {}", spec.name, call.target.as_ref().map_or("", |target| target.name.as_str()))
    }

    /// A change of a target, for as long as somebody waits for its answer.
    fn changes(&self, call: &Call, undo: bool) -> Option<Letting> {
        self.spec.destructive.then(|| self.stage.grips(call, &self.life, undo))
    }

    async fn performs(&self, call: &Call) -> Result<Value, ActionError> {
        let _change = self.changes(call, false);
        let fate = self.comes(call, "does").await;
        self.stage.witness(call);
        if fate.happens() {
            let mut seen = self.seen();
            *seen.effects.entry(call.key.clone()).or_default() += 1;
            if !self.stage.may_write(self.who) {
                *seen.overtaken.entry(call.key.clone()).or_default() += 1;
            }
            if self.spec.undoable {
                seen.in_force.entry(Self::place_of(call, &self.spec)).or_default().insert(call.key.clone());
            }
        }
        self.answers(call, fate).await
    }
}

#[async_trait]
impl Action for Doer {
    fn spec(&self) -> Spec {
        self.spec
    }

    async fn perform(&self, call: &Call) -> Result<Value, ActionError> {
        if self.stage.planted == Some(Bug::ActsTwice) && self.stage.chance.one_in(10) {
            let _ = tokio::time::timeout(Duration::from_secs(1), self.performs(call)).await;
        }
        self.performs(call).await
    }

    /// The look is truthful, and sometimes blind.
    async fn check(&self, call: &Call) -> Verdict {
        let fate = self.comes(call, "looks").await;
        self.stage.takes_time().await;
        let of = call.key.trim_end_matches(":check");
        match fate {
            // Whether the trouble is over has nothing to do with what was done.
            Fate::Well if self.spec.name == "prometheus.wait_until" && !self.stage.chance.one_in(4) => {
                Verdict::Confirmed(json!({"value": 1}))
            }
            Fate::Silent { .. } => std::future::pending().await,
            Fate::Lost { .. } | Fate::Late { .. } | Fate::Barred => Verdict::CannotTell("nobody answers".to_owned()),
            _ if self.seen().effects.contains_key(of) => Verdict::Confirmed(json!({"seen": true})),
            _ => Verdict::Denied("it is not there".to_owned()),
        }
    }

    async fn undo(&self, call: &Call) -> Result<Value, ActionError> {
        let _change = self.changes(call, true);
        let fate = self.comes(call, "undoes").await;
        self.stage.witness(call);
        let pretends = self.stage.planted == Some(Bug::PretendsToUndo) && self.stage.chance.one_in(3);
        if fate.happens() && !pretends {
            self.seen().in_force.remove(&Self::place_of(call, &self.spec));
        }
        self.answers(call, fate).await
    }
}

/// One process's hand on one channel.
pub struct Postman {
    pub channel: String,
    pub stage: Arc<Stage>,
    pub life: Arc<Life>,
}

impl Postman {
    async fn hands_over(&self, message: &Message) -> Delivered {
        self.life.place().await;
        self.stage.record.line(|| format!("world: {} is to tell {:?} {}", self.channel, message.person, message.key));
        *self.stage.seen().handed.entry(message.key.clone()).or_default() += 1;
        let fate = if self.stage.weather.is_fair() { 19 } else { self.stage.chance.below(20) };
        self.stage.takes_time().await;
        self.life.place().await;
        if matches!(fate, 4..) {
            *self.stage.seen().taken.entry(message.key.clone()).or_default() += 1;
        }
        self.life.place().await;
        let after = Some(Duration::from_secs(self.stage.chance.between(1, 90)));
        match fate {
            0 | 1 => Delivered::Again { reason: "busy".to_owned(), after: None },
            2 | 4 => Delivered::Again { reason: "busy".to_owned(), after },
            3 => Delivered::Never("no such address".to_owned()),
            5 => std::future::pending().await,
            _ => Delivered::Sent("250 OK".to_owned()),
        }
    }
}

#[async_trait]
impl Sender for Postman {
    async fn send(&self, message: &Message) -> Delivered {
        if self.stage.planted == Some(Bug::SendsTwice) && self.stage.chance.one_in(10) {
            let _ = tokio::time::timeout(Duration::from_secs(1), self.hands_over(message)).await;
        }
        self.hands_over(message).await
    }
}

impl Stage {
    /// No attempt without its fact, and none twice.
    fn witness(&self, call: &Call) {
        let undo = call.key.ends_with(":undo");
        let tables = self.tables();
        let deed = tables.deed(&call.key);
        let number = |deed: &Deed<'_>| if undo { deed.state.undo_attempt } else { deed.state.attempt };
        let begun = deed.as_ref().is_some_and(|deed| number(deed) >= call.attempt);
        self.record.demand(begun, || format!("attempt {} of {} was made before its step_started", call.attempt, call.key));
        let mut seen = self.seen();
        if let Some(Deed { incident, run, state, .. }) = deed.filter(|deed| deed.state.destructive && !undo) {
            let service = self.settings.rulebook.service_of(state.target.as_deref(), &incident.service);
            let (playbook, target) = (run.playbook.clone(), state.target.clone());
            seen.destructive.push(Spent { at: state.started_at.unwrap_or_default(), playbook, target, service });
        }
        let times = seen.attempts.entry((call.key.clone(), call.attempt)).or_default();
        *times += 1;
        self.record.demand(*times == 1, || format!("attempt {} of {} was made {times} times", call.attempt, call.key));
    }

    /// Mostly a moment, sometimes longer than a step's timeout.
    pub async fn takes_time(&self) {
        let millis = match self.chance.below(12) {
            _ if self.weather.is_fair() => 0,
            0 => self.chance.below(40_000),
            1..=4 => self.chance.below(300),
            _ => 0,
        };
        if millis > 0 {
            tokio::time::sleep(Duration::from_millis(millis)).await;
        }
    }
}
