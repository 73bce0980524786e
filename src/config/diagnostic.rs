//! A fault in a file: what, where and what to do about it, as compiler-like text or as JSON. Knows nothing of what the files mean.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use serde::Serialize;
use serde_json::json;

/// The kinds of faults, each with what it means; their names stay the same when the words change.
macro_rules! codes {
    ($($name:ident => $meaning:literal,)*) => {
        /// The kind of fault, by a name that stays the same when the words change.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum Code {
            $(#[doc = $meaning] $name,)*
        }

        impl Code {
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// What it means, in a sentence.
            pub fn meaning(self) -> &'static str {
                match self {
                    $(Self::$name => $meaning,)*
                }
            }
        }
    };
}

codes! {
    UnreadableFile => "A file or folder cannot be read, or is not UTF-8.",
    YamlSyntax => "The text is no YAML.",
    YamlTooLarge => "More bytes, values or levels than a file may have.",
    YamlDuplicateKey => "A key is there twice.",
    YamlUnsupported => "A tag, a merge key, a second document, an alias that contains itself.",
    UnknownField => "A field that nothing reads.",
    MissingField => "A field that must be there.",
    WrongType => "A list where a text is needed, and the like.",
    BadValue => "The right type, but not a value that makes sense.",
    BadName => "Not a name as Reynard's things have.",
    DuplicateName => "A name that stands for two things.",
    UnknownName => "A name that stands for nothing.",
    BadExpression => "A condition that cannot be understood.",
    BadTemplate => "A text with `{{ … }}` holes that cannot be understood.",
    BadPattern => "A regular expression that cannot be understood.",
    BadPassword => "A password that is not the hash of one.",
    BadMatcher => "An Alertmanager matcher that cannot be understood.",
    MissingSecret => "`${env:…}` or `${file:…}` stands for nothing.",
    MisplacedSecret => "`${…}` where its text would be seen.",
    StepOrder => "A step reads what is not there yet when it runs.",
    UnknownAction => "No action has this name.",
    UnknownParam => "The action takes no such parameter.",
    MissingParam => "The action needs a parameter that is not given.",
    WrongTarget => "The target is missing, not wanted, or of a kind that the action does not take.",
    WeakerOnInterrupt => "`on_interrupt:` is less careful than the action itself.",
    BadCheck => "`check:` is missing, not wanted, or would change something.",
    PlaybookCircle => "Playbooks run each other in a circle.",
    NotUndoable => "The action cannot be taken back.",
    TimeoutTooShort => "The timeout ends the step before it can succeed.",
    MatchesAll => "It selects whatever comes, and what it selects for must not be started so.",
    NobodyOnCall => "Nobody is on call.",
    Unreachable => "A person whom no channel reaches.",
    NeverUsed => "It is there, and nothing will ever use it.",
    NotYetSupported => "Planned, but not in this version.",
    ConstantCondition => "A condition that is always so.",
    UnreachableStep => "A step whose condition is never so.",
    NobodyTold => "A message that reaches nobody.",
    NoLimits => "A playbook that changes something without limits of its own.",
    NeverFalse => "A condition that was always so in the past.",
    NeverTrue => "A condition that was never so in the past.",
    OftenMissing => "What a condition or a step reads was often not there in the past.",
    WorstCase => "How long a run takes at most, and when a person is first told at the latest.",
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

/// Whether the file can be used all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    Error,
    Warning,
    /// Worth knowing, and no fault.
    Note,
}

/// One fault at its place. Lines and columns count from 1, columns in letters; `end_column` is the first one after it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    pub code: Code,
    pub severity: Severity,
    pub file: String,
    pub line: usize,
    pub column: usize,
    pub end_column: usize,
    pub message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
}

impl Diagnostic {
    /// A fault of a file as a whole.
    pub fn of_file(code: Code, file: &str, message: impl Into<String>, help: Option<String>) -> Self {
        let (severity, message) = (Severity::Error, message.into());
        Self { code, severity, file: file.to_owned(), line: 1, column: 1, end_column: 1, message, help }
    }
}

