//! Conditions that cannot come out both ways: tried with every value of the names that have few, and with every truth of the rest.
//! Knows no scope; who asks says which values a name can have.

use std::collections::BTreeMap;

use crate::domain::expression::syntax::{self, Kind, Node, Operator};

/// More ways than this are not tried; then nothing is said.
const MOST_WAYS: usize = 4_096;

/// The values that a dotted name can have; none when they cannot be listed.
pub type Values<'a> = &'a dyn Fn(&str) -> Option<Vec<String>>;

/// What a condition always comes to; none when it can come out both ways, or when there is too much to try.
pub fn always(source: &str, values: Values<'_>) -> Option<bool> {
    let node = syntax::parse(source).ok()?;
    let mut trial = Trial { source, values, names: BTreeMap::new(), facts: BTreeMap::new() };
    trial.gather(&node);
    let mut ways = trial.names.values().map(|name| name.values.len()).chain(trial.facts.values().map(|_| 2));
    let ways = ways.try_fold(1usize, |ways, more| ways.checked_mul(more)).filter(|ways| (1..=MOST_WAYS).contains(ways))?;
    let first = trial.truth(&node)?;
    for _ in 1..ways {
        trial.next();
        if trial.truth(&node)? != first {
            return None;
        }
    }
    Some(first)
}

/// One name and the value it has now.
struct Name {
    values: Vec<String>,
    at: usize,
}

struct Trial<'a> {
    source: &'a str,
    values: Values<'a>,
    names: BTreeMap<String, Name>,
    /// Whatever else is true or false, by its text.
    facts: BTreeMap<String, bool>,
}

impl Trial<'_> {
    fn gather(&mut self, node: &Node) {
        match &node.kind {
            Kind::Bool(_) => {}
            Kind::And(parts) | Kind::Or(parts) => parts.iter().for_each(|part| self.gather(part)),
            Kind::Not(inner) => self.gather(inner),
            Kind::If(parts) => parts.iter().for_each(|part| self.gather(part)),
            Kind::Binary(operator, left, right) if asks_for_a_text(*operator, left, right) => {
                for side in [left, right] {
                    if let Some(name) = dotted(side) {
                        match (self.values)(&name) {
                            Some(values) if !values.is_empty() => drop(self.names.insert(name, Name { values, at: 0 })),
                            _ => drop(self.facts.insert(self.text(node), false)),
                        }
                    }
                }
            }
            _ => drop(self.facts.insert(self.text(node), false)),
        }
    }

    /// The next way, as an odometer turns.
    fn next(&mut self) {
        for name in self.names.values_mut() {
            name.at = (name.at + 1) % name.values.len();
            if name.at > 0 {
                return;
            }
        }
        for fact in self.facts.values_mut() {
            *fact = !*fact;
            if *fact {
                return;
            }
        }
    }

    fn truth(&self, node: &Node) -> Option<bool> {
        if let Some(fact) = self.facts.get(&self.text(node)) {
            return Some(*fact);
        }
        match &node.kind {
            Kind::Bool(is) => Some(*is),
            Kind::Not(inner) => self.truth(inner).map(|is| !is),
            Kind::And(parts) => parts.iter().map(|part| self.truth(part)).try_fold(true, |all, is| Some(all & is?)),
            Kind::Or(parts) => parts.iter().map(|part| self.truth(part)).try_fold(false, |any, is| Some(any | is?)),
            Kind::If(parts) => {
                if self.truth(&parts[0])? {
                    self.truth(&parts[1])
                } else {
                    self.truth(&parts[2])
                }
            }
            Kind::Binary(operator, left, right) => {
                let one = self.word(left)?;
                match (operator, &right.kind) {
                    (Operator::In, Kind::List(items)) => Some(items.iter().any(|item| item.literal_text() == Some(one))),
                    (Operator::Equal, _) => Some(one == self.word(right)?),
                    (Operator::NotEqual, _) => Some(one != self.word(right)?),
                    _ => None,
                }
            }
            _ => None,
        }
    }

    fn word<'n>(&'n self, node: &'n Node) -> Option<&'n str> {
        node.literal_text().or_else(|| self.names.get(&dotted(node)?).map(|name| name.values[name.at].as_str()))
    }

    fn text(&self, node: &Node) -> String {
        let mut text = self.source.get(node.span.clone()).unwrap_or_default().trim();
        while let Some(inner) = text.strip_prefix('(').and_then(|text| text.strip_suffix(')')) {
            text = inner.trim();
        }
        text.to_owned()
    }
}

/// Whether it compares texts and names alone.
fn asks_for_a_text(operator: Operator, left: &Node, right: &Node) -> bool {
    let simple = |node: &Node| node.literal_text().is_some() || dotted(node).is_some();
    match (operator, &right.kind) {
        (Operator::In, Kind::List(items)) => simple(left) && items.iter().all(|item| item.literal_text().is_some()),
        (Operator::Equal | Operator::NotEqual, _) => simple(left) && simple(right) && (dotted(left).is_none() || dotted(right).is_none()),
        _ => false,
    }
}

/// `steps.look.status`, when the node is such a name.
fn dotted(node: &Node) -> Option<String> {
    match &node.kind {
        Kind::Name(name) => Some(name.clone()),
        Kind::Field(base, word) => Some(format!("{}.{}", dotted(base)?, word.text)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_come_out_both_ways_is_seen() {
        let values = |name: &str| match name {
            "incident.priority" => Some(["P1", "P2"].map(str::to_owned).to_vec()),
            "steps.look.status" => Some(["succeeded", "skipped"].map(str::to_owned).to_vec()),
            _ => None,
        };
        for (source, expected) in [
            ("true", Some(true)),
            ("\"a\" == \"b\"", Some(false)),
            ("incident.priority == \"P1\"", None),
            ("incident.priority == \"p1\"", Some(false)),
            ("incident.priority in [\"P1\", \"P2\"]", Some(true)),
            ("incident.priority != \"P1\" || incident.priority == \"P1\"", Some(true)),
            ("incident.priority == \"P1\" && incident.priority == \"P2\"", Some(false)),
            ("steps.look.status == \"failed\"", Some(false)),
            ("steps.look.status == \"failed\" && signals.x > 3", Some(false)),
            ("steps.look.status == \"failed\" || signals.x > 3", None),
            ("signals.x > 3 && !(signals.x > 3)", Some(false)),
            ("has(labels.a) || !has(labels.a)", Some(true)),
            ("labels.team == \"db\" || labels.team == \"web\"", None),
            ("labels.team == incident.priority", None),
            ("signals.x > 3 ? true : incident.priority != \"P9\"", Some(true)),
        ] {
            assert_eq!(always(source, &values), expected, "{source}");
        }
    }
}
