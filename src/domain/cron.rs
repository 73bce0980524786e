//! Cron expressions, and the instants they fire at in a time zone. Knows not what they are for; nothing else knows the cron crate.
//!
//! An expression speaks of civil time, what a clock on the wall shows. The crate only walks that civil calendar; we read the
//! text ourselves (the crate counts Sunday as 1 and wants seconds) and put civil times into the zone by three rules:
//! a civil time that a clock change leaves out fires at the first instant after the gap, together with whatever else falls
//! there; one that comes twice fires the first time only; so the instants strictly ascend.

use std::fmt;

use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, NaiveTime, Offset, TimeZone, Timelike};
use chrono_tz::{GapInfo, Tz};
use cron::Schedule as Calendar;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::domain::cron_field::{DAY_OF_MONTH, DAY_OF_WEEK, Field, FieldError, HOUR, MINUTE, MONTH};
use crate::domain::time::{Span, Timestamp};

/// A cron expression of five fields: minute, hour, day of month, month, day of week.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cron {
    text: String,
    minute: Field,
    hour: Field,
    day_of_month: Field,
    month: Field,
    day_of_week: Field,
    /// Two when either the day of month or the day of week will do, else one.
    calendars: Vec<Calendar>,
}

/// Why a text is no cron expression, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CronError {
    #[error("\"{text}\" has {found} fields; write five: minute, hour, day of month, month, day of week, for example \"0 9 * * MON\"")]
    FieldCount { text: String, found: usize },
    #[error("\"{0}\" is not known; write @hourly, @daily, @weekly, @monthly, @yearly, or five fields, for example \"0 9 * * MON\"")]
    Nickname(String),
    #[error("in \"{text}\", {fault}")]
    Field { text: String, fault: FieldError },
    #[error("\"{0}\" never happens; no such month has such a day")]
    Never(String),
    #[error("\"{0}\" cannot be followed: {1}")]
    Calendar(String, String),
}

