//! What conditions and `{{ … }}` holes may read, and their faults brought to the right place in the file. Knows no values.

use std::collections::BTreeMap;

use crate::config::diagnostic::Code;
use crate::config::reader::At;
use crate::domain::expression::condition::Expression;
use crate::domain::expression::schema::{Fault, Schema, Type};
use crate::domain::expression::template::{Template, ValueTemplate};

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

/// The incident, the results of steps, the step's target.
pub fn step(earlier: &[&str], all: &[&str], target: Option<&BTreeMap<String, String>>) -> StepScope {
    StepScope { earlier: after(earlier, target), all: after(all, target) }
}

fn after(ids: &[&str], target: Option<&BTreeMap<String, String>>) -> Schema {
    let mut schema = incident();
    let result = object([("status", Type::Text), ("output", Type::Any)]);
    schema.names.insert("steps".to_owned(), object(ids.iter().map(|id| (*id, result.clone()))));
    schema.names.insert("vars".to_owned(), Type::Map(Box::new(Type::Any)));
    let extra = target.into_iter().flat_map(|extra| extra.keys().map(String::as_str));
    let fields = ["name", "kind", "service"].into_iter().chain(extra);
    schema.names.insert("target".to_owned(), object(fields.map(|name| (name, Type::Text))));
    schema
}

/// A step's condition.
pub fn step_expression(at: At<'_>, scope: &StepScope) -> Option<Expression> {
    let text = at.words()?;
    let report_all = |faults| {
        let early = Expression::parse(text, &scope.all).is_ok();
        report(at, Code::BadExpression, early, faults);
    };
    Expression::parse(text, &scope.earlier).map_err(report_all).ok()
}

/// A step's parameters, whatever they are made of, with holes in their texts.
pub fn step_values(at: At<'_>, json: &serde_json::Value, scope: &StepScope) -> Option<ValueTemplate> {
    let report_all = |faults: Vec<(String, Fault)>| {
        let early = ValueTemplate::parse(json, &scope.all).is_ok();
        for (path, fault) in faults {
            report(At { node: at.node.at_pointer(&path), ..at }, Code::BadTemplate, early, vec![fault]);
        }
    };
    ValueTemplate::parse(json, &scope.earlier).map_err(report_all).ok()
}

/// The text as a condition.
pub fn expression(at: At<'_>, schema: &Schema) -> Option<Expression> {
    Expression::parse(at.words()?, schema).map_err(|faults| report(at, Code::BadExpression, false, faults)).ok()
}

/// The text as a template.
pub fn template(at: At<'_>, schema: &Schema) -> Option<Template> {
    Template::parse(at.words()?, schema).map_err(|faults| report(at, Code::BadTemplate, false, faults)).ok()
}

/// Says each fault where it is written.
fn report(at: At<'_>, code: Code, early: bool, faults: Vec<Fault>) {
    for fault in faults {
        let place = at.part(fault.span);
        if early {
            let help = "a step reads only the results of the steps above it".to_owned();
            place.error(Code::StepOrder, "this step's result is not there yet", Some(help));
        } else {
            place.error(code, fault.message, fault.hint);
        }
    }
}

fn object<'a>(fields: impl IntoIterator<Item = (&'a str, Type)>) -> Type {
    Type::Object(fields.into_iter().map(|(name, kind)| (name.to_owned(), kind)).collect())
}
