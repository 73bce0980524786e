//! What people do with forms: every one becomes a command to the engine and is answered 303, back to the page.
//! Knows no rules: whether it may be done is the engine's to say, and a no is shown as a calm word.

use axum::extract::{Form, Path, State};
use axum::http::header::SET_COOKIE;
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;
use uuid::Uuid;

use crate::domain::decide::command::Command;
use crate::domain::id::{IncidentId, RunId};
use crate::domain::incident::{Incident, Status};
use crate::domain::run::StepStatus;
use crate::domain::timeline::Outcome;
use crate::engine::error::EngineError;
use crate::engine::request::Request;
use crate::engine::store::IncidentName;
use crate::web::pages::fault::Fault;
use crate::web::pages::incident::parse_name;
use crate::web::pages::visitor::{Notice, Undo, Visitor, local};
use crate::web::record::armed_by;
use crate::web::state::WebState;

/// Every field that any form carries.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Fields {
    _action_id: Option<String>,
    back: Option<String>,
    note: Option<String>,
    text: Option<String>,
    #[serde(rename = "for")]
    span: Option<String>,
    priority: Option<String>,
    to: Option<String>,
    outcome: Option<String>,
    /// Who acts, where this browser does not know it yet.
    by: Option<String>,
}

pub async fn on_incident(
    State(web): State<WebState>,
    Path((name, verb)): Path<(String, String)>,
    visitor: Visitor,
    Form(fields): Form<Fields>,
) -> Result<Response, Fault> {
    let missing = || Fault::NotFound("There is no such incident.");
    let incident = web.runtime.reads.incident(parse_name(&name).ok_or_else(missing)?).await?.ok_or_else(missing)?;
    let undo = opposite(&verb, &incident);
    let done = if is_over_at_once(&verb, &fields) { "The snooze ends." } else { done(&verb) };
    let wish = wish(&verb, &fields).map(|command| Wish { id: incident.id, command, done, undo, deed: verb });
    Ok(put(&web, wish, &visitor, &fields, &format!("/incidents/{name}")).await)
}

pub async fn on_run(
    State(web): State<WebState>,
    Path(run): Path<String>,
    visitor: Visitor,
    Form(fields): Form<Fields>,
) -> Result<Response, Fault> {
    let (run, id) = find_run(&web, &run).await?;
    let command = Command::CancelRun { run, note: fields.note() };
    let wish = Wish { id, command, done: "Cancelled: what has not begun will not begin.", undo: None, deed: format!("cancel:{run}") };
    Ok(put(&web, Ok(wish), &visitor.named(fields.by.as_deref()), &fields, &format!("/incidents/{id}")).await)
}

pub async fn on_step(
    State(web): State<WebState>,
    Path((run, step, verb)): Path<(String, String, String)>,
    visitor: Visitor,
    Form(fields): Form<Fields>,
) -> Result<Response, Fault> {
    let (run, id) = find_run(&web, &run).await?;
    let deed = format!("{verb}:{run}:{step}");
    let visitor = visitor.named(fields.by.as_deref());
    let doubtful = is_in_doubt(&web, id, (run, &step)).await?;
    let wish = step_wish(run, step, &verb, &fields).and_then(|command| {
        if ["approve", "reject"].contains(&verb.as_str()) {
            visitor.caller.demand_person().map_err(|no| format!("Not done: {}.", no.detail))?;
        }
        let answers = ["approve", "reject", "settle"].contains(&verb.as_str()) || (doubtful && ["retry", "skip"].contains(&verb.as_str()));
        if answers && visitor.name.is_none() {
            return Err(NAMELESS.to_owned());
        }
        if doubtful && ["settle", "retry", "skip"].contains(&verb.as_str()) && fields.note().is_empty() {
            return Err("Say how you know: what did you see?".to_owned());
        }
        Ok(Wish { id, command, done: done(&verb), undo: None, deed })
    });
    Ok(put(&web, wish, &visitor, &fields, &format!("/incidents/{id}")).await)
}

/// Arms the breaker of a playbook again.
pub async fn rearm(
    State(web): State<WebState>,
    Path(slug): Path<String>,
    visitor: Visitor,
    Form(fields): Form<Fields>,
) -> Result<Response, Fault> {
    let visitor = visitor.named(fields.by.as_deref());
    let wish = match (armed_by(&*web.runtime.reads, &slug).await?, &visitor.name, fields.note()) {
        (None, ..) => Err(format!("The breaker of {slug} is not open: nothing to arm.")),
        (_, None, _) => Err(NAMELESS.to_owned()),
        (_, _, note) if note.is_empty() => Err("Say why: what was wrong, and what is different now?".to_owned()),
        (Some(id), Some(_), note) => {
            let command = Command::Rearm { playbook: slug.clone(), note };
            Ok(Wish { id, command, done: "Armed again: it may change things.", undo: None, deed: format!("rearm:{slug}") })
        }
    };
    Ok(put(&web, wish, &visitor, &fields, "/playbooks").await)
}

