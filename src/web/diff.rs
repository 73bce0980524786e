//! Two texts, line by line: what went, what came, and a little of what stayed around it. Knows no playbook.

use std::time::Duration;

use serde::Serialize;
use similar::{ChangeTag, TextDiff};

/// Lines that stay, shown before and after those that do not.
const AROUND: usize = 3;
/// Texts that have nothing in common take long to compare; the answer is then coarser.
const PATIENCE: Duration = Duration::from_millis(200);

/// What changed from one text to another.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Diff {
    pub added: usize,
    pub removed: usize,
    pub hunks: Vec<Hunk>,
}

/// Lines that belong together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Hunk {
    pub lines: Vec<DiffLine>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct DiffLine {
    pub kind: LineKind,
    /// Its number in the old text.
    pub old: Option<usize>,
    /// Its number in the new text.
    pub new: Option<usize>,
    pub text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum LineKind {
    Same,
    Added,
    Removed,
}

impl LineKind {
    fn of(tag: ChangeTag) -> Self {
        match tag {
            ChangeTag::Equal => Self::Same,
            ChangeTag::Insert => Self::Added,
            ChangeTag::Delete => Self::Removed,
        }
    }
}

pub fn diff(old: &str, new: &str) -> Diff {
    let compared = TextDiff::configure().timeout(PATIENCE).diff_lines(old, new);
    let mut diff = Diff::default();
    for group in compared.grouped_ops(AROUND) {
        let changes = group.iter().flat_map(|op| compared.iter_changes(op));
        let line = |change: similar::Change<&str>| DiffLine {
            kind: LineKind::of(change.tag()),
            old: change.old_index().map(|at| at + 1),
            new: change.new_index().map(|at| at + 1),
            text: change.value().trim_end_matches(['\r', '\n']).to_owned(),
        };
        diff.hunks.push(Hunk { lines: changes.map(line).collect() });
    }
    let count = |kind| diff.hunks.iter().flat_map(|hunk| &hunk.lines).filter(|line| line.kind == kind).count();
    (diff.added, diff.removed) = (count(LineKind::Added), count(LineKind::Removed));
    diff
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changed_is_told_with_a_little_around_it() {
        let old: String = (1..=20).map(|n| format!("line {n}\n")).collect();
        let new = old.replace("line 10\n", "line ten\nand more\n");
        let told = diff(&old, &new);
        assert_eq!((told.added, told.removed, told.hunks.len()), (2, 1, 1));
        let lines: Vec<_> = told.hunks[0].lines.iter().map(|line| (line.kind, line.old, line.new, line.text.as_str())).collect();
        assert_eq!(lines[3], (LineKind::Removed, Some(10), None, "line 10"));
        assert_eq!(lines[5], (LineKind::Added, None, Some(11), "and more"));
        assert_eq!((lines.len(), lines[8]), (9, (LineKind::Same, Some(13), Some(14), "line 13")));
        assert_eq!(diff(&old, &old), Diff::default());
        assert_eq!((diff("", "a").added, diff("a", "").removed), (1, 1));
    }

    #[test]
    fn texts_with_nothing_in_common_are_compared_in_time() {
        let text = |word: &str| (0..20_000).map(|n| format!("{word}{}\n", n * 7919 % 20_011)).collect::<String>();
        let began = std::time::Instant::now();
        let told = diff(&text("a"), &text("b"));
        assert_eq!((told.added, told.removed), (20_000, 20_000));
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    }
}
