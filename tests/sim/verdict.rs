//! What must be true when a story is over, judged from the sides of the senders, the people and the world.

use std::collections::BTreeMap;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use reynard::domain::action::OnInterrupt;
use reynard::domain::decide::command::{Effect, Wake};
use reynard::domain::incident::{Incident, NotificationStatus};
use reynard::domain::playbook::{Step, Undo};
use reynard::domain::run::{Run, RunStatus, StepState, StepStatus};
use reynard::domain::time::{Span, Timestamp};
use reynard::domain::timeline::{Actor, Event};
use reynard::domain::watch::{LATE, Suspects, judge};
use reynard::engine::store::Job;

use crate::alertmanager::Alertmanager;
use crate::brakes::spared;
use crate::disk::Tables;
use crate::oracle::is_looked_at;
use crate::people::People;
use crate::plant::Bug;
use crate::stage::Stage;

pub fn speak(stage: &Stage, sender: &Alertmanager, people: &People) {
    let tables = stage.tables();
    let verdict = Verdict { stage, tables: &tables };
    verdict.no_promise_is_lost(sender);
    verdict.what_people_did_is_there_once(people);
    verdict.all_is_at_rest(stage.now());
    verdict.effects_are_counted();
    verdict.messages_are_counted();
    verdict.targets_were_spared();
    verdict.nothing_stays_in_force_unseen();
}

/// Every alert has ended and that was told: what is still open then, only a person has to end.
pub fn all_has_ended(stage: &Stage) {
    let tables = stage.tables();
    for (_, state) in tables.incidents.values().filter(|(_, state)| state.is_open()) {
        let number = state.number;
        stage.record.demand(state.counts.firing == 0, || format!("#{number} has alerts that fire though all have ended"));
        let settles = state.quiet_since.is_some() && state.truncated == 0 && !is_looked_at(state);
        stage.record.demand(!settles, || format!("#{number} is quiet and does not settle"));
    }
}

/// Where all goes well the self-watch finds nothing: what is slow, waits or is held is no fault.
pub fn the_watch_is_silent(stage: &Stage, suspects: &mut Suspects) {
    let now = stage.now();
    let due_before = if stage.planted == Some(Bug::WatchesTheFuture) { now + LATE } else { now - LATE };
    let (faults, found) = judge(&stage.tables().audit(due_before), &stage.settings.rulebook, suspects, now);
    *suspects = found;
    stage.record.demand(faults.is_empty(), || format!("the self-watch is not at peace: {faults:?}"));
}

/// Whether no run is open, no step is done or taken back, and no message on its way.
pub fn nothing_is_under_way(stage: &Stage) -> bool {
    let tables = stage.tables();
    let works = |job: &Job| match &job.effect {
        Effect::Perform { .. } | Effect::Send { .. } | Effect::Measure => true,
        Effect::Wake { wake } => matches!(wake, Wake::Undo { .. } | Wake::Step { .. }),
    };
    let open = |state: &Incident| state.is_open() || state.runs.values().any(|run| !run.status.is_over());
    !tables.jobs.values().any(works) && !tables.incidents.values().any(|(_, state)| open(state))
}

/// A process that ended in order, undisturbed, has put back what it had not begun: nobody has to ask what became of it.
pub fn nothing_is_held_that_was_not_begun(stage: &Stage) {
    let (tables, seen) = (stage.tables(), stage.seen());
    for job in tables.jobs.values().filter(|job| job.started) {
        let Effect::Perform { attempt } = &job.effect else { continue };
        let begun = seen.begun.contains(&(attempt.key(), attempt.attempt));
        stage
            .record
            .demand(begun, || format!("an orderly end left attempt {} of {} as if it had been begun", attempt.attempt, attempt.step));
    }
}

struct Verdict<'a> {
    stage: &'a Stage,
    tables: &'a Tables,
}

