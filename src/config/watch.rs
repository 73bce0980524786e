//! The `watch:` section, and a source's watchdog. Knows nothing of what is looked at.

use crate::config::diagnostic::Code;
use crate::config::reader::At;
use crate::config::secrets::Secrets;
use crate::config::targets;
use crate::domain::secret::Secret;
use crate::domain::time::Span;
use crate::domain::watch::{WatchSettings, Watchdog};

/// More often than that would only keep the disk busy.
const LEAST: Span = Span::seconds(1);

/// Where somebody outside is told that all is well, and how often.
pub fn read(at: At<'_>, secrets: &dyn Secrets) -> Option<(Option<Secret>, WatchSettings)> {
    let fields = at.fields()?;
    let heartbeat = fields.optional("heartbeat").and_then(|at| targets::address(at, secrets, &["http", "https"]));
    let every = fields.optional("every").and_then(at_least).unwrap_or(WatchSettings::default().every);
    fields.finish();
    Some((heartbeat, WatchSettings { every }))
}

/// `watchdog: { alertname: Watchdog, within: 10m }`
pub fn watchdog(at: At<'_>) -> Option<Watchdog> {
    let fields = at.fields()?;
    let alertname = fields.optional("alertname").and_then(At::words).unwrap_or("Watchdog").to_owned();
    let within = fields.optional("within").and_then(at_least).unwrap_or(Span::minutes(10));
    fields.finish();
    Some(Watchdog { alertname, within })
}

fn at_least(at: At<'_>) -> Option<Span> {
    let span = at.span()?;
    if span < LEAST {
        at.error_help(Code::BadValue, format!("{span} is too short: Reynard looks once a second at most"), "write for example 1m");
        return None;
    }
    Some(span)
}
