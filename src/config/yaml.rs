//! YAML text to a tree in which every value knows its place. Knows nothing of what the values mean.
//! Stricter than YAML: one document, no tags, no merge keys, keys once; `no`, `on` and `0755` are texts, as YAML 1.2 has it.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use serde_json::Number;
use serde_saphyr::granit_parser::{Event, Options, Parser, ScalarStyle, ScanError, Span};

use crate::config::diagnostic::Code;

/// The most bytes a file may have.
pub const MAX_BYTES: usize = 256 * 1024;
/// The most values a file may have once its aliases are filled in.
pub const MAX_NODES: usize = 20_000;
/// The most faults that are told of one file.
const MAX_FAULTS: usize = 100;
/// The most levels that lists and maps may be nested.
pub const MAX_DEPTH: usize = 48;

/// A value and the bytes of the text it stands in.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    pub span: Range<usize>,
    pub value: Value,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
    List(Vec<Node>),
    Map(Vec<(Key, Node)>),
}

/// A map's key; always a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    pub span: Range<usize>,
    pub text: String,
}

/// Why a text is not a tree.
#[derive(Clone, Debug, PartialEq)]
pub struct YamlFault {
    pub code: Code,
    pub span: Range<usize>,
    pub message: String,
    pub help: Option<String>,
}

impl YamlFault {
    fn new(code: Code, span: Range<usize>, message: impl Into<String>, help: &str) -> Self {
        Self { code, span, message: message.into(), help: (!help.is_empty()).then(|| help.to_owned()) }
    }
}

impl Value {
    /// The kind of value, as a sentence calls it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Bool(_) => "true or false",
            Self::Number(_) => "a number",
            Self::Text(_) => "a text",
            Self::List(_) => "a list",
            Self::Map(_) => "a map",
        }
    }
}

impl Node {
    /// The value without its places.
    pub fn to_json(&self) -> serde_json::Value {
        match &self.value {
            Value::Null => serde_json::Value::Null,
            Value::Bool(is) => (*is).into(),
            Value::Number(number) => number.clone().into(),
            Value::Text(text) => text.as_str().into(),
            Value::List(items) => items.iter().map(Self::to_json).collect(),
            Value::Map(entries) => entries.iter().map(|(key, node)| (key.text.clone(), node.to_json())).collect(),
        }
    }

    /// The value under a JSON pointer such as `/headers/x`; the deepest one that is there.
    pub fn at_pointer(&self, pointer: &str) -> &Self {
        pointer.split('/').skip(1).fold(self, |node, part| {
            let part = part.replace("~1", "/").replace("~0", "~");
            let child = match &node.value {
                Value::Map(entries) => entries.iter().find(|(key, _)| key.text == part).map(|(_, child)| child),
                Value::List(items) => part.parse().ok().and_then(|at: usize| items.get(at)),
                _ => None,
            };
            child.unwrap_or(node)
        })
    }

    /// Where a part of this text's value stands in the source; the whole node when escapes or folding hide it.
    pub fn part(&self, source: &str, part: Range<usize>) -> Range<usize> {
        let Value::Text(text) = &self.value else { return self.span.clone() };
        let whole = || self.span.clone();
        let Some(written) = source.get(self.span.clone()) else { return whole() };
        let mut offset = 0;
        let mut from = 0;
        for line in text.split_inclusive('\n') {
            let bare = line.trim_end_matches('\n');
            let Some(found) = written[from..].find(bare) else { return whole() };
            if part.start <= offset + bare.len() {
                let start = self.span.start + from + found + (part.start - offset);
                let end = start + (part.end.min(offset + bare.len()).saturating_sub(part.start));
                return if source.is_char_boundary(start) && source.is_char_boundary(end) { start..end } else { whole() };
            }
            offset += line.len();
            from += found + bare.len();
        }
        whole()
    }
}

