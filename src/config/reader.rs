//! Typed reading of a YAML tree that collects faults instead of stopping. Knows no field's meaning.

use std::cell::RefCell;
use std::fmt::Display;
use std::ops::Range;
use std::str::FromStr;
use std::sync::Arc;

use crate::config::diagnostic::{Code, Diagnostic, Severity};
use crate::config::suggest;
use crate::config::yaml::{self, Key, Node, Value, YamlFault};
use crate::domain::labels::Matcher;
use crate::domain::time::Span;

/// The most errors, and the most warnings, that one file is told; nobody mends more at once.
pub const MAX_FAULTS: usize = 100;
/// No setting means more than ten years; what reckons with times need not look out for their sum.
pub const LONGEST_SPAN: Span = Span::hours(24 * 3_653);

/// A file's text and what was found wrong with it so far.
#[derive(Debug)]
pub struct Document {
    pub path: String,
    pub text: Arc<str>,
    faults: RefCell<Vec<Diagnostic>>,
}

impl Document {
    pub fn new(path: &str, text: &str) -> Self {
        Self { path: path.to_owned(), text: text.into(), faults: RefCell::default() }
    }

    /// The text as a tree; none when it is no YAML, which is then a fault.
    pub fn parse(&self) -> Option<Node> {
        match yaml::parse(&self.text) {
            Ok(node) => Some(node),
            Err(faults) => {
                faults.into_iter().for_each(|fault| self.yaml_fault(fault));
                None
            }
        }
    }

    pub fn has_errors(&self) -> bool {
        self.faults.borrow().iter().any(|fault| fault.severity == Severity::Error)
    }

    /// Whether a further error would not be told any more, so that no work need go into its words.
    pub fn is_full(&self) -> bool {
        self.count(Severity::Error) >= MAX_FAULTS
    }

    fn count(&self, severity: Severity) -> usize {
        self.faults.borrow().iter().filter(|fault| fault.severity == severity).count()
    }

    pub fn into_faults(self) -> Vec<Diagnostic> {
        self.faults.into_inner()
    }

    fn yaml_fault(&self, fault: YamlFault) {
        Place { document: self, span: fault.span }.push(fault.code, Severity::Error, fault.message, fault.help);
    }
}

/// Some bytes of a document, for saying what is wrong there.
#[derive(Clone, Debug)]
pub struct Place<'a> {
    pub document: &'a Document,
    pub span: Range<usize>,
}

impl Place<'_> {
    pub fn error(&self, code: Code, message: impl Into<String>, help: Option<String>) {
        self.push(code, Severity::Error, message.into(), help);
    }

    pub fn warning(&self, code: Code, message: impl Into<String>, help: Option<String>) {
        self.push(code, Severity::Warning, message.into(), help);
    }

    /// Something worth knowing that is no fault.
    pub fn note(&self, code: Code, message: impl Into<String>) {
        self.push(code, Severity::Note, message.into(), None);
    }

    fn push(&self, code: Code, severity: Severity, message: String, help: Option<String>) {
        if self.document.count(severity) >= MAX_FAULTS {
            return;
        }
        let text = &*self.document.text;
        let start = floor(text, self.span.start);
        let begin = text[..start].rfind('\n').map_or(0, |newline| newline + 1);
        let line_end = text[start..].find(['\n', '\r']).map_or(text.len(), |at| start + at);
        let end = floor(text, self.span.end).clamp(start, line_end);
        let column = text[begin..start].chars().count() + 1;
        let fault = Diagnostic {
            code,
            severity,
            file: self.document.path.clone(),
            line: text[..start].matches('\n').count() + 1,
            column,
            end_column: column + text[start..end].chars().count(),
            message,
            help,
        };
        self.document.faults.borrow_mut().push(fault);
    }
}

fn floor(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

/// A value in its place.
#[derive(Clone, Copy, Debug)]
pub struct At<'a> {
    pub document: &'a Document,
    pub node: &'a Node,
}

impl<'a> At<'a> {
    pub fn new(document: &'a Document, node: &'a Node) -> Self {
        Self { document, node }
    }

