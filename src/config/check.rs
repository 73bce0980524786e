//! `reynard check`: which files a person means, and whether they are good. Knows no terminal.

use std::io;
use std::path::{Path, PathBuf};

use crate::config::diagnostic::Diagnostics;
use crate::config::files::{self, Files, TextFile};
use crate::config::lint;
use crate::config::load;
use crate::config::playbooks;
use crate::config::secrets::Secrets;
use crate::domain::action::Specs;
use crate::domain::settings::{Rulebook, Settings};

/// What to check: the paths given, or else the settings and the playbook folder of the working folder.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    pub settings: &'a Path,
    pub playbooks: &'a Path,
    /// Playbook files, playbook folders, a `reynard.yaml`, or folders that have one.
    pub paths: &'a [PathBuf],
}

/// How it went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    Good,
    Faults,
    /// Nothing could be checked, and why.
    CouldNotRun(String),
}

impl Verdict {
    /// 0 good, 1 faults, 2 could not run.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Good => 0,
            Self::Faults => 1,
            Self::CouldNotRun(_) => 2,
        }
    }
}

/// What was checked and found.
#[derive(Clone, Debug)]
pub struct Checked {
    pub diagnostics: Diagnostics,
    /// Every file that was looked at.
    pub files: Vec<String>,
    pub verdict: Verdict,
}

/// Checks as loading would.
pub fn check(request: Request<'_>, specs: &Specs, secrets: &dyn Secrets) -> Checked {
    match gather(request) {
        Ok(files) => checked(&files, specs, secrets),
        Err(error) => Checked { diagnostics: Diagnostics::default(), files: Vec::new(), verdict: Verdict::CouldNotRun(error.to_string()) },
    }
}

fn checked(files: &Files, specs: &Specs, secrets: &dyn Secrets) -> Checked {
    let mut loaded = load::load(files, specs, secrets, None);
    for file in &files.playbooks {
        look_closer(file, loaded.settings.as_ref().map(|settings| &settings.rulebook), &mut loaded.diagnostics);
    }
    let mut diagnostics = loaded.diagnostics;
    diagnostics.sort();
    let verdict = if diagnostics.has_errors() { Verdict::Faults } else { Verdict::Good };
    let files = files.settings.iter().chain(&files.playbooks).map(|file| file.path.clone()).collect();
    Checked { diagnostics, files, verdict }
}

/// Checks one playbook as an editor has it, against the settings in force.
pub fn one(path: &str, text: &str, settings: &Settings) -> Diagnostics {
    let (playbook, mut diagnostics) = load::playbook(path, text, settings);
    if let Some(playbook) = playbook {
        diagnostics.add(path, text.into(), lint::lint(path, text, &playbook, &settings.rulebook));
    }
    diagnostics.sort();
    diagnostics
}

/// What is good by the letter is looked at once more.
fn look_closer(file: &TextFile, book: Option<&Rulebook>, diagnostics: &mut Diagnostics) {
    let (Some(book), Ok(text)) = (book, &file.text) else { return };
    let good = book.playbooks.get(playbooks::slug_of(&file.path)).filter(|playbook| playbook.source == *text);
    if let Some(playbook) = good.filter(|_| diagnostics.words_about(&file.path).is_none()) {
        diagnostics.add(&file.path, text.as_str().into(), lint::lint(&file.path, text, playbook, book));
    }
}

fn gather(request: Request<'_>) -> io::Result<Files> {
    let mut found = Files::gather(request.settings, request.playbooks, &[])?;
    if request.paths.is_empty() {
        return Ok(found);
    }
    found.playbooks.clear();
    for path in request.paths {
        add(path, &mut found).map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))?;
    }
    Ok(found)
}

fn add(path: &Path, found: &mut Files) -> io::Result<()> {
    if !path.metadata()?.is_dir() {
        if is_settings(path) {
            found.settings = Some(TextFile::read(path))
        } else {
            found.playbooks.push(TextFile::read(path))
        }
        return Ok(());
    }
    let settings = path.join("reynard.yaml");
    let playbooks = if settings.exists() {
        found.settings = Some(TextFile::read(&settings));
        path.join("playbooks")
    } else {
        path.to_owned()
    };
    found.playbooks.extend(files::folder(&playbooks)?.unwrap_or_default());
    Ok(())
}

fn is_settings(path: &Path) -> bool {
    path.file_stem().is_some_and(|stem| stem == "reynard")
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::config::samples::{self, Sampled};

    fn verdict(folder: &Path, paths: &[&str]) -> (Verdict, usize) {
        let paths: Vec<PathBuf> = paths.iter().map(|path| folder.join(path)).collect();
        let (settings, playbooks) = (folder.join("reynard.yaml"), folder.join("playbooks"));
        let request = Request { settings: &settings, playbooks: &playbooks, paths: &paths };
        let checked = check(request, &samples::specs(), &Sampled);
        (checked.verdict, checked.files.len())
    }

    #[test]
    fn an_empty_folder_is_good_and_a_missing_file_cannot_be_checked() {
        let folder = tempfile::tempdir().expect("a folder");
        assert_eq!(verdict(folder.path(), &[]), (Verdict::Good, 0));
        let (verdict, _) = verdict(folder.path(), &["nope.yaml"]);
        assert_eq!(verdict.exit_code(), 2, "{verdict:?}");
    }

    #[test]
    fn files_folders_and_the_working_folder_are_checked() {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |path: &str, text: &str| fs::write(folder.path().join(path), text).expect("it is written");
        fs::create_dir_all(folder.path().join("playbooks/tests")).expect("folders");
        write("reynard.yaml", samples::SETTINGS);
        write("playbooks/database_connection_failure.yaml", samples::PLAYBOOK);
        write("playbooks/tests/x.yaml", "not: a playbook");
        write("playbooks/.hidden.yaml", "not: a playbook");
        assert_eq!(verdict(folder.path(), &[]), (Verdict::Good, 2));
        assert_eq!(verdict(folder.path(), &["."]), (Verdict::Good, 2));
        write("playbooks/bad.yml", "steps: []");
        assert_eq!(verdict(folder.path(), &[]), (Verdict::Faults, 3));
        assert_eq!(verdict(folder.path(), &["playbooks/database_connection_failure.yaml"]), (Verdict::Good, 2));
        assert_eq!(verdict(folder.path(), &["playbooks"]), (Verdict::Faults, 3));
        assert_eq!(verdict(folder.path(), &["reynard.yaml"]), (Verdict::Good, 1));
    }

    #[cfg(unix)]
    #[test]
    fn a_link_that_leads_out_of_the_folder_is_not_followed() {
        let folder = tempfile::tempdir().expect("a folder");
        let inside = folder.path().join("playbooks");
        fs::create_dir_all(inside.join("data")).expect("folders");
        fs::write(folder.path().join("outside.yaml"), "x").expect("it is written");
        fs::write(inside.join("data/real.yaml"), "on: {}").expect("it is written");
        std::os::unix::fs::symlink(folder.path().join("outside.yaml"), inside.join("out.yaml")).expect("a link");
        std::os::unix::fs::symlink("data/real.yaml", inside.join("in.yaml")).expect("a link");
        let found = files::folder(&inside).expect("it can be read").expect("it is there");
        assert_eq!(found.len(), 1);
        assert!(found[0].path.ends_with("in.yaml"));
    }
}
