//! Two Alertmanagers as a pair, as one runs them so that no alert is lost: what both of them say is one story.

use anyhow::{Context, Result};
use serde_json::Value;

use crate::parts::alertmanager::Alertmanager;
use crate::parts::gauge::Gauge;
use crate::parts::prometheus::Prometheus;
use crate::parts::recorder::Recorder;
use crate::parts::reynard::{Reynard, Setup};
use crate::parts::wait::{seconds, wait_until};
use crate::real;

const RULES: &str = r#"
groups:
  - name: story
    rules:
      - alert: ServiceDown
        expr: up_of_orders == 0
        labels: { severity: critical }
        annotations: { summary: "{{ $labels.service }} is down" }
"#;

const DOWN: &str = "up_of_orders{service=\"orders\"}";

#[tokio::test]
async fn a_pair_of_alertmanagers_is_one_story_also_when_one_of_them_dies() -> Result<()> {
    if !real("a_pair_of_alertmanagers_is_one_story_also_when_one_of_them_dies") {
        return Ok(());
    }
    let (gauge, pager) = (Gauge::start().await?, Recorder::start().await?);
    let settings = settings(&pager);
    let reynard = Reynard::start(Setup { settings: &settings, playbooks: &[], environment: &[] }).await?;
    let (mut one, two) = Alertmanager::start_pair(&format!("{}/", reynard.url)).await?;
    wait_until("the pair", seconds(20), async || Ok((one.members().await? == 2 && two.members().await? == 2).then_some(()))).await?;

    gauge.set(DOWN, 0.0);
    let _prometheus = Prometheus::start(gauge.address, &[one.address, two.address], RULES).await?;
    wait_until("both to tell it", seconds(30), async || Ok((stored(&reynard).await? >= 2).then_some(()))).await?;
    let incident = reynard.incident().await?.context("an incident")?;
    let id = incident["id"].as_str().context("an id")?;
    wait_until("the page", seconds(10), async || Ok((pager.bodies().len() == 1).then_some(()))).await?;

    gauge.set(DOWN, 1.0);
    let both = async || Ok((is(&reynard, "resolved").await? && stored(&reynard).await? >= 4).then_some(()));
    wait_until("both to tell that it is over", seconds(30), both).await?;
    assert_eq!(counts(&reynard, id).await?, [("opened", 1), ("alert_fired", 1), ("alert_resolved", 1), ("escalated", 1), ("resolved", 1)]);
    wait_until("the good news", seconds(10), async || Ok((pager.bodies().len() == 2).then_some(()))).await?;

    // It fires again, and one of the two dies in the middle of it.
    gauge.set(DOWN, 0.0);
    wait_until("it to fire again", seconds(30), async || {
        Ok((is(&reynard, "triggered").await? && stored(&reynard).await? >= 6).then_some(()))
    })
    .await?;
    one.dies();
    gauge.set(DOWN, 1.0);
    wait_until("the other one to tell that it is over", seconds(30), async || Ok(is(&reynard, "resolved").await?.then_some(()))).await?;
    let twice = [("opened", 1), ("alert_fired", 2), ("alert_resolved", 2), ("escalated", 2), ("resolved", 2)];
    assert_eq!(counts(&reynard, id).await?, twice);
    wait_until("the good news again", seconds(10), async || Ok((pager.bodies().len() == 4).then_some(()))).await?;
    let all = reynard.get("/api/v1/incidents").await?;
    assert_eq!(all["items"].as_array().map(Vec::len), Some(1), "{all}");
    Ok(())
}

fn settings(pager: &Recorder) -> String {
    format!(
        "incidents: {{ settle: 3s }}
channels: {{ pager: {{ kind: webhook, url: 'http://{}/page' }} }}
people: {{ ana: {{ notify: [ {{ channel: pager }} ] }} }}
on_call: {{ schedules: {{ primary: {{ rotations: [ {{ people: [ana], handoff: '0 9 * * MON' }} ] }} }} }}
",
        pager.address
    )
}

/// Deliveries that were taken so far.
async fn stored(reynard: &Reynard) -> Result<u64> {
    let metrics = reynard.text("/metrics").await?;
    let line = metrics.lines().find(|line| line.starts_with("reynard_deliveries_total") && line.contains("outcome=\"stored\""));
    Ok(line.and_then(|line| line.rsplit(' ').next()).and_then(|number| number.parse().ok()).unwrap_or(0))
}

async fn is(reynard: &Reynard, status: &str) -> Result<bool> {
    Ok(reynard.incident().await?.is_some_and(|incident| incident["status"] == status))
}

/// How often each of the kinds that duplicates would multiply is on the timeline.
async fn counts(reynard: &Reynard, id: &str) -> Result<[(&'static str, usize); 5]> {
    let timeline = reynard.timeline(id).await?;
    let count = |kind: &'static str| (kind, timeline.iter().filter(|entry: &&Value| entry["kind"] == kind).count());
    Ok(["opened", "alert_fired", "alert_resolved", "escalated", "resolved"].map(count))
}
