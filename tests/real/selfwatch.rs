//! Reynard looks after itself, on the disk of a PostgreSQL and on its own: somebody outside hears a heartbeat while all is well and silence otherwise, a source's watchdog that falls
//! silent pages, and so does automation that fails, stalls or is refused, without a setting that says so.

use std::time::Instant;

use anyhow::{Result, ensure};
use axum::http::StatusCode;
use serde_json::Value;
use sqlx::{Connection, PgConnection, SqliteConnection};

use crate::parts::alert::fires;
use crate::parts::house::{is_told, settings, was_told};
use crate::parts::http;
use crate::parts::postgres::Postgres;
use crate::parts::recorder::Recorder;
use crate::parts::reynard::{Reynard, Setup};
use crate::parts::target::Target;
use crate::parts::wait::{seconds, wait_until};
use crate::real;

/// A heartbeat is due every second: so much silence is none by chance.
const SILENCE: u64 = 3;

#[tokio::test]
async fn the_heart_beats_while_all_is_well_and_a_watchdog_that_falls_silent_pages() -> Result<()> {
    if !real("the_heart_beats_while_all_is_well") {
        return Ok(());
    }
    let (outside, pager, postgres) = (Target::start().await?, Recorder::start().await?, Postgres::start().await?);
    let more = format!(
        "watch: {{ heartbeat: 'http://{}/beat', every: 1s }}\nsources: [ {{ name: am, token: s3cret, watchdog: {{ alertname: Watchdog, within: 4s }} }} ]\n",
        outside.address
    );
    let (settings, url) = (settings(&pager, &outside.line("shop", "shop"), &more), postgres.url("admin"));
    let environment = [("REYNARD_DATABASE_URL", url.as_str())];
    let reynard = Reynard::start(Setup { settings: &settings, playbooks: &[], environment: &environment }).await?;
    beats(&outside, &reynard).await?;

    // The way from the source is cut: nothing is heard from there.
    let missing = reynard.incident_of("reynard", "paged", |incident| incident["status"] == "triggered").await?;
    let title = missing["title"].as_str().unwrap_or_default();
    ensure!(title.contains("Watchdog of source am has not been heard for"), "{title}");
    is_told(&pager, "ana", "Watchdog of source am has not been heard for").await?;
    is_silent(&outside).await?;
    let ready = reynard.get("/ready").await?.to_string();
    ensure!(ready.contains("degraded") && ready.contains("Watchdog of source am"), "{ready}");
    beats(&outside, &reynard).await?;
    wait_until("its own incident to be over", seconds(15), async || {
        barks(&reynard).await?;
        let incident = reynard.get(&format!("/api/v1/incidents/{}", missing["number"])).await?;
        Ok((incident["status"] == "resolved").then_some(()))
    })
    .await?;

    // The database takes no writes any more.
    let mut admin = postgres.connect("admin").await?;
    read_only(&mut admin, "on").await?;
    wait_until("it to say so", seconds(15), async || Ok((!reynard.is_ready().await).then_some(()))).await?;
    is_silent(&outside).await?;
    read_only(&mut admin, "off").await?;
    wait_until("it to be well again", seconds(20), async || Ok(reynard.is_ready().await.then_some(()))).await?;
    beats(&outside, &reynard).await?;
    Ok(admin.close().await?)
}

const SLOW: &str = "
title: Restart it
on: { match: ['alertname=\"Slow\"'] }
steps:
  - { id: restart, title: Restart it, action: http.request, target: shop, timeout: 5m, with: { method: POST, path: /restart } }
";

/// How long an incident may look adrift that is only on its way, and a while.
const ADRIFT: u64 = 60;

