//! Whatever comes in whatever order: no run is stuck, no message is forgotten, and nothing stays in force in the end.
//! The core alone, with a list for a queue; chance says what comes next.

use std::sync::Arc;

use proptest::prelude::*;
use reynard::action::catalog;
use reynard::config::files::{Files, TextFile};
use reynard::config::load;
use reynard::config::secrets::NoSecrets;
use reynard::domain::decide::command::{
    AttemptRef, Command, Effect, Failure, Observation, ObservedAlert, Performed, Told, ToldOutcome, Wake,
};
use reynard::domain::decide::turn::{World, decide};
use reynard::domain::id::{IncidentId, RunId};
use reynard::domain::incident::{Incident, NotificationStatus, Status};
use reynard::domain::limits::Ledger;
use reynard::domain::playbook::Undo;
use reynard::domain::priority::Priority;
use reynard::domain::run::{StepState, StepStatus};
use reynard::domain::settings::Rulebook;
use reynard::domain::time::{Span, Timestamp};
use reynard::domain::timeline::{Actor, Entry, Outcome};
use serde_json::json;

use crate::app::{PEOPLE, START};

const PROTECT: &str = "
title: Protect
on: { type: service_down, priority: [P1, P2] }
limits: { per_target: 2 per 10m }
steps:
  - { id: protect, action: postgres.read_only, target: orders-db, undo: on_resolve, retry: { attempts: 2, backoff: 10s } }
  - { id: pause, wait: 1m }
  - { id: briefly, action: postgres.read_only, target: orders-db, undo: after 5m, on_failure: continue }
  - { id: restart, action: http.request, target: orders-admin, with: { method: POST, path: /restart }, on_failure: continue }
  - { id: tell, action: notify, with: { to: [bo], text: 'protected' } }
";

const LOOK: &str = "
title: Look
on: { type: service_down }
limits: { concurrency: 1 }
steps:
  - { id: careful, action: postgres.read_only, target: orders-db, undo: on_failure, on_interrupt: fail }
  - { id: look, action: http.check, target: orders-admin, with: { path: /health }, retry: { attempts: 3, backoff: 10s } }
";

fn rulebook() -> Rulebook {
    let settings = PEOPLE.replace("bo: { email: bo@example.com, notify: [ { channel: email } ] }", LATER);
    let playbook = |slug: &str, text: &str| TextFile::new(format!("playbooks/{slug}.yaml"), text);
    let files = Files {
        settings: Some(TextFile::new("reynard.yaml", settings)),
        playbooks: vec![playbook("protect", PROTECT), playbook("look", LOOK)],
    };
    let loaded = load::load(&files, &catalog::specs(), &NoSecrets, None);
    assert!(!loaded.diagnostics.has_errors(), "{}", loaded.diagnostics.to_text(false));
    loaded.settings.expect("no errors").rulebook
}

const LATER: &str = "bo: { email: bo@example.com, notify: [ { channel: email }, { channel: email, after: 5m } ] }";

/// One incident, what is asked of the world, and what was said.
struct Model {
    rulebook: Arc<Rulebook>,
    state: Incident,
    ledger: Ledger,
    now: Timestamp,
    jobs: Vec<(Timestamp, Effect)>,
    log: Vec<Entry>,
}

impl Model {
    fn new(rulebook: Arc<Rulebook>) -> Self {
        let state = Incident::blank(IncidentId(uuid::Uuid::from_u128(1)));
        Self { rulebook, state, ledger: Ledger::default(), now: START, jobs: Vec::new(), log: Vec::new() }
    }

    fn put(&mut self, actor: Actor, command: Command) {
        let before = self.state.clone();
        let world = World { rulebook: &self.rulebook, ledger: &mut self.ledger, now: self.now, next_number: 1 };
        match decide(&mut self.state, actor, command, world) {
            Ok(decision) => {
                self.jobs.extend(decision.effects.into_iter().map(|due| (due.at, due.effect)));
                self.log.extend(decision.entries);
            }
            Err(_) => assert_eq!(self.state, before, "a refusal changes nothing"),
        }
    }

    fn person(&mut self, command: Command) {
        self.put(Actor::Person("ana".to_owned()), command);
    }

    fn observe(&mut self, which: u8, firing: bool) {
        let labels = [("alertname", "ServiceDown"), ("service", "orders"), ("severity", "critical")];
        let alert = ObservedAlert {
            fingerprint: format!("{}", which % 3),
            firing,
            starts_at: self.now,
            ends_at: (!firing).then_some(self.now),
            labels: labels.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            ..ObservedAlert::default()
        };
        let observation = Observation { source: "am".to_owned(), alerts: vec![alert], ..Observation::default() };
        self.put(Actor::Source("am".to_owned()), Command::Observe(observation.into()));
    }

