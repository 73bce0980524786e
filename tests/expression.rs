//! Expressions against CEL itself: whatever we accept, the `cel` crate must evaluate to the same value, or fail as well.
//! Left out on purpose is what is ours: bare durations, absence, calculating with a whole number and a fraction, and
//! dividing a fraction by zero.

use std::cell::Cell;
use std::collections::HashMap;
use std::sync::Arc;

use cel::{Context, Env, Value as Cel};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use reynard::domain::expression::condition::Expression;
use reynard::domain::expression::schema::{Schema, Type};
use reynard::domain::expression::template::Template;
use serde_json::{Value as Json, json};

const CASES: u32 = 3_000;

#[test]
fn what_we_accept_means_the_same_in_cel() {
    // The oracle recurs deeply in its parser; a thread of ours has room for that.
    let thread = std::thread::Builder::new().stack_size(64 << 20).spawn(compare_many);
    thread.unwrap().join().unwrap();
}

#[test]
fn no_text_can_make_the_parser_panic() {
    let pieces = prop::sample::select(PIECES);
    let texts = prop_oneof![
        vec(any::<char>(), 0..300).prop_map(String::from_iter),
        vec(any::<u8>(), 0..1_100).prop_map(|bytes| String::from_utf8_lossy(&bytes).into_owned()),
        vec(pieces, 0..60).prop_map(|pieces| pieces.concat()),
        vec(prop::sample::select(PIECES), 0..12).prop_map(|pieces| pieces.join(" ")),
    ];
    let config = Config { cases: 5_000, failure_persistence: None, ..Config::default() };
    let outcome = TestRunner::new(config).run(&texts, |text| {
        let faults = match Expression::parse(&text, &schema()) {
            Ok(expression) => {
                expression.matches(&scope(&mut Tape::new(Vec::new())));
                Vec::new()
            }
            Err(faults) => faults,
        };
        let holes = Template::parse(&text, &schema()).err().unwrap_or_default();
        for fault in faults.into_iter().chain(holes) {
            prop_assert!(text.get(fault.span.clone()).is_some(), "{fault:?} is not a place in {text:?}");
        }
        Ok(())
    });
    outcome.unwrap();
}

const PIECES: &[&str] = &[
    "(",
    ")",
    "[",
    "]",
    ".",
    ",",
    "!",
    "-",
    "+",
    "*",
    "/",
    "&&",
    "||",
    "==",
    "!=",
    "<",
    "<=",
    "in",
    "?",
    ":",
    "1",
    "2.5",
    "5m",
    "'a'",
    "\"é\"",
    "r'\\d'",
    "\"\\u00e9\"",
    "'",
    "\"",
    "\\",
    "true",
    "has",
    "size",
    "exists",
    "map",
    "matches",
    "duration",
    "text",
    "texts",
    "map_of",
    "alerts",
    "a",
    "x",
    "{{",
    "}}",
    " ",
    "\n",
    "=",
    "&",
    "é",
    "1e",
    "0x",
    "null",
];

fn compare_many() {
    let env = Arc::new(Env::stdlib());
    let config = Config { cases: CASES, failure_persistence: None, ..Config::default() };
    let tapes = (vec(any::<u16>(), 12), vec(any::<u16>(), 1..120));
    let (accepted, valued) = (Cell::new(0), Cell::new(0));
    TestRunner::new(config)
        .run(&tapes, |(values, choices)| {
            let scope = scope(&mut Tape::new(values));
            let source = Writer { tape: Tape::new(choices), item: None }.whole();
            let Ok(expression) = Expression::parse(&source, &schema()) else { return Ok(()) };
            accepted.set(accepted.get() + 1);
            let ours = expression.evaluate(&scope).map(|value| value.into_json());
            let theirs = by_cel(&env, &source, &scope).map_err(TestCaseError::fail)?;
            valued.set(valued.get() + u32::from(ours.is_ok()));
            match (&ours, &theirs) {
                (Err(_), Err(_)) => Ok(()),
                (Ok(ours), Ok(theirs)) if ours == theirs => Ok(()),
                (Ok(_), Err(error)) if calculates_across(error) => Ok(()),
                _ => Err(TestCaseError::fail(format!("{source}\nover {scope}\nours {ours:?}\ncel {theirs:?}"))),
            }
        })
        .unwrap_or_else(|error| panic!("{error}"));
    let accepted = accepted.get();
    println!("{accepted} of {CASES} accepted, {} gave a value", valued.get());
    assert!(accepted > CASES / 2, "only {accepted} of {CASES} texts were accepted: the comparison says little");
}

