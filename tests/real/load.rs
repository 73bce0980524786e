//! Senders that go on whatever happens, and remember which deliveries were answered 200. Know no Reynard but its address.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::parts::http;

const PACE: Duration = Duration::from_millis(15);

#[derive(Clone, Default)]
pub struct Load {
    url: Arc<RwLock<String>>,
    taken: Arc<Mutex<Vec<String>>>,
    refused: Arc<AtomicUsize>,
    odd: Arc<Mutex<Vec<String>>>,
    over: Arc<AtomicBool>,
}

impl Load {
    pub fn on(url: &str) -> (Load, Vec<JoinHandle<()>>) {
        let load = Load::default();
        load.turns_to(url);
        let senders = (0..4).map(|sender| tokio::spawn(load.clone().send(sender))).collect();
        (load, senders)
    }

    /// From now on everybody sends there.
    pub fn turns_to(&self, url: &str) {
        url.clone_into(&mut self.url.write().unwrap_or_else(PoisonError::into_inner));
    }

    /// How many were answered 200, and how many 503 or not at all.
    pub fn counts(&self) -> (usize, usize) {
        (self.taken.lock().unwrap_or_else(PoisonError::into_inner).len(), self.refused.load(Ordering::SeqCst))
    }

    /// Ends it; every delivery that was answered 200, provided that nobody was told anything but 200 and 503.
    pub async fn end(self, senders: Vec<JoinHandle<()>>) -> Result<Vec<String>> {
        self.over.store(true, Ordering::SeqCst);
        for sender in senders {
            sender.await?;
        }
        let odd = self.odd.lock().unwrap_or_else(PoisonError::into_inner);
        ensure!(odd.is_empty(), "nobody is told anything but 200 and 503: {odd:?}");
        Ok(self.taken.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }

    async fn send(self, sender: u32) {
        let mut number = 0;
        while !self.over.load(Ordering::SeqCst) {
            number += 1;
            let url = format!("{}/", self.url.read().unwrap_or_else(PoisonError::into_inner).clone());
            match http::client().post(url).json(&body(&format!("s{sender}-{}", number / 5))).send().await {
                Ok(answer) if answer.status().as_u16() == 200 => {
                    let said: Value = serde_json::from_str(&answer.text().await.unwrap_or_default()).unwrap_or_default();
                    let delivery = said["delivery"].as_str().map(str::to_owned);
                    self.taken.lock().unwrap_or_else(PoisonError::into_inner).extend(delivery);
                }
                Ok(answer) if answer.status().as_u16() != 503 => {
                    self.odd.lock().unwrap_or_else(PoisonError::into_inner).push(answer.status().to_string());
                }
                _ => drop(self.refused.fetch_add(1, Ordering::SeqCst)),
            }
            tokio::time::sleep(PACE).await;
        }
    }
}

/// A webhook body with one alert that fires.
pub fn body(service: &str) -> Value {
    json!({
        "version": "4", "receiver": "reynard", "status": "firing", "groupKey": format!("{{}}:{{service=\"{service}\"}}"),
        "alerts": [{
            "status": "firing", "labels": {"alertname": "ServiceDown", "service": service}, "annotations": {},
            "startsAt": "2026-09-21T14:00:00Z", "endsAt": "0001-01-01T00:00:00Z",
        }],
    })
}
