//! Who sends alerts: it knows what really fires, tells it in the shapes and orders that a pair of Alertmanagers does, and remembers
//! every answer of 2xx, because that is a promise.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reynard::domain::time::Timestamp;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::clock::START;
use crate::stage::Stage;

const NAMES: [&str; 4] = ["ServiceDown", "HighErrorRate", "DatabaseConnectionFailure", "DiskFull"];
const SERVICES: [&str; 2] = ["orders", "users"];
/// Targets of each, as the house has them; the first few instances of a service are these.
const TARGETS: [&[&str]; 2] = [&["orders-db", "orders-admin", "orders-api"], &["users-db", "users-admin"]];
const INSTANCES_THAT_ARE_TARGETS: u64 = 6;

/// A sender that is not answered for so long hangs up.
const PATIENCE: Duration = Duration::from_secs(10);

/// What fires: name, service, instance.
type Which = (usize, usize, u64);

#[derive(Clone)]
struct Alert {
    firing: bool,
    critical: bool,
    starts_at: Timestamp,
    ended_at: Timestamp,
}

/// An alert of a delivery that was answered 2xx.
pub struct Promise {
    pub group_key: String,
    pub fingerprint: String,
    pub starts_at: Timestamp,
}

#[derive(Default)]
pub struct Kept {
    pub promises: Mutex<Vec<Promise>>,
    pub deliveries: Mutex<Vec<reynard::domain::id::DeliveryId>>,
}

pub struct Alertmanager {
    stage: Arc<Stage>,
    truth: BTreeMap<Which, Alert>,
    pub kept: Arc<Kept>,
    under_way: JoinSet<()>,
    /// Bodies of before, which may be sent again.
    sent: Vec<Value>,
}

impl Alertmanager {
    pub fn new(stage: Arc<Stage>) -> Self {
        let (truth, kept, sent) = Default::default();
        Self { stage, truth, kept, under_way: JoinSet::new(), sent }
    }

    fn now(&self) -> Timestamp {
        Timestamp(START.0 + self.stage.truth.elapsed())
    }

    fn some_group(&self) -> (usize, usize) {
        (self.stage.chance.below(4) as usize, self.stage.chance.below(2) as usize)
    }

    pub fn something_fires(&mut self) {
        let ((name, service), chance) = (self.some_group(), &self.stage.chance);
        let many = if chance.one_in(12) { 25 } else { chance.between(1, 3) };
        let (critical, now) = (!chance.one_in(3), self.now());
        for _ in 0..many {
            let alert = self.truth.entry((name, service, chance.below(30))).or_insert(Alert {
                firing: false,
                critical,
                starts_at: now,
                ended_at: now,
            });
            if !alert.firing {
                (alert.firing, alert.starts_at) = (true, now);
            }
        }
        self.tells(name, service);
    }

    pub fn something_ends(&mut self) {
        let now = self.now();
        let firing: Vec<Which> = self.truth.iter().filter(|(_, alert)| alert.firing).map(|(which, _)| *which).collect();
        if firing.is_empty() {
            return;
        }
        let (name, service, _) = *self.stage.chance.pick(&firing);
        let all = self.stage.chance.one_in(2);
        for (_, alert) in self.truth.iter_mut().filter(|((n, s, _), alert)| (*n, *s) == (name, service) && alert.firing) {
            if all || self.stage.chance.one_in(2) {
                (alert.firing, alert.ended_at) = (false, now);
            }
        }
        self.tells(name, service);
    }

    /// An old story once more, from the one that lags behind.
    pub fn something_is_repeated(&mut self) {
        if !self.sent.is_empty() {
            let body = self.stage.chance.pick(&self.sent).clone();
            self.sends(body, 0);
        }
    }

    /// All of several groups in one moment.
    pub fn a_storm_comes(&mut self) {
        for _ in 0..self.stage.chance.between(5, 15) {
            self.something_fires();
        }
    }

    fn tells(&mut self, name: usize, service: usize) {
        let body = self.body(name, service, true);
        self.sent.push(body.clone());
        let late = if self.stage.chance.one_in(4) { self.stage.chance.below(60_000) } else { 0 };
        if self.stage.chance.one_in(4) {
            self.sends(body.clone(), self.stage.chance.below(20_000));
        }
        self.sends(body, late);
    }

    fn body(&self, name: usize, service: usize, by_chance: bool) -> Value {
        let chance = &self.stage.chance;
        let truncated = if by_chance && chance.one_in(15) { chance.between(1, 9) } else { 0 };
        // There are senders that never say when it began.
        let undated = (name, service) == (3, 1);
        let of_group = self.truth.iter().filter(|((n, s, _), _)| (*n, *s) == (name, service));
        let alerts: Vec<Value> = of_group.map(|((_, _, instance), alert)| written(name, service, *instance, alert, undated)).collect();
        json!({
            "version": "4", "receiver": "reynard", "status": "firing", "groupKey": group_key(name, service), "truncatedAlerts": truncated,
            "groupLabels": {}, "commonLabels": {}, "commonAnnotations": {}, "externalURL": "http://am", "alerts": alerts,
        })
    }

