//! What is not done, or not without a yes, judged from the log alone: shadow, approvals with their quorum, and autonomy that is earned
//! and lost. Knows neither limits nor what is stored of a playbook's record, but what it was before the story.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use reynard::domain::autonomy::Record as Earned;
use reynard::domain::incident::Incident;
use reynard::domain::playbook::{Otherwise, Playbook};
use reynard::domain::run::{Request, Run, StepStatus};
use reynard::domain::settings::{Automation, Rulebook};
use reynard::domain::time::Timestamp;
use reynard::domain::timeline::{Actor, Entry, Event, StepRef};

use crate::brakes::Beginning;
use crate::grip::same_name;
use crate::record::Record;

/// Who is said to have approved what nobody answered and is done all the same.
pub const BY_ITSELF: &str = "the playbook itself";

pub struct Trust {
    record: Arc<Record>,
    rulebook: Arc<Rulebook>,
    /// By playbook: verified successes since it last had to ask again, and failures since the last of those.
    records: BTreeMap<String, (u32, u32)>,
}

impl Trust {
    pub fn new(record: Arc<Record>, rulebook: Arc<Rulebook>, earned: &BTreeMap<String, Earned>) -> Self {
        let records = earned.iter().map(|(slug, earned)| (slug.clone(), (earned.good, earned.bad))).collect();
        Self { record, rulebook, records }
    }

    /// A fact of an incident as it was before it.
    pub fn hears(&mut self, before: &Incident, entry: &Entry) {
        match &entry.event {
            Event::RunSucceeded { run, verified: true, .. } => {
                let Some(run) = before.runs.get(run).filter(|run| has_done(run)) else { return };
                let (good, bad) = self.records.entry(run.playbook.clone()).or_default();
                (*good, *bad) = (*good + 1, 0);
            }
            Event::RunFailed { run, .. } => {
                let Some(run) = before.runs.get(run).filter(|run| has_tried(run)) else { return };
                let back_after = self.book(run).and_then(|book| book.autonomy).map(|autonomy| autonomy.back_after);
                let (good, bad) = self.records.entry(run.playbook.clone()).or_default();
                *bad += 1;
                if back_after.is_some_and(|most| *bad >= most) {
                    (*good, *bad) = (0, 0);
                }
            }
            Event::ApprovalRequested { at, why: Some(_), .. } => {
                let Some(book) = before.runs.get(&at.run).and_then(|run| self.book(run)) else { return };
                let earned = book.autonomy.is_none_or(|autonomy| self.good(book) >= autonomy.ask_until);
                self.record.demand(!earned, || format!("#{}: {} asks though it has earned its freedom", before.number, book.slug));
            }
            Event::Approved { at, by, missing, .. } => self.judge_yes(before, entry, (at, by, *missing)),
            _ => {}
        }
    }

    /// Verified successes since the playbook last had to ask again.
    fn good(&self, book: &Playbook) -> u32 {
        self.records.get(&book.slug).map_or(0, |(good, _)| *good)
    }

    fn book(&self, run: &Run) -> Option<&Arc<Playbook>> {
        self.rulebook.revisions.get(&run.revision)
    }

    /// A yes is somebody's who may give it, who has not given it before and did not ask for the run.
    fn judge_yes(&self, before: &Incident, entry: &Entry, (at, by, missing): (&StepRef, &str, u32)) {
        let number = before.number;
        let Some((run, request)) = request_of(before, at) else {
            return self.record.fault(format!("#{number}: {by} approved {}, which asked nothing", at.step));
        };
        if entry.actor == Actor::engine() {
            let late = entry.at >= request.expires_at && request.otherwise == Otherwise::Continue;
            return self.record.demand(late && by == BY_ITSELF, || format!("#{number}: {} was approved by nobody", at.step));
        }
        let again = request.yes.iter().any(|who| same_name(who) == same_name(by));
        self.record.demand(!again, || format!("#{number}: {by} counts twice for {}", at.step));
        let own = requester_of(before, run).is_some_and(|who| same_name(who) == same_name(by));
        self.record.demand(!own, || format!("#{number}: {by} approved {}, for which {by} had asked", at.step));
        let may = self.rulebook.directory.stands_for(&request.by, by, entry.at);
        self.record.demand(may, || format!("#{number}: {by} approved {}, which is for {:?}", at.step, request.by));
        let left = request.of.saturating_sub(request.yes.len() as u32 + 1);
        self.record.demand(missing == left, || format!("#{number}: {missing} are said to be missing for {}, not {left}", at.step));
    }

    pub fn judge(&self, beginning: &Beginning<'_>) {
        let Some(book) = self.book(beginning.run) else { return };
        let target = beginning.target.and_then(|name| self.rulebook.targets.get(name));
        let in_shadow = self.rulebook.automation == Automation::Shadow || book.shadow || target.is_some_and(|target| target.is_shadow());
        self.demand(beginning, !in_shadow, || "it lies in shadow".to_owned());
        if beginning.at.attempt > 1 {
            return;
        }
        let request = request_of(beginning.incident, beginning.at).map(|(_, request)| request);
        let asks = book.step(&beginning.at.step).is_some_and(|step| step.approval.is_some());
        self.demand(beginning, !asks || request.is_some(), || "nobody was asked".to_owned());
        let good = self.good(book);
        let free = book.autonomy.is_none_or(|autonomy| good >= autonomy.ask_until);
        self.demand(beginning, free || request.is_some(), || format!("{} has only {good} verified successes", book.slug));
        if let Some(request) = request {
            self.demand(beginning, is_approved(request, beginning.now), || format!("only {:?} approved it", request.yes));
        }
    }

    fn demand(&self, beginning: &Beginning<'_>, holds: bool, otherwise: impl FnOnce() -> String) {
        let (number, at) = (beginning.incident.number, beginning.at);
        self.record.demand(holds, || format!("#{number}: attempt {} of {} began though {}", at.attempt, at.step, otherwise()));
    }
}

fn request_of<'a>(incident: &'a Incident, at: &StepRef) -> Option<(&'a Run, &'a Request)> {
    let run = incident.runs.get(&at.run)?;
    Some((run, run.steps.get(&at.step)?.approval.as_ref()?))
}

fn requester_of<'a>(incident: &'a Incident, run: &Run) -> Option<&'a str> {
    incident.runs.get(&incident.root_of(run))?.requested_by.as_deref()
}

/// As many different people as the step demands, or nobody in time where that is as good.
fn is_approved(request: &Request, now: Timestamp) -> bool {
    let people: BTreeSet<String> = request.yes.iter().filter(|who| *who != BY_ITSELF).map(|who| same_name(who)).collect();
    let expired = request.otherwise == Otherwise::Continue && now >= request.expires_at;
    request.approved_by.is_some() && (people.len() >= request.of as usize || expired)
}

fn has_done(run: &Run) -> bool {
    run.steps.values().any(|step| step.destructive && matches!(step.status, StepStatus::Succeeded | StepStatus::Undone))
}

fn has_tried(run: &Run) -> bool {
    run.steps.values().any(|step| step.destructive && step.attempt > 0)
}
