//! What deliveries do to an incident: open it, add and end alerts, classify it, settle it, and notice silence.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::classification::{Classification, classify, type_of_alert};
use crate::domain::decide::command::{Effect, Observation, ObservedAlert, Wake};
use crate::domain::decide::turn::Turn;
use crate::domain::incident::Status;
use crate::domain::labels::Labels;
use crate::domain::planned::SCHEDULED;
use crate::domain::settings::{Rulebook, SignalSource};
use crate::domain::time::Timestamp;
use crate::domain::timeline::{AlertRef, Event};

/// Types that have shipped playbooks; an alert of such a name has that type without further rules.
const SHIPPED_TYPES: [&str; 8] = [
    SCHEDULED,
    "database_connection_failure",
    "high_memory_usage",
    "service_timeout",
    "external_api_failure",
    "service_down",
    "high_error_rate",
    "unknown",
];

const LONGEST_TITLE: usize = 200;

impl Turn<'_, '_> {
    pub(super) fn observe(&mut self, observation: &Observation) {
        let (fired, resolved) = self.news(observation);
        let opening = self.state.seq == 0;
        if opening {
            if fired.is_empty() {
                return;
            }
            self.open(observation, &fired);
        }
        self.state.heard_at = self.now;
        let reopening = self.state.status == Status::Resolved && !fired.is_empty();
        let truncation_changed = observation.truncated != self.state.truncated;
        if !resolved.is_empty() {
            let alerts = refs(&resolved);
            self.emit(Event::AlertResolved { delivery: observation.delivery, alerts, truncated: observation.truncated });
        }
        if reopening {
            self.emit(Event::Reopened { reason: "it fires again".to_owned(), acknowledged: false });
            self.recall_troubles();
        }
        if !fired.is_empty() || (truncation_changed && resolved.is_empty() && self.state.is_open()) {
            let alerts = refs(&fired);
            let (labels, annotations) = self.common(&fired);
            self.emit(Event::AlertFired { delivery: observation.delivery, alerts, labels, annotations, truncated: observation.truncated });
        }
        if opening || reopening {
            self.watch_over_silence(self.now);
        }
        let any_fired = !fired.is_empty();
        resolved.iter().for_each(|alert| self.ledger.troubles.ends(self.state.id, &alert.fingerprint));
        self.keep_texts(fired);
        self.keep_texts(resolved);
        if any_fired {
            self.ask_for_signals_or_classify(opening);
        } else if self.state.is_open() && self.state.classification.as_ref().is_some_and(|known| known.unmeasured) {
            // Nothing is new but that time has passed: whoever did not answer then may answer now.
            self.ask(Effect::Measure);
        }
        if reopening {
            self.start_matching_runs();
        }
        if opening || reopening {
            self.begin_escalation_if_classified(if opening { "it opened" } else { "it fires again" });
        }
        self.await_settling();
    }

    /// The alerts whose status this delivery changes; repeats and late duplicates change nothing.
    fn news(&self, observation: &Observation) -> (Vec<ObservedAlert>, Vec<ObservedAlert>) {
        let mut last: BTreeMap<&str, &ObservedAlert> = BTreeMap::new();
        for alert in &observation.alerts {
            last.insert(&alert.fingerprint, alert);
        }
        let settle = self.rulebook.incidents.settle;
        let (mut fired, mut resolved) = (Vec::new(), Vec::new());
        for alert in last.into_values() {
            match self.state.alerts.get(&alert.fingerprint) {
                None if alert.firing => fired.push(alert.clone()),
                None => resolved.push(alert.clone()),
                Some(mark) if mark.firing && !alert.firing => {
                    // A resolve of an earlier firing that arrives after the next one began is old news. The end is looked at as
                    // well, because a sender may move the start of what still fires.
                    if alert.starts_at >= mark.starts_at || alert.ends_at.is_some_and(|ended| ended >= mark.starts_at) {
                        resolved.push(alert.clone());
                    }
                }
                // It ended and began again unseen; what comes late of the earlier firing must not end this one.
                Some(mark) if mark.firing && alert.firing && !alert.undated && alert.starts_at > mark.starts_at => {
                    fired.push(alert.clone());
                }
                Some(mark) if !mark.firing && alert.firing => {
                    // The twin of a pair that lags behind repeats a firing that has just been resolved: the same start, moments later.
                    // After that the sender is believed, because a page too many is better than one too few.
                    let lagging = alert.starts_at <= mark.starts_at && self.now.since(mark.changed_at) < settle && self.state.is_open();
                    if !lagging {
                        fired.push(alert.clone());
                    }
                }
                Some(_) => {}
            }
        }
        // An incident that nobody knows is not opened by alerts that are over.
        (fired, resolved)
    }

