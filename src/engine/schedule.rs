//! Plans what starts by the clock: everything when an engine takes over, and what an edit has changed.
//! Planning twice is harmless, because an occurrence opens its incident once; nothing that was planned is ever taken back.

use crate::domain::decide::command::Command;
use crate::domain::planned::{self, Occurrence};
use crate::domain::settings::Rulebook;
use crate::domain::time::Timestamp;
use crate::domain::timeline::Actor;
use crate::engine::work::Put;

/// The next occurrence of every schedule. One that fell into the time when nobody was there has its own timer, which is due.
pub fn puts(rulebook: &Rulebook, now: Timestamp) -> Vec<Put> {
    planned::all(rulebook.playbooks.values().map(|playbook| &**playbook), now).into_iter().map(put).collect()
}

/// The next occurrence of every schedule that was not in force before.
pub fn changed(before: &Rulebook, after: &Rulebook, now: Timestamp) -> Vec<Put> {
    let known = |slug: &str| before.playbooks.get(slug).and_then(|playbook| playbook.trigger.schedule.clone());
    let new = after.playbooks.values().filter(|playbook| known(&playbook.slug) != playbook.trigger.schedule);
    planned::all(new.map(|playbook| &**playbook), now).into_iter().map(put).collect()
}

fn put(occurrence: Occurrence) -> Put {
    let incident = occurrence.incident();
    Put { incident, actor: Actor::engine(), command: Command::Plan(occurrence), settles: None, from_inbox: None, request: None, done: None }
}
