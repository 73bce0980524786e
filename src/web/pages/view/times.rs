//! Instants and spans as a page shows them, in the reader's zone. Knows no clock: a lens carries the moment of looking.

use chrono::Datelike;
use chrono_tz::Tz;
use serde::Serialize;

use crate::domain::time::{Span, Timestamp};

/// When and from where somebody looks.
#[derive(Clone, Copy, Debug)]
pub struct Lens {
    pub now: Timestamp,
    pub zone: Tz,
}

/// An instant: in the reader's zone, with UTC for the pointer and the machine.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Moment {
    pub iso: String,
    pub utc: String,
    pub short: String,
    /// The time of day alone.
    pub clock: String,
    pub day: String,
}

/// A span that grows from `ms` on.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Age {
    pub ms: i64,
    pub text: String,
}

/// A span that shrinks until `at`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Countdown {
    pub ms: i64,
    pub text: String,
    pub at: Moment,
}

impl Lens {
    pub fn moment(&self, at: Timestamp) -> Moment {
        let there = at.to_utc().with_timezone(&self.zone);
        let here = self.now.to_utc().with_timezone(&self.zone);
        let pattern = if there.date_naive() == here.date_naive() {
            "%H:%M:%S"
        } else if there.year() == here.year() {
            "%-d %b %H:%M"
        } else {
            "%-d %b %Y %H:%M"
        };
        Moment {
            iso: at.to_rfc3339(),
            utc: at.to_utc().format("%Y-%m-%d %H:%M:%S UTC").to_string(),
            short: there.format(pattern).to_string(),
            clock: there.format("%H:%M:%S").to_string(),
            day: there.format("%A, %-d %B %Y").to_string(),
        }
    }

    pub fn age(&self, from: Timestamp) -> Age {
        Age { ms: from.0, text: whole_seconds(self.now.since(from)) }
    }

    pub fn countdown(&self, until: Timestamp) -> Countdown {
        let left = until.since(self.now);
        let text = if left == Span::ZERO { "now".to_owned() } else { format!("in {}", whole_seconds(left)) };
        Countdown { ms: until.0, text, at: self.moment(until) }
    }

    /// `14:02` and `13:02Z`, for the header.
    pub fn clocks(&self) -> (String, String) {
        let utc = self.now.to_utc();
        (utc.with_timezone(&self.zone).format("%H:%M %Z").to_string(), utc.format("%H:%MZ").to_string())
    }
}

/// A span without its milliseconds: `4m 12s`.
pub fn whole_seconds(span: Span) -> String {
    Span(span.0 / 1_000 * 1_000).to_string()
}

/// A duration that has ended: `4m 12s`, `1.2s`, `350ms`.
pub fn took(span: Span) -> String {
    match span.0 {
        ms if ms < 1_000 => span.to_string(),
        ms if ms < 10_000 => format!("{}.{}s", ms / 1_000, ms % 1_000 / 100),
        _ => whole_seconds(span),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lens() -> Lens {
        let now = Timestamp::parse_rfc3339("2026-11-24T03:09:14Z").expect("an instant");
        Lens { now, zone: chrono_tz::Europe::Berlin }
    }

    #[test]
    fn an_instant_is_short_today_and_dated_before() {
        let lens = lens();
        assert_eq!(lens.moment(lens.now).short, "04:09:14");
        assert_eq!(lens.moment(lens.now - Span::hours(24)).short, "23 Nov 04:09");
        assert_eq!(lens.moment(Timestamp(0)).short, "1 Jan 1970 01:00");
        assert_eq!(lens.moment(lens.now).utc, "2026-11-24 03:09:14 UTC");
    }

    #[test]
    fn a_countdown_that_ran_out_says_now() {
        let lens = lens();
        assert_eq!(lens.countdown(lens.now + Span(161_900)).text, "in 2m 41s");
        assert_eq!(lens.countdown(lens.now - Span(5)).text, "now");
        assert_eq!(took(Span(1_204)), "1.2s");
    }
}
