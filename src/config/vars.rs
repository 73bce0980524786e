//! A playbook's `vars:`: what a run may be given when it starts, with types and defaults. Knows no run.

use std::collections::BTreeMap;

use crate::config::diagnostic::Code;
use crate::config::names;
use crate::config::reader::At;
use crate::domain::playbook::{Var, VarKind};

/// Every var that is whole. `starts_by_itself` says that nobody will be there to give one.
pub fn read(at: At<'_>, starts_by_itself: bool) -> BTreeMap<String, Var> {
    at.entries().into_iter().filter_map(|(key, at)| Some((names::name(key)?, one(at, starts_by_itself)?))).collect()
}

fn one(at: At<'_>, starts_by_itself: bool) -> Option<Var> {
    let fields = at.fields()?;
    let kind = fields.required("type").and_then(|at| at.one_of(&VarKind::ALL));
    let default = fields.optional("default");
    if default.is_none() && starts_by_itself {
        let help = "give it a default: this playbook starts by itself, and nobody is there to say".to_owned();
        at.place().error(Code::MissingField, "\"default\" is missing", Some(help));
    }
    fields.finish();
    let (kind, default) = (kind?, default.map(|at| (at, at.node.to_json())));
    if let Some((at, value)) = &default
        && let Err(why) = kind.takes(value)
    {
        at.error(Code::WrongType, format!("the default {why}"));
        return None;
    }
    Some(Var { kind, default: default.map(|(_, value)| value) })
}
