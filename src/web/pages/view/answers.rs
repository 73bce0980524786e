//! What a person sees before they answer for a step: exactly what was or will be done, how far limits are used, what it did before.
//! Knows no HTML and no rules.

use serde::Serialize;

use crate::domain::evidence::Attempted;
use crate::domain::limits::Gauge;
use crate::domain::run::{Run, StepState, StepStatus};
use crate::domain::time::Span;
use crate::domain::timeline::{asked, deed, told};
use crate::web::pages::view::face::step_face;
use crate::web::pages::view::machine::{RunView, StepView, readable};
use crate::web::pages::view::times::{Countdown, Lens, Moment, took};
use crate::web::record::{Past, Record};

/// A request for a yes: who may give it, exactly for what, and what follows without it.
#[derive(Clone, Debug, Serialize)]
pub struct ApprovalView {
    pub by: String,
    pub deed: Option<String>,
    pub with: Option<String>,
    pub until: Countdown,
    pub otherwise: &'static str,
    /// Whoever asked for the run, who may not answer.
    pub not_by: Option<String>,
    /// Why it asks, where the step does not say so itself.
    pub why: Option<String>,
    /// Who has said yes, where one is not enough.
    pub yes: Option<String>,
    pub gauges: Vec<GaugeView>,
    pub before: Vec<PastView>,
    /// Where it was never come to before.
    pub first: bool,
}

/// How far one limit is used up.
#[derive(Clone, Debug, Serialize)]
pub struct GaugeView {
    pub limit: String,
    pub words: String,
    pub used: u32,
    pub of: u32,
    pub full: bool,
    /// Once it is full: when there is room again.
    pub free: Option<Countdown>,
}

/// How the same step ended an earlier time.
#[derive(Clone, Debug, Serialize)]
pub struct PastView {
    pub number: u64,
    pub word: &'static str,
    pub tone: &'static str,
    pub at: Moment,
    pub took: Option<String>,
    pub reason: Option<String>,
}

/// What is known of an attempt of which nobody knows whether it took effect.
#[derive(Clone, Debug, Serialize)]
pub struct Doubt {
    pub sent: Option<Moment>,
    pub attempt: u32,
    /// Whether its run is over: it is neither run again nor skipped any more.
    pub over: bool,
    pub evidence: Vec<AttemptView>,
}

/// One attempt: what was on disk before it was sent, and what came of it.
#[derive(Clone, Debug, Serialize)]
pub struct AttemptView {
    pub attempt: u32,
    pub sent: Moment,
    pub deed: String,
    pub key: String,
    pub with: Option<String>,
    pub word: &'static str,
    pub ended: Option<Moment>,
    pub answer: Option<String>,
    /// What it said when nobody waited any more, and when.
    pub late: Option<LateView>,
}

/// An answer that changed nothing and may tell all the same what happened.
#[derive(Clone, Debug, Serialize)]
pub struct LateView {
    pub at: Moment,
    pub said: String,
}

pub fn approval(run: &Run, state: &StepState, lens: Lens) -> Option<ApprovalView> {
    let request = state.approval.as_ref().filter(|_| !run.status.is_over() && state.awaits_approval())?;
    let yes = (request.of > 1).then(|| match request.yes.as_slice() {
        [] => format!("Nobody of {} has said yes yet.", request.of),
        some => format!("{} of {} have said yes: {}.", some.len(), request.of, some.join(", ")),
    });
    Some(ApprovalView {
        by: asked(&request.by, request.of),
        deed: (state.action != "approval").then(|| deed(&state.action, state.target.as_deref())),
        with: readable(&state.params),
        until: lens.countdown(request.expires_at),
        otherwise: told(request.otherwise),
        not_by: run.requested_by.clone(),
        why: request.why.as_deref().map(sentence),
        yes,
        gauges: Vec::new(),
        before: Vec::new(),
        first: false,
    })
}

/// With a capital and a full stop, among other sentences.
fn sentence(words: &str) -> String {
    let mut letters = words.chars();
    letters.next().map_or_else(String::new, |first| format!("{}{}.", first.to_uppercase(), letters.as_str()))
}

pub fn doubt(run: &Run, state: &StepState, lens: Lens) -> Option<Doubt> {
    let doubtful = state.status == StepStatus::InDoubt;
    doubtful.then(|| Doubt {
        sent: state.started_at.map(|at| lens.moment(at)),
        attempt: state.attempt,
        over: run.status.is_over(),
        evidence: Vec::new(),
    })
}

/// The steps of the shown runs that wait for somebody's word: run and step.
pub fn wanting(runs: &[RunView]) -> Vec<(String, String)> {
    let steps = |run: &RunView| -> Vec<String> {
        let all = run.steps.iter().flat_map(|step| std::iter::once(step).chain(&step.items));
        all.filter(|step| step.approval.is_some() || step.doubt.is_some()).map(|step| step.id.clone()).collect()
    };
    runs.iter().flat_map(|run| steps(run).into_iter().map(|step| (run.id.clone(), step))).collect()
}

/// Puts what was found out about a step where it is shown.
pub fn tell(runs: &mut [RunView], (run, step): (&str, &str), record: &Record, lens: Lens) {
    let all = runs.iter_mut().filter(|view| view.id == run).flat_map(|view| &mut view.steps);
    let of_step = all.flat_map(|view| if view.id == step { vec![view] } else { view.items.iter_mut().collect() });
    for StepView { approval, doubt, .. } in of_step.filter(|view| view.id == step) {
        if let Some(approval) = approval {
            approval.gauges = record.gauges.iter().map(|gauge| gauge_view(gauge, lens)).collect();
            approval.before = record.before.iter().map(|past| past_view(past, lens)).collect();
            approval.first = approval.before.is_empty();
        }
        if let Some(doubt) = doubt {
            doubt.evidence = record.attempts.iter().map(|known| attempt_view(known, lens)).collect();
        }
    }
}

fn gauge_view(gauge: &Gauge, lens: Lens) -> GaugeView {
    GaugeView {
        limit: gauge.name.to_owned(),
        words: gauge.to_string(),
        used: gauge.used.min(gauge.rate.count),
        of: gauge.rate.count,
        full: gauge.free_at.is_some(),
        free: gauge.free_at.map(|at| lens.countdown(at)),
    }
}

fn past_view(past: &Past, lens: Lens) -> PastView {
    let (_, word, tone) = step_face(past.status);
    let took = past.took_ms.map(|ms| took(Span(ms)));
    PastView { number: past.incident, word, tone, at: lens.moment(past.at), took, reason: past.reason.clone() }
}

fn attempt_view(known: &Attempted, lens: Lens) -> AttemptView {
    let undo = if known.undo { "undo of " } else { "" };
    AttemptView {
        attempt: known.attempt,
        sent: lens.moment(known.sent_at),
        deed: format!("{undo}{}", deed(&known.action, known.target.as_deref())),
        key: known.key.clone(),
        with: readable(&known.params),
        word: if known.status == "in_doubt" { "no answer" } else { known.status },
        ended: known.ended_at.map(|at| lens.moment(at)),
        answer: known.answer.clone(),
        late: known.late.as_ref().map(|late| LateView { at: lens.moment(late.at), said: late.said.clone() }),
    }
}
