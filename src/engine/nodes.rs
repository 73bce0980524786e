//! The nodes that share a database, as each says of itself, and how far behind the work is. Knows no SQL and no lease's rules.

use crate::domain::time::{Span, Timestamp};

/// One that has not said for so long that it lives is told to be silent; a lease lasts as long.
pub const SILENT_AFTER: Span = Span::seconds(10);

/// What a node does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Active,
    StandingBy,
    /// It was stopped in order.
    Stopped,
}

impl Role {
    pub fn word(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::StandingBy => "standing_by",
            Self::Stopped => "stopped",
        }
    }
}

/// One node, as it was last heard of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    pub name: String,
    /// Where other nodes reach it.
    pub url: Option<String>,
    pub version: String,
    pub role: Role,
    pub since: Timestamp,
    /// How long ago it said that it lives.
    pub seen: Span,
}

impl Peer {
    pub fn is_silent(&self) -> bool {
        self.role != Role::Stopped && self.seen > SILENT_AFTER
    }
}

/// All of them at one moment, and how late the work is. Empty where only one process can have the database.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overview {
    /// By name.
    pub peers: Vec<Peer>,
    /// Who may write now; none while the lease is free.
    pub holder: Option<String>,
    /// How often the lease has changed hands.
    pub epoch: Option<i64>,
    /// Since its holder was last heard of, by a commit or a word of its own.
    pub lease_age: Option<Span>,
    /// How long the oldest job has been due that nobody has begun.
    pub oldest_due: Option<Span>,
    /// Deliveries taken in by nodes that stand by, which the active one has not worked yet.
    pub inbox: u64,
    pub oldest_in_inbox: Option<Span>,
}

impl Overview {
    pub fn peer(&self, name: &str) -> Option<&Peer> {
        self.peers.iter().find(|peer| peer.name == name)
    }
}
