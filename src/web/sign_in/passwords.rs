//! Who may come in as whom, as the settings in force say, and whether a password is somebody's: four at a time, aside from everything
//! else, in the same time for whoever is not there. Knows no session.

use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use sha2::{Digest, Sha256};
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};
use tokio::sync::Semaphore;

use crate::domain::password::{LONGEST, PasswordHash};
use crate::domain::secret::Secret;
use crate::domain::sign_in::{SignInSettings, Token};
use crate::domain::time::{Span, Timestamp};
use crate::web::sign_in::throttle::Throttle;

/// Each takes 19 MiB or more for as long as it lasts.
const AT_ONCE: usize = 4;
/// How long one waits for its turn.
const PATIENCE: Duration = Duration::from_secs(5);
const LONGEST_NAME: usize = 64;

/// Replaced as a whole when the settings change; cloning is cheap and means the same one.
#[derive(Clone, Default)]
pub struct SignIn(Arc<Parts>);

struct Parts {
    settings: RwLock<Arc<SignInSettings>>,
    /// Whether others than this machine reach it.
    exposed: RwLock<bool>,
    throttle: Mutex<Throttle>,
    turns: Arc<Semaphore>,
}

impl Default for Parts {
    fn default() -> Self {
        let turns = Arc::new(Semaphore::new(AT_ONCE));
        Self { settings: RwLock::default(), exposed: RwLock::default(), throttle: Mutex::default(), turns }
    }
}

/// What comes of a try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tried {
    /// The person whose password it is.
    Right(String),
    Wrong,
    /// Not looked at: too many were wrong.
    Wait(Span),
    /// Not looked at: too many are tried at once.
    Busy,
}

impl SignIn {
    pub fn follow(&self, settings: SignInSettings, exposed: bool) {
        *self.0.settings.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(settings);
        *self.0.exposed.write().unwrap_or_else(PoisonError::into_inner) = exposed;
    }

    /// The settings in force.
    pub fn now(&self) -> Arc<SignInSettings> {
        self.0.settings.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn is_exposed(&self) -> bool {
        *self.0.exposed.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether this is that person's password. `address` is whom tries are counted for.
    pub async fn try_password(&self, name: &str, password: &str, address: &str, now: Timestamp) -> Tried {
        let name: String = name.trim().to_lowercase().chars().take(LONGEST_NAME).collect();
        let settings = self.now();
        let Some(hash) = settings.passwords.get(&name).or_else(|| stand_in(&settings, &name)).cloned() else { return Tried::Wrong };
        if let Err(wait) = self.throttle(|throttle| throttle.admit(&name, address, now)) {
            return Tried::Wait(wait);
        }
        if password.chars().count() > LONGEST {
            return Tried::Wrong;
        }
        let Ok(Ok(turn)) = tokio::time::timeout(PATIENCE, self.0.turns.clone().acquire_owned()).await else { return Tried::Busy };
        let password = Secret::new(password);
        let looked = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            hash.admits(password.expose())
        });
        if looked.await.unwrap_or(false) && settings.passwords.contains_key(&name) {
            self.throttle(|throttle| throttle.was_right(&name, address));
            return Tried::Right(name);
        }
        Tried::Wrong
    }

    /// The program whose token this is. Each is compared in the same time.
    pub fn token(&self, shown: &str) -> Option<Token> {
        let settings = self.now();
        let shown = Sha256::digest(shown);
        let mut found = 0u32;
        for (number, token) in (1u32..).zip(&settings.tokens) {
            let same = shown.as_slice().ct_eq(Sha256::digest(token.token.expose()).as_slice());
            found = u32::conditional_select(&found, &number, same & Choice::from(u8::from(!token.token.expose().is_empty())));
        }
        settings.tokens.get(found.checked_sub(1)? as usize).cloned()
    }

    fn throttle<T>(&self, how: impl FnOnce(&mut Throttle) -> T) -> T {
        how(&mut self.0.throttle.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Whose hash is tried for a name that nobody has: always the same one for the same name, so that it costs what somebody's does.
fn stand_in<'a>(settings: &'a SignInSettings, name: &str) -> Option<&'a PasswordHash> {
    let digest = Sha256::digest(name);
    let nth = usize::from(u16::from_be_bytes([digest[0], digest[1]])) % settings.passwords.len().max(1);
    settings.passwords.values().nth(nth)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: Timestamp = Timestamp(1_790_000_000_000);
    const WORDS: &str = "correct horse battery staple";

    fn door() -> SignIn {
        let door = SignIn::default();
        let ana = PasswordHash::of(WORDS, [1; 16]).expect("19 MiB");
        let bo = PasswordHash::of("another one, of bo's own", [2; 16]).expect("19 MiB");
        let token = |name: &str, token: &str| Token { name: name.to_owned(), token: Secret::new(token), person: None };
        let passwords = [("ana".to_owned(), ana), ("bo".to_owned(), bo)].into();
        let tokens = vec![token("ci", "0123456789abcdef"), token("cd", "fedcba9876543210")];
        door.follow(SignInSettings { wanted: None, passwords, tokens }, false);
        door
    }

    #[tokio::test]
    async fn a_password_is_its_persons_and_nobody_elses() {
        let door = door();
        assert_eq!(door.try_password(" Ana", WORDS, "a", NOON).await, Tried::Right("ana".to_owned()));
        for (name, password) in [("bo", WORDS), ("zoe", WORDS), ("", WORDS), ("ana", ""), ("ana", &"x".repeat(2_000))] {
            assert_eq!(door.try_password(name, password, name, NOON).await, Tried::Wrong, "{name}");
        }
        // A name that nobody has is tried against somebody's hash, whose password does not let it in either.
        for name in ["zoe", "zed", "zac", "zia"] {
            for password in [WORDS, "another one, of bo's own"] {
                assert_eq!(door.try_password(name, password, "b", NOON).await, Tried::Wrong, "{name}");
            }
        }
        assert_eq!(SignIn::default().try_password("ana", WORDS, "a", NOON).await, Tried::Wrong, "nobody has one");
    }

    #[tokio::test]
    async fn known_or_not_a_name_is_told_to_wait_after_as_many_tries() {
        let door = door();
        for name in ["ana", "zoe"] {
            for _ in 0..5 {
                assert_eq!(door.try_password(name, "no", name, NOON).await, Tried::Wrong);
            }
            assert_eq!(door.try_password(name, WORDS, name, NOON).await, Tried::Wait(Span::seconds(1)), "{name}");
        }
        assert_eq!(door.try_password("ana", WORDS, "ana", NOON + Span::seconds(1)).await, Tried::Right("ana".to_owned()));
    }

    #[test]
    fn a_token_is_one_programs() {
        let door = door();
        assert_eq!(door.token("fedcba9876543210").map(|token| token.name).as_deref(), Some("cd"));
        assert!(door.token("").is_none() && door.token("0123456789abcde").is_none());
    }
}
