//! The names that `reynard.yaml` declares, for checking those who refer to them. Knows no values.

use std::collections::{BTreeMap, BTreeSet};

use crate::config::diagnostic::Code;
use crate::config::reader::{At, Name};
use crate::config::suggest;
use crate::domain::action::TargetKind;
use crate::domain::directory::{ON_CALL, OPERATOR, PRIMARY};
use crate::domain::settings::Settings;

/// Every declared name, also of things that are broken themselves, so that one fault does not bring others.
#[derive(Clone, Debug, Default)]
pub struct Names {
    pub people: BTreeSet<String>,
    /// What people answer for.
    pub roles: BTreeSet<String>,
    pub schedules: BTreeSet<String>,
    pub channels: BTreeSet<String>,
    /// No kind when the target's own is broken.
    pub targets: BTreeMap<String, Option<TargetKind>>,
    pub commands: BTreeSet<String>,
    pub signals: BTreeSet<String>,
    /// By their files' names, broken ones too.
    pub playbooks: BTreeSet<String>,
    /// False when `reynard.yaml` could not be read at all: then no name is unknown.
    pub complete: bool,
}

impl Names {
    pub fn of(settings: &Settings) -> Self {
        let book = &settings.rulebook;
        Self {
            people: book.directory.people.keys().cloned().collect(),
            roles: book.directory.people.values().flat_map(|person| person.roles.iter().cloned()).collect(),
            schedules: book.directory.schedules.keys().cloned().collect(),
            channels: settings.channels.keys().cloned().collect(),
            targets: book.targets.iter().map(|(name, target)| (name.clone(), Some(target.kind))).collect(),
            commands: settings.commands.keys().cloned().collect(),
            signals: book.signals.keys().cloned().collect(),
            playbooks: book.playbooks.keys().cloned().collect(),
            complete: true,
        }
    }

    /// Whether the name stands for somebody who can be told.
    pub fn tells(&self, name: &str) -> bool {
        name == ON_CALL || [&self.people, &self.schedules, &self.channels, &self.roles].iter().any(|known| known.contains(name))
    }

    /// A text of `to:` or `notify:` that stands for somebody.
    pub fn recipient(&self, at: At<'_>) -> Option<String> {
        let name = at.words()?;
        if self.complete && !self.tells(name) && !at.document.is_full() {
            let known = [&self.people, &self.schedules, &self.channels, &self.roles].into_iter().flatten().map(String::as_str);
            let help = suggest::hint(name, known.chain([ON_CALL]));
            at.place().error(Code::UnknownName, format!("\"{name}\" is no person, schedule or channel, nor on-call"), help);
        }
        if self.complete && name == ON_CALL && !self.schedules.contains(PRIMARY) {
            let help = "declare it under on_call.schedules; until then on-call reaches nobody".to_owned();
            at.place().warning(Code::NobodyOnCall, "there is no schedule \"primary\" to say who is on call", Some(help));
        }
        Some(name.to_owned())
    }

    /// Somebody who can say yes or no: a person, a schedule, a role, on-call, or `operator`.
    pub fn approver(&self, at: At<'_>) -> Option<String> {
        let name = at.words()?;
        let can_answer =
            name == OPERATOR || name == ON_CALL || [&self.people, &self.schedules, &self.roles].iter().any(|known| known.contains(name));
        if self.complete && !can_answer {
            let known = [&self.people, &self.schedules, &self.roles].into_iter().flatten().map(String::as_str);
            let help = suggest::hint(name, known.chain([ON_CALL, OPERATOR]));
            at.place().error(Code::UnknownName, format!("\"{name}\" is no person, schedule or role, nor on-call or operator"), help);
            return None;
        }
        Some(name.to_owned())
    }

    /// A text that names one of `known`, things of the kind `what`.
    pub fn known<'n>(&self, at: At<'_>, what: &str, known: impl IntoIterator<Item = &'n String>) -> Option<String> {
        let name = at.words()?;
        let known: Vec<&str> = known.into_iter().map(String::as_str).collect();
        if !self.complete || known.contains(&name) {
            return Some(name.to_owned());
        }
        if at.document.is_full() {
            return None;
        }
        at.place().error(Code::UnknownName, format!("there is no {what} \"{name}\""), suggest::hint(name, known));
        None
    }
}

/// Whether a text may be the name of a thing or the id of a step.
pub fn is_name(text: &str) -> bool {
    let mut letters = text.chars();
    letters.next().is_some_and(|first| first.is_ascii_lowercase())
        && text.len() <= 64
        && letters.all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '_' || letter == '-')
}

/// The key as a name; anything else than small letters, digits, `-` and `_` is a fault.
pub fn name(key: Name<'_>) -> Option<String> {
    if is_name(key.text()) {
        return Some(key.text().to_owned());
    }
    key.place().error(Code::BadName, format!("\"{}\" is not a name", key.text()), Some(NAME_HELP.to_owned()));
    None
}

/// How names look.
pub const NAME_HELP: &str = "a name has up to 64 small letters, digits, - and _, and begins with a letter";
