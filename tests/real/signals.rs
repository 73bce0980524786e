//! Numbers from a real Prometheus, also while it is away.

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::parts::gauge::Gauge;
use crate::parts::http;
use crate::parts::prometheus::Prometheus;
use crate::parts::reynard::{Reynard, Setup};
use crate::parts::wait::{seconds, wait_until};
use crate::real;

#[tokio::test]
async fn without_prometheus_it_is_classified_and_asked_for_again_at_the_next_delivery() -> Result<()> {
    if !real("without_prometheus_it_is_classified_and_asked_for_again_at_the_next_delivery") {
        return Ok(());
    }
    let gauge = Gauge::start().await?;
    gauge.set("error_rate{service=\"orders\"}", 0.75);
    let mut prometheus = Prometheus::start(gauge.address, &[], "groups: []\n").await?;
    let known = async || Ok((!prometheus.query("error_rate").await?.is_empty()).then_some(()));
    wait_until("the number", seconds(20), known).await?;
    let settings = format!(
        "targets: {{ prom: {{ kind: prometheus, url: '{}' }} }}
signals: {{ error_rate: {{ prometheus: {{ target: prom, query: 'max(error_rate{{service=\"{{{{ incident.service }}}}\"}})' }} }} }}
",
        prometheus.url
    );
    let reynard = Reynard::start(Setup { settings: &settings, playbooks: &[], environment: &[] }).await?;

    prometheus.stops();
    tell(&reynard).await?;
    let incident = wait_until("it to be classified without", seconds(10), async || classified(&reynard, "P3").await).await?;
    let id = incident["id"].as_str().context("an id")?;
    let said = reynard.timeline(id).await?.into_iter().find(|entry| entry["kind"] == "classified").context("the entry")?;
    let sentence = said["sentence"].as_str().unwrap_or_default();
    assert!(sentence.contains("signal error_rate could not be had") && sentence.contains("classified without it"), "{sentence}");

    prometheus.starts_again().await?;
    wait_until("the number again", seconds(20), async || Ok((!prometheus.query("error_rate").await?.is_empty()).then_some(()))).await?;
    tell(&reynard).await?;
    wait_until("the priority to rise", seconds(10), async || classified(&reynard, "P1").await).await?;
    let kinds: Vec<Value> = reynard.timeline(id).await?.into_iter().map(|entry| entry["kind"].clone()).collect();
    assert_eq!(kinds.iter().filter(|kind| **kind == "alert_fired").count(), 1, "the delivery had nothing new: {kinds:?}");
    Ok(())
}

async fn classified(reynard: &Reynard, priority: &str) -> Result<Option<Value>> {
    let newest = reynard.incident().await?;
    Ok(newest.filter(|incident| incident["priority"] == priority && !incident["classification"].is_null()))
}

async fn tell(reynard: &Reynard) -> Result<()> {
    let labels = json!({ "alertname": "Slow", "service": "orders", "severity": "warning" });
    let alert = json!({ "status": "firing", "labels": labels, "annotations": {}, "startsAt": "2026-11-24T03:12:00Z",
        "endsAt": "0001-01-01T00:00:00Z", "fingerprint": "00000000000000aa" });
    let body =
        json!({ "version": "4", "receiver": "reynard", "status": "firing", "groupKey": "slow", "truncatedAlerts": 0, "alerts": [alert] });
    http::client().post(format!("{}/", reynard.url)).json(&body).send().await?.error_for_status()?;
    Ok(())
}
