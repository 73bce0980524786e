//! Who asks, as far as it is shown: a person by their session, a program by its token, or nobody. Decides whose name an act goes by.

use std::convert::Infallible;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::StatusCode;
use axum::http::request::Parts;

use crate::domain::sign_in::{Mode, SignInSettings};
use crate::domain::time::Timestamp;
use crate::engine::sessions::Session;
use crate::web::problem::Problem;

/// Left at a request by the guard; without one, names are what one says.
#[derive(Clone, Debug, Default)]
pub struct Caller {
    pub proof: Option<Proof>,
    pub mode: Mode,
    /// Whether people can sign in.
    pub offered: bool,
    /// Whether anybody who reaches this may act under any name, and others than this machine reach it.
    pub exposed: bool,
    settings: Arc<SignInSettings>,
}

#[derive(Clone, Debug)]
pub enum Proof {
    Session(Session),
    /// A token's name, and whose it is.
    Token(String, Option<String>),
    /// What releasing takes; it is nobody's.
    Release,
}

impl Caller {
    pub fn new(settings: &Arc<SignInSettings>, proof: Option<Proof>, exposed: bool) -> Self {
        let (mode, offered) = (settings.mode(), settings.is_offered());
        let exposed = exposed && mode == Mode::Optional;
        Self { proof, mode, offered, exposed, settings: settings.clone() }
    }

    pub fn session(&self) -> Option<&Session> {
        match &self.proof {
            Some(Proof::Session(session)) => Some(session),
            _ => None,
        }
    }

    /// The name that it is shown to have.
    pub fn name(&self) -> Option<&str> {
        match self.proof.as_ref()? {
            Proof::Session(session) => Some(&session.person),
            Proof::Token(name, person) => Some(person.as_ref().unwrap_or(name)),
            Proof::Release => None,
        }
    }

    /// Whether a name that is only said counts: nobody has to show theirs, and it is not one that somebody can show.
    pub fn may_say(&self, name: &str) -> bool {
        self.proof.is_none() && self.mode == Mode::Optional && !self.settings.is_taken(name)
    }

    /// Whether names are said here rather than shown.
    pub fn says(&self) -> bool {
        self.proof.is_none() && self.mode == Mode::Optional
    }

    /// A program that is nobody's has no say where a person's is asked for.
    pub fn demand_person(&self) -> Result<(), Problem> {
        match &self.proof {
            Some(Proof::Token(name, None)) => {
                let detail =
                    format!("this takes a person, and the token \"{name}\" is nobody's; give it a `person:` in reynard.yaml, or sign in");
                Err(Problem::new(StatusCode::FORBIDDEN, detail))
            }
            _ => Ok(()),
        }
    }

    /// Whether automation may be let loose: a token of its own, or a person who signed in lately.
    pub fn may_release(&self, now: Timestamp) -> Result<(), Problem> {
        match &self.proof {
            Some(Proof::Release) => Ok(()),
            Some(Proof::Session(session)) if session.is_fresh(now) => Ok(()),
            Some(Proof::Session(_)) => Err(Problem::new(StatusCode::FORBIDDEN, OLD)),
            Some(Proof::Token(..)) => Err(Problem::new(StatusCode::FORBIDDEN, TOKEN)),
            None => Err(Problem::sign_in(RELEASE)),
        }
    }
}

const OLD: &str = "releasing automation takes a sign-in of the last 12 hours; sign in again";
const TOKEN: &str = "a token of `tokens` does not release automation; a person who has signed in does, or hold.release_token";
const RELEASE: &str = "releasing automation takes a person who has signed in, or hold.release_token as \"Authorization: Bearer …\"";

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(parts.extensions.get::<Self>().cloned().unwrap_or_default())
    }
}