/// Reads one document; an empty text is `Null`.
pub fn parse(text: &str) -> Result<Node, Vec<YamlFault>> {
    if text.len() > MAX_BYTES {
        let message = format!("the file has {} kB, more than {} kB", text.len() / 1024, MAX_BYTES / 1024);
        return Err(vec![YamlFault::new(Code::YamlTooLarge, 0..0, message, "split it into several files")]);
    }
    let mut builder = Builder::new(text);
    match builder.document() {
        Ok(node) if builder.faults.is_empty() => Ok(node),
        Ok(_) => Err(builder.faults),
        Err(fault) => {
            builder.faults.push(fault);
            Err(builder.faults)
        }
    }
}

struct Builder<'a> {
    text: &'a str,
    events: Box<dyn Iterator<Item = Result<(Event<'a>, Span), ScanError>> + 'a>,
    anchors: BTreeMap<usize, Node>,
    nodes: usize,
    /// Faults that need not stop the reading.
    faults: Vec<YamlFault>,
}

type Next<'a> = (Event<'a>, Range<usize>);

impl<'a> Builder<'a> {
    fn new(text: &'a str) -> Self {
        let mut options = Options::default();
        options.set_emit_comments(false);
        options.strict_indentation = true;
        options.flow_nesting_limit = MAX_DEPTH * 2;
        options.block_nesting_limit = MAX_DEPTH * 2;
        let events = Box::new(Parser::new_from_str_with_options(text, options));
        Self { text, events, anchors: BTreeMap::new(), nodes: 0, faults: Vec::new() }
    }

