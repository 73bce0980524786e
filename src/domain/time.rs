//! Instants and spans: UTC milliseconds, and lengths of time as people write them (`5m`, `1h30m`).
//! Knows no clock; "now" is always handed in.

use std::fmt;
use std::ops::{Add, Sub};
use std::str::FromStr;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An instant, in milliseconds since 1970-01-01T00:00:00Z. Stored and logged as the integer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// The instant as a calendar time; far outside the calendar it is held at the calendar's end.
    pub fn to_utc(self) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(self.0).unwrap_or(if self.0 < 0 { DateTime::<Utc>::MIN_UTC } else { DateTime::<Utc>::MAX_UTC })
    }

    /// RFC 3339, UTC, with milliseconds: `2026-11-24T03:12:00.000Z`.
    pub fn to_rfc3339(self) -> String {
        self.to_utc().to_rfc3339_opts(SecondsFormat::Millis, true)
    }

    /// Reads RFC 3339 with any offset.
    pub fn parse_rfc3339(text: &str) -> Option<Self> {
        DateTime::parse_from_rfc3339(text).ok().map(|at| Self(at.timestamp_millis()))
    }

    /// How long after `earlier` this is; zero when it is before.
    pub fn since(self, earlier: Self) -> Span {
        Span(self.0.saturating_sub(earlier.0).max(0).unsigned_abs())
    }
}

impl Add<Span> for Timestamp {
    type Output = Self;
    fn add(self, span: Span) -> Self {
        Self(self.0.saturating_add(i64::try_from(span.0).unwrap_or(i64::MAX)))
    }
}

impl Sub<Span> for Timestamp {
    type Output = Self;
    fn sub(self, span: Span) -> Self {
        Self(self.0.saturating_sub(i64::try_from(span.0).unwrap_or(i64::MAX)))
    }
}

impl From<DateTime<Utc>> for Timestamp {
    fn from(at: DateTime<Utc>) -> Self {
        Self(at.timestamp_millis())
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_rfc3339())
    }
}

/// A length of time in milliseconds. In YAML, JSON and the log it is text: `90s`, `5m`, `1h30m`, `2d`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span(pub u64);

const UNITS: [(&str, u64); 6] = [("w", 604_800_000), ("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

impl Span {
    pub const ZERO: Self = Self(0);

    pub const fn seconds(n: u64) -> Self {
        Self(n * 1_000)
    }

    pub const fn minutes(n: u64) -> Self {
        Self(n * 60_000)
    }

    pub const fn hours(n: u64) -> Self {
        Self(n * 3_600_000)
    }

    pub const fn as_millis(self) -> u64 {
        self.0
    }

    pub const fn to_std(self) -> std::time::Duration {
        std::time::Duration::from_millis(self.0)
    }

    /// The span `n` times over, held at the largest there is.
    pub const fn times(self, n: u64) -> Self {
        Self(self.0.saturating_mul(n))
    }
}

impl fmt::Display for Span {
    /// The two largest units: `4m 12s`, `2h`, `350ms`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 {
            return f.write_str("0s");
        }
        let mut rest = self.0;
        let mut parts = Vec::new();
        for (unit, size) in UNITS.iter().filter(|(unit, _)| *unit != "w") {
            let n = rest / size;
            rest %= size;
            if n > 0 {
                parts.push(format!("{n}{unit}"));
            } else if !parts.is_empty() {
                break;
            }
            if parts.len() == 2 {
                break;
            }
        }
        f.write_str(&parts.join(" "))
    }
}

/// What is wrong with a written span.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not a length of time; write for example 90s, 5m, 1h30m or 2d")]
pub struct SpanError(pub String);

impl FromStr for Span {
    type Err = SpanError;

    fn from_str(text: &str) -> Result<Self, SpanError> {
        let fault = || SpanError(text.to_owned());
        let mut rest = text.trim();
        if rest == "0" {
            return Ok(Self::ZERO);
        }
        let mut total = 0u64;
        while !rest.is_empty() {
            let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(fault)?;
            let n: u64 = rest[..digits].parse().map_err(|_| fault())?;
            rest = &rest[digits..];
            let letters = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
            let (_, size) = UNITS.iter().find(|(unit, _)| *unit == &rest[..letters]).ok_or_else(fault)?;
            total = n.checked_mul(*size).and_then(|ms| total.checked_add(ms)).ok_or_else(fault)?;
            rest = rest[letters..].trim_start();
        }
        if text.trim().is_empty() { Err(fault()) } else { Ok(Self(total)) }
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{}ms", self.0))
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_read_as_people_write_them() {
        for (text, ms) in
            [("90s", 90_000), ("5m", 300_000), ("1h30m", 5_400_000), ("1h 30m", 5_400_000), ("250ms", 250), ("0", 0), ("2d", 172_800_000)]
        {
            assert_eq!(text.parse(), Ok(Span(ms)), "{text}");
        }
        for text in ["", "5", "m", "5x", "-5m", "99999999999999999999d"] {
            assert!(text.parse::<Span>().is_err(), "{text}");
        }
    }

    #[test]
    fn spans_show_their_two_largest_units() {
        for (ms, text) in [(252_000, "4m 12s"), (7_200_000, "2h"), (350, "350ms"), (0, "0s"), (3_600_001, "1h"), (90_061_000, "1d 1h")] {
            assert_eq!(Span(ms).to_string(), text);
        }
    }

    #[test]
    fn year_one_and_year_9999_are_instants_too() {
        let first = Timestamp::parse_rfc3339("0001-01-01T00:00:00Z").map(Timestamp::to_rfc3339);
        assert_eq!(first.as_deref(), Some("0001-01-01T00:00:00.000Z"));
        assert!(Timestamp::parse_rfc3339("9999-12-31T23:59:59Z").is_some());
    }
}
