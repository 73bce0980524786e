//! One playbook: what it says, what ran, and what it said before. Knows no files: they are handed in.

use serde::Serialize;

use crate::domain::autonomy::Record;
use crate::domain::settings::Rulebook;
use crate::domain::time::Timestamp;
use crate::engine::revisions::{Edition, PastRun};
use crate::web::library::FileText;
use crate::web::pages::view::diff::DiffView;
use crate::web::pages::view::playbooks::{Book, book_view};
use crate::web::pages::view::times::{Lens, Moment, took};

/// How many earlier texts a page lists.
const EDITIONS: usize = 50;

#[derive(Clone, Debug, Serialize)]
pub struct PlaybookView {
    pub slug: String,
    /// As it is in force.
    pub book: Option<Book>,
    /// The text in force, else the one in the file.
    pub source: Option<String>,
    pub path: Option<String>,
    pub carried: bool,
    /// Why the file as it is cannot be used.
    pub fault: Option<String>,
    /// The fault is in no file: somebody removed it.
    pub gone: bool,
    pub editable: bool,
    pub runs: Vec<RunLine>,
    pub editions: Vec<EditionLine>,
}

#[derive(Clone, Debug, Serialize)]
pub struct RunLine {
    pub id: String,
    pub number: u64,
    pub word: String,
    pub tone: &'static str,
    pub icon: &'static str,
    pub revision: String,
    pub at: Moment,
    pub took: Option<String>,
}

#[derive(Clone, Debug, Serialize)]
pub struct EditionLine {
    pub revision: String,
    pub short: String,
    pub in_force: bool,
    /// Who saved it last; none when it only ever came as a file.
    pub by: Option<String>,
    pub at: Moment,
    pub runs: Option<String>,
}

/// What a page about one playbook is made from.
pub struct Known<'a> {
    pub slug: &'a str,
    pub rulebook: &'a Rulebook,
    pub record: Option<&'a Record>,
    pub file: Option<&'a FileText>,
    pub editions: &'a [Edition],
    pub runs: &'a [PastRun],
    pub editable: bool,
    pub lens: Lens,
}

/// None where nobody ever heard of it.
pub fn playbook_view(known: &Known<'_>) -> Option<PlaybookView> {
    let book = known.rulebook.playbooks.get(known.slug);
    if book.is_none() && known.file.is_none() && known.editions.is_empty() {
        return None;
    }
    let fault = known.file.and_then(|file| known.rulebook.broken.get(&file.path));
    Some(PlaybookView {
        slug: known.slug.to_owned(),
        book: book.map(|book| book_view(book, known.record)),
        source: book.map(|book| book.source.clone()).or_else(|| known.file.map(|file| file.source.clone())),
        path: known.file.map(|file| file.path.clone()),
        carried: known.file.is_some_and(|file| file.carried),
        fault: fault.cloned(),
        gone: book.is_none() && known.file.is_none(),
        editable: known.editable,
        runs: known.runs.iter().map(|run| run_line(run, known.lens)).collect(),
        editions: editions(known),
    })
}

fn editions(known: &Known<'_>) -> Vec<EditionLine> {
    let in_force = known.rulebook.playbooks.get(known.slug).map(|book| book.revision.as_str());
    let line = |edition: &Edition| edition_line(edition, in_force, known.lens);
    known.editions.iter().take(EDITIONS).map(line).collect()
}

pub fn edition_line(edition: &Edition, in_force: Option<&str>, lens: Lens) -> EditionLine {
    let runs = |count| if count == 1 { "1 run".to_owned() } else { format!("{count} runs") };
    EditionLine {
        short: short(&edition.revision),
        in_force: in_force == Some(edition.revision.as_str()),
        by: edition.saves.last().map(|saving| saving.by.clone()),
        at: lens.moment(edition.last_at()),
        runs: (edition.runs > 0).then(|| runs(edition.runs)),
        revision: edition.revision.clone(),
    }
}

/// As much of a digest as people read.
pub fn short(revision: &str) -> String {
    revision.chars().take(8).collect()
}

fn run_line(run: &PastRun, lens: Lens) -> RunLine {
    let (tone, icon) = match run.status.as_str() {
        "succeeded" => ("good", "check"),
        "failed" => ("bad", "cross"),
        "cancelled" => ("minor", "stop"),
        "waiting" => ("wait", "clock"),
        _ => ("busy", "busy"),
    };
    RunLine {
        id: run.id.to_string(),
        number: run.number,
        word: run.status.clone(),
        tone,
        icon,
        revision: short(&run.revision),
        at: lens.moment(run.started_at),
        took: run.ended_at.map(|end: Timestamp| took(end.since(run.started_at))),
    }
}

/// One text of a playbook, and what it changed.
#[derive(Clone, Debug, Serialize)]
pub struct RevisionView {
    pub slug: String,
    pub edition: EditionLine,
    pub first_seen: Moment,
    /// Everybody who saved it, and when.
    pub saves: Vec<SavingLine>,
    pub source: String,
    /// The text it is compared with; none when it is the first.
    pub against: Option<EditionLine>,
    /// Others it can be compared with.
    pub others: Vec<EditionLine>,
    pub diff: DiffView,
    /// The file's text now, which a restore replaces; none where there is no file.
    pub base: Option<String>,
    pub restorable: bool,
}

#[derive(Clone, Debug, Serialize)]
pub struct SavingLine {
    pub by: String,
    pub at: Moment,
}

pub fn saving_lines(edition: &Edition, lens: Lens) -> Vec<SavingLine> {
    edition.saves.iter().map(|saving| SavingLine { by: saving.by.clone(), at: lens.moment(saving.at) }).collect()
}