    fn open(&mut self, observation: &Observation, fired: &[ObservedAlert]) {
        let labels = common_of(fired.iter().map(|alert| &alert.labels));
        let annotations = common_of(fired.iter().map(|alert| &alert.annotations));
        let first = &fired[0];
        let service = service_of(&labels).or_else(|| service_of(&first.labels)).unwrap_or_default();
        let title = title_of(&labels, &annotations, first, &service);
        self.emit(Event::Opened {
            number: self.next_number,
            source: observation.source.clone(),
            receiver: observation.receiver.clone(),
            group_key: observation.group_key.clone(),
            title,
            service,
            policy: self.rulebook.policy_for(&labels).to_owned(),
            labels,
            annotations,
        });
    }

    /// Labels and annotations are kept beside the folded state: they have rows of their own.
    fn keep_texts(&mut self, alerts: Vec<ObservedAlert>) {
        for alert in alerts {
            if let Some(mark) = self.state.alerts.get_mut(&alert.fingerprint) {
                if mark.firing {
                    self.ledger.troubles.fires(self.state.id, &alert.fingerprint, &alert.labels, self.rulebook);
                }
                mark.labels = alert.labels;
                mark.annotations = alert.annotations;
            }
        }
    }

    /// What it was about when it ended, it is about again.
    pub(super) fn recall_troubles(&mut self) {
        for (fingerprint, mark) in self.state.alerts.iter().filter(|(_, mark)| mark.firing) {
            self.ledger.troubles.fires(self.state.id, fingerprint, &mark.labels, self.rulebook);
        }
    }

    /// What those that fire have alike; what was known last when none does.
    fn common(&self, fired: &[ObservedAlert]) -> (Labels, Labels) {
        if fired.is_empty() && self.state.counts.firing == 0 {
            return (self.state.labels.clone(), self.state.annotations.clone());
        }
        let firing = || self.state.alerts.values().filter(|mark| mark.firing);
        (
            common_of(firing().map(|mark| &mark.labels).chain(fired.iter().map(|alert| &alert.labels))),
            common_of(firing().map(|mark| &mark.annotations).chain(fired.iter().map(|alert| &alert.annotations))),
        )
    }

    fn ask_for_signals_or_classify(&mut self, opening: bool) {
        if self.rulebook.signals.values().any(|source| source.prometheus.is_some() && self.told_signal(source).is_none()) {
            self.ask(Effect::Measure);
        } else if opening || self.state.classification.is_some() {
            self.classify(BTreeMap::new(), Vec::new());
        }
    }

    pub(super) fn measured(&mut self, signals: BTreeMap<String, f64>, warnings: Vec<String>) {
        if !self.state.is_open() {
            return;
        }
        let first = self.state.classification.is_none();
        self.classify(signals, warnings);
        if first {
            self.begin_escalation_if_classified("it opened");
        }
    }

    fn classify(&mut self, measured: BTreeMap<String, f64>, warnings: Vec<String>) {
        let signals = self.signals(measured);
        let scope = self.scope_of_rules(&signals);
        let alertname = self.state.labels.get("alertname").cloned().unwrap_or_default();
        let kind = match self.state.labels.get("type").or_else(|| self.state.labels.get("incident_type")) {
            Some(named) => named.clone(),
            None => type_of_alert(&alertname, |kind| knows_type(self.rulebook, kind)),
        };
        let mut classification = classify(&self.rulebook.rules, &scope, &kind, &signals);
        classification.unmeasured = !warnings.is_empty();
        classification.warnings.extend(warnings);
        self.take_classification(classification);
    }

    fn take_classification(&mut self, classification: Classification) {
        let before = self.state.classification.as_ref().map(|earlier| (earlier.kind.clone(), self.state.priority));
        let priority = classification.priority;
        let Some((kind, current)) = before else {
            self.emit_engine(Event::Classified { classification, again: false });
            self.start_matching_runs();
            return;
        };
        let rises = priority.outranks(current) && self.state.priority_by.is_none();
        let type_known = kind == "unknown" && classification.kind != "unknown";
        if !rises && !type_known {
            return;
        }
        let reason = format!("rule \"{}\": {}", classification.rule, classification.reason);
        self.emit_engine(Event::Classified { classification, again: true });
        if rises {
            self.emit_engine(Event::PriorityChanged { from: current, to: priority, reason, next_at: None });
            self.priority_rose();
        }
        self.start_matching_runs();
    }

    /// Labels and annotations first, then what was measured.
    fn signals(&self, measured: BTreeMap<String, f64>) -> BTreeMap<String, f64> {
        let mut signals = measured;
        for (name, source) in &self.rulebook.signals {
            if let Some(told) = self.told_signal(source) {
                signals.insert(name.clone(), told);
            }
        }
        signals
    }

