//! Deliveries as Alertmanager sends them, for stories that need no Alertmanager: critical alerts, each known by its name and its service.
//! The name stands in `unit`, too: where a target is called so, the alert is about that one.

use serde_json::{Value, json};

const BEGAN: &str = "2025-03-12T03:12:00Z";
const ENDED: &str = "2025-03-12T03:19:00Z";
const NOT_YET: &str = "0001-01-01T00:00:00Z";

pub fn fires(name: &str, service: &str) -> Value {
    delivery("firing", &[alert("firing", name, service)])
}

pub fn ends(name: &str, service: &str) -> Value {
    delivery("resolved", &[alert("resolved", name, service)])
}

/// All of them in one delivery, as when a switch fails.
pub fn fire_together<'a>(alerts: impl IntoIterator<Item = (&'a str, &'a str)>) -> Value {
    let alerts: Vec<Value> = alerts.into_iter().map(|(name, service)| alert("firing", name, service)).collect();
    delivery("firing", &alerts)
}

fn alert(status: &str, name: &str, service: &str) -> Value {
    let fingerprint: String = format!("{name}/{service}").bytes().map(|byte| format!("{byte:02x}")).collect();
    json!({
        "status": status, "labels": { "alertname": name, "service": service, "unit": name, "severity": "critical" },
        "annotations": { "summary": format!("{name} at {service}") }, "fingerprint": fingerprint,
        "startsAt": BEGAN, "endsAt": if status == "firing" { NOT_YET } else { ENDED },
    })
}

fn delivery(status: &str, alerts: &[Value]) -> Value {
    json!({ "version": "4", "receiver": "reynard", "status": status, "groupKey": "{}:{}", "truncatedAlerts": 0, "alerts": alerts })
}
