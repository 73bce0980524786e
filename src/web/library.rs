//! What the web asks of whoever keeps the playbooks' files and their past. Knows no file and no YAML: what stands behind it is
//! joined elsewhere.

use std::sync::Arc;

use async_trait::async_trait;
use serde::Serialize;

use crate::engine::revisions::Revisions;
use crate::engine::store::StoreError;

/// Where playbooks are read, written and remembered.
#[derive(Clone)]
pub struct Library {
    pub files: Arc<dyn PlaybookFiles>,
    pub revisions: Arc<dyn Revisions>,
}

/// A playbook's file as it is now, good or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileText {
    pub path: String,
    pub source: String,
    pub revision: String,
    /// There is no folder: it is the text that the program carries.
    pub carried: bool,
}

/// A text to put in the place of another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    pub slug: String,
    pub source: String,
    /// The revision it was made from; none for a playbook that is new.
    pub replaces: Option<String>,
    pub by: String,
}

/// A fault or a doubt at its place, as `reynard check` says it. Lines and columns count from 1.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Finding {
    #[schema(example = "unknown-field")]
    pub code: String,
    /// `error`, `warning` or `note`; only errors keep a text from being saved.
    pub severity: String,
    /// The file, where it is another one than the playbook's.
    pub file: String,
    pub line: usize,
    pub column: usize,
    /// The first column after it.
    pub end_column: usize,
    pub message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
}

impl Finding {
    pub fn is_error(&self) -> bool {
        self.severity == "error"
    }
}

/// A text that is in its file and in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Saved {
    pub revision: String,
    pub path: String,
    /// There was no such playbook before.
    pub is_new: bool,
    /// What is good by the letter and hardly meant.
    pub findings: Vec<Finding>,
}

/// Why nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum NotSaved {
    #[error("{0}")]
    BadName(String),
    #[error("the text has errors")]
    Faulty(Vec<Finding>),
    /// What is in the file now is another text than the one the draft was made from.
    #[error("the file was changed meanwhile")]
    Stale(Option<FileText>),
    /// The settings have errors, so that nothing new can be put in force.
    #[error("{0}")]
    Settings(String),
    #[error("{0}")]
    Unwritable(String),
    #[error("this node stands by; {0} is active")]
    StandingBy(String),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The playbook folder. A file that was edited there is the truth: a draft that was made from another text is refused.
#[async_trait]
pub trait PlaybookFiles: Send + Sync {
    /// The file, or what the program carries in its place; none where there is neither.
    async fn file(&self, slug: &str) -> Result<Option<FileText>, NotSaved>;

    /// What the check says of a text.
    async fn check(&self, slug: &str, source: &str) -> Vec<Finding>;

    /// Writes the file, if the text is good and was made from the one that is there. It is in force when this returns.
    async fn save(&self, draft: Draft) -> Result<Saved, NotSaved>;
}