    fn document(&mut self) -> Result<Node, YamlFault> {
        let mut tree = None;
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::StreamStart | Event::DocumentEnd => {}
                Event::StreamEnd => return Ok(tree.unwrap_or(Node { span: 0..0, value: Value::Null })),
                Event::DocumentStart(..) if tree.is_some() => {
                    return Err(YamlFault::new(
                        Code::YamlUnsupported,
                        span,
                        "a second document begins here",
                        "put it into a file of its own",
                    ));
                }
                Event::DocumentStart(..) => {
                    let first = self.next()?;
                    tree = Some(self.node(first, 0)?);
                }
                _ => return Err(YamlFault::new(Code::YamlSyntax, span, "this cannot stand here", "")),
            }
        }
    }

    fn next(&mut self) -> Result<Next<'a>, YamlFault> {
        match self.events.next() {
            Some(Ok((event, span))) => Ok((event, span.byte_range().map_or(0..0, |range| self.trimmed(range)))),
            Some(Err(error)) => Err(self.syntax(&error)),
            None => Ok((Event::StreamEnd, self.text.len()..self.text.len())),
        }
    }

    fn node(&mut self, (event, span): Next<'a>, depth: usize) -> Result<Node, YamlFault> {
        self.count(1, &span)?;
        if depth > MAX_DEPTH {
            let message = format!("nested deeper than {MAX_DEPTH} levels");
            return Err(YamlFault::new(Code::YamlTooLarge, span, message, ""));
        }
        let (anchor, node) = match event {
            Event::Alias(id) => (0, self.alias(id, &span)?),
            Event::Scalar(text, style, anchor, tag) => {
                self.refuse_tag(tag.is_some(), &span);
                let plain = matches!(style, ScalarStyle::Plain);
                (anchor, Node { value: if plain { plain_scalar(&text) } else { Value::Text(text.into_owned()) }, span })
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.refuse_tag(tag.is_some(), &span);
                (anchor, self.list(span, depth)?)
            }
            Event::MappingStart(_, anchor, tag) => {
                self.refuse_tag(tag.is_some(), &span);
                (anchor, self.map(span, depth)?)
            }
            _ => return Err(YamlFault::new(Code::YamlSyntax, span, "a value is missing here", "")),
        };
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    fn list(&mut self, start: Range<usize>, depth: usize) -> Result<Node, YamlFault> {
        let mut items = Vec::new();
        loop {
            let next = self.next()?;
            if matches!(next.0, Event::SequenceEnd) {
                let end = items.last().map_or(start.end, |last: &Node| last.span.end).max(next.1.end);
                return Ok(Node { span: start.start..end, value: Value::List(items) });
            }
            items.push(self.node(next, depth + 1)?);
        }
    }

    fn map(&mut self, start: Range<usize>, depth: usize) -> Result<Node, YamlFault> {
        let mut entries: Vec<(Key, Node)> = Vec::new();
        let mut seen = BTreeSet::new();
        loop {
            let next = self.next()?;
            if matches!(next.0, Event::MappingEnd) {
                let end = entries.last().map_or(start.end, |(_, last)| last.span.end).max(next.1.end);
                return Ok(Node { span: start.start..end, value: Value::Map(entries) });
            }
            let key = self.key(next)?;
            let value = self.next()?;
            let value = self.node(value, depth + 1)?;
            if seen.insert(key.text.clone()) {
                entries.push((key, value));
            } else {
                self.duplicate(&entries, key);
            }
        }
    }

    fn key(&mut self, (event, span): Next<'a>) -> Result<Key, YamlFault> {
        self.count(1, &span)?;
        match event {
            Event::Scalar(text, ScalarStyle::Plain, ..) if text == "<<" => {
                Err(YamlFault::new(Code::YamlUnsupported, span, "merge keys are not read", "write the fields out"))
            }
            Event::Scalar(text, _, _, tag) => {
                self.refuse_tag(tag.is_some(), &span);
                Ok(Key { span, text: text.into_owned() })
            }
            _ => Err(YamlFault::new(Code::YamlUnsupported, span, "a key must be a text", "a text that begins with { or [ needs quotes")),
        }
    }

    fn alias(&mut self, id: usize, span: &Range<usize>) -> Result<Node, YamlFault> {
        let Some(node) = self.anchors.get(&id) else {
            return Err(YamlFault::new(Code::YamlUnsupported, span.clone(), "this alias contains itself", ""));
        };
        let node = node.clone();
        self.count(size(&node), span)?;
        Ok(node)
    }

    fn count(&mut self, more: usize, span: &Range<usize>) -> Result<(), YamlFault> {
        self.nodes += more;
        if self.nodes <= MAX_NODES {
            return Ok(());
        }
        let message = format!("the file has more than {MAX_NODES} values");
        Err(YamlFault::new(Code::YamlTooLarge, span.clone(), message, "every alias counts as all the values it stands for"))
    }

    fn duplicate(&mut self, entries: &[(Key, Node)], key: Key) {
        if self.faults.len() >= MAX_FAULTS {
            return;
        }
        let first = entries.iter().find(|(known, _)| known.text == key.text).map_or(0, |(known, _)| known.span.start);
        let line = self.text[..first].matches('\n').count() + 1;
        let message = format!("\"{}\" is there twice", key.text);
        self.faults.push(YamlFault::new(Code::YamlDuplicateKey, key.span, message, &format!("the first one is on line {line}")));
    }

    fn refuse_tag(&mut self, tagged: bool, span: &Range<usize>) {
        if tagged && self.faults.len() < MAX_FAULTS {
            let help = "leave the tag out; quotes make a text of anything";
            self.faults.push(YamlFault::new(Code::YamlUnsupported, span.clone(), "tags (!…) are not read", help));
        }
    }

    fn syntax(&self, error: &ScanError) -> YamlFault {
        let at = error.marker().byte_offset().unwrap_or(0).min(self.text.len());
        let at = (0..=at).rev().find(|at| self.text.is_char_boundary(*at)).unwrap_or(0);
        let begin = self.text[..at].rfind('\n').map_or(0, |newline| newline + 1);
        let line = self.text[begin..].lines().next().unwrap_or("");
        let margin = &line[..line.len() - line.trim_start().len()];
        let end = self.text[at..].chars().next().filter(|letter| *letter != '\n').map_or(at, |letter| at + letter.len_utf8());
        match margin.find('\t') {
            Some(tab) => {
                let span = begin + tab..begin + tab + 1;
                YamlFault::new(Code::YamlSyntax, span, "a tab in the margin", "YAML wants spaces there")
            }
            None => YamlFault::new(Code::YamlSyntax, at..end, error.info(), &syntax_help(line)),
        }
    }

    /// A block's range without the line breaks after it.
    fn trimmed(&self, range: Range<usize>) -> Range<usize> {
        let written = self.text.get(range.clone()).unwrap_or("");
        range.start..range.start + written.trim_end_matches(['\n', '\r', ' ']).len()
    }
}

