//! Senders that go on whatever happens: new groups, repeats and resolves, and a note of every delivery that got a 2xx.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};

use crate::chance::Chance;
use crate::server::client;

/// What a sender leaves between two posts, and how long it waits when nobody answers.
const PACE: Duration = Duration::from_millis(12);

#[derive(Clone, Default)]
pub struct Senders {
    tally: Arc<Mutex<Tally>>,
    over: Arc<AtomicBool>,
}

#[derive(Clone, Debug, Default)]
pub struct Tally {
    pub posts: u64,
    pub taken: BTreeSet<String>,
    /// 503, or cut off by a kill.
    pub lost: u64,
    /// Answers that nobody should get.
    pub odd: Vec<String>,
}

impl Senders {
    pub fn start(&self, url: &str, seed: u64, senders: u64) -> Vec<tokio::task::JoinHandle<()>> {
        (0..senders).map(|sender| tokio::spawn(self.clone().send(url.to_owned(), sender, Chance::new(seed ^ (sender + 1))))).collect()
    }

    pub fn end(&self) {
        self.over.store(true, Ordering::SeqCst);
    }

    pub fn tally(&self) -> Tally {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn send(self, url: String, sender: u64, mut chance: Chance) {
        let mut groups = 0;
        let mut pace = tokio::time::interval(PACE);
        while !self.over.load(Ordering::SeqCst) {
            pace.tick().await;
            let body = match chance.below(10) {
                0 | 1 => {
                    groups += 1;
                    body(sender, groups, "firing", chance.below(3) + 1)
                }
                2..=4 => body(sender, chance.below(groups) + 1, "resolved", 3),
                _ => body(sender, chance.below(groups) + 1, "firing", chance.below(3) + 1),
            };
            let answer = client().post(&url).json(&body).send().await;
            let heard = match answer {
                Ok(answer) => Some((answer.status().as_u16(), answer.text().await.unwrap_or_default())),
                Err(_) => None,
            };
            self.note(heard);
        }
    }

    fn note(&self, heard: Option<(u16, String)>) {
        let mut tally = self.tally.lock().unwrap_or_else(PoisonError::into_inner);
        tally.posts += 1;
        match heard {
            // A 2xx whose body a kill cut off names no delivery, and cannot be asked about.
            Some((200, text)) => match serde_json::from_str::<Value>(&text).ok().and_then(|v| v["delivery"].as_str().map(str::to_owned)) {
                Some(delivery) => drop(tally.taken.insert(delivery)),
                None => tally.lost += 1,
            },
            Some((503, _)) | None => tally.lost += 1,
            Some((status, text)) => tally.odd.push(format!("{status}: {text}")),
        }
    }
}

fn body(sender: u64, group: u64, status: &str, alerts: u64) -> Value {
    let alert = |n: u64| {
        json!({
            "status": status,
            "labels": {"alertname": "ServiceDown", "service": format!("s{sender}-{group}"), "instance": format!("i{n}")},
            "annotations": {"summary": format!("service {sender}-{group} is down")},
            "startsAt": "2026-09-21T14:00:00Z",
            "endsAt": if status == "firing" { "0001-01-01T00:00:00Z" } else { "2026-09-21T15:00:00Z" },
            "fingerprint": format!("{sender:04x}{group:08x}{n:04x}"),
        })
    };
    json!({
        "version": "4", "receiver": "reynard", "status": status, "groupKey": format!("{{}}:{{s=\"{sender}-{group}\"}}"),
        "truncatedAlerts": 0, "groupLabels": {}, "commonLabels": {}, "commonAnnotations": {}, "externalURL": "http://am",
        "alerts": (0..alerts).map(alert).collect::<Vec<_>>(),
    })
}
