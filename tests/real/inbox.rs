//! Any node takes a webhook, and any node takes a person's act: only the standby is spoken to, and the active one dies meanwhile.

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use crate::database_away::assert_all_worked;
use crate::load::Load;
use crate::nodes::{Rig, assert_asked_once, assert_no_gap, until_active};
use crate::parts::http;
use crate::parts::reynard::Reynard;
use crate::parts::wait::{seconds, wait_until};
use crate::real;

#[tokio::test]
async fn no_webhook_is_refused_while_any_node_and_the_database_live() -> Result<()> {
    if !real("no_webhook_is_refused_while_any_node_and_the_database_live") {
        return Ok(());
    }
    let rig = Rig::start().await?;
    let (active, standby) = &rig.pair().await?;
    let (load, senders) = Load::on(&standby.url);
    wait_until("deliveries to be taken", seconds(10), async || Ok((load.counts().0 > 50).then_some(()))).await?;
    wait_until("steps to be sent by the active node", seconds(10), async || Ok((rig.shop.bodies().len() > 10).then_some(()))).await?;
    let incident = standby.incident().await?.expect("an incident is open");
    acts_by_way_of(standby, &incident).await?;

    active.process.signal("KILL");
    let seconds_until = until_active(standby, 12).await?;
    let taken = load.counts().0;
    wait_until("deliveries to be taken", seconds(10), async || Ok((load.counts().0 > taken + 30).then_some(()))).await?;
    let (_, refused) = load.counts();
    let taken = load.end(senders).await?;
    println!(
        "{seconds_until:5.1} s  after kill -9 the standby was active; {} deliveries were answered 200, {refused} were not",
        taken.len()
    );
    ensure!(refused == 0, "{refused} webhooks were refused although a node and the database lived");
    assert_all_worked(standby, &taken).await?;
    assert_kept_once(&rig, &taken).await?;
    assert_no_gap(standby).await?;
    assert_asked_once(&rig.shop)
}

/// A person's act on the node that stands by is done by the active one, under the same key only once.
async fn acts_by_way_of(standby: &Reynard, incident: &Value) -> Result<()> {
    let path = format!("/api/v1/incidents/{}/comment", incident["number"]);
    for _ in 0..2 {
        let comment = http::client().post(format!("{}{path}", standby.url)).header("idempotency-key", "k").header("reynard-actor", "ana");
        let answer = comment.json(&json!({"text": "seen"})).send().await?;
        let (status, text) = (answer.status(), answer.text().await?);
        ensure!(status.is_success(), "{status}: {text}");
    }
    let timeline = standby.timeline(incident["id"].as_str().unwrap_or_default()).await?;
    let comments: Vec<&Value> = timeline.iter().filter(|entry| entry["kind"] == "commented").collect();
    ensure!(comments.len() == 1 && comments[0]["actor"]["name"] == "ana", "{comments:?}");
    Ok(())
}

/// Every delivery that was answered is one row, and the inbox is empty.
async fn assert_kept_once(rig: &Rig, taken: &[String]) -> Result<()> {
    let mut admin = rig.connect().await?;
    let kept: i64 = sqlx::query_scalar("select count(*) from deliveries where id = any($1)").bind(taken).fetch_one(&mut admin).await?;
    let waiting: i64 = sqlx::query_scalar("select count(*) from inbox").fetch_one(&mut admin).await?;
    ensure!(kept as usize == taken.len() && waiting == 0, "{kept} of {} are kept, {waiting} wait", taken.len());
    Ok(())
}
