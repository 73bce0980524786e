//! Judges every commit as it is made: the log has no gap and adds up to the state, nothing is left that nobody will ever move again,
//! limits hold in every window, nothing is early, and nothing is late without an excuse. Believes the log and the rules, nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use reynard::domain::autonomy::Record as Earned;
use reynard::domain::decide::command::{Effect, Wake};
use reynard::domain::id::{IncidentId, RunId};
use reynard::domain::incident::{Incident, NotificationStatus, Status};
use reynard::domain::playbook::RECOVERED;
use reynard::domain::run::{Run, StepStatus};
use reynard::domain::settings::Rulebook;
use reynard::domain::time::{Span, Timestamp};
use reynard::domain::timeline::{Actor, Entry, Event, StepRef};
use reynard::engine::store::{Batch, Job};

use crate::brakes::{Beginning, Brakes};
use crate::disk::Tables;
use crate::record::Record;
use crate::trust::Trust;
use crate::weather::Weather;

/// What is done within this time of its instant is punctual.
const PUNCTUAL: Span = Span(2_000);
/// A story that commits more than this never comes to rest.
const MOST_COMMITS: u32 = 30_000;

pub struct Oracle {
    record: Arc<Record>,
    weather: Arc<Weather>,
    rulebook: Arc<Rulebook>,
    folded: BTreeMap<IncidentId, Incident>,
    /// When the plan in force last became another.
    replanned: BTreeMap<IncidentId, Timestamp>,
    /// Those of whose plan in force no rung was told yet: a ladder that begins with it begins anew, though in the same millisecond.
    untold: BTreeSet<IncidentId>,
    /// The last rung that was told: of which ladder, and when.
    rungs: BTreeMap<IncidentId, (Timestamp, Timestamp)>,
    begun: BTreeSet<(RunId, String, bool, u32)>,
    brakes: Brakes,
    trust: Trust,
    /// What somebody had run again last: of which incident, when, and in which words.
    again: Option<(IncidentId, Timestamp, String)>,
    last_at: Timestamp,
    commits: u32,
}

impl Oracle {
    pub fn new(record: Arc<Record>, weather: Arc<Weather>, rulebook: Arc<Rulebook>, earned: &BTreeMap<String, Earned>) -> Self {
        let (folded, replanned, untold, rungs, begun, again, last_at, commits) = Default::default();
        let brakes = Brakes::new(record.clone(), rulebook.clone());
        let trust = Trust::new(record.clone(), rulebook.clone(), earned);
        Self { record, weather, rulebook, folded, replanned, untold, rungs, begun, brakes, trust, again, last_at, commits }
    }

    /// A real database would take a gap; nobody may make one.
    pub fn before(&mut self, tables: &Tables, batch: &Batch) {
        self.commits += 1;
        self.record.demand(self.commits < MOST_COMMITS, || "it never comes to rest".to_owned());
        let next = tables.timeline.len() as i64 + 1;
        self.record.demand(batch.entries.is_empty() || batch.first_position == next, || "the log has a gap".to_owned());
        self.judge_hold(tables, batch);
    }

    /// What was held before this commit and still is after it begins nothing that changes things.
    fn judge_hold(&self, tables: &Tables, batch: &Batch) {
        let still_held = !tables.holds.are_none() && batch.holds.as_ref().is_none_or(|holds| !holds.are_none());
        for (_, entry) in batch.entries.iter().filter(|_| still_held) {
            let begins = matches!(&entry.event, Event::StepStarted { at, destructive: true, .. } if !at.undo);
            self.record.demand(!begins, || "a destructive step began though automation is held".to_owned());
        }
    }

    pub fn after(&mut self, tables: &Tables, batch: &Batch) {
        for (id, entry) in &batch.entries {
            self.judge(*id, entry);
        }
        let touched: BTreeSet<IncidentId> =
            batch.entries.iter().map(|(id, _)| *id).chain(batch.jobs.iter().map(|job| job.incident)).collect();
        for id in touched {
            let Some((_, stored)) = tables.incidents.get(&id) else {
                self.record.fault(format!("{id} has a log and no state"));
                continue;
            };
            let folded = self.folded.entry(id).or_insert_with(|| Incident::blank(id));
            folded.heard_at = stored.heard_at;
            // The alerts have rows of their own, and the chain is the writer's.
            let told = Incident { alerts: BTreeMap::new(), chain: stored.chain, ..folded.clone() };
            self.record.demand(told == *stored, || format!("#{}: the log does not add up to the state", stored.number));
            let jobs = tables.jobs_of(id).collect();
            Whole { record: &self.record, rulebook: &self.rulebook, jobs, state: stored }.judge();
        }
        self.judge_turns(tables);
    }

