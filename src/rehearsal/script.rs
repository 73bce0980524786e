//! A file of playbook tests: stories of what comes in, what targets answer and what people do, and what must then be on the timeline.
//! Knows no file; whoever reads one hands its values in.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::domain::settings::Rulebook;
use crate::domain::time::{Span, Timestamp};
use crate::domain::timeline::Actor;
use crate::engine::wire;
use crate::rehearsal::answer::{Written, step_of};
use crate::rehearsal::given::{Given, Lookup};
use crate::rehearsal::judge::{Expect, Fault, judge};
use crate::rehearsal::stage::Stage;

/// A file of them.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Script {
    /// Settings to test with: a path from the file, or the settings themselves.
    pub config: Option<Value>,
    /// Only these playbooks are there.
    #[serde(default)]
    pub playbooks: Vec<String>,
    pub tests: Vec<Story>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Story {
    pub name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
    pub given: Vec<Given>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub answers: BTreeMap<String, Value>,
    #[serde(rename = "for", skip_serializing_if = "Option::is_none")]
    pub lasts: Option<Span>,
    pub expect: Expect,
}

/// A Tuesday night in November.
const NIGHT: &str = "2026-11-24T03:12:00Z";

impl Story {
    /// Plays it and says what was not as expected; an error is a story that cannot be played, and where in it that shows.
    pub fn play(&self, rulebook: &Rulebook, lookup: Lookup<'_>) -> Result<Vec<Fault>, Fault> {
        if self.expect.is_empty() {
            return Err(Fault::new("/expect", "it expects nothing"));
        }
        let at = self.at.as_deref().unwrap_or(NIGHT);
        let begin = Timestamp::parse_rfc3339(at).ok_or_else(|| Fault::new("/at", format!("\"{at}\" is not an instant")))?;
        let mut answers = self.answers(rulebook)?;
        let mut stage = Stage::new(rulebook, &mut answers, begin);
        let mut refused = Vec::new();
        for (index, given) in self.in_order() {
            stage.pass_until(begin + given.at);
            let placed = |why| Fault::new(format!("/given/{index}"), why);
            refused.extend(give(given, &mut stage, begin, lookup).map_err(placed)?.map(placed));
        }
        if !stage.pass_until(begin + self.lasts.unwrap_or(Span::hours(1))) {
            return Err(Fault::new("", "it goes round in circles"));
        }
        Ok(refused.into_iter().chain(judge(&self.expect, &stage, begin)).collect())
    }

    fn in_order(&self) -> Vec<(usize, &Given)> {
        let mut given: Vec<(usize, &Given)> = self.given.iter().enumerate().collect();
        given.sort_by_key(|(_, given)| given.at);
        given
    }

    fn answers(&self, rulebook: &Rulebook) -> Result<Written, Fault> {
        let mut answers = Written::default();
        for (place, written) in &self.answers {
            let fault = |why: String| Fault::new(format!("/answers/{place}"), why);
            let mut steps = rulebook.playbooks.values().filter_map(|playbook| playbook.step(step_of(place))).peekable();
            if steps.peek().is_none() {
                return Err(fault(format!("no playbook here has a step \"{}\"", step_of(place))));
            }
            let asks = steps.any(|step| step.approval.is_some());
            answers.add(place, written).map_err(fault)?;
            if !asks && answers.judged().any(|step| step == step_of(place)) {
                return Err(fault(format!("step \"{}\" asks nobody for a yes", step_of(place))));
            }
        }
        Ok(answers)
    }
}

/// Some: what a person wanted was refused, which is not as the story has it.
fn give(given: &Given, stage: &mut Stage<'_>, begin: Timestamp, lookup: Lookup<'_>) -> Result<Option<String>, String> {
    if let Some(signals) = &given.signals {
        stage.signals.extend(signals.clone());
        return Ok(None);
    }
    if let Some(slug) = &given.occurs {
        let occurs = stage.occur_now(slug);
        stage.pass_until(stage.now());
        return if occurs { Ok(None) } else { Err(format!("there is no playbook \"{slug}\" with a schedule")) };
    }
    if let Some(does) = &given.does {
        let incident = stage.newest().ok_or("nobody can do anything: there is no incident yet")?;
        let (id, command) = (incident.id, given.command(incident)?);
        let by = given.by.clone().unwrap_or_else(|| "somebody".to_owned());
        return Ok(stage.put(id, Actor::Person(by), command).err().map(|no| format!("{does}: {no}")));
    }
    let body = given.delivery(begin, lookup)?;
    let parsed = wire::parse(body.to_string().as_bytes()).map_err(|error| format!("the alert cannot be read: {error}"))?;
    stage.hear(given.source.as_deref().unwrap_or("test"), parsed);
    // What is due in this very moment is done before anything else is given.
    stage.pass_until(stage.now());
    Ok(None)
}
