//! What is wrong with a written expression, and where. Knows nothing of the file the text stands in.

use std::fmt;
use std::ops::Range;

/// One mistake in a text, found before it ever runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The bytes of the source text that are meant; always on character boundaries.
    pub span: Range<usize>,
    /// What is wrong, in a short sentence without a full stop.
    pub message: String,
    /// What to write instead, for example `did you mean "priority"?`.
    pub hint: Option<String>,
}

impl Fault {
    /// A fault without advice.
    pub fn new(span: Range<usize>, message: impl Into<String>) -> Self {
        Self { span, message: message.into(), hint: None }
    }

    /// The same fault with advice.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same fault with `did you mean …?` when one of the known words is close to the written one.
    pub fn did_you_mean<'a>(self, written: &str, known: impl IntoIterator<Item = &'a str>) -> Self {
        match closest(written, known) {
            Some(word) => self.hint(format!("did you mean \"{word}\"?")),
            None => self,
        }
    }

    /// The same fault in a text that begins `offset` bytes earlier.
    pub fn moved(mut self, offset: usize) -> Self {
        self.span = self.span.start + offset..self.span.end + offset;
        self
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.hint {
            Some(hint) => write!(f, "; {hint}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Fault {}

fn closest<'a>(written: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let allowed = (written.chars().count() / 3).clamp(1, 3);
    let near = known.into_iter().map(|word| (distance(&written.to_lowercase(), &word.to_lowercase()), word));
    near.filter(|(away, _)| *away <= allowed).min_by_key(|(away, _)| *away).map(|(_, word)| word)
}

/// How many letters have to be changed, added, left out or swapped with a neighbour to come from one word to the other.
fn distance(from: &str, to: &str) -> usize {
    let (from, to): (Vec<char>, Vec<char>) = (from.chars().collect(), to.chars().collect());
    let mut rows = vec![(0..=to.len()).collect::<Vec<usize>>()];
    for i in 1..=from.len() {
        let mut row = vec![i];
        for j in 1..=to.len() {
            let change = rows[i - 1][j - 1] + usize::from(from[i - 1] != to[j - 1]);
            let swapped = i > 1 && j > 1 && from[i - 1] == to[j - 2] && from[i - 2] == to[j - 1];
            let swap = if swapped { rows[i - 2][j - 2] + 1 } else { usize::MAX };
            row.push(change.min(swap).min(rows[i - 1][j] + 1).min(row[j - 1] + 1));
        }
        rows.push(row);
    }
    rows[from.len()][to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_is_recognised() {
        for (written, meant) in
            [("prioritiy", Some("priority")), ("incidnet", Some("incident")), ("labls", Some("labels")), ("zebra", None)]
        {
            assert_eq!(closest(written, ["incident", "labels", "priority"]), meant, "{written}");
        }
    }
}
