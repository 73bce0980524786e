//! A playbook that has been checked: what starts it, what holds it back, and its steps in order.
//! Knows no YAML; the config room turns files into this.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::domain::action::OnInterrupt;
use crate::domain::autonomy::Autonomy;
use crate::domain::expression::condition::Expression;
use crate::domain::expression::template::ValueTemplate;
use crate::domain::labels::Matcher;
use crate::domain::limits::Rate;
use crate::domain::path;
use crate::domain::planned::Planned;
use crate::domain::priority::Priority;
use crate::domain::time::Span;

/// The step that a playbook's `recovered:` is.
pub const RECOVERED: &str = "recovered";

/// What that step does where it waits for the alerts themselves. No action of the catalogue: only `recovered:` speaks of it.
pub const ALERTS_RESOLVED: &str = "alerts.resolved";

/// Whether beginning a step of this action is beginning to wait, with nothing that leaves the process.
pub fn waits(action: &str) -> bool {
    action == "wait" || action == ALERTS_RESOLVED
}

/// One playbook at one revision.
#[derive(Clone, Debug)]
pub struct Playbook {
    /// The file's name without `.yaml`.
    pub slug: String,
    pub title: String,
    /// SHA-256 of the file's text, in hex: a run keeps the revision it started with.
    pub revision: String,
    /// The file's text, kept with the revision.
    pub source: String,
    pub trigger: Trigger,
    pub limits: PlaybookLimits,
    /// What a run may be given when it starts.
    pub vars: BTreeMap<String, Var>,
    /// How long a run may take in all.
    pub timeout: Option<Span>,
    /// How often a run is tried; a further try goes on from the step that failed.
    pub retry: Retry,
    /// Whether its last step is `recovered`, which looks whether the trouble is over: a run has only succeeded when that has.
    pub recovered: bool,
    /// Whether what would change things is only written down.
    pub shadow: bool,
    /// What it takes to act without asking.
    pub autonomy: Option<Autonomy>,
    /// In the file's order; those that stand side by side follow each other.
    pub steps: Vec<Arc<Step>>,
}

impl Playbook {
    /// The step at a path: itself, or one of its items, which is a step of its own with the path for its id.
    pub fn step(&self, path: &str) -> Option<Arc<Step>> {
        let (id, visit) = path::split(path);
        let step = self.steps.iter().find(|step| step.id == id)?;
        match visit {
            None => Some(step.clone()),
            Some(visit) => step.each.is_some().then(|| Arc::new(step.item(visit))),
        }
    }

    /// The steps that come one after the other, each with those that run beside it.
    pub fn blocks(&self) -> impl Iterator<Item = &[Arc<Step>]> {
        self.steps.chunk_by(|one, next| one.lane.is_some() && one.lane.map(|lane| lane.group) == next.lane.map(|lane| lane.group))
    }

    /// Whether the step looks whether the trouble is over.
    pub fn is_recovery(&self, step: &str) -> bool {
        self.recovered && step == RECOVERED
    }

    /// The playbooks that its steps run.
    pub fn runs(&self) -> impl Iterator<Item = &str> {
        self.steps.iter().filter(|step| step.action == "playbook.run").filter_map(|step| step.with.text("playbook"))
    }

    /// The values a run starts with, or what is wrong with those given.
    pub fn vars(&self, given: &Map<String, Value>) -> Result<Map<String, Value>, String> {
        if let Some(unknown) = given.keys().find(|name| !self.vars.contains_key(*name)) {
            let known: Vec<&str> = self.vars.keys().map(String::as_str).collect();
            let known = if known.is_empty() { "it takes none".to_owned() } else { format!("it takes {}", known.join(", ")) };
            return Err(format!("playbook {} takes no var \"{unknown}\"; {known}", self.slug));
        }
        let value = |(name, var): (&String, &Var)| match given.get(name).or(var.default.as_ref()) {
            Some(value) => var.kind.takes(value).map(|()| (name.clone(), value.clone())).map_err(|why| format!("var {name} {why}")),
            None => Err(format!("playbook {} needs the var \"{name}\", {}", self.slug, var.kind.word())),
        };
        self.vars.iter().map(value).collect()
    }
}

/// A value that a run is given when it starts.
#[derive(Clone, Debug, PartialEq)]
pub struct Var {
    pub kind: VarKind,
    /// Without one the var must be given.
    pub default: Option<Value>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VarKind {
    Text,
    Number,
    Bool,
    Duration,
    /// A list of texts.
    Texts,
}

impl VarKind {
    pub const ALL: [(&'static str, Self); 5] =
        [("text", Self::Text), ("number", Self::Number), ("bool", Self::Bool), ("duration", Self::Duration), ("texts", Self::Texts)];

    /// What it is, as people say it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Text => "a text",
            Self::Number => "a number",
            Self::Bool => "true or false",
            Self::Duration => "a length of time such as 5m",
            Self::Texts => "a list of texts",
        }
    }

