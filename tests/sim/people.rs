//! People who look at an incident and act, at any moment and sometimes twice. What they were told was done is remembered.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reynard::domain::decide::command::{AttemptRef, Command};
use reynard::domain::id::{IncidentId, RunId};
use reynard::domain::incident::Incident;
use reynard::domain::priority::Priority;
use reynard::domain::run::StepStatus;
use reynard::domain::time::Span;
use reynard::domain::timeline::{Actor, Outcome};
use reynard::engine::error::EngineError;
use tokio::task::JoinSet;

use crate::house::PLAYBOOKS;
use crate::stage::Stage;

/// Whoever is not answered for so long gives up.
const PATIENCE: Duration = Duration::from_secs(30);
/// Who acts; a name is the same however it is written.
const NAMES: [&str; 4] = ["ana", "bo", "cy", "Ana"];

pub struct People {
    stage: Arc<Stage>,
    under_way: JoinSet<()>,
    /// Comments by their words: whether somebody was told that it is there.
    pub said: Arc<Mutex<BTreeMap<String, bool>>>,
    requests: u64,
}

impl People {
    pub fn new(stage: Arc<Stage>) -> Self {
        Self { stage, under_way: JoinSet::new(), said: Arc::default(), requests: 0 }
    }

    pub fn somebody_acts(&mut self) {
        let states = self.stage.tables().in_order();
        if states.is_empty() {
            return;
        }
        if self.stage.chance.one_in(3) && (self.somebody_answers(&states) || self.somebody_arms()) {
            return;
        }
        let state = self.stage.chance.pick(&states).clone();
        if let Some(command) = self.wish(&state) {
            self.asks(self.somebody(), state.id, command);
        }
    }

    fn somebody(&self) -> &'static str {
        self.stage.chance.pick::<&str>(&NAMES)
    }

    /// Mostly a yes, by whoever happens to look: some of them may not say it, because they asked for it, or it is not for them.
    fn somebody_answers(&mut self, states: &[Incident]) -> bool {
        let asked: Vec<(IncidentId, RunId, &String)> = states.iter().flat_map(asked_in).collect();
        if asked.is_empty() {
            return false;
        }
        let (id, run, step) = *self.stage.chance.pick(&asked);
        let (who, yes) = (self.somebody(), !self.stage.chance.one_in(6));
        if yes {
            let mut consents = self.stage.consents.lock().unwrap_or_else(PoisonError::into_inner);
            consents.entry((run, step.clone())).or_default().insert(who.to_owned());
        }
        self.asks(who, id, Command::AnswerApproval { run, step: step.clone(), yes, note: String::new() });
        true
    }

    fn somebody_arms(&mut self) -> bool {
        let open = self.stage.tables().open_breakers();
        if let Some((playbook, incident)) = open.first().cloned() {
            self.asks(self.somebody(), incident, Command::Rearm { playbook, note: "drawn".to_owned() });
        }
        !open.is_empty()
    }

    fn wish(&mut self, state: &Incident) -> Option<Command> {
        let chance = &self.stage.chance;
        let note = String::new;
        let runs: Vec<RunId> = state.runs_in_order().into_iter().filter(|run| !run.status.is_over()).map(|run| run.id).collect();
        let run = (!runs.is_empty()).then(|| *chance.pick(&runs));
        Some(match chance.below(16) {
            0..=1 => Command::Acknowledge { note: note() },
            2 => Command::Unacknowledge,
            3 => Command::Resolve { note: note() },
            4 => Command::Reopen { note: note() },
            5 => Command::Snooze { span: Span::seconds(chance.between(1, 1_800)) },
            6 => Command::SetPriority { priority: *chance.pick(&[Priority::P1, Priority::P2, Priority::P3, Priority::P4]), note: note() },
            7 => Command::StartRun { playbook: (*chance.pick(&PLAYBOOKS)).to_owned(), vars: Default::default() },
            8 => Command::CancelRun { run: run?, note: note() },
            9 => Command::Escalate { note: note() },
            10..=11 => {
                self.requests += 1;
                Command::Comment { text: format!("comment {}", self.requests) }
            }
            kind => {
                let run = run?;
                let wanted = |status: StepStatus| matches!(status, StepStatus::InDoubt | StepStatus::Waiting);
                let step = state.runs[&run].steps.iter().find(|(_, step)| wanted(step.status))?.0.clone();
                match kind {
                    12 => Command::RetryStep { run, step, note: note() },
                    13 => Command::SkipStep { run, step, note: note() },
                    _ => self.truth_about(run, step),
                }
            }
        })
    }

    /// People look before they say what became of a step.
    fn truth_about(&self, run: RunId, step: String) -> Command {
        let attempt = AttemptRef { run, step: step.clone(), attempt: 1, undo: false, check: false };
        let happened = self.stage.seen().effects.contains_key(&attempt.key());
        let outcome = if happened { Outcome::Succeeded } else { Outcome::Failed };
        Command::SettleStep { run, step, outcome, note: String::new() }
    }

    /// Half of them click twice, and half of those later, when whatever became of the first click.
    fn asks(&mut self, who: &'static str, id: IncidentId, command: Command) {
        let (stage, said) = (self.stage.clone(), self.said.clone());
        self.requests += 1;
        let key = self.stage.chance.one_in(2).then(|| format!("click {}", self.requests));
        if let Command::Comment { text } = &command {
            said.lock().unwrap_or_else(PoisonError::into_inner).insert(text.clone(), false);
        }
        self.under_way.spawn(async move {
            for _ in 0..if key.is_some() { 2 } else { 1 } {
                let answer = answer_to(&stage, who, (id, &command), key.as_deref()).await;
                stage.record.line(|| format!("person: {who}: {command:?}: {answer:?}"));
                if let (Command::Comment { text }, Some(Ok(_))) = (&command, &answer) {
                    said.lock().unwrap_or_else(PoisonError::into_inner).insert(text.clone(), true);
                }
                tokio::time::sleep(Duration::from_millis(stage.chance.below(90_000))).await;
            }
        });
    }

    pub async fn are_done(&mut self) {
        while self.under_way.join_next().await.is_some() {}
    }

    /// The red switch: pressed or let go of, with or without its edges.
    pub fn somebody_presses_the_switch(&mut self) {
        let (stage, chance) = (self.stage.clone(), &self.stage.chance);
        let (hold, edge) = (chance.one_in(2), chance.one_in(3));
        self.under_way.spawn(async move {
            let _ = presses(&stage, hold, edge).await;
        });
    }

    /// Whichever of the two is active hands over to the other.
    pub fn somebody_has_it_handed_over(&mut self) {
        let doors = self.stage.doors();
        self.under_way.spawn(async move {
            for runtime in doors.into_iter().flatten() {
                let other = if &*runtime.node == "node 0" { "node 1" } else { "node 0" };
                let _ = runtime.hand_over(other, "ana").await;
            }
        });
    }

    pub async fn let_automation_go(&self) {
        for _ in 0..50 {
            if presses(&self.stage, false, false).await {
                return;
            }
            tokio::time::sleep(Duration::from_secs(5)).await;
        }
        self.stage.record.fault("automation is not released though all is well".to_owned());
    }

    /// Somebody says of every step in doubt what became of it, and ends what does not end by itself.
    pub async fn tidy_up(&mut self) {
        let states = self.stage.tables().in_order();
        for state in states {
            for run in state.runs_in_order().into_iter().filter(|run| !run.status.is_over()) {
                for (step, _) in run.steps.iter().filter(|(_, step)| step.status == StepStatus::InDoubt) {
                    let command = self.truth_about(run.id, step.clone());
                    self.asks("ana", state.id, command);
                }
            }
            if state.is_open() {
                self.asks("ana", state.id, Command::Resolve { note: String::new() });
            }
        }
        self.are_done().await;
    }
}

