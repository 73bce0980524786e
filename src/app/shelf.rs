//! The playbook folder as the web sees it: a text is looked at, checked, kept in the database, written, and put in force, in this
//! order. A file that was edited in the folder is the truth: a draft of another text is refused.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;

use crate::action::catalog;
use crate::app::files::Loader;
use crate::carried;
use crate::config::check;
use crate::config::diagnostic::Diagnostic;
use crate::config::files::{Files, TextFile};
use crate::config::playbooks::revision;
use crate::config::write::{self, NotPut};
use crate::engine::revisions::{Revisions, Save};
use crate::secrets::RealSecrets;
use crate::web::library::{Draft, FileText, Finding, NotSaved, PlaybookFiles, Saved};

pub(super) struct Shelf {
    pub loader: Arc<Loader>,
    pub revisions: Arc<dyn Revisions>,
}

#[async_trait]
impl PlaybookFiles for Shelf {
    async fn file(&self, slug: &str) -> Result<Option<FileText>, NotSaved> {
        self.look(slug)
    }

    async fn check(&self, slug: &str, source: &str) -> Vec<Finding> {
        match self.findings(slug, source) {
            Ok(found) => found.own,
            Err(_) => Vec::new(),
        }
    }

    async fn save(&self, draft: Draft) -> Result<Saved, NotSaved> {
        if let Some(node) = self.loader.runtime.health().standing_by {
            return Err(NotSaved::StandingBy(node));
        }
        let mut turn = self.loader.turn().await;
        let before = self.look(&draft.slug)?;
        let new = revision(&draft.source);
        let there = before.as_ref().map(|file| file.revision.as_str());
        // What is there already was saved before, whoever sends it again.
        if there != draft.replaces.as_deref() && there != Some(&new) {
            return Err(NotSaved::Stale(before));
        }
        let found = self.findings(&draft.slug, &draft.source)?;
        if found.own.iter().any(Finding::is_error) {
            return Err(NotSaved::Faulty(found.own));
        }
        if let Some(why) = found.settings {
            return Err(NotSaved::Settings(why));
        }
        let path = write::place(&self.loader.place.playbooks, &draft.slug)?;
        if there != Some(&new) || before.as_ref().is_some_and(|file| file.carried) {
            self.write(&draft, &new, before.as_ref(), &path).await?;
            self.loader.take(&mut turn).await;
        }
        let in_force = self.loader.runtime.rulebook().playbooks.get(&draft.slug).is_some_and(|playbook| playbook.revision == new);
        if !in_force {
            return Err(NotSaved::Unwritable(format!("{} was written and could not be put in force; the log says why", path.display())));
        }
        Ok(Saved { revision: new, path: path.display().to_string(), is_new: before.is_none(), findings: found.own })
    }
}

/// What the check says of a draft, and whether the settings can take it.
struct Found {
    own: Vec<Finding>,
    /// Why nothing new can be put in force.
    settings: Option<String>,
}

impl Shelf {
    fn look(&self, slug: &str) -> Result<Option<FileText>, NotSaved> {
        let path = write::place(&self.loader.place.playbooks, slug)?;
        let text = |path: String, source: String, carried| FileText { revision: revision(&source), path, source, carried };
        if self.loader.place.playbooks.exists() {
            let shown = path.display().to_string();
            return Ok(write::text(&path)?.map(|source| text(shown, source, false)));
        }
        let carried = carried::playbooks().into_iter().find(|file| crate::config::playbooks::slug_of(&file.path) == slug);
        Ok(carried.and_then(|file| Some(text(file.path, file.text.ok()?, true))))
    }

    /// Checks the draft among all files, as loading will: other playbooks may name it.
    fn findings(&self, slug: &str, source: &str) -> Result<Found, NotSaved> {
        let place = &self.loader.place;
        let path = write::place(&place.playbooks, slug)?.display().to_string();
        let gathered = Files::gather(&place.config, &place.playbooks, &carried::playbooks());
        let mut files = gathered.map_err(|error| NotSaved::Unwritable(format!("{} cannot be read: {error}", place.playbooks.display())))?;
        files.playbooks.retain(|file| crate::config::playbooks::slug_of(&file.path) != slug);
        files.playbooks.push(TextFile::new(&*path, source));
        let (own, usable) = check::among(&files, &path, &catalog::specs(), &RealSecrets);
        let broken = format!("{} has errors, so that nothing new can be put in force; mend it first", place.config.display());
        Ok(Found { own: own.iter().map(finding).collect(), settings: (!usable).then_some(broken) })
    }

    /// The text and who saves it are kept before the file is written: nothing comes into force that nobody is known for.
    async fn write(&self, draft: &Draft, new: &str, before: Option<&FileText>, path: &Path) -> Result<(), NotSaved> {
        let save = Save {
            slug: draft.slug.clone(),
            revision: new.to_owned(),
            source: draft.source.clone(),
            replaces: before.map(|file| file.revision.clone()),
            by: draft.by.clone(),
        };
        let number = self.revisions.save(&save, self.loader.runtime.clock.now()).await?;
        let folder = &self.loader.place.playbooks;
        let stocked = write::stock(folder, &carried::playbooks()).map_err(|error| NotPut::Io(folder.display().to_string(), error));
        match stocked.and_then(|()| write::put(path, &draft.source, before.map(|file| file.source.as_str()))) {
            Ok(()) => {
                tracing::info!(playbook = draft.slug, revision = new, by = draft.by, "A playbook was saved");
                Ok(())
            }
            Err(error) => {
                if let Err(error) = self.revisions.take_back(&draft.slug, number).await {
                    tracing::warn!(%error, playbook = draft.slug, "A save that was not made stays in the history");
                }
                Err(error.into())
            }
        }
    }
}

impl From<NotPut> for NotSaved {
    fn from(error: NotPut) -> Self {
        match error {
            bad @ NotPut::BadName(_) => Self::BadName(bad.to_string()),
            NotPut::Changed(now) => {
                Self::Stale(now.map(|source| FileText { path: String::new(), revision: revision(&source), source, carried: false }))
            }
            other => Self::Unwritable(other.to_string()),
        }
    }
}

fn finding(fault: &Diagnostic) -> Finding {
    Finding {
        code: fault.code.to_string(),
        severity: serde_json::to_value(fault.severity).ok().and_then(|word| word.as_str().map(str::to_owned)).unwrap_or_default(),
        file: fault.file.clone(),
        line: fault.line,
        column: fault.column,
        end_column: fault.end_column,
        message: fault.message.clone(),
        help: fault.help.clone(),
    }
}
