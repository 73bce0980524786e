//! Which targets are in trouble: those that the firing alerts of open incidents name. Knows no run and no limit.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::domain::id::IncidentId;
use crate::domain::labels::Labels;
use crate::domain::settings::{Rulebook, Target};

/// Labels that say where an alert comes from. One of them names a target if it holds the target's name, its address, or what the
/// target's own setting of that name says (`deployment: orders-api`).
pub const NAMING: [&str; 10] = ["target", "instance", "host", "node", "pod", "container", "deployment", "statefulset", "database", "unit"];

/// Alert by alert, so that what has ended is taken out again. Only alerts that name a target are kept.
#[derive(Clone, Debug, Default)]
pub struct Troubles {
    of: BTreeMap<IncidentId, Arc<BTreeMap<String, BTreeSet<String>>>>,
}

impl Troubles {
    /// An alert fires with these labels.
    pub fn fires(&mut self, incident: IncidentId, fingerprint: &str, labels: &Labels, rulebook: &Rulebook) {
        let named = named(labels, rulebook);
        if named.is_empty() {
            return self.ends(incident, fingerprint);
        }
        Arc::make_mut(self.of.entry(incident).or_default()).insert(fingerprint.to_owned(), named);
    }

    pub fn ends(&mut self, incident: IncidentId, fingerprint: &str) {
        let Some(alerts) = self.of.get_mut(&incident) else { return };
        Arc::make_mut(alerts).remove(fingerprint);
        if alerts.is_empty() {
            self.of.remove(&incident);
        }
    }

    /// The incident is over, whatever its alerts said last.
    pub fn over(&mut self, incident: IncidentId) {
        self.of.remove(&incident);
    }

    pub fn targets(&self) -> BTreeSet<&str> {
        self.of.values().flat_map(|alerts| alerts.values()).flatten().map(String::as_str).collect()
    }
}

/// Every word that a label may have for its value so that its alert may name one of the targets. Nobody needs to look at alerts that
/// have none of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Words(BTreeSet<String>);

impl Words {
    pub fn of(rulebook: &Rulebook) -> Self {
        let own = |target: &Target| {
            let set = NAMING.iter().filter_map(|label| target.extra.get(*label)).cloned();
            let address = address(target.url.expose()).into_iter().flat_map(|(address, host)| [address.to_owned(), host.to_owned()]);
            set.chain(address).chain([target.name.clone()]).collect::<Vec<_>>()
        };
        rulebook.targets.values().flat_map(own).collect()
    }

    /// Whether these labels may name a target: some do not that may, none do that may not.
    pub fn may_be_in(&self, labels: &Labels) -> bool {
        NAMING.iter().filter_map(|label| labels.get(*label)).any(|value| self.0.contains(value))
    }

    /// The same of the same words alone: their SHA-256. A word has no line break within, or does no harm with it.
    pub fn digest(&self) -> String {
        let lines: Vec<&str> = self.0.iter().map(String::as_str).collect();
        Sha256::digest(lines.join("\n")).iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl FromIterator<String> for Words {
    fn from_iter<I: IntoIterator<Item = String>>(words: I) -> Self {
        Self(words.into_iter().filter(|word| !word.is_empty()).collect())
    }
}

/// The targets that an alert's labels name.
fn named(labels: &Labels, rulebook: &Rulebook) -> BTreeSet<String> {
    let naming: Vec<(&str, &str)> = NAMING.iter().filter_map(|name| Some((*name, labels.get(*name)?.as_str()))).collect();
    let is_named = |target: &&Target| naming.iter().any(|(label, value)| names(target, label, value));
    if naming.is_empty() { BTreeSet::new() } else { rulebook.targets.values().filter(is_named).map(|target| target.name.clone()).collect() }
}

fn names(target: &Target, label: &str, value: &str) -> bool {
    !value.is_empty()
        && (value == target.name || target.extra.get(label).is_some_and(|own| own == value) || is_address(target.url.expose(), value))
}

/// Whether the value is the host of a URL, with or without its port.
fn is_address(url: &str, value: &str) -> bool {
    // Many things have one machine for their address; that one is named by its port, too.
    let is_one = |host| !matches!(host, "localhost" | "127.0.0.1" | "[::1]");
    address(url).is_some_and(|(address, host)| value == address || (value == host && is_one(host)))
}

/// Where a URL leads, with its port if it has one and without. What it says before its `@` is nobody's business.
fn address(url: &str) -> Option<(&str, &str)> {
    let (_, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let address = authority.rsplit('@').next().unwrap_or_default();
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    (!address.is_empty()).then_some((address, host))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_told_from_the_rest_of_its_url() {
        for (url, value, is) in [
            ("postgres://me:secret@db-1:5432/orders", "db-1:5432", true),
            ("postgres://me:secret@db-1:5432/orders", "db-1", true),
            ("postgres://me:secret@db-1:5432/orders", "secret", false),
            ("postgres://me:secret@db-1:5432/orders", "me:secret@db-1:5432", false),
            ("http://localhost:8081", "localhost", false),
            ("http://localhost:8081", "localhost:8081", true),
            ("nothing", "nothing", false),
        ] {
            assert_eq!(is_address(url, value), is, "{url} {value}");
        }
    }
}
