//! What an expression gives, and how it can fail while running. Knows nothing of how it was computed.

use std::fmt;

use serde_json::Number;

use crate::domain::time::Span;

/// A result. A fraction is always finite.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    /// Milliseconds; below zero when a longer span was taken from a shorter one.
    Duration(i64),
    /// A list that the expression made.
    List(Vec<Value>),
    /// A list or a map as it stood in the scope.
    Json(serde_json::Value),
}

/// Why an expression gave nothing.
#[derive(Clone, Debug, PartialEq)]
pub enum EvalError {
    /// This name is absent or null.
    Missing(String),
    /// A value was not of the type its place needs.
    WrongType {
        expected: &'static str,
        found: &'static str,
    },
    DivisionByZero,
    /// A number left the range of 64 bits or became infinite.
    Overflow,
    /// There is no such place in the list.
    OutOfRange {
        index: i64,
        length: usize,
    },
    /// A text stood where a length of time is needed.
    BadDuration(String),
    /// A list, a text or the whole work outgrew its bound.
    TooMuch(&'static str),
}

impl Value {
    /// The value as JSON; a length of time is text, as everywhere in Reynard's JSON.
    pub fn into_json(self) -> serde_json::Value {
        match self {
            Self::Bool(value) => value.into(),
            Self::Int(value) => value.into(),
            Self::Float(value) => Number::from_f64(value).map_or(serde_json::Value::Null, Into::into),
            Self::Text(value) => value.into(),
            Self::Duration(ms) => format!("{ms}ms").into(),
            Self::List(items) => items.into_iter().map(Self::into_json).collect(),
            Self::Json(json) => json,
        }
    }
}

impl fmt::Display for Value {
    /// As it reads in the middle of a sentence: text bare, lists and maps as JSON.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(value) => write!(f, "{value}"),
            Self::Int(value) => write!(f, "{value}"),
            Self::Float(value) => write!(f, "{value}"),
            Self::Text(value) => f.write_str(value),
            Self::Duration(ms) => write!(f, "{}{}", if *ms < 0 { "-" } else { "" }, Span(ms.unsigned_abs())),
            Self::List(_) | Self::Json(_) => write!(f, "{}", self.clone().into_json()),
        }
    }
}

impl fmt::Display for EvalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(name) => write!(f, "{name} is absent"),
            Self::WrongType { expected, found } => write!(f, "found {found} where {expected} is needed"),
            Self::DivisionByZero => f.write_str("division by zero"),
            Self::Overflow => f.write_str("a number became too large"),
            Self::OutOfRange { index, length } => write!(f, "there is no item {index} in a list of {length}"),
            Self::BadDuration(text) => write!(f, "{text:?} is not a length of time"),
            Self::TooMuch(what) => write!(f, "{what}"),
        }
    }
}

impl std::error::Error for EvalError {}
