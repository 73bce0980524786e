//! `reynard check`: which files a person means, and whether they are good. Knows no terminal.

use std::io;
use std::path::{Path, PathBuf};

use crate::config::diagnostic::Diagnostics;
use crate::config::files::{self, Files, TextFile};
use crate::config::load;
use crate::config::secrets::Secrets;
use crate::domain::action::Specs;

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
    let diagnostics = load::load(files, specs, secrets, None).diagnostics;
    let verdict = if diagnostics.has_errors() { Verdict::Faults } else { Verdict::Good };
    let files = files.settings.iter().chain(&files.playbooks).map(|file| file.path.clone()).collect();
    Checked { diagnostics, files, verdict }
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
