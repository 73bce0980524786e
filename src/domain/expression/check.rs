//! A tree into runnable code, with every name and type checked against a schema. Knows nothing of actual values.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::ops::Range;

use regex::{Regex, RegexBuilder};

use crate::domain::expression::fault::Fault;
use crate::domain::expression::lexer::{duration, is_name};
use crate::domain::expression::schema::{Schema, Type};
use crate::domain::expression::syntax::{Kind, Node, Operator, Word};

/// The most a compiled pattern may occupy, in bytes.
const MAX_PATTERN: usize = 1 << 20;

/// What an expression does, resolved: no name in it needs to be looked up in a schema again.
#[derive(Clone, Debug)]
pub(super) enum Code {
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    /// Milliseconds.
    Duration(i64),
    List(Vec<Code>),
    Read(Read),
    /// A computed place, with the text of what is indexed.
    Index(String, Box<Code>, Box<Code>),
    /// Text out of the scope that the schema says is a length of time.
    AsDuration(Box<Code>),
    Not(Box<Code>),
    Negate(Box<Code>),
    And(Vec<Code>),
    Or(Vec<Code>),
    Binary(Operator, Box<Code>, Box<Code>),
    If(Box<[Code; 3]>),
    Has(Read),
    Size(Box<Code>),
    Test(Test, Box<Code>, Box<Code>),
    Matches(Box<Code>, Regex),
    Each(Macro, Box<Code>, Box<Code>),
}

/// A way from a variable, or from another value, through named fields.
#[derive(Clone, Debug)]
pub(super) struct Read {
    /// As a person would write it: `labels.team`, `labels["k8s.io/name"]`.
    pub name: String,
    pub base: Base,
    pub fields: Vec<String>,
}

/// Where a way begins.
#[derive(Clone, Debug)]
pub(super) enum Base {
    Variable(String),
    /// The item that a macro is looking at.
    Item,
    Code(Box<Code>),
}

/// A test of one text against another.
#[derive(Clone, Copy, Debug)]
pub(super) enum Test {
    StartsWith,
    EndsWith,
    Contains,
}

/// What is done with every item of a list.
#[derive(Clone, Copy, Debug)]
pub(super) enum Macro {
    Exists,
    All,
    Filter,
    Map,
}

/// Code that passed, with what is known about it.
#[derive(Clone, Debug)]
pub(super) struct Checked {
    pub code: Code,
    pub result: Type,
    /// The variables and fields that it reads, dotted.
    pub names: BTreeSet<String>,
}

/// Checks a whole tree and finds all faults at once.
pub(super) fn check(source: &str, node: &Node, schema: &Schema) -> Result<Checked, Vec<Fault>> {
    let mut checker = Checker { source, schema, item: None, names: BTreeSet::new(), faults: Vec::new() };
    let (code, result) = checker.node(node);
    match checker.faults.is_empty() {
        true => Ok(Checked { code, result, names: checker.names }),
        false => Err(checker.faults),
    }
}

const FUNCTIONS: [&str; 12] =
    ["has", "size", "duration", "startsWith", "endsWith", "contains", "matches", "exists", "all", "filter", "map", "in"];

struct Checker<'a> {
    source: &'a str,
    schema: &'a Schema,
    /// The macro we are inside: its variable and that variable's type.
    item: Option<(String, Type)>,
    names: BTreeSet<String>,
    faults: Vec<Fault>,
}

/// Code and type; after a fault the type is `Any`, so that one mistake is told once.
type Typed = (Code, Type);

