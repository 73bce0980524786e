//! The `signals:` section: where the numbers come from that rules may use. Knows nothing of how they are asked for.

use std::collections::BTreeMap;

use crate::config::diagnostic::Code;
use crate::config::names::{self, Names};
use crate::config::reader::At;
use crate::config::scope;
use crate::domain::action::TargetKind;
use crate::domain::settings::{SignalQuery, SignalSource};

/// The signals that the shipped rules use.
pub const SHIPPED: [&str; 3] = ["error_rate", "latency", "affected_users"];

/// Every signal by name: the shipped ones, over them the user's.
pub fn read(at: Option<At<'_>>, names: &Names) -> BTreeMap<String, SignalSource> {
    let mut signals: BTreeMap<_, _> = SHIPPED.iter().map(|name| ((*name).to_owned(), by_name(name))).collect();
    for (key, at) in at.map(At::entries).unwrap_or_default() {
        if let (Some(name), Some(source)) = (names::name(key), signal(key.text(), at, names)) {
            signals.insert(name, source);
        }
    }
    signals
}

fn by_name(name: &str) -> SignalSource {
    SignalSource { label: Some(name.to_owned()), annotation: Some(name.to_owned()), prometheus: None }
}

fn signal(name: &str, at: At<'_>, names: &Names) -> Option<SignalSource> {
    let fields = at.fields()?;
    let label = fields.optional("label").and_then(At::words).map(str::to_owned);
    let annotation = fields.optional("annotation").and_then(At::words).map(str::to_owned);
    let prometheus = fields.optional("prometheus").and_then(|at| query(at, names));
    fields.finish();
    let source = if label.is_none() && annotation.is_none() { by_name(name) } else { SignalSource { label, annotation, prometheus: None } };
    Some(SignalSource { prometheus, ..source })
}

fn query(at: At<'_>, names: &Names) -> Option<SignalQuery> {
    let fields = at.fields()?;
    let target = fields.required("target");
    let query = fields.required("query").and_then(|at| scope::template(at, &scope::incident()));
    fields.finish();
    let name = names.known(target?, "target", names.targets.keys())?;
    if let Some(Some(kind)) = names.targets.get(&name)
        && *kind != TargetKind::Prometheus
    {
        target?.error(Code::WrongTarget, format!("\"{name}\" is a {kind} target, a signal asks a prometheus one"));
    }
    Some(SignalQuery { target: name, query: query? })
}
