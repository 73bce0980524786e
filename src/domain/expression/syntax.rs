//! Tokens into a tree of bounded size and depth. Knows nothing of names, types or values.

use std::ops::Range;

use crate::domain::expression::fault::Fault;
use crate::domain::expression::lexer::{Placed, Token, tokens};

/// How deep a tree may be, and how many parentheses may stand in each other. Everything that walks a tree recurs
/// at most this deep, which is what keeps every stack safe.
pub(super) const MAX_DEPTH: usize = 32;
const MAX_NODES: usize = 200;

/// Words that CEL keeps for itself; they may be fields (`labels.namespace`) but not variables.
const RESERVED: [&str; 17] = [
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "let",
    "loop",
    "namespace",
    "package",
    "return",
    "var",
    "void",
    "while",
];
const KEYWORDS: [&str; 4] = ["true", "false", "null", "in"];

/// One part of an expression and the bytes it came from.
#[derive(Debug)]
pub(super) struct Node {
    pub span: Range<usize>,
    pub kind: Kind,
    depth: usize,
}

/// What a part is.
#[derive(Debug)]
pub(super) enum Kind {
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    /// Milliseconds.
    Duration(i64),
    List(Vec<Node>),
    Name(String),
    Field(Box<Node>, Word),
    Index(Box<Node>, Box<Node>),
    Not(Box<Node>),
    Negate(Box<Node>),
    /// `a && b && c` is one node, so that a long chain is not a deep tree; so is a chain of `||`.
    And(Vec<Node>),
    Or(Vec<Node>),
    Binary(Operator, Box<Node>, Box<Node>),
    If(Box<[Node; 3]>),
    Call {
        target: Option<Box<Node>>,
        function: Word,
        arguments: Vec<Node>,
    },
}

/// A field's or function's name and its place.
#[derive(Clone, Debug)]
pub(super) struct Word {
    pub text: String,
    pub span: Range<usize>,
}

/// What stands between two operands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operator {
    Or,
    And,
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    In,
    Add,
    Subtract,
    Multiply,
    Divide,
}

/// Reads a whole source text.
pub(super) fn parse(source: &str) -> Result<Node, Fault> {
    let mut parser = Parser { tokens: tokens(source)?, at: 0, depth: 0, nodes: 0 };
    let node = parser.expression()?;
    match parser.peek() {
        Token::End => Ok(node),
        _ => Err(parser.unexpected("the end")),
    }
}

impl Node {
    /// The text, when the node is a literal text.
    pub fn literal_text(&self) -> Option<&str> {
        match &self.kind {
            Kind::Text(text) => Some(text),
            _ => None,
        }
    }
}

impl Operator {
    fn of(token: &Token) -> Option<Self> {
        Some(match token {
            Token::Sign("||") => Self::Or,
            Token::Sign("&&") => Self::And,
            Token::Sign("==") => Self::Equal,
            Token::Sign("!=") => Self::NotEqual,
            Token::Sign("<") => Self::Less,
            Token::Sign("<=") => Self::LessOrEqual,
            Token::Sign(">") => Self::Greater,
            Token::Sign(">=") => Self::GreaterOrEqual,
            Token::Name(name) if name == "in" => Self::In,
            Token::Sign("+") => Self::Add,
            Token::Sign("-") => Self::Subtract,
            Token::Sign("*") => Self::Multiply,
            Token::Sign("/") => Self::Divide,
            _ => return None,
        })
    }

    /// How tightly it binds; all of one level lean to the left.
    fn level(self) -> u8 {
        match self {
            Self::Or => 1,
            Self::And => 2,
            Self::Equal | Self::NotEqual | Self::Less | Self::LessOrEqual | Self::Greater | Self::GreaterOrEqual | Self::In => 3,
            Self::Add | Self::Subtract => 4,
            Self::Multiply | Self::Divide => 5,
        }
    }
}

