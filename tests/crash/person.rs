//! Somebody who answers for every step in doubt, so that what waits for its target goes on and more is sent for a kill to meet.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use crate::database::Database;
use crate::server::client;

const LOOKS_EVERY: Duration = Duration::from_millis(100);

/// Looks until it is told that it is over. A server that is away or does not know the step yet is asked again.
pub async fn answer(database: Arc<Database>, url: String, over: Arc<AtomicBool>) {
    let mut answered = BTreeSet::new();
    while !over.load(Ordering::SeqCst) {
        let asked = "select event, count(*) from timeline where kind = 'step_in_doubt' group by event";
        for (event, _) in database.counts(asked.to_owned()).await {
            if answered.contains(&event) {
                continue;
            }
            let told: Value = serde_json::from_str(&event).expect("an entry's event is JSON");
            let (run, step) = (told["at"]["run"].as_str().expect("a run"), told["at"]["step"].as_str().expect("a step"));
            let address = format!("{url}/api/v1/runs/{run}/steps/{step}/settle");
            let heard = client().post(address).json(&json!({"outcome": "succeeded", "by": "ana"})).send().await;
            // Not in doubt any more: an answer that a kill kept from us, or the incident is over.
            if heard.is_ok_and(|answer| answer.status().is_success() || matches!(answer.status().as_u16(), 409 | 422)) {
                answered.insert(event);
            }
        }
        tokio::time::sleep(LOOKS_EVERY).await;
    }
}
