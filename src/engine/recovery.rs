//! What a start finds undone on disk: attempts that the last life left under way, and what came due meanwhile.
//! Looks only at jobs, of which there are as many as there is work, however long the history is.

use std::collections::BTreeMap;

use crate::domain::decide::command::{Command, Due, Effect};
use crate::domain::decide::recovery::{IN_TIME, Outage};
use crate::domain::id::IncidentId;
use crate::domain::time::Timestamp;
use crate::domain::timeline::Actor;
use crate::engine::store::{Job, Journal, Resumed, StoreError};
use crate::engine::work::Put;

const PAGE: u32 = 5_000;

/// The first commands of a life: each incident that missed something hears that Reynard is back, then each attempt that was cut
/// off is said to be. All of them are worked in one commit, so that a crash while starting says nothing twice.
pub async fn first_words(journal: &dyn Journal, resumed: &Resumed, now: Timestamp) -> Result<Vec<Put>, StoreError> {
    let down_for = now.since(resumed.last_commit_at);
    let mut missed: BTreeMap<IncidentId, Vec<Due>> = BTreeMap::new();
    let late = if down_for > IN_TIME { late(journal, now).await? } else { Vec::new() };
    for job in resumed.interrupted.iter().cloned().chain(late) {
        missed.entry(job.incident).or_default().push(Due { at: job.due_at, effect: job.effect });
    }
    let back = missed.into_iter().map(|(incident, missed)| put(incident, Command::Recover(Outage { down_for, missed }), None));
    let cut_off = resumed.interrupted.iter().filter_map(|job| match &job.effect {
        Effect::Perform { attempt } => Some(put(job.incident, Command::Interrupted(attempt.clone()), Some(job.id))),
        _ => None,
    });
    Ok(back.chain(cut_off).collect())
}

/// What was due too long ago. Whatever a life that ended a moment ago has left is only on its way.
async fn late(journal: &dyn Journal, now: Timestamp) -> Result<Vec<Job>, StoreError> {
    let mut found: Vec<Job> = Vec::new();
    loop {
        let after = found.last().map_or((Timestamp(i64::MIN), 0), |job| (job.due_at, job.id));
        let page = journal.jobs_next(after, now - IN_TIME, PAGE).await?;
        let full = page.len() == PAGE as usize;
        found.extend(page);
        if !full {
            return Ok(found);
        }
    }
}

fn put(incident: IncidentId, command: Command, settles: Option<i64>) -> Put {
    Put { incident, actor: Actor::engine(), command, settles, from_inbox: None, request: None, done: None }
}
