//! What limits, locks and the switch go by, counted from the disk: at a start, after a commit that failed, and when there are other
//! targets. Knows no database.

use crate::domain::breaker::Breakers;
use crate::domain::id::RunId;
use crate::domain::limits::Ledger;
use crate::domain::settings::Rulebook;
use crate::engine::store::Resumed;

/// What was spent and what runs, counted from the disk.
pub(super) fn ledger_of(resumed: &Resumed, rulebook: &Rulebook) -> Ledger {
    let mut ledger = Ledger::default();
    ledger.breakers = Breakers::from_stored(resumed.breakers.iter().cloned());
    resumed.firing.iter().for_each(|(incident, alert, labels)| ledger.troubles.fires(*incident, alert, labels, rulebook));
    resumed.spent.iter().for_each(|spent| ledger.spend(spent.clone()));
    for (playbook, open) in &resumed.running {
        let waiting = resumed.waiting.iter().filter(|(waits, _)| waits == playbook).count();
        (waiting..*open as usize).for_each(|_| ledger.run_begins(playbook, RunId::default()));
    }
    resumed.waiting.iter().for_each(|(playbook, waiter)| ledger.run_waits(playbook, *waiter));
    ledger.switch.holds = resumed.holds.clone();
    ledger.records = resumed.records.clone();
    for incident in &resumed.at_work {
        ledger.targets.take(incident, rulebook);
        ledger.switch.take(incident);
    }
    ledger
}