impl fmt::Display for Diagnostic {
    /// One line: `playbooks/x.yaml:4:7: unknown field "acton"; did you mean "action"?`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: {}", self.file, self.line, self.column, self.message)?;
        self.help.as_ref().map_or(Ok(()), |help| write!(f, "; {help}"))
    }
}

/// Every fault of every file, with the texts they are in.
#[derive(Clone, Debug, Default)]
pub struct Diagnostics {
    list: Vec<Diagnostic>,
    texts: BTreeMap<String, Arc<str>>,
}

impl Diagnostics {
    pub fn push(&mut self, diagnostic: Diagnostic) {
        self.list.push(diagnostic);
    }

    /// Takes the faults of one file, in the file's order, and keeps its text for excerpts.
    pub fn add(&mut self, file: &str, text: Arc<str>, mut faults: Vec<Diagnostic>) {
        faults.sort_by_key(|fault| (fault.line, fault.column));
        faults.dedup();
        self.list.extend(faults);
        self.texts.insert(file.to_owned(), text);
    }

    /// Puts what another one found behind.
    pub fn take_in(&mut self, other: Self) {
        self.list.extend(other.list);
        self.texts.extend(other.texts);
    }

    pub fn iter(&self) -> impl Iterator<Item = &Diagnostic> {
        self.list.iter()
    }

    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    pub fn has_errors(&self) -> bool {
        self.errors() > 0
    }

    pub fn errors(&self) -> usize {
        self.list.iter().filter(|fault| fault.severity == Severity::Error).count()
    }

    pub fn warnings(&self) -> usize {
        self.list.iter().filter(|fault| fault.severity == Severity::Warning).count()
    }

    /// Brings what was added at different times into the order of the files, each from top to bottom.
    pub fn sort(&mut self) {
        let mut files: Vec<String> = Vec::new();
        for fault in &self.list {
            if !files.contains(&fault.file) {
                files.push(fault.file.clone());
            }
        }
        let place = |fault: &Diagnostic| files.iter().position(|file| *file == fault.file);
        self.list.sort_by_cached_key(|fault| (place(fault), fault.severity == Severity::Note, fault.line, fault.column));
    }

    /// The errors of one file, each in a line; none when it has none.
    pub fn words_about(&self, file: &str) -> Option<String> {
        let errors = self.list.iter().filter(|fault| fault.file == file && fault.severity == Severity::Error);
        let words: Vec<String> = errors.map(Diagnostic::to_string).collect();
        (!words.is_empty()).then(|| words.join("\n"))
    }

    /// Compiler-like text with an excerpt for each fault, notes in a line each; colours only when asked for.
    pub fn to_text(&self, coloured: bool) -> String {
        let renderer = if coloured { Renderer::styled() } else { Renderer::plain() };
        let (notes, faults): (Vec<_>, Vec<_>) = self.list.iter().partition(|fault| fault.severity == Severity::Note);
        let notes = notes.iter().map(|note| format!("note: {}: {}\n", note.file, note.message));
        faults.iter().map(|fault| self.render(fault, &renderer) + "\n\n").chain(notes).collect()
    }

    /// `{"diagnostics": […], "errors": n, "warnings": n}`.
    pub fn to_json(&self) -> serde_json::Value {
        json!({ "diagnostics": self.list, "errors": self.errors(), "warnings": self.warnings() })
    }

    /// SARIF 2.1.0, which code hosts show beside the lines of a change.
    pub fn to_sarif(&self) -> serde_json::Value {
        let told: BTreeSet<Code> = self.list.iter().map(|fault| fault.code).collect();
        let rules: Vec<_> = told.iter().map(|code| sarif_rule(*code)).collect();
        let driver = json!({ "name": "reynard", "version": env!("CARGO_PKG_VERSION"), "rules": rules });
        let results: Vec<_> = self.list.iter().map(sarif_result).collect();
        json!({
            "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
            "version": "2.1.0",
            "runs": [{ "tool": { "driver": driver }, "columnKind": "unicodeCodePoints", "results": results }],
        })
    }

