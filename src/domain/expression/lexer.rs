//! Text into tokens with their places. Knows nothing of grammar or meaning.

use std::ops::Range;

use crate::domain::expression::fault::Fault;
use crate::domain::time::Span;

/// The longest source text, in bytes.
pub(super) const MAX_SOURCE: usize = 1_024;

/// The smallest part of an expression.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    Name(String),
    /// Without its sign, which belongs to the grammar.
    Int(u64),
    Float(f64),
    /// Milliseconds, from the bare form `5m`.
    Duration(i64),
    Text(String),
    Sign(&'static str),
    End,
}

/// A token and the bytes it came from.
pub(super) type Placed = (Token, Range<usize>);

/// Longer signs first, so that `<=` is not read as `<`.
const SIGNS: [&str; 21] = ["&&", "||", "==", "!=", "<=", ">=", "<", ">", "!", "?", ":", "+", "-", "*", "/", "(", ")", "[", "]", ",", "."];

/// All tokens of the source, the last of them `End`.
pub(super) fn tokens(source: &str) -> Result<Vec<Placed>, Fault> {
    if source.len() > MAX_SOURCE {
        let start = source.floor_char_boundary(MAX_SOURCE);
        return Err(Fault::new(start..source.len(), format!("an expression has at most {MAX_SOURCE} bytes")));
    }
    let mut lexer = Lexer { source, at: 0 };
    let mut tokens = Vec::new();
    loop {
        let placed = lexer.token()?;
        let end = placed.0 == Token::End;
        tokens.push(placed);
        if end {
            return Ok(tokens);
        }
    }
}

/// Reads a length of time as milliseconds; `None` when it is not one or longer than 292 years, where CEL ends as well.
pub(super) fn duration(text: &str) -> Option<i64> {
    let Span(ms) = text.parse().ok()?;
    i64::try_from(ms).ok().filter(|ms| *ms <= i64::MAX / 1_000_000)
}

/// Whether the text can stand as a name.
pub(super) fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') && text.chars().all(is_name_part)
}

struct Lexer<'a> {
    source: &'a str,
    at: usize,
}

impl<'a> Lexer<'a> {
    fn token(&mut self) -> Result<Placed, Fault> {
        self.take_while(|c| matches!(c, ' ' | '\t' | '\r' | '\n' | '\u{c}'));
        let start = self.at;
        let token = match self.peek() {
            None => Token::End,
            Some('r') if self.rest()[1..].starts_with(['"', '\'']) => self.raw_text()?,
            Some('"' | '\'') => self.text()?,
            Some(c) if c.is_ascii_digit() => self.number()?,
            Some(c) if c.is_ascii_alphabetic() || c == '_' => Token::Name(self.take_while(is_name_part).to_owned()),
            Some(c) => self.sign(c)?,
        };
        Ok((token, start..self.at))
    }

    fn raw_text(&mut self) -> Result<Token, Fault> {
        let start = self.at;
        let quote = self.rest()[1..].chars().next().unwrap_or('"');
        self.at += 2;
        let text = self.take_while(|c| c != quote && c != '\n' && c != '\r').to_owned();
        if self.peek() != Some(quote) {
            return Err(Fault::new(start..self.at, "this text has no closing quote"));
        }
        self.at += 1;
        Ok(Token::Text(text))
    }

    fn text(&mut self) -> Result<Token, Fault> {
        let start = self.at;
        let quote = self.next();
        let mut text = String::new();
        loop {
            match self.next() {
                None | Some('\n' | '\r') => return Err(Fault::new(start..self.at, "this text has no closing quote")),
                Some('\\') => text.push(self.escape()?),
                c if c == quote => return Ok(Token::Text(text)),
                Some(c) => text.push(c),
            }
        }
    }

    fn escape(&mut self) -> Result<char, Fault> {
        let start = self.at - 1;
        let escaped = match self.next() {
            Some(c @ ('\\' | '"' | '\'' | '`' | '?')) => Some(c),
            Some('n') => Some('\n'),
            Some('r') => Some('\r'),
            Some('t') => Some('\t'),
            Some('u') => self.code_point(4),
            Some('U') => self.code_point(8),
            _ => None,
        };
        escaped.ok_or_else(|| {
            let fault = Fault::new(start..self.at, "this escape is not known");
            fault.hint("write \\\\ for a backslash, or r\"…\" for a text without escapes")
        })
    }

