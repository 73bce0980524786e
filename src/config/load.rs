//! All files to one rulebook, with every fault of every file; a broken playbook keeps its last good revision. Knows no disk.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::config::diagnostic::{Code, Diagnostic, Diagnostics};
use crate::config::files::{Files, TextFile};
use crate::config::names::Names;
use crate::config::playbooks;
use crate::config::reader::Document;
use crate::config::secrets::Secrets;
use crate::config::settings;
use crate::config::steps::Context;
use crate::domain::action::Specs;
use crate::domain::playbook::Playbook;
use crate::domain::settings::{Rulebook, Settings};

/// What loading gave.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// None when `reynard.yaml` has an error: then whatever was in force stays.
    pub settings: Option<Settings>,
    pub diagnostics: Diagnostics,
}

/// Reads and checks everything. `previous` is the rulebook in force, whose revisions runs may still be pinned to.
pub fn load(files: &Files, specs: &Specs, secrets: &dyn Secrets, previous: Option<&Rulebook>) -> Loaded {
    let mut diagnostics = Diagnostics::default();
    let (mut settings, names, usable) = match &files.settings {
        Some(file) => settings_file(file, specs, secrets, &mut diagnostics),
        None => {
            let settings = settings::shipped(specs);
            let names = Names::of(&settings);
            (settings, names, true)
        }
    };
    let mut shelf = Shelf { previous, ..Shelf::default() };
    for file in &files.playbooks {
        let context = Context { specs, names: &names, targets: &settings.rulebook.targets };
        let playbook = playbook_file(file, context, &mut diagnostics);
        shelf.put(file, playbook, &mut diagnostics);
    }
    shelf.onto(&mut settings.rulebook);
    Loaded { settings: usable.then_some(settings), diagnostics }
}

/// Reads and checks one playbook against settings in force: for an editor, or for a revision that a run is pinned to.
pub fn playbook(path: &str, text: &str, settings: &Settings) -> (Option<Playbook>, Diagnostics) {
    let mut diagnostics = Diagnostics::default();
    let names = Names::of(settings);
    let context = Context { specs: &settings.rulebook.specs, names: &names, targets: &settings.rulebook.targets };
    let playbook = playbook_file(&TextFile::new(path, text), context, &mut diagnostics);
    (playbook, diagnostics)
}

fn settings_file(file: &TextFile, specs: &Specs, secrets: &dyn Secrets, diagnostics: &mut Diagnostics) -> (Settings, Names, bool) {
    let Some(document) = document(file, diagnostics) else {
        return (settings::shipped(specs), Names::default(), false);
    };
    let (settings, names) = settings::read(&document, specs, secrets);
    let usable = !document.has_errors();
    close(document, diagnostics);
    (settings, names, usable)
}

fn playbook_file(file: &TextFile, context: Context<'_>, diagnostics: &mut Diagnostics) -> Option<Playbook> {
    let document = document(file, diagnostics)?;
    let playbook = playbooks::read(&document, context);
    close(document, diagnostics);
    playbook
}

fn document(file: &TextFile, diagnostics: &mut Diagnostics) -> Option<Document> {
    let fault =
        |why: &String| diagnostics.push(Diagnostic::of_file(Code::UnreadableFile, &file.path, format!("cannot be read: {why}"), None));
    file.text.as_ref().map_err(fault).ok().map(|text| Document::new(&file.path, text))
}

fn close(document: Document, diagnostics: &mut Diagnostics) {
    let (path, text) = (document.path.clone(), document.text.clone());
    diagnostics.add(&path, text, document.into_faults());
}

/// The playbooks as they are put together.
#[derive(Default)]
struct Shelf<'a> {
    previous: Option<&'a Rulebook>,
    /// The file that each slug came from.
    files: BTreeMap<String, String>,
    playbooks: BTreeMap<String, Arc<Playbook>>,
    broken: BTreeMap<String, String>,
}

impl Shelf<'_> {
    fn put(&mut self, file: &TextFile, playbook: Option<Playbook>, diagnostics: &mut Diagnostics) {
        let slug = playbooks::slug_of(&file.path).to_owned();
        if let Some(first) = self.files.get(&slug) {
            let message = format!("the playbook \"{slug}\" is already in {first}");
            diagnostics.push(Diagnostic::of_file(Code::DuplicateName, &file.path, message.clone(), None));
            self.broken.insert(file.path.clone(), message);
            return;
        }
        self.files.insert(slug.clone(), file.path.clone());
        let last_good = || self.previous.and_then(|book| book.playbooks.get(&slug).cloned());
        if playbook.is_none() {
            let words = diagnostics.words_about(&file.path).unwrap_or_else(|| "it cannot be used".to_owned());
            self.broken.insert(file.path.clone(), words);
        }
        if let Some(playbook) = playbook.map(Arc::new).or_else(last_good) {
            self.playbooks.insert(slug, playbook);
        }
    }

    fn onto(self, book: &mut Rulebook) {
        book.revisions = self.previous.map(|book| book.revisions.clone()).unwrap_or_default();
        book.revisions.extend(self.playbooks.values().map(|playbook| (playbook.revision.clone(), playbook.clone())));
        book.playbooks = self.playbooks;
        book.broken = self.broken;
    }
}
