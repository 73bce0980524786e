//! Labels and Alertmanager's matchers over them (`alertname="X"`, `severity=~"critical|warning"`).
//! A missing label counts as the empty text, as in Alertmanager.

use std::collections::BTreeMap;
use std::str::FromStr;

use regex::Regex;

/// Label names to values.
pub type Labels = BTreeMap<String, String>;

/// One condition on one label.
#[derive(Clone, Debug)]
pub struct Matcher {
    name: String,
    test: Test,
}

#[derive(Clone, Debug)]
enum Test {
    Equal(String),
    NotEqual(String),
    Match(Regex),
    NoMatch(Regex),
}

impl Matcher {
    pub fn matches(&self, labels: &Labels) -> bool {
        let value = labels.get(&self.name).map_or("", String::as_str);
        match &self.test {
            Test::Equal(text) => value == text,
            Test::NotEqual(text) => value != text,
            Test::Match(pattern) => pattern.is_match(value),
            Test::NoMatch(pattern) => !pattern.is_match(value),
        }
    }

    /// Whether it leaves most things out: the label must be there, and with a value of its own. Prometheus asks as much of a selector.
    pub fn is_selective(&self) -> bool {
        match &self.test {
            Test::Equal(text) => !text.is_empty(),
            // What nobody calls anything.
            Test::Match(pattern) => !pattern.is_match("") && !pattern.is_match("\u{1F98A}"),
            Test::NotEqual(_) | Test::NoMatch(_) => false,
        }
    }

    pub fn name(&self) -> &str {
        &self.name
    }
}

impl FromStr for Matcher {
    type Err = String;

    /// Reads `name="value"`, with `=`, `!=`, `=~` or `!~`; the quotes may be left out.
    fn from_str(text: &str) -> Result<Self, String> {
        let fault = |why: &str| format!("\"{text}\" is not a matcher: {why}; write for example severity=~\"critical|warning\"");
        let at = text.find(['=', '!']).ok_or_else(|| fault("it has no =, !=, =~ or !~"))?;
        let name = text[..at].trim().trim_matches('"').to_owned();
        if name.is_empty() {
            return Err(fault("the label's name is missing"));
        }
        let operator =
            ["=~", "!~", "!=", "="].into_iter().find(|op| text[at..].starts_with(op)).ok_or_else(|| fault("the operator is broken"))?;
        let value = unquote(text[at + operator.len()..].trim()).ok_or_else(|| fault("the value's quotes do not match"))?;
        let pattern =
            || regex::RegexBuilder::new(&format!("^(?:{value})$")).size_limit(1 << 20).build().map_err(|error| fault(&error.to_string()));
        let test = match operator {
            "=" => Test::Equal(value),
            "!=" => Test::NotEqual(value),
            "=~" => Test::Match(pattern()?),
            _ => Test::NoMatch(pattern()?),
        };
        Ok(Self { name, test })
    }
}

fn unquote(text: &str) -> Option<String> {
    let Some(inner) = text.strip_prefix('"') else {
        return (!text.contains('"')).then(|| text.to_owned());
    };
    let inner = inner.strip_suffix('"')?;
    let mut value = String::new();
    let mut letters = inner.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => value.push(match letters.next()? {
                'n' => '\n',
                other => other,
            }),
            '"' => return None,
            other => value.push(other),
        }
    }
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matchers_follow_alertmanager() {
        let labels = Labels::from([("alertname".to_owned(), "X".to_owned()), ("severity".to_owned(), "critical".to_owned())]);
        for (text, holds) in [
            ("alertname=\"X\"", true),
            ("alertname = X", true),
            ("alertname!=\"X\"", false),
            ("severity=~\"critical|warning\"", true),
            ("severity=~\"crit\"", false),
            ("severity!~\"warn.*\"", true),
            ("team=\"\"", true),
        ] {
            assert_eq!(text.parse::<Matcher>().map(|m| m.matches(&labels)), Ok(holds), "{text}");
        }
        for text in ["", "alertname", "=x", "a=\"x", "a=~\"(\""] {
            assert!(text.parse::<Matcher>().is_err(), "{text}");
        }
    }
}