#[tokio::test]
async fn a_full_disk_and_what_is_stuck_late_or_adrift_on_it_are_told() -> Result<()> {
    if !real("a_full_disk_and_what_is_stuck_late_or_adrift_on_it") {
        return Ok(());
    }
    let (outside, shop, pager) = (Target::start().await?, Target::start().await?, Recorder::start().await?);
    let more = format!("watch: {{ heartbeat: 'http://{}/beat', every: 1s }}\n", outside.address);
    let settings = settings(&pager, &shop.line("shop", "shop"), &more);
    let reynard = Reynard::start(Setup { settings: &settings, playbooks: &[("slow", SLOW)], environment: &[] }).await?;
    beats_on(&outside).await?;

    reynard.fills_its_disk(true)?;
    faults(&reynard, "store", 1).await?;
    wait_until("it to say so", seconds(15), async || Ok((!reynard.is_ready().await).then_some(()))).await?;
    is_silent(&outside).await?;
    ensure!(reynard.hears(&fires("Lost", "nowhere")).await.is_err(), "what cannot be stored is not taken");
    reynard.fills_its_disk(false)?;
    faults(&reynard, "store", 0).await?;
    beats_on(&outside).await?;

    // An attempt that ought to be over for long.
    let mut disk = SqliteConnection::connect(&format!("sqlite://{}", reynard.path("data/reynard.db").display())).await?;
    shop.holds();
    reynard.hears(&fires("Slow", "shop")).await?;
    shop.is_called(1).await?;
    sqlx::query("update jobs set due_at = due_at - 600000 where started = 1").execute(&mut disk).await?;
    is_told(&pager, "ana", "step \"Restart it\" is under way since").await?;
    is_silent(&outside).await?;
    shop.lets_go();
    faults(&reynard, "attempts", 0).await?;

    // What is due and nobody begins.
    let hour = i64::try_from(std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_millis())? + 3_600_000;
    let timer: i64 = sqlx::query_scalar("select id from jobs where started = 0 and due_at > $1").bind(hour).fetch_one(&mut disk).await?;
    let day = "update jobs set due_at = due_at + 86400000 * $1 where id = $2";
    sqlx::query(day).bind(-1).bind(timer).execute(&mut disk).await?;
    is_told(&pager, "ana", "due and not begun").await?;
    sqlx::query(day).bind(1).bind(timer).execute(&mut disk).await?;
    faults(&reynard, "timers", 0).await?;
    beats_on(&outside).await?;

    // Nothing will happen to it any more, and nobody knows of it.
    let number = reynard.incident_of("shop", "there", |_| true).await?["number"].clone();
    let forgotten = "delete from jobs where incident = (select id from incidents where number = $1)";
    sqlx::query(forgotten).bind(number.as_i64()).execute(&mut disk).await?;
    let words = format!("#{number} has neither a next event nor a person");
    wait_until("somebody to be told", seconds(ADRIFT), async || Ok(was_told(&pager, "ana", &words).then_some(()))).await?;
    is_silent(&outside).await?;
    reynard.post(&format!("/api/v1/incidents/{number}/acknowledge")).await?;
    faults(&reynard, "incidents", 0).await?;
    beats_on(&outside).await?;
    Ok(disk.close().await?)
}

/// Waits until so many faults of a kind are counted.
async fn faults(reynard: &Reynard, check: &str, count: usize) -> Result<()> {
    let line = format!("reynard_watch_faults{{check=\"{check}\"}} {count}");
    wait_until(&line, seconds(20), async || Ok(reynard.text("/metrics").await?.contains(&line).then_some(()))).await
}

/// Waits for two more heartbeats.
async fn beats_on(outside: &Target) -> Result<()> {
    let before = outside.calls_of("/beat").len();
    wait_until("heartbeats", seconds(20), async || Ok((outside.calls_of("/beat").len() >= before + 2).then_some(()))).await
}

/// The source's alert that always fires.
async fn barks(reynard: &Reynard) -> Result<()> {
    let request = http::client().post(format!("{}/", reynard.url)).bearer_auth("s3cret");
    request.json(&fires("Watchdog", "alertmanager")).send().await?.error_for_status()?;
    Ok(())
}

