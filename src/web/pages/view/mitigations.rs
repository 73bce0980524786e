//! What automation has put in force, each with its end and a way to take it back now. Knows no HTML.

use serde::Serialize;

use crate::domain::incident::Incident;
use crate::domain::mitigation::{Ends, Grip, Mitigation, by_hand, in_force};
use crate::domain::settings::Rulebook;
use crate::domain::timeline::deed;
use crate::web::pages::view::times::{Countdown, Lens, Moment};

#[derive(Clone, Debug, Serialize)]
pub struct MitigationView {
    pub title: String,
    pub deed: String,
    pub icon: &'static str,
    pub tone: &'static str,
    pub words: &'static str,
    pub until: Option<Countdown>,
    pub since: Option<Moment>,
    /// How it is taken back without Reynard, once Reynard could not.
    pub by_hand: Option<String>,
    /// The page that asks whether to take it back now.
    pub href: Option<String>,
}

pub fn mitigations(incident: &Incident, rulebook: &Rulebook, lens: Lens) -> Vec<MitigationView> {
    in_force(incident, rulebook).iter().map(|mitigation| view(mitigation, lens)).collect()
}

fn view(mitigation: &Mitigation<'_>, lens: Lens) -> MitigationView {
    let state = mitigation.state;
    let (icon, tone, words) = match (mitigation.grip, mitigation.ends) {
        (Grip::Stuck, _) => ("cross", "bad", "could not be taken back"),
        (Grip::Undoing, _) => ("undo", "wait", "is being taken back"),
        (Grip::Perhaps, _) => ("doubt", "doubt", "may be in force: nobody knows that it did nothing"),
        (Grip::InForce, Ends::OnResolve) => ("clock", "wait", "until the incident is resolved"),
        (Grip::InForce, Ends::OnFailure) => ("clock", "wait", "unless its playbook fails"),
        (Grip::InForce, Ends::At(_)) => ("clock", "wait", "is taken back"),
    };
    let until = match (mitigation.grip, mitigation.ends) {
        (Grip::InForce, Ends::At(at)) => Some(lens.countdown(at)),
        (Grip::Undoing, _) => state.retry_at.map(|at| lens.countdown(at)),
        _ => None,
    };
    let under_way = state.undoing && state.retry_at.is_none();
    MitigationView {
        title: if state.title.is_empty() { mitigation.step.to_owned() } else { state.title.clone() },
        deed: deed(&state.action, state.target.as_deref()),
        icon,
        tone,
        words,
        until,
        since: state.ended_at.or(state.started_at).map(|at| lens.moment(at)),
        by_hand: (mitigation.grip == Grip::Stuck).then(|| by_hand(state)),
        href: (!under_way).then(|| format!("/runs/{}/steps/{}/undo", mitigation.run.id, mitigation.step)),
    }
}
