//! The self-watch: every half minute, or as often as a heartbeat is wanted, a look at whether the engine itself is well. What is wrong is said by /ready, metrics and an
//! incident of Reynard's own, which takes the way of any other alert; somebody outside is told only that all is well.
//! Knows no database; what is looked at comes from the reads.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::oneshot;

use crate::domain::labels::Labels;
use crate::domain::time::{Span, Timestamp};
use crate::domain::watch::{Check, Fault, LATE, OUT_OF_STEP, Suspects, judge};
use crate::engine::runtime::Runtime;
use crate::engine::store::{IncidentQuery, StoreError};
use crate::engine::work::Work;

/// The longest time between two looks.
const EVERY: Span = Span::seconds(30);
/// The source and the service that its own alerts name.
pub const OWN: &str = "reynard";
/// An alert that still fires is told again so often, so that nobody takes its silence for peace.
const TOLD_AGAIN: Span = Span::minutes(10);
/// What one look takes up at most.
const LOOKED_AT: u32 = 200;
/// How long a look and a beat may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// The watch over one engine; what it remembers is only what it saw last.
pub struct Watch {
    runtime: Runtime,
    suspects: Suspects,
    /// Its own alerts that fire, by fingerprint.
    told: BTreeMap<String, Told>,
    /// Since when this node is the active one, as far as the watch knows.
    active_since: Option<Timestamp>,
    beat_at: Option<Timestamp>,
}

struct Told {
    labels: Labels,
    starts_at: Timestamp,
    at: Timestamp,
}

impl Watch {
    pub fn new(runtime: Runtime) -> Self {
        Self { runtime, suspects: Suspects::new(), told: BTreeMap::new(), active_since: None, beat_at: None }
    }

    /// Looks for as long as it is polled.
    pub async fn work(mut self) {
        let clock = self.runtime.clock.clone();
        let mut at = clock.now() + self.pause();
        loop {
            while clock.now() < at {
                clock.wait_until(at).await;
            }
            self.look().await;
            at = clock.now() + self.pause();
        }
    }

    /// A heartbeat is preceded by a look, so whoever wants it more often has Reynard look more often.
    fn pause(&self) -> Span {
        EVERY.min(self.runtime.rulebook().watch.every)
    }

    /// One look; answers what is wrong.
    pub async fn look(&mut self) -> Vec<Fault> {
        let health = self.runtime.health();
        if !health.started || health.standing_by.is_some() {
            // Whoever is active looks after the work.
            *self = Self::new(self.runtime.clone());
            self.runtime.shared.watched(&[]);
            return Vec::new();
        }
        let now = self.runtime.shared.now();
        if self.active_since.is_none() {
            self.active_since = Some(now);
            self.remember().await;
        }
        let mut faults = self.faults(now).await;
        self.beat_if_due(&mut faults, now).await;
        self.runtime.shared.watched(&faults);
        // A database that takes nothing takes no alert either: what answers, counts and beats has to say it.
        if !faults.iter().any(|fault| fault.check == Check::Store) {
            self.tell(&faults, now).await;
        }
        faults
    }

    async fn faults(&mut self, now: Timestamp) -> Vec<Fault> {
        let mut faults: Vec<Fault> = self.store().into_iter().chain(self.clock()).chain(self.watchdogs(now)).collect();
        let audit = tokio::time::timeout(PATIENCE, self.runtime.reads.audit(now - LATE, LOOKED_AT)).await;
        match audit.unwrap_or_else(|_| Err(StoreError::Unavailable("it takes too long".to_owned()))) {
            Ok(audit) => {
                let (found, suspects) = judge(&audit, &self.runtime.rulebook(), &self.suspects, now);
                self.suspects = suspects;
                faults.extend(found);
            }
            Err(_) if faults.iter().any(|fault| fault.check == Check::Store) => {}
            Err(_) => faults.push(Fault::new(Check::Store, "the database cannot be read; the log says why")),
        }
        faults
    }

    fn store(&self) -> Option<Fault> {
        self.runtime.shared.is_failing().then(|| Fault::new(Check::Store, "the last commit failed; the log says why"))
    }

    fn clock(&self) -> Option<Fault> {
        let clock = &self.runtime.clock;
        let behind = self.runtime.health().last_commit_at.map_or(Span::ZERO, |last| last.since(clock.now())).max(clock.trails());
        let words = format!("the machine's clock is {behind} behind what was committed; set it right");
        (behind > OUT_OF_STEP).then(|| Fault::new(Check::Clock, words))
    }

    fn watchdogs(&self, now: Timestamp) -> Vec<Fault> {
        let since = self.active_since.unwrap_or(now);
        let missing = |(source, dog): (&String, &crate::domain::watch::Watchdog)| {
            let heard = self.runtime.shared.watchdog_heard(source).unwrap_or(since).max(since);
            let silent = now.since(heard);
            let words = format!("{} of source {source} has not been heard for {silent}; alerts from there may not arrive", dog.alertname);
            let fault = Fault { source: Some(source.clone()), ..Fault::new(Check::Watchdog, words) };
            (silent > dog.within).then_some(fault)
        };
        self.runtime.rulebook().watchdogs.iter().filter_map(missing).collect()
    }

