//! Batches as a writer would make them, by chance that can be had again: numbers follow each other, the rest is odd.

use std::collections::BTreeMap;
use std::sync::Arc;

use reynard::domain::breaker::{Breaker, Opened};
use reynard::domain::decide::command::{Effect, Wake};
use reynard::domain::id::{DeliveryId, IncidentId, RunId};
use reynard::domain::incident::{AlertMark, Incident, Status};
use reynard::domain::labels::Labels;
use reynard::domain::limits::Spent;
use reynard::domain::priority::Priority;
use reynard::domain::run::{Run, RunStatus};
use reynard::domain::time::{Span, Timestamp};
use reynard::domain::timeline::{Actor, Entry, Event};
use reynard::domain::trouble::Words;
use reynard::engine::store::{AlertRow, Batch, Delivery, DeliveryRow, IncidentRow, Job, RejectedAlert};
use uuid::Uuid;

pub const START: Timestamp = Timestamp(1_790_000_000_000);

/// Texts that a database may stumble over.
pub const ODD: [&str; 9] = [
    "disk full",
    "100%_of\\it",
    "NUL \0 amid",
    "😀 größer",
    "",
    "'; drop table incidents; --",
    "{\"json\": [1]}",
    "{a,\"b\",NULL}",
    "line\nbreak\ttab\u{7f}\u{fffd}",
];

/// The words that these writers mark alerts by.
pub fn words() -> Words {
    [ODD[1], ODD[2], ODD[3], ODD[7]].map(str::to_owned).into_iter().collect()
}

/// A writer's memory: what comes next, and what is there.
pub struct Writing {
    pub now: Timestamp,
    pub incidents: Vec<(String, Incident)>,
    pub deliveries: Vec<DeliveryId>,
    pub requests: Vec<String>,
    pub jobs: Vec<(i64, bool)>,
    last_position: i64,
    last_delivery: i64,
    last_job: i64,
    chance: u64,
}

impl Writing {
    pub fn new(seed: u64) -> Self {
        Self {
            now: START,
            incidents: Vec::new(),
            deliveries: Vec::new(),
            requests: Vec::new(),
            jobs: Vec::new(),
            last_position: 0,
            last_delivery: 0,
            last_job: 0,
            chance: seed,
        }
    }

