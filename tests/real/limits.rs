//! Limits, seen by the target: whatever fires, and also when the process is killed in the middle of it, no window has more calls than the
//! settings admit; who is held back says the count and when there is room, and level 1 is told.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::parts::alert::{fire_together, fires};
use crate::parts::house::{is_told, settings, was_told};
use crate::parts::recorder::Recorder;
use crate::parts::reynard::{Reynard, Setup};
use crate::parts::target::{Target, most_within};
use crate::parts::wait::{seconds, wait_until};
use crate::real;

const COLOURS: [&str; 3] = ["red", "blue", "green"];
const VERBS: [&str; 2] = ["restart", "drain"];
/// The windows below are six seconds long, and a new life has begun long before they are over; a call may take a second to arrive.
const WINDOW: Duration = Duration::from_secs(5);

/// Two targets of each service.
fn machines() -> Vec<(String, &'static str)> {
    COLOURS.iter().flat_map(|colour| ["a", "b"].map(|one| (format!("{colour}-{one}"), *colour))).collect()
}

fn lines(target: &Target, machines: &[(String, &str)]) -> String {
    machines.iter().map(|(name, service)| target.line(name, service)).collect()
}

/// One for each verb and machine; the alert has the name of both.
fn playbooks(machines: &[(String, &str)], verbs: &[&str]) -> Vec<(String, String)> {
    let one = |machine: &str, verb: &str| {
        let text = format!(
            "title: {verb} {machine}
on: {{ match: ['alertname=\"{verb}-{machine}\"'] }}
steps:
  - {{ id: act, title: {verb} it, action: http.request, target: {machine}, timeout: 1m, with: {{ method: POST, path: /{verb} }} }}
"
        );
        (format!("{verb}_{}", machine.replace('-', "_")), text)
    };
    machines.iter().flat_map(|(machine, _)| verbs.iter().map(|verb| one(machine, verb)).collect::<Vec<_>>()).collect()
}

fn borrowed(playbooks: &[(String, String)]) -> Vec<(&str, &str)> {
    playbooks.iter().map(|(slug, text)| (slug.as_str(), text.as_str())).collect()
}

#[tokio::test]
async fn a_storm_meets_its_limits_also_when_the_process_is_killed_in_the_middle() -> Result<()> {
    if !real("a_storm_meets_its_limits") {
        return Ok(());
    }
    let (target, pager, machines) = (Target::start().await?, Recorder::start().await?, machines());
    let limits = "limits: { destructive: 5 per 6s, per_service: 2 per 6s, per_target: 1 per 6s, correlated: 100% }\n";
    let (settings, playbooks) = (settings(&pager, &lines(&target, &machines), limits), playbooks(&machines, &VERBS));
    let mut reynard = Reynard::start(Setup { settings: &settings, playbooks: &borrowed(&playbooks), environment: &[] }).await?;

    let storm: Vec<(String, &str)> =
        machines.iter().flat_map(|(machine, service)| VERBS.map(|verb| (format!("{verb}-{machine}"), *service))).collect();
    for (alert, service) in &storm {
        reynard.hears(&fires(alert, service)).await?;
    }
    wait_until("the first calls", seconds(10), async || Ok((target.calls().len() >= 5).then_some(()))).await?;
    reynard.dies();
    reynard.starts_again().await?;
    let held = entry_of_a_limit(&reynard).await?;
    wait_until("every run to be over", seconds(40), async || all_are_over(&reynard, storm.len()).await).await?;

    let calls = target.calls();
    assert_eq!(calls.len(), storm.len(), "each was done, once: {calls:#?}");
    ensure!(most_within(&calls, WINDOW) <= 5, "{} at once in all", most_within(&calls, WINDOW));
    for (machine, service) in &machines {
        let (one, all) = (target.calls_of(&format!("/{machine}/")), target.calls_of(&format!("/{service}-")));
        assert_eq!(most_within(&one, WINDOW), 1, "{machine}: {one:#?}");
        ensure!(most_within(&all, WINDOW) <= 2, "{service}: {all:#?}");
    }
    ensure!(held["data"]["count"].as_u64().is_some_and(|count| count > 0), "how many there were: {held:#}");
    ensure!(held["data"]["free_at"].as_str() > held["at"].as_str(), "when there is room again: {held:#}");
    ensure!(held["sentence"].as_str().is_some_and(|said| said.contains("used); free again at ")), "{held:#}");
    ensure!(was_told(&pager, "ana", "is held back by the limit "), "level 1 is told");
    Ok(())
}

/// An entry of a step that was held back by a rate.
async fn entry_of_a_limit(reynard: &Reynard) -> Result<Value> {
    wait_until("a limit to hold something back", seconds(10), async || {
        for incident in incidents(reynard).await? {
            let entries = reynard.timeline(incident["id"].as_str().context("an id")?).await?;
            let hit =
                |entry: &&Value| entry["kind"] == "limit_hit" && entry["sentence"].as_str().is_some_and(|said| said.contains(" used)"));
            if let Some(entry) = entries.iter().find(hit) {
                return Ok(Some(entry.clone()));
            }
        }
        Ok(None)
    })
    .await
}

