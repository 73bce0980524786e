//! One field of a cron expression, read into the set of numbers it stands for. Knows no calendar and no other field.

use std::ops::RangeInclusive;

/// Which of the five fields is being read, and what may stand in it.
#[derive(Debug)]
pub struct Kind {
    name: &'static str,
    low: u32,
    high: u32,
    /// Names that may stand for numbers, the first for `low`.
    names: &'static [&'static str],
}

/// 0 to 59.
pub const MINUTE: Kind = Kind { name: "minute", low: 0, high: 59, names: &[] };
/// 0 to 23.
pub const HOUR: Kind = Kind { name: "hour", low: 0, high: 23, names: &[] };
/// 1 to 31.
pub const DAY_OF_MONTH: Kind = Kind { name: "day of month", low: 1, high: 31, names: &[] };
/// 1 to 12, or JAN to DEC.
pub const MONTH: Kind =
    Kind { name: "month", low: 1, high: 12, names: &["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"] };
/// 0 to 7, or SUN to SAT; Sunday is 0 and may be written 7 as well.
pub const DAY_OF_WEEK: Kind = Kind { name: "day of week", low: 0, high: 7, names: &["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"] };

/// The numbers a field stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// Bit n is set when n belongs; no field has a number above 59.
    bits: u64,
    starred: bool,
}

/// What is wrong with a field, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field} \"{item}\": {hint}")]
pub struct FieldError {
    field: &'static str,
    item: String,
    hint: String,
}

impl Field {
    /// Reads `*`, numbers, names, ranges, lists and steps.
    pub fn parse(kind: &Kind, text: &str) -> Result<Self, FieldError> {
        let mut bits = 0;
        for item in text.split(',') {
            bits |= kind.item(item).map_err(|hint| FieldError { field: kind.name, item: item.to_owned(), hint })?;
        }
        if kind.is_week() && bits & (1 << 7) != 0 {
            bits = bits & !(1 << 7) | 1;
        }
        Ok(Self { bits, starred: text.starts_with('*') })
    }

    /// Whether the field restricts nothing in the eyes of standard cron: it opens with a star, even with a step behind.
    pub fn is_starred(self) -> bool {
        self.starred
    }

    /// Whether `n` is one of its numbers.
    pub fn contains(self, n: u32) -> bool {
        n < u64::BITS && self.bits & (1 << n) != 0
    }

    /// How many numbers the field stands for.
    pub fn count(self) -> u32 {
        self.bits.count_ones()
    }

    /// How many of its numbers are smaller than `n`.
    pub fn count_below(self, n: u32) -> u32 {
        (self.bits & ((1 << n) - 1)).count_ones()
    }

    /// The numbers, ascending.
    pub fn numbers(self) -> impl Iterator<Item = u32> {
        (0..u64::BITS).filter(move |n| self.contains(*n))
    }
}

impl Kind {
    fn item(&self, text: &str) -> Result<u64, String> {
        let (span, step) = match text.split_once('/') {
            Some((span, step)) => (self.span(span)?, self.step(span, step)?),
            None => (self.span(text)?, 1),
        };
        Ok(span.step_by(step).fold(0, |bits, n| bits | 1 << n))
    }

    fn span(&self, text: &str) -> Result<RangeInclusive<u32>, String> {
        if text == "*" {
            return Ok(self.low..=self.high);
        }
        let Some((first, last)) = text.split_once('-') else {
            return self.number(text).map(|n| n..=n);
        };
        let (from, to) = (self.number(first)?, self.number(last)?);
        // FRI-SUN is meant as it is said, though Sunday is 0.
        let to = if self.is_week() && to == 0 && from > 0 { 7 } else { to };
        if from > to {
            return Err(format!("the range runs backwards; write {first}-{},{}-{last}", self.high, self.low));
        }
        Ok(from..=to)
    }

    fn step(&self, span: &str, step: &str) -> Result<usize, String> {
        if span != "*" && !span.contains('-') {
            return Err(format!("a step needs a range; write {span}-{}/{step}", self.high));
        }
        match step.parse::<usize>() {
            Ok(n) if (1..=self.high as usize).contains(&n) => Ok(n),
            _ => Err(format!("a step is a number from 1 to {}; write for example */2", self.high)),
        }
    }

    fn number(&self, text: &str) -> Result<u32, String> {
        let named = self.names.iter().position(|name| name.eq_ignore_ascii_case(text)).and_then(|at| u32::try_from(at).ok());
        // `parse` alone would let a sign pass.
        let plain = || text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten();
        named.map(|at| self.low + at).or_else(plain).filter(|n| (self.low..=self.high).contains(n)).ok_or_else(|| self.allowed())
    }

    fn allowed(&self) -> String {
        let names = match (self.names.first(), self.names.last()) {
            (Some(first), Some(last)) => format!(" or a name from {first} to {last}"),
            _ => String::new(),
        };
        format!("write a number from {} to {}{names}, a range (a-b), a list (a,b), a step (*/n) or *", self.low, self.high)
    }

    fn is_week(&self) -> bool {
        self.high == 7
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(kind: &Kind, text: &str) -> Vec<u32> {
        Field::parse(kind, text).expect(text).numbers().collect()
    }

    #[test]
    fn fields_read_as_standard_cron_reads_them() {
        assert_eq!(read(&MINUTE, "*/20"), [0, 20, 40]);
        assert_eq!(read(&MINUTE, "5,50-52,10-30/10"), [5, 10, 20, 30, 50, 51, 52]);
        assert_eq!(read(&HOUR, "*").len(), 24);
        assert_eq!(read(&MONTH, "jan,Mar-MAY"), [1, 3, 4, 5]);
        assert_eq!(read(&DAY_OF_WEEK, "MON-FRI"), [1, 2, 3, 4, 5]);
        assert_eq!(read(&DAY_OF_WEEK, "*"), [0, 1, 2, 3, 4, 5, 6]);
    }

    #[test]
    fn sunday_is_0_and_7_and_may_end_a_range() {
        assert_eq!(read(&DAY_OF_WEEK, "7"), [0]);
        assert_eq!(read(&DAY_OF_WEEK, "0"), [0]);
        assert_eq!(read(&DAY_OF_WEEK, "5-7"), [0, 5, 6]);
        assert_eq!(read(&DAY_OF_WEEK, "FRI-SUN"), [0, 5, 6]);
        assert_eq!(read(&DAY_OF_WEEK, "SUN-TUE"), [0, 1, 2]);
    }

    #[test]
    fn faults_say_what_to_write() {
        for (kind, text, hint) in [
            (&HOUR, "24", "from 0 to 23"),
            (&HOUR, "+1", "from 0 to 23"),
            (&HOUR, "", "from 0 to 23"),
            (&HOUR, "1,,2", "from 0 to 23"),
            (&DAY_OF_MONTH, "0", "from 1 to 31"),
            (&DAY_OF_MONTH, "L", "from 1 to 31"),
            (&DAY_OF_WEEK, "MON#1", "SUN to SAT"),
            (&DAY_OF_WEEK, "FRI-TUE", "write FRI-7,0-TUE"),
            (&HOUR, "22-6", "write 22-23,0-6"),
            (&MINUTE, "5/15", "write 5-59/15"),
            (&MINUTE, "*/0", "from 1 to 59"),
            (&MINUTE, "*/90", "from 1 to 59"),
            (&MINUTE, "1-2-3", "from 0 to 59"),
        ] {
            let fault = Field::parse(kind, text).expect_err(text).to_string();
            assert!(fault.contains(hint) && fault.starts_with(kind.name), "{text}: {fault}");
        }
    }
}
