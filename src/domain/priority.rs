//! P1 to P4: how bad an incident is, in our words and not in a label's.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The priority of an incident; P1 is the worst and the greatest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Priority {
    P1,
    P2,
    P3,
    P4,
}

impl Priority {
    pub const ALL: [Self; 4] = [Self::P1, Self::P2, Self::P3, Self::P4];

    /// 1 to 4, as stored.
    pub const fn number(self) -> u8 {
        match self {
            Self::P1 => 1,
            Self::P2 => 2,
            Self::P3 => 3,
            Self::P4 => 4,
        }
    }

    /// Whether this is more urgent than `other`.
    pub const fn outranks(self, other: Self) -> bool {
        self.number() < other.number()
    }
}

impl fmt::Display for Priority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "P{}", self.number())
    }
}

impl FromStr for Priority {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|p| p.to_string().eq_ignore_ascii_case(text))
            .ok_or_else(|| format!("\"{text}\" is not a priority; write P1, P2, P3 or P4"))
    }
}
