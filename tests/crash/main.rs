//! kill -9 under load, again and again; afterwards what the senders and the called remember must agree with the log.
//! Ten kills in the plain test; `REYNARD_KILLS=1000` for a long night, `REYNARD_SEED` to have the same chances again,
//! `REYNARD_DATABASE_URL` (a superuser's) to do it on PostgreSQL.

mod chance;
mod database;
mod load;
mod outages;
mod person;
mod server;
mod sink;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use reynard::domain::incident::{Incident, NotificationStatus, Status};
use reynard::domain::run::RunStatus;
use reynard::domain::time::Timestamp;
use reynard::domain::timeline::{Entry, Event};
use reynard::engine::store::IncidentQuery;

use crate::chance::Chance;
use crate::database::Database;
use crate::load::{Senders, Tally};
use crate::outages::Outages;
use crate::server::{Server, client, until};
use crate::sink::Sink;

const SENDERS: u64 = 4;
/// So many deliveries are taken at the least before each kill.
const LOAD: usize = 4;
/// How late an escalation may be, beside all the time that nobody was there.
const LATE_MS: i64 = 2_000;
const SETTLE_WITHIN: Duration = Duration::from_secs(60);

const PLAYBOOK: &str = "
title: Poke and look
on: { type: service_down }
steps:
  - { id: poke, action: http.request, target: shop, with: { method: POST, path: /poke, json: { service: '{{ incident.service }}' } } }
  - { id: look, action: http.check, target: shop, with: { path: /look } }
";

