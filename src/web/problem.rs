//! How the API says no: RFC 9457 problems with a sentence that says what to do and an id to ask about.
//! Never shows SQL, a stack or a secret: those go to the log, under the same id.

use std::fmt::Display;

use axum::Json;
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::domain::decide::command::Refusal;
use crate::engine::error::EngineError;
use crate::engine::store::StoreError;

/// An answer that is not the one hoped for.
#[derive(Clone, Debug)]
pub struct Problem {
    pub status: StatusCode,
    pub detail: String,
    pub id: Uuid,
    /// What a program needs to know besides, by name.
    more: Map<String, Value>,
    /// Whether a browser must not ask for a password by a window of its own.
    no_window: bool,
}

/// The shape of `application/problem+json`.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct ProblemBody {
    /// `about:blank`: the status says what kind it is.
    #[schema(example = "about:blank")]
    pub r#type: &'static str,
    #[schema(example = "Conflict")]
    pub title: &'static str,
    #[schema(example = 409)]
    pub status: u16,
    /// What is wrong and what to do.
    #[schema(example = "the incident is resolved; reopen it first")]
    pub detail: String,
    pub instance: String,
    /// The same id stands in the log.
    pub id: String,
    #[serde(flatten)]
    #[schema(ignore)]
    pub more: Map<String, Value>,
}

impl Problem {
    pub fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self { status, detail: detail.into(), id: Uuid::new_v4(), more: Map::new(), no_window: false }
    }

    /// Says more to programs; what cannot be said is left out.
    pub fn with(mut self, name: &str, value: impl Serialize) -> Self {
        self.more.extend(serde_json::to_value(value).ok().map(|value| (name.to_owned(), value)));
        self
    }

    pub fn unreadable(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    pub fn conflict(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, detail)
    }

    /// There is no such `noun`.
    pub fn missing(noun: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, format!("there is no such {noun}"))
    }

    pub fn unauthorized() -> Self {
        let detail = "this needs the token of a source in reynard.yaml, as \"Authorization: Bearer …\" or as the password of basic \
                      authentication; without sources only this machine itself may post";
        Self::new(StatusCode::UNAUTHORIZED, detail)
    }

    /// Nobody has shown who they are. A browser that is asked for a password of its own (`Basic`) would put up a window for it.
    pub fn sign_in(detail: &str) -> Self {
        Self { no_window: true, ..Self::new(StatusCode::UNAUTHORIZED, detail) }
    }

    /// Try again soon. `cause` is for the log alone.
    pub fn unavailable(cause: impl Display) -> Self {
        let problem = Self::new(StatusCode::SERVICE_UNAVAILABLE, "this cannot be answered now; send it again in a few seconds");
        tracing::warn!(id = %problem.id, %cause, "answered 503");
        problem
    }

    /// A fault of ours. `cause` is for the log alone.
    pub fn fault(cause: impl Display) -> Self {
        let problem = Self::new(StatusCode::INTERNAL_SERVER_ERROR, "Reynard made a mistake; the log has more under this id");
        tracing::error!(id = %problem.id, %cause, "answered 500");
        problem
    }
}

impl From<EngineError> for Problem {
    fn from(error: EngineError) -> Self {
        match error {
            EngineError::Refused(refusal @ (Refusal::UnknownRun | Refusal::UnknownStep(_))) => {
                Self::new(StatusCode::NOT_FOUND, refusal.to_string())
            }
            EngineError::Refused(Refusal::Invalid(why)) => Self::new(StatusCode::UNPROCESSABLE_ENTITY, why),
            EngineError::Refused(refusal) => Self::conflict(refusal.to_string()),
            EngineError::NotFound => Self::missing("incident"),
            reused @ EngineError::KeyReused => Self::new(StatusCode::UNPROCESSABLE_ENTITY, reused.to_string()),
            EngineError::Unreadable(why) => Self::unreadable(why),
            EngineError::Unavailable(cause) => Self::unavailable(cause),
            EngineError::StandingBy(node) => Self::new(StatusCode::SERVICE_UNAVAILABLE, standing_by(&node)),
            EngineError::NoHeir(why) => Self::conflict(why),
            EngineError::Mistake(cause) => Self::fault(cause),
        }
    }
}

/// In the log this is one line for each change of the active node, and not one for each answer.
fn standing_by(node: &str) -> String {
    match node {
        "" => "this node stands by and another is about to be active; send it again in a few seconds".to_owned(),
        node => format!("this node stands by; {node} is active: send it there, or again in a few seconds"),
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        Self::unavailable(error)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = ProblemBody {
            r#type: "about:blank",
            title: self.status.canonical_reason().unwrap_or("Error"),
            status: self.status.as_u16(),
            detail: self.detail,
            instance: self.id.urn().to_string(),
            id: self.id.to_string(),
            more: self.more,
        };
        let headers = [(CONTENT_TYPE, "application/problem+json"), (CACHE_CONTROL, "no-store")];
        let advice = match self.status {
            StatusCode::UNAUTHORIZED if self.no_window => Some([(WWW_AUTHENTICATE, "Bearer")]),
            StatusCode::UNAUTHORIZED => Some([(WWW_AUTHENTICATE, "Bearer, Basic realm=\"reynard\"")]),
            StatusCode::SERVICE_UNAVAILABLE => Some([(RETRY_AFTER, "2")]),
            _ => None,
        };
        match advice {
            Some(advice) => (self.status, advice, headers, Json(body)).into_response(),
            None => (self.status, headers, Json(body)).into_response(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_no_of_the_engine_has_its_status_and_keeps_its_secrets() {
        for (error, status, said) in [
            (EngineError::Refused(Refusal::Resolved), 409, "reopen it first"),
            (EngineError::NotFound, 404, "no such incident"),
            (EngineError::Refused(Refusal::Invalid("at most a week".to_owned())), 422, "a week"),
            (EngineError::KeyReused, 422, "take a new key"),
            (EngineError::Unreadable("line 3".to_owned()), 400, "line 3"),
            (EngineError::Unavailable("select * from jobs".to_owned()), 503, "again in a few seconds"),
            (EngineError::StandingBy("b:5001".to_owned()), 503, "b:5001 is active"),
        ] {
            let problem = Problem::from(error);
            assert_eq!(problem.status.as_u16(), status);
            assert!(problem.detail.contains(said) && !problem.detail.contains("select"), "{}", problem.detail);
            assert_eq!(problem.into_response().headers().contains_key(RETRY_AFTER), status == 503);
        }
    }
}
