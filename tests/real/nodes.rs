//! Two nodes on one PostgreSQL: one dies, one is paused for too long, one is stopped in order; the other goes on.
//! What each side was told is checked, and that no step which must ask was sent twice.

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use sqlx::{Connection, PgConnection};

use crate::database_away::assert_all_worked;
use crate::load::{Load, body};
use crate::parts::http;
use crate::parts::postgres::Postgres;
use crate::parts::recorder::Recorder;
use crate::parts::reynard::{Reynard, Setup};
use crate::parts::wait::{seconds, wait_until};
use crate::real;

const PLAYBOOK: &str = "
title: Poke
on: { type: service_down }
steps:
  - { id: poke, action: http.request, target: shop, timeout: 30s, with: { method: POST, path: /poke, json: { service: '{{ incident.service }}' } } }
";

/// The database, and what the nodes poke.
pub struct Rig {
    _postgres: Option<Postgres>,
    pub shop: Recorder,
    pub url: String,
    settings: String,
    playbook: &'static str,
}

impl Rig {
    pub async fn start() -> Result<Rig> {
        let postgres = Postgres::start().await?;
        let rig = Self::on(&postgres.url("admin")).await?;
        Ok(Rig { _postgres: Some(postgres), ..rig })
    }

    /// On a database that somebody else looks after.
    pub async fn on(url: &str) -> Result<Rig> {
        let shop = Recorder::start().await?;
        let settings = format!(
            "incidents: {{ settle: 1s }}\nlimits: {{ destructive: 100000 per 1h, per_target: 100000 per 1h }}\ntargets: {{ shop: {{ kind: http, url: 'http://{}' }} }}\n",
            shop.address
        );
        Ok(Rig { _postgres: None, shop, url: url.to_owned(), settings, playbook: PLAYBOOK })
    }

    pub fn with_playbook(self, playbook: &'static str) -> Rig {
        Rig { playbook, ..self }
    }

    pub async fn connect(&self) -> Result<PgConnection> {
        Ok(PgConnection::connect(&self.url).await?)
    }

    /// One more node, whether it is the active one or stands by.
    pub async fn node(&self) -> Result<Reynard> {
        self.node_at(&self.url).await
    }

    /// One that reaches the database by a way of its own.
    pub async fn node_at(&self, url: &str) -> Result<Reynard> {
        let environment = [("REYNARD_DATABASE_URL", url), ("RUST_LOG", "reynard=info")];
        Reynard::node(Setup { settings: &self.settings, playbooks: &[("service_down", self.playbook)], environment: &environment }).await
    }

    /// The active node, and one that stands by.
    pub async fn pair(&self) -> Result<(Reynard, Reynard)> {
        let active = self.node().await?;
        until_active(&active, 5).await?;
        let other = self.node().await?;
        ensure!(other.is_ready().await && !other.is_active().await, "only one is active; both take deliveries");
        Ok((active, other))
    }
}

/// How long until it is active.
pub async fn until_active(node: &Reynard, within: u64) -> Result<f64> {
    let begun = Instant::now();
    wait_until("the other node to be active", seconds(within), async || Ok(node.is_active().await.then_some(()))).await?;
    Ok(begun.elapsed().as_secs_f64())
}

#[tokio::test]
async fn when_the_active_node_dies_the_other_is_active_within_twelve_seconds() -> Result<()> {
    if !real("when_the_active_node_dies") {
        return Ok(());
    }
    let rig = Rig::start().await?;
    let (a, b) = &rig.pair().await?;
    let asked = http::client().get(format!("{}/active", b.url)).send().await?;
    let (status, text) = (asked.status(), asked.text().await?);
    ensure!(status == 503 && text.contains(&port(a)), "who stands by names who is active: {text}");
    let (load, senders) = Load::on(&a.url);
    wait_until("deliveries to be taken", seconds(10), async || Ok((load.counts().0 > 50).then_some(()))).await?;
    ensure!(!b.get("/api/v1/incidents").await?["items"].as_array().context("a list")?.is_empty(), "who stands by reads");
    hears_of_a_change(b).await?;
    a.process.signal("KILL");
    load.turns_to(&b.url);
    println!("{:5.1} s  after kill -9 the other node was active", until_active(b, 12).await?);
    let taken = load.counts().0;
    wait_until("deliveries to be taken", seconds(10), async || Ok((load.counts().0 > taken + 30).then_some(()))).await?;
    let taken = load.end(senders).await?;
    assert_all_worked(b, &taken).await?;
    assert_no_gap(b).await
}

