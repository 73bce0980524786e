//! Checked code over a JSON scope, within a bound of work. Borrows from the scope; knows nothing of schemas or text.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::rc::Rc;

use serde_json::{Map, Value as Json};

use crate::domain::expression::check::{Base, Code, Macro, Read, Test};
use crate::domain::expression::datum::{
    Datum, Outcome, as_duration, datum, follow, fraction, item_at, items, length, negate, number, place, read_duration, whole, within,
    written_duration, wrong,
};
use crate::domain::expression::syntax::Operator;
use crate::domain::expression::value::{EvalError, Value};

/// The longest text that `+` makes, in bytes.
const MAX_TEXT: usize = 64 << 10;
/// Steps of one run: a part, an item compared or eight bytes searched each take one.
const MAX_WORK: usize = 2_000_000;

/// One run of an expression.
pub(super) struct Machine<'a> {
    scope: Option<&'a Map<String, Json>>,
    /// What a macro is looking at.
    item: Option<Datum<'a>>,
    missing: Vec<String>,
    work: usize,
}

impl<'a> Machine<'a> {
    /// A run over the variables of `scope`; without an object every variable is absent.
    pub fn new(scope: &'a Json) -> Self {
        Self { scope: scope.as_object(), item: None, missing: Vec::new(), work: 0 }
    }

    /// The value of the code.
    pub fn value(&mut self, code: &'a Code) -> Result<Value, EvalError> {
        let value = self.run(code)?;
        self.weigh(&value)?;
        Ok(value.into_value())
    }

    /// The code as a condition: an absent name is false.
    pub fn truth(&mut self, code: &'a Code) -> Result<bool, EvalError> {
        let outcome = self.run(code);
        match self.settle(outcome)? {
            Some(Datum::Bool(truth)) => Ok(truth),
            Some(other) => Err(wrong("true or false", &other)),
            None => Ok(false),
        }
    }

    /// The absent names that made a comparison false, each once, in the order of their discovery.
    pub fn into_missing(self) -> Vec<String> {
        self.missing
    }