const NICKNAMES: [(&str, &str); 7] = [
    ("@hourly", "0 * * * *"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@weekly", "0 0 * * 0"),
    ("@monthly", "0 0 1 * *"),
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
];

/// The first and last instants reckoned with: 1970-01-02 and 2100-12-31, the crate's years less a day for the zones.
const FIRST: Timestamp = Timestamp(86_400_000);
const LAST: Timestamp = Timestamp(4_133_894_400_000);
const DAY: Span = Span::hours(24);

impl Cron {
    /// Reads five fields or a nickname such as `@daily`; refuses what can never happen.
    pub fn parse(text: &str) -> Result<Self, CronError> {
        let fields: Vec<&str> = written_out(text)?.split_whitespace().collect();
        let &[minute, hour, day_of_month, month, day_of_week] = fields.as_slice() else {
            return Err(CronError::FieldCount { text: text.to_owned(), found: fields.len() });
        };
        let read = |kind, field| Field::parse(kind, field).map_err(|fault| CronError::Field { text: text.to_owned(), fault });
        let mut cron = Self {
            text: text.to_owned(),
            minute: read(&MINUTE, minute)?,
            hour: read(&HOUR, hour)?,
            day_of_month: read(&DAY_OF_MONTH, day_of_month)?,
            month: read(&MONTH, month)?,
            day_of_week: read(&DAY_OF_WEEK, day_of_week)?,
            calendars: Vec::new(),
        };
        cron.calendars = cron.calendars()?;
        let happens = cron.civil_after(DateTime::UNIX_EPOCH.naive_utc()).is_some();
        if happens { Ok(cron) } else { Err(CronError::Never(text.to_owned())) }
    }

    /// The first firing strictly after `after`; none beyond the year 2100.
    pub fn next_after(&self, after: Timestamp, zone: Tz) -> Option<Timestamp> {
        if after >= LAST {
            return None;
        }
        let after = after.max(FIRST);
        let mut civil = civil_at(after, zone);
        loop {
            civil = self.civil_after(civil)?;
            // In the second of a doubled hour the next civil times have fired already, in the first.
            if let Some(at) = fires_at(civil, zone).filter(|at| *at > after) {
                return Some(at);
            }
        }
    }

    /// The last firing at `at` or before; none before the year 1970.
    pub fn last_at_or_before(&self, at: Timestamp, zone: Tz) -> Option<Timestamp> {
        if at < FIRST {
            return None;
        }
        let at = at.min(LAST);
        let mut civil = civil_at(at, zone);
        let mut last = self.civil_at_or_before(civil).and_then(|civil| fires_at(civil, zone));
        // In the second of a doubled hour later civil times than the present one have fired already, in the first.
        while let Some(next) = self.civil_after(civil) {
            match fires_at(next, zone) {
                Some(fired) if fired <= at => last = Some(fired),
                _ => break,
            }
            civil = next;
        }
        last
    }

    /// How often it fires after `after`, up to and including `until`. Counts by arithmetic, so that decades are cheap.
    pub fn count_between(&self, after: Timestamp, until: Timestamp, zone: Tz) -> u64 {
        let (mut from, until) = (after.max(FIRST), until.min(LAST));
        let mut count = 0;
        while from < until {
            let to = steady_until(from, until, zone);
            if to > from && is_first_time_round(from, zone) {
                count += self.civil_count(civil_at(from, zone), civil_at(to, zone));
                from = to;
            } else {
                let to = until.min(from + DAY);
                count += self.walked_count(from, to, zone);
                from = to;
            }
        }
        count
    }

    /// Whether two firings can be less than an hour of civil time apart.
    pub fn is_more_often_than_hourly(&self) -> bool {
        self.minute.count() > 1
    }

    fn calendars(&self) -> Result<Vec<Calendar>, CronError> {
        let (date, weekday) = (listed(self.day_of_month, 0), listed(self.day_of_week, 1));
        let days = if self.takes_either_day() { vec![(&*date, "*"), ("*", &*weekday)] } else { vec![(&*date, &*weekday)] };
        days.into_iter().map(|(date, weekday)| self.calendar(date, weekday)).collect()
    }

    fn calendar(&self, date: &str, weekday: &str) -> Result<Calendar, CronError> {
        let text = format!("0 {} {} {date} {} {weekday}", listed(self.minute, 0), listed(self.hour, 0), listed(self.month, 0));
        text.parse().map_err(|fault: cron::error::Error| CronError::Calendar(self.text.clone(), fault.to_string()))
    }

    /// Standard cron: both days restricted, either will do; one of them `*` (or `*/n`), both must hold.
    fn takes_either_day(&self) -> bool {
        !self.day_of_month.is_starred() && !self.day_of_week.is_starred()
    }

    fn civil_after(&self, civil: NaiveDateTime) -> Option<NaiveDateTime> {
        let start = whole_second(civil).and_utc();
        self.calendars.iter().filter_map(|calendar| calendar.after(&start).next()).min().map(|at| at.naive_utc())
    }

    fn civil_at_or_before(&self, civil: NaiveDateTime) -> Option<NaiveDateTime> {
        let end = whole_second(civil).and_utc() + chrono::Duration::seconds(1);
        self.calendars.iter().filter_map(|calendar| calendar.after(&end).next_back()).max().map(|at| at.naive_utc())
    }

    /// The civil times after `after` and up to `until`, as if no clock ever changed.
    fn civil_count(&self, after: NaiveDateTime, until: NaiveDateTime) -> u64 {
        let days = after.date().iter_days().take_while(|date| *date <= until.date()).filter(|date| self.has_day(*date));
        days.map(|date| {
            let end = if date == until.date() { self.count_up_to(until.time()) } else { self.hour.count() * self.minute.count() };
            let start = if date == after.date() { self.count_up_to(after.time()) } else { 0 };
            u64::from(end.saturating_sub(start))
        })
        .sum()
    }

    fn walked_count(&self, after: Timestamp, until: Timestamp, zone: Tz) -> u64 {
        let firings = std::iter::successors(self.next_after(after, zone), |at| self.next_after(*at, zone));
        firings.take_while(|at| *at <= until).fold(0, |count, _| count + 1)
    }

    fn has_day(&self, date: NaiveDate) -> bool {
        let by_date = self.day_of_month.contains(date.day());
        let by_weekday = self.day_of_week.contains(date.weekday().num_days_from_sunday());
        let day = if self.takes_either_day() { by_date || by_weekday } else { by_date && by_weekday };
        day && self.month.contains(date.month())
    }

    fn count_up_to(&self, time: NaiveTime) -> u32 {
        let this_hour = if self.hour.contains(time.hour()) { self.minute.count_below(time.minute() + 1) } else { 0 };
        self.hour.count_below(time.hour()) * self.minute.count() + this_hour
    }
}

impl fmt::Display for Cron {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Serialize for Cron {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for Cron {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

fn written_out(text: &str) -> Result<&str, CronError> {
    let text = text.trim();
    if !text.starts_with('@') {
        return Ok(text);
    }
    let known = NICKNAMES.iter().find(|(nickname, _)| nickname.eq_ignore_ascii_case(text));
    known.map(|(_, fields)| *fields).ok_or_else(|| CronError::Nickname(text.to_owned()))
}

/// The field as the crate reads it; `shift` is 1 for weekdays, where the crate's Sunday is 1.
fn listed(field: Field, shift: u32) -> String {
    field.numbers().map(|n| (n + shift).to_string()).collect::<Vec<_>>().join(",")
}

fn fires_at(civil: NaiveDateTime, zone: Tz) -> Option<Timestamp> {
    let after_gap = || GapInfo::new(&civil, &zone).and_then(|gap| gap.end);
    zone.from_local_datetime(&civil).earliest().or_else(after_gap).map(instant)
}

fn civil_at(at: Timestamp, zone: Tz) -> NaiveDateTime {
    at.to_utc().with_timezone(&zone).naive_local()
}

/// How far, in whole days, the clock goes on from `from` without a change; `from` itself when it changes within the first of them.
fn steady_until(from: Timestamp, until: Timestamp, zone: Tz) -> Timestamp {
    let offset = |at: Timestamp| zone.offset_from_utc_datetime(&at.to_utc().naive_utc()).fix();
    let as_at_first = offset(from);
    let mut steady = from;
    while steady < until {
        let next = until.min(steady + DAY);
        if offset(next) != as_at_first {
            break;
        }
        steady = next;
    }
    steady
}

/// Whether `at` is no repeated hour, whose firings came the first time round.
fn is_first_time_round(at: Timestamp, zone: Tz) -> bool {
    zone.from_local_datetime(&civil_at(at, zone)).earliest().map(instant) == Some(at)
}

fn instant(at: DateTime<Tz>) -> Timestamp {
    Timestamp(at.timestamp_millis())
}

fn whole_second(civil: NaiveDateTime) -> NaiveDateTime {
    civil.with_nanosecond(0).unwrap_or(civil)
}

#[cfg(test)]
mod tests;