#[tokio::test]
async fn a_node_that_was_paused_for_too_long_changes_nothing_when_it_wakes() -> Result<()> {
    if !real("a_node_that_was_paused_for_too_long") {
        return Ok(());
    }
    let rig = Rig::start().await?;
    let (a, b) = &rig.pair().await?;
    let (load, senders) = Load::on(&a.url);
    wait_until("steps to be sent", seconds(10), async || Ok((rig.shop.bodies().len() > 10).then_some(()))).await?;
    a.process.signal("STOP");
    let late = tokio::spawn(http::client().post(format!("{}/", a.url)).json(&body("late")).send());
    load.turns_to(&b.url);
    println!("{:5.1} s  after SIGSTOP the other node was active", until_active(b, 13).await?);
    a.process.signal("CONT");
    wait_until("the woken node to stand by", seconds(10), async || {
        let health = a.get("/health").await?;
        Ok(health["checks"]["engine"]["detail"].as_str().filter(|said| said.contains(&port(b))).map(str::to_owned))
    })
    .await?;
    let late = late.await?;
    let taken = load.counts().0;
    wait_until("deliveries to be taken", seconds(10), async || Ok((load.counts().0 > taken + 30).then_some(()))).await?;
    let mut taken = load.end(senders).await?;
    // What came to it too late is refused, or kept for the active one.
    if let Ok(answer) = late
        && answer.status() == 200
    {
        taken.extend(answer.json::<Value>().await?["delivery"].as_str().map(str::to_owned));
    }
    assert_all_worked(b, &taken).await?;
    assert_no_gap(b).await?;
    assert_asked_once(&rig.shop)
}

#[tokio::test]
async fn a_node_that_is_stopped_in_order_hands_over_at_once() -> Result<()> {
    if !real("a_node_that_is_stopped_in_order_hands_over_at_once") {
        return Ok(());
    }
    let rig = Rig::start().await?;
    let (a, b) = &rig.pair().await?;
    let until = async || Ok(Some(expires_at(&rig).await?));
    let first = wait_until("the lease", seconds(5), until).await?;
    let renewed = async || Ok((expires_at(&rig).await? > first).then_some(()));
    wait_until("the idle node to say that it lives", seconds(5), renewed).await?;
    a.process.signal("TERM");
    println!("{:5.1} s  after SIGTERM the other node was active", until_active(b, 4).await?);
    Ok(())
}

/// What people ask for, back and forth under load: by the program, by the page and by the API, on either node.
#[tokio::test]
async fn the_work_is_given_to_the_node_that_somebody_asks_for() -> Result<()> {
    if !real("the_work_is_given_to_the_node_that_somebody_asks_for") {
        return Ok(());
    }
    let rig = Rig::start().await?;
    let (a, b) = &rig.pair().await?;
    let (name_a, name_b) = (name(a).await?, name(b).await?);
    let (load, senders) = Load::on(&a.url);
    wait_until("steps to be sent", seconds(10), async || Ok((rig.shop.bodies().len() > 10).then_some(()))).await?;

    let begun = Instant::now();
    let (good, said) = a.asked_to(&["activate", &name_b]).await?;
    ensure!(good && said.contains("is active"), "{said}");
    until_active(b, 2).await?;
    ensure!(!a.is_active().await, "one is active");
    println!("{:5.1} s  after it was asked for the other node was active", begun.elapsed().as_secs_f64());
    let (good, said) = a.asked_to(&["activate", &name_b]).await?;
    ensure!(!good && said.contains("active already"), "{said}");
    let (good, said) = a.asked_to(&["activate", "nobody:1"]).await?;
    ensure!(!good && said.contains("no node nobody:1"), "{said}");

    // By the page of the node that stands by: it sends the wish on.
    let form = format!("node={}&by=ana", name_a.replace(':', "%3A"));
    let page = http::client().post(format!("{}/nodes/activate", a.url)).header("content-type", "application/x-www-form-urlencoded");
    let page = page.header("origin", &a.url).body(form).send().await?;
    ensure!(page.status().is_redirection() || page.status().is_success(), "{}", page.status());
    until_active(a, 25).await?;

    for round in 0..6 {
        let (asked, heir, to) = if round % 2 == 0 { (a, b, &name_b) } else { (a, a, &name_a) };
        let taken = load.counts().0;
        wait_until("deliveries to be taken", seconds(15), async || Ok((load.counts().0 > taken + 20).then_some(()))).await?;
        asked.asks(&format!("/api/v1/nodes/{to}/activate"), &serde_json::json!({ "by": "bo" })).await?;
        until_active(heir, 25).await?;
    }
    let (_, refused) = load.counts();
    let taken = load.end(senders).await?;
    println!("         8 times handed over: {} deliveries were answered 200, {refused} were not", taken.len());
    ensure!(refused == 0, "deliveries go on being taken");
    assert_all_worked(a, &taken).await?;
    assert_no_gap(a).await?;
    // A step that was cut off is asked about, and nothing of the kind happens where everything could end.
    for incident in a.get("/api/v1/incidents?status=open&limit=100").await?["items"].as_array().context("a list")? {
        let timeline = a.timeline(incident["id"].as_str().context("an id")?).await?;
        ensure!(timeline.iter().all(|entry| entry["kind"] != "step_in_doubt"), "{timeline:?}");
    }
    assert_asked_once(&rig.shop)
}

