//! Waiting for something outside this process, never longer than a bound.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Looks until there is an answer. An error counts as "not yet": the peer may still be starting; the last one is told.
pub async fn wait_until<T>(what: &str, within: Duration, mut look: impl AsyncFnMut() -> Result<Option<T>>) -> Result<T> {
    let begun = Instant::now();
    let mut reason = String::from("it did not happen");
    loop {
        match look().await {
            Ok(Some(answer)) => return Ok(answer),
            Ok(None) => {}
            Err(error) => reason = format!("the last look said: {error:#}"),
        }
        if begun.elapsed() > within {
            bail!("waited {within:?} for {what}; {reason}");
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

pub fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}