fn schema() -> Schema {
    let alert = Type::object([("status", Type::Text), ("count", Type::Number), ("labels", Type::map(Type::Text))]);
    Schema::new([
        ("int", Type::Number),
        ("float", Type::Number),
        ("text", Type::Text),
        ("truth", Type::Bool),
        ("ints", Type::list(Type::Number)),
        ("texts", Type::list(Type::Text)),
        ("map_of", Type::map(Type::Text)),
        ("alerts", Type::list(alert)),
        ("free", Type::Any),
    ])
}

fn scope(tape: &mut Tape) -> Json {
    let ints = [0, 1, -1, 2, 7, i64::MAX, i64::MIN];
    let texts = ["", "a", "abc", "é日本", "a.b", "firing", "P1"];
    json!({
        "int": tape.pick(&ints),
        "float": tape.pick(&[0.0, 0.5, -1.5, 2.0, 1e10]),
        "text": tape.pick(&texts),
        "truth": tape.pick(&[true, false]),
        "ints": [tape.pick(&ints), 3],
        "texts": [tape.pick(&texts), "abc"],
        "map_of": { "k": tape.pick(&texts), "namespace": "a" },
        "alerts": [
            { "status": tape.pick(&texts), "count": tape.pick(&ints), "labels": { "k": "v" } },
            { "status": "firing", "count": 2, "labels": {} },
        ],
        "free": { "int": tape.pick(&ints), "text": tape.pick(&texts), "list": [1, "a", true, 2.0] },
    })
}

fn by_cel(env: &Arc<Env>, source: &str, scope: &Json) -> Result<Result<Json, String>, String> {
    let program = env.compile(source).map_err(|errors| format!("cel does not read {source}: {errors:?}"))?;
    let mut context = Context::with_env(Arc::clone(env));
    for (name, value) in scope.as_object().into_iter().flatten() {
        context.add_variable_from_value(name.as_str(), to_cel(value));
    }
    Ok(program.execute(&context).map(|value| from_cel(&value)).map_err(|error| error.to_string()))
}

/// A whole number and a fraction: CEL compares them but does not calculate with them; we do both.
fn calculates_across(error: &str) -> bool {
    error.starts_with("Unsupported binary operator") && error.contains("Int(") && error.contains("Float(")
}

fn to_cel(value: &Json) -> Cel {
    match value {
        Json::Null => Cel::Null,
        Json::Bool(value) => (*value).into(),
        Json::Number(number) => number.as_i64().map_or_else(|| Cel::Float(number.as_f64().unwrap()), Cel::Int),
        Json::String(text) => text.as_str().into(),
        Json::Array(items) => items.iter().map(to_cel).collect::<Vec<_>>().into(),
        Json::Object(map) => map.iter().map(|(key, value)| (key.as_str(), to_cel(value))).collect::<HashMap<_, _>>().into(),
    }
}

fn from_cel(value: &Cel) -> Json {
    match value {
        Cel::Bool(value) => (*value).into(),
        Cel::Int(value) => (*value).into(),
        Cel::Float(value) => (*value).into(),
        Cel::String(text) => text.as_str().into(),
        Cel::Duration(span) => format!("{}ms", span.num_milliseconds()).into(),
        Cel::List(items) => items.iter().map(from_cel).collect(),
        Cel::Map(map) => map.map.iter().map(|(key, value)| (key.to_string(), from_cel(value))).collect(),
        other => panic!("{other:?} has no place in the subset"),
    }
}

/// Random choices that shrink: a tape at its end always says zero, which every writer answers with something small.
struct Tape {
    choices: std::vec::IntoIter<u16>,
}

impl Tape {
    fn new(choices: Vec<u16>) -> Self {
        Self { choices: choices.into_iter() }
    }

    fn below(&mut self, n: usize) -> usize {
        usize::from(self.choices.next().unwrap_or(0)) % n
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }
}

/// What the macro around is looking at.
#[derive(Clone, Copy, PartialEq)]
enum Item {
    Int,
    Text,
    Alert,
}

/// Writes random texts of a wanted type. Parentheses are left out at random, so that precedence is compared too;
/// what becomes ill-typed by that is refused by us and not compared.
struct Writer {
    tape: Tape,
    item: Option<Item>,
}

impl Writer {
    fn whole(&mut self) -> String {
        match self.tape.below(8) {
            0..=4 => self.truth(4),
            5 => self.int(3),
            6 => self.text(3),
            _ => match self.tape.below(4) {
                0 => self.float(3),
                1 => self.duration(2),
                2 => self.ints(3),
                _ => self.texts(3),
            },
        }
    }