    /// Does what waits at `index`, as the world answers; time passes until it is due.
    fn settle_job(&mut self, index: usize, answer: u8) {
        let (at, effect) = self.jobs.swap_remove(index);
        self.now = self.now.max(at);
        let command = match effect {
            Effect::Perform { attempt } if answer % 8 == 7 => Command::Interrupted(attempt),
            Effect::Perform { attempt } => Command::Performed(performed(attempt, answer)),
            Effect::Send { notification, attempt } => {
                let outcome = match answer % 4 {
                    0 => ToldOutcome::Again { reason: "busy".to_owned(), after: None },
                    1 => ToldOutcome::Never("no".to_owned()),
                    _ => ToldOutcome::Sent("ok".to_owned()),
                };
                Command::Told(Told { notification, attempt, outcome })
            }
            Effect::Measure => Command::Measured { signals: Default::default(), warnings: Vec::new() },
            Effect::Wake { wake } => Command::Wake(wake),
        };
        self.put(Actor::engine(), command);
    }

    /// A job that is due, or else the next one.
    fn next_job(&self, chance: u8) -> Option<usize> {
        let due: Vec<usize> = (0..self.jobs.len()).filter(|at| self.jobs[*at].0 <= self.now).collect();
        if due.is_empty() { (0..self.jobs.len()).min_by_key(|at| self.jobs[*at].0) } else { Some(due[chance as usize % due.len()]) }
    }

    fn step(&mut self, what: u8, chance: u8) {
        // No two things happen at the very same instant.
        self.now = self.now + Span(1);
        let run = self.state.runs_in_order().get(chance as usize % self.state.runs.len().max(1)).map(|run| run.id);
        let step = run.and_then(|run| self.state.runs[&run].current.clone()).unwrap_or_default();
        match (what % 24, run) {
            (0..=2, _) => self.observe(chance, true),
            (3..=4, _) => self.observe(chance, false),
            (5, _) => self.now = self.now + Span::seconds(u64::from(chance)),
            (_, _) if self.state.seq == 0 => {}
            (6, _) => self.person(Command::Acknowledge { note: String::new() }),
            (7, _) => self.person(Command::Unacknowledge),
            (8, _) => self.person(Command::Resolve { note: String::new() }),
            (9, _) => self.person(Command::Reopen { note: String::new() }),
            (10, _) => self.person(Command::Snooze { span: Span::seconds(1 + u64::from(chance)) }),
            (11, _) => {
                let priority = [Priority::P1, Priority::P2, Priority::P3, Priority::P4][chance as usize % 4];
                self.person(Command::SetPriority { priority, note: String::new() });
            }
            (12, _) => self.person(Command::StartRun { playbook: ["look", "protect"][chance as usize % 2].to_owned() }),
            (13, Some(run)) => self.person(Command::CancelRun { run, note: String::new() }),
            (14, Some(run)) => {
                let outcome = if chance.is_multiple_of(2) { Outcome::Succeeded } else { Outcome::Failed };
                self.person(Command::SettleStep { run, step, outcome, note: String::new() });
            }
            (15, Some(run)) => self.person(Command::RetryStep { run, step, note: String::new() }),
            (16, Some(run)) => self.person(Command::SkipStep { run, step, note: String::new() }),
            _ => {
                if let Some(index) = self.next_job(chance) {
                    self.settle_job(index, chance);
                }
            }
        }
        self.assert_whole();
    }

    fn waits(&self, holds: impl Fn(&Effect) -> bool) -> usize {
        self.jobs.iter().filter(|(_, effect)| holds(effect)).count()
    }

    fn wakes(&self, holds: impl Fn(&Wake) -> bool) -> usize {
        self.waits(|effect| matches!(effect, Effect::Wake { wake } if holds(wake)))
    }

    fn attempts(&self, run: RunId, step: &str, undo: bool, number: u32) -> usize {
        self.waits(|effect| matches!(effect, Effect::Perform { attempt } if attempt.run == run && attempt.step == step && attempt.undo == undo && attempt.attempt == number))
    }