fn settings(sink: &str) -> String {
    format!(
        "
incidents: {{ settle: 500ms, reopen_within: 1h }}
people:
  ana: {{ notify: [ {{ channel: hook }} ] }}
channels:
  hook: {{ kind: webhook, url: '{sink}/page' }}
targets:
  shop: {{ kind: http, url: '{sink}' }}
limits: {{ destructive: 1000000 per 1h, per_target: 1000000 per 1h, correlated: 100%, breaker: never }}
escalation:
  policies:
    default:
      P1: {{ respond_within: 15m, levels: [ {{ notify: [ana], after: 0s }}, {{ notify: [hook], after: 1s }}, {{ notify: [ana], after: 3s }} ], repeat: 1 }}
"
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_again_and_again_under_load_it_loses_nothing() {
    let kills = number("REYNARD_KILLS").unwrap_or(10);
    let seed = number("REYNARD_SEED").unwrap_or_else(|| now().0.unsigned_abs());
    println!("REYNARD_SEED={seed} REYNARD_KILLS={kills}");
    let (sink, sink_url) = Sink::start().await;
    let mut server = Server::prepare(&[("reynard.yaml", &settings(&sink_url)), ("playbooks/service_down.yaml", PLAYBOOK)]);
    let database = Arc::new(Database::empty(server.database()).await);
    server.environment.push(("REYNARD_DATABASE_URL", database.url()));
    let senders = Senders::default();
    server.start().await;
    let sending = senders.start(&server.url, seed, SENDERS);
    let mut chance = Chance::new(seed);
    let over = Arc::new(AtomicBool::new(false));
    let person = tokio::spawn(person::answer(database.clone(), server.url.clone(), over.clone()));
    let mut outages = Outages::default();
    for _ in 0..kills {
        // A moment into the load, however long the load takes to come on a busy machine.
        let before = senders.tally().taken.len();
        until("deliveries to be taken", SETTLE_WITHIN, async || (senders.tally().taken.len() > before + LOAD).then_some(())).await;
        tokio::time::sleep(Duration::from_millis(chance.below(400))).await;
        server.kill();
        let gone_at = now();
        server.start().await;
        outages.push(gone_at, now());
    }
    senders.end();
    for sender in sending {
        sender.await.expect("a sender does not panic");
    }
    let tally = senders.tally();
    all_worked(&server, &tally).await;
    at_rest(&database).await;
    over.store(true, Ordering::SeqCst);
    person.await.expect("whoever answers does not panic");
    assert!(server.stop().await.success(), "it ends in order");
    let story = Story::read(&database).await;
    println!(
        "{kills} kills: {} posts, {} taken, {} not; {} incidents, {} entries, {} pokes, {} in doubt, {} pages, longest outage {} ms",
        tally.posts,
        tally.taken.len(),
        tally.lost,
        story.incidents.len(),
        story.incidents.iter().map(|(_, log)| log.len()).sum::<usize>(),
        sink.keys("/poke").len(),
        story.count("step_in_doubt"),
        sink.keys("/page").len(),
        outages.longest(),
    );
    assert_eq!(tally.odd, Vec::<String>::new(), "nobody is told anything but 200 and 503");
    assert!(!story.incidents.is_empty(), "there was load: {tally:?}");
    story.logs_are_whole();
    story.nothing_is_stuck();
    story.everybody_was_told(&sink);
    println!("the latest escalation came {} ms late, outages left out", story.escalations_came(&outages));
    asked_once(&sink);
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

/// Every delivery that got a 2xx is there, and worked.
async fn all_worked(server: &Server, tally: &Tally) {
    for delivery in &tally.taken {
        let address = format!("{}/api/v1/deliveries/{delivery}", server.url);
        until(&format!("delivery {delivery} is worked"), SETTLE_WITHIN, async || {
            let answer = client().get(&address).send().await.ok()?;
            assert_eq!(answer.status().as_u16(), 200, "delivery {delivery} got a 2xx and is lost");
            let report: serde_json::Value = serde_json::from_str(&answer.text().await.ok()?).ok()?;
            (report["worked"] == true).then_some(())
        })
        .await;
    }
}

/// Waits until nothing is asked for but what a person or a far-off hour must bring.
async fn at_rest(database: &Database) {
    until("all that is due is done", SETTLE_WITHIN, async || {
        let near = format!("select 'near', count(*) from jobs where due_at < {}", now().0 + 60_000);
        (database.counts(near).await["near"] == 0).then_some(())
    })
    .await;
}

fn now() -> Timestamp {
    Timestamp::from(chrono::DateTime::from(SystemTime::now()))
}

/// No key of the step that must ask came twice.
fn asked_once(sink: &Sink) {
    let pokes = sink.keys("/poke");
    let twice: Vec<_> = pokes.iter().filter(|(key, times)| **times > 1 || key.is_empty()).collect();
    assert!(!pokes.is_empty() && twice.is_empty(), "sent more than once: {twice:?}");
}

/// Everything in the database, read after the end.
struct Story {
    incidents: Vec<(Incident, Vec<Entry>)>,
    /// How many jobs each incident still has.
    jobs: BTreeMap<String, i64>,
    stopped_at: Timestamp,
}

impl Story {
    async fn read(database: &Database) -> Story {
        let store = database.open().await;
        let stopped_at = now();
        let query = IncidentQuery { limit: u32::MAX, ..IncidentQuery::default() };
        let mut incidents = Vec::new();
        for incident in store.incidents(&query).await.expect("readable") {
            let log = store.timeline(incident.id, 0, u32::MAX).await.expect("readable");
            incidents.push((incident, log));
        }
        database.assert_sound().await;
        let unworked = "select 'unworked', count(*) from deliveries
            where position > (select cast(value as bigint) from meta where name = 'worked_up_to')";
        assert_eq!(database.counts(unworked.to_owned()).await["unworked"], 0, "every stored delivery is worked");
        let jobs = database.counts("select incident, count(*) from jobs group by incident".to_owned()).await;
        Story { incidents, jobs, stopped_at }
    }

    fn count(&self, kind: &str) -> usize {
        self.incidents.iter().flat_map(|(_, log)| log).filter(|entry| entry.event.kind() == kind).count()
    }

    /// No log has a gap, and each adds up to the state that is stored.
    fn logs_are_whole(&self) {
        for (incident, log) in &self.incidents {
            let mut folded = Incident::blank(incident.id);
            for (at, entry) in log.iter().enumerate() {
                assert_eq!(entry.seq, at as u64 + 1, "the log of #{} has a gap", incident.number);
                folded.apply(entry);
            }
            folded.alerts.clear();
            folded.heard_at = incident.heard_at;
            folded.chain = incident.chain;
            assert_eq!(&folded, incident, "the log of #{} adds up to something else", incident.number);
        }
        let mut numbers: Vec<u64> = self.incidents.iter().map(|(incident, _)| incident.number).collect();
        numbers.sort_unstable();
        assert_eq!(numbers, (1..=self.incidents.len() as u64).collect::<Vec<_>>(), "no number is left out or given twice");
    }

    /// A run that is not over waits for a job or for a person.
    fn nothing_is_stuck(&self) {
        for (incident, _) in &self.incidents {
            for run in incident.runs.values().filter(|run| run.status == RunStatus::Running) {
                assert!(self.jobs.contains_key(&incident.id.to_string()), "run {} of #{} waits for nothing", run.id, incident.number);
            }
        }
    }

    /// Every message that was queued is gone, and the other side has it.
    fn everybody_was_told(&self, sink: &Sink) {
        let pages = sink.keys("/page");
        for (incident, _) in &self.incidents {
            assert!(!incident.notifications.is_empty(), "nobody was told of #{}", incident.number);
            for (id, notification) in &incident.notifications {
                assert_eq!(notification.status, NotificationStatus::Sent, "message {id} of #{}: {notification:?}", incident.number);
                assert!(pages.contains_key(&format!("{}-{id}", incident.id)), "message {id} of #{} never arrived", incident.number);
            }
        }
    }

    /// Each level was told when it was due, unless the incident was over before. How late the latest was, in milliseconds, beside
    /// the time that nobody was there.
    fn escalations_came(&self, outages: &Outages) -> i64 {
        let mut latest = 0;
        for (incident, log) in &self.incidents {
            let mut came = |due: Timestamp, at: Timestamp| {
                let late = at.0 - due.0 - outages.between(due, at);
                assert!(late <= LATE_MS, "#{} told a level, or ended owing it, {late} ms late, outages left out", incident.number);
                latest = latest.max(late);
            };
            let mut due: Option<Timestamp> = None;
            for entry in log {
                match &entry.event {
                    Event::Escalated { started_at: Some(_), next_at, late_ms, .. } => {
                        let asked_for = Timestamp(entry.at.0 - late_ms.cast_signed());
                        came(due.map_or(asked_for, |due| due.min(asked_for)), entry.at);
                        due = *next_at;
                    }
                    Event::Resolved { .. } => {
                        came(due.unwrap_or(entry.at), entry.at);
                        due = None;
                    }
                    Event::Reopened { .. } => due = None,
                    _ => {}
                }
            }
            if incident.status == Status::Triggered {
                came(due.unwrap_or(self.stopped_at), self.stopped_at);
            }
        }
        latest
    }
}