    fn render(&self, fault: &Diagnostic, renderer: &Renderer) -> String {
        let level = match fault.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
            Severity::Note => Level::NOTE,
        };
        let mut group = Group::with_title(level.primary_title(fault.message.as_str()).id(fault.code.to_string()));
        match self.texts.get(&fault.file) {
            Some(text) => {
                let marked = AnnotationKind::Primary.span(bytes_of(text, fault));
                group = group.element(Snippet::source(&**text).path(fault.file.as_str()).annotation(marked));
            }
            None => group = group.element(Level::NOTE.message(format!("in {}", fault.file))),
        }
        if let Some(help) = &fault.help {
            group = group.element(Level::HELP.message(help.as_str()));
        }
        renderer.render(&[group])
    }
}

fn sarif_rule(code: Code) -> serde_json::Value {
    json!({
        "id": code,
        "shortDescription": { "text": code.meaning() },
        "help": { "text": format!("docs/checks.md explains {code}.") },
    })
}

fn sarif_result(fault: &Diagnostic) -> serde_json::Value {
    let help = fault.help.as_ref().map(|help| format!("; {help}")).unwrap_or_default();
    let region = json!({ "startLine": fault.line, "startColumn": fault.column, "endColumn": fault.end_column });
    let place = json!({ "artifactLocation": { "uri": fault.file.replace('\\', "/") }, "region": region });
    json!({
        "ruleId": fault.code,
        "level": fault.severity,
        "message": { "text": format!("{}{help}", fault.message) },
        "locations": [{ "physicalLocation": place }],
    })
}

fn bytes_of(text: &str, fault: &Diagnostic) -> Range<usize> {
    let start: usize = text.split_inclusive('\n').take(fault.line.saturating_sub(1)).map(str::len).sum();
    let line = text[start..].lines().next().unwrap_or("");
    let at = |column: usize| start + line.char_indices().nth(column.saturating_sub(1)).map_or(line.len(), |(at, _)| at);
    at(fault.column)..at(fault.end_column)
}

#[cfg(test)]
mod tests {
    use super::Code;
    use crate::config::samples;

    const BROKEN: &str = "# Grüße\npeople: { \u{fc}: x }\nserver:\n  listn: 127.0.0.1:5001\n";

    #[test]
    fn faults_read_like_a_compilers() {
        let text = samples::load(BROKEN, &[]).diagnostics.to_text(false);
        let expected = "error[unknown-field]: unknown field \"listn\"\n --> reynard.yaml:4:3\n  |\n4 |   listn: 127.0.0.1:5001\n  |   ^^^^^\n  |\n  = help: did you mean \"listen\"?\n";
        assert!(text.contains(expected), "{text}");
    }

    #[test]
    fn code_hosts_read_sarif() {
        let sarif = samples::load("automation: liv", &[]).diagnostics.to_sarif();
        let result = &sarif["runs"][0]["results"][0];
        assert_eq!((result["ruleId"].as_str(), result["level"].as_str()), (Some("bad-value"), Some("error")));
        let region = serde_json::json!({ "startLine": 1, "startColumn": 13, "endColumn": 16 });
        assert_eq!(result["locations"][0]["physicalLocation"]["region"], region);
    }

    #[test]
    fn every_code_is_explained_in_the_docs() {
        let page = include_str!("../../docs/checks.md");
        for code in Code::ALL {
            assert!(
                page.contains(&format!("\n### {code}\n\n{}", code.meaning())),
                "docs/checks.md does not explain {code}: {}",
                code.meaning()
            );
        }
        let explained = page.lines().filter(|line| line.starts_with("### ")).count();
        assert_eq!(explained, Code::ALL.len(), "docs/checks.md explains a code that is not there");
    }

    #[test]
    fn programs_read_json() {
        let json = samples::load("automation: liv", &[]).diagnostics.to_json();
        let expected = serde_json::json!({ "code": "bad-value", "severity": "error", "file": "reynard.yaml", "line": 1, "column": 13,
            "end_column": 16, "message": "\"liv\" is not one of live, shadow, held", "help": "did you mean \"live\"?" });
        assert_eq!((&json["diagnostics"][0], &json["errors"]), (&expected, &1.into()));
    }
}
