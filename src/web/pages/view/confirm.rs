//! The second page before what nobody can take back: what exactly will happen, in plain sentences. Knows no HTML.

use serde::Serialize;

use crate::domain::incident::Incident;
use crate::domain::playbook::{Playbook, Undo};
use crate::domain::run::{Run, StepStatus};
use crate::domain::settings::Rulebook;
use crate::web::pages::view::incident::title;
use crate::web::pages::view::machine::plan_of;
use crate::web::pages::view::times::Lens;

#[derive(Clone, Debug, Serialize)]
pub struct ConfirmView {
    pub number: u64,
    pub priority: String,
    pub title: String,
    pub question: String,
    pub sentences: Vec<String>,
    /// Where the form goes, and the words on its button.
    pub action: String,
    pub button: &'static str,
    /// What was said already: why, and by whom.
    pub note: String,
    pub by: String,
    /// Whether nobody knows what happened, so that a reason has to be given.
    pub doubtful: bool,
}

/// What becomes of a step that is under way, and of several.
const CUT_OFF: (&str, &str) = (
    "is under way and is cut off: if nobody knows then whether it took effect, it says so.",
    "are under way and are cut off: if nobody knows then whether one took effect, it says so.",
);

pub fn cancel_view(incident: &Incident, run: &Run, rulebook: &Rulebook) -> ConfirmView {
    let plan = plan_of(run, rulebook);
    let named = |wanted: &[StepStatus]| -> Vec<String> {
        let own = run.steps.iter().filter(|(_, state)| state.items.is_empty() && wanted.contains(&state.status));
        own.map(|(id, state)| quoted(if state.title.is_empty() { id } else { &state.title })).collect()
    };
    let plan = plan.filter(|_| !run.status.is_over());
    let ahead: Vec<String> = plan.map(|plan| ahead(plan, run)).unwrap_or_default();
    let undone: Vec<String> = plan.map(|plan| undone(plan, run)).unwrap_or_default();
    let mut sentences = Vec::new();
    if run.status.is_over() {
        sentences.push("It is over already: there is nothing left to cancel.".to_owned());
    }
    sentences.extend(sentence(&named(&[StepStatus::Running]), CUT_OFF.0, CUT_OFF.1));
    let doubtful = "stays in doubt: nobody knows whether it took effect.";
    sentences.extend(sentence(&named(&[StepStatus::InDoubt]), doubtful, "stay in doubt: nobody knows whether they took effect."));
    sentences.extend(sentence(&named(&[StepStatus::Waiting]), "waits and is not tried again.", "wait and are not tried again."));
    sentences.extend(sentence(&ahead, "does not begin.", "do not begin."));
    sentences.extend(sentence(&undone, "is undone, as the playbook says.", "are undone, as the playbook says."));
    sentences.push("People go on being told. The run cannot be taken up again; another can be started.".to_owned());
    view(incident, format!("Cancel the run of {}?", run.playbook), (sentences, format!("/runs/{}/cancel", run.id), "Cancel this run"))
}

/// Trying again, or leaving out, a step that changes things or of which nobody knows whether it did.
pub fn step_view(incident: &Incident, (run, step, verb): (&Run, &str, &str), rulebook: &Rulebook, lens: Lens) -> Option<ConfirmView> {
    let state = run.steps.get(step)?;
    let name = quoted(if state.title.is_empty() { step } else { &state.title });
    let on = state.target.as_ref().map_or_else(String::new, |target| format!(" on {target}"));
    let mut sentences = Vec::new();
    if state.status == StepStatus::InDoubt {
        let sent = state.started_at.map_or_else(String::new, |at| format!(" at {}", lens.moment(at).short));
        sentences.push(format!("{name} ({}{on}) was sent{sent}. Nobody knows whether it took effect.", state.action));
    }
    let (question, button) = match verb {
        "retry" => {
            let twice = if state.status == StepStatus::InDoubt { " If it took effect before, it happens twice." } else { "" };
            sentences.push(format!("It is sent now, once, as attempt {}.{twice}", state.attempt + 1));
            (format!("Run {name} again?"), "Run it again")
        }
        "skip" => {
            let ahead = plan_of(run, rulebook).map(|plan| ahead(plan, run)).unwrap_or_default();
            sentences.push("It is left out.".to_owned());
            let next = ahead.first().map_or_else(|| "The playbook ends.".to_owned(), |next| format!("The playbook goes on with {next}."));
            sentences.push(next);
            (format!("Skip {name}?"), "Skip it")
        }
        "undo" => {
            sentences.push(format!("{name} ({}{on}) is taken back now; the playbook would have waited.", state.action));
            sentences.push("What it protects from can come back. It is not done again by itself.".to_owned());
            (format!("Take {name} back now?"), "Take it back")
        }
        _ => return None,
    };
    let view = view(incident, question, (sentences, format!("/runs/{}/steps/{step}/{verb}", run.id), button));
    Some(ConfirmView { doubtful: state.status == StepStatus::InDoubt, ..view })
}

fn view(incident: &Incident, question: String, (sentences, action, button): (Vec<String>, String, &'static str)) -> ConfirmView {
    ConfirmView {
        number: incident.number,
        priority: incident.priority.to_string(),
        title: title(incident),
        question,
        sentences,
        action,
        button,
        note: String::new(),
        by: String::new(),
        doubtful: false,
    }
}

/// What has not begun.
fn ahead(plan: &Playbook, run: &Run) -> Vec<String> {
    let begun = |id: &str| run.steps.get(id).is_some_and(|state| state.status != StepStatus::Pending);
    plan.steps.iter().filter(|step| !begun(&step.id)).map(|step| quoted(&step.title)).collect()
}

/// What was done and is taken back when the run fails.
fn undone(plan: &Playbook, run: &Run) -> Vec<String> {
    let done = |id: &str| run.steps.get(id).is_some_and(|state| state.status == StepStatus::Succeeded);
    plan.steps.iter().filter(|step| step.undo == Undo::OnFailure && done(&step.id)).map(|step| quoted(&step.title)).collect()
}

fn sentence(names: &[String], one: &str, more: &str) -> Option<String> {
    let verb = if names.len() == 1 { one } else { more };
    (!names.is_empty()).then(|| format!("{} {verb}", names.join(", ")))
}

fn quoted(title: &str) -> String {
    format!("“{title}”")
}
