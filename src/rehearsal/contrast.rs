//! Old against new as a person reads it, and for programs. Knows no terminal.

use std::fmt::Write;

use serde_json::{Value, json};

use crate::domain::time::Span;
use crate::rehearsal::backtest::{Changed, Outcome};

/// Incidents that are told one by one, unless all are asked for.
const SHOWN: usize = 20;
/// Changes of one incident that are told.
const CHANGES: usize = 8;

/// The page for people.
pub fn text(outcome: &Outcome, since: Span, all: bool) -> String {
    let mut page = String::new();
    let _ = writeln!(page, "{} deliveries of the last {since}, once more under these rules and playbooks\n", outcome.deliveries);
    let _ = writeln!(page, "{:20} {:>10} {:>10} {:>10}", "", "then", "now", "");
    for ((name, then), (_, now)) in outcome.then.rows().into_iter().zip(outcome.now.rows()) {
        let by = now.cast_signed() - then.cast_signed();
        let by = if by == 0 { String::new() } else { format!("{by:+}") };
        let _ = writeln!(page, "{}", format!("{name:20} {then:>10} {now:>10} {by:>10}").trim_end());
    }
    changes(&mut page, outcome, all);
    remarks(&mut page, outcome);
    page
}

fn changes(page: &mut String, outcome: &Outcome, all: bool) {
    if outcome.changed.is_empty() {
        let _ = writeln!(page, "\nNo incident would have been otherwise.");
        return;
    }
    let _ = writeln!(page, "\n{} of {} incidents would have been otherwise", outcome.changed.len(), outcome.then.incidents);
    let shown = if all { outcome.changed.len() } else { SHOWN };
    for changed in outcome.changed.iter().take(shown) {
        let _ = writeln!(page, "\n  {}  {}  {}", number(changed), changed.opened_at, changed.title);
        for change in changed.changes.iter().take(if all { usize::MAX } else { CHANGES }) {
            let why = if change.why.is_empty() { String::new() } else { format!(": {}", one_line(&change.why)) };
            let _ = writeln!(page, "      {}{why}", change.what);
        }
        if !all && changed.changes.len() > CHANGES {
            let _ = writeln!(page, "      … and {} more", changed.changes.len() - CHANGES);
        }
    }
    if outcome.changed.len() > shown {
        let _ = writeln!(page, "\n  … and {} more incidents; --all tells them. What is told most often:", outcome.changed.len() - shown);
        let mut kinds: Vec<(String, u64)> = outcome.kinds().into_iter().collect();
        kinds.sort_by(|one, other| other.1.cmp(&one.1).then_with(|| one.0.cmp(&other.0)));
        for (what, count) in kinds.into_iter().take(10) {
            let _ = writeln!(page, "  {count:>8}  {what}");
        }
    }
}

fn remarks(page: &mut String, outcome: &Outcome) {
    if outcome.left_out > 0 {
        let _ = writeln!(page, "\n{} incidents were open already when this past begins; they are left out.", outcome.left_out);
    }
    if !outcome.supposed.is_empty() {
        let count: u64 = outcome.supposed.values().sum();
        let steps: Vec<String> = outcome.supposed.keys().map(|(playbook, step)| format!("{playbook}/{step}")).take(5).collect();
        let _ = writeln!(
            page,
            "\n{count} times a step was made of which the past knows no answer; it was taken to succeed: {}.",
            steps.join(", ")
        );
    }
}

fn number(changed: &Changed) -> String {
    changed.number.map_or("new".to_owned(), |number| format!("#{number}"))
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The same for programs.
pub fn json(outcome: &Outcome) -> Value {
    let changed = outcome.changed.iter().map(|changed| {
        let changes: Vec<Value> = changed.changes.iter().map(crate::rehearsal::facts::Change::to_json).collect();
        json!({ "number": changed.number, "title": changed.title, "opened_at": changed.opened_at.to_rfc3339(), "changes": changes })
    });
    let supposed = outcome.supposed.iter().map(|((playbook, step), count)| json!({ "playbook": playbook, "step": step, "times": count }));
    json!({
        "deliveries": outcome.deliveries, "then": outcome.then.to_json(), "now": outcome.now.to_json(),
        "changed": changed.collect::<Vec<_>>(), "left_out": outcome.left_out, "supposed": supposed.collect::<Vec<_>>(),
    })
}
