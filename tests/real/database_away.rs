//! The PostgreSQL that Reynard keeps its own data in goes away under load: 503 meanwhile, then it goes on without help.

use std::time::Instant;

use anyhow::{Result, ensure};

use crate::load::Load;
use crate::parts::postgres::Postgres;
use crate::parts::reynard::{Reynard, Setup};
use crate::parts::wait::{seconds, wait_until};
use crate::real;

#[tokio::test]
async fn a_restarted_database_costs_no_delivery_that_was_answered() -> Result<()> {
    if !real("a_restarted_database_costs_no_delivery_that_was_answered") {
        return Ok(());
    }
    let mut postgres = Postgres::start().await?;
    let url = postgres.url("admin");
    let environment = [("REYNARD_DATABASE_URL", url.as_str()), ("RUST_LOG", "reynard=warn")];
    let reynard = Reynard::start(Setup { settings: "", playbooks: &[], environment: &environment }).await?;
    let (load, senders) = Load::on(&reynard.url);
    // pg_ctl's "fast", and "immediate", after which the database recovers from its log.
    for signal in ["INT", "QUIT"] {
        let taken = load.counts().0;
        wait_until("deliveries to be taken", seconds(10), async || Ok((load.counts().0 > taken + 30).then_some(()))).await?;
        postgres.stop(signal);
        let refused = load.counts().1;
        wait_until("503", seconds(10), async || Ok((load.counts().1 > refused + 4 && !reynard.is_ready().await).then_some(()))).await?;
        postgres.start_again().await?;
        let risen = Instant::now();
        wait_until("it to be ready again", seconds(15), async || Ok(reynard.is_ready().await.then_some(()))).await?;
        println!("{:5.1} s  after {signal} the database was back and Reynard ready", risen.elapsed().as_secs_f64());
    }
    let taken = load.counts().0;
    wait_until("deliveries to be taken", seconds(10), async || Ok((load.counts().0 > taken + 30).then_some(()))).await?;
    let (_, refused) = load.counts();
    let taken = load.end(senders).await?;
    println!("         {} deliveries were answered 200, {refused} were not", taken.len());
    assert_all_worked(&reynard, &taken).await?;

    // Nobody sends anything, and whoever asks is told.
    postgres.stop("INT");
    wait_until("/ready to say so", seconds(10), async || Ok((!reynard.is_ready().await).then_some(()))).await?;
    postgres.start_again().await?;
    wait_until("it to be ready again", seconds(15), async || Ok(reynard.is_ready().await.then_some(()))).await
}

/// Every delivery that was answered is there, and worked.
pub async fn assert_all_worked(reynard: &Reynard, taken: &[String]) -> Result<()> {
    ensure!(!taken.is_empty(), "there was load");
    for delivery in taken {
        let path = format!("/api/v1/deliveries/{delivery}");
        let worked = async || Ok((reynard.get(&path).await?["worked"] == true).then_some(()));
        wait_until(&format!("delivery {delivery} to be worked"), seconds(15), worked).await?;
    }
    Ok(())
}
