//! The `limits:` and `incidents:` sections, and a playbook's own `limits:`. Knows nothing of what is counted.

use crate::config::diagnostic::Code;
use crate::config::reader::At;
use crate::domain::limits::GlobalLimits;
use crate::domain::playbook::PlaybookLimits;
use crate::domain::settings::IncidentSettings;

/// `limits:` of `reynard.yaml`.
pub fn global(at: At<'_>) -> Option<GlobalLimits> {
    let fields = at.fields()?;
    let default = GlobalLimits::default();
    let limits = GlobalLimits {
        destructive: fields.optional("destructive").and_then(At::parsed).unwrap_or(default.destructive),
        per_target: fields.optional("per_target").and_then(At::parsed).unwrap_or(default.per_target),
        correlated: fields.optional("correlated").and_then(share).unwrap_or(default.correlated),
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

fn share(at: At<'_>) -> Option<f64> {
    let text = at.text()?;
    let percent: Option<f64> = text.strip_suffix('%').and_then(|number| number.trim().parse().ok());
    let share = percent.filter(|percent| (0.0..=100.0).contains(percent)).map(|percent| percent / 100.0);
    if share.is_none() {
        at.error_help(Code::BadValue, format!("\"{text}\" is not a share"), "write for example 30%");
    }
    share
}
