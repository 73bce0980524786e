//! All files to one rulebook, with every fault of every file; a broken playbook keeps its last good revision. Knows no disk.

use std::collections::BTreeMap;
use std::num::NonZero;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::thread;

use crate::config::circles;
use crate::config::diagnostic::{Code, Diagnostic, Diagnostics};
use crate::config::files::{Files, TextFile};
use crate::config::names::Names;
use crate::config::outputs::NOTHING;
use crate::config::playbooks;
use crate::config::reader::Document;
use crate::config::secrets::Secrets;
use crate::config::settings;
use crate::config::steps::Context;
use crate::domain::action::Specs;
use crate::domain::playbook::Playbook;
use crate::domain::settings::{Rulebook, Settings};

/// Fewer files than this are read before a thread has begun.
const WORTH_A_THREAD: usize = 32;

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
    let (mut settings, mut names, usable) = match &files.settings {
        Some(file) => settings_file(file, specs, secrets, &mut diagnostics),
        None => {
            let settings = settings::shipped(specs);
            let names = Names::of(&settings);
            (settings, names, true)
        }
    };
    names.playbooks = files.playbooks.iter().map(|file| playbooks::slug_of(&file.path).to_owned()).collect();
    let mut shelf = Shelf { previous, ..Shelf::default() };
    let context = Context { specs, names: &names, targets: &settings.rulebook.targets, outputs: &NOTHING };
    for (file, (playbook, found)) in files.playbooks.iter().zip(playbook_files(&files.playbooks, context)) {
        diagnostics.take_in(found);
        shelf.put(file, playbook, &mut diagnostics);
    }
    shelf.refuse_circles(&files.playbooks, &mut diagnostics);
    shelf.onto(&mut settings.rulebook);
    Loaded { settings: usable.then_some(settings), diagnostics }
}