struct Parser {
    tokens: Vec<Placed>,
    at: usize,
    depth: usize,
    nodes: usize,
}

impl Parser {
    fn expression(&mut self) -> Result<Node, Fault> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(too_deep(self.span()));
        }
        let node = self.conditional();
        self.depth -= 1;
        node
    }

    fn conditional(&mut self) -> Result<Node, Fault> {
        let condition = self.binary(1)?;
        if !self.eat("?") {
            return Ok(condition);
        }
        let then = self.binary(1)?;
        self.expect(":")?;
        let otherwise = self.expression()?;
        let span = condition.span.start..otherwise.span.end;
        let depth = condition.depth.max(then.depth).max(otherwise.depth);
        self.node(span, Kind::If(Box::new([condition, then, otherwise])), depth)
    }

    fn binary(&mut self, level: u8) -> Result<Node, Fault> {
        let mut left = self.unary()?;
        while let Some(operator) = Operator::of(self.peek()).filter(|operator| operator.level() >= level) {
            self.at += 1;
            let right = self.binary(operator.level() + 1)?;
            left = self.join(operator, left, right)?;
        }
        Ok(left)
    }

    fn join(&mut self, operator: Operator, left: Node, right: Node) -> Result<Node, Fault> {
        let span = left.span.start..right.span.end;
        let depth = left.depth.max(right.depth);
        match (operator, left) {
            (Operator::And, Node { kind: Kind::And(parts), depth, .. }) => self.lengthen(span, Kind::And, parts, right, depth),
            (Operator::Or, Node { kind: Kind::Or(parts), depth, .. }) => self.lengthen(span, Kind::Or, parts, right, depth),
            (Operator::And, left) => self.node(span, Kind::And(vec![left, right]), depth),
            (Operator::Or, left) => self.node(span, Kind::Or(vec![left, right]), depth),
            (_, left) => self.node(span, Kind::Binary(operator, Box::new(left), Box::new(right)), depth),
        }
    }

    fn lengthen(
        &mut self,
        span: Range<usize>,
        kind: fn(Vec<Node>) -> Kind,
        mut parts: Vec<Node>,
        last: Node,
        depth: usize,
    ) -> Result<Node, Fault> {
        let depth = depth.saturating_sub(1).max(last.depth);
        parts.push(last);
        self.node(span, kind(parts), depth)
    }

    /// CEL allows `!!x` and `--x` but no mixture.
    fn unary(&mut self) -> Result<Node, Fault> {
        let sign = match self.peek() {
            Token::Sign(sign @ ("!" | "-")) => *sign,
            _ => return self.member(),
        };
        let mut starts = Vec::new();
        while self.peek() == &Token::Sign(sign) {
            starts.push(self.span().start);
            self.at += 1;
        }
        // The last minus belongs to the literal: the smallest whole number has no positive twin.
        let number = sign == "-" && matches!(self.peek(), Token::Int(_) | Token::Float(_));
        let mut node = match number.then(|| starts.pop()).flatten() {
            Some(start) => self.negative_number(start)?,
            None => self.member()?,
        };
        for start in starts.into_iter().rev() {
            let (span, depth) = (start..node.span.end, node.depth);
            let kind = if sign == "!" { Kind::Not } else { Kind::Negate };
            node = self.node(span, kind(Box::new(node)), depth)?;
        }
        Ok(node)
    }

    fn negative_number(&mut self, start: usize) -> Result<Node, Fault> {
        let (token, end) = (self.peek().clone(), self.span().end);
        self.at += 1;
        let kind = match token {
            Token::Float(float) => Kind::Float(-float),
            Token::Int(int) => Kind::Int(0i64.checked_sub_unsigned(int).ok_or_else(|| too_large(start..end))?),
            _ => return Err(self.unexpected("a number")),
        };
        self.node(start..end, kind, 0)
    }

    fn member(&mut self) -> Result<Node, Fault> {
        let mut node = self.primary()?;
        loop {
            if self.eat(".") {
                node = self.select(node)?;
            } else if self.eat("[") {
                let index = self.expression()?;
                let span = node.span.start..self.expect("]")?;
                let depth = node.depth.max(index.depth);
                node = self.node(span, Kind::Index(Box::new(node), Box::new(index)), depth)?;
            } else {
                return Ok(node);
            }
        }
    }

    fn select(&mut self, base: Node) -> Result<Node, Fault> {
        let word = self.field()?;
        if self.eat("(") {
            return self.call(Some(base), word);
        }
        let (span, depth) = (base.span.start..word.span.end, base.depth);
        self.node(span, Kind::Field(Box::new(base), word), depth)
    }

    fn field(&mut self) -> Result<Word, Fault> {
        let Token::Name(text) = self.peek().clone() else { return Err(self.unexpected("a name")) };
        let span = self.span();
        if KEYWORDS.contains(&text.as_str()) {
            return Err(Fault::new(span, format!("\"{text}\" cannot follow a dot")).hint(format!("write [\"{text}\"]")));
        }
        self.at += 1;
        Ok(Word { text, span })
    }

    fn call(&mut self, target: Option<Node>, function: Word) -> Result<Node, Fault> {
        let (arguments, end) = self.list_until(")")?;
        let start = target.as_ref().map_or(function.span.start, |target| target.span.start);
        let depth = deepest(&arguments).max(target.as_ref().map_or(0, |target| target.depth));
        self.node(start..end, Kind::Call { target: target.map(Box::new), function, arguments }, depth)
    }

    fn primary(&mut self) -> Result<Node, Fault> {
        let (token, span) = self.tokens[self.at].clone();
        let kind = match token {
            Token::Sign("(") => return self.parenthesised(),
            Token::Sign("[") => return self.list(),
            Token::Name(name) => return self.name(name),
            Token::Int(int) => Kind::Int(i64::try_from(int).map_err(|_| too_large(span.clone()))?),
            Token::Float(float) => Kind::Float(float),
            Token::Duration(ms) => Kind::Duration(ms),
            Token::Text(text) => Kind::Text(text),
            Token::Sign(_) | Token::End => return Err(self.unexpected("a value")),
        };
        self.at += 1;
        self.node(span, kind, 0)
    }

    fn parenthesised(&mut self) -> Result<Node, Fault> {
        let start = self.span().start;
        self.at += 1;
        let mut node = self.expression()?;
        node.span = start..self.expect(")")?;
        Ok(node)
    }

    fn list(&mut self) -> Result<Node, Fault> {
        let start = self.span().start;
        self.at += 1;
        let (items, end) = self.list_until("]")?;
        let depth = deepest(&items);
        self.node(start..end, Kind::List(items), depth)
    }

    fn name(&mut self, name: String) -> Result<Node, Fault> {
        let span = self.span();
        let kind = match name.as_str() {
            "true" => Kind::Bool(true),
            "false" => Kind::Bool(false),
            "in" => return Err(self.unexpected("a value")),
            "null" => return Err(Fault::new(span, "there is no null").hint("has(a.b) tells whether something is there")),
            word if RESERVED.contains(&word) => return Err(Fault::new(span, format!("\"{word}\" is a reserved word"))),
            _ => Kind::Name(name.clone()),
        };
        self.at += 1;
        match kind {
            Kind::Name(text) if self.eat("(") => self.call(None, Word { text, span }),
            kind => self.node(span, kind, 0),
        }
    }

    fn list_until(&mut self, close: &'static str) -> Result<(Vec<Node>, usize), Fault> {
        let mut items = Vec::new();
        while self.peek() != &Token::Sign(close) {
            items.push(self.expression()?);
            if !self.eat(",") {
                break;
            }
            // CEL ends a list with a comma if one likes, but never a call.
            if close == ")" && self.peek() == &Token::Sign(close) {
                return Err(self.unexpected("a value"));
            }
        }
        Ok((items, self.expect(close)?))
    }

    fn node(&mut self, span: Range<usize>, kind: Kind, depth_below: usize) -> Result<Node, Fault> {
        self.nodes += 1;
        let depth = depth_below + 1;
        if depth > MAX_DEPTH {
            return Err(too_deep(span));
        }
        if self.nodes > MAX_NODES {
            return Err(Fault::new(span, format!("an expression has at most {MAX_NODES} parts")));
        }
        Ok(Node { span, kind, depth })
    }

    fn eat(&mut self, sign: &'static str) -> bool {
        let found = self.peek() == &Token::Sign(sign);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, sign: &'static str) -> Result<usize, Fault> {
        let end = self.span().end;
        if self.eat(sign) { Ok(end) } else { Err(self.unexpected(&format!("\"{sign}\""))) }
    }

    fn unexpected(&self, wanted: &str) -> Fault {
        let span = self.span();
        match self.peek() {
            Token::End => Fault::new(span, format!("the expression ends where {wanted} is needed")),
            Token::Name(name) => {
                let fault = Fault::new(span, format!("found \"{name}\" where {wanted} is needed"));
                match name.as_str() {
                    "and" | "AND" => fault.hint("did you mean \"&&\"?"),
                    "or" | "OR" => fault.hint("did you mean \"||\"?"),
                    _ => fault,
                }
            }
            Token::Sign(sign) => Fault::new(span, format!("found \"{sign}\" where {wanted} is needed")),
            _ => Fault::new(span, format!("found a literal where {wanted} is needed")),
        }
    }

    /// `End` stands last and is never stepped over.
    fn peek(&self) -> &Token {
        &self.tokens[self.at].0
    }

    fn span(&self) -> Range<usize> {
        self.tokens[self.at].1.clone()
    }
}