/// What it calls itself.
async fn name(node: &Reynard) -> Result<String> {
    let said = node.get("/api/v1/nodes").await?;
    let this = said["nodes"].as_array().context("a list")?.iter().find(|node| node["this"] == true).context("itself")?;
    Ok(this["name"].as_str().context("a name")?.to_owned())
}

/// Four losses in the plain story; `REYNARD_LOSSES` for a long one.
#[tokio::test]
async fn nodes_that_are_lost_in_turn_lose_nothing_between_them() -> Result<()> {
    if !real("nodes_that_are_lost_in_turn") {
        return Ok(());
    }
    let losses: usize = std::env::var("REYNARD_LOSSES").ok().and_then(|text| text.parse().ok()).unwrap_or(4);
    let rig = Rig::start().await?;
    let (mut active, mut other) = rig.pair().await?;
    let (load, senders) = Load::on(&active.url);
    for signal in ["TERM", "KILL", "TERM", "STOP"].into_iter().cycle().take(losses) {
        let taken = load.counts().0;
        wait_until("deliveries to be taken", seconds(15), async || Ok((load.counts().0 > taken + 20).then_some(()))).await?;
        active.process.signal(signal);
        load.turns_to(&other.url);
        until_active(&other, 13).await?;
        if signal == "STOP" {
            active.process.signal("CONT");
            let stands_by = async || Ok(http::answers(&format!("{}/startup", active.url)).await?.then_some(()));
            wait_until("the woken node to answer", seconds(10), stands_by).await?;
        }
        active = std::mem::replace(&mut other, rig.node().await?);
    }
    let (_, refused) = load.counts();
    let taken = load.end(senders).await?;
    println!("         {losses} losses: {} deliveries were answered 200, {refused} were not", taken.len());
    assert_all_worked(&active, &taken).await?;
    assert_no_gap(&active).await?;
    assert_asked_once(&rig.shop)
}

/// A page that is open on a node hears of what another node commits.
async fn hears_of_a_change(node: &Reynard) -> Result<()> {
    let mut stream = http::client().get(format!("{}/api/v1/stream", node.url)).send().await?;
    let mut heard = String::new();
    while let Some(part) = stream.chunk().await? {
        heard.push_str(&String::from_utf8_lossy(&part));
        if heard.contains("event: change") {
            return Ok(());
        }
    }
    anyhow::bail!("the stream ended: {heard}")
}

async fn expires_at(rig: &Rig) -> Result<i64> {
    Ok(sqlx::query_scalar("select expires_at from lease").fetch_one(&mut rig.connect().await?).await?)
}

fn port(node: &Reynard) -> String {
    format!(":{}", node.url.rsplit(':').next().unwrap_or_default())
}

/// No log has a gap, whoever wrote which part of it.
pub async fn assert_no_gap(node: &Reynard) -> Result<()> {
    let mut path = "/api/v1/incidents?limit=100".to_owned();
    loop {
        let page = node.get(&path).await?;
        for incident in page["items"].as_array().context("a list")? {
            let timeline = node.timeline(incident["id"].as_str().context("an id")?).await?;
            ensure!(timeline.iter().zip(1..).all(|(entry, number)| entry["seq"] == number), "a gap in {}", incident["number"]);
        }
        match page["next"].as_str() {
            Some(next) => path = format!("/api/v1/incidents?limit=100&cursor={next}"),
            None => return Ok(()),
        }
    }
}

/// Each incident has one step that may not be sent twice by itself.
pub fn assert_asked_once(shop: &Recorder) -> Result<()> {
    let mut services: Vec<Value> = shop.bodies().iter().map(|body| body["service"].clone()).collect();
    let sent = services.len();
    services.sort_by_key(Value::to_string);
    services.dedup();
    ensure!(services.len() == sent, "{} of {sent} were sent twice", sent - services.len());
    Ok(())
}
