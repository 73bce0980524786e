//! Values while an expression runs, borrowed from the scope, and what can be done with one or two of them. Knows
//! nothing of code.

use std::borrow::Cow;
use std::rc::Rc;

use serde_json::Value as Json;

use crate::domain::expression::lexer::duration;
use crate::domain::expression::syntax::Operator;
use crate::domain::expression::value::{EvalError, Value};

/// The longest list that is looked through.
const MAX_ITEMS: usize = 10_000;

/// A value on its way; lists and maps of the scope stay where they are.
#[derive(Clone, Debug)]
pub(super) enum Datum<'a> {
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(Cow<'a, str>),
    Duration(i64),
    List(Rc<Vec<Datum<'a>>>),
    /// A list or a map of the scope, never anything else.
    Json(&'a Json),
}

/// A value, or why there is none.
pub(super) type Outcome<'a> = Result<Datum<'a>, EvalError>;

impl Datum<'_> {
    pub fn into_value(self) -> Value {
        match self {
            Self::Bool(value) => Value::Bool(value),
            Self::Int(value) => Value::Int(value),
            Self::Float(value) => Value::Float(value),
            Self::Text(text) => Value::Text(text.into_owned()),
            Self::Duration(ms) => Value::Duration(ms),
            Self::List(items) => Value::List(items.iter().cloned().map(Datum::into_value).collect()),
            Self::Json(json) => Value::Json(json.clone()),
        }
    }

    pub fn kind(&self) -> &'static str {
        match self {
            Self::Bool(_) => "true or false",
            Self::Int(_) | Self::Float(_) => "a number",
            Self::Text(_) => "text",
            Self::Duration(_) => "a length of time",
            Self::List(_) | Self::Json(Json::Array(_)) => "a list",
            Self::Json(_) => "a map",
        }
    }
}

/// `None` when the way ends early, an error when it leads through something that has no fields.
pub(super) fn follow<'a>(start: Option<&'a Json>, fields: &[String]) -> Option<Outcome<'a>> {
    let mut json = start?;
    for field in fields {
        json = match json {
            Json::Object(map) => map.get(field)?,
            Json::Null => return None,
            other => return datum(other).map(|other| Err(wrong("a map", &other))),
        };
    }
    datum(json).map(Ok)
}

/// `None` is null, which counts as absent.
pub(super) fn datum(json: &Json) -> Option<Datum<'_>> {
    match json {
        Json::Null => None,
        Json::Bool(value) => Some(Datum::Bool(*value)),
        Json::Number(number) => number.as_i64().map(Datum::Int).or_else(|| number.as_f64().map(Datum::Float)),
        Json::String(text) => Some(Datum::Text(Cow::Borrowed(text))),
        Json::Array(_) | Json::Object(_) => Some(Datum::Json(json)),
    }
}

/// The items a macro looks at; those that are null are absent and passed over.
pub(super) fn items(list: Datum<'_>) -> Result<Vec<Datum<'_>>, EvalError> {
    match list {
        Datum::List(items) => within(items.len()).map(|()| Rc::unwrap_or_clone(items)),
        Datum::Json(Json::Array(items)) => within(items.len()).map(|()| items.iter().filter_map(datum).collect()),
        other => Err(wrong("a list", &other)),
    }
}

pub(super) fn within(length: usize) -> Result<(), EvalError> {
    if length > MAX_ITEMS { Err(EvalError::TooMuch("a list is longer than 10,000 items")) } else { Ok(()) }
}

pub(super) fn length(list: &Datum<'_>) -> Option<usize> {
    match list {
        Datum::List(items) => Some(items.len()),
        Datum::Json(Json::Array(items)) => Some(items.len()),
        _ => None,
    }
}

pub(super) fn item_at<'a>(list: &Datum<'a>, at: usize) -> Option<Datum<'a>> {
    match list {
        Datum::List(items) => items.get(at).cloned(),
        Datum::Json(Json::Array(items)) => items.get(at).and_then(datum),
        _ => None,
    }
}

pub(super) fn place<T>(items: &[T], at: i64) -> Result<&T, EvalError> {
    let found = usize::try_from(at).ok().and_then(|at| items.get(at));
    found.ok_or(EvalError::OutOfRange { index: at, length: items.len() })
}

pub(super) fn as_duration(value: Datum<'_>) -> Outcome<'_> {
    match value {
        Datum::Text(text) => read_duration(&text).map(Datum::Duration),
        Datum::Duration(_) => Ok(value),
        other => Err(wrong("a length of time", &other)),
    }
}

pub(super) fn read_duration(text: &str) -> Result<i64, EvalError> {
    written_duration(text).ok_or_else(|| EvalError::BadDuration(text.chars().take(40).collect()))
}

/// As [`duration`], and below zero as [`Value`] writes it into JSON.
pub(super) fn written_duration(text: &str) -> Option<i64> {
    match text.strip_prefix('-') {
        Some(text) => duration(text).map(|ms| -ms),
        None => duration(text),
    }
}

pub(super) fn negate(value: Datum<'_>) -> Outcome<'_> {
    match value {
        Datum::Int(value) => value.checked_neg().map(Datum::Int).ok_or(EvalError::Overflow),
        other => number(&other).map(|value| Datum::Float(-value)),
    }
}

pub(super) fn whole(operator: Operator, left: i64, right: i64) -> Result<i64, EvalError> {
    let result = match operator {
        Operator::Add => left.checked_add(right),
        Operator::Subtract => left.checked_sub(right),
        Operator::Multiply => left.checked_mul(right),
        _ if right == 0 => return Err(EvalError::DivisionByZero),
        _ => left.checked_div(right),
    };
    result.ok_or(EvalError::Overflow)
}

pub(super) fn fraction(operator: Operator, left: f64, right: f64) -> Result<f64, EvalError> {
    let result = match operator {
        Operator::Add => left + right,
        Operator::Subtract => left - right,
        Operator::Multiply => left * right,
        _ if right == 0.0 => return Err(EvalError::DivisionByZero),
        _ => left / right,
    };
    if result.is_finite() { Ok(result) } else { Err(EvalError::Overflow) }
}

/// A number as a fraction; whole numbers beyond 2^53 lose their last digits, as they do in CEL when they meet one.
pub(super) fn number(value: &Datum<'_>) -> Result<f64, EvalError> {
    match value {
        Datum::Int(value) => Ok(*value as f64),
        Datum::Float(value) => Ok(*value),
        other => Err(wrong("a number", other)),
    }
}

pub(super) fn wrong(expected: &'static str, found: &Datum<'_>) -> EvalError {
    EvalError::WrongType { expected, found: found.kind() }
}