    fn code_point(&mut self, digits: usize) -> Option<char> {
        let hex = self.rest().get(..digits).filter(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit()))?;
        self.at += digits;
        u32::from_str_radix(hex, 16).ok().and_then(char::from_u32)
    }

    fn number(&mut self) -> Result<Token, Fault> {
        let start = self.at;
        self.digits();
        if self.rest().starts_with('.') && self.rest()[1..].starts_with(|c: char| c.is_ascii_digit()) {
            self.at += 1;
            self.digits();
        }
        self.exponent();
        if self.peek().is_some_and(is_name_part) {
            return self.bare_duration(start);
        }
        let text = &self.source[start..self.at];
        let token = match text.contains(['.', 'e', 'E']) {
            false => text.parse().ok().map(Token::Int),
            true => text.parse().ok().filter(|float: &f64| float.is_finite()).map(Token::Float),
        };
        token.ok_or_else(|| Fault::new(start..self.at, "this number is too large"))
    }

    fn exponent(&mut self) {
        let Some(rest) = self.rest().strip_prefix(['e', 'E']) else { return };
        let digits = rest.strip_prefix(['+', '-']).unwrap_or(rest);
        if digits.starts_with(|c: char| c.is_ascii_digit()) {
            self.at = self.source.len() - digits.len();
            self.digits();
        }
    }

    fn bare_duration(&mut self, start: usize) -> Result<Token, Fault> {
        self.take_while(is_name_part);
        let text = &self.source[start..self.at];
        duration(text).map(Token::Duration).ok_or_else(|| {
            let fault = Fault::new(start..self.at, format!("\"{text}\" is neither a number nor a length of time"));
            fault.hint("a length of time is written 30s, 5m, 1h30m or 2d")
        })
    }

    fn sign(&mut self, c: char) -> Result<Token, Fault> {
        if let Some(sign) = SIGNS.into_iter().find(|sign| self.rest().starts_with(sign)) {
            self.at += sign.len();
            return Ok(Token::Sign(sign));
        }
        let fault = Fault::new(self.at..self.at + c.len_utf8(), format!("{c:?} has no meaning here"));
        Err(match c {
            '=' | '&' | '|' => fault.hint(format!("did you mean \"{c}{c}\"?")),
            _ => fault,
        })
    }

    fn digits(&mut self) {
        self.take_while(|c| c.is_ascii_digit());
    }

    fn take_while(&mut self, wanted: impl Fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        let taken = &rest[..rest.find(|c| !wanted(c)).unwrap_or(rest.len())];
        self.at += taken.len();
        taken
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += c.len_utf8();
        Some(c)
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn rest(&self) -> &'a str {
        &self.source[self.at..]
    }
}

fn is_name_part(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(source: &str) -> Result<Token, Fault> {
        tokens(source).map(|tokens| tokens[0].0.clone())
    }

    #[test]
    fn literals_are_read() {
        for (source, token) in [
            ("12", Token::Int(12)),
            ("1.5", Token::Float(1.5)),
            ("1e3", Token::Float(1000.0)),
            ("5m", Token::Duration(300_000)),
            ("1h30m", Token::Duration(5_400_000)),
            (r#""a\n\u00e9""#, Token::Text("a\né".to_owned())),
            (r"'it\'s'", Token::Text("it's".to_owned())),
            (r#"r"\d+""#, Token::Text(r"\d+".to_owned())),
            ("labels", Token::Name("labels".to_owned())),
            ("r", Token::Name("r".to_owned())),
        ] {
            assert_eq!(one(source), Ok(token), "{source}");
        }
    }

    #[test]
    fn broken_literals_say_where() {
        for (source, span) in [("\"abc", 0..4), ("'é", 0..3), (r#""\d""#, 1..3), ("1e999", 0..5), ("5x", 0..2), ("0x1f", 0..4), ("é", 0..2)]
        {
            assert_eq!(one(source).map_err(|fault| fault.span), Err(span), "{source}");
        }
    }
}
