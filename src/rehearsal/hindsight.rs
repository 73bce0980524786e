//! What the past says against a file: conditions that were always or never so, names that were often not there; at the place in the
//! file where that is asked. Knows no database.

use crate::config::diagnostic::{Code, Diagnostics};
use crate::config::files::TextFile;
use crate::config::lint::{below, rule_at, step_at};
use crate::config::playbooks::slug_of;
use crate::config::reader::{At, Document};
use crate::config::yaml::Node;
use crate::rehearsal::seen::{Count, Seen, Subject};

/// Fewer cases than this say nothing.
const ENOUGH: u64 = 10;
/// Missing in so many of a hundred is worth a word.
const OFTEN: u64 = 5;

/// Everything that is worth a look, file by file.
pub fn hindsight(seen: &Seen, settings: Option<&TextFile>, playbooks: &[TextFile]) -> Diagnostics {
    let mut found = Diagnostics::default();
    for file in settings.into_iter().chain(playbooks) {
        let Ok(text) = &file.text else { continue };
        let document = Document::new(&file.path, text);
        if let Some(root) = document.parse() {
            let look = Look { document: &document, root: &root };
            let is_settings = settings.is_some_and(|settings| settings.path == file.path);
            look.look(seen, (!is_settings).then(|| slug_of(&file.path)));
        }
        found.add(&file.path, text.as_str().into(), document.into_faults());
    }
    found
}

struct Look<'a> {
    document: &'a Document,
    root: &'a Node,
}

impl<'a> Look<'a> {
    fn look(&self, seen: &Seen, playbook: Option<&str>) {
        for (subject, count) in seen.counts.iter().filter(|(_, count)| count.asked >= ENOUGH) {
            match (subject, playbook) {
                (Subject::Rule(name), None) => self.rule(name, count),
                (Subject::When(slug, step), Some(own)) if slug == own => self.condition(step, count),
                (Subject::Step(slug, step), Some(own)) if slug == own => self.step(step, count),
                _ => {}
            }
        }
    }

    fn at(&self) -> At<'a> {
        At::new(self.document, self.root)
    }

    fn rule(&self, name: &str, count: &Count) {
        let Some(at) = rule_at(self.at(), name).and_then(|rule| below(rule, "when")) else { return };
        self.always_or_never(at, count);
        self.missing(at, count, "incidents that this rule was asked about");
    }

    fn condition(&self, step: &str, count: &Count) {
        if let Some(at) = step_at(self.at(), step).and_then(|step| below(step, "when")) {
            self.always_or_never(at, count);
        }
    }

    fn step(&self, step: &str, count: &Count) {
        let at = step_at(self.at(), step).map(|at| below(at, "with").or_else(|| below(at, "when")).unwrap_or(at));
        if let Some(at) = at {
            self.missing(at, count, "incidents that this playbook ran on");
        }
    }

    fn always_or_never(&self, at: At<'_>, count: &Count) {
        let asked = count.asked;
        if count.held == asked {
            at.place().warning(Code::NeverFalse, format!("this condition was never false in {asked} times"), None);
        } else if count.held == 0 {
            at.place().warning(Code::NeverTrue, format!("this condition was never true in {asked} times"), None);
        }
    }

    fn missing(&self, at: At<'_>, count: &Count, of: &str) {
        for (name, missing) in &count.missing {
            let share = missing * 100 / count.asked;
            if share >= OFTEN {
                let message = format!("`{name}` is missing on {share} % of the {} {of}", count.asked);
                at.place().warning(Code::OftenMissing, message, Some(format!("has({name}) asks whether it is there")));
            }
        }
    }
}
