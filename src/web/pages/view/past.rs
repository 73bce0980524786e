//! Whether this was here before: how often of late, and what ended it last time. Knows no HTML.

use serde::Serialize;

use crate::domain::incident::Incident;
use crate::domain::run::RunStatus;
use crate::domain::time::Span;
use crate::engine::store::Kin;
use crate::web::pages::view::times::{Lens, took};
use crate::web::pages::visitor::encode;

/// How many of its family an incident's page asks for, itself among them.
pub const KIN: u32 = 100;
const DAYS: u64 = 30;

#[derive(Clone, Debug, Serialize)]
pub struct PastView {
    /// `3 times in 30 days`.
    pub times: String,
    /// All of them, as a list.
    pub href: Option<String>,
    pub last: Option<LastTime>,
}

#[derive(Clone, Debug, Serialize)]
pub struct LastTime {
    pub number: u64,
    /// `fixed by`, when a playbook did it.
    pub playbook: Option<String>,
    pub took: String,
    pub who: Option<String>,
}

/// The one of its family that ended last before this one began.
pub fn last_ended(incident: &Incident, kin: &[Kin]) -> Option<u64> {
    kin.iter().filter(|one| !one.open && one.number < incident.number).map(|one| one.number).max()
}

pub fn past(incident: &Incident, (kin, last): (&[Kin], Option<&Incident>), lens: Lens) -> PastView {
    let since = lens.now - Span::hours(24 * DAYS);
    let times = kin.iter().filter(|one| one.opened_at >= since && one.number <= incident.number).count();
    let words = match times {
        0 | 1 => format!("first time in {DAYS} days"),
        n if n >= KIN as usize => format!("more than {n} times in {DAYS} days"),
        n => format!("{n} times in {DAYS} days"),
    };
    let asked = format!("/incidents?status=all&service={}&q={}", encode(&incident.service), encode(&incident.kind));
    PastView { times: words, href: (kin.len() > 1).then_some(asked), last: last.and_then(last_time) }
}

fn last_time(last: &Incident) -> Option<LastTime> {
    let over = last.resolved_at?;
    let fixed = last.runs_in_order().into_iter().rev().find(|run| run.status == RunStatus::Succeeded);
    Some(LastTime {
        number: last.number,
        playbook: fixed.map(|run| run.playbook.clone()),
        took: took(over.since(last.opened_at)),
        who: last.acknowledged_by.clone(),
    })
}
