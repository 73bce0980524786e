//! The active node loses sight of the database, and nodes are restarted one after the other: nothing is lost, nothing is done twice,
//! and every timer rings.

use anyhow::{Result, ensure};

use crate::database_away::assert_all_worked;
use crate::load::Load;
use crate::nodes::{Rig, assert_asked_once, assert_no_gap, until_active};
use crate::parts::wait::{seconds, wait_until};
use crate::parts::wire::Wire;
use crate::real;

#[tokio::test]
async fn a_node_that_is_cut_off_from_the_database_leaves_the_work_to_another() -> Result<()> {
    if !real("a_node_that_is_cut_off_from_the_database") {
        return Ok(());
    }
    let rig = Rig::start().await?;
    let port = url::Url::parse(&rig.url)?.port().unwrap_or(5432);
    let wire = Wire::to(port).await?;
    let a = &rig.node_at(&rig.url.replace(&format!(":{port}"), &format!(":{}", wire.port))).await?;
    until_active(a, 5).await?;
    let b = &rig.node().await?;
    let (load, senders) = Load::on(&a.url);
    let (by_b, its_senders) = Load::on(&b.url);
    wait_until("steps to be sent", seconds(10), async || Ok((rig.shop.bodies().len() > 10).then_some(()))).await?;
    wire.cuts();
    println!("{:5.1} s  after the wire was cut the other node was active", until_active(b, 16).await?);
    wait_until("the one that is cut off to say so", seconds(20), async || Ok((!a.is_ready().await).then_some(()))).await?;
    let (taken, refused) = (by_b.counts().0, by_b.counts().1);
    wait_until("deliveries to be taken", seconds(10), async || Ok((by_b.counts().0 > taken + 30).then_some(()))).await?;
    ensure!(refused == 0, "the node that sees the database refused {refused}");
    wire.mends();
    wait_until("the other one to stand by and take deliveries again", seconds(20), async || {
        Ok((a.is_ready().await && !a.is_active().await).then_some(()))
    })
    .await?;
    let taken = load.counts().0;
    wait_until("deliveries to be taken", seconds(10), async || Ok((load.counts().0 > taken + 30).then_some(()))).await?;
    let mut taken = load.end(senders).await?;
    taken.extend(by_b.end(its_senders).await?);
    assert_all_worked(b, &taken).await?;
    assert_no_gap(b).await?;
    assert_asked_once(&rig.shop)
}

const PATIENT: &str = "
title: Wait, then poke
on: { type: service_down }
steps:
  - { id: pause, wait: 3s }
  - { id: poke, action: http.request, target: shop, timeout: 30s, with: { method: POST, path: /poke, json: { service: '{{ incident.service }}' } } }
";

#[tokio::test]
async fn nodes_that_are_restarted_one_after_the_other_miss_no_timer() -> Result<()> {
    if !real("nodes_that_are_restarted_one_after_the_other") {
        return Ok(());
    }
    let rig = Rig::start().await?.with_playbook(PATIENT);
    let (mut a, mut b) = rig.pair().await?;
    let (load, senders) = Load::on(&b.url);
    for _ in 0..2 {
        let poked = rig.shop.bodies().len();
        wait_until("timers to ring", seconds(20), async || Ok((rig.shop.bodies().len() > poked + 20).then_some(()))).await?;
        // The senders follow a load balancer: they go to whichever node is not about to be stopped.
        load.turns_to(&b.url);
        a.process.signal("TERM");
        until_active(&b, 25).await?;
        a = rig.node().await?;
        std::mem::swap(&mut a, &mut b);
    }
    let refused = load.counts().1;
    let taken = load.end(senders).await?;
    assert_all_worked(&a, &taken).await?;
    let open: i64 = sqlx::query_scalar("select count(*) from incidents").fetch_one(&mut rig.connect().await?).await?;
    let all = async || Ok((rig.shop.bodies().len() as i64 >= open).then_some(()));
    wait_until("every timer to have rung", seconds(20), all).await?;
    println!("         two restarts: {open} timers rang, {} deliveries were answered 200, {refused} were not", taken.len());
    ensure!(refused == 0, "a rolling restart refuses nobody");
    assert_no_gap(&a).await?;
    assert_asked_once(&rig.shop)
}
