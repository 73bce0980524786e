//! The chain over an incident's log: each entry's link is the digest of the link before and of the entry as it is stored, so that
//! a row that is changed, taken out or put in no longer fits. Knows neither rows nor who compares them.

use std::fmt;
use std::ops::BitXorAssign;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::Sha256;

use crate::domain::id::IncidentId;

/// A link of a chain, or the seal over all of them. All zeros before the first.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Digest([u8; 32]);

/// An entry as it is stored: the very texts, because a value that is read and written again may look different after an update.
#[derive(Clone, Copy, Debug)]
pub struct Stored<'a> {
    pub incident: IncidentId,
    pub seq: u64,
    pub at: i64,
    pub kind: &'a str,
    pub actor_kind: &'a str,
    pub actor: &'a str,
    pub event: &'a str,
}

impl Digest {
    /// The link that an entry adds to a chain.
    pub fn then(self, entry: &Stored<'_>) -> Self {
        use sha2::Digest as _;
        // Not every database can hold a NUL; those that cannot keep this sign in its place.
        let actor = entry.actor.replace('\0', "\u{fffd}");
        let mut hash = Sha256::new();
        hash.update(self.0);
        hash.update(entry.incident.0.as_bytes());
        hash.update(entry.seq.to_be_bytes());
        hash.update(entry.at.to_be_bytes());
        for text in [entry.kind, entry.actor_kind, &actor, entry.event] {
            // With its length, so that no sign can move from one text into the next.
            hash.update((text.len() as u64).to_be_bytes());
            hash.update(text);
        }
        Self(hash.finalize().into())
    }

    /// Whether no entry has been linked yet.
    pub fn is_blank(&self) -> bool {
        *self == Self::default()
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// None for what is no digest.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }
}

/// The seal over many chains: their last links laid over one another. Whoever takes the old link out and puts the new one in
/// keeps it, in whatever order; a chain that is gone or too many does not fit.
impl BitXorAssign for Digest {
    fn bitxor_assign(&mut self, link: Self) {
        self.0.iter_mut().zip(link.0).for_each(|(byte, other)| *byte ^= other);
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Digest {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let fault = || format!("\"{text}\" is not a digest");
        let byte = |at: usize| text.get(2 * at..2 * at + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok()).ok_or_else(fault);
        let mut bytes = [0; 32];
        for (at, place) in bytes.iter_mut().enumerate() {
            *place = byte(at)?;
        }
        if text.len() == 64 { Ok(Self(bytes)) } else { Err(fault()) }
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENTRY: Stored<'_> = Stored {
        incident: IncidentId(uuid::Uuid::from_u128(7)),
        seq: 2,
        at: 1_790_000_000_000,
        kind: "commented",
        actor_kind: "person",
        actor: "ana",
        event: r#"{"kind":"commented","text":"look"}"#,
    };

    #[test]
    fn whatever_changes_in_an_entry_changes_its_link() {
        let link = Digest::default().then(&ENTRY);
        for changed in [
            Stored { incident: IncidentId(uuid::Uuid::from_u128(8)), ..ENTRY },
            Stored { seq: 3, ..ENTRY },
            Stored { at: ENTRY.at + 1, ..ENTRY },
            Stored { kind: "resolved", ..ENTRY },
            Stored { actor_kind: "engine", ..ENTRY },
            Stored { actor: "bo", ..ENTRY },
            Stored { actor_kind: "persona", actor: "na", ..ENTRY },
            Stored { event: r#"{"kind":"commented","text":"loop"}"#, ..ENTRY },
        ] {
            assert_ne!(Digest::default().then(&changed), link, "{changed:?}");
        }
        assert_ne!(link.then(&ENTRY), link, "the link before counts, too");
    }

    #[test]
    fn a_sign_that_a_database_cannot_hold_does_not_break_the_chain() {
        let replaced = Stored { actor: "a\u{fffd}b", ..ENTRY };
        assert_eq!(Digest::default().then(&Stored { actor: "a\0b", ..ENTRY }), Digest::default().then(&replaced));
    }

    #[test]
    fn a_seal_is_kept_in_any_order_and_taken_back() {
        let links = [1, 2, 3].map(|seq| Digest::default().then(&Stored { seq, ..ENTRY }));
        let seal = |links: &[Digest]| links.iter().fold(Digest::default(), |mut seal, link| (seal ^= *link, seal).1);
        assert_eq!(seal(&links), seal(&[links[2], links[0], links[1]]));
        assert_eq!(seal(&[links[0], links[1], links[0]]), links[1]);
    }

    #[test]
    fn a_digest_reads_as_it_is_written() {
        let link = Digest::default().then(&ENTRY);
        assert_eq!(link.to_string().parse(), Ok(link));
        assert_eq!(Digest::from_bytes(link.as_bytes()), Some(link));
        for text in ["", "00", "zz", &"é".repeat(32), &"0".repeat(65)] {
            assert!(text.parse::<Digest>().is_err(), "{text}");
        }
    }
}