    /// Nothing is left that nobody and nothing will ever move again.
    fn assert_whole(&self) {
        for run in self.state.runs.values() {
            let asked = self.waits(|effect| matches!(effect, Effect::Perform { attempt } if attempt.run == run.id && !attempt.undo));
            let timed = self.wakes(|wake| matches!(wake, Wake::Step { run: of, .. } if *of == run.id));
            let doubted = run.steps.values().any(|step| step.status == StepStatus::InDoubt);
            assert!(run.status.is_over() || asked + timed > 0 || doubted, "{run:#?} is stuck");
            for (id, step) in &run.steps {
                let attempts = self.attempts(run.id, id, false, step.attempt);
                assert_eq!(attempts, usize::from(step.status == StepStatus::Running), "{id} of {run:#?}");
                let taking_back = self.attempts(run.id, id, true, step.undo_attempt);
                let later = self.wakes(|wake| matches!(wake, Wake::Undo { run: of, step } if *of == run.id && step == id));
                assert_eq!(taking_back, usize::from(step.undoing && step.retry_at.is_none()), "undo of {id} of {run:#?}");
                assert!(!step.undoing || taking_back + later > 0, "undo of {id} of {run:#?} is stuck");
            }
        }
        for (id, notification) in &self.state.notifications {
            let sends = self.waits(|effect| matches!(effect, Effect::Send { notification, .. } if notification == id));
            assert_eq!(sends, usize::from(notification.status == NotificationStatus::Queued), "{notification:?}");
        }
        let escalation = &self.state.escalation;
        if self.state.status == Status::Triggered && escalation.next_at.is_some() {
            let rings = self.wakes(|wake| *wake == Wake::Escalate { generation: escalation.generation });
            assert!(rings > 0, "the ladder is stuck: {escalation:?}");
        }
        if self.state.is_open() && self.state.seq > 0 {
            assert_eq!(self.wakes(|wake| *wake == Wake::Stale { since: self.state.reopened_at }), 1, "nobody watches over silence");
            if let Some(since) = self.state.quiet_since {
                assert!(self.wakes(|wake| *wake == Wake::Settle { since }) > 0, "it never settles");
            }
        }
    }

    /// The incident ends, and from now on all goes well.
    fn end(&mut self) {
        for run in self.state.runs.values().map(|run| run.id).collect::<Vec<_>>() {
            for step in self.state.runs[&run].steps.keys().cloned().collect::<Vec<_>>() {
                self.person(Command::SettleStep { run, step, outcome: Outcome::Succeeded, note: String::new() });
            }
        }
        if self.state.is_open() {
            self.person(Command::Resolve { note: String::new() });
        }
        let mut steps = 0;
        while let Some(index) = self.next_job(0) {
            self.settle_job(index, 2);
            self.assert_whole();
            steps += 1;
            assert!(steps < 10_000, "it never comes to rest: {:?}", self.jobs);
        }
        for run in self.state.runs.values() {
            assert!(run.status.is_over() || run.steps.values().any(|step| step.status == StepStatus::InDoubt), "{run:#?}");
            let playbook = &self.rulebook.revisions[&run.revision];
            for step in playbook.steps.iter().filter(|step| matches!(step.undo, Undo::OnResolve | Undo::After(_))) {
                // What could not be taken back was told, and a person was paged.
                let told = |state: &StepState| state.undo_attempt > 0 && !state.undoing;
                let left = run.steps.get(&step.id).filter(|state| state.status == StepStatus::Succeeded && !told(state));
                assert!(left.is_none(), "{} stays in force: {run:#?}", step.id);
            }
        }
        let mut folded = Incident::blank(self.state.id);
        self.log.iter().for_each(|entry| folded.apply(entry));
        folded.heard_at = self.state.heard_at;
        folded.alerts.clone_from(&self.state.alerts);
        assert_eq!(folded, self.state, "the log adds up to the state");
    }
}

fn performed(attempt: AttemptRef, answer: u8) -> Performed {
    let result = match answer % 8 {
        0 => Err(Failure::Retry("later".to_owned())),
        1 => Err(Failure::Unknown("lost".to_owned())),
        3 => Err(Failure::Fatal("no".to_owned())),
        _ => Ok(json!({})),
    };
    Performed { attempt, result, duration_ms: 1 }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_comes_nothing_is_stuck_and_nothing_stays_in_force(story in proptest::collection::vec((0u8..24, any::<u8>()), 1..120)) {
        thread_local!(static RULES: Arc<Rulebook> = Arc::new(rulebook()));
        let mut model = Model::new(RULES.with(Arc::clone));
        model.observe(0, true);
        for (what, chance) in story {
            model.step(what, chance);
        }
        model.end();
    }
}