    fn judge(&mut self, id: IncidentId, entry: &Entry) {
        let before = self.folded.remove(&id).unwrap_or_else(|| Incident::blank(id));
        let number = before.number;
        self.record.demand(entry.seq == before.seq + 1, || format!("#{number}: {} follows {}", entry.seq, before.seq));
        self.record.demand(entry.at >= self.last_at, || format!("#{number}: time ran backwards"));
        self.last_at = self.last_at.max(entry.at);
        match &entry.event {
            Event::Escalated { started_at: Some(start), .. } => self.judge_rung(&before, *start, entry.at),
            Event::PriorityChanged { .. } | Event::Classified { .. } => {
                self.replanned.insert(id, entry.at);
                self.untold.insert(id);
            }
            Event::StepStarted { at, .. } => {
                let first = self.begun.insert((at.run, at.step.clone(), at.undo, at.attempt));
                self.record.demand(first, || format!("#{number}: attempt {} of {} began twice", at.attempt, at.step));
                self.judge_beginning(&before, entry);
            }
            Event::Commented { text } if matches!(entry.actor, Actor::Person(_)) => self.again = Some((id, entry.at, text.clone())),
            _ => {}
        }
        self.judge_answer(&before, entry);
        self.brakes.hears(&before, &entry.event);
        self.trust.hears(&before, entry);
        let mut folded = before;
        folded.apply(entry);
        self.folded.insert(id, folded);
    }

    /// What an attempt answers counts while somebody waits for it, and never afterwards.
    fn judge_answer(&self, before: &Incident, entry: &Entry) {
        let of = |at: &StepRef| before.runs.get(&at.run).and_then(|run| run.steps.get(&at.step));
        if let Event::StepSucceeded { at, .. } = &entry.event
            && !at.undo
        {
            let awaited =
                of(at).is_some_and(|step| step.attempt == at.attempt && !step.status.is_over() && step.status != StepStatus::InDoubt);
            self.record.demand(awaited, || format!("#{}: attempt {} of {} was over and succeeded", before.number, at.attempt, at.step));
        }
        if let Event::StepAnsweredLate { at, .. } = &entry.event {
            let mut folded = before.clone();
            folded.apply(entry);
            folded.seq = before.seq;
            self.record.demand(folded == *before, || format!("#{}: a late answer of {} changes something", before.number, at.step));
        }
    }

    fn judge_beginning(&mut self, before: &Incident, entry: &Entry) {
        let Event::StepStarted { at, title, target, destructive: true, .. } = &entry.event else { return };
        let Some(run) = before.runs.get(&at.run).filter(|_| !at.undo) else { return };
        let words = format!("has \"{title}\" run again");
        let again = self.again.as_ref().filter(|(id, when, text)| *id == before.id && *when == entry.at && text.contains(&words));
        let by_person = again.is_some() && at.attempt > 1;
        let beginning = Beginning { incident: before, run, at, target: target.as_deref(), now: entry.at, by_person };
        self.brakes.judge(&beginning, &self.folded);
        self.trust.judge(&beginning);
    }

    /// A rung of the ladder is told when it is due: not before, not much later than can be excused, and not two at once.
    fn judge_rung(&mut self, before: &Incident, start: Timestamp, at: Timestamp) {
        let number = before.number;
        let Some(plan) = self.rulebook.policy(&before.escalation.policy).and_then(|policy| policy.plan(before.priority)) else {
            return self.record.fault(format!("#{number}: somebody was told by no plan"));
        };
        // A plan that has come into force begins a ladder anew only if its first rung is told at once; else the one that stands goes on.
        let anew = self.untold.remove(&before.id) && self.replanned.get(&before.id) == Some(&start) && at == start;
        let goes_on = before.escalation.started_at == Some(start) && !anew;
        let done = if goes_on { before.escalation.done } else { 0 };
        let Some(moment) = plan.moment(start, done) else {
            return self.record.fault(format!("#{number}: the ladder has no further rung"));
        };
        self.record.demand(at >= moment.due_at, || format!("#{number}: a rung was told before it was due"));
        let due = self.replanned.get(&before.id).map_or(moment.due_at, |replanned| moment.due_at.max(*replanned));
        let late = at.since(due).as_millis().saturating_sub(self.weather.excused(due, at).as_millis());
        self.record.demand(late <= PUNCTUAL.as_millis(), || format!("#{number}: a rung was told {late} ms late without an excuse"));
        let again = self.rungs.insert(before.id, (start, at)).is_some_and(|(ladder, told)| ladder == start && told == at && goes_on);
        self.record.demand(!again, || format!("#{number}: two rungs were told at once"));
    }

    /// Never more runs of a playbook under way than it allows.
    fn judge_turns(&self, tables: &Tables) {
        for playbook in self.rulebook.playbooks.values() {
            let Some(limit) = playbook.limits.concurrency else { continue };
            let begun = |run: &&Run| run.playbook == playbook.slug && !run.status.is_over() && !run.steps.is_empty();
            let under_way: usize = tables.incidents.values().map(|(_, state)| state.runs.values().filter(begun).count()).sum();
            self.record.demand(under_way <= limit as usize, || format!("{under_way} runs of {} are under way", playbook.slug));
        }
    }
}

