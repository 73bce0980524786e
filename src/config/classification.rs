//! The `classification:` section over the shipped rules: the user's come first. Knows no incident.

use std::collections::BTreeSet;

use crate::config::diagnostic::Code;
use crate::config::names::Names;
use crate::config::reader::At;
use crate::config::scope;
use crate::config::suggest;
use crate::domain::classification::Rule;
use crate::domain::expression::condition::Expression;
use crate::domain::priority::Priority;

const NO_SIGNAL: &str = "!has(signals.error_rate) && !has(signals.latency) && !has(signals.affected_users)";

/// The shipped rules: name, condition, whether it is for incidents without any signal, priority. They go by any alert that fires:
/// in a group of one critical alert and nine warnings no severity is common to all.
const SHIPPED: [(&str, &str, bool, Priority); 6] = [
    ("p1", "signals.error_rate > 0.5 || signals.affected_users > 10000", false, Priority::P1),
    ("p2", "signals.error_rate > 0.1 || signals.latency > 5.0 || signals.affected_users > 1000", false, Priority::P2),
    ("p3", "signals.error_rate > 0.05 || signals.latency > 2.0 || signals.affected_users > 100", false, Priority::P3),
    ("service-down", "\"ServiceDown\" in firing.alertname", true, Priority::P1),
    ("critical", "\"critical\" in firing.severity", true, Priority::P2),
    ("warning", "\"warning\" in firing.severity", true, Priority::P3),
];

/// All rules in the order they are asked: the user's, then the shipped ones whose name no user's rule has taken.
pub fn read(at: Option<At<'_>>, names: &Names) -> Vec<Rule> {
    let mut seen = BTreeSet::new();
    let mut rules: Vec<Rule> = at.map(At::list).unwrap_or_default().into_iter().filter_map(|at| rule(at, names, &mut seen)).collect();
    rules.extend(shipped().into_iter().filter(|rule| !seen.contains(&rule.name)));
    rules
}

/// The rules that come with Reynard.
pub fn shipped() -> Vec<Rule> {
    let schema = scope::incident();
    let rule = |(name, when, without_signal, priority): (&str, &str, bool, Priority)| {
        let when = if without_signal { format!("{when} && {NO_SIGNAL}") } else { when.to_owned() };
        // A test parses them all; one that did not parse would be missing here.
        let when = Expression::parse(&when, &schema).ok()?;
        Some(Rule { name: name.to_owned(), when, priority: Some(priority), kind: None })
    };
    SHIPPED.into_iter().filter_map(rule).collect()
}

fn rule(at: At<'_>, names: &Names, seen: &mut BTreeSet<String>) -> Option<Rule> {
    let fields = at.fields()?;
    let name = fields.required("name").and_then(|at| Some((at, at.words()?.to_owned())));
    let condition = fields.required("when");
    let priority = fields.optional("priority");
    let kind = fields.optional("type").and_then(At::words).map(str::to_owned);
    if priority.is_none() && kind.is_none() {
        fields.at().error(Code::MissingField, "the rule says neither a priority nor a type");
    }
    let priority = priority.map(self::priority);
    fields.finish();
    if let Some((at, name)) = &name
        && !seen.insert(name.clone())
    {
        at.error(Code::DuplicateName, format!("there are two rules \"{name}\""));
    }
    let when = scope::expression(condition?, &scope::incident())?;
    known_signals(condition?, &when, names);
    Some(Rule { name: name?.1, when, priority: priority.unwrap_or(None), kind })
}

/// A priority's word.
pub fn priority(at: At<'_>) -> Option<Priority> {
    at.one_of(&[("P1", Priority::P1), ("P2", Priority::P2), ("P3", Priority::P3), ("P4", Priority::P4)])
}

/// A mistyped signal is never there, so its rule would never match and nobody would see why.
fn known_signals(at: At<'_>, when: &Expression, names: &Names) {
    for read in when.names() {
        let Some(signal) = read.strip_prefix("signals.").map(|rest| rest.split('.').next().unwrap_or(rest)) else { continue };
        if names.signals.contains(signal) || !names.complete {
            continue;
        }
        let start = when.source().find(&read).map_or(0, |start| start + "signals.".len());
        let help = suggest::hint(signal, names.signals.iter().map(String::as_str));
        at.part(start..start + signal.len()).error(Code::UnknownName, format!("there is no signal \"{signal}\""), help);
    }
}
