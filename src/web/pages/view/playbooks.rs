//! The playbooks in force and the files that are broken. Knows no files: the rulebook is handed in.

use serde::Serialize;

use crate::domain::breaker::Breaker;
use crate::domain::playbook::{Playbook, Trigger};
use crate::domain::settings::Rulebook;
use crate::web::pages::view::times::{Lens, Moment};

#[derive(Clone, Debug, Serialize)]
pub struct PlaybooksView {
    pub broken: Vec<Broken>,
    pub books: Vec<Book>,
}

#[derive(Clone, Debug, Serialize)]
pub struct Broken {
    pub file: String,
    pub fault: String,
}

#[derive(Clone, Debug, Serialize)]
pub struct Book {
    pub slug: String,
    pub title: String,
    pub revision: String,
    pub trigger: String,
    pub limits: Option<String>,
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

pub fn playbooks_view(rulebook: &Rulebook, breakers: &[Breaker], lens: Lens) -> PlaybooksView {
    let breaker = |slug: &str| {
        let breaker = breakers.iter().find(|breaker| breaker.playbook == slug)?;
        let opened = breaker.opened?;
        Some(BreakerView { failures: breaker.failures, since: lens.moment(opened.at), incident: opened.incident.to_string() })
    };
    PlaybooksView {
        broken: rulebook.broken.iter().map(|(file, fault)| Broken { file: file.clone(), fault: fault.clone() }).collect(),
        books: rulebook.playbooks.values().map(|book| Book { breaker: breaker(&book.slug), ..view(book) }).collect(),
    }
}

fn view(book: &Playbook) -> Book {
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
        steps: steps.collect(),
        destructive: book.steps.iter().filter(|step| step.destructive).count(),
        breaker: None,
    }
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
