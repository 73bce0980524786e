//! Reading a step's `with:` into an action's own type, forgiving about numbers where text is meant. Knows no action.

use std::collections::BTreeMap;

use serde::de::{DeserializeOwned, Error};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::domain::settings::Target;
use crate::engine::ports::{ActionError, Call};

/// The step's parameters as `T`.
pub fn read<T: DeserializeOwned>(call: &Call) -> Result<T, ActionError> {
    let params = if call.params.is_null() { Value::Object(serde_json::Map::new()) } else { call.params.clone() };
    serde_json::from_value(params).map_err(|error| ActionError::Fatal(format!("with: {error}")))
}

/// The step's target, which the action cannot do without.
pub fn target(call: &Call) -> Result<&Target, ActionError> {
    call.target.as_ref().ok_or_else(|| ActionError::Fatal("this step needs a `target:`".to_owned()))
}

/// A list of texts, or one text.
pub fn texts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    match Value::deserialize(deserializer)? {
        Value::Null => Ok(Vec::new()),
        Value::Array(items) => items.iter().map(text).collect(),
        one => Ok(vec![text(&one)?]),
    }
}

/// A map from text to text; numbers and booleans are taken as they print.
pub fn text_map<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, String>, D::Error> {
    let map = Option::<BTreeMap<String, Value>>::deserialize(deserializer)?.unwrap_or_default();
    map.into_iter().map(|(name, value)| Ok((name, text(&value)?))).collect()
}

fn text<E: Error>(value: &Value) -> Result<String, E> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Number(number) => Ok(number.to_string()),
        Value::Bool(yes) => Ok(yes.to_string()),
        other => Err(E::custom(format!("text was expected, not {other}"))),
    }
}
