//! The settings that stories about automation share: Ana is on call, a lead comes after her, and one recorder stands for the pagers of both.

use anyhow::{Result, ensure};
use serde_json::Value;

use crate::parts::recorder::Recorder;
use crate::parts::wait::{seconds, wait_until};

/// `targets` are lines below `targets:`, `more` is whatever else the file says.
pub fn settings(pager: &Recorder, targets: &str, more: &str) -> String {
    format!(
        "incidents: {{ settle: 1s, reopen_within: 0s }}
people:
  ana: {{ notify: [ {{ channel: pager }} ] }}
  lead: {{ notify: [ {{ channel: pager }} ] }}
on_call: {{ schedules: {{ primary: {{ time_zone: UTC, rotations: [ {{ people: [ana], handoff: '0 9 * * MON' }} ] }} }} }}
channels: {{ pager: {{ kind: webhook, url: 'http://{}/' }} }}
targets:
{targets}{more}",
        pager.address
    )
}

/// Waits until this person was sent this.
pub async fn is_told(pager: &Recorder, who: &str, words: &str) -> Result<()> {
    let told = async || {
        ensure!(was_told(pager, who, words), "they were told {:#?}", texts(pager));
        Ok(Some(()))
    };
    wait_until(&format!("{who} to be told {words:?}"), seconds(20), told).await
}

pub fn was_told(pager: &Recorder, who: &str, words: &str) -> bool {
    pager.bodies().iter().any(|body| body["person"] == who && text(body).contains(words))
}

fn texts(pager: &Recorder) -> Vec<String> {
    pager.bodies().iter().map(|body| format!("{}: {}", body["person"], text(body))).collect()
}

/// As a person reads it: lines may be broken anywhere.
fn text(body: &Value) -> String {
    let words = [&body["subject"], &body["text"]].map(|part| part.as_str().unwrap_or_default());
    words.concat().split_whitespace().collect::<Vec<_>>().join(" ")
}
