//! Finds files of playbook tests, plays their stories and tells how they went. Knows no command line.

use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::carried;
use crate::config::files::{self, TextFile};
use crate::config::yaml;
use crate::domain::settings::Rulebook;
use crate::rehearsal::script::{Lookup, Script};
use crate::rehearse;

/// How one story went.
#[derive(Clone, Debug)]
pub struct Told {
    pub file: String,
    pub name: String,
    /// What was not as expected, or why it could not be played.
    pub faults: Vec<String>,
    pub broken: bool,
}

/// Plays every story of the files and folders; of the folder beside the playbooks, or of the program, where none is named.
pub fn run(paths: &[PathBuf], config: &Path, playbooks: &Path) -> anyhow::Result<Vec<Told>> {
    let mut told = Vec::new();
    for file in gather(paths, playbooks)? {
        let beside = Path::new(&file.path).parent().and_then(Path::parent).filter(|folder| paths.is_empty() || folder.exists());
        let folder = if paths.is_empty() { playbooks } else { beside.unwrap_or(playbooks) };
        match script(&file) {
            Ok(script) => told.extend(stories(&file, &script, config, folder)?),
            Err(why) => told.push(Told { file: file.path.clone(), name: "the file".to_owned(), faults: vec![why], broken: true }),
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

fn script(file: &TextFile) -> Result<Script, String> {
    let text = file.text.as_ref().map_err(|why| format!("it cannot be read: {why}"))?;
    let node = yaml::parse(text).map_err(|faults| faults.into_iter().map(|fault| fault.message).collect::<Vec<_>>().join("; "))?;
    serde_json::from_value(node.to_json()).map_err(|error| format!("{error}; its first line names the schema that says what is taken"))
}

fn stories(file: &TextFile, script: &Script, config: &Path, playbooks: &Path) -> anyhow::Result<Vec<Told>> {
    let home = Path::new(&file.path).parent().unwrap_or(Path::new("."));
    let own = script.config.as_ref().map(|path| home.join(path));
    let settings = rehearse::settings(own.as_deref().unwrap_or(config), playbooks)?;
    let mut rulebook: Rulebook = settings.rulebook;
    if !script.playbooks.is_empty() {
        rulebook.playbooks.retain(|slug, _| script.playbooks.contains(slug));
    }
    let samples = carried::alerts();
    let lookup: Lookup<'_> = &|name| match name.strip_prefix("sample:") {
        Some(sample) => samples.get(sample).cloned().ok_or_else(|| format!("there is no sample alert \"{sample}\"")),
        None => std::fs::read_to_string(home.join(name)).map_err(|error| format!("{name}: {error}")),
    };
    let missing: Vec<&String> = script.playbooks.iter().filter(|slug| !rulebook.playbooks.contains_key(*slug)).collect();
    Ok(script
        .tests
        .iter()
        .map(|story| {
            let (faults, broken) = match story.play(&rulebook, lookup) {
                _ if !missing.is_empty() => (vec![format!("there is no good playbook {missing:?}")], true),
                Ok(faults) => (faults, false),
                Err(why) => (vec![format!("it cannot be played: {why}")], true),
            };
            Told { file: file.path.clone(), name: story.name.clone(), faults, broken }
        })
        .collect())
}

/// The same for build servers.
pub fn junit(told: &[Told]) -> String {
    let bad = told.iter().filter(|told| !told.faults.is_empty()).count();
    let mut xml =
        format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuite name=\"reynard\" tests=\"{}\" failures=\"{bad}\">\n", told.len());
    for one in told {
        xml.push_str(&format!("  <testcase classname=\"{}\" name=\"{}\">", escaped(&one.file), escaped(&one.name)));
        for fault in &one.faults {
            let first = fault.lines().next().unwrap_or_default();
            xml.push_str(&format!("\n    <failure message=\"{}\">{}</failure>\n  ", escaped(first), escaped(fault)));
        }
        xml.push_str("</testcase>\n");
    }
    xml + "</testsuite>\n"
}

fn escaped(text: &str) -> String {
    let kept = |letter: &char| !letter.is_control() || matches!(letter, '\n' | '\t');
    text.chars().filter(kept).collect::<String>().replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
