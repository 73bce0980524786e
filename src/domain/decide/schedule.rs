//! Playbooks that start by the clock. An occurrence is a timer that stands under the incident it will open; whoever planned it, and
//! however often, it opens that once. Knows no calendar.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Map;

use crate::domain::classification::Classification;
use crate::domain::decide::command::Wake;
use crate::domain::decide::recovery::IN_TIME;
use crate::domain::decide::run::Start;
use crate::domain::decide::turn::Turn;
use crate::domain::labels::Labels;
use crate::domain::planned::{Occurrence, Planned, SCHEDULE, SCHEDULED};
use crate::domain::playbook::Playbook;
use crate::domain::priority::Priority;
use crate::domain::run::Run;
use crate::domain::timeline::{Actor, Event};

impl Turn<'_, '_> {
    /// Sets the timer of an occurrence, unless the file says something else by now.
    pub(super) fn plan_occurrence(&mut self, occurrence: Occurrence) {
        let playbook = self.rulebook.playbooks.get(&occurrence.playbook);
        if self.state.seq == 0 && playbook.is_some_and(|playbook| occurrence.is_planned_by(playbook).is_some()) {
            self.wake_at(occurrence.at, Wake::Occur { occurrence });
        }
    }

    /// Its time has come, or came while nobody was there: then this one stands for all that were missed.
    pub(super) fn occur(&mut self, occurrence: &Occurrence) {
        let Some(playbook) = self.rulebook.playbooks.get(&occurrence.playbook).cloned() else { return };
        let Some(planned) = occurrence.is_planned_by(&playbook) else { return };
        if self.state.seq > 0 {
            return;
        }
        if let Some(next) = planned.next(&playbook.slug, self.now) {
            self.wake_at(next.at, Wake::Occur { occurrence: next });
        }
        // One that waits for its turn already does what this one would.
        if self.ledger.next_in_line(&playbook.slug).is_some() {
            return;
        }
        self.open_by_schedule(&playbook, planned);
        self.tell_lateness(occurrence, planned);
        // What is loaded has a default for every var of a playbook that starts by itself.
        let vars = playbook.vars(&Map::new()).unwrap_or_default();
        self.start_run(&playbook, Start { vars, ..Start::default() });
    }

    /// An incident that nobody is told of: Reynard itself is on it until its run has failed.
    fn open_by_schedule(&mut self, playbook: &Arc<Playbook>, planned: &Planned) {
        let labels: Labels = [("playbook".to_owned(), playbook.slug.clone())].into();
        let served = playbook.steps.iter().filter_map(|step| self.rulebook.targets.get(step.target.as_ref()?)?.service.clone()).next();
        self.emit_engine(Event::Opened {
            number: self.next_number,
            source: SCHEDULE.to_owned(),
            receiver: String::new(),
            group_key: playbook.slug.clone(),
            title: format!("Scheduled: {}", playbook.title),
            service: served.unwrap_or_default(),
            policy: self.rulebook.policy_for(&labels).to_owned(),
            labels,
            annotations: Labels::default(),
        });
        let classification = Classification {
            rule: SCHEDULE.to_owned(),
            priority: Priority::P4,
            kind: SCHEDULED.to_owned(),
            reason: planned.to_string(),
            signals: BTreeMap::new(),
            next: None,
            warnings: Vec::new(),
            unmeasured: false,
        };
        self.emit_engine(Event::Classified { classification, again: false });
        self.emit_engine(Event::Acknowledged { note: "nobody need be told unless it fails".to_owned() });
    }

    fn tell_lateness(&mut self, occurrence: &Occurrence, planned: &Planned) {
        let late = self.now.since(occurrence.at);
        if late <= IN_TIME {
            return;
        }
        let also = match planned.missed_since(occurrence.at, self.now) {
            0 => String::new(),
            1 => "; it stands for one more that was missed".to_owned(),
            more => format!("; it stands for {more} more that were missed"),
        };
        self.emit_engine(Event::Commented { text: format!("It was due at {} and begins {late} late{also}", occurrence.at) });
    }

    /// Whether a schedule has opened the incident, and a run of it has just ended it: nothing else of it goes on.
    fn ends_with(&self, run: &Run) -> bool {
        let of_schedule = self.state.source == SCHEDULE && self.state.kind == SCHEDULED && self.state.counts == Default::default();
        of_schedule
            && self.state.is_open()
            && run.parent.is_none()
            && run.playbook == self.state.group_key
            && self.state.runs.values().all(|run| run.status.is_over())
    }

    /// A scheduled run that went well, or that a person cancelled, ends its incident with it.
    pub(super) fn close_scheduled(&mut self, run: &Run, reason: &str) {
        if self.ends_with(run) {
            self.resolve(reason.to_owned(), true);
        }
    }

    /// A scheduled run has failed: it is everybody's now, and the plan of its priority begins. True when that has told somebody.
    pub(super) fn hand_over_scheduled(&mut self, run: &Run, reason: &str) -> bool {
        if !self.ends_with(run) || self.state.acknowledged_by.as_deref() != Some(Actor::engine().name()) {
            return false;
        }
        self.emit_engine(Event::Unacknowledged { next_at: None });
        self.begin_escalation(self.now, reason);
        self.state.escalation.level > 0
    }
}
