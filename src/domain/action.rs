//! What an action declares about itself, before anybody performs it: parameters, danger, and what a crash in mid-step means.
//! Knows no network; the deeds live in the action room.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What happens to a step whose attempt was cut off, so that nobody knows whether it took effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnInterrupt {
    /// Do it again: a read, a message, a setting that is the same when set twice.
    Retry,
    /// Run the step's `check:` and believe it.
    Check,
    /// Ask a person; until then the step is in doubt and is never sent again by itself.
    Ask,
    /// The step has failed.
    Fail,
}

impl OnInterrupt {
    /// Whether it guesses no more than `other`. Only `retry` does something again without knowing; `check` and `ask` find out
    /// first, from a look or from a person, and `fail` leaves it at that.
    pub fn is_as_strict_as(self, other: Self) -> bool {
        let rank = |kind| match kind {
            Self::Retry => 0,
            Self::Check | Self::Ask => 1,
            Self::Fail => 2,
        };
        rank(self) >= rank(other)
    }
}

/// The kinds of things that playbooks act on; each is a `kind:` under `targets:`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TargetKind {
    Postgres,
    Pgbouncer,
    Kubernetes,
    Http,
    Prometheus,
    Tickets,
}

impl fmt::Display for TargetKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Postgres => "postgres",
            Self::Pgbouncer => "pgbouncer",
            Self::Kubernetes => "kubernetes",
            Self::Http => "http",
            Self::Prometheus => "prometheus",
            Self::Tickets => "tickets",
        })
    }
}

/// The type a parameter takes once its holes are filled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParamType {
    Text,
    Number,
    Bool,
    /// Text such as `5m`.
    Span,
    /// A list of texts, or one text.
    Texts,
    /// A map from text to text.
    TextMap,
    /// Any JSON value.
    Json,
}

/// One parameter under a step's `with:`.
#[derive(Clone, Copy, Debug)]
pub struct Param {
    pub name: &'static str,
    pub kind: ParamType,
    pub required: bool,
    pub doc: &'static str,
    /// The only texts it takes; empty means any.
    pub choices: &'static [&'static str],
    /// What holds when it is left out, as the YAML would say it.
    pub default: Option<&'static str>,
}

impl Param {
    pub const fn required(name: &'static str, kind: ParamType, doc: &'static str) -> Self {
        Self { name, kind, required: true, doc, choices: &[], default: None }
    }

    pub const fn optional(name: &'static str, kind: ParamType, doc: &'static str) -> Self {
        Self { name, kind, required: false, doc, choices: &[], default: None }
    }

    pub const fn one_of(self, choices: &'static [&'static str]) -> Self {
        Self { choices, ..self }
    }

    pub const fn default(self, default: &'static str) -> Self {
        Self { default: Some(default), ..self }
    }
}

/// One field of an action's output, as later steps read it.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    pub name: &'static str,
    pub kind: ParamType,
    pub doc: &'static str,
}

impl Field {
    pub const fn text(name: &'static str, doc: &'static str) -> Self {
        Self { name, kind: ParamType::Text, doc }
    }

    pub const fn number(name: &'static str, doc: &'static str) -> Self {
        Self { name, kind: ParamType::Number, doc }
    }

    pub const fn of(name: &'static str, kind: ParamType, doc: &'static str) -> Self {
        Self { name, kind, doc }
    }
}

/// Who carries a step out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Performer {
    /// A worker calls the action and reports back.
    Worker,
    /// The core does it in the commit that starts it (`notify`, `note`, `wait`): nothing leaves the process.
    Core,
}

/// An action's declaration; the catalogue lists one for each name.
#[derive(Clone, Copy, Debug)]
pub struct Spec {
    pub name: &'static str,
    pub doc: &'static str,
    pub performer: Performer,
    /// Whether limits count it and a crash in it matters.
    pub destructive: bool,
    /// What an interrupted attempt means, unless the playbook is stricter.
    pub on_interrupt: OnInterrupt,
    /// The kinds of target it takes; empty means it takes none.
    pub targets: &'static [TargetKind],
    pub params: &'static [Param],
    /// Whether `undo:` can take it back.
    pub undoable: bool,
    /// Fields of the output; a step that reads another one is told so when it is loaded.
    pub output: &'static [Field],
}

/// Every action's declaration, looked up by name.
#[derive(Clone, Debug, Default)]
pub struct Specs(Vec<Spec>);

impl Specs {
    pub fn new(mut specs: Vec<Spec>) -> Self {
        specs.sort_by_key(|spec| spec.name);
        Self(specs)
    }

    pub fn get(&self, name: &str) -> Option<&Spec> {
        self.0.binary_search_by_key(&name, |spec| spec.name).ok().map(|at| &self.0[at])
    }

    pub fn iter(&self) -> impl Iterator<Item = &Spec> {
        self.0.iter()
    }
}