/// A command and the words for when it is done.
struct Wish {
    id: IncidentId,
    command: Command,
    done: &'static str,
    undo: Option<Undo>,
    /// Together with the form's id, what this request is known by.
    deed: String,
}

const NAMELESS: &str = "Say who you are: your name stands behind it.";

/// Whether nobody knows what became of the step, so that whatever is said of it needs a name and a reason.
async fn is_in_doubt(web: &WebState, id: IncidentId, (run, step): (RunId, &str)) -> Result<bool, Fault> {
    let incident = web.runtime.reads.incident(IncidentName::Id(id)).await?;
    let state = incident.as_ref().and_then(|incident| incident.runs.get(&run)?.steps.get(step));
    Ok(state.is_some_and(|state| state.status == StepStatus::InDoubt))
}

async fn find_run(web: &WebState, run: &str) -> Result<(RunId, IncidentId), Fault> {
    let missing = || Fault::NotFound("There is no such run.");
    let run: RunId = run.parse().map_err(|_| missing())?;
    Ok((run, web.runtime.reads.incident_of_run(run).await?.ok_or_else(missing)?))
}

async fn put(web: &WebState, wish: Result<Wish, String>, visitor: &Visitor, fields: &Fields, page: &str) -> Response {
    let notice = match wish {
        Err(words) => Notice::refused(words),
        Ok(wish) => {
            let request = fields.request(&wish.deed, &wish.command);
            match web.runtime.command(wish.id, visitor.actor(), wish.command, request).await {
                Ok(_) => Notice::done(wish.done, wish.undo),
                Err(EngineError::Refused(no)) => Notice::refused(format!("Nothing was changed: {no}.")),
                Err(EngineError::Mistake(_)) => Notice::refused("Not done: Reynard made a mistake; the log has more.".to_owned()),
                Err(error) => Notice::refused(format!("Not done: {error}. Try again in a moment.")),
            }
        }
    };
    let back = fields.back.as_deref().map_or(page, |back| local(Some(back)));
    ([(SET_COOKIE, notice.cookie())], Redirect::to(back)).into_response()
}

impl Fields {
    fn note(&self) -> String {
        self.note.as_deref().unwrap_or_default().trim().to_owned()
    }

    /// Going back in the browser and writing something else into the same form is another request.
    fn request(&self, deed: &str, command: &Command) -> Option<Request> {
        let id = self._action_id.as_deref()?.parse::<Uuid>().ok()?;
        Some(Request::of_its_own(&format!("{id}:{deed}"), command))
    }
}

/// The command that a form on an incident stands for.
fn wish(verb: &str, fields: &Fields) -> Result<Command, String> {
    let note = fields.note();
    Ok(match verb {
        "acknowledge" => Command::Acknowledge { note },
        "unacknowledge" => Command::Unacknowledge,
        "resolve" => Command::Resolve { note },
        "unresolve" => Command::Unresolve,
        "reopen" => Command::Reopen { note },
        "snooze" => {
            Command::Snooze { span: said(&fields.span).parse().map_err(|error: crate::domain::time::SpanError| error.to_string())? }
        }
        "priority" => Command::SetPriority { priority: said(&fields.priority).parse()?, note },
        "comment" => Command::Comment { text: said(&fields.text).to_owned() },
        "assign" => Command::Assign { to: said(&fields.to).to_owned() },
        "escalate" => Command::Escalate { note },
        other => return Err(format!("There is no \"{other}\" for an incident.")),
    })
}

fn step_wish(run: RunId, step: String, verb: &str, fields: &Fields) -> Result<Command, String> {
    let note = fields.note();
    Ok(match verb {
        "approve" | "reject" => Command::AnswerApproval { run, step, yes: verb == "approve", note },
        "settle" => {
            let outcome = match said(&fields.outcome) {
                "succeeded" => Outcome::Succeeded,
                "failed" => Outcome::Failed,
                _ => return Err("Say whether it took effect.".to_owned()),
            };
            Command::SettleStep { run, step, outcome, note }
        }
        "retry" => Command::RetryStep { run, step, note },
        "skip" => Command::SkipStep { run, step, note },
        "undo" => Command::UndoStep { run, step, note },
        other => return Err(format!("There is no \"{other}\" for a step.")),
    })
}

fn said(field: &Option<String>) -> &str {
    field.as_deref().unwrap_or_default().trim()
}