    /// The worst number that any firing alert states.
    fn told_signal(&self, source: &SignalSource) -> Option<f64> {
        let number = |labels: &Labels, annotations: &Labels| {
            let label = source.label.as_ref().and_then(|name| labels.get(name));
            let annotation = source.annotation.as_ref().and_then(|name| annotations.get(name));
            label.or(annotation).and_then(|text| number_of(text))
        };
        let firing = self.state.alerts.values().filter(|mark| mark.firing);
        let heard = firing.filter_map(|mark| number(&mark.labels, &mark.annotations));
        heard.chain(number(&self.state.labels, &self.state.annotations)).reduce(f64::max)
    }

    fn await_settling(&mut self) {
        if let (Some(since), true) = (self.state.quiet_since, self.state.is_open()) {
            self.wake_at(since + self.rulebook.incidents.settle, Wake::Settle { since });
        }
        self.await_quiet();
    }

    pub(super) fn settled(&mut self, since: Timestamp) {
        if self.state.quiet_since != Some(since) || !self.state.is_open() || self.state.truncated > 0 || self.is_kept_open() {
            return;
        }
        self.resolve("all alerts resolved".to_owned(), true);
    }

    /// Each life of an incident has a watch of its own, for the last one's may have rung while it was resolved.
    pub(super) fn watch_over_silence(&mut self, since: Timestamp) {
        self.wake_at(since + self.rulebook.incidents.stale_after, Wake::Stale { since: self.state.reopened_at });
    }

    pub(super) fn stale(&mut self, since: Option<Timestamp>) {
        if !self.state.is_open() || self.state.reopened_at != since {
            return;
        }
        let stale_after = self.rulebook.incidents.stale_after;
        let silent_for = self.now.since(self.state.heard_at);
        if silent_for < stale_after {
            return self.watch_over_silence(self.state.heard_at);
        }
        let text =
            format!("No news from {} for {silent_for}. The incident stays open; check whether the sender is alive", self.state.source);
        self.emit_engine(Event::Commented { text });
        self.watch_over_silence(self.now);
    }
}

/// Whether a type is one that playbooks or the shipped rules speak of, rather than whatever a label says.
pub fn knows_type(rulebook: &Rulebook, kind: &str) -> bool {
    SHIPPED_TYPES.contains(&kind) || rulebook.playbooks.values().any(|playbook| playbook.trigger.types.iter().any(|t| t == kind))
}

/// The labels that all have alike.
fn common_of<'a>(mut sets: impl Iterator<Item = &'a Labels>) -> Labels {
    let mut common = sets.next().cloned().unwrap_or_default();
    for labels in sets {
        common.retain(|name, value| labels.get(name) == Some(value));
    }
    common
}

fn refs(alerts: &[ObservedAlert]) -> Vec<AlertRef> {
    let mut seen = BTreeSet::new();
    alerts
        .iter()
        .filter(|a| seen.insert(&a.fingerprint))
        .map(|a| AlertRef { fingerprint: a.fingerprint.clone(), starts_at: a.starts_at })
        .collect()
}

fn service_of(labels: &Labels) -> Option<String> {
    ["service", "job", "app", "namespace"].iter().find_map(|name| labels.get(*name)).cloned()
}

fn title_of(labels: &Labels, annotations: &Labels, first: &ObservedAlert, service: &str) -> String {
    let summary = annotations.get("summary").or_else(|| first.annotations.get("summary")).filter(|text| !text.trim().is_empty());
    if let Some(summary) = summary {
        return one_line(summary);
    }
    let name = labels.get("alertname").or_else(|| first.labels.get("alertname")).map_or("Unnamed alert", String::as_str);
    one_line(&if service.is_empty() { name.to_owned() } else { format!("{name} on {service}") })
}

/// Lists, subjects and log lines show it as a line, whatever the sender wrote.
fn one_line(text: &str) -> String {
    let words: Vec<&str> =
        text.split(|letter: char| letter.is_whitespace() || letter.is_control()).filter(|word| !word.is_empty()).collect();
    words.join(" ").chars().take(LONGEST_TITLE).collect()
}

/// `0.42`, `42%`, ` 1,200 `: the number people meant.
fn number_of(text: &str) -> Option<f64> {
    let text = text.trim();
    let (digits, scale) = text.strip_suffix('%').map_or((text, 1.0), |digits| (digits.trim(), 0.01));
    let number: f64 = digits.trim_end_matches('s').replace(',', "").parse().ok()?;
    number.is_finite().then_some(number * scale)
}

#[cfg(test)]
mod tests {
    use super::number_of;

    #[test]
    fn signals_are_read_as_people_write_them() {
        for (text, number) in
            [("0.42", Some(0.42)), ("42%", Some(0.42)), ("1,200", Some(1200.0)), ("2.5s", Some(2.5)), ("many", None), ("NaN", None)]
        {
            assert_eq!(number_of(text), number, "{text}");
        }
    }
}
