//! Who may release automation where nobody can sign in: whoever shows the token, or without one whoever is at this machine.
//! Where people can, `sign_in/caller.rs` says it, and the token still does.

use std::convert::Infallible;
use std::sync::{Arc, PoisonError, RwLock};

use axum::extract::FromRequestParts;
use axum::http::StatusCode;
use axum::http::request::Parts;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::domain::secret::Secret;
use crate::web::problem::Problem;
use crate::web::webhook::{bearer, is_direct};

/// What releasing takes, replaced as a whole when the settings change; cloning is cheap and means the same one.
#[derive(Clone, Debug, Default)]
pub struct Releasing(Arc<RwLock<Option<Secret>>>);

impl Releasing {
    pub fn follow(&self, token: Option<Secret>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = token;
    }

    /// Whether a token is asked for.
    pub fn needs_token(&self) -> bool {
        self.0.read().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// Whether this is the token, where there is one.
    pub fn is_token(&self, shown: &str) -> bool {
        let wanted = self.0.read().unwrap_or_else(PoisonError::into_inner).clone();
        wanted.is_some_and(|wanted| Sha256::digest(shown).as_slice().ct_eq(Sha256::digest(wanted.expose()).as_slice()).into())
    }

    pub fn admit(&self, from: &Origin, typed: Option<&str>) -> Result<(), Problem> {
        if !self.needs_token() {
            return if from.here { Ok(()) } else { Err(Problem::new(StatusCode::FORBIDDEN, ELSEWHERE)) };
        }
        let shown = typed.filter(|typed| !typed.is_empty()).or(from.token.as_deref()).unwrap_or_default();
        if self.is_token(shown) { Ok(()) } else { Err(Problem::new(StatusCode::UNAUTHORIZED, TOKEN)) }
    }
}

const ELSEWHERE: &str = "automation is released from the machine that Reynard runs on, or with hold.release_token of reynard.yaml, which is not set: \
                         run `reynard release` there";
const TOKEN: &str = "releasing automation needs hold.release_token of reynard.yaml, as \"Authorization: Bearer …\" or typed into the page";

/// Where a request comes from, and what it shows.
#[derive(Clone, Debug, Default)]
pub struct Origin {
    /// Directly from this machine.
    pub here: bool,
    token: Option<String>,
}

impl<S: Send + Sync> FromRequestParts<S> for Origin {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self { here: is_direct(&parts.headers, &parts.extensions), token: bearer(&parts.headers) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(here: bool, token: Option<&str>) -> Origin {
        Origin { here, token: token.map(str::to_owned) }
    }

    #[test]
    fn without_a_token_only_this_machine_may() {
        let releasing = Releasing::default();
        assert!(releasing.admit(&from(true, None), None).is_ok());
        assert_eq!(releasing.admit(&from(false, Some("x")), Some("x")).map_err(|no| no.status), Err(StatusCode::FORBIDDEN));
    }

    #[test]
    fn with_a_token_it_is_asked_of_everybody() {
        let releasing = Releasing::default();
        releasing.follow(Some(Secret::new("s3cret")));
        for (shown, typed) in [(None, None), (Some("no"), None), (None, Some("no")), (None, Some(""))] {
            assert_eq!(releasing.admit(&from(true, shown), typed).map_err(|no| no.status), Err(StatusCode::UNAUTHORIZED));
        }
        for (shown, typed) in [(Some("s3cret"), None), (None, Some("s3cret"))] {
            assert!(releasing.admit(&from(false, shown), typed).is_ok());
        }
    }
}
