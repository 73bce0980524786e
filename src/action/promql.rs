//! As much of PromQL as tells a filter from a number: whether the outermost part of an expression is a comparison. Asks nobody.

/// A piece of an expression at one depth of brackets.
#[derive(Debug)]
enum Token {
    Word(String),
    /// `==`, `!=`, `<`, `<=`, `>` or `>=`.
    Comparison,
    /// What stands in round brackets.
    Group(String),
    Other,
}

/// Whether an answer is kept or dropped by a comparison, so that any answer, zero too, means yes.
/// With `bool` a comparison answers 0 or 1 instead and filters nothing.
pub fn filters(query: &str) -> bool {
    let tokens = tokens(query);
    let set_operator =
        |token: &Token| matches!(token, Token::Word(word) if ["and", "or", "unless"].contains(&word.to_ascii_lowercase().as_str()));
    tokens.split(set_operator).any(part_filters)
}

fn part_filters(tokens: &[Token]) -> bool {
    if tokens.iter().any(|token| matches!(token, Token::Comparison)) {
        return !tokens.iter().any(|token| matches!(token, Token::Word(word) if word.eq_ignore_ascii_case("bool")));
    }
    // `(x < 1)` is what it holds, also behind `on (…)`; `sum(x < 1)` is a number again.
    match tokens {
        [Token::Group(inside)] | [.., Token::Group(_), Token::Group(inside)] => filters(inside),
        _ => false,
    }
}

fn tokens(query: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = query.trim_start();
    while let Some(first) = rest.chars().next() {
        let (token, length) = match first {
            '"' | '\'' | '`' => (Token::Other, quoted(rest)),
            '(' => {
                let length = bracketed(rest);
                (Token::Group(rest[1..length].strip_suffix(')').unwrap_or(&rest[1..length]).to_owned()), length)
            }
            '{' | '[' => (Token::Other, bracketed(rest)),
            '=' | '!' | '<' | '>' => (Token::Comparison, if rest[1..].starts_with('=') { 2 } else { 1 }),
            '#' => (Token::Other, rest.find('\n').unwrap_or(rest.len())),
            c if is_word(c) => {
                let length = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
                (Token::Word(rest[..length].to_owned()), length)
            }
            c => (Token::Other, c.len_utf8()),
        };
        tokens.push(token);
        rest = rest[length..].trim_start();
    }
    tokens
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == ':'
}

/// The length of the bracket that `text` begins with, its end included; all of `text` when it is never closed.
fn bracketed(text: &str) -> usize {
    let (mut depth, mut at) = (0usize, 0);
    while let Some(c) = text[at..].chars().next() {
        at += match c {
            '"' | '\'' | '`' => quoted(&text[at..]),
            c => c.len_utf8(),
        };
        match c {
            '(' | '{' | '[' => depth += 1,
            ')' | '}' | ']' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    at
}

/// The length of the quoted text that `text` begins with, its quotes included.
fn quoted(text: &str) -> usize {
    let quote = text.chars().next();
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        if !escaped && Some(c) == quote {
            return at + c.len_utf8();
        }
        escaped = !escaped && c == '\\' && quote != Some('`');
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comparisons_filter() {
        for query in [
            r#"pg_up{service="orders"} == 1"#,
            "sum(rate(errors[5m])) < 0.01",
            "(a > 1)",
            "((a >= 1))",
            "a and on (x) (b < 1)",
            "(a < 1) and (b < 1)",
            "a > 1 unless b",
            "a{b=\"(\"} != 2",
        ] {
            assert!(filters(query), "{query}");
        }
    }

    #[test]
    fn numbers_do_not() {
        for query in [
            "up",
            r#"up{a!="b",c=~"x > 1"}"#,
            "sum(x > 1)",
            "x == bool 1",
            "a or b",
            "vector(1)",
            "rate(x[5m:1m] offset 1m)",
            "",
            "a{",
            "(",
            ")",
            "'",
        ] {
            assert!(!filters(query), "{query}");
        }
    }
}