/// The steps of an incident that wait for somebody's yes.
fn asked_in(state: &Incident) -> impl Iterator<Item = (IncidentId, RunId, &String)> {
    let open = state.runs_in_order().into_iter().filter(|run| !run.status.is_over());
    open.flat_map(|run| run.steps.iter().filter(|(_, step)| step.awaits_approval()).map(|(path, _)| (state.id, run.id, path)))
}

/// A node that stands by sends whoever asks on to the next. None when nobody answers.
async fn answer_to(stage: &Stage, who: &str, (id, command): (IncidentId, &Command), key: Option<&str>) -> Option<Result<u64, EngineError>> {
    let mut last = None;
    for runtime in stage.doors().into_iter().flatten() {
        let (who, asked_fairly) = (Actor::Person(who.to_owned()), stage.weather.is_fair());
        let asked = runtime.command(id, who, command.clone(), key.map(Into::into));
        match tokio::time::timeout(PATIENCE, asked).await {
            Ok(Err(error @ EngineError::StandingBy(_))) => last = Some(Err(error)),
            Ok(answer) => return Some(answer),
            Err(_) => {
                stage.record.demand(!asked_fairly, || "a person was not answered though all is well".to_owned());
                return None;
            }
        }
    }
    last
}

/// From the answer of a hold to the wish of a release nothing destructive may begin. True when it was answered.
async fn presses(stage: &Stage, hold: bool, edge: bool) -> bool {
    if !hold {
        stage.held.store(false, Ordering::SeqCst);
        stage.releases.fetch_add(1, Ordering::SeqCst);
    }
    for runtime in stage.doors().into_iter().flatten() {
        let asked = async { if hold { runtime.hold("ana", "drawn", edge).await } else { runtime.release("ana", "drawn", edge).await } };
        let Ok(answer) = tokio::time::timeout(PATIENCE, asked).await else { continue };
        stage.record.line(|| format!("person: the switch, held {hold}, edge {edge}: {answer:?}"));
        // Nothing to release is an answer, too; a hold that is refused says nothing.
        if answer.is_ok() || (!hold && matches!(answer, Err(EngineError::Refused(_)))) {
            // A release that was never answered may still be carried out; from then on nobody can be sure.
            let open = if hold { stage.releases.load(Ordering::SeqCst) } else { stage.releases.fetch_sub(1, Ordering::SeqCst) };
            stage.held.store(hold && open == 0, Ordering::SeqCst);
            return true;
        }
    }
    false
}