    fn run(&mut self, code: &'a Code) -> Outcome<'a> {
        self.spend(1)?;
        match code {
            Code::Bool(value) => Ok(Datum::Bool(*value)),
            Code::Int(value) => Ok(Datum::Int(*value)),
            Code::Float(value) => Ok(Datum::Float(*value)),
            Code::Text(value) => Ok(Datum::Text(Cow::Borrowed(value))),
            Code::Duration(ms) => Ok(Datum::Duration(*ms)),
            Code::List(items) => self.list(items),
            Code::Read(read) => self.read(read),
            Code::Index(name, base, index) => self.index(name, base, index),
            Code::AsDuration(inner) => as_duration(self.run(inner)?),
            Code::Not(inner) => self.truth(inner).map(|truth| Datum::Bool(!truth)),
            Code::Negate(inner) => negate(self.run(inner)?),
            Code::And(parts) => self.decided_by(false, parts),
            Code::Or(parts) => self.decided_by(true, parts),
            Code::Binary(operator, left, right) => self.binary(*operator, left, right),
            Code::If(parts) => self.conditional(parts),
            Code::Has(read) => self.has(read),
            Code::Size(inner) => self.size(inner),
            Code::Test(test, text, wanted) => self.test(*test, text, wanted),
            Code::Matches(text, regex) => self.tested(text, |text| regex.is_match(text)),
            Code::Each(kind, list, body) => self.each(*kind, list, body),
        }
    }

    fn list(&mut self, items: &'a [Code]) -> Outcome<'a> {
        let items = items.iter().map(|item| self.run(item)).collect::<Result<_, _>>()?;
        Ok(Datum::List(Rc::new(items)))
    }

    fn read(&mut self, read: &'a Read) -> Outcome<'a> {
        let absent = || EvalError::Missing(read.name.clone());
        let base = match &read.base {
            Base::Variable(name) => return follow(self.scope.and_then(|scope| scope.get(name)), &read.fields).ok_or_else(absent)?,
            Base::Item => self.item.clone().ok_or_else(absent)?,
            Base::Code(code) => self.run(code)?,
        };
        match base {
            base if read.fields.is_empty() => Ok(base),
            Datum::Json(json) => follow(Some(json), &read.fields).ok_or_else(absent)?,
            other => Err(wrong("a map", &other)),
        }
    }

    fn index(&mut self, name: &str, base: &'a Code, index: &'a Code) -> Outcome<'a> {
        match (self.run(base)?, self.run(index)?) {
            (Datum::List(items), Datum::Int(at)) => place(&items, at).cloned(),
            (Datum::Json(Json::Array(items)), Datum::Int(at)) => {
                datum(place(items, at)?).ok_or_else(|| EvalError::Missing(format!("{name}[{at}]")))
            }
            (Datum::Json(Json::Object(map)), Datum::Text(key)) => {
                map.get(&*key).and_then(datum).ok_or_else(|| EvalError::Missing(format!("{name}[{key:?}]")))
            }
            (Datum::List(_) | Datum::Json(Json::Array(_)), other) => Err(wrong("a whole number", &other)),
            (Datum::Json(_), other) => Err(wrong("text", &other)),
            (other, _) => Err(wrong("a list or a map", &other)),
        }
    }

    /// `&&` is decided by the first false, `||` by the first true; only when nothing decides, a failure counts.
    fn decided_by(&mut self, deciding: bool, parts: &'a [Code]) -> Outcome<'a> {
        let mut failure = None;
        for part in parts {
            match self.truth(part) {
                Ok(truth) if truth == deciding => return Ok(Datum::Bool(deciding)),
                Ok(_) => {}
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        failure.map_or(Ok(Datum::Bool(!deciding)), Err)
    }

    fn binary(&mut self, operator: Operator, left: &'a Code, right: &'a Code) -> Outcome<'a> {
        let compares = !matches!(operator, Operator::Add | Operator::Subtract | Operator::Multiply | Operator::Divide);
        let operands = self.operands(left, right);
        if !compares {
            let (left, right) = operands?;
            return self.calculate(operator, left, right);
        }
        let Some((left, right)) = self.settle(operands)? else { return Ok(Datum::Bool(false)) };
        let truth = match operator {
            Operator::Equal => self.equal(&left, &right)?,
            Operator::NotEqual => !self.equal(&left, &right)?,
            Operator::In => self.contains(&left, &right)?,
            Operator::Less => self.order(&left, &right)?.is_lt(),
            Operator::LessOrEqual => self.order(&left, &right)?.is_le(),
            Operator::Greater => self.order(&left, &right)?.is_gt(),
            _ => self.order(&left, &right)?.is_ge(),
        };
        Ok(Datum::Bool(truth))
    }

    fn operands(&mut self, left: &'a Code, right: &'a Code) -> Result<(Datum<'a>, Datum<'a>), EvalError> {
        Ok((self.run(left)?, self.run(right)?))
    }

    fn calculate(&mut self, operator: Operator, left: Datum<'a>, right: Datum<'a>) -> Outcome<'a> {
        match (left, right) {
            (Datum::Int(left), Datum::Int(right)) => whole(operator, left, right).map(Datum::Int),
            (Datum::Text(left), Datum::Text(right)) if operator == Operator::Add => self.join(left, &right),
            (Datum::Duration(left), Datum::Duration(right)) => match operator {
                Operator::Add => left.checked_add(right).map(Datum::Duration).ok_or(EvalError::Overflow),
                Operator::Subtract => left.checked_sub(right).map(Datum::Duration).ok_or(EvalError::Overflow),
                _ => Err(wrong("a number", &Datum::Duration(left))),
            },
            (left, right) => fraction(operator, number(&left)?, number(&right)?).map(Datum::Float),
        }
    }

    fn join(&mut self, left: Cow<'a, str>, right: &str) -> Outcome<'a> {
        let length = left.len() + right.len();
        if length > MAX_TEXT {
            return Err(EvalError::TooMuch("a text became longer than 64 KiB"));
        }
        self.spend(length / 8)?;
        Ok(Datum::Text(Cow::Owned(left.into_owned() + right)))
    }

    fn conditional(&mut self, [condition, then, otherwise]: &'a [Code; 3]) -> Outcome<'a> {
        let chosen = if self.truth(condition)? { then } else { otherwise };
        self.run(chosen)
    }

    fn has(&mut self, read: &'a Read) -> Outcome<'a> {
        match self.read(read) {
            Ok(_) => Ok(Datum::Bool(true)),
            Err(EvalError::Missing(_)) => Ok(Datum::Bool(false)),
            Err(error) => Err(error),
        }
    }

    fn size(&mut self, inner: &'a Code) -> Outcome<'a> {
        let size = match self.run(inner)? {
            Datum::Text(text) => {
                self.spend(text.len() / 8)?;
                text.chars().count()
            }
            Datum::List(items) => items.len(),
            Datum::Json(Json::Array(items)) => items.len(),
            Datum::Json(Json::Object(map)) => map.len(),
            other => return Err(wrong("a text, a list or a map", &other)),
        };
        i64::try_from(size).map(Datum::Int).map_err(|_| EvalError::Overflow)
    }

    fn test(&mut self, test: Test, text: &'a Code, wanted: &'a Code) -> Outcome<'a> {
        let wanted = self.run(wanted);
        let Some(wanted) = self.settle(wanted)? else { return Ok(Datum::Bool(false)) };
        let Datum::Text(wanted) = wanted else { return Err(wrong("text", &wanted)) };
        self.tested(text, |text| match test {
            Test::StartsWith => text.starts_with(&*wanted),
            Test::EndsWith => text.ends_with(&*wanted),
            Test::Contains => text.contains(&*wanted),
        })
    }

    fn tested(&mut self, text: &'a Code, holds: impl FnOnce(&str) -> bool) -> Outcome<'a> {
        let text = self.run(text);
        match self.settle(text)? {
            None => Ok(Datum::Bool(false)),
            Some(Datum::Text(text)) => {
                self.spend(text.len() / 8)?;
                Ok(Datum::Bool(holds(&text)))
            }
            Some(other) => Err(wrong("text", &other)),
        }
    }

    fn each(&mut self, kind: Macro, list: &'a Code, body: &'a Code) -> Outcome<'a> {
        let list = self.run(list);
        let items = match kind {
            Macro::Exists | Macro::All => match self.settle(list)? {
                Some(list) => items(list)?,
                None => return Ok(Datum::Bool(false)),
            },
            Macro::Filter | Macro::Map => items(list?)?,
        };
        let outcome = match kind {
            Macro::Exists => self.any(true, items, body),
            Macro::All => self.any(false, items, body),
            Macro::Filter => self.filter(items, body),
            Macro::Map => self.map(items, body),
        };
        self.item = None;
        outcome
    }

    /// As `decided_by`, over the items of a list.
    fn any(&mut self, deciding: bool, items: Vec<Datum<'a>>, body: &'a Code) -> Outcome<'a> {
        let mut failure = None;
        for item in items {
            self.item = Some(item);
            match self.truth(body) {
                Ok(truth) if truth == deciding => return Ok(Datum::Bool(deciding)),
                Ok(_) => {}
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        failure.map_or(Ok(Datum::Bool(!deciding)), Err)
    }

    fn filter(&mut self, items: Vec<Datum<'a>>, body: &'a Code) -> Outcome<'a> {
        let mut kept = Vec::new();
        for item in items {
            self.item = Some(item.clone());
            if self.truth(body)? {
                kept.push(item);
            }
        }
        Ok(Datum::List(Rc::new(kept)))
    }

    fn map(&mut self, items: Vec<Datum<'a>>, body: &'a Code) -> Outcome<'a> {
        let mut made = Vec::with_capacity(items.len());
        for item in items {
            self.item = Some(item);
            made.push(self.run(body)?);
        }
        Ok(Datum::List(Rc::new(made)))
    }

    fn contains(&mut self, wanted: &Datum<'a>, place: &Datum<'a>) -> Result<bool, EvalError> {
        let length = match (wanted, place) {
            (_, Datum::List(items)) => items.len(),
            (_, Datum::Json(Json::Array(items))) => items.len(),
            (Datum::Text(key), Datum::Json(Json::Object(map))) => return Ok(map.get(&**key).is_some_and(|value| !value.is_null())),
            (_, Datum::Json(Json::Object(_))) => return Err(wrong("text", wanted)),
            (_, other) => return Err(wrong("a list or a map", other)),
        };
        within(length)?;
        for at in 0..length {
            if let Some(item) = item_at(place, at)
                && self.equal(wanted, &item)?
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Values of different types are never equal, except whole numbers and fractions, and text that tells a duration.
    fn equal(&mut self, left: &Datum<'a>, right: &Datum<'a>) -> Result<bool, EvalError> {
        self.spend(1)?;
        match (left, right) {
            (Datum::Bool(left), Datum::Bool(right)) => Ok(left == right),
            (Datum::Int(left), Datum::Int(right)) | (Datum::Duration(left), Datum::Duration(right)) => Ok(left == right),
            (Datum::Text(left), Datum::Text(right)) => {
                self.spend(left.len().min(right.len()) / 64)?;
                Ok(left == right)
            }
            (Datum::Duration(ms), Datum::Text(text)) | (Datum::Text(text), Datum::Duration(ms)) => Ok(written_duration(text) == Some(*ms)),
            (Datum::Json(Json::Object(left)), Datum::Json(Json::Object(right))) => self.equal_maps(left, right),
            _ => match (number(left), number(right)) {
                (Ok(left), Ok(right)) => Ok(left == right),
                _ => self.equal_lists(left, right),
            },
        }
    }

    fn equal_lists(&mut self, left: &Datum<'a>, right: &Datum<'a>) -> Result<bool, EvalError> {
        let (Some(length), Some(other)) = (length(left), length(right)) else { return Ok(false) };
        if length != other {
            return Ok(false);
        }
        for at in 0..length {
            let same = match (item_at(left, at), item_at(right, at)) {
                (Some(left), Some(right)) => self.equal(&left, &right)?,
                (left, right) => left.is_none() && right.is_none(),
            };
            if !same {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn equal_maps(&mut self, left: &'a Map<String, Json>, right: &'a Map<String, Json>) -> Result<bool, EvalError> {
        if left.len() != right.len() {
            return Ok(false);
        }
        for (key, value) in left {
            let same = match (datum(value), right.get(key).map(datum)) {
                (Some(left), Some(Some(right))) => self.equal(&left, &right)?,
                (None, Some(None)) => true,
                _ => false,
            };
            if !same {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn order(&mut self, left: &Datum<'a>, right: &Datum<'a>) -> Result<Ordering, EvalError> {
        match (left, right) {
            (Datum::Int(left), Datum::Int(right)) | (Datum::Duration(left), Datum::Duration(right)) => Ok(left.cmp(right)),
            (Datum::Text(left), Datum::Text(right)) => {
                self.spend(left.len().min(right.len()) / 64)?;
                Ok(left.cmp(right))
            }
            (Datum::Duration(left), Datum::Text(right)) => Ok(left.cmp(&read_duration(right)?)),
            (Datum::Text(left), Datum::Duration(right)) => Ok(read_duration(left)?.cmp(right)),
            (Datum::Duration(_) | Datum::Text(_), other) => Err(wrong(left.kind(), other)),
            // No number here is NaN, so every two of them have an order; zero has no sign in it, unlike in `total_cmp`.
            (left, right) => number(left)?.partial_cmp(&number(right)?).ok_or(EvalError::Overflow),
        }
    }

    /// Notes an absent name, which makes the comparison around it false: `None`.
    fn settle<T>(&mut self, outcome: Result<T, EvalError>) -> Result<Option<T>, EvalError> {
        match outcome {
            Ok(value) => Ok(Some(value)),
            Err(EvalError::Missing(name)) => {
                if !self.missing.contains(&name) {
                    self.missing.push(name);
                }
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Takes work for what a result costs to copy: `many.map(x, many)` is quickly said, and large.
    fn weigh(&mut self, value: &Datum<'a>) -> Result<(), EvalError> {
        self.spend(1)?;
        match value {
            Datum::Text(text) => self.spend(text.len() / 8),
            Datum::List(items) => items.iter().try_for_each(|item| self.weigh(item)),
            Datum::Json(Json::Array(items)) => items.iter().filter_map(datum).try_for_each(|item| self.weigh(&item)),
            Datum::Json(Json::Object(map)) => map.values().filter_map(datum).try_for_each(|item| self.weigh(&item)),
            _ => Ok(()),
        }
    }

    fn spend(&mut self, steps: usize) -> Result<(), EvalError> {
        self.work += steps;
        if self.work > MAX_WORK { Err(EvalError::TooMuch("this takes too long over so much data")) } else { Ok(()) }
    }
}
