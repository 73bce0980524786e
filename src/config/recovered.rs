//! A playbook's `recovered:`: how a run knows that the trouble is over. It becomes the playbook's last step. Knows no run.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, json};

use crate::config::diagnostic::Code;
use crate::config::outputs::NOTHING;
use crate::config::reader::{At, Fields};
use crate::config::scope::{self, Own};
use crate::config::steps::Context;
use crate::domain::action::{OnInterrupt, TargetKind};
use crate::domain::expression::template::ValueTemplate;
use crate::domain::playbook::{ALERTS_RESOLVED, Check, OnFailure, RECOVERED, Retry, Step, Undo, Var};
use crate::domain::time::Span;

const PROMETHEUS: &str = "prometheus.wait_until";
const HOLD: Span = Span::minutes(1);
const WITHIN: Span = Span::minutes(10);
/// How often Prometheus is asked at the most, and at the least: a short while is looked at more closely.
const ASKED_EVERY: (Span, Span) = (Span(250), Span::seconds(5));
/// Beyond its own time the step has a minute to come to an end.
const GRACE: Span = Span::minutes(1);

/// What is asked, of whom.
struct Question {
    action: &'static str,
    target: Option<String>,
    with: ValueTemplate,
}

/// The step; none when something is wrong with it, which has been said.
pub fn read(at: At<'_>, context: Context<'_>, vars: &BTreeMap<String, Var>, steps: &[Arc<Step>]) -> Option<Step> {
    let fields = at.fields()?;
    let hold = fields.optional("for").map_or(Some(HOLD), At::span);
    let within = fields.optional("within").map_or(Some(WITHIN), At::span);
    let question = match (fields.optional("alerts"), fields.optional("query")) {
        (Some(alerts), None) => alerts_resolved(alerts, hold, within),
        (None, Some(query)) => prometheus(&fields, query, (hold, within), (context, vars, steps)),
        _ => {
            let help = "write alerts: resolved, or a query with its target".to_owned();
            fields.at().place().error(Code::MissingField, "it says either alerts or query", Some(help));
            fields.optional("target");
            None
        }
    };
    fields.finish();
    if steps.iter().any(|step| step.id == RECOVERED) {
        let message = format!("there is a step \"{RECOVERED}\" already, and this is one too");
        at.error_help(Code::DuplicateName, message, "leave that step out, or give it another id");
    }
    let (question, hold, within) = (question?, hold?, within?);
    if within < hold {
        at.error(Code::BadValue, format!("it cannot hold for {hold} within {within}"));
    }
    Some(step(question, within))
}

fn alerts_resolved(alerts: At<'_>, hold: Option<Span>, within: Option<Span>) -> Option<Question> {
    alerts.one_of(&[("resolved", ())])?;
    let with = json!({ "for": written(hold?), "within": written(within?) });
    let nothing = scope::step(&[], &[], Own { vars: &BTreeMap::new(), outputs: &NOTHING, target: None });
    Some(Question { action: ALERTS_RESOLVED, target: None, with: ValueTemplate::parse(&with, &nothing.earlier).ok()? })
}

type Around<'a> = (Context<'a>, &'a BTreeMap<String, Var>, &'a [Arc<Step>]);

fn prometheus(fields: &Fields<'_>, query: At<'_>, (hold, within): (Option<Span>, Option<Span>), around: Around<'_>) -> Option<Question> {
    let (context, vars, steps) = around;
    let target = fields.required("target").and_then(|at| {
        let name = context.names.known(at, "target", context.names.targets.keys())?;
        match context.names.targets.get(&name) {
            Some(Some(kind)) if *kind != TargetKind::Prometheus => {
                at.error(Code::WrongTarget, format!("\"{name}\" is a {kind} target; Prometheus is asked"));
                None
            }
            _ => Some(name),
        }
    });
    let all: Vec<&str> = steps.iter().map(|step| step.id.as_str()).collect();
    let scope = scope::step(&all, &all, Own { vars, outputs: context.outputs, target: None });
    let asked = scope::step_values(query, &json!(query.words()?), &scope);
    let with = Map::from_iter([
        ("query".to_owned(), json!(query.words()?)),
        ("for".to_owned(), json!(written(hold?))),
        ("within".to_owned(), json!(written(within?))),
        ("every".to_owned(), json!(written(pause(within?)))),
    ]);
    asked?;
    Some(Question { action: PROMETHEUS, target: Some(target?), with: ValueTemplate::parse(&with.into(), &scope.earlier).ok()? })
}

/// So that a short while has its twenty looks, too.
fn pause(within: Span) -> Span {
    let (least, most) = ASKED_EVERY;
    Span(within.0 / 20).clamp(least, most)
}

/// As a step of its own: it ends the run, changes nothing, and asks anew after a stop.
fn step(question: Question, within: Span) -> Step {
    let Question { action, target, with } = question;
    let check = Check { action: action.to_owned(), target: target.clone(), with: with.clone() };
    Step {
        id: RECOVERED.to_owned(),
        lane: None,
        each: None,
        item_name: None,
        approval: None,
        title: "Recovered".to_owned(),
        when: None,
        action: action.to_owned(),
        target,
        with,
        timeout: Span(within.0.saturating_add(GRACE.0)),
        retry: Retry::default(),
        on_failure: OnFailure::Escalate,
        on_interrupt: OnInterrupt::Retry,
        undo: Undo::Never,
        check: Some(Arc::new(check)),
        destructive: false,
    }
}

/// As a parameter is written.
fn written(span: Span) -> String {
    format!("{}ms", span.as_millis())
}
