//! The reading beat of every handler: addresses, questions, bodies and people, parsed into domain types or a problem.
//! Knows no routes and asks nothing.

use std::collections::HashMap;

use axum::RequestPartsExt;
use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

use crate::domain::id::{DeliveryId, IncidentId, RunId};
use crate::domain::timeline::Actor;
use crate::engine::request::{self, digest};
use crate::engine::store::IncidentName;
use crate::web::problem::Problem;
use crate::web::sign_in::caller::{Caller, Proof};

/// The header that names the person acting.
pub const ACTOR: &str = "reynard-actor";
/// The header that makes a request safe to send twice.
pub const IDEMPOTENCY_KEY: &str = "idempotency-key";

const LONGEST_NAME: usize = 64;
const NOT_SHOWN: &str = "whoever goes by that name signs in on the page, or has a token of `tokens` in reynard.yaml";
const LONGEST_KEY: usize = 255;

/// `{id}` of an incident: the UUID or the short number.
pub struct Named(pub IncidentName);

impl<S: Send + Sync> FromRequestParts<S> for Named {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        incident_name(&parameter(parts, "id").await?).map(Self).ok_or_else(|| Problem::missing("incident"))
    }
}

/// `{name}` of a node.
pub struct OfNode(pub String);

impl<S: Send + Sync> FromRequestParts<S> for OfNode {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        parameter(parts, "name").await.map(Self)
    }
}

/// `{id}` of a run.
pub struct OfRun(pub RunId);

impl<S: Send + Sync> FromRequestParts<S> for OfRun {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        parameter(parts, "id").await?.parse().map(Self).map_err(|_| Problem::missing("run"))
    }
}

/// `{step}` of a run.
pub struct OfStep(pub String);

impl<S: Send + Sync> FromRequestParts<S> for OfStep {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        parameter(parts, "step").await.map(Self)
    }
}

/// `{id}` of a delivery.
pub struct OfDelivery(pub DeliveryId);

impl<S: Send + Sync> FromRequestParts<S> for OfDelivery {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        parameter(parts, "id").await?.parse().map(Self).map_err(|_| Problem::missing("delivery"))
    }
}

/// What stands after the `?`.
pub struct Queried<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Queried<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let Query(query) = Query::try_from_uri(&parts.uri).map_err(|error| Problem::unreadable(error.body_text()))?;
        Ok(Self(query))
    }
}

/// A JSON body; an empty one counts as `{}`.
pub struct Wish<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Wish<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let bytes = Bytes::from_request(request, state).await.map_err(|error| Problem::new(error.status(), error.body_text()))?;
        let text: &[u8] = if bytes.trim_ascii().is_empty() { b"{}" } else { &bytes };
        serde_json::from_slice(text).map(Self).map_err(|error| Problem::unreadable(format!("the JSON body cannot be used: {error}")))
    }
}

/// Who asks, and under which idempotency key.
pub struct Asking {
    name: Option<String>,
    caller: Caller,
    /// The key, good for one address: the same key elsewhere is another request.
    pub request: Option<request::Request>,
}

impl<S: Send + Sync> FromRequestParts<S> for Asking {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let caller = parts.extensions.get::<Caller>().cloned().unwrap_or_default();
        let key = header(parts, IDEMPOTENCY_KEY, LONGEST_KEY)?;
        let request = key.map(|key| request::Request::from(format!("{} {key}", parts.uri.path()).as_str()));
        Ok(Self { name: header(parts, ACTOR, LONGEST_NAME)?, caller, request })
    }
}

impl Asking {
    /// Knows the request by these words rather than by what they come to: "until 9" is fewer minutes each time it is sent.
    pub fn in_words(mut self, words: &str) -> Self {
        self.request = self.request.map(|request| request::Request { asked: Some(digest(words)), ..request });
        self
    }

    /// The person who is shown to ask; where nobody has to show anything the header's name, else the body's `by`, else `api`.
    pub fn actor(&self, by: Option<String>) -> Result<Actor, Problem> {
        let said = self.said(by)?;
        match (self.caller.name(), &self.caller.proof) {
            (Some(name), _) => Ok(Actor::Person(name.to_owned())),
            (None, Some(Proof::Release)) => {
                let said = said.map(|name| format!("{name}, by the release token"));
                Ok(Actor::Person(said.unwrap_or_else(|| "the release token".to_owned())))
            }
            _ => {
                let name = said.unwrap_or_else(|| "api".to_owned());
                if self.caller.may_say(&name) { Ok(Actor::Person(name)) } else { Err(Problem::sign_in(NOT_SHOWN)) }
            }
        }
    }

    /// The same where it has to be a person.
    pub fn person(&self, by: Option<String>) -> Result<Actor, Problem> {
        self.caller.demand_person()?;
        self.actor(by)
    }

    /// The name that somebody gives.
    fn said(&self, by: Option<String>) -> Result<Option<String>, Problem> {
        let name = self.name.clone().or(by).map(|name| name.trim().to_owned()).filter(|name| !name.is_empty());
        match name {
            Some(name) if name.chars().count() > LONGEST_NAME || name.chars().any(char::is_control) => {
                Err(Problem::unreadable(format!("a person's name has at most {LONGEST_NAME} letters and no control characters")))
            }
            name => Ok(name),
        }
    }
}

/// Reads an incident's name as it stands in addresses.
pub fn incident_name(text: &str) -> Option<IncidentName> {
    match text.parse::<u64>() {
        Ok(number) => Some(IncidentName::Number(number)),
        Err(_) => text.parse::<IncidentId>().ok().map(IncidentName::Id),
    }
}

async fn parameter(parts: &mut Parts, name: &str) -> Result<String, Problem> {
    let Path(mut all) = parts.extract::<Path<HashMap<String, String>>>().await.map_err(|error| Problem::unreadable(error.body_text()))?;
    all.remove(name).ok_or_else(|| Problem::fault(format!("the route has no {{{name}}}")))
}

fn header(parts: &Parts, name: &str, longest: usize) -> Result<Option<String>, Problem> {
    let Some(value) = parts.headers.get(name) else {
        return Ok(None);
    };
    let text = std::str::from_utf8(value.as_bytes()).ok().filter(|text| text.chars().count() <= longest);
    let text =
        text.ok_or_else(|| Problem::new(StatusCode::BAD_REQUEST, format!("the header {name} is UTF-8 of at most {longest} letters")))?;
    Ok(Some(text.to_owned()).filter(|text| !text.is_empty()))
}
