//! A change of a target from its beginning to its end, as the target sees it, and what must be so when it begins: nobody else is at it,
//! those who had to say yes have wished to, and nothing lies in shadow. Believes neither the log nor the engine about that.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError};

use reynard::domain::id::RunId;
use reynard::domain::playbook::Otherwise;
use reynard::domain::settings::Automation;
use reynard::engine::ports::Call;

use crate::life::Life;
use crate::stage::Stage;

/// Who wished to say yes to which step of which run, whatever became of the wish.
pub type Consents = BTreeMap<(RunId, String), BTreeSet<String>>;

/// A change that is under way.
pub struct Grip {
    target: String,
    root: RunId,
    undo: bool,
    /// In which turn of whoever was at work it began: what another one began before may still arrive.
    turn: u32,
    life: Arc<Life>,
}

#[derive(Default)]
pub struct Grips {
    of: BTreeMap<u64, Grip>,
    last: u64,
}

/// Lets go when the change is over, or nobody waits for it any more.
pub struct Letting {
    stage: Arc<Stage>,
    number: u64,
}

impl Drop for Letting {
    fn drop(&mut self) {
        self.stage.grips.lock().unwrap_or_else(PoisonError::into_inner).of.remove(&self.number);
    }
}

impl Stage {
    /// A change begins, or taking one back.
    pub fn grips(self: &Arc<Self>, call: &Call, life: &Arc<Life>, undo: bool) -> Letting {
        let (target, root) = (target_of(call), self.tables().deed(&call.key).map_or_else(RunId::default, |deed| deed.root().id));
        let turn = self.turns.load(std::sync::atomic::Ordering::SeqCst);
        if !life.is_over() {
            self.judge_beginning(call, undo);
        }
        let mut grips = self.grips.lock().unwrap_or_else(PoisonError::into_inner);
        let beside: Vec<&Grip> =
            grips.of.values().filter(|other| other.turn == turn && other.root != root && !other.life.is_over()).collect();
        if !life.is_over() {
            let alone = beside.iter().all(|other| other.target != target);
            self.record.demand(alone, || format!("{} changes {target} while another run does", call.key));
            let crowd: BTreeSet<&str> = beside.iter().filter(|other| !other.undo).map(|other| other.target.as_str()).collect();
            let spared = undo || self.leaves_room(&target, crowd);
            self.record.demand(spared, || format!("{} begins on {target} though the service's share is at work", call.key));
        }
        grips.last += 1;
        let number = grips.last;
        grips.of.insert(number, Grip { target, root, undo, turn, life: life.clone() });
        Letting { stage: self.clone(), number }
    }

    /// Whether as much of the target's service as may be is at work, this one included; the first always may.
    fn leaves_room(&self, target: &str, mut crowd: BTreeSet<&str>) -> bool {
        let rulebook = &self.settings.rulebook;
        let service = rulebook.targets.get(target).and_then(|target| target.service.as_deref());
        let (Some(share), Some(service)) = (rulebook.limits.share, service) else { return true };
        let all = rulebook.targets_of(service);
        crowd.retain(|name| all.contains(name));
        crowd.is_empty() || crowd.iter().chain([&target]).collect::<BTreeSet<_>>().len() <= most_of(all.len(), share)
    }

    fn judge_beginning(&self, call: &Call, undo: bool) {
        let (tables, rulebook) = (self.tables(), &self.settings.rulebook);
        let Some(deed) = tables.deed(&call.key) else { return };
        let Some(playbook) = rulebook.revisions.get(&deed.run.revision) else { return };
        let in_shadow = rulebook.automation == Automation::Shadow
            || playbook.shadow
            || call.target.as_ref().is_some_and(|target| rulebook.targets[&target.name].is_shadow());
        self.record.demand(!in_shadow, || format!("{} began in shadow", call.key));
        let Some(approval) = playbook.step(&deed.path).and_then(|step| step.approval.clone()).filter(|_| !undo) else { return };
        let consents = self.consents.lock().unwrap_or_else(PoisonError::into_inner);
        let asked_for = deed.root().requested_by.as_deref().map(same_name);
        let yes: BTreeSet<String> =
            consents.get(&(deed.run.id, deed.path.clone())).into_iter().flatten().map(|who| same_name(who)).collect();
        let enough = yes.iter().filter(|who| Some(*who) != asked_for.as_ref()).count() >= approval.of as usize;
        self.record.demand(enough || approval.otherwise == Otherwise::Continue, || {
            format!("{} began though only {yes:?} ever wished to approve it", call.key)
        });
    }
}

fn target_of(call: &Call) -> String {
    call.target.as_ref().map_or_else(String::new, |target| target.name.clone())
}

/// How many of so many a share is; one always.
pub fn most_of(all: usize, share: f64) -> usize {
    (1..=all).rev().find(|most| *most as f64 <= all as f64 * share + 1e-9).unwrap_or(1)
}

/// A name, however it is written.
pub fn same_name(who: &str) -> String {
    who.trim().to_lowercase()
}
