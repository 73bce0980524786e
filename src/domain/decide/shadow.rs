//! What is not done, or not without a yes, because automation is on trial: steps in shadow are written down as they would have been
//! done, and a playbook that has still to earn its freedom asks first. Begins nothing.

use std::collections::VecDeque;

use serde_json::Value;

use crate::domain::autonomy::Ended;
use crate::domain::decide::turn::Turn;
use crate::domain::directory::OPERATOR;
use crate::domain::limits::{Ask, LONGEST_WINDOW, Ledger, Spent};
use crate::domain::playbook::{Approval, Otherwise, Playbook, Step};
use crate::domain::run::{Run, StepState, StepStatus};
use crate::domain::settings::Automation;
use crate::domain::time::Span;
use crate::domain::timeline::{Event, StepRef};

/// How long a playbook that has not earned its freedom waits for a yes.
const ASKS_FOR: Span = Span::minutes(30);

impl Turn<'_, '_> {
    /// Whose shadow the step lies in, if any: everything's, its playbook's, or its target's.
    pub(super) fn shadow_over(&self, playbook: &Playbook, step: &Step) -> Option<String> {
        let target = step.target.as_ref().filter(|name| self.rulebook.targets.get(*name).is_some_and(|target| target.is_shadow()));
        match (self.rulebook.automation, playbook.shadow, target) {
            _ if !step.destructive => None,
            (Automation::Shadow, ..) => Some("automation is in shadow".to_owned()),
            (_, true, _) => Some(format!("playbook {} is in shadow", playbook.slug)),
            (_, _, Some(target)) => Some(format!("{target} is in shadow")),
            _ => None,
        }
    }

    /// Writes down what would have been done, with what, and which limit would have held it back. Nothing is spent but in shadow.
    pub(super) fn would_have(&mut self, at: StepRef, playbook: &Playbook, step: &Step, (params, why): (Value, String)) {
        let (slug, target) = (playbook.slug.as_str(), step.target.as_deref());
        let service = self.rulebook.service_of(target, &self.state.service);
        let ask = Ask { playbook: slug, target, service: service.as_deref(), own_per_target: playbook.limits.per_target };
        let mut both = Ledger::default();
        self.ledger.spent().chain(&self.ledger.shadowed).for_each(|spent| both.spend(spent.clone()));
        let limit = both.admit(ask, &self.rulebook.limits, self.now).err().map(|gauge| gauge.limit());
        if limit.is_none() {
            self.ledger.shadowed.push_back(Spent { at: self.now, playbook: slug.to_owned(), target: step.target.clone(), service });
            forget(&mut self.ledger.shadowed, |spent| spent.at + LONGEST_WINDOW <= self.now);
        }
        self.emit_engine(Event::StepShadowed {
            at,
            title: step.title.clone(),
            playbook: playbook.slug.clone(),
            action: step.action.clone(),
            target: step.target.clone(),
            params,
            why,
            limit,
            asks: step.approval.is_some() || self.why_it_asks(playbook, step).is_some(),
        });
    }

    /// Why the step asks although it does not say so itself: its playbook has not earned its freedom yet, or has lost it.
    pub(super) fn why_it_asks(&self, playbook: &Playbook, step: &Step) -> Option<String> {
        let policy = playbook.autonomy.filter(|_| step.destructive)?;
        let record = self.ledger.records.get(&playbook.slug).cloned().unwrap_or_default();
        record.why_it_asks(policy).map(|why| format!("playbook {} asks first: {why}", playbook.slug))
    }

    /// The request that such a step makes.
    pub(super) fn earned_by_asking() -> Approval {
        Approval { by: vec![OPERATOR.to_owned()], of: 1, expires: ASKS_FOR, otherwise: Otherwise::Fail }
    }

    /// Counts the end of a run in its playbook's record.
    pub(super) fn record(&mut self, run: &Run, how: Ended) {
        let playbook = self.playbook_of(run);
        let changed = |wanted: &[StepStatus]| run.steps.values().any(|step| step.destructive && wanted.contains(&step.status));
        let tried = run.steps.values().any(|step| step.destructive && step.attempt > 0);
        let idle = !tried && playbook.as_ref().is_some_and(|playbook| playbook.steps.iter().any(|step| step.destructive));
        let how = match how {
            Ended::Verified | Ended::Well if idle => Ended::Idle,
            Ended::Verified if !changed(&[StepStatus::Succeeded, StepStatus::Undone]) => Ended::Well,
            Ended::FalseStart if idle && playbook.as_ref().is_some_and(|playbook| was_kept_back(playbook, run)) => Ended::Idle,
            Ended::Failed if !tried => Ended::Left,
            how => how,
        };
        let policy = playbook.and_then(|playbook| playbook.autonomy);
        let took = self.now.since(run.started_at);
        self.ledger.records.entry(run.playbook.clone()).or_default().ended(how, took, policy);
    }
}

/// Whether a run that changed nothing was kept from it, instead of being too slow: it has waited for its turn, or everything that it
/// came to was left out or waits for a limit, a target or the release. Then its end says nothing of whether it began in vain.
fn was_kept_back(playbook: &Playbook, run: &Run) -> bool {
    let kept = |state: &StepState| state.status == StepStatus::Skipped || state.held || state.withheld || state.waits_for.is_some();
    let changes = |path: &str| playbook.step(path).is_some_and(|step| step.destructive);
    let mut met = run.steps.iter().filter(|(path, state)| state.items.is_empty() && changes(path)).peekable();
    run.steps.is_empty() || (met.peek().is_some() && met.all(|(_, state)| kept(state)))
}

fn forget(spent: &mut VecDeque<Spent>, is_old: impl Fn(&Spent) -> bool) {
    while spent.front().is_some_and(&is_old) {
        spent.pop_front();
    }
}
