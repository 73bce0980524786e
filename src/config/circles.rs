//! Playbooks that run each other in a circle: found over all of them, told at the step that goes on with it. Knows no run.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::config::diagnostic::{Code, Diagnostic};
use crate::config::reader::{At, Document};
use crate::config::yaml::{Node, Value};
use crate::domain::playbook::Playbook;

/// The playbooks in force, by slug.
pub type Books = BTreeMap<String, Arc<Playbook>>;

/// For each playbook that comes back to itself, the shortest way: `[a, b, a]`.
pub fn circles(books: &Books) -> BTreeMap<String, Vec<String>> {
    let callers = books.values().filter(|book| book.runs().next().is_some());
    callers.filter_map(|book| Some((book.slug.clone(), way_back(&book.slug, books)?))).collect()
}

fn way_back(slug: &str, books: &Books) -> Option<Vec<String>> {
    let mut ways = vec![vec![slug.to_owned()]];
    let mut seen = BTreeSet::new();
    while !ways.is_empty() {
        let mut longer = Vec::new();
        for way in ways {
            for next in way.last().and_then(|last| books.get(last)).into_iter().flat_map(|book| book.runs()) {
                let on: Vec<String> = way.iter().cloned().chain([next.to_owned()]).collect();
                if next == slug {
                    return Some(on);
                }
                if seen.insert(next.to_owned()) {
                    longer.push(on);
                }
            }
        }
        ways = longer;
    }
    None
}

/// The faults of one playbook on a circle, each at the step that runs the next one.
pub fn faults(path: &str, text: &str, way: &[String]) -> Vec<Diagnostic> {
    let document = Document::new(path, text);
    let (Some(root), Some(next)) = (document.parse(), way.get(1)) else { return Vec::new() };
    tell(At::new(&document, &root), next, &way.join(" runs "));
    document.into_faults()
}

fn tell(at: At<'_>, next: &str, words: &str) {
    match &at.node.value {
        Value::List(items) => items.iter().for_each(|node| tell(At { node, ..at }, next, words)),
        Value::Map(entries) => {
            if let Some(node) = called(at.node).filter(|node| is(node, next)) {
                let help = "let one of them do the work itself, or end the circle with a page";
                At { node, ..at }.error_help(Code::PlaybookCircle, format!("this never ends: {words}"), help);
            }
            entries.iter().for_each(|(_, node)| tell(At { node, ..at }, next, words));
        }
        _ => {}
    }
}

/// The name of the playbook that a step runs.
fn called(step: &Node) -> Option<&Node> {
    let action = under(step, "action")?;
    is(action, "playbook.run").then(|| under(under(step, "with")?, "playbook"))?
}

fn under<'a>(node: &'a Node, name: &str) -> Option<&'a Node> {
    let Value::Map(entries) = &node.value else { return None };
    entries.iter().find(|(key, _)| key.text == name).map(|(_, node)| node)
}

fn is(node: &Node, text: &str) -> bool {
    matches!(&node.value, Value::Text(written) if written == text)
}
