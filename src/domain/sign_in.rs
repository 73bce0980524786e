//! Who may come in as whom, as the settings say it. Knows no browser and no session.

use std::collections::BTreeMap;

use crate::domain::password::PasswordHash;
use crate::domain::secret::Secret;

/// What needs a person who has signed in, or a token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Nothing: a name is what one says, but for the names of those who have a password.
    #[default]
    Optional,
    /// Whatever changes something.
    Acts,
    /// Reading, too.
    All,
}

/// `people.NAME.password`, `tokens`, `server.sign_in`.
#[derive(Clone, Debug, Default)]
pub struct SignInSettings {
    /// None: acts as soon as anybody has a password, else nothing.
    pub wanted: Option<Mode>,
    /// By person.
    pub passwords: BTreeMap<String, PasswordHash>,
    pub tokens: Vec<Token>,
}

/// What a program shows.
#[derive(Clone, Debug)]
pub struct Token {
    pub name: String,
    pub token: Secret,
    /// Whose program it is: what it does is theirs.
    pub person: Option<String>,
}

impl SignInSettings {
    pub fn mode(&self) -> Mode {
        let by_itself = if self.is_offered() { Mode::Acts } else { Mode::Optional };
        self.wanted.unwrap_or(by_itself)
    }

    /// Whether anybody can sign in.
    pub fn is_offered(&self) -> bool {
        !self.passwords.is_empty()
    }

    /// Whether nothing asks and nobody could answer, as it is without any setting.
    pub fn is_unused(&self) -> bool {
        !self.is_offered() && self.tokens.is_empty() && self.mode() == Mode::Optional
    }

    /// Whether a name is somebody's who has a password, however it is written: nobody else goes by it.
    pub fn is_taken(&self, name: &str) -> bool {
        let name = name.trim().to_lowercase();
        self.passwords.keys().any(|person| person.to_lowercase() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_first_password_makes_acts_ask_unless_the_settings_say_otherwise() {
        let hash = PasswordHash::parse("$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA").expect("a hash");
        let nobody = SignInSettings::default();
        assert!(nobody.is_unused() && nobody.mode() == Mode::Optional);
        let ana = SignInSettings { passwords: [("ana".to_owned(), hash)].into(), ..nobody };
        assert!(!ana.is_unused() && ana.mode() == Mode::Acts);
        assert!(ana.is_taken(" Ana ") && !ana.is_taken("bo"));
        assert_eq!(SignInSettings { wanted: Some(Mode::All), ..ana.clone() }.mode(), Mode::All);
        assert_eq!(SignInSettings { wanted: Some(Mode::Optional), ..ana }.mode(), Mode::Optional);
    }
}