    fn truth(&mut self, depth: usize) -> String {
        let choice = if depth == 0 { self.tape.below(3) } else { self.tape.below(22) };
        let d = depth.saturating_sub(1);
        match choice {
            0 => "true".into(),
            1 => "false".into(),
            2 => "truth".into(),
            3 => format!("!{}", self.grouped(Self::truth, d)),
            4 | 5 => self.joined(&["&&"], Self::truth, Self::truth, d),
            6 | 7 => self.joined(&["||"], Self::truth, Self::truth, d),
            8 => self.joined(&["==", "!="], Self::truth, Self::truth, d),
            9 | 10 => self.joined(COMPARE, Self::int, Self::int, d),
            11 => self.joined(COMPARE, Self::int, Self::float, d),
            12 => self.joined(COMPARE, Self::float, Self::float, d),
            13 => self.joined(COMPARE, Self::text, Self::text, d),
            14 => self.joined(COMPARE, Self::duration, Self::duration, d),
            15 => self.joined(&["in"], Self::int, Self::ints, d),
            16 => self.joined(&["in"], Self::text, Self::texts, d),
            17 => format!("{}.{}({})", self.grouped(Self::text, d), self.tape.pick(&["startsWith", "endsWith", "contains"]), self.text(d)),
            18 => format!("{}.matches({})", self.grouped(Self::text, d), self.tape.pick(PATTERNS)),
            19 => self.about_maps(d),
            20 => self.each(d),
            _ => self.conditional(Self::truth, d),
        }
    }

    fn about_maps(&mut self, depth: usize) -> String {
        match self.tape.below(8) {
            0 => "has(map_of.k)".into(),
            1 => "has(map_of.absent)".into(),
            2 => format!("{} in map_of", self.grouped(Self::text, depth)),
            3 => "alerts == alerts".into(),
            4 => "map_of != map_of".into(),
            5 => format!("{} {} free.int", self.grouped(Self::int, depth), self.tape.pick(COMPARE)),
            6 => format!("{} in free.list", self.grouped(Self::int, depth)),
            _ => self.joined(&["==", "!="], Self::texts, Self::texts, depth),
        }
    }

    fn each(&mut self, depth: usize) -> String {
        if self.item.is_some() {
            return "truth".into();
        }
        let (list, item) = self.list(depth);
        let kind = self.tape.pick(&["exists", "all"]);
        format!("{list}.{kind}(x, {})", self.inside(item, Self::truth, depth))
    }

    fn list(&mut self, depth: usize) -> (String, Item) {
        match self.tape.below(3) {
            0 => ("alerts".into(), Item::Alert),
            1 => (self.grouped(Self::ints, depth), Item::Int),
            _ => (self.grouped(Self::texts, depth), Item::Text),
        }
    }

    fn inside(&mut self, item: Item, write: fn(&mut Self, usize) -> String, depth: usize) -> String {
        self.item = Some(item);
        let body = write(self, depth);
        self.item = None;
        body
    }

    fn int(&mut self, depth: usize) -> String {
        let choice = if depth == 0 { self.tape.below(5) } else { self.tape.below(14) };
        let d = depth.saturating_sub(1);
        match choice {
            0 => self.tape.pick(&["0", "1", "2", "-1", "7", "9223372036854775807", "-9223372036854775808"]).into(),
            1 | 2 => "int".into(),
            3 => match self.item {
                Some(Item::Int) => "x".into(),
                Some(Item::Alert) => "x.count".into(),
                _ => "free.int".into(),
            },
            4 => "alerts[0].count".into(),
            5..=8 => self.joined(&["+", "-", "*", "/"], Self::int, Self::int, d),
            9 => format!("-{}", self.grouped(Self::int, d)),
            10 => format!("size({})", self.text(d)),
            11 => format!("{}.size()", self.grouped(Self::texts, d)),
            12 => format!("{}[{}]", self.grouped(Self::ints, d), self.int(d)),
            _ => self.conditional(Self::int, d),
        }
    }

    fn float(&mut self, depth: usize) -> String {
        let choice = if depth == 0 { self.tape.below(2) } else { self.tape.below(6) };
        let d = depth.saturating_sub(1);
        match choice {
            0 => self.tape.pick(&["0.5", "2.0", "-1.5", "1e3", "0.1"]).into(),
            1 => "float".into(),
            2 => self.joined(&["+", "-", "*"], Self::float, Self::float, d),
            3 => format!("{} / {}", self.grouped(Self::float, d), self.tape.pick(&["2.0", "-0.3"])),
            4 => format!("-{}", self.grouped(Self::float, d)),
            _ => self.conditional(Self::float, d),
        }
    }

