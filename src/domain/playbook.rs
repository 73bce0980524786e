//! A playbook that has been checked: what starts it, what holds it back, and its steps in order.
//! Knows no YAML; the config room turns files into this.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::domain::action::OnInterrupt;
use crate::domain::expression::condition::Expression;
use crate::domain::expression::template::ValueTemplate;
use crate::domain::labels::Matcher;
use crate::domain::limits::Rate;
use crate::domain::priority::Priority;
use crate::domain::time::Span;

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
    pub steps: Vec<Arc<Step>>,
}

impl Playbook {
    pub fn step(&self, id: &str) -> Option<&Arc<Step>> {
        self.steps.iter().find(|step| step.id == id)
    }

    /// The step after `id` in the file's order; the first when `id` is none.
    pub fn step_after(&self, id: Option<&str>) -> Option<&Arc<Step>> {
        match id {
            None => self.steps.first(),
            Some(id) => self.steps.iter().skip_while(|step| step.id != id).nth(1),
        }
    }
}

/// Which incidents start a playbook; every stated part must hold. Nothing stated: a person starts it.
#[derive(Clone, Debug, Default)]
pub struct Trigger {
    pub types: Vec<String>,
    pub priorities: Vec<Priority>,
    pub matchers: Vec<Matcher>,
}

impl Trigger {
    pub fn is_manual(&self) -> bool {
        self.types.is_empty() && self.priorities.is_empty() && self.matchers.is_empty()
    }

    pub fn holds(&self, kind: &str, priority: Priority, labels: &BTreeMap<String, String>) -> bool {
        !self.is_manual()
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

/// One step.
#[derive(Clone, Debug)]
pub struct Step {
    pub id: String,
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

/// A read-only action that answers "did it happen?": success is yes, failure is no.
#[derive(Clone, Debug)]
pub struct Check {
    pub action: String,
    pub target: Option<String>,
    pub with: ValueTemplate,
}
