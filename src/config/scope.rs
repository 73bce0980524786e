//! What conditions and `{{ … }}` holes may read, and their faults brought to the right place in the file. Knows no values.

use std::collections::BTreeMap;

use crate::config::diagnostic::Code;
use crate::config::outputs::Outputs;
use crate::config::reader::At;
use crate::config::yaml::Value;
use crate::domain::expression::condition::Expression;
use crate::domain::expression::fault::Fault;
use crate::domain::expression::schema::{Schema, Type};
use crate::domain::expression::template::{Template, ValueTemplate};
use crate::domain::playbook::{Var, VarKind};

/// What a classification rule may read.
pub fn incident() -> Schema {
    let texts = || Type::Map(Box::new(Type::Text));
    let alert = object([("labels", texts()), ("annotations", texts()), ("status", Type::Text)]);
    let fields = ["title", "type", "service", "source", "priority", "status"].map(|name| (name, Type::Text));
    let incident = object(fields.into_iter().chain([("number", Type::Number)]));
    let names = [
        ("incident", incident),
        ("labels", texts()),
        ("annotations", texts()),
        ("firing", Type::Map(Box::new(Type::List(Box::new(Type::Text))))),
        ("signals", Type::Map(Box::new(Type::Number))),
        ("alerts", Type::List(Box::new(alert))),
    ];
    Schema { names: names.into_iter().map(|(name, kind)| (name.to_owned(), kind)).collect() }
}

/// What a step may read, and what it could read if all steps had run: the difference is a step out of order.
#[derive(Clone, Debug)]
pub struct StepScope {
    pub earlier: Schema,
    pub all: Schema,
}

/// What a step may read beside the incident and other steps.
#[derive(Clone, Copy, Debug)]
pub struct Own<'a> {
    pub vars: &'a BTreeMap<String, Var>,
    /// What each step's output is, by the step's id.
    pub outputs: &'a Outputs,
    /// What the kind of its target adds, if it has one.
    pub target: Option<&'a [&'a str]>,
}

impl StepScope {
    /// The item that a `for_each` is at.
    pub fn adds_item(&mut self, name: &str, kind: &Type) {
        for schema in [&mut self.earlier, &mut self.all] {
            schema.names.insert(name.to_owned(), kind.clone());
        }
    }
}

/// The incident, the results of steps, the run's vars, and the target of a step that has one.
pub fn step(earlier: &[&str], all: &[&str], own: Own<'_>) -> StepScope {
    StepScope { earlier: after(earlier, own), all: after(all, own) }
}

fn after(ids: &[&str], own: Own<'_>) -> Schema {
    let mut schema = incident();
    let result = |id: &str| object([("status", Type::Text), ("output", own.outputs.get(id).cloned().unwrap_or(Type::Any))]);
    schema.names.insert("steps".to_owned(), object(ids.iter().map(|id| (*id, result(id)))));
    schema.names.insert("vars".to_owned(), object(own.vars.iter().map(|(name, var)| (name.as_str(), type_of(var.kind)))));
    if let Some(extra) = own.target {
        let fields = ["name", "kind", "service"].iter().chain(extra);
        schema.names.insert("target".to_owned(), object(fields.map(|name| (*name, Type::Text))));
    }
    schema
}

fn type_of(kind: VarKind) -> Type {
    match kind {
        VarKind::Text => Type::Text,
        VarKind::Number => Type::Number,
        VarKind::Bool => Type::Bool,
        VarKind::Duration => Type::Duration,
        VarKind::Texts => Type::list(Type::Text),
    }
}

/// The list that a `for_each` goes through, and the type of its items.
pub fn step_list(at: At<'_>, scope: &StepScope) -> Option<(Expression, Type)> {
    let text = at.words()?;
    let say = |faults| report(at, Code::BadExpression, Expression::parse(text, &scope.all).is_ok(), faults);
    let list = Expression::parse(text, &scope.earlier).map_err(say).ok()?;
    let item = match list.result_type() {
        Type::List(item) => (**item).clone(),
        Type::Any => Type::Any,
        other => {
            at.error(Code::BadExpression, format!("for_each goes through a list, this is {other}"));
            return None;
        }
    };
    Some((list, item))
}

/// A step's condition.
pub fn step_expression(at: At<'_>, scope: &StepScope) -> Option<Expression> {
    let text = at.words()?;
    let say = |faults| report(at, Code::BadExpression, Expression::parse(text, &scope.all).is_ok(), faults);
    decides(at, Expression::parse(text, &scope.earlier).map_err(say).ok()?)
}

/// A step's parameters, whatever they are made of, with holes in their texts.
pub fn step_values(at: At<'_>, json: &serde_json::Value, scope: &StepScope) -> Option<ValueTemplate> {
    let parsed = ValueTemplate::parse(json, &scope.earlier);
    if parsed.is_err() {
        step_texts(at, scope);
    }
    parsed.ok()
}

/// Says what is wrong with each text below; a text knows its place best when it is read by itself.
fn step_texts(at: At<'_>, scope: &StepScope) {
    match &at.node.value {
        Value::Text(text) => {
            if let Err(faults) = Template::parse(text, &scope.earlier) {
                let early = Template::parse(text, &scope.all).is_ok();
                report(at, Code::BadTemplate, early, faults);
            }
        }
        Value::List(items) => items.iter().for_each(|node| step_texts(At { node, ..at }, scope)),
        Value::Map(entries) => entries.iter().for_each(|(_, node)| step_texts(At { node, ..at }, scope)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// The text as a condition.
pub fn expression(at: At<'_>, schema: &Schema) -> Option<Expression> {
    let parsed = Expression::parse(at.words()?, schema);
    decides(at, parsed.map_err(|faults| report(at, Code::BadExpression, false, faults)).ok()?)
}

/// The text as a template.
pub fn template(at: At<'_>, schema: &Schema) -> Option<Template> {
    Template::parse(at.words()?, schema).map_err(|faults| report(at, Code::BadTemplate, false, faults)).ok()
}

/// A condition is true or false; of what is read from other systems that is not known before.
fn decides(at: At<'_>, condition: Expression) -> Option<Expression> {
    if matches!(condition.result_type(), Type::Bool | Type::Any) {
        return Some(condition);
    }
    let message = format!("a condition must be true or false, this is {}", condition.result_type());
    at.error_help(Code::BadExpression, message, "compare it with something, or ask has(…)");
    None
}

/// Says each fault at its place in the file.
fn report(at: At<'_>, code: Code, early: bool, faults: Vec<Fault>) {
    for Fault { span, message, hint } in faults {
        if early {
            let help = "a step reads only the results of the steps above it".to_owned();
            at.part(span).error(Code::StepOrder, "this step's result is not there yet", Some(help));
        } else {
            at.part(span).error(code, message, hint);
        }
    }
}

fn object<'a>(fields: impl IntoIterator<Item = (&'a str, Type)>) -> Type {
    Type::Object(fields.into_iter().map(|(name, kind)| (name.to_owned(), kind)).collect())
}