fn deepest(nodes: &[Node]) -> usize {
    nodes.iter().map(|node| node.depth).max().unwrap_or(0)
}

fn too_deep(span: Range<usize>) -> Fault {
    Fault::new(span, format!("an expression is at most {MAX_DEPTH} levels deep"))
}

fn too_large(span: Range<usize>) -> Fault {
    Fault::new(span, "this number is too large")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_say_where_and_what() {
        for (source, span, message) in [
            ("", 0..0, "the expression ends where a value is needed"),
            ("(1", 2..2, "the expression ends where \")\" is needed"),
            ("1 2", 2..3, "found a literal where the end is needed"),
            ("a and b", 2..5, "found \"and\" where the end is needed"),
            ("a == null", 5..9, "there is no null"),
            ("f(1,)", 4..5, "found \")\" where a value is needed"),
            ("!-1", 1..2, "found \"-\" where a value is needed"),
            ("labels.in", 7..9, "\"in\" cannot follow a dot"),
            ("9223372036854775808", 0..19, "this number is too large"),
        ] {
            let fault = parse(source).unwrap_err();
            assert_eq!((fault.span, fault.message.as_str()), (span, message), "{source}");
        }
    }

    #[test]
    fn the_smallest_number_is_a_number() {
        assert!(matches!(parse("-9223372036854775808").unwrap().kind, Kind::Int(i64::MIN)));
    }

    #[test]
    fn nothing_of_a_kilobyte_can_exhaust_a_small_stack() {
        let hostile = ["(", "!", "-", "[", "a.", "a[", "f(", "a?", "1+", "1-", "1||", "1&&", "1==", "a.f(", "1?2:", "\"", "{"]
            .map(|part| part.repeat(1_024 / part.len()))
            .into_iter()
            .chain(["(1||1&&1==1+1*".repeat(73), "1+".repeat(99) + "1", "true||".repeat(99) + "true"]);
        let parse_all = || hostile.map(|source| drop(parse(&source))).count();
        let thread = std::thread::Builder::new().stack_size(2 << 20).spawn(parse_all);
        assert_eq!(thread.unwrap().join().unwrap(), 20);
    }
}