    fn text(&mut self, depth: usize) -> String {
        let choice = if depth == 0 { self.tape.below(5) } else { self.tape.below(9) };
        let d = depth.saturating_sub(1);
        match choice {
            0 | 1 => self.tape.pick(TEXTS).into(),
            2 => "text".into(),
            3 => match self.item {
                Some(Item::Text) => "x".into(),
                Some(Item::Alert) => "x.status".into(),
                _ => "free.text".into(),
            },
            4 => self.tape.pick(&["map_of.k", "map_of[\"k\"]", "map_of['namespace']", "map_of.namespace", "alerts[1].status"]).into(),
            5 | 6 => self.joined(&["+"], Self::text, Self::text, d),
            7 => format!("{}[{}]", self.grouped(Self::texts, d), self.tape.pick(&["0", "1", "2", "int"])),
            _ => self.conditional(Self::text, d),
        }
    }

    fn duration(&mut self, depth: usize) -> String {
        match if depth == 0 { 0 } else { self.tape.below(3) } {
            0 => self.tape.pick(&["duration(\"5m\")", "duration('1h30m')", "duration(\"250ms\")", "duration('0')"]).into(),
            1 => self.joined(&["+", "-"], Self::duration, Self::duration, depth - 1),
            _ => self.conditional(Self::duration, depth - 1),
        }
    }

    fn ints(&mut self, depth: usize) -> String {
        let d = depth.saturating_sub(1);
        match if depth == 0 { self.tape.below(2) } else { self.tape.below(5) } {
            0 => "ints".into(),
            1 => "[1, 2, 7]".into(),
            2 => format!("[{}, {}]", self.int(d), self.int(d)),
            3 if self.item.is_none() => format!("{}.filter(x, {})", self.grouped(Self::ints, d), self.inside(Item::Int, Self::truth, d)),
            4 if self.item.is_none() => {
                let (list, item) = self.list(d);
                format!("{list}.map(x, {})", self.inside(item, Self::int, d))
            }
            _ => "[]".into(),
        }
    }

    fn texts(&mut self, depth: usize) -> String {
        let d = depth.saturating_sub(1);
        match if depth == 0 { self.tape.below(2) } else { self.tape.below(5) } {
            0 => "texts".into(),
            1 => "[\"a\", 'abc',]".into(),
            2 => format!("[{}, {}]", self.text(d), self.text(d)),
            3 if self.item.is_none() => format!("{}.filter(x, {})", self.grouped(Self::texts, d), self.inside(Item::Text, Self::truth, d)),
            4 if self.item.is_none() => {
                let (list, item) = self.list(d);
                format!("{list}.map(x, {})", self.inside(item, Self::text, d))
            }
            _ => self.conditional(Self::texts, d),
        }
    }

    fn conditional(&mut self, write: fn(&mut Self, usize) -> String, depth: usize) -> String {
        let (condition, then, otherwise) = (self.truth(depth.min(1)), write(self, depth), write(self, depth));
        let text = format!("{condition} ? {then} : {otherwise}");
        if self.tape.below(4) == 3 { text } else { format!("({text})") }
    }

    fn joined(
        &mut self,
        signs: &[&'static str],
        left: fn(&mut Self, usize) -> String,
        right: fn(&mut Self, usize) -> String,
        depth: usize,
    ) -> String {
        let (left, sign, right) = (left(self, depth), self.tape.pick(signs), right(self, depth));
        if self.tape.below(2) == 1 { format!("({left} {sign} {right})") } else { format!("{left} {sign} {right}") }
    }

    fn grouped(&mut self, write: fn(&mut Self, usize) -> String, depth: usize) -> String {
        format!("({})", write(self, depth))
    }
}

const COMPARE: &[&str] = &["==", "!=", "<", "<=", ">", ">="];
const PATTERNS: &[&str] = &["\"^a\"", "r'\\w+$'", "'b|日'", "\"^(fir|P)\"", "''", "\"^\\\\w{2}$\""];
const TEXTS: &[&str] = &["\"\"", "'a'", "\"abc\"", "'é日本'", "\"\\u00e9\"", "r'a\\b'", "\"a\\nb\\t\\\\\"", "'firing'", "'it\\'s'"];