    /// Somebody outside hears of it when all is well, the disk included, and is alarmed by silence.
    async fn beat_if_due(&mut self, faults: &mut Vec<Fault>, now: Timestamp) {
        let Some(heart) = self.runtime.shared.hands().heart.clone() else { return };
        let due = self.beat_at.is_none_or(|at| now >= at + self.runtime.rulebook().watch.every);
        if !due || !faults.is_empty() {
            return;
        }
        if !self.runtime.commits().await {
            return faults.push(Fault::new(Check::Store, "a commit to try it failed; the log says why"));
        }
        let beat = tokio::time::timeout(PATIENCE, heart.beat()).await.unwrap_or_else(|_| Err("no answer in time".to_owned()));
        self.runtime.shared.metrics.heartbeat(if beat.is_ok() { "sent" } else { "failed" });
        match beat {
            Ok(()) => self.beat_at = Some(now),
            Err(reason) => tracing::warn!(reason, "The heartbeat could not be sent; trying again at the next look"),
        }
    }

    /// What an earlier life told of and is not over: this one says when it is.
    async fn remember(&mut self) {
        let query = IncidentQuery { status: Some("open".to_owned()), service: Some(OWN.to_owned()), limit: 50, ..IncidentQuery::default() };
        for incident in self.runtime.reads.incidents(&query).await.unwrap_or_default().iter().filter(|incident| incident.source == OWN) {
            for alert in self.runtime.reads.alerts(incident.id, 50).await.unwrap_or_default().into_iter().filter(|row| row.mark.firing) {
                let told = Told { labels: alert.mark.labels, starts_at: alert.mark.starts_at, at: Timestamp::default() };
                self.told.insert(alert.fingerprint, told);
            }
        }
    }

    /// Each fault is one alert, however often it is seen; the incident that it opens can bring about no other.
    async fn tell(&mut self, faults: &[Fault], now: Timestamp) {
        let red: BTreeMap<String, &Fault> = faults.iter().map(|fault| (fingerprint(fault), fault)).collect();
        for (fingerprint, fault) in &red {
            let known = self.told.get(fingerprint);
            if known.is_some_and(|told| now < told.at + TOLD_AGAIN) {
                continue;
            }
            let starts_at = known.map_or(now, |told| told.starts_at);
            let told = Told { labels: labels(fault), starts_at, at: now };
            if self.deliver(fingerprint, &told, Some(&fault.words)).await {
                self.told.insert(fingerprint.clone(), told);
            }
        }
        let over: Vec<String> = self.told.keys().filter(|fingerprint| !red.contains_key(*fingerprint)).cloned().collect();
        for fingerprint in over {
            if let Some(told) = self.told.remove(&fingerprint)
                && !self.deliver(&fingerprint, &told, None).await
            {
                self.told.insert(fingerprint, told);
            }
        }
    }

    /// As Alertmanager would: what is wrong, or that it is over.
    async fn deliver(&self, fingerprint: &str, told: &Told, wrong: Option<&str>) -> bool {
        let body = body(fingerprint, told, wrong, self.runtime.shared.now());
        match self.runtime.deliver(OWN, body.to_string().into_bytes()).await {
            Ok(_) => true,
            Err(error) => {
                tracing::error!(%error, wrong, "What is wrong with Reynard could not be told; trying again in half a minute");
                false
            }
        }
    }
}

impl Runtime {
    /// Whether the database takes a commit now.
    async fn commits(&self) -> bool {
        let (done, made) = oneshot::channel();
        self.hand_in(Work::Look { done: Some(done) }).is_ok() && tokio::time::timeout(PATIENCE, made).await.is_ok_and(|made| made.is_ok())
    }
}

fn fingerprint(fault: &Fault) -> String {
    match &fault.source {
        Some(source) => format!("{OWN}-{}-{source}", fault.check.word()),
        None => format!("{OWN}-{}", fault.check.word()),
    }
}

fn labels(fault: &Fault) -> Labels {
    let name = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let own = [name("alertname", fault.check.alertname()), name("service", OWN), name("severity", "critical")];
    own.into_iter().chain(fault.source.as_deref().map(|source| name("source", source))).collect()
}

fn body(fingerprint: &str, told: &Told, wrong: Option<&str>, now: Timestamp) -> Value {
    let status = if wrong.is_some() { "firing" } else { "resolved" };
    let summary = wrong.unwrap_or("it is over");
    let ends_at = if wrong.is_some() { "0001-01-01T00:00:00Z".to_owned() } else { now.to_rfc3339() };
    json!({
        "version": "4", "status": status, "receiver": OWN, "groupKey": format!("{{}}:{{{OWN}=\"{fingerprint}\"}}"), "truncatedAlerts": 0,
        "groupLabels": {}, "commonLabels": told.labels, "commonAnnotations": {}, "externalURL": "",
        "alerts": [{
            "status": status, "labels": told.labels, "annotations": { "summary": summary },
            "startsAt": told.starts_at.to_rfc3339(), "endsAt": ends_at, "generatorURL": "", "fingerprint": fingerprint,
        }],
    })
}