/// Whatever the kill cut off is settled on the way, as a person would who sees that it ran.
async fn all_are_over(reynard: &Reynard, all: usize) -> Result<Option<()>> {
    let incidents = incidents(reynard).await?;
    let over = |incident: &&Value| incident["runs"][0]["status"] == "succeeded";
    for incident in incidents.iter().filter(|incident| !over(incident)) {
        if reynard.step(incident, "act").await?["status"] == "in_doubt" {
            settle(reynard, incident).await?;
        }
    }
    let done = incidents.iter().filter(over).count();
    ensure!(done == all, "{done} of {all} are over");
    Ok(Some(()))
}

async fn incidents(reynard: &Reynard) -> Result<Vec<Value>> {
    reynard.get("/api/v1/incidents?status=all&limit=100").await?["items"].as_array().cloned().context("a list")
}

async fn settle(reynard: &Reynard, incident: &Value) -> Result<()> {
    let run = incident["runs"][0]["id"].as_str().context("it has a run")?;
    let saw = json!({ "outcome": "succeeded", "note": "the target saw it", "by": "ana" });
    reynard.asks(&format!("/api/v1/runs/{run}/steps/act/settle"), &saw).await.map(drop)
}

/// Four machines of one service, whose alerts carry the machine's name.
fn shops() -> Vec<(String, &'static str)> {
    ["one", "two", "three", "four"].map(|name| (name.to_owned(), "shop")).to_vec()
}

#[tokio::test]
async fn a_share_of_a_service_is_worked_on_at_once_also_after_a_kill() -> Result<()> {
    if !real("a_share_of_a_service_is_worked_on_at_once") {
        return Ok(());
    }
    let (target, pager, machines) = (Target::start().await?, Recorder::start().await?, shops());
    let (settings, playbooks) =
        (settings(&pager, &lines(&target, &machines), "limits: { share: 50%, correlated: 100% }\n"), playbooks(&machines, &["restart"]));
    let mut reynard = Reynard::start(Setup { settings: &settings, playbooks: &borrowed(&playbooks), environment: &[] }).await?;
    target.holds();
    let names: Vec<String> = machines.iter().map(|(machine, _)| format!("restart-{machine}")).collect();
    reynard.hears(&fire_together(names.iter().map(|name| (name.as_str(), "shop")))).await?;
    target.is_called(2).await?;
    let words = "2 of the 4 targets of shop may be worked on at once (limit share: 50%)";
    is_told(&pager, "ana", words).await?;
    reynard.dies();
    target.lets_go();
    reynard.starts_again().await?;
    let mut cut_off = Vec::new();
    for incident in incidents(&reynard).await? {
        match target.calls_of(&format!("/{}/", machine_of(&incident))).is_empty() {
            true => drop(reynard.tells(&incident, words).await?),
            false => cut_off.push((reynard.tells(&incident, "is in doubt").await?, incident)),
        }
    }
    assert_eq!((target.calls().len(), cut_off.len()), (2, 2), "what was cut off is still at work");
    target.holds();
    for (calls, (_, incident)) in (3..).zip(&cut_off) {
        settle(&reynard, incident).await?;
        target.is_called(calls).await?;
    }
    assert_eq!(target.most_at_once("/"), 2);
    target.lets_go();
    Ok(())
}

fn machine_of(incident: &Value) -> String {
    incident["labels"]["alertname"].as_str().unwrap_or_default().trim_start_matches("restart-").to_owned()
}

#[tokio::test]
async fn many_machines_in_trouble_at_once_are_left_to_a_person() -> Result<()> {
    if !real("many_machines_in_trouble_at_once_are_left_to_a_person") {
        return Ok(());
    }
    let (target, pager, machines) = (Target::start().await?, Recorder::start().await?, shops());
    let playbooks: Vec<(String, String)> = playbooks(&machines, &["restart"])
        .into_iter()
        .map(|(slug, text)| (slug, text.replace("alertname=\"restart-", "alertname=\"")))
        .collect();
    let settings = settings(&pager, &lines(&target, &machines), "");
    let mut reynard = Reynard::start(Setup { settings: &settings, playbooks: &borrowed(&playbooks), environment: &[] }).await?;
    let all = || fire_together(machines.iter().map(|(machine, service)| (machine.as_str(), *service)));
    reynard.hears(&all()).await?;
    let words = "of the 4 targets of shop are in trouble at once";
    is_told(&pager, "ana", words).await?;
    let settled = async || {
        let runs: Vec<Value> = incidents(&reynard).await?.iter().map(|incident| incident["runs"][0]["status"].clone()).collect();
        ensure!(runs.len() == 4 && runs.iter().all(|status| status == "succeeded"), "{runs:?}");
        Ok(Some(()))
    };
    wait_until("all to be decided", seconds(15), settled).await?;
    let before = target.calls().len();
    ensure!(before <= 1, "one alone is never too many, two of four are: {:#?}", target.calls());

    reynard.dies();
    reynard.starts_again().await?;
    // One more alert about a machine that a person now has to look after.
    reynard.hears(&fires("four", "till")).await?;
    let left = reynard.incident_of("till", "left alone", |incident| incident["runs"][0]["status"] == "succeeded").await?;
    reynard.tells(&left, words).await?;
    assert_eq!(reynard.step(&left, "act").await?["status"], "skipped");
    assert_eq!(target.calls().len(), before);
    let id = left["id"].as_str().context("an id")?;
    reynard.asks(&format!("/api/v1/incidents/{id}/runs"), &json!({ "playbook": "restart_four", "by": "ana" })).await?;
    target.is_called(before + 1).await
}