/// Waits for two more heartbeats, while the watchdog barks.
async fn beats(outside: &Target, reynard: &Reynard) -> Result<()> {
    let before = outside.calls_of("/beat").len();
    wait_until("heartbeats", seconds(20), async || {
        barks(reynard).await?;
        Ok((outside.calls_of("/beat").len() >= before + 2).then_some(()))
    })
    .await
}

/// There is no heartbeat for longer than one may take; silence can only be seen by listening.
async fn is_silent(outside: &Target) -> Result<()> {
    let (before, begun) = (outside.calls_of("/beat").len(), Instant::now());
    wait_until("silence", seconds(2 * SILENCE), async || Ok((begun.elapsed() > seconds(SILENCE)).then_some(()))).await?;
    let beats = outside.calls_of("/beat").len() - before;
    ensure!(beats == 0, "{beats} heartbeats while something is wrong");
    Ok(())
}

/// For everybody but the one who says so, from their next transaction on.
async fn read_only(admin: &mut PgConnection, word: &str) -> Result<()> {
    sqlx::raw_sql("set default_transaction_read_only = off").execute(&mut *admin).await?;
    let set = format!("alter system set default_transaction_read_only = {word}");
    sqlx::raw_sql(sqlx::AssertSqlSafe(set)).execute(&mut *admin).await?;
    sqlx::raw_sql("select pg_reload_conf()").execute(admin).await?;
    Ok(())
}

/// What becomes of it, the alert that starts it, and its step.
const WAYS: [(&str, &str); 4] = [
    ("fails", "{ id: act, title: Restart it, action: http.request, target: fails, with: { method: POST, path: /restart } }"),
    ("stalls", "{ id: act, title: Drain it, action: http.request, target: stalls, timeout: 2s, with: { method: POST, path: /drain } }"),
    ("barred", "{ id: act, title: Knock at it, action: tcp.connect, with: { address: '192.0.2.1:80' } }"),
    ("waits", "{ id: act, title: Move it, action: http.request, target: stalls, with: { method: POST, path: /move } }"),
];

#[tokio::test]
async fn automation_that_fails_stalls_or_is_refused_pages_a_human_by_default() -> Result<()> {
    if !real("automation_that_fails_stalls_or_is_refused_pages_a_human") {
        return Ok(());
    }
    let (fails, stalls, pager) = (Target::start().await?, Target::start().await?, Recorder::start().await?);
    fails.answers(StatusCode::UNPROCESSABLE_ENTITY);
    stalls.holds();
    let texts =
        WAYS.map(|(way, step)| (way, format!("title: It {way}\non: {{ match: ['alertname=\"It_{way}\"'] }}\nsteps:\n  - {step}\n")));
    let playbooks = texts.each_ref().map(|(slug, text)| (*slug, text.as_str()));
    let settings = settings(&pager, &(fails.line("fails", "a") + &stalls.line("stalls", "b")), "");
    let reynard = Reynard::start(Setup { settings: &settings, playbooks: &playbooks, environment: &[] }).await?;
    for (way, _) in WAYS {
        reynard.hears(&fires(&format!("It_{way}"), way)).await?;
        let incident = reynard.incident_of(way, "there", |_| true).await?;
        // Whoever has acknowledged is told all the same: automation is no help to them any more.
        reynard.post(&format!("/api/v1/incidents/{}/acknowledge", incident["number"])).await?;
    }
    for words in [
        "\"Restart it\" failed: fails answered 422",
        "\"Drain it\" is in doubt",
        "\"Knock at it\" failed",
        "\"Move it\" waits for stalls: playbook stalls of incident 2 is at work on it",
    ] {
        is_told(&pager, "ana", words).await?;
    }
    ensure!(!was_told(&pager, "lead", ""), "the next level is not needed for that");
    let incident = reynard.incident_of("barred", "given up", |incident| incident["runs"][0]["status"] == "failed").await?;
    ensure!(reynard.step(&incident, "act").await?["reason"] != Value::Null);
    Ok(())
}
