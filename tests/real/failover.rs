//! Two nodes on a PostgreSQL that Patroni looks after: its primary dies, a machine is lost, a switchover is ordered, under load.
//! What senders were told 200 is there, no step that must ask was sent twice, and it goes on without anybody's help.

use std::time::Instant;

use anyhow::{Context, Result, ensure};

use crate::database_away::assert_all_worked;
use crate::load::Load;
use crate::nodes::{Rig, assert_asked_once, assert_no_gap, until_active};
use crate::parts::patroni::Patroni;
use crate::parts::wait::{seconds, wait_until};
use crate::real;

/// From what happened to the database until deliveries are answered 200 again.
const RESUMES_WITHIN: u64 = 30;

#[derive(Clone, Copy, Debug)]
enum Loss {
    /// PostgreSQL of the primary is killed.
    PrimaryKilled,
    /// The machine of the standby that every commit waits for is gone.
    StandbyLost,
    /// The primary is handed over in order.
    Switchover,
    /// The primary's machine is gone: nobody knows until its key in etcd has run out.
    PrimaryLost,
}

const SHORT: [Loss; 3] = [Loss::PrimaryKilled, Loss::StandbyLost, Loss::Switchover];
const LONG: [Loss; 4] = [Loss::PrimaryKilled, Loss::StandbyLost, Loss::Switchover, Loss::PrimaryLost];

/// Three losses in the plain story; `REYNARD_FAILOVERS` for a long one, with the loss of the primary's machine among them.
#[tokio::test]
async fn a_database_that_fails_over_costs_no_answered_delivery_and_no_second_step() -> Result<()> {
    if !real("a_database_that_fails_over") {
        return Ok(());
    }
    let many: Option<usize> = std::env::var("REYNARD_FAILOVERS").ok().and_then(|text| text.parse().ok());
    let losses: Vec<Loss> = many.map_or(SHORT.to_vec(), |many| LONG.into_iter().cycle().take(many).collect());
    let begun = Instant::now();
    let mut patroni = Patroni::start().await?;
    println!("{:5.1} s  until three servers were one cluster", begun.elapsed().as_secs_f64());
    let rig = Rig::on(&patroni.url()).await?;
    let (active, other) = &rig.pair().await?;
    let (load, senders) = Load::on(&active.url);
    let (by_standby, its_senders) = Load::on(&other.url);
    let mut longest: f64 = 0.0;
    for loss in losses {
        taken_by(&load, 20).await?;
        let former = patroni.primary().await.context("a primary")?;
        let begun = Instant::now();
        let gone = happens(&mut patroni, loss, &former).await?;
        // More than were on their way when it happened.
        taken_by(&load, 60).await?;
        taken_by(&by_standby, 60).await?;
        let took = begun.elapsed().as_secs_f64();
        println!("{took:5.1} s  after {loss:?} of {former} deliveries were taken again by both nodes");
        ensure!(took <= RESUMES_WITHIN as f64, "writes resume within {RESUMES_WITHIN} s");
        longest = longest.max(took);
        if let Some(name) = gone {
            patroni.comes_back(&name)?;
        }
        patroni.until_whole(60).await?;
    }
    let refused = load.counts().1 + by_standby.counts().1;
    let mut taken = load.end(senders).await?;
    taken.extend(by_standby.end(its_senders).await?);
    println!("         {} deliveries were answered 200, {refused} were not; the longest pause was {longest:.1} s", taken.len());
    let who = if active.is_active().await { active } else { other };
    until_active(who, 15).await?;
    assert_all_worked(who, &taken).await?;
    assert_no_gap(who).await?;
    assert_asked_once(&rig.shop)
}

/// Who is gone and must be brought back.
async fn happens(patroni: &mut Patroni, loss: Loss, former: &str) -> Result<Option<String>> {
    match loss {
        Loss::PrimaryKilled => patroni.kills_database_of(former)?,
        Loss::Switchover => patroni.switches_over(former).await?,
        Loss::StandbyLost => {
            let standby = patroni.synchronous().await.context("a synchronous standby")?;
            patroni.loses(&standby)?;
            return Ok(Some(standby));
        }
        Loss::PrimaryLost => {
            patroni.loses(former)?;
            patroni.until_primary_is_not(former, RESUMES_WITHIN).await?;
            return Ok(Some(former.to_owned()));
        }
    }
    patroni.until_primary_is_not(former, RESUMES_WITHIN).await?;
    Ok(None)
}

/// Returns once so many more deliveries were answered 200.
async fn taken_by(load: &Load, more: usize) -> Result<()> {
    let taken = load.counts().0;
    wait_until("deliveries to be taken", seconds(RESUMES_WITHIN + 10), async || Ok((load.counts().0 >= taken + more).then_some(()))).await
}
