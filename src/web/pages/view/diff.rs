//! What changed between two texts, as rows with a sign in front. Knows no playbook.

use serde::Serialize;

use crate::web::diff::{DiffLine, LineKind, diff};

#[derive(Clone, Debug, Serialize)]
pub struct DiffView {
    pub added: usize,
    pub removed: usize,
    pub hunks: Vec<Vec<Row>>,
}

#[derive(Clone, Debug, Serialize)]
pub struct Row {
    pub tone: &'static str,
    pub sign: &'static str,
    pub text: String,
}

pub fn diff_view(old: &str, new: &str) -> DiffView {
    let told = diff(old, new);
    let hunks = told.hunks.into_iter().map(|hunk| hunk.lines.into_iter().map(row).collect()).collect();
    DiffView { added: told.added, removed: told.removed, hunks }
}

fn row(line: DiffLine) -> Row {
    let (tone, sign) = match line.kind {
        LineKind::Same => ("calm", " "),
        LineKind::Added => ("good", "+"),
        LineKind::Removed => ("bad", "−"),
    };
    Row { tone, sign, text: line.text }
}
