//! Text with `{{ … }}` holes, and JSON of such texts. Knows nothing of what the rendered values are for.
//!
//! A text that is exactly one hole gives the value itself; any other text gives text. What a hole inserts is data:
//! it is never read again, so `{{` in an alert stays two braces.

use serde_json::{Map, Value as Json};

use crate::domain::expression::condition::Expression;
use crate::domain::expression::fault::Fault;
use crate::domain::expression::schema::Schema;
use crate::domain::expression::value::EvalError;

/// How deep lists and maps of texts may stand in each other.
const MAX_NESTING: usize = 32;

/// A text whose holes were checked.
#[derive(Clone, Debug)]
pub struct Template {
    source: String,
    parts: Vec<Part>,
}

#[derive(Clone, Debug)]
enum Part {
    Text(String),
    Hole(Expression),
}

/// JSON whose texts are templates; keys stay as they are.
#[derive(Clone, Debug)]
pub enum ValueTemplate {
    /// A number, a truth or null.
    Plain(Json),
    Text(Template),
    List(Vec<ValueTemplate>),
    Map(Vec<(String, ValueTemplate)>),
}

/// A fault in one of the texts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlacedFault {
    /// A JSON pointer to the text: `/to/0`; empty when the value itself is the text.
    pub path: String,
    /// The fault, with its span inside that text.
    pub fault: Fault,
}

impl Template {
    /// Reads a text and checks its holes; spans count from the beginning of the text.
    pub fn parse(source: &str, schema: &Schema) -> Result<Self, Vec<Fault>> {
        let (mut parts, mut faults, mut at) = (Vec::new(), Vec::new(), 0);
        while let Some(open) = source[at..].find("{{").map(|found| at + found) {
            push_text(&mut parts, &source[at..open]);
            let start = open + 2;
            let Some(length) = hole_length(&source[start..]) else {
                faults.push(Fault::new(open..start, "this hole is never closed").hint("write {{ \"{{\" }} for two braces"));
                return Err(faults);
            };
            match Expression::parse(&source[start..start + length], schema) {
                Ok(expression) => parts.push(Part::Hole(expression)),
                Err(found) => faults.extend(found.into_iter().map(|fault| fault.moved(start))),
            }
            at = start + length + 2;
        }
        push_text(&mut parts, &source[at..]);
        if faults.is_empty() { Ok(Self { source: source.to_owned(), parts }) } else { Err(faults) }
    }

    /// The text as it was written.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The dotted names that its holes read, sorted, each once.
    pub fn names(&self) -> Vec<String> {
        let holes = self.parts.iter().filter_map(|part| match part {
            Part::Hole(hole) => Some(hole.names()),
            Part::Text(_) => None,
        });
        sorted(holes.flatten().collect())
    }

    /// Whether one of its holes reads a variable.
    pub fn reads(&self, variable: &str) -> bool {
        self.parts.iter().any(|part| matches!(part, Part::Hole(hole) if hole.reads(variable)))
    }

    /// Fills the holes; an absent name is an error.
    pub fn render(&self, scope: &Json) -> Result<Json, EvalError> {
        if let [Part::Hole(hole)] = self.parts.as_slice() {
            return hole.evaluate(scope).map(|value| value.into_json());
        }
        let mut text = String::new();
        for part in &self.parts {
            match part {
                Part::Text(piece) => text.push_str(piece),
                Part::Hole(hole) => text.push_str(&hole.evaluate(scope)?.to_string()),
            }
        }
        Ok(Json::String(text))
    }
}

impl ValueTemplate {
    /// The value as it was written, its holes unfilled.
    pub fn to_json(&self) -> Json {
        match self {
            Self::Plain(value) => value.clone(),
            Self::Text(text) => text.source().into(),
            Self::List(items) => items.iter().map(Self::to_json).collect(),
            Self::Map(entries) => entries.iter().map(|(key, value)| (key.clone(), value.to_json())).collect::<Map<_, _>>().into(),
        }
    }

