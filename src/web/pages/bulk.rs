//! Many incidents at once: `POST /incidents` with a verb and the numbers that were ticked. Says what it did, to which it could
//! not, and why. Knows no rules: whether it may be done is the engine's to say, one by one.

use axum::extract::{Form, State};
use axum::http::header::SET_COOKIE;
use axum::response::{IntoResponse, Redirect, Response};
use futures_util::future::try_join_all;

use crate::domain::decide::command::Command;
use crate::engine::error::EngineError;
use crate::engine::request::Request;
use crate::engine::store::IncidentName;
use crate::web::pages::fault::Fault;
use crate::web::pages::view::list::PAGE;
use crate::web::pages::visitor::{Notice, Undo, Visitor, local};
use crate::web::state::WebState;

/// What became of each: its number, and why not.
type Outcome = (u64, Result<(), String>);

struct Verb {
    command: Command,
    done: &'static str,
    undo: &'static str,
}

pub async fn on_incidents(
    State(web): State<WebState>,
    visitor: Visitor,
    Form(fields): Form<Vec<(String, String)>>,
) -> Result<Response, Fault> {
    let field = |wanted: &str| fields.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str());
    let numbers: Vec<&str> = fields.iter().filter(|(name, _)| name == "number").map(|(_, value)| value.as_str()).collect();
    let notice = match (verb(field("verb").unwrap_or_default()), numbers.len()) {
        (None, _) => Notice::refused("Nothing was changed: say what to do with them.".to_owned()),
        (_, 0) => Notice::refused("Nothing was changed: tick the incidents first.".to_owned()),
        (_, n) if n > 2 * PAGE as usize => Notice::refused(format!("Nothing was changed: at most {} at once.", 2 * PAGE)),
        (Some(verb), _) => {
            // Together, so that they share a commit.
            let all = numbers.into_iter().map(|number| one(&web, &visitor, &verb, (number, field("_action_id"))));
            told(&verb, &try_join_all(all).await?)
        }
    };
    Ok(([(SET_COOKIE, notice.cookie())], Redirect::to(local(field("back").or(Some("/incidents"))))).into_response())
}

fn verb(word: &str) -> Option<Verb> {
    let note = String::new();
    Some(match word {
        "acknowledge" => Verb { command: Command::Acknowledge { note }, done: "Acknowledged", undo: "unacknowledge" },
        "unacknowledge" => Verb { command: Command::Unacknowledge, done: "Taken back", undo: "acknowledge" },
        "resolve" => Verb { command: Command::Resolve { note }, done: "Resolved", undo: "unresolve" },
        "unresolve" => Verb { command: Command::Unresolve, done: "Open again", undo: "resolve" },
        "reopen" => Verb { command: Command::Reopen { note }, done: "Reopened", undo: "resolve" },
        _ => return None,
    })
}

async fn one(web: &WebState, visitor: &Visitor, verb: &Verb, (number, key): (&str, Option<&str>)) -> Result<Outcome, Fault> {
    let number: u64 = number.parse().map_err(|_| Fault::NotFound("There is no such incident."))?;
    let Some(incident) = web.runtime.reads.incident(IncidentName::Number(number)).await? else {
        return Ok((number, Err("there is no such incident".to_owned())));
    };
    let request = key.and_then(|key| key.parse::<uuid::Uuid>().ok()).map(|key| Request::of_its_own(&key.to_string(), &verb.command));
    let answer = web.runtime.command(incident.id, visitor.actor(), verb.command.clone(), request).await;
    Ok((number, answer.map(drop).map_err(why)))
}

fn why(error: EngineError) -> String {
    match error {
        EngineError::Refused(no) => no.to_string(),
        EngineError::KeyReused => "the same form was sent for something else".to_owned(),
        EngineError::NotFound => "there is no such incident".to_owned(),
        EngineError::StandingBy(_) | EngineError::NoHeir(_) => error.to_string(),
        EngineError::Mistake(_) => "Reynard made a mistake; the log has more".to_owned(),
        EngineError::Unreadable(_) | EngineError::Unavailable(_) => "it cannot be stored just now".to_owned(),
    }
}

/// One sentence for all that went well, one for each reason why not.
fn told(verb: &Verb, outcomes: &[Outcome]) -> Notice {
    let good: Vec<u64> = outcomes.iter().filter(|(_, outcome)| outcome.is_ok()).map(|(number, _)| *number).collect();
    let mut reasons: Vec<(&str, Vec<u64>)> = Vec::new();
    for (number, why) in outcomes.iter().filter_map(|(number, outcome)| outcome.as_ref().err().map(|why| (*number, why.as_str()))) {
        match reasons.iter_mut().find(|(known, _)| *known == why) {
            Some((_, numbers)) => numbers.push(number),
            None => reasons.push((why, vec![number])),
        }
    }
    let mut words: Vec<String> = Vec::new();
    if !good.is_empty() {
        words.push(format!("{} {}.", verb.done, names(&good)));
    }
    words.extend(reasons.iter().map(|(why, numbers)| format!("Not {}: {why}.", names(numbers))));
    if good.is_empty() {
        return Notice::refused(words.join(" "));
    }
    let undo = good.iter().fold(Undo::new("/incidents").with("verb", verb.undo), |undo, number| undo.with("number", number.to_string()));
    Notice::done(words.join(" "), Some(undo))
}

fn names(numbers: &[u64]) -> String {
    const SHOWN: usize = 8;
    let shown: Vec<String> = numbers.iter().take(SHOWN).map(|number| format!("#{number}")).collect();
    let rest = numbers.len().saturating_sub(SHOWN);
    if rest == 0 { shown.join(", ") } else { format!("{} and {rest} more", shown.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_what_it_did_and_to_which_it_could_not_and_why() {
        let verb = verb("acknowledge").expect("a verb");
        let taken = || Err("bo acknowledged it already".to_owned());
        let notice = told(&verb, &[(3, Ok(())), (4, taken()), (5, Ok(())), (6, taken()), (7, Err("there is no such incident".to_owned()))]);
        let words = "Acknowledged #3, #5. Not #4, #6: bo acknowledged it already. Not #7: there is no such incident.";
        assert_eq!((notice.text.as_str(), notice.tone), (words, "good"));
        let undo = notice.undo.expect("it can be taken back");
        assert_eq!(undo.fields, [("verb", "unacknowledge"), ("number", "3"), ("number", "5")].map(|(n, v)| (n.to_owned(), v.to_owned())));
        let nothing = told(&verb, &[(4, taken())]);
        assert_eq!((nothing.tone, nothing.undo), ("wait", None));
    }
}
