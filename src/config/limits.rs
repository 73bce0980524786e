//! The `limits:`, `incidents:` and `retention:` sections, and a playbook's own `limits:`. Knows nothing of what is counted.

use crate::config::diagnostic::Code;
use crate::config::reader::At;
use crate::config::yaml::Value;
use crate::domain::limits::GlobalLimits;
use crate::domain::playbook::PlaybookLimits;
use crate::domain::settings::{IncidentSettings, Retention};
use crate::domain::time::Span;

/// What is kept for less would be gone before anybody could look into it.
const LEAST_KEPT: Span = Span::hours(24);

/// `limits:` of `reynard.yaml`.
pub fn global(at: At<'_>) -> Option<GlobalLimits> {
    let fields = at.fields()?;
    let default = GlobalLimits::default();
    let limits = GlobalLimits {
        destructive: fields.optional("destructive").and_then(At::parsed).unwrap_or(default.destructive),
        per_target: fields.optional("per_target").and_then(At::parsed).unwrap_or(default.per_target),
        per_service: fields.optional("per_service").and_then(At::parsed),
        share: fields.optional("share").and_then(share),
        correlated: fields.optional("correlated").and_then(share).unwrap_or(default.correlated),
        breaker: fields.optional("breaker").and_then(failures).unwrap_or(default.breaker),
    };
    fields.finish();
    Some(limits)
}

/// `limits:` of a playbook.
pub fn playbook(at: At<'_>) -> Option<PlaybookLimits> {
    let fields = at.fields()?;
    let limits = PlaybookLimits {
        concurrency: fields.optional("concurrency").and_then(|at| at.whole(1, 10_000)),
        per_target: fields.optional("per_target").and_then(At::parsed),
        breaker: fields.optional("breaker").and_then(|at| at.whole(1, 100)),
    };
    fields.finish();
    Some(limits)
}

/// `incidents:` of `reynard.yaml`.
pub fn incidents(at: At<'_>) -> Option<IncidentSettings> {
    let fields = at.fields()?;
    let default = IncidentSettings::default();
    let group_by =
        fields.optional("group_by").map(|at| at.one_or_many().into_iter().filter_map(|at| at.words().map(str::to_owned)).collect());
    let settings = IncidentSettings {
        group_by: group_by.unwrap_or(default.group_by),
        settle: fields.optional("settle").and_then(At::span).unwrap_or(default.settle),
        reopen_within: fields.optional("reopen_within").and_then(At::span).unwrap_or(default.reopen_within),
        stale_after: fields.optional("stale_after").and_then(At::span).unwrap_or(default.stale_after),
    };
    fields.finish();
    Some(settings)
}

/// `retention:` of `reynard.yaml`.
pub fn retention(at: At<'_>) -> Option<Retention> {
    let fields = at.fields()?;
    let default = Retention::default();
    let retention = Retention {
        deliveries: fields.optional("deliveries").and_then(kept).unwrap_or(default.deliveries),
        resolved: fields.optional("resolved").and_then(kept).unwrap_or(default.resolved),
    };
    fields.finish();
    Some(retention)
}

/// How long something is kept; `forever`, or 0, is for ever.
fn kept(at: At<'_>) -> Option<Option<Span>> {
    if matches!(&at.node.value, Value::Text(word) if word == "forever") {
        return Some(None);
    }
    match at.span()? {
        Span::ZERO => Some(None),
        span if span >= LEAST_KEPT => Some(Some(span)),
        span => {
            at.error_help(Code::BadValue, format!("{span} is less than a day"), "write for example 30d, or forever");
            None
        }
    }
}

/// Failures in a row; `never`, for no breaker at all.
fn failures(at: At<'_>) -> Option<Option<u32>> {
    match &at.node.value {
        Value::Text(word) if word == "never" => Some(None),
        _ => at.whole(1, 100).map(Some),
    }
}

fn share(at: At<'_>) -> Option<f64> {
    let text = at.text()?;
    let percent: Option<f64> = text.strip_suffix('%').and_then(|number| number.trim().parse().ok());
    let share = percent.filter(|percent| (0.0..=100.0).contains(percent)).map(|percent| percent / 100.0);
    if share.is_none() {
        at.error_help(Code::BadValue, format!("\"{text}\" is not a share"), "write for example 30%");
    }
    share
}