    /// A number from 0 up to and without `end`; 0 when there is none.
    pub fn below(&mut self, end: usize) -> usize {
        self.chance = self.chance.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.chance;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % u64::try_from(end.max(1)).unwrap_or(1)).unwrap_or(0)
    }

    pub fn odd(&mut self) -> String {
        ODD[self.below(ODD.len())].to_owned()
    }

    fn id(&mut self) -> Uuid {
        let (high, low) = (self.below(usize::MAX), self.below(usize::MAX));
        Uuid::from_u64_pair(high as u64, low as u64)
    }

    /// A batch whose places are the next ones; empty until something is put in.
    pub fn blank(&mut self) -> Batch {
        self.now = self.now + Span::seconds(1);
        Batch { first_position: self.last_position + 1, first_delivery: self.last_delivery + 1, ..Batch::default() }
    }

    /// Says that a batch is on disk.
    pub fn written(&mut self, batch: &Batch) {
        self.last_position += i64::try_from(batch.entries.len()).expect("few");
        self.last_delivery += i64::try_from(batch.deliveries.len()).expect("few");
    }

    pub fn delivers(&mut self, batch: &mut Batch, keys: Vec<String>, body: Vec<u8>) -> DeliveryId {
        let id = DeliveryId(self.id());
        let rejected = if self.below(2) == 0 { vec![RejectedAlert { index: 1, reason: self.odd() }] } else { Vec::new() };
        let delivery = Delivery { id, source: self.odd(), received_at: self.now, body };
        batch.deliveries.push(Arc::new(DeliveryRow { delivery, keys, rejected, from_inbox: false }));
        self.deliveries.push(id);
        id
    }

    pub fn opens(&mut self, batch: &mut Batch, key: &str) -> usize {
        let number = self.incidents.len() as u64 + 1;
        let (title, service) = (self.odd(), self.odd());
        let mut incident = Incident::blank(IncidentId(self.id()));
        (incident.number, incident.title, incident.service, incident.opened_at) = (number, title.clone(), service.clone(), self.now);
        (incident.kind, incident.heard_at) = (self.odd(), self.now);
        incident.priority = Priority::ALL[self.below(4)];
        self.incidents.push((key.to_owned(), incident));
        let at = self.incidents.len() - 1;
        let event = Event::Opened {
            number,
            source: "am".to_owned(),
            receiver: "r".to_owned(),
            group_key: key.to_owned(),
            title,
            service,
            labels: Labels::new(),
            annotations: Labels::new(),
            policy: String::new(),
        };
        self.says(batch, at, event);
        at
    }

    /// Puts a fact on an incident's log, and the state that it leads to.
    pub fn says(&mut self, batch: &mut Batch, at: usize, event: Event) {
        let actor = match self.below(3) {
            0 => Actor::Person(self.odd()),
            1 => Actor::Source(self.odd()),
            _ => Actor::engine(),
        };
        let (key, incident) = &mut self.incidents[at];
        incident.seq += 1;
        incident.heard_at = self.now;
        batch.entries.push((incident.id, Entry { seq: incident.seq, at: self.now, actor, event }));
        batch.incidents.retain(|row| row.state.id != incident.id);
        batch.incidents.push(IncidentRow { key: key.clone(), state: std::sync::Arc::new(incident.clone()) });
    }

    pub fn fires(&mut self, batch: &mut Batch, at: usize, alert: usize) {
        let mark = AlertMark {
            firing: self.below(2) == 0,
            starts_at: self.now,
            changed_at: self.now,
            labels: Labels::from([(format!("l{}", self.odd()), self.odd()), ("instance".to_owned(), self.odd())]),
            annotations: Labels::from([("a".to_owned(), self.odd())]),
        };
        let incident = &mut self.incidents[at].1;
        let may_name = words().may_be_in(&mark.labels);
        let row =
            AlertRow { incident: incident.id, fingerprint: format!("{alert:016x}"), mark: mark.clone(), last_seen_at: self.now, may_name };
        incident.alerts.insert(row.fingerprint.clone(), mark);
        batch.alerts.retain(|other| (other.incident, &other.fingerprint) != (row.incident, &row.fingerprint));
        batch.alerts.push(row);
    }

    pub fn asks(&mut self, batch: &mut Batch, at: usize, started: bool) -> i64 {
        self.last_job += 1;
        let due_at = self.now + Span::seconds(self.below(100) as u64);
        let effect = match self.below(3) {
            0 => Effect::Send { notification: 1, attempt: 2 },
            1 => Effect::Measure,
            _ => Effect::Wake { wake: Wake::Settle { since: self.now } },
        };
        batch.jobs.push(Job { id: self.last_job, incident: self.incidents[at].1.id, due_at, effect, started });
        self.jobs.push((self.last_job, started));
        self.last_job
    }

    pub fn runs(&mut self, batch: &mut Batch, at: usize, status: RunStatus) {
        let now = self.now;
        let incident = &mut self.incidents[at].1;
        let id = RunId::derive(incident.id, 1);
        let run = incident.runs.entry(id).or_insert_with(|| Run {
            id,
            ordinal: 1,
            playbook: "service_down".to_owned(),
            title: "Service down".to_owned(),
            revision: "r1".to_owned(),
            status,
            started_at: now,
            ended_at: None,
            current: None,
            reason: None,
            steps: BTreeMap::new(),
            requested_by: None,
            vars: Default::default(),
            parent: None,
            tried_anew: 0,
            verified: false,
        });
        run.status = status;
        run.ended_at = status.is_over().then_some(now);
        let started = Event::RunStarted {
            run: id,
            ordinal: 1,
            playbook: "service_down".to_owned(),
            title: "Service down".to_owned(),
            revision: "r1".to_owned(),
            requested_by: None,
            vars: Default::default(),
            parent: None,
        };
        self.says(batch, at, started);
    }

    /// Anything that may happen.
    pub fn anything(&mut self) -> Batch {
        let mut batch = self.blank();
        for _ in 0..self.below(6) {
            let (at, odd) = (self.below(self.incidents.len()), self.odd());
            match self.below(10) {
                0 | 1 => {
                    let key = format!("key {} {odd}", self.below(5));
                    self.delivers(&mut batch, vec![key.clone(), "nobody's".to_owned()], odd.into_bytes());
                    self.opens(&mut batch, &key);
                }
                _ if self.incidents.is_empty() => {}
                2 => self.says(&mut batch, at, Event::Commented { text: odd }),
                3 => {
                    self.incidents[at].1.status = [Status::Triggered, Status::Acknowledged, Status::Resolved][self.below(3)];
                    self.says(&mut batch, at, Event::Acknowledged { note: odd });
                }
                4 => {
                    let alert = self.below(3);
                    self.fires(&mut batch, at, alert);
                }
                5 => drop(self.asks(&mut batch, at, odd.is_empty())),
                6 if !self.jobs.is_empty() => {
                    let job = self.below(self.jobs.len());
                    batch.settled.push(self.jobs.swap_remove(job).0);
                }
                6 => batch.released.extend(self.jobs.iter().map(|(id, _)| *id)),
                7 => {
                    let target = (!odd.is_empty()).then_some(odd.clone());
                    batch.spent.push(Spent { at: self.now, playbook: odd.clone(), target, service: Some(odd) });
                    let opened = (at % 2 == 0).then_some(Opened { at: self.now, incident: self.incidents[at].1.id });
                    batch.breakers = vec![Breaker { playbook: format!("book {}", at % 3), failures: 3, opened }];
                }
                8 => {
                    let key = format!("{odd}/{}", self.requests.len());
                    self.requests.push(key.clone());
                    batch.requests.push((key, self.now));
                }
                _ => {
                    let status = [RunStatus::Running, RunStatus::Waiting, RunStatus::Succeeded][self.below(3)];
                    self.runs(&mut batch, at, status);
                    batch.worked_up_to = Some(self.last_delivery);
                }
            }
        }
        let spoken_of: Vec<IncidentId> = batch.incidents.iter().map(|row| row.state.id).collect();
        let silent = self.incidents.iter().map(|(_, incident)| incident.id).find(|id| !spoken_of.contains(id));
        batch.heard.extend(silent.map(|id| (id, self.now)));
        batch
    }
}