    pub fn place(self) -> Place<'a> {
        Place { document: self.document, span: self.node.span.clone() }
    }

    /// The place of some bytes of this text's value.
    pub fn part(self, part: Range<usize>) -> Place<'a> {
        Place { document: self.document, span: self.node.part(&self.document.text, part) }
    }

    /// Says what is wrong here.
    pub fn error(self, code: Code, message: impl Into<String>) {
        self.place().error(code, message, None);
    }

    /// Says what is wrong here and what to do.
    pub fn error_help(self, code: Code, message: impl Into<String>, help: impl Into<String>) {
        self.place().error(code, message, Some(help.into()));
    }

    /// The text, whatever is in it.
    pub fn raw_text(self) -> Option<&'a str> {
        match &self.node.value {
            Value::Text(text) => Some(text),
            Value::Number(_) | Value::Bool(_) => {
                let written = self.document.text.get(self.node.span.clone()).unwrap_or("…");
                self.wrong_type("a text", Some(format!("write it in quotes: \"{written}\"")))
            }
            _ => self.wrong_type("a text", None),
        }
    }

    /// A text that may be shown, so that no secret may stand in it.
    pub fn text(self) -> Option<&'a str> {
        let text = self.raw_text()?;
        if ["${env:", "${file:"].iter().any(|mark| text.contains(mark)) {
            let help = "such a text stands only where a secret does: url, token, headers, smtp";
            self.error_help(Code::MisplacedSecret, "a secret here would be shown to people", help);
            return None;
        }
        Some(text)
    }

    /// A text that is not empty.
    pub fn words(self) -> Option<&'a str> {
        let text = self.text()?;
        if text.trim().is_empty() {
            self.error(Code::BadValue, "this is empty");
            return None;
        }
        Some(text)
    }

    /// A text that `T` can be read from, with `T`'s words when it cannot.
    pub fn parsed<T: FromStr<Err: Display>>(self) -> Option<T> {
        self.text()?.parse().map_err(|error: T::Err| self.error(Code::BadValue, error.to_string())).ok()
    }

    /// One of Alertmanager's matchers.
    pub fn matcher(self) -> Option<Matcher> {
        self.words()?.parse().map_err(|error: String| self.error(Code::BadMatcher, error)).ok()
    }

    /// A length of time.
    pub fn span(self) -> Option<Span> {
        if let Value::Number(number) = &self.node.value
            && number.as_u64() != Some(0)
        {
            let help = format!("write for example {number}s or {number}m");
            self.error_help(Code::BadValue, "a length of time needs a unit", help);
            return None;
        }
        if self.node.value == Value::Number(0.into()) { Some(Span::ZERO) } else { self.parsed().and_then(|span| self.bounded(span)) }
    }

    /// The span, if anybody can mean it.
    pub fn bounded(self, span: Span) -> Option<Span> {
        if span > LONGEST_SPAN {
            self.error_help(Code::BadValue, "this is longer than ten years", "such a time never comes; leave it out, or say what is meant");
            return None;
        }
        Some(span)
    }

    /// A whole number within bounds.
    pub fn whole(self, least: u32, most: u32) -> Option<u32> {
        let Value::Number(number) = &self.node.value else { return self.wrong_type("a whole number", None) };
        let fits = number.as_u64().and_then(|n| u32::try_from(n).ok()).filter(|n| (least..=most).contains(n));
        if fits.is_none() {
            self.error(Code::BadValue, format!("{number} is not a whole number from {least} to {most}"));
        }
        fits
    }

    /// One of some words.
    pub fn one_of<T: Copy>(self, known: &[(&'static str, T)]) -> Option<T> {
        let text = self.text()?;
        let found = known.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
        if found.is_none() {
            let words: Vec<&str> = known.iter().map(|(word, _)| *word).collect();
            let help = suggest::hint(text, words.iter().copied());
            self.place().error(Code::BadValue, format!("\"{text}\" is not one of {}", words.join(", ")), help);
        }
        found
    }

    pub fn list(self) -> Vec<At<'a>> {
        match &self.node.value {
            Value::List(items) => items.iter().map(|node| At { document: self.document, node }).collect(),
            _ => self.wrong_type("a list", None).unwrap_or_default(),
        }
    }

    /// The items of a list, or the one value that stands for a list of it.
    pub fn one_or_many(self) -> Vec<At<'a>> {
        if matches!(self.node.value, Value::List(_)) { self.list() } else { vec![self] }
    }

    /// The fields of a map whose names are known.
    pub fn fields(self) -> Option<Fields<'a>> {
        match &self.node.value {
            Value::Map(entries) => Some(Fields { at: self, entries, known: RefCell::default(), missing: RefCell::default() }),
            _ => self.wrong_type("a map", None),
        }
    }

    /// The entries of a map whose keys are names of the user's own.
    pub fn entries(self) -> Vec<(Name<'a>, At<'a>)> {
        let document = self.document;
        match &self.node.value {
            Value::Map(entries) => entries.iter().map(|(key, node)| (Name { document, key }, At { document, node })).collect(),
            _ => self.wrong_type("a map", None).unwrap_or_default(),
        }
    }

    fn wrong_type<T>(self, wanted: &str, help: Option<String>) -> Option<T> {
        self.place().error(Code::WrongType, format!("this must be {wanted}, not {}", self.node.value.kind()), help);
        None
    }
}

