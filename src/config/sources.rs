//! The `sources:` section: who may post deliveries. Knows nothing of HTTP.

use std::collections::{BTreeMap, BTreeSet};

use crate::config::diagnostic::Code;
use crate::config::names::{self, NAME_HELP};
use crate::config::reader::At;
use crate::config::secrets::{self, Secrets};
use crate::config::watch;
use crate::domain::settings::Source;
use crate::domain::watch::Watchdog;

/// What a source's alert that always fires is called.
type Watchdogs = BTreeMap<String, Watchdog>;

/// Every source, in the file's order, once for each of its tokens: while one is changed for another, both hold. And the watchdogs of
/// those that have one.
pub fn read(at: At<'_>, secrets: &dyn Secrets) -> (Vec<Source>, Watchdogs) {
    let (mut seen, mut watchdogs) = (BTreeSet::new(), Watchdogs::new());
    let sources = at.list().into_iter().flat_map(|item| source(item, secrets, (&mut seen, &mut watchdogs))).collect();
    (sources, watchdogs)
}

fn source<'a>(at: At<'a>, secrets: &dyn Secrets, (seen, watchdogs): (&mut BTreeSet<&'a str>, &mut Watchdogs)) -> Vec<Source> {
    let Some(fields) = at.fields() else { return Vec::new() };
    let name = fields.required("name").and_then(|at| unique(at, seen));
    let dog = fields.optional("watchdog").and_then(watch::watchdog);
    watchdogs.extend(name.zip(dog).map(|(name, dog)| (name.to_owned(), dog)));
    let given = fields.required("token");
    fields.finish();
    let items = given.map(At::one_or_many).unwrap_or_default();
    if let (Some(at), true) = (given, items.is_empty()) {
        at.error(Code::BadValue, "a source needs a token");
    }
    let tokens: Vec<_> = items.into_iter().filter_map(|at| secrets::secret(at, secrets)).collect();
    let Some(name) = name else { return Vec::new() };
    tokens.into_iter().map(|token| Source { name: name.to_owned(), token }).collect()
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
