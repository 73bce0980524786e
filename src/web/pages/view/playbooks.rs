//! The playbooks in force and the files that are broken. Knows no files: the rulebook is handed in.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::domain::autonomy::Record;
use crate::domain::breaker::Breaker;
use crate::domain::playbook::{Playbook, Trigger};
use crate::domain::settings::Rulebook;
use crate::web::pages::view::times::{Lens, Moment, whole_seconds};

#[derive(Clone, Debug, Serialize)]
pub struct PlaybooksView {
    /// The incident that one of them is to be started on.
    pub start_on: Option<u64>,
    pub editable: bool,
    pub broken: Vec<Broken>,
    pub books: Vec<Book>,
}

#[derive(Clone, Debug, Serialize)]
pub struct Broken {
    pub file: String,
    pub fault: String,
    /// Where it can be mended.
    pub edit: Option<String>,
}

#[derive(Clone, Debug, Serialize)]
pub struct Book {
    pub slug: String,
    pub title: String,
    pub revision: String,
    pub trigger: String,
    pub limits: Option<String>,
    /// What its runs came to, in a line.
    pub record: Option<String>,
    /// Why it asks before it changes anything.
    pub asks: Option<String>,
    pub shadow: bool,
    pub steps: Vec<BookStep>,
    pub destructive: usize,
    /// Set while it changes nothing, because it has failed too often.
    pub breaker: Option<BreakerView>,
}

#[derive(Clone, Debug, Serialize)]
pub struct BreakerView {
    pub failures: u32,
    pub since: Moment,
    /// The incident whose run opened it.
    pub incident: String,
}

#[derive(Clone, Debug, Serialize)]
pub struct BookStep {
    pub number: usize,
    pub title: String,
    pub action: String,
    pub target: Option<String>,
    pub when: Option<String>,
    pub destructive: bool,
}

pub fn playbooks_view(
    rulebook: &Rulebook,
    (records, breakers): (&BTreeMap<String, Record>, &[Breaker]),
    (start_on, editable): (Option<u64>, bool),
    lens: Lens,
) -> PlaybooksView {
    let breaker = |slug: &str| {
        let breaker = breakers.iter().find(|breaker| breaker.playbook == slug)?;
        let opened = breaker.opened?;
        Some(BreakerView { failures: breaker.failures, since: lens.moment(opened.at), incident: opened.incident.to_string() })
    };
    PlaybooksView {
        start_on,
        editable,
        broken: rulebook.broken.iter().map(|(file, fault)| broken(file, fault, editable)).collect(),
        books: rulebook
            .playbooks
            .values()
            .map(|book| Book { breaker: breaker(&book.slug), ..book_view(book, records.get(&book.slug)) })
            .collect(),
    }
}

fn broken(file: &str, fault: &str, editable: bool) -> Broken {
    let name = file.rsplit('/').next().unwrap_or(file);
    let slug = name.strip_suffix(".yaml").or_else(|| name.strip_suffix(".yml")).filter(|_| editable);
    Broken { file: file.to_owned(), fault: fault.to_owned(), edit: slug.map(|slug| format!("/playbooks/{slug}/edit")) }
}

pub fn book_view(book: &Playbook, record: Option<&Record>) -> Book {
    let blank = Record::default();
    let steps = book.steps.iter().zip(1..).map(|(step, number)| BookStep {
        number,
        title: if step.title.is_empty() { step.id.clone() } else { step.title.clone() },
        action: step.action.clone(),
        target: step.target.clone(),
        when: step.when.as_ref().map(|when| when.source().to_owned()),
        destructive: step.destructive,
    });
    Book {
        slug: book.slug.clone(),
        title: book.title.clone(),
        revision: book.revision.chars().take(8).collect(),
        trigger: trigger(&book.trigger),
        limits: book.limits.concurrency.map(|n| if n == 1 { "one at a time".to_owned() } else { format!("{n} at a time") }),
        record: record.map(in_words),
        asks: book.autonomy.and_then(|policy| record.unwrap_or(&blank).why_it_asks(policy)),
        shadow: book.shadow,
        steps: steps.collect(),
        destructive: book.steps.iter().filter(|step| step.destructive).count(),
        breaker: None,
    }
}

/// `4 helped, 1 failed, 2 false starts; mostly within 40s`
fn in_words(record: &Record) -> String {
    let counts = [
        (record.verified, "verified"),
        (record.well, "went well"),
        (record.idle, "did nothing"),
        (record.failed, "failed"),
        (record.false_starts, "false starts"),
        (record.left, "left"),
    ];
    let counts: Vec<String> = counts.iter().filter(|(n, _)| *n > 0).map(|(n, word)| format!("{n} {word}")).collect();
    let median = record.median().map_or_else(String::new, |median| format!("; half of the last within {}", whole_seconds(median)));
    format!("{}{median}", counts.join(", "))
}

/// The trigger in words.
fn trigger(on: &Trigger) -> String {
    if on.is_manual() {
        return "started by a person".to_owned();
    }
    let mut parts = Vec::new();
    if let Some(planned) = &on.schedule {
        parts.push(format!("at {planned}"));
    }
    if !on.types.is_empty() {
        parts.push(on.types.join(" or "));
    }
    if !on.priorities.is_empty() {
        parts.push(format!("at {}", on.priorities.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")));
    }
    if !on.matchers.is_empty() {
        parts.push(format!("with a matching {}", on.matchers.iter().map(|matcher| matcher.name()).collect::<Vec<_>>().join(", ")));
    }
    parts.join(" ")
}
