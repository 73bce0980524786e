//! A wish with a name, so that what is sent twice is done once. Knows nothing of how the name came.

use sha2::{Digest, Sha256};

use crate::domain::decide::command::Command;

/// The name of a wish, so that what is sent twice is done once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    pub key: String,
    /// A digest of what was asked under that name; of the command itself, unless the asker knows better.
    pub asked: Option<String>,
}

impl Request {
    /// A name that means this wish alone: another one in the same form is another request.
    pub fn of_its_own(key: &str, command: &Command) -> Self {
        Self { key: format!("{key}:{}", digest(&format!("{command:?}"))), asked: None }
    }
}

impl From<&str> for Request {
    fn from(key: &str) -> Self {
        Self { key: key.to_owned(), asked: None }
    }
}

/// A short mark of what was asked, which tells two wishes apart.
pub fn digest(asked: &str) -> String {
    Sha256::digest(asked).iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

/// A request that has a name, and the digest of what it asks.
pub struct Named {
    pub key: String,
    pub asked: String,
}

impl Named {
    /// What is remembered: that the name was used, and for what.
    pub fn rows(&self) -> [String; 2] {
        [self.key.clone(), format!("{}\n{}", self.key, self.asked)]
    }
}