    /// Whether the value is of this type, in words when it is not.
    pub fn takes(self, value: &Value) -> Result<(), String> {
        let fits = match (self, value) {
            (Self::Text, Value::String(_)) | (Self::Number, Value::Number(_)) | (Self::Bool, Value::Bool(_)) => true,
            (Self::Duration, Value::String(text)) => text.parse::<Span>().is_ok(),
            (Self::Texts, Value::Array(items)) => items.iter().all(Value::is_string),
            _ => false,
        };
        if fits { Ok(()) } else { Err(format!("must be {}", self.word())) }
    }
}

/// Which incidents start a playbook; every stated part must hold. Nothing stated: a person starts it.
#[derive(Clone, Debug, Default)]
pub struct Trigger {
    pub types: Vec<String>,
    pub priorities: Vec<Priority>,
    pub matchers: Vec<Matcher>,
    /// It starts by the clock, in an incident of its own.
    pub schedule: Option<Planned>,
}

impl Trigger {
    pub fn is_manual(&self) -> bool {
        self.schedule.is_none() && self.states_nothing()
    }

    /// Whether it says nothing about incidents.
    fn states_nothing(&self) -> bool {
        self.types.is_empty() && self.priorities.is_empty() && self.matchers.is_empty()
    }

    pub fn holds(&self, kind: &str, priority: Priority, labels: &BTreeMap<String, String>) -> bool {
        !self.states_nothing()
            && (self.types.is_empty() || self.types.iter().any(|t| t == kind))
            && (self.priorities.is_empty() || self.priorities.contains(&priority))
            && self.matchers.iter().all(|matcher| matcher.matches(labels))
    }
}

/// A playbook's own `limits:`; they narrow the global ones.
#[derive(Clone, Copy, Debug, Default)]
pub struct PlaybookLimits {
    /// Runs of this playbook at once, over all incidents.
    pub concurrency: Option<u32>,
    /// Destructive attempts of this playbook on one target.
    pub per_target: Option<Rate>,
    /// Failures in a row after which it changes nothing more, instead of the global number.
    pub breaker: Option<u32>,
}

/// What happens to the run when a step has failed for good.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnFailure {
    /// The run fails.
    #[default]
    Stop,
    /// The next step begins.
    Continue,
    /// The run fails and the next level is told now.
    Escalate,
}

/// When a step is taken back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Undo {
    #[default]
    Never,
    OnFailure,
    OnResolve,
    After(Span),
}

/// How often and how patiently a failed step is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    /// All tries, the first included.
    pub attempts: u32,
    /// The first pause; it doubles, with jitter, up to `max_backoff`.
    pub backoff: Span,
    pub max_backoff: Span,
}

impl Default for Retry {
    fn default() -> Self {
        Self { attempts: 1, backoff: Span::seconds(5), max_backoff: Span::minutes(5) }
    }
}

/// Which branch of which `parallel` a step stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lane {
    pub group: u32,
    pub branch: u32,
}

/// A step done once for each item of a list.
#[derive(Clone, Debug)]
pub struct Each {
    pub list: Expression,
    /// What expressions call the item.
    pub name: String,
    /// Items beyond this many are left out, which the timeline says.
    pub max: u32,
    /// Items under way at once; one after the other unless said otherwise.
    pub at_once: u32,
}

/// Whose yes a step needs.
#[derive(Clone, Debug, PartialEq)]
pub struct Approval {
    /// People, schedules, roles, `on-call`, or `operator`: whoever has that role, anybody where nobody has.
    pub by: Vec<String>,
    /// How many of them must say yes.
    pub of: u32,
    pub expires: Span,
    pub otherwise: Otherwise,
}

/// What follows when nobody says yes or no in time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Otherwise {
    #[default]
    Fail,
    Skip,
    /// It is done without a yes.
    Continue,
}

/// One step.
#[derive(Clone, Debug)]
pub struct Step {
    /// For an item, the path: `each.2`.
    pub id: String,
    pub lane: Option<Lane>,
    pub each: Option<Each>,
    /// For an item, what expressions call it.
    pub item_name: Option<String>,
    pub approval: Option<Approval>,
    pub title: String,
    pub when: Option<Expression>,
    /// The action's name; `wait` for a bare `wait:`.
    pub action: String,
    /// The target's name in `reynard.yaml`.
    pub target: Option<String>,
    pub with: ValueTemplate,
    pub timeout: Span,
    pub retry: Retry,
    pub on_failure: OnFailure,
    pub on_interrupt: OnInterrupt,
    pub undo: Undo,
    /// For `on_interrupt: check`: the action that tells whether the step took effect.
    pub check: Option<Arc<Check>>,
    /// Whether limits count it; from the action's declaration.
    pub destructive: bool,
}

impl Step {
    pub fn when_reads(&self, name: &str) -> bool {
        self.when.as_ref().is_some_and(|when| when.reads(name))
    }

    /// Whether a look says what became of an attempt that was cut off.
    pub fn looks_first(&self) -> bool {
        self.on_interrupt == OnInterrupt::Check && self.check.is_some()
    }

    /// Whether only a person can say that.
    pub fn asks_when_cut_off(&self) -> bool {
        matches!(self.on_interrupt, OnInterrupt::Ask | OnInterrupt::Check)
    }

    /// The step that one item of this step's list is.
    pub fn item(&self, visit: u32) -> Self {
        let title = format!("{}, item {visit}", self.title);
        let item_name = self.each.as_ref().map(|each| each.name.clone());
        Self { id: path::of_item(&self.id, visit), title, item_name, each: None, lane: None, ..self.clone() }
    }
}

/// A read-only action that answers "did it happen?": success is yes, failure is no.
#[derive(Clone, Debug)]
pub struct Check {
    pub action: String,
    pub target: Option<String>,
    pub with: ValueTemplate,
}
