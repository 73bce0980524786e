//! Who may write, as one row of the simulated database has it: what `store/postgres/lease.rs` does, by the database's clock.
//! Knows no faults; those are between it and the engine.

/// How long a lease lasts without a word from its holder, in milliseconds of the story.
const LASTS: i64 = 10_000;

/// How long it is kept for the node that it was handed to.
const KEPT_FOR: i64 = 3_000;

/// A process, and the node whose life it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Who {
    pub node: usize,
    pub process: u32,
}

#[derive(Default)]
pub struct Row {
    owner: Option<Who>,
    /// The node that it is kept for.
    heir: Option<usize>,
    epoch: u64,
    expires_at: i64,
}

impl Row {
    /// The epoch, if it is free, silent for too long, already this process's; or, at its start, a former life's. Otherwise who has it.
    pub fn take(&mut self, who: Who, at_start: bool, now: i64) -> Result<u64, usize> {
        match self.owner {
            None if self.expires_at >= now && self.heir.is_some_and(|heir| heir != who.node) => Err(self.heir.unwrap_or_default()),
            Some(owner) if self.expires_at >= now && owner != who && !(at_start && owner.node == who.node) => Err(owner.node),
            _ => {
                (self.owner, self.heir, self.epoch, self.expires_at) = (Some(who), None, self.epoch + 1, now + LASTS);
                Ok(self.epoch)
            }
        }
    }

    /// Asked for by every commit, and where there is none, by the holder. False when it is somebody else's.
    pub fn renew(&mut self, who: Who, epoch: u64, now: i64) -> bool {
        let ours = self.is_held_by(who) && self.epoch == epoch;
        if ours {
            self.expires_at = now + LASTS;
        }
        ours
    }

    pub fn release(&mut self, who: Who, epoch: u64) {
        if self.is_held_by(who) && self.epoch == epoch {
            self.expires_at = 0;
        }
    }

    pub fn hand_to(&mut self, who: Who, epoch: u64, heir: usize, now: i64) {
        if self.is_held_by(who) && self.epoch == epoch {
            (self.owner, self.heir, self.expires_at) = (None, Some(heir), now + KEPT_FOR);
        }
    }

    /// For how long another one keeps it, in milliseconds, if nothing happens.
    pub fn keeps_out_for(&self, who: Who, now: i64) -> u64 {
        if self.is_held_by(who) || self.heir == Some(who.node) { 0 } else { u64::try_from(self.expires_at - now).unwrap_or(0) }
    }

    pub fn is_held_by(&self, who: Who) -> bool {
        self.owner == Some(who)
    }
}