/// A key in its place.
#[derive(Clone, Copy, Debug)]
pub struct Name<'a> {
    pub document: &'a Document,
    pub key: &'a Key,
}

impl<'a> Name<'a> {
    pub fn text(self) -> &'a str {
        &self.key.text
    }

    pub fn place(self) -> Place<'a> {
        Place { document: self.document, span: self.key.span.clone() }
    }
}

/// A map whose fields are asked for by name; `finish` reports those that nobody asked for.
#[derive(Debug)]
pub struct Fields<'a> {
    at: At<'a>,
    entries: &'a [(Key, Node)],
    known: RefCell<Vec<&'static str>>,
    missing: RefCell<Vec<Missing>>,
}

/// A field that must be there, and what it is for.
#[derive(Debug)]
struct Missing {
    name: &'static str,
    help: Option<String>,
}

impl<'a> Fields<'a> {
    /// A map without any field.
    pub fn none(at: At<'a>) -> Self {
        Self { at, entries: &[], known: RefCell::default(), missing: RefCell::default() }
    }

    pub fn at(&self) -> At<'a> {
        self.at
    }

    /// The field's value; a field without one counts as left out.
    pub fn optional(&self, name: &'static str) -> Option<At<'a>> {
        self.known.borrow_mut().push(name);
        let (_, node) = self.entries.iter().find(|(key, _)| key.text == name)?;
        (node.value != Value::Null).then_some(At { document: self.at.document, node })
    }

    /// The field's value; leaving it out is a fault, told by `finish` or `abandon`.
    pub fn required(&self, name: &'static str) -> Option<At<'a>> {
        let found = self.optional(name);
        if found.is_none() {
            self.miss(name, None);
        }
        found
    }

    /// Says that a field is missing.
    pub fn miss(&self, name: &'static str, help: Option<String>) {
        self.missing.borrow_mut().push(Missing { name, help });
    }

    /// Says that the field is planned; true when it is there.
    pub fn not_yet(&self, name: &'static str) -> bool {
        self.known.borrow_mut().push(name);
        let there = self.entries.iter().find(|(key, _)| key.text == name);
        if let Some((key, _)) = there {
            let place = Place { document: self.at.document, span: key.span.clone() };
            place.error(Code::NotYetSupported, format!("\"{name}\" is not yet supported"), Some("leave it out for now".to_owned()));
        }
        there.is_some()
    }

    /// The place of a field's key; the map's when it has no such field.
    pub fn place_of(&self, name: &str) -> Place<'a> {
        let key = self.entries.iter().find(|(key, _)| key.text == name);
        key.map_or_else(|| self.at.place(), |(key, _)| Place { document: self.at.document, span: key.span.clone() })
    }

    /// Reports what is missing and every field that was never asked for.
    pub fn finish(self) {
        let known = self.known.borrow().clone();
        let unknown = self.entries.iter().map(|(key, _)| key).filter(|key| !known.contains(&key.text.as_str()));
        let mistyped: Vec<&str> = unknown.take(MAX_FAULTS).filter_map(|key| self.unknown(key, &known)).collect();
        self.report_missing(&mistyped);
    }

    /// Reports only what is missing, for when it decides which other fields there are.
    pub fn abandon(self) {
        let missing: Vec<&str> = self.missing.borrow().iter().map(|missing| missing.name).collect();
        let near = |key: &&Key| !missing.contains(&key.text.as_str()) && suggest::nearest(&key.text, &missing).is_some();
        let near: Vec<&Key> = self.entries.iter().map(|(key, _)| key).filter(near).collect();
        let mistyped: Vec<&str> = near.into_iter().filter_map(|key| self.unknown(key, &missing)).collect();
        self.report_missing(&mistyped);
    }

    /// Reports an unknown field; answers the known one that was probably meant.
    fn unknown<'k>(&self, key: &Key, known: &[&'k str]) -> Option<&'k str> {
        let place = Place { document: self.at.document, span: key.span.clone() };
        let help = suggest::hint(&key.text, known.iter().copied());
        place.error(Code::UnknownField, format!("unknown field \"{}\"", key.text), help);
        suggest::nearest(&key.text, known)
    }

    /// A field that was only mistyped has been told already.
    fn report_missing(&self, mistyped: &[&str]) {
        for Missing { name, help } in self.missing.take() {
            if !mistyped.contains(&name) {
                self.place_of(name).error(Code::MissingField, format!("\"{name}\" is missing"), help);
            }
        }
    }
}