    /// Reads every text in a JSON value as a template and finds all faults at once.
    pub fn parse(value: &Json, schema: &Schema) -> Result<Self, Vec<PlacedFault>> {
        let mut reader = Reader { schema, path: Vec::new(), faults: Vec::new() };
        let template = reader.value(value);
        if reader.faults.is_empty() { Ok(template) } else { Err(reader.faults) }
    }

    /// The dotted names that all its holes read, sorted, each once.
    pub fn names(&self) -> Vec<String> {
        sorted(match self {
            Self::Plain(_) => Vec::new(),
            Self::Text(template) => template.names(),
            Self::List(items) => items.iter().flat_map(Self::names).collect(),
            Self::Map(entries) => entries.iter().flat_map(|(_, value)| value.names()).collect(),
        })
    }

    /// Whether any of its holes reads a variable.
    pub fn reads(&self, variable: &str) -> bool {
        match self {
            Self::Plain(_) => false,
            Self::Text(template) => template.reads(variable),
            Self::List(items) => items.iter().any(|item| item.reads(variable)),
            Self::Map(entries) => entries.iter().any(|(_, value)| value.reads(variable)),
        }
    }

    /// The text under a key of a map, as it was written.
    pub fn text(&self, key: &str) -> Option<&str> {
        let Self::Map(entries) = self else { return None };
        match entries.iter().find(|(known, _)| known == key) {
            Some((_, Self::Text(template))) => Some(template.source()),
            _ => None,
        }
    }

    /// Fills all holes.
    pub fn render(&self, scope: &Json) -> Result<Json, EvalError> {
        match self {
            Self::Plain(value) => Ok(value.clone()),
            Self::Text(template) => template.render(scope),
            Self::List(items) => items.iter().map(|item| item.render(scope)).collect(),
            Self::Map(entries) => {
                let entries = entries.iter().map(|(key, value)| Ok((key.clone(), value.render(scope)?)));
                entries.collect::<Result<Map<_, _>, EvalError>>().map(Json::Object)
            }
        }
    }
}

/// Reads every text in a JSON value as a template: [`ValueTemplate::parse`].
pub fn parse_value(value: &Json, schema: &Schema) -> Result<ValueTemplate, Vec<PlacedFault>> {
    ValueTemplate::parse(value, schema)
}

struct Reader<'a> {
    schema: &'a Schema,
    path: Vec<String>,
    faults: Vec<PlacedFault>,
}

impl Reader<'_> {
    fn value(&mut self, value: &Json) -> ValueTemplate {
        if self.path.len() > MAX_NESTING {
            self.fault(Fault::new(0..0, format!("values stand at most {MAX_NESTING} deep in each other")));
            return ValueTemplate::Plain(Json::Null);
        }
        match value {
            Json::String(text) => self.text(text),
            Json::Array(items) => {
                ValueTemplate::List(items.iter().enumerate().map(|(at, item)| self.below(&at.to_string(), item)).collect())
            }
            Json::Object(map) => ValueTemplate::Map(map.iter().map(|(key, value)| (key.clone(), self.below(key, value))).collect()),
            plain => ValueTemplate::Plain(plain.clone()),
        }
    }

    fn below(&mut self, step: &str, value: &Json) -> ValueTemplate {
        self.path.push(step.replace('~', "~0").replace('/', "~1"));
        let template = self.value(value);
        self.path.pop();
        template
    }

    fn text(&mut self, text: &str) -> ValueTemplate {
        match Template::parse(text, self.schema) {
            Ok(template) => ValueTemplate::Text(template),
            Err(faults) => {
                faults.into_iter().for_each(|fault| self.fault(fault));
                ValueTemplate::Plain(Json::Null)
            }
        }
    }

    fn fault(&mut self, fault: Fault) {
        let path = self.path.iter().map(|step| format!("/{step}")).collect();
        self.faults.push(PlacedFault { path, fault });
    }
}

fn push_text(parts: &mut Vec<Part>, text: &str) {
    if !text.is_empty() {
        parts.push(Part::Text(text.to_owned()));
    }
}