fn syntax_help(line: &str) -> String {
    let value = line.split_once(": ").map_or("", |(_, value)| value.trim_start());
    if value.starts_with(['{', '%', '@', '`', '*', '&', '!']) || value.contains(": ") {
        "a text with such signs in it needs quotes: 'like this'".to_owned()
    } else {
        String::new()
    }
}

fn plain_scalar(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" => Value::Bool(true),
        "false" | "False" | "FALSE" => Value::Bool(false),
        _ => number(text).map_or_else(|| Value::Text(text.to_owned()), Value::Number),
    }
}

/// A JSON number, perhaps with a plus; everything else (`0755`, `1_000`, `.inf`) is a text.
fn number(text: &str) -> Option<Number> {
    let digits = text.strip_prefix('+').unwrap_or(text);
    let first = digits.strip_prefix('-').unwrap_or(digits).chars().next()?;
    if !first.is_ascii_digit() { None } else { serde_json::from_str(digits).ok() }
}

fn size(node: &Node) -> usize {
    match &node.value {
        Value::List(items) => 1 + items.iter().map(size).sum::<usize>(),
        Value::Map(entries) => 1 + entries.iter().map(|(_, child)| 1 + size(child)).sum::<usize>(),
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(text: &str) -> (Code, usize) {
        let faults = parse(text).expect_err(text);
        (faults[0].code, faults[0].span.start)
    }

    #[test]
    fn texts_that_look_like_something_else_stay_texts() {
        let node = parse("{a: no, b: on, c: 0755, d: 1_000, e: .inf, f: 12, g: -1.5e3, h: true, i: ~, 404: x}").expect("it is YAML");
        let json = serde_json::json!({"a": "no", "b": "on", "c": "0755", "d": "1_000", "e": ".inf", "f": 12, "g": -1500.0,
            "h": true, "i": null, "404": "x"});
        assert_eq!(node.to_json(), json);
    }

    #[test]
    fn what_yaml_may_do_and_we_do_not() {
        for (text, code, at) in [
            ("a: 1\na: 2\n", Code::YamlDuplicateKey, 5),
            ("a: 1\n---\nb: 2\n", Code::YamlUnsupported, 5),
            ("a: !!str 1\n", Code::YamlUnsupported, 9),
            ("a: &a {x: 1}\nb: {<<: *a}\n", Code::YamlUnsupported, 17),
            ("a: &a [*a]\n", Code::YamlUnsupported, 7),
            ("[a]: 1\n", Code::YamlUnsupported, 0),
            ("a:\n\tb: 1\n", Code::YamlSyntax, 3),
            ("a: [1\n", Code::YamlSyntax, 3),
        ] {
            assert_eq!(fault(text), (code, at), "{text}");
        }
    }

    #[test]
    fn bombs_are_refused() {
        let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for n in 1..9 {
            let last = format!("*a{}, ", n - 1);
            bomb += &format!("a{n}: &a{n} [{}]\n", last.repeat(10).trim_end_matches(", "));
        }
        assert_eq!(fault(&bomb).0, Code::YamlTooLarge);
        assert_eq!(fault(&"x".repeat(MAX_BYTES + 1)).0, Code::YamlTooLarge);
        assert!(parse(&"[".repeat(100_000)).is_err());
        assert!(parse(&"- ".repeat(60_000)).is_err());
        assert!(parse(&"a: &x\n".repeat(10_000)).is_err());
    }

    #[test]
    fn a_part_of_a_text_is_found_where_it_is_written() {
        for (text, part) in [("a: one two", "two"), ("a: 'one two'", "two"), ("a: |\n  one\n  two\n", "two"), ("a: >-\n  one two", "two")] {
            let node = parse(text).expect("it is YAML");
            let inner = node.at_pointer("/a");
            let Value::Text(value) = &inner.value else { panic!("{text}") };
            let at = value.find(part).expect("the part is there");
            assert_eq!(&text[inner.part(text, at..at + part.len())], part, "{text}");
        }
    }
}