/// Reads and checks one playbook against settings in force: for an editor, or for a revision that a run is pinned to.
pub fn playbook(path: &str, text: &str, settings: &Settings) -> (Option<Playbook>, Diagnostics) {
    let mut diagnostics = Diagnostics::default();
    let names = Names::of(settings);
    let context = Context { specs: &settings.rulebook.specs, names: &names, targets: &settings.rulebook.targets, outputs: &NOTHING };
    let playbook = playbook_file(&TextFile::new(path, text), context, &mut diagnostics);
    if let Some(playbook) = &playbook {
        let mut books = settings.rulebook.playbooks.clone();
        books.insert(playbook.slug.clone(), Arc::new(playbook.clone()));
        if let Some(way) = circles::circles(&books).get(&playbook.slug) {
            diagnostics.add(path, text.into(), circles::faults(path, text, way));
        }
    }
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

/// Each stands for itself until it is on the shelf, so all processors read, each its part of them.
fn playbook_files(files: &[TextFile], context: Context<'_>) -> Vec<(Option<Playbook>, Diagnostics)> {
    let read = |files: &[TextFile]| -> Vec<_> {
        let one = |file| {
            let mut found = Diagnostics::default();
            (playbook_file(file, context, &mut found), found)
        };
        files.iter().map(one).collect()
    };
    let processors = thread::available_parallelism().map_or(1, NonZero::get);
    let readers = processors.min(files.len() / WORTH_A_THREAD);
    if readers < 2 {
        return read(files);
    }
    thread::scope(|scope| {
        let parts: Vec<_> = files.chunks(files.len().div_ceil(readers)).map(|part| scope.spawn(move || read(part))).collect();
        parts.into_iter().flat_map(|part| part.join().unwrap_or_else(|panic| resume_unwind(panic))).collect()
    })
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

    /// What never ends must not begin: each playbook on a circle is broken, and its last good revision stays.
    fn refuse_circles(&mut self, files: &[TextFile], diagnostics: &mut Diagnostics) {
        for (slug, way) in circles::circles(&self.playbooks) {
            let Some(path) = self.files.get(&slug) else { continue };
            let Some(Ok(text)) = files.iter().find(|file| file.path == *path).map(|file| &file.text) else { continue };
            diagnostics.add(path, text.as_str().into(), circles::faults(path, text, &way));
            if let Some(words) = diagnostics.words_about(path) {
                self.broken.insert(path.clone(), words);
            }
            match self.previous.and_then(|book| book.playbooks.get(&slug).cloned()) {
                Some(last_good) => self.playbooks.insert(slug, last_good),
                None => self.playbooks.remove(&slug),
            };
        }
    }

    fn onto(self, book: &mut Rulebook) {
        book.revisions = self.previous.map(|book| book.revisions.clone()).unwrap_or_default();
        book.revisions.extend(self.playbooks.values().map(|playbook| (playbook.revision.clone(), playbook.clone())));
        book.playbooks = self.playbooks;
        book.broken = self.broken;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::samples::{self, Sampled};

    const GOOD: &str = "on: { type: x }\nsteps: [ { id: a, wait: 5m } ]\n";

    fn reload(playbooks: Vec<TextFile>, previous: &Settings) -> Settings {
        let files = Files { settings: None, playbooks };
        load(&files, &samples::specs(), &Sampled, Some(&previous.rulebook)).settings.expect("no settings, no fault in them")
    }

    #[test]
    fn a_broken_playbook_keeps_its_last_good_revision() {
        let first = samples::load("", &[("playbooks/x.yaml", GOOD)]).settings.expect("it is good");
        let good = first.rulebook.playbooks["x"].revision.clone();
        let second = reload(vec![TextFile::new("playbooks/x.yaml", "on: {}\nsteps: [ { id: a, wiat: 5m } ]\n")], &first);
        assert_eq!(second.rulebook.playbooks["x"].revision, good);
        let words = &second.rulebook.broken["playbooks/x.yaml"];
        assert!(words.contains("playbooks/x.yaml:2:19: unknown field \"wiat\"; did you mean \"wait\"?"), "{words}");
        let mended = format!("{GOOD}# mended\n");
        let third = reload(vec![TextFile::new("playbooks/x.yaml", &*mended)], &second);
        assert_ne!(third.rulebook.playbooks["x"].revision, good);
        assert!(third.rulebook.broken.is_empty() && third.rulebook.revisions.contains_key(&good));
        let gone = reload(Vec::new(), &third);
        assert!(gone.rulebook.playbooks.is_empty() && gone.rulebook.revisions.len() == 2);
    }

    #[test]
    fn an_unreadable_playbook_is_a_broken_one() {
        let first = samples::load("", &[("playbooks/x.yaml", GOOD)]).settings.expect("it is good");
        let file = TextFile { path: "playbooks/x.yaml".to_owned(), text: Err("permission denied".to_owned()) };
        let second = reload(vec![file], &first);
        assert!(second.rulebook.playbooks.contains_key("x") && second.rulebook.broken["playbooks/x.yaml"].contains("permission denied"));
    }

    #[test]
    fn faults_of_all_files_come_at_once() {
        let loaded =
            samples::load("automation: liv", &[("playbooks/a.yaml", "steps: 1"), ("playbooks/b.yaml", GOOD), ("playbooks/b.yml", GOOD)]);
        let files: Vec<_> = loaded.diagnostics.iter().map(|fault| fault.file.as_str()).collect();
        assert_eq!(files, ["reynard.yaml", "playbooks/a.yaml", "playbooks/a.yaml", "playbooks/b.yml"]);
        assert!(loaded.settings.is_none());
    }

    #[test]
    fn many_files_are_told_of_in_their_order_whoever_read_them() {
        let names: Vec<String> = (0..5 * WORTH_A_THREAD).map(|n| format!("playbooks/p{n:03}.yaml")).collect();
        let text = |n: usize| if n.is_multiple_of(2) { GOOD } else { "steps: 1" };
        let texts: Vec<_> = names.iter().enumerate().map(|(n, name)| (name.as_str(), text(n))).collect();
        let loaded = samples::load("", &texts);
        let mut told: Vec<_> = loaded.diagnostics.iter().map(|fault| fault.file.as_str()).collect();
        told.dedup();
        assert_eq!(told, names.iter().skip(1).step_by(2).collect::<Vec<_>>());
        let rulebook = loaded.settings.expect("no settings, no fault in them").rulebook;
        assert_eq!((rulebook.playbooks.len(), rulebook.broken.len()), (80, 80));
    }

    #[test]
    fn settings_that_are_no_yaml_do_not_make_playbooks_look_wrong() {
        let loaded = samples::load("a: [", &[("playbooks/database_connection_failure.yaml", samples::PLAYBOOK)]);
        assert_eq!(loaded.diagnostics.iter().map(|fault| fault.file.as_str()).collect::<Vec<_>>(), ["reynard.yaml"]);
    }

    #[test]
    fn shipped_files_are_good() {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
        for (settings, playbooks) in [("no.yaml", "playbooks"), ("examples/reynard.yaml", "examples/playbooks")] {
            let files = Files::gather(&root.join(settings), &root.join(playbooks), &[]).expect("they can be read");
            assert!(!files.playbooks.is_empty());
            let loaded = load(&files, &samples::specs(), &Sampled, None);
            let text: Vec<_> =
                loaded.diagnostics.iter().filter(|fault| fault.code != Code::NobodyOnCall).map(Diagnostic::to_string).collect();
            assert_eq!(text, [""; 0]);
            assert_eq!(loaded.settings.expect("it is good").rulebook.playbooks.len(), files.playbooks.len());
        }
    }

    #[test]
    fn hostile_files_are_told_briefly() {
        let many = |line: &str| (0..9_000).map(|n| line.replace('#', &n.to_string())).collect::<String>();
        for text in [
            many("k#: 1\n"),
            "k: 1\n".repeat(9_000),
            format!("on: {{}}\nsteps:\n{}", many("- {id: a#}\n")),
            format!("on: {{}}\nsteps:\n- {{id: a, action: notify, with: {{to: [{}]}}}}", many("nobody#,")),
            format!("on: {{}}\nsteps:\n- {{id: a, action: notify, with: {{{}}}}}", many("k#: 1,")),
        ] {
            let diagnostics = samples::load(samples::SETTINGS, &[("playbooks/x.yaml", &text)]).diagnostics;
            assert!((1..=100).contains(&diagnostics.errors()), "{}", diagnostics.errors());
            diagnostics.to_text(false);
        }
    }

    #[test]
    fn playbooks_that_run_each_other_in_a_circle_are_told_at_the_steps_that_do() {
        let runs = |other: &str| format!("on: {{}}\nsteps:\n  - {{ id: go, action: playbook.run, with: {{ playbook: {other} }} }}\n");
        let (a, b, c) = (runs("b"), runs("c"), runs("a"));
        let files = [("playbooks/a.yaml", &*a), ("playbooks/b.yaml", &*b), ("playbooks/c.yaml", &*c), ("playbooks/x.yaml", &*a)];
        let loaded = samples::load("", &files);
        let told: Vec<_> = loaded.diagnostics.iter().map(Diagnostic::to_string).collect();
        assert_eq!(
            told.iter().map(|words| words.split(';').next().unwrap_or("")).collect::<Vec<_>>(),
            [
                "playbooks/a.yaml:3:55: this never ends: a runs b runs c runs a",
                "playbooks/b.yaml:3:55: this never ends: b runs c runs a runs b",
                "playbooks/c.yaml:3:55: this never ends: c runs a runs b runs c",
            ]
        );
        let settings = loaded.settings.expect("no fault in the settings");
        let usable: Vec<&str> = settings.rulebook.playbooks.keys().map(String::as_str).collect();
        assert_eq!((usable, settings.rulebook.broken.len()), (vec!["x"], 3));
        // Two that share a third are no circle.
        let files = [("playbooks/a.yaml", &*a), ("playbooks/b.yaml", GOOD), ("playbooks/c.yaml", &*a)];
        assert_eq!(samples::told(&samples::load("", &files).diagnostics), [""; 0]);
        // An edit that closes one keeps what was in force, and an editor hears of it before.
        let first = samples::load("", &[("playbooks/a.yaml", &*a), ("playbooks/b.yaml", GOOD)]).settings.expect("it is good");
        let closing = runs("a");
        let (usable, faults) = playbook("playbooks/b.yaml", &closing, &first);
        assert!(usable.is_some() && faults.errors() == 1, "a run that is pinned to it can still go on");
        let second = reload(vec![TextFile::new("playbooks/a.yaml", &*a), TextFile::new("playbooks/b.yaml", &*closing)], &first);
        assert_eq!(second.rulebook.playbooks["b"].source, GOOD);
    }

    #[test]
    fn an_editor_checks_one_playbook_against_what_is_in_force() {
        let settings = samples::load(samples::SETTINGS, &[]).settings.expect("it is good");
        assert!(playbook("playbooks/x.yaml", samples::PLAYBOOK, &settings).0.is_some());
        let (broken, faults) = playbook("playbooks/x.yaml", "on: {}\nsteps: [ { id: a, action: nope } ]", &settings);
        assert!(broken.is_none() && faults.errors() == 1);
    }
}