impl Checker<'_> {
    fn node(&mut self, node: &Node) -> Typed {
        match &node.kind {
            Kind::Bool(value) => (Code::Bool(*value), Type::Bool),
            Kind::Int(value) => (Code::Int(*value), Type::Number),
            Kind::Float(value) => (Code::Float(*value), Type::Number),
            Kind::Text(value) => (Code::Text(value.clone()), Type::Text),
            Kind::Duration(ms) => (Code::Duration(*ms), Type::Duration),
            Kind::List(items) => self.list(items),
            Kind::Name(_) | Kind::Field(..) => self.data(node),
            Kind::Index(base, index) => match index.literal_text() {
                Some(_) => self.data(node),
                None => self.index(base, index),
            },
            Kind::Not(inner) => (Code::Not(Box::new(self.truth(inner))), Type::Bool),
            Kind::Negate(inner) => (Code::Negate(Box::new(self.expect(inner, &Type::Number))), Type::Number),
            Kind::And(parts) => (Code::And(self.truths(parts)), Type::Bool),
            Kind::Or(parts) => (Code::Or(self.truths(parts)), Type::Bool),
            Kind::Binary(operator, left, right) => self.binary(*operator, left, right),
            Kind::If(parts) => self.conditional(parts),
            Kind::Call { target, function, arguments } => match target {
                Some(target) => self.method(target, function, arguments),
                None => self.function(function, arguments),
            },
        }
    }

    fn list(&mut self, items: &[Node]) -> Typed {
        let mut codes = Vec::with_capacity(items.len());
        let mut common: Option<Type> = None;
        for item in items {
            let (code, ty) = self.node(item);
            codes.push(code);
            let unified = common.as_ref().map_or_else(|| Some(ty.clone()), |common| common.unify(&ty));
            common = unified.or_else(|| {
                self.fault(Fault::new(item.span.clone(), format!("this list began with {}, not {ty}", common_name(&common))));
                Some(Type::Any)
            });
        }
        (Code::List(codes), Type::list(common.unwrap_or(Type::Any)))
    }

    fn data(&mut self, node: &Node) -> Typed {
        let (read, ty) = self.read(node);
        let code = Code::Read(read);
        if ty == Type::Duration { (Code::AsDuration(Box::new(code)), ty) } else { (code, ty) }
    }

    fn read(&mut self, node: &Node) -> (Read, Type) {
        let mut steps = Vec::new();
        let mut base = node;
        loop {
            match &base.kind {
                Kind::Field(inner, word) => {
                    steps.push((word.text.as_str(), word.span.clone()));
                    base = inner;
                }
                Kind::Index(inner, index) => match index.literal_text() {
                    Some(key) => {
                        steps.push((key, index.span.clone()));
                        base = inner;
                    }
                    None => break,
                },
                _ => break,
            }
        }
        steps.reverse();
        let (name, origin, mut ty) = self.base(base);
        let read = Read { name: dotted(name, &steps), base: origin, fields: steps.iter().map(|(step, _)| (*step).to_owned()).collect() };
        for (step, span) in steps {
            ty = self.step(&ty, step, span);
        }
        if matches!(read.base, Base::Variable(_)) {
            self.names.insert(read.name.clone());
        }
        (read, ty)
    }

    fn base(&mut self, node: &Node) -> (String, Base, Type) {
        let Kind::Name(name) = &node.kind else {
            let (code, ty) = self.node(node);
            return (self.source[node.span.clone()].to_owned(), Base::Code(Box::new(code)), ty);
        };
        if let Some((item, ty)) = &self.item
            && item == name
        {
            return (name.clone(), Base::Item, ty.clone());
        }
        let ty = self.schema.names.get(name).cloned().unwrap_or_else(|| {
            let known = self.schema.names.keys().chain(self.item.as_ref().map(|(item, _)| item));
            let fault = Fault::new(node.span.clone(), format!("nothing is called \"{name}\" here"));
            let fault = fault.did_you_mean(name, known.map(String::as_str));
            self.fault(fault);
            Type::Any
        });
        (name.clone(), Base::Variable(name.clone()), ty)
    }

    fn step(&mut self, ty: &Type, field: &str, span: Range<usize>) -> Type {
        let fault = match ty {
            Type::Any => return Type::Any,
            Type::Map(value) => return (**value).clone(),
            Type::Object(fields) => match fields.get(field) {
                Some(ty) => return ty.clone(),
                None => {
                    let fault = Fault::new(span, format!("there is no field \"{field}\""));
                    fault.did_you_mean(field, fields.keys().map(String::as_str))
                }
            },
            ty => Fault::new(span, format!("{ty} has no field \"{field}\"")).did_you_mean(field, FUNCTIONS),
        };
        self.fault(fault);
        Type::Any
    }

    fn index(&mut self, base: &Node, index: &Node) -> Typed {
        let (base_code, base_type) = self.node(base);
        let (wanted, ty) = match &base_type {
            Type::List(item) => (Type::Number, (**item).clone()),
            Type::Map(value) => (Type::Text, (**value).clone()),
            Type::Any => (Type::Any, Type::Any),
            other => {
                self.fault(Fault::new(base.span.clone(), format!("{other} cannot be indexed like this")));
                (Type::Any, Type::Any)
            }
        };
        let name = self.source[base.span.clone()].to_owned();
        let code = Code::Index(name, Box::new(base_code), Box::new(self.expect(index, &wanted)));
        if ty == Type::Duration { (Code::AsDuration(Box::new(code)), ty) } else { (code, ty) }
    }

    fn truths(&mut self, parts: &[Node]) -> Vec<Code> {
        parts.iter().map(|part| self.truth(part)).collect()
    }

    fn truth(&mut self, node: &Node) -> Code {
        self.expect(node, &Type::Bool)
    }

    fn expect(&mut self, node: &Node, wanted: &Type) -> Code {
        let (code, ty) = self.node(node);
        if ty.unify(wanted).is_none() {
            self.fault(Fault::new(node.span.clone(), format!("this is {ty} where {wanted} is needed")));
        }
        code
    }

    fn binary(&mut self, operator: Operator, left: &Node, right: &Node) -> Typed {
        let ((left_code, left_type), (right_code, right_type)) = (self.node(left), self.node(right));
        let span = left.span.start..right.span.end;
        let types = (&left_type, &right_type);
        let ty = match operator {
            Operator::Equal | Operator::NotEqual => self.comparison(span, types, |_| true),
            Operator::Less | Operator::LessOrEqual | Operator::Greater | Operator::GreaterOrEqual => {
                self.comparison(span, types, |ty| matches!(ty, Type::Number | Type::Text | Type::Duration | Type::Any))
            }
            Operator::In => self.membership(span, types),
            Operator::Add => self.arithmetic(span, types, |ty| matches!(ty, Type::Number | Type::Text | Type::Duration | Type::Any)),
            Operator::Subtract => self.arithmetic(span, types, |ty| matches!(ty, Type::Number | Type::Duration | Type::Any)),
            _ => self.arithmetic(span, types, |ty| matches!(ty, Type::Number | Type::Any)),
        };
        (Code::Binary(operator, Box::new(left_code), Box::new(right_code)), ty)
    }

    fn comparison(&mut self, span: Range<usize>, (left, right): (&Type, &Type), allowed: fn(&Type) -> bool) -> Type {
        if left.unify(right).is_none() {
            let fault = Fault::new(span, format!("this compares {left} with {right}"));
            self.fault(if *left == Type::Duration { fault.hint("a length of time is written 30s, 5m or 1h30m") } else { fault });
        } else if !allowed(left) || !allowed(right) {
            self.fault(Fault::new(span, format!("{} has no order; only numbers, texts and lengths of time do", known(left, right))));
        }
        Type::Bool
    }

    fn membership(&mut self, span: Range<usize>, (left, right): (&Type, &Type)) -> Type {
        let item = match right {
            Type::List(item) => (**item).clone(),
            Type::Map(_) => Type::Text,
            Type::Any => Type::Any,
            Type::Text => {
                self.fault(Fault::new(span, "\"in\" looks into a list or a map").hint("write text.contains(\"…\")"));
                return Type::Bool;
            }
            other => {
                self.fault(Fault::new(span, format!("\"in\" looks into a list or a map with free keys, not {other}")));
                return Type::Bool;
            }
        };
        if left.unify(&item).is_none() {
            self.fault(Fault::new(span, format!("this looks for {left} among {item}")));
        }
        Type::Bool
    }

    fn arithmetic(&mut self, span: Range<usize>, (left, right): (&Type, &Type), allowed: fn(&Type) -> bool) -> Type {
        if !allowed(left) || !allowed(right) || left.unify(right).is_none() {
            self.fault(Fault::new(span, format!("{left} and {right} cannot be combined like this")));
            return Type::Any;
        }
        known(left, right).clone()
    }

    fn conditional(&mut self, [condition, then, otherwise]: &[Node; 3]) -> Typed {
        let condition = self.truth(condition);
        let ((then_code, then_type), (else_code, else_type)) = (self.node(then), self.node(otherwise));
        let ty = then_type.unify(&else_type).unwrap_or_else(|| {
            let span = then.span.start..otherwise.span.end;
            self.fault(Fault::new(span, format!("one way gives {then_type}, the other {else_type}")));
            Type::Any
        });
        (Code::If(Box::new([condition, then_code, else_code])), ty)
    }

    fn function(&mut self, function: &Word, arguments: &[Node]) -> Typed {
        match (function.text.as_str(), arguments) {
            ("has", [argument]) => self.has(argument),
            ("size", [argument]) => self.size(argument),
            ("duration", [argument]) => self.duration(argument),
            ("has" | "size" | "duration", _) => self.bad_call(Fault::new(function.span.clone(), one_argument(&function.text))),
            (name, _) if FUNCTIONS.contains(&name) => {
                let fault = Fault::new(function.span.clone(), format!("\"{name}\" stands behind a dot"));
                self.bad_call(fault.hint(format!("write value.{name}(…)")))
            }
            (name, _) => self.bad_call(unknown_function(name, function)),
        }
    }

    fn has(&mut self, argument: &Node) -> Typed {
        if !matches!(argument.kind, Kind::Field(..)) {
            let fault = Fault::new(argument.span.clone(), "has() asks for a field, as in has(labels.team)");
            return self.bad_call(fault.hint("for other keys write \"the-key\" in labels"));
        }
        (Code::Has(self.read(argument).0), Type::Bool)
    }

    fn size(&mut self, argument: &Node) -> Typed {
        let (code, ty) = self.node(argument);
        if !matches!(ty, Type::Text | Type::List(_) | Type::Map(_) | Type::Any) {
            self.fault(Fault::new(argument.span.clone(), format!("{ty} has no size")));
        }
        (Code::Size(Box::new(code)), Type::Number)
    }

    fn duration(&mut self, argument: &Node) -> Typed {
        match argument.literal_text().and_then(duration) {
            Some(ms) => (Code::Duration(ms), Type::Duration),
            None => self.bad_call(Fault::new(argument.span.clone(), "duration() takes a written length of time, as in duration(\"5m\")")),
        }
    }

    fn method(&mut self, target: &Node, function: &Word, arguments: &[Node]) -> Typed {
        let test = match function.text.as_str() {
            "size" if arguments.is_empty() => return self.size(target),
            "size" => return self.bad_call(Fault::new(function.span.clone(), "\"size\" takes nothing in its parentheses")),
            "exists" => return self.each(Macro::Exists, target, function, arguments),
            "all" => return self.each(Macro::All, target, function, arguments),
            "filter" => return self.each(Macro::Filter, target, function, arguments),
            "map" => return self.each(Macro::Map, target, function, arguments),
            "matches" => return self.matches(target, function, arguments),
            "startsWith" => Test::StartsWith,
            "endsWith" => Test::EndsWith,
            "contains" => Test::Contains,
            name => return self.bad_call(unknown_function(name, function)),
        };
        let text = self.text_of(target, &function.text);
        match arguments {
            [argument] => (Code::Test(test, Box::new(text), Box::new(self.expect(argument, &Type::Text))), Type::Bool),
            _ => self.bad_call(Fault::new(function.span.clone(), one_argument(&function.text))),
        }
    }

    fn matches(&mut self, target: &Node, function: &Word, arguments: &[Node]) -> Typed {
        let text = self.text_of(target, "matches");
        let [argument] = arguments else {
            return self.bad_call(Fault::new(function.span.clone(), one_argument("matches")));
        };
        let Some(pattern) = argument.literal_text() else {
            return self.bad_call(Fault::new(argument.span.clone(), "a pattern is a literal text, so that it is checked before it runs"));
        };
        match RegexBuilder::new(pattern).size_limit(MAX_PATTERN).dfa_size_limit(MAX_PATTERN).build() {
            Ok(regex) => (Code::Matches(Box::new(text), regex), Type::Bool),
            Err(error) => self.bad_call(Fault::new(argument.span.clone(), format!("this pattern is broken: {}", last_line(&error)))),
        }
    }

    fn text_of(&mut self, target: &Node, function: &str) -> Code {
        let (code, ty) = self.node(target);
        if ty.unify(&Type::Text).is_none() {
            let fault = Fault::new(target.span.clone(), format!("\"{function}\" is asked of text, this is {ty}"));
            self.fault(if matches!(ty, Type::List(_)) { fault.hint("write value in list") } else { fault });
        }
        code
    }

    fn each(&mut self, kind: Macro, target: &Node, function: &Word, arguments: &[Node]) -> Typed {
        if self.item.is_some() {
            let span = function.span.clone();
            return self.bad_call(Fault::new(span, "exists, all, filter and map cannot stand inside each other"));
        }
        let (list, list_type) = self.node(target);
        let item_type = match list_type {
            Type::List(item) => *item,
            Type::Any => Type::Any,
            other => {
                self.fault(Fault::new(target.span.clone(), format!("\"{}\" goes over a list, this is {other}", function.text)));
                Type::Any
            }
        };
        let [Node { kind: Kind::Name(variable), .. }, body] = arguments else {
            let fault = Fault::new(function.span.clone(), format!("\"{}\" takes a name and an expression", function.text));
            return self.bad_call(fault.hint(format!("as in alerts.{}(a, a.status == \"firing\")", function.text)));
        };
        self.item = Some((variable.clone(), item_type.clone()));
        let (code, ty) = match kind {
            Macro::Map => self.node(body),
            _ => (self.truth(body), Type::Bool),
        };
        self.item = None;
        let result = match kind {
            Macro::Exists | Macro::All => Type::Bool,
            Macro::Filter => Type::list(item_type),
            Macro::Map => Type::list(ty),
        };
        (Code::Each(kind, Box::new(list), Box::new(code)), result)
    }

    fn bad_call(&mut self, fault: Fault) -> Typed {
        self.fault(fault);
        (Code::Bool(false), Type::Any)
    }

    fn fault(&mut self, fault: Fault) {
        self.faults.push(fault);
    }
}

