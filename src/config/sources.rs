//! The `sources:` section: who may post deliveries. Knows nothing of HTTP.

use std::collections::BTreeSet;

use crate::config::diagnostic::Code;
use crate::config::names::{self, NAME_HELP};
use crate::config::reader::At;
use crate::config::secrets::{self, Secrets};
use crate::domain::settings::Source;

/// Every source, in the file's order.
pub fn read(at: At<'_>, secrets: &dyn Secrets) -> Vec<Source> {
    let mut seen = BTreeSet::new();
    at.list().into_iter().filter_map(|item| source(item, secrets, &mut seen)).collect()
}

fn source<'a>(at: At<'a>, secrets: &dyn Secrets, seen: &mut BTreeSet<&'a str>) -> Option<Source> {
    let fields = at.fields()?;
    let name = fields.required("name").and_then(|at| unique(at, seen));
    let token = fields.required("token").and_then(|at| secrets::secret(at, secrets));
    fields.finish();
    Some(Source { name: name?.to_owned(), token: token? })
}

fn unique<'a>(at: At<'a>, seen: &mut BTreeSet<&'a str>) -> Option<&'a str> {
    let name = at.words()?;
    if !names::is_name(name) {
        at.error_help(Code::BadName, format!("\"{name}\" is not a name"), NAME_HELP);
        return None;
    }
    if !seen.insert(name) {
        at.error(Code::DuplicateName, format!("there are two sources \"{name}\""));
    }
    Some(name)
}