/// Where the hole's `}}` stands, looking past braces inside of quotes.
fn hole_length(rest: &str) -> Option<usize> {
    let bytes = rest.as_bytes();
    let (mut quote, mut raw, mut at) = (None, false, 0);
    while at < bytes.len() {
        match (quote, bytes[at]) {
            (None, b'}') if bytes.get(at + 1) == Some(&b'}') => return Some(at),
            (None, byte @ (b'"' | b'\'')) => {
                quote = Some(byte);
                raw = is_raw(&bytes[..at]);
            }
            (Some(_), b'\\') if !raw => at += 1,
            (Some(open), byte) if byte == open => quote = None,
            _ => {}
        }
        at += 1;
    }
    None
}

/// Whether the quote after these bytes opens a raw text: an `r` that is no name's last letter.
fn is_raw(before: &[u8]) -> bool {
    match before {
        [.., previous, b'r'] => !previous.is_ascii_alphanumeric() && *previous != b'_',
        [b'r'] => true,
        _ => false,
    }
}

fn sorted(mut names: Vec<String>) -> Vec<String> {
    names.sort_unstable();
    names.dedup();
    names
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::expression::schema::Type;

    fn schema() -> Schema {
        Schema::new([("labels", Type::map(Type::Text)), ("n", Type::Number), ("list", Type::list(Type::Number)), ("age", Type::Duration)])
    }

    fn scope() -> Json {
        json!({ "labels": { "team": "db", "evil": "{{ n }} }} \"" }, "n": 1.5, "list": [1, null, 2], "age": "4m12s" })
    }

    fn rendered(source: &str) -> Json {
        Template::parse(source, &schema()).unwrap_or_else(|faults| panic!("{source}: {faults:?}")).render(&scope()).unwrap()
    }

    #[test]
    fn holes_are_filled() {
        for (source, value) in [
            ("", json!("")),
            ("no hole } {", json!("no hole } {")),
            ("{{ n }}", json!(1.5)),
            ("{{ list }}", json!([1, null, 2])),
            ("{{ age }}", json!("252000ms")),
            ("{{ n }} of {{labels.team}} for {{ age }}", json!("1.5 of db for 4m 12s")),
            (" {{ n }}", json!(" 1.5")),
            ("pg_up{service=\"{{ labels.team }}\"} == 1", json!("pg_up{service=\"db\"} == 1")),
            ("{{ \"{{\" }} {{ '}}' }} {{ r'\\' }}", json!("{{ }} \\")),
            ("{{ labels.evil }}", json!("{{ n }} }} \"")),
            ("<{{ labels.evil }}>", json!("<{{ n }} }} \">")),
            ("{{ has(labels.zone) ? labels.zone : \"nowhere\" }} é", json!("nowhere é")),
        ] {
            assert_eq!(rendered(source), value, "{source}");
        }
    }

    #[test]
    fn an_absent_name_is_an_error() {
        let template = Template::parse("to {{ labels.zone }}", &schema()).unwrap();
        assert_eq!(template.render(&scope()), Err(EvalError::Missing("labels.zone".to_owned())));
    }

    #[test]
    fn faults_point_into_the_text() {
        let table: [(&str, &[usize]); 5] =
            [("é {{ m }} {{ n + }}", &[6, 18]), ("ab {{ n", &[3]), ("{{ '}}", &[0]), ("{{}}", &[2]), ("{{ n + (", &[0])];
        for (source, starts) in table {
            let found = Template::parse(source, &schema()).unwrap_err();
            assert_eq!(found.iter().map(|fault| fault.span.start).collect::<Vec<_>>(), starts, "{source}");
        }
    }

    #[test]
    fn values_are_filled_and_their_faults_are_placed() {
        let value = json!({ "to": ["{{ labels.team }}", 3], "with": { "n": "{{ n }}", "{{ n }}": true } });
        let template = parse_value(&value, &schema()).unwrap();
        assert_eq!(template.names(), ["labels.team", "n"]);
        assert_eq!(template.render(&scope()).unwrap(), json!({ "to": ["db", 3], "with": { "n": 1.5, "{{ n }}": true } }));
        let faults = parse_value(&json!({ "a/b": [1, "{{ x }}"], "c": "{{ y }}" }), &schema()).unwrap_err();
        assert_eq!(faults.iter().map(|placed| placed.path.as_str()).collect::<Vec<_>>(), ["/a~1b/1", "/c"]);
    }
}
