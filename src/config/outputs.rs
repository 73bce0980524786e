//! What each step's output will be, by what its action declares, so that `steps.ID.output.FIELD` is checked before anything runs.
//! Knows no value.

use std::collections::BTreeMap;

use crate::config::yaml::{Key, Node, Value};
use crate::domain::action::{ParamType, Spec, Specs};
use crate::domain::expression::schema::Type;

/// A type for each step's id; a step that is not there may give anything.
pub type Outputs = BTreeMap<String, Type>;

/// Before any step has been looked at.
pub static NOTHING: Outputs = Outputs::new();

/// The outputs of all steps in a list, of those within other steps too.
pub fn of_steps(list: &Node, specs: &Specs) -> Outputs {
    let mut outputs = Outputs::new();
    gather(list, specs, &mut outputs);
    outputs
}

fn gather(list: &Node, specs: &Specs, outputs: &mut Outputs) {
    let Value::List(items) = &list.value else { return };
    for item in items {
        // The branches of a `parallel` may be lists themselves.
        gather(item, specs, outputs);
        let Value::Map(fields) = &item.value else { continue };
        if let (Some(id), Some(output)) = (text(fields, "id"), output(fields, specs)) {
            outputs.insert(id.to_owned(), output);
        }
        fields.iter().for_each(|(_, within)| gather(within, specs, outputs));
    }
}

/// None where what comes out cannot be known: an unknown action, a step that is done once for each of many.
fn output(fields: &[(Key, Node)], specs: &Specs) -> Option<Type> {
    if fields.iter().any(|(key, _)| key.text == "for_each") {
        return None;
    }
    let spec = specs.get(text(fields, "action")?)?;
    // Where a check has answered for the step, its own output stands there instead.
    let checked = fields.iter().any(|(key, _)| key.text == "check").then(|| ("checked".to_owned(), Type::Any));
    Some(Type::Object(declared(spec).chain(checked).collect()))
}

fn declared(spec: &Spec) -> impl Iterator<Item = (String, Type)> {
    spec.output.iter().map(|field| (field.name.to_owned(), type_of(field.kind)))
}

fn type_of(kind: ParamType) -> Type {
    match kind {
        ParamType::Text => Type::Text,
        ParamType::Number => Type::Number,
        ParamType::Bool => Type::Bool,
        ParamType::Span => Type::Duration,
        ParamType::Texts => Type::list(Type::Text),
        ParamType::TextMap => Type::map(Type::Text),
        ParamType::Json => Type::Any,
    }
}

fn text<'a>(fields: &'a [(Key, Node)], name: &str) -> Option<&'a str> {
    let (_, node) = fields.iter().find(|(key, _)| key.text == name)?;
    if let Value::Text(text) = &node.value { Some(text) } else { None }
}