impl Verdict<'_> {
    fn demand(&self, holds: bool, otherwise: impl FnOnce() -> String) {
        self.stage.record.demand(holds, otherwise);
    }

    fn states(&self) -> impl Iterator<Item = &Incident> {
        self.tables.incidents.values().map(|(_, state)| state)
    }

    fn no_promise_is_lost(&self, sender: &Alertmanager) {
        for id in sender.kept.deliveries.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            let kept = self.tables.deliveries.iter().any(|row| row.delivery.id == *id);
            self.demand(kept, || format!("a delivery that was answered 2xx is lost: {id}"));
        }
        let worked = self.tables.worked_up_to == self.tables.deliveries.len() as i64;
        self.demand(worked, || format!("deliveries after {} are not worked", self.tables.worked_up_to));
        let mut heard: BTreeMap<(&str, &str), Timestamp> = BTreeMap::new();
        for (id, entry) in &self.tables.timeline {
            // What came after its own end is known by that.
            let (Event::AlertFired { alerts, .. } | Event::AlertResolved { alerts, .. }) = &entry.event else { continue };
            let Some((_, state)) = self.tables.incidents.get(id) else { continue };
            for alert in alerts {
                let last = heard.entry((&state.group_key, &alert.fingerprint)).or_default();
                *last = alert.starts_at.max(*last);
            }
        }
        for promise in sender.kept.promises.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            let last = heard.get(&(promise.group_key.as_str(), promise.fingerprint.as_str()));
            let told = last.is_some_and(|last| *last >= promise.starts_at);
            self.demand(told, || format!("an alert that was taken is on no log: {} since {}", promise.fingerprint, promise.starts_at));
        }
    }

    fn what_people_did_is_there_once(&self, people: &People) {
        let mut found: BTreeMap<&str, u32> = BTreeMap::new();
        for (_, entry) in &self.tables.timeline {
            if let (Event::Commented { text }, Actor::Person(_)) = (&entry.event, &entry.actor) {
                *found.entry(text).or_default() += 1;
            }
        }
        for (text, promised) in people.said.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            let times = found.get(text.as_str()).copied().unwrap_or(0);
            self.demand(times <= 1, || format!("\"{text}\" is there {times} times"));
            self.demand(times == 1 || !promised, || format!("\"{text}\" was answered and is not there"));
        }
    }

    fn all_is_at_rest(&self, now: Timestamp) {
        for state in self.states() {
            let number = state.number;
            self.demand(!state.is_open(), || format!("#{number} is still open"));
            let queued = state.notifications.values().any(|message| message.status == NotificationStatus::Queued);
            self.demand(!queued, || format!("#{number} has messages that were neither sent nor given up"));
            for run in state.runs.values() {
                self.demand(run.status.is_over(), || format!("#{number}: a run of {} does not end", run.playbook));
            }
        }
        for job in self.tables.jobs.values() {
            self.demand(job.due_at + Span::seconds(10) > now, || {
                format!("a job was due at {} and is not done: {:?}", job.due_at.0, job.effect)
            });
        }
    }

    /// A step that asks takes effect once, unless a person had it run again; so do those that look first or give up.
    fn effects_are_counted(&self) {
        let seen = self.stage.seen();
        for (key, times) in &seen.effects {
            let Some((state, run, step, _)) = self.step_of(key) else {
                self.stage.record.fault(format!("{key} took effect and is no step"));
                continue;
            };
            if step.on_interrupt == OnInterrupt::Retry {
                continue;
            }
            // A deed that arrived after another node had taken over could not be seen by a look before that; who asks is never wrong.
            let overtaken = if step.on_interrupt == OnInterrupt::Ask { 0 } else { seen.overtaken.get(key).copied().unwrap_or(0) };
            let words = format!("has \"{}\" run again", step.title);
            let asked = |entry: &Event| matches!(entry, Event::Commented { text } if text.contains(&words));
            let again = self.tables.timeline.iter().filter(|(id, entry)| *id == state.id && asked(&entry.event)).count();
            self.demand(*times as usize <= 1 + again + overtaken as usize, || {
                format!("#{}: {} of {} took effect {times} times", state.number, step.id, run.playbook)
            });
        }
    }

    /// Once more at most for each time that the work was taken up anew and for each time that the channel did not say that it took it.
    fn messages_are_counted(&self) {
        let seen = self.stage.seen();
        let ends = self.stage.turns.load(Ordering::SeqCst) - 1;
        for state in self.states() {
            let failed = |number: u32| {
                let mine = self.tables.timeline.iter().filter(|(id, _)| *id == state.id);
                mine.filter(|(_, entry)| matches!(entry.event, Event::NotificationFailed { notification, .. } if notification == number))
                    .count()
            };
            for (number, message) in &state.notifications {
                let key = format!("{}-{number}", state.id);
                let handed = seen.handed.get(&key).copied().unwrap_or(0);
                let sent = message.status == NotificationStatus::Sent;
                let most = failed(*number) as u32 + u32::from(sent) + ends;
                self.demand(handed <= most, || format!("#{}: message {number} was handed over {handed} times", state.number));
                self.demand(!sent || seen.taken.contains_key(&key), || format!("#{}: message {number} reached nobody", state.number));
            }
        }
    }

    /// As the targets saw it: in no window more than the rules allow.
    fn targets_were_spared(&self) {
        let (seen, rulebook) = (self.stage.seen(), &self.stage.settings.rulebook);
        for (at, spent) in seen.destructive.iter().enumerate() {
            self.demand(spared(&seen.destructive, at, rulebook), || {
                format!("{:?} was changed more often than the limits allow", spent.target)
            });
        }
    }

    /// Every mitigation that was to be taken back is, or the page shows that it stays.
    fn nothing_stays_in_force_unseen(&self) {
        for (place, keys) in &self.stage.seen().in_force {
            for key in keys {
                let Some((incident, run, step, state)) = self.step_of(key) else { continue };
                let shown = self.is_shown(incident, run, &step, state);
                self.demand(shown, || format!("#{}: {} stays in force ({place}): {state:?}", incident.number, step.id));
            }
        }
    }

    fn is_shown(&self, incident: &Incident, run: &Run, step: &Step, state: &StepState) -> bool {
        let by_person = run.status == RunStatus::Cancelled && run.reason.as_deref().is_some_and(|reason| reason.starts_with("by "));
        let to_be_taken_back = match step.undo {
            Undo::Never => false,
            Undo::OnFailure => run.status == RunStatus::Failed || by_person,
            Undo::OnResolve | Undo::After(_) => !incident.is_open(),
        };
        let told = state.undo_attempt > 0 && !state.undoing && state.status != StepStatus::Undone;
        !to_be_taken_back || told || matches!(state.status, StepStatus::InDoubt | StepStatus::Skipped)
    }

    fn step_of(&self, key: &str) -> Option<(&Incident, &Run, std::sync::Arc<Step>, &StepState)> {
        let deed = self.tables.deed(key)?;
        let playbook = self.stage.settings.rulebook.revisions.get(&deed.run.revision)?;
        Some((deed.incident, deed.run, playbook.step(&deed.path)?, deed.state))
    }
}