    fn sends(&mut self, body: Value, after: u64) {
        let (stage, kept) = (self.stage.clone(), self.kept.clone());
        self.under_way.spawn(async move {
            tokio::time::sleep(Duration::from_millis(after)).await;
            for _ in 0..4 {
                if is_taken(&stage, &kept, &body).await {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(stage.chance.between(100, 15_000))).await;
            }
        });
    }

    pub async fn is_done_sending(&mut self) {
        while self.under_way.join_next().await.is_some() {}
    }

    /// Everything ends and is told until it is taken.
    pub async fn all_is_over(&mut self) {
        let now = self.now();
        let groups: Vec<(usize, usize)> = self.truth.keys().map(|(name, service, _)| (*name, *service)).collect();
        for alert in self.truth.values_mut().filter(|alert| alert.firing) {
            (alert.firing, alert.ended_at) = (false, now);
        }
        for (name, service) in groups.into_iter().collect::<std::collections::BTreeSet<_>>() {
            let body = self.body(name, service, false);
            let mut tries = 0;
            while !is_taken(&self.stage, &self.kept, &body).await {
                tries += 1;
                if tries > 50 {
                    return self.stage.record.fault("deliveries are not taken though all is well".to_owned());
                }
                tokio::time::sleep(Duration::from_secs(5)).await;
            }
        }
    }
}

/// Asks at one door after the other, as a sender does whose address is a name for several nodes.
async fn is_taken(stage: &Stage, kept: &Kept, body: &Value) -> bool {
    for runtime in stage.doors().into_iter().flatten() {
        let asked_fairly = stage.weather.is_fair();
        match tokio::time::timeout(PATIENCE, runtime.deliver("am", body.to_string().into_bytes())).await {
            Ok(Ok(receipt)) => {
                stage.record.line(|| format!("sender: 200 for {}: {body}", receipt.delivery));
                kept.deliveries.lock().unwrap_or_else(PoisonError::into_inner).push(receipt.delivery);
                kept.promises.lock().unwrap_or_else(PoisonError::into_inner).extend(promises(body));
                return true;
            }
            Ok(Err(error)) => stage.record.line(|| format!("sender: {error}")),
            Err(_) => stage.record.demand(!asked_fairly, || "a sender was not answered though all is well".to_owned()),
        }
    }
    false
}

fn promises(body: &Value) -> impl Iterator<Item = Promise> {
    let firing =
        body["alerts"].as_array().into_iter().flatten().filter(|alert| alert["status"] == "firing" && alert.get("startsAt").is_some());
    firing.map(|alert| Promise {
        group_key: body["groupKey"].as_str().unwrap_or_default().to_owned(),
        fingerprint: alert["fingerprint"].as_str().unwrap_or_default().to_owned(),
        starts_at: alert["startsAt"].as_str().and_then(Timestamp::parse_rfc3339).unwrap_or_default(),
    })
}

fn group_key(name: usize, service: usize) -> String {
    format!("{{}}:{{alertname=\"{}\", service=\"{}\"}}", NAMES[name], SERVICES[service])
}

fn written(name: usize, service: usize, instance: u64, alert: &Alert, undated: bool) -> Value {
    let mut body = json!({
        "status": if alert.firing { "firing" } else { "resolved" },
        "labels": {
            "alertname": NAMES[name], "severity": if alert.critical { "critical" } else { "warning" },
            "service": SERVICES[service], "instance": format!("i{instance}"),
        },
        "annotations": {"summary": format!("{} on {}", NAMES[name], SERVICES[service])},
        "startsAt": alert.starts_at.to_rfc3339(),
        "endsAt": if alert.firing { "0001-01-01T00:00:00Z".to_owned() } else { alert.ended_at.to_rfc3339() },
        "fingerprint": format!("{:016x}", (name * 2 + service) as u64 * 1_000 + instance + 1),
    });
    if let (Some(target), Some(labels)) = (target(service, instance), body["labels"].as_object_mut()) {
        labels.insert("target".to_owned(), json!(target));
    }
    if let (true, Some(fields)) = (undated, body.as_object_mut()) {
        fields.remove("startsAt");
    }
    body
}

/// The target that an instance is, if it is one.
fn target(service: usize, instance: u64) -> Option<&'static str> {
    let of = TARGETS[service];
    (instance < INSTANCES_THAT_ARE_TARGETS).then(|| of[instance as usize % of.len()])
}

/// The target that an alert names, by the fingerprint that it was given here.
pub fn target_of(fingerprint: &str) -> Option<&'static str> {
    let number = u64::from_str_radix(fingerprint, 16).ok()?.checked_sub(1)?;
    target((number / 1_000 % 2) as usize, number % 1_000)
}
