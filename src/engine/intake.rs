//! From a delivery's alerts to what they say about each incident: which alerts belong together.
//! Knows no HTTP; it works from the parsed body.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::domain::decide::command::{Observation, ObservedAlert};
use crate::domain::id::DeliveryId;
use crate::domain::settings::IncidentSettings;
use crate::domain::time::Timestamp;
use crate::engine::wire::Parsed;

/// What names an incident among all that a source sends: the group and the labels it is grouped by.
pub type Key = String;

/// Separates the parts of a key; no label holds it by accident.
const BETWEEN: char = '\u{1f}';

/// Splits a delivery into one observation an incident. An alert that does not say when it began, began when it was received.
pub fn observations(
    delivery: DeliveryId,
    source: &str,
    parsed: Parsed,
    settings: &IncidentSettings,
    received_at: Timestamp,
) -> BTreeMap<Key, Arc<Observation>> {
    let mut by_key: BTreeMap<Key, Observation> = BTreeMap::new();
    for alert in parsed.alerts {
        let grouped = settings.group_by.iter().map(|name| alert.labels.get(name).map_or("", String::as_str));
        let key = [source, &parsed.receiver, &parsed.group_key].into_iter().chain(grouped).collect::<Vec<_>>().join(&BETWEEN.to_string());
        let observation = by_key.entry(key).or_insert_with(|| Observation {
            delivery,
            source: source.to_owned(),
            receiver: parsed.receiver.clone(),
            group_key: parsed.group_key.clone(),
            alerts: Vec::new(),
            truncated: parsed.truncated,
        });
        observation.alerts.push(ObservedAlert {
            fingerprint: alert.fingerprint,
            firing: alert.firing,
            starts_at: if alert.starts_at == Timestamp::default() { received_at } else { alert.starts_at },
            undated: alert.starts_at == Timestamp::default(),
            ends_at: alert.ends_at,
            labels: alert.labels,
            annotations: alert.annotations,
        });
    }
    by_key.into_iter().map(|(key, observation)| (key, Arc::new(observation))).collect()
}
