//! A library of playbooks in memory: whatever is put into it is good, and nothing comes into force.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use reynard::config::names::is_name;
use reynard::config::playbooks::revision;
use reynard::domain::settings::Rulebook;
use reynard::domain::time::Timestamp;
use reynard::engine::revisions::{Edition, PastRun, Revisions, Save};
use reynard::engine::store::StoreError;
use reynard::web::library::{Draft, FileText, Finding, Library, NotSaved, PlaybookFiles, Saved};

/// Each playbook's texts, the oldest first.
pub struct Memory(Mutex<BTreeMap<String, Vec<String>>>);

impl Memory {
    pub fn library(rulebook: &Rulebook) -> Library {
        let texts = rulebook.playbooks.iter().map(|(slug, playbook)| (slug.clone(), vec![playbook.source.clone()]));
        let memory = Arc::new(Self(Mutex::new(texts.collect())));
        Library { files: memory.clone(), revisions: memory }
    }

    fn texts(&self, slug: &str) -> Vec<String> {
        self.0.lock().expect("no panics").get(slug).cloned().unwrap_or_default()
    }
}

#[async_trait]
impl PlaybookFiles for Memory {
    async fn file(&self, slug: &str) -> Result<Option<FileText>, NotSaved> {
        let file =
            |source: String| FileText { path: format!("playbooks/{slug}.yaml"), revision: revision(&source), source, carried: false };
        Ok(self.texts(slug).pop().map(file))
    }

    async fn check(&self, _: &str, _: &str) -> Vec<Finding> {
        Vec::new()
    }

    async fn save(&self, draft: Draft) -> Result<Saved, NotSaved> {
        if !is_name(&draft.slug) {
            return Err(NotSaved::BadName("that cannot be a playbook's name".to_owned()));
        }
        let there = self.file(&draft.slug).await?;
        if there.as_ref().map(|file| &file.revision) != draft.replaces.as_ref() {
            return Err(NotSaved::Stale(there));
        }
        let saved = Saved { revision: revision(&draft.source), path: draft.slug.clone(), is_new: there.is_none(), findings: Vec::new() };
        self.0.lock().expect("no panics").entry(draft.slug).or_default().push(draft.source);
        Ok(saved)
    }
}

#[async_trait]
impl Revisions for Memory {
    async fn save(&self, _: &Save, _: Timestamp) -> Result<u64, StoreError> {
        Ok(1)
    }

    async fn take_back(&self, _: &str, _: u64) -> Result<(), StoreError> {
        Ok(())
    }

    async fn editions(&self, slug: &str) -> Result<Vec<Edition>, StoreError> {
        Ok(self.texts(slug).iter().rev().map(|text| Edition { revision: revision(text), ..Edition::default() }).collect())
    }

    async fn text(&self, slug: &str, wanted: &str) -> Result<Option<String>, StoreError> {
        Ok(self.texts(slug).into_iter().find(|text| revision(text) == wanted))
    }

    async fn past_runs(&self, _: &str, _: u32) -> Result<Vec<PastRun>, StoreError> {
        Ok(Vec::new())
    }
}
