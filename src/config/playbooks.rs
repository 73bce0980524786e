//! A playbook's file as a whole: what starts it, what limits it, its steps. Knows no run and no other playbook.

use std::fmt::Write;

use sha2::{Digest, Sha256};

use crate::config::classification;
use crate::config::diagnostic::Code;
use crate::config::limits;
use crate::config::names::{self, NAME_HELP};
use crate::config::reader::{At, Document};
use crate::config::steps::{self, Context};
use crate::domain::labels::Matcher;
use crate::domain::playbook::{Playbook, Trigger};

/// The playbook in the document; none when anything is wrong with it, which the document then says.
pub fn read(document: &Document, context: Context<'_>) -> Option<Playbook> {
    let slug = slug_of(&document.path);
    let root = document.parse()?;
    let at = At::new(document, &root);
    if !names::is_name(slug) {
        let help = format!("the file's name is the playbook's: {NAME_HELP}");
        at.error_help(Code::BadName, format!("\"{slug}\" cannot be a playbook's name"), help);
    }
    let fields = at.fields()?;
    let title = fields.optional("title").and_then(At::words).map_or_else(|| slug.to_owned(), str::to_owned);
    let trigger = fields.required("on").and_then(trigger);
    let limits = fields.optional("limits").and_then(limits::playbook).unwrap_or_default();
    fields.not_yet("vars");
    let steps = fields.required("steps").map(|at| steps::read(at, context));
    fields.finish();
    if document.has_errors() {
        return None;
    }
    let source = document.text.to_string();
    Some(Playbook { slug: slug.to_owned(), title, revision: revision(&source), source, trigger: trigger?, limits, steps: steps? })
}

/// A file's name without folder and ending.
pub fn slug_of(path: &str) -> &str {
    let file = path.rsplit(['/', '\\']).next().unwrap_or(path);
    file.strip_suffix(".yaml").or_else(|| file.strip_suffix(".yml")).unwrap_or(file)
}

/// SHA-256 of a playbook's text, in hex.
pub fn revision(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().fold(String::with_capacity(64), |mut hex, byte| {
        // Writing to a text cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

fn trigger(at: At<'_>) -> Option<Trigger> {
    let fields = at.fields()?;
    let items = |name| fields.optional(name).map(At::one_or_many).unwrap_or_default().into_iter();
    let trigger = Trigger {
        types: items("type").filter_map(|at| at.words().map(str::to_owned)).collect(),
        priorities: items("priority").filter_map(classification::priority).collect(),
        matchers: items("match").filter_map(matcher).collect(),
    };
    for name in ["schedule", "cron", "every"] {
        fields.not_yet(name);
    }
    fields.finish();
    Some(trigger)
}

fn matcher(at: At<'_>) -> Option<Matcher> {
    at.words()?.parse().map_err(|error: String| at.error(Code::BadMatcher, error)).ok()
}
