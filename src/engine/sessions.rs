//! What the database keeps of people who have signed in, and how long that holds. Knows no browser and no SQL.

use async_trait::async_trait;

use crate::domain::time::{Span, Timestamp};
use crate::engine::store::StoreError;

/// Nobody signs in at three in the morning to acknowledge: a session that is used stays for long.
pub const IDLE: Span = Span::hours(14 * 24);
pub const WHOLE: Span = Span::hours(30 * 24);
/// What lets automation loose asks for a sign-in that is younger.
pub const FRESH: Span = Span::hours(12);
/// Being seen is written down no more often than this.
pub const SEEN_EVERY: Span = Span::hours(1);

/// A person in a browser.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// The SHA-256 of the id that the browser has; the id itself is nowhere else.
    pub digest: String,
    pub person: String,
    /// Tells the password that it was begun with from every other.
    pub mark: String,
    pub began_at: Timestamp,
    pub seen_at: Timestamp,
    /// From where, and with what, as the browser said it.
    pub address: String,
    pub agent: String,
}

impl Session {
    /// Whether it still holds, as far as time goes.
    pub fn is_live(&self, now: Timestamp) -> bool {
        now.since(self.seen_at) < IDLE && now.since(self.began_at) < WHOLE
    }

    pub fn is_fresh(&self, now: Timestamp) -> bool {
        now.since(self.began_at) < FRESH
    }

    pub fn was_not_seen_lately(&self, now: Timestamp) -> bool {
        now.since(self.seen_at) >= SEEN_EVERY
    }
}

/// Sessions by the digest of their id. Any node keeps and ends them: it takes no lease.
#[async_trait]
pub trait Sessions: Send + Sync {
    /// Keeps a new one, and forgets all that are over by now.
    async fn begin(&self, session: &Session) -> Result<(), StoreError>;

    async fn find(&self, digest: &str) -> Result<Option<Session>, StoreError>;

    /// It is still used. One that was ended meanwhile stays so.
    async fn seen(&self, digest: &str, now: Timestamp) -> Result<(), StoreError>;

    /// Of one person, the latest first.
    async fn sessions_of(&self, person: &str) -> Result<Vec<Session>, StoreError>;

    /// Ends one of this person's; whether there was such a one.
    async fn end(&self, person: &str, digest: &str) -> Result<bool, StoreError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_ends_when_it_is_not_used_and_when_it_is_old() {
        let at = |span: Span| Timestamp::default() + span;
        let session = |seen: Span| Session {
            digest: String::new(),
            person: "ana".to_owned(),
            mark: String::new(),
            began_at: at(Span::ZERO),
            seen_at: at(seen),
            address: String::new(),
            agent: String::new(),
        };
        let day = |days: u64| Span::hours(24 * days);
        assert!(session(Span::ZERO).is_live(at(day(13))) && !session(Span::ZERO).is_live(at(day(14))), "idle");
        assert!(session(day(29)).is_live(at(day(29))) && !session(day(29)).is_live(at(day(30))), "old");
        assert!(session(Span::ZERO).is_fresh(at(Span::hours(11))) && !session(day(1)).is_fresh(at(Span::hours(12))));
    }
}