/// The more telling of two types that go together.
fn known<'a>(left: &'a Type, right: &'a Type) -> &'a Type {
    if *left == Type::Any { right } else { left }
}

fn common_name(common: &Option<Type>) -> String {
    common.as_ref().map_or_else(|| "nothing".to_owned(), ToString::to_string)
}

fn dotted(mut name: String, steps: &[(&str, Range<usize>)]) -> String {
    steps.iter().for_each(|(step, _)| push_field(&mut name, step));
    name
}

/// How a name goes on with a field: `.team`, `["k8s.io/name"]`.
pub fn push_field(name: &mut String, field: &str) {
    // Writing into a String cannot fail.
    let _ = if is_name(field) { write!(name, ".{field}") } else { write!(name, "[{field:?}]") };
}

fn unknown_function(name: &str, function: &Word) -> Fault {
    Fault::new(function.span.clone(), format!("there is no function \"{name}\"")).did_you_mean(name, FUNCTIONS)
}

fn one_argument(function: &str) -> String {
    format!("\"{function}\" takes exactly one value in its parentheses")
}

/// The regex crate draws a picture first; its last line is the sentence.
fn last_line(error: &regex::Error) -> String {
    let text = error.to_string();
    text.lines().last().unwrap_or_default().trim().trim_start_matches("error: ").to_owned()
}