/// Whether a run looks whether the trouble is over, or the last one that did saw that it is not: then quiet alone ends nothing.
pub fn is_looked_at(state: &Incident) -> bool {
    let since = state.reopened_at.unwrap_or(state.opened_at);
    let looked = state.runs_in_order().into_iter().rfind(|run| run.started_at >= since && run.steps.contains_key(RECOVERED));
    looked.is_some_and(|run| !run.status.is_over() || run.steps.get(RECOVERED).is_some_and(|step| step.failed))
}

/// One incident and what is stored to be done about it.
struct Whole<'a> {
    record: &'a Record,
    rulebook: &'a Rulebook,
    jobs: Vec<&'a Job>,
    state: &'a Incident,
}

impl Whole<'_> {
    /// Nothing is left that nobody and nothing will ever move again.
    fn judge(&self) {
        self.state.runs.values().for_each(|run| self.judge_run(run));
        for (id, notification) in &self.state.notifications {
            let sends = self.waits(|effect| matches!(effect, Effect::Send { notification, .. } if notification == id));
            let queued = usize::from(notification.status == NotificationStatus::Queued);
            self.demand(sends == queued, || format!("message {id} is {:?} and has {sends} jobs", notification.status));
        }
        if self.state.is_open() {
            self.judge_open();
        }
    }

    fn judge_open(&self) {
        let escalation = &self.state.escalation;
        let triggered = self.state.status == Status::Triggered;
        let rings = self.wakes(|wake| matches!(wake, Wake::Escalate { generation, .. } if *generation == escalation.generation));
        if triggered && escalation.next_at.is_some() {
            self.demand(rings > 0, || format!("the ladder is stuck: {escalation:?}"));
        }
        let plan = self.rulebook.policy(&escalation.policy).and_then(|policy| policy.plan(self.state.priority));
        if triggered && self.state.classification.is_some() && plan.is_some() {
            let somebody = escalation.started_at.is_some() || rings > 0;
            self.demand(somebody, || "nobody is told, and nobody will be".to_owned());
        }
        let watches = self.wakes(|wake| *wake == Wake::Stale { since: self.state.reopened_at });
        self.demand(watches == 1, || format!("{watches} watch over silence"));
        if let (Some(since), 0) = (self.state.quiet_since, self.state.truncated) {
            let settles = self.wakes(|wake| *wake == Wake::Settle { since }) > 0;
            self.demand(settles || is_looked_at(self.state), || "it never settles".to_owned());
        }
    }

    fn judge_run(&self, run: &Run) {
        let asked = self.waits(|effect| matches!(effect, Effect::Perform { attempt } if attempt.run == run.id && !attempt.undo));
        let timed = self.wakes(|wake| matches!(wake, Wake::Step { run: of, .. } | Wake::Approval { run: of, .. } if *of == run.id));
        let doubted = run.steps.values().any(|step| step.status == StepStatus::InDoubt);
        self.demand(run.status.is_over() || asked + timed > 0 || doubted, || format!("a run of {} is stuck", run.playbook));
        for (id, step) in &run.steps {
            let attempts = self.attempts(run.id, id, false, step.attempt);
            // A list is under way by its items.
            let running = usize::from(step.status == StepStatus::Running && step.items.is_empty());
            self.demand(attempts == running, || format!("step {id} is {} and has {attempts} jobs", step.status.word()));
            let taking_back = self.attempts(run.id, id, true, step.undo_attempt);
            let under_way = usize::from(step.undoing && step.retry_at.is_none());
            self.demand(taking_back == under_way, || format!("taking {id} back has {taking_back} jobs for {under_way}"));
            let later = self.wakes(|wake| matches!(wake, Wake::Undo { run: of, step } if *of == run.id && step == id));
            self.demand(!step.undoing || taking_back + later > 0, || format!("taking {id} back is stuck"));
        }
    }

    fn demand(&self, holds: bool, otherwise: impl FnOnce() -> String) {
        self.record.demand(holds, || format!("#{}: {}", self.state.number, otherwise()));
    }

    fn waits(&self, holds: impl Fn(&Effect) -> bool) -> usize {
        self.jobs.iter().filter(|job| holds(&job.effect)).count()
    }

    fn wakes(&self, holds: impl Fn(&Wake) -> bool) -> usize {
        self.waits(|effect| matches!(effect, Effect::Wake { wake } if holds(wake)))
    }

    fn attempts(&self, run: RunId, step: &str, undo: bool, number: u32) -> usize {
        self.waits(|effect| match effect {
            Effect::Perform { attempt } => (attempt.run, attempt.step.as_str(), attempt.undo, attempt.attempt) == (run, step, undo, number),
            _ => false,
        })
    }
}
