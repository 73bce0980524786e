//! What the database keeps of playbooks' texts: since when each was there, who saved it, what ran with it.
//! Knows no files and no YAML; a text is known by the SHA-256 of it.

use async_trait::async_trait;

use crate::domain::id::RunId;
use crate::domain::time::Timestamp;
use crate::engine::store::StoreError;

/// A text that a person puts in the place of another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Save {
    pub slug: String,
    pub revision: String,
    pub source: String,
    /// The text that was there; none where there was no file.
    pub replaces: Option<String>,
    pub by: String,
}

/// One text of a playbook.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edition {
    pub revision: String,
    /// When it was loaded or saved for the first time.
    pub first_seen_at: Timestamp,
    /// Each time that a person saved it, oldest first; none when it only ever came as a file.
    pub saves: Vec<Saving>,
    /// Runs that started with it and are still kept.
    pub runs: u64,
    pub last_run_at: Option<Timestamp>,
}

impl Edition {
    /// When it last became the playbook's text, as far as the database heard of it.
    pub fn last_at(&self) -> Timestamp {
        self.saves.last().map_or(self.first_seen_at, |saving| saving.at.max(self.first_seen_at))
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Saving {
    pub at: Timestamp,
    pub by: String,
}

/// A run of a playbook, as its row tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PastRun {
    pub id: RunId,
    /// The incident's number.
    pub number: u64,
    pub revision: String,
    pub status: String,
    pub started_at: Timestamp,
    pub ended_at: Option<Timestamp>,
}

/// The texts of playbooks, by playbook and digest.
#[async_trait]
pub trait Revisions: Send + Sync {
    /// Keeps the text and who saves it, in one commit; answers the save's number among the playbook's.
    async fn save(&self, save: &Save, now: Timestamp) -> Result<u64, StoreError>;

    /// Takes back a save whose file could not be written. The text stays.
    async fn take_back(&self, slug: &str, number: u64) -> Result<(), StoreError>;

    /// Every text the playbook ever had, the latest first.
    async fn editions(&self, slug: &str) -> Result<Vec<Edition>, StoreError>;

    /// The text, if it ever was this playbook's.
    async fn text(&self, slug: &str, revision: &str) -> Result<Option<String>, StoreError>;

    /// The latest runs first.
    async fn past_runs(&self, slug: &str, limit: u32) -> Result<Vec<PastRun>, StoreError>;
}

/// Puts saves to the texts they saved, and the latest text first.
pub fn in_order(mut editions: Vec<Edition>, saves: Vec<(String, Saving)>) -> Vec<Edition> {
    for (revision, saving) in saves {
        if let Some(edition) = editions.iter_mut().find(|edition| edition.revision == revision) {
            edition.saves.push(saving);
        }
    }
    editions.sort_by(|one, other| other.last_at().cmp(&one.last_at()).then_with(|| one.revision.cmp(&other.revision)));
    editions
}
