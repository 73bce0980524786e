//! Finds files of playbook tests, plays their stories and tells how they went. Knows no command line.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use serde_json::Value;

use crate::carried;
use crate::config::files::{self, TextFile};
use crate::config::yaml::{self, Node};
use crate::domain::settings::{self, Rulebook};
use crate::rehearsal::given::Lookup;
use crate::rehearsal::judge::Fault;
use crate::rehearsal::script::{Script, Story};
use crate::rehearse;

/// How one story went.
#[derive(Clone, Debug)]
pub struct Told {
    pub file: String,
    pub line: usize,
    pub name: String,
    pub flaws: Vec<Flaw>,
    /// Whether it could not be played.
    pub broken: bool,
}

/// What was not as expected, or why it could not be played, and where that stands.
#[derive(Clone, Debug)]
pub struct Flaw {
    pub line: usize,
    pub column: usize,
    pub words: String,
}

/// Plays every story of the files and folders; of the folder beside the playbooks, or of the program, where none is named.
pub fn run(paths: &[PathBuf], config: &Path, playbooks: &Path) -> anyhow::Result<Vec<Told>> {
    let mut told = Vec::new();
    let mut shelf = Shelf::default();
    for file in gather(paths, playbooks)? {
        let beside = Path::new(&file.path).parent().and_then(Path::parent).filter(|folder| folder.join("tests").exists());
        let folder = if paths.is_empty() { playbooks } else { beside.unwrap_or(playbooks) };
        match Read::file(&file) {
            Ok(read) => told.extend(read.play(&mut shelf, config, folder)?),
            Err(flaws) => {
                let line = flaws.first().map_or(1, |flaw| flaw.line);
                told.push(Told { file: file.path.clone(), line, name: "the file".to_owned(), flaws, broken: true });
            }
        }
    }
    Ok(told)
}

fn gather(paths: &[PathBuf], playbooks: &Path) -> anyhow::Result<Vec<TextFile>> {
    if paths.is_empty() {
        let own = files::folder(&playbooks.join("tests")).context("the tests cannot be read")?;
        return Ok(own.unwrap_or_else(carried::tests));
    }
    let mut found = Vec::new();
    for path in paths {
        let named = || format!("{} cannot be read", path.display());
        if path.metadata().with_context(named)?.is_dir() {
            found.extend(files::folder(path).with_context(named)?.unwrap_or_default());
        } else {
            found.push(TextFile::read(path));
        }
    }
    Ok(found)
}

/// Rulebooks that were read already, by the settings and the folder of playbooks.
#[derive(Default)]
struct Shelf(BTreeMap<(Settings, PathBuf), Arc<Rulebook>>);

/// Where settings stand.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Settings {
    File(PathBuf),
    /// In a file of tests itself: many say the same ones.
    Text(String),
}

impl Shelf {
    fn rulebook(&mut self, config: &Path, playbooks: &Path) -> anyhow::Result<Arc<Rulebook>> {
        self.get((Settings::File(config.to_owned()), playbooks.to_owned()), || rehearse::settings(config, playbooks))
    }

    fn rulebook_of(&mut self, file: &str, text: String, playbooks: &Path) -> anyhow::Result<Arc<Rulebook>> {
        self.get((Settings::Text(text.clone()), playbooks.to_owned()), || rehearse::settings_of(file, &text, playbooks))
    }

    fn get(
        &mut self,
        place: (Settings, PathBuf),
        read: impl FnOnce() -> anyhow::Result<settings::Settings>,
    ) -> anyhow::Result<Arc<Rulebook>> {
        if let Some(known) = self.0.get(&place) {
            return Ok(known.clone());
        }
        let rulebook = Arc::new(read()?.rulebook);
        self.0.insert(place, rulebook.clone());
        Ok(rulebook)
    }
}

/// A file that has been read, with the places of what it says.
struct Read<'a> {
    file: &'a TextFile,
    text: &'a str,
    node: Node,
    script: Script,
}

impl<'a> Read<'a> {
    fn file(file: &'a TextFile) -> Result<Self, Vec<Flaw>> {
        let text = file.text.as_ref().map_err(|why| vec![Flaw { line: 1, column: 1, words: format!("it cannot be read: {why}") }])?;
        let node = yaml::parse(text)
            .map_err(|faults| faults.into_iter().map(|fault| flaw(text, fault.span.start, fault.message)).collect::<Vec<_>>())?;
        let script = serde_path_to_error::deserialize(node.to_json()).map_err(|error| {
            let place = pointer(error.path());
            vec![flaw(text, node.at_pointer(&place).span.start, format!("{}; schemas/test.json says what is taken", error.into_inner()))]
        })?;
        Ok(Self { file, text, node, script })
    }

