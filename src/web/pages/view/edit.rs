//! A playbook's text as somebody edits it, with what the check says of it at its lines, and what others changed meanwhile.
//! Knows no files.

use serde::Serialize;

use crate::web::library::Finding;
use crate::web::pages::view::diff::DiffView;

/// Lines of the text shown before and after the one that is meant.
const AROUND: usize = 1;
/// Letters of a line that are shown.
const WIDE: usize = 160;

/// What a new playbook begins with.
pub const BLANK: &str = "title: \non: {}                               # {} is for people to start; else for example { type: service_down, priority: [P1] }\nsteps:\n  - id: tell\n    action: notify\n    with: { to: [on-call], text: \"{{ incident.title }}\" }\n";

#[derive(Clone, Debug, Default, Serialize)]
pub struct EditView {
    pub slug: String,
    pub path: Option<String>,
    /// There is no folder yet: saving makes it, with everything that the program carries.
    pub carried: bool,
    pub is_new: bool,
    /// The text in the field.
    pub source: String,
    pub rows: usize,
    /// The revision it was made from; empty for a new one.
    pub base: String,
    pub findings: Vec<FindingView>,
    /// What the check came to, in words; none when nobody asked.
    pub verdict: Option<String>,
    /// Why it was not saved.
    pub refusal: Option<String>,
    pub conflict: Option<DiffView>,
}

#[derive(Clone, Debug, Serialize)]
pub struct FindingView {
    pub tone: &'static str,
    pub word: String,
    pub code: String,
    /// The file, where it is another one.
    pub elsewhere: Option<String>,
    pub line: usize,
    pub column: usize,
    pub message: String,
    pub help: Option<String>,
    pub excerpt: Vec<Excerpt>,
}

/// A line of the text; the middle is what is meant, and empty on lines around it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Excerpt {
    pub number: usize,
    pub before: String,
    pub meant: String,
    pub after: String,
}

pub fn finding_views(findings: &[Finding], source: &str) -> Vec<FindingView> {
    let lines: Vec<&str> = source.lines().collect();
    findings.iter().map(|finding| finding_view(finding, &lines)).collect()
}

/// What was found, in words.
pub fn verdict(findings: &[Finding]) -> String {
    let count = |severity: &str| findings.iter().filter(|finding| finding.severity == severity).count();
    let words = |n: usize, word: &str| if n == 1 { format!("1 {word}") } else { format!("{n} {word}s") };
    match (count("error"), count("warning")) {
        (0, 0) => "No fault found.".to_owned(),
        (0, warnings) => format!("{}; it can be saved all the same.", words(warnings, "warning")),
        (errors, 0) => format!("{}; nothing was written.", words(errors, "error")),
        (errors, warnings) => format!("{} and {}; nothing was written.", words(errors, "error"), words(warnings, "warning")),
    }
}

fn finding_view(finding: &Finding, lines: &[&str]) -> FindingView {
    let tone = match finding.severity.as_str() {
        "error" => "bad",
        "warning" => "wait",
        _ => "calm",
    };
    FindingView {
        tone,
        word: finding.severity.clone(),
        code: finding.code.clone(),
        elsewhere: None,
        line: finding.line,
        column: finding.column,
        message: finding.message.clone(),
        help: finding.help.clone(),
        excerpt: excerpt(finding, lines),
    }
}

fn excerpt(finding: &Finding, lines: &[&str]) -> Vec<Excerpt> {
    let from = finding.line.saturating_sub(AROUND).max(1);
    let shown = (from..=finding.line + AROUND).filter_map(|number| Some((number, *lines.get(number - 1)?)));
    shown.map(|(number, line)| if number == finding.line { meant(finding, line) } else { plain(number, line) }).collect()
}

fn plain(number: usize, line: &str) -> Excerpt {
    Excerpt { number, before: line.chars().take(WIDE).collect(), meant: String::new(), after: String::new() }
}

/// A long line is shown around the place that is meant.
fn meant(finding: &Finding, line: &str) -> Excerpt {
    let letters: Vec<char> = line.chars().collect();
    let start = finding.column.saturating_sub(1).min(letters.len());
    let end = finding.end_column.saturating_sub(1).clamp(start, letters.len());
    let from = start.saturating_sub(WIDE / 2);
    let to = letters.len().min(end.min(start + WIDE) + WIDE / 2);
    let end = end.min(to);
    let text = |part: &[char]| part.iter().collect::<String>();
    Excerpt { number: finding.line, before: text(&letters[from..start]), meant: text(&letters[start..end]), after: text(&letters[end..to]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(line: usize, column: usize, end_column: usize) -> Finding {
        Finding {
            code: "unknown-field".to_owned(),
            severity: "error".to_owned(),
            file: "x.yaml".to_owned(),
            line,
            column,
            end_column,
            message: "unknown field".to_owned(),
            help: None,
        }
    }

    #[test]
    fn a_finding_stands_at_its_letters() {
        let view = finding_views(&[finding(2, 3, 7)], "on: {}\nä wiat: 5m\nlast");
        let middle = Excerpt { number: 2, before: "ä ".to_owned(), meant: "wiat".to_owned(), after: ": 5m".to_owned() };
        assert_eq!(view[0].excerpt, [plain(1, "on: {}"), middle, plain(3, "last")]);
    }

    #[test]
    fn places_that_are_not_there_and_endless_lines_are_shown_as_far_as_they_go() {
        let long = "x".repeat(100_000);
        for (finding, text) in
            [(finding(9, 9, 9), "one"), (finding(1, 50, 2), ""), (finding(1, 70_000, 90_000), &*long), (finding(1, 1, 1), "")]
        {
            let shown: usize =
                finding_views(&[finding], text)[0].excerpt.iter().map(|at| at.before.len() + at.meant.len() + at.after.len()).sum();
            assert!(shown <= 3 * WIDE, "{shown}");
        }
    }

    #[test]
    fn the_verdict_counts() {
        let warning = Finding { severity: "warning".to_owned(), ..finding(1, 1, 1) };
        assert_eq!(verdict(&[]), "No fault found.");
        assert_eq!(verdict(&[warning.clone(), finding(1, 1, 1)]), "1 error and 1 warning; nothing was written.");
        assert_eq!(verdict(&[warning.clone(), warning]), "2 warnings; it can be saved all the same.");
    }
}