fn done(verb: &str) -> &'static str {
    match verb {
        "acknowledge" => "Acknowledged: it is yours, nobody else is paged.",
        "unacknowledge" => "Taken back: escalation begins again.",
        "resolve" => "Resolved.",
        "unresolve" => "Open again, as it was before.",
        "reopen" => "Reopened: escalation begins again.",
        "snooze" => "Snoozed.",
        "priority" => "Priority set; your choice stays.",
        "comment" => "Written down.",
        "assign" => "Assigned.",
        "escalate" => "The next level is being told.",
        "settle" => "Thank you. The playbook goes on from there.",
        "approve" => "Approved: it goes on.",
        "reject" => "Rejected: the step fails.",
        "retry" => "It is run again.",
        "skip" => "Skipped.",
        "undo" => "It is being taken back.",
        _ => "Done.",
    }
}

/// What takes it back, as things are before it is done.
fn opposite(verb: &str, incident: &Incident) -> Option<Undo> {
    let to = |verb: &str| Undo::new(format!("/incidents/{}/{verb}", incident.number));
    match verb {
        "acknowledge" => Some(to("unacknowledge")),
        "unacknowledge" => Some(to("acknowledge")),
        "resolve" => Some(to("unresolve")),
        "reopen" | "unresolve" => Some(to("resolve")),
        "priority" => Some(to("priority").with("priority", incident.priority.to_string())),
        // A snooze cannot be unsaid, but it can be over.
        "snooze" if incident.status == Status::Triggered => Some(to("snooze").with("for", AT_ONCE)),
        "snooze" if incident.status == Status::Acknowledged => Some(to("acknowledge")),
        _ => None,
    }
}

/// A snooze that is no snooze: it ends the one before.
const AT_ONCE: &str = "1s";

fn is_over_at_once(verb: &str, fields: &Fields) -> bool {
    verb == "snooze" && said(&fields.span) == AT_ONCE
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::priority::Priority;
    use crate::domain::time::Span;

    #[test]
    fn forms_become_commands() {
        let fields = Fields {
            note: Some(" mine ".to_owned()),
            span: Some("15m".to_owned()),
            priority: Some("P2".to_owned()),
            outcome: Some("failed".to_owned()),
            ..Fields::default()
        };
        assert_eq!(wish("acknowledge", &fields), Ok(Command::Acknowledge { note: "mine".to_owned() }));
        assert_eq!(wish("snooze", &fields), Ok(Command::Snooze { span: Span::minutes(15) }));
        assert_eq!(wish("priority", &fields), Ok(Command::SetPriority { priority: Priority::P2, note: "mine".to_owned() }));
        assert!(wish("snooze", &Fields::default()).is_err_and(|words| words.contains("90s, 5m")));
        assert!(wish("explode", &fields).is_err());
        let settled = step_wish(RunId::default(), "reset".to_owned(), "settle", &fields);
        assert!(matches!(settled, Ok(Command::SettleStep { outcome: Outcome::Failed, .. })));
        assert!(step_wish(RunId::default(), "reset".to_owned(), "settle", &Fields::default()).is_err());
    }

    #[test]
    fn what_can_be_taken_back_says_how() {
        let incident = Incident { number: 7, priority: Priority::P2, ..Incident::default() };
        for (verb, way) in [
            ("acknowledge", Some("/incidents/7/unacknowledge")),
            ("resolve", Some("/incidents/7/unresolve")),
            ("priority", Some("/incidents/7/priority")),
            ("snooze", Some("/incidents/7/snooze")),
            ("comment", None),
            ("escalate", None),
        ] {
            assert_eq!(opposite(verb, &incident).map(|undo| undo.action).as_deref(), way, "{verb}");
        }
        assert_eq!(opposite("priority", &incident).map(|undo| undo.fields), Some(vec![("priority".to_owned(), "P2".to_owned())]));
    }

    #[test]
    fn a_form_sent_twice_is_one_request() {
        let fields = Fields { _action_id: Some("0b0e7a1c-31c5-4b38-9f3c-5a0e1d2f7a66".to_owned()), ..Fields::default() };
        let (mine, yours) = (Command::Comment { text: "mine".to_owned() }, Command::Comment { text: "yours".to_owned() });
        assert_eq!(fields.request("comment", &mine), fields.request("comment", &mine));
        assert_ne!(fields.request("comment", &mine), fields.request("comment", &yours));
        assert_ne!(fields.request("comment", &mine), fields.request("resolve", &mine));
        assert_eq!(Fields { _action_id: Some("x".repeat(9_000)), ..Fields::default() }.request("comment", &mine), None);
    }
}