    fn play(&self, shelf: &mut Shelf, config: &Path, playbooks: &Path) -> anyhow::Result<Vec<Told>> {
        let home = Path::new(&self.file.path).parent().unwrap_or(Path::new("."));
        let all = match &self.script.config {
            None => shelf.rulebook(config, playbooks)?,
            Some(Value::String(path)) => shelf.rulebook(&home.join(path), playbooks)?,
            // JSON is YAML, too.
            Some(own) => shelf.rulebook_of(&self.file.path, own.to_string(), playbooks)?,
        };
        let rulebook = if self.script.playbooks.is_empty() { all } else { Arc::new(only(&all, &self.script.playbooks)) };
        let samples = carried::alerts();
        let lookup: Lookup<'_> = &|name| match name.strip_prefix("sample:") {
            Some(sample) => samples.get(sample).cloned().ok_or_else(|| format!("there is no sample alert \"{sample}\"")),
            None => std::fs::read_to_string(home.join(name)).map_err(|error| format!("{name}: {error}")),
        };
        let missing = self.script.playbooks.iter().position(|slug| !rulebook.playbooks.contains_key(slug));
        let missing =
            missing.map(|at| (format!("/playbooks/{at}"), format!("there is no good playbook \"{}\"", self.script.playbooks[at])));
        let stories = self.script.tests.iter().enumerate();
        Ok(stories
            .map(|(at, story)| match &missing {
                Some((place, words)) => self.told(at, story, vec![self.flaw(place, words.clone())], true),
                None => self.story(at, story, &rulebook, lookup),
            })
            .collect())
    }

    fn story(&self, at: usize, story: &Story, rulebook: &Rulebook, lookup: Lookup<'_>) -> Told {
        let placed = |fault: Fault| self.flaw(&format!("/tests/{at}{}", fault.place), fault.words);
        match story.play(rulebook, lookup) {
            Ok(faults) => self.told(at, story, faults.into_iter().map(placed).collect(), false),
            Err(fault) => {
                let words = format!("it cannot be played: {}", fault.words);
                self.told(at, story, vec![placed(Fault { words, ..fault })], true)
            }
        }
    }

    fn told(&self, at: usize, story: &Story, flaws: Vec<Flaw>, broken: bool) -> Told {
        let line = self.flaw(&format!("/tests/{at}"), String::new()).line;
        Told { file: self.file.path.clone(), line, name: story.name.clone(), flaws, broken }
    }

    fn flaw(&self, pointer: &str, words: String) -> Flaw {
        flaw(self.text, self.node.at_pointer(pointer).span.start, words)
    }
}

/// Only these playbooks start; what they run is there, too.
fn only(all: &Rulebook, slugs: &[String]) -> Rulebook {
    let mut rulebook = all.clone();
    rulebook.playbooks.retain(|slug, _| slugs.contains(slug));
    rulebook
}

fn flaw(text: &str, at: usize, words: String) -> Flaw {
    let before = text.get(..at).unwrap_or_default();
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    Flaw { line: before.matches('\n').count() + 1, column, words }
}

/// The place of a value that could not be read, as a JSON pointer.
fn pointer(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    let part = |segment: &Segment| match segment {
        Segment::Seq { index } => format!("/{index}"),
        Segment::Map { key } => format!("/{}", key.replace('~', "~0").replace('/', "~1")),
        Segment::Enum { variant } => format!("/{variant}"),
        Segment::Unknown => String::new(),
    };
    path.iter().map(part).collect()
}

/// The same for build servers.
pub fn junit(told: &[Told]) -> String {
    let (errors, failures): (Vec<&Told>, Vec<&Told>) = told.iter().filter(|told| !told.flaws.is_empty()).partition(|told| told.broken);
    let mut xml = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuite name=\"reynard\" tests=\"{}\" failures=\"{}\" errors=\"{}\">\n",
        told.len(),
        failures.len(),
        errors.len()
    );
    for one in told {
        let (file, name) = (escaped(&one.file), escaped(&one.name));
        xml.push_str(&format!("  <testcase classname=\"{file}\" name=\"{name}\" file=\"{file}\" line=\"{}\">", one.line));
        let kind = if one.broken { "error" } else { "failure" };
        for flaw in &one.flaws {
            let first = escaped(flaw.words.lines().next().unwrap_or_default());
            let whole = escaped(&format!("{}:{}:{}: {}", one.file, flaw.line, flaw.column, flaw.words));
            xml.push_str(&format!("\n    <{kind} message=\"{first}\">{whole}</{kind}>\n  "));
        }
        xml.push_str("</testcase>\n");
    }
    xml + "</testsuite>\n"
}

fn escaped(text: &str) -> String {
    let kept = |letter: &char| !letter.is_control() || matches!(letter, '\n' | '\t');
    text.chars().filter(kept).collect::<String>().replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
