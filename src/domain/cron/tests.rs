//! Cron held against the wall clock: a walker that lives through every minute around every clock change. Knows no calendar arithmetic.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::sync::LazyLock;

use chrono_tz::{Africa, America, Asia, Australia, Europe, Pacific};
use proptest::prelude::*;

use super::*;

const ZONES: [Tz; 9] = [
    Europe::Berlin,
    Europe::Dublin,
    America::New_York,
    Australia::Lord_Howe,
    Africa::Cairo,
    America::Sao_Paulo,
    Asia::Kolkata,
    Pacific::Apia,
    America::Scoresbysund,
];

fn at(text: &str) -> Timestamp {
    Timestamp::parse_rfc3339(text).expect(text)
}

fn cron(text: &str) -> Cron {
    Cron::parse(text).unwrap_or_else(|fault| panic!("{fault}"))
}

fn firings(cron: &Cron, after: Timestamp, until: Timestamp, zone: Tz) -> Vec<Timestamp> {
    std::iter::successors(cron.next_after(after, zone), |at| cron.next_after(*at, zone)).take_while(|at| *at <= until).collect()
}

/// Lives through the minutes after `after`, looking at the wall clock: what it skips fires now, what it repeats does not.
fn walked(matches: impl Fn(NaiveDateTime) -> bool, after: Timestamp, until: Timestamp, zone: Tz) -> Vec<Timestamp> {
    let minute = chrono::Duration::minutes(1);
    let mut seen = civil_at(after, zone);
    let mut fired = Vec::new();
    let mut now = after + Span::minutes(1);
    while now <= until {
        let shown = civil_at(now, zone);
        let mut due = false;
        while seen < shown {
            seen += minute;
            due |= matches(seen);
        }
        if due {
            fired.push(now);
        }
        now = now + Span::minutes(1);
    }
    fired
}

/// Every instant of two decades at which the zone's clocks were changed, to a quarter of a day.
fn changes(zone: Tz) -> Vec<Timestamp> {
    let offset = |at: Timestamp| zone.offset_from_utc_datetime(&at.to_utc().naive_utc()).fix();
    let start = at("2010-01-01T00:00:00Z");
    let quarters = (0..21 * 1461).map(|n| start + Span::hours(6).times(n));
    quarters.filter(|quarter| offset(*quarter) != offset(*quarter + Span::hours(6))).collect()
}

/// The three days around every change of every zone, and a few days without one.
static WINDOWS: LazyLock<Vec<(Tz, Timestamp, Timestamp)>> = LazyLock::new(|| {
    let quiet = at("2024-02-27T00:00:00Z");
    let around =
        |zone| changes(zone).into_iter().chain([quiet]).map(move |change| (zone, change - Span::hours(37), change + Span::hours(37)));
    ZONES.into_iter().flat_map(around).collect()
});

type Matcher = fn(NaiveDateTime) -> bool;

const CASES: [(&str, Matcher); 11] = [
    ("30 2 * * *", |c| (c.hour(), c.minute()) == (2, 30)),
    ("*/30 * * * *", |c| c.minute() % 30 == 0),
    ("0 * * * *", |c| c.minute() == 0),
    ("*/7 0-3 * * *", |c| c.minute() % 7 == 0 && c.hour() <= 3),
    ("15 0 * * *", |c| (c.hour(), c.minute()) == (0, 15)),
    ("0 0 * * *", |c| (c.hour(), c.minute()) == (0, 0)),
    ("45 23 * * *", |c| (c.hour(), c.minute()) == (23, 45)),
    ("0 9 * * 1-5", |c| (c.hour(), c.minute()) == (9, 0) && c.weekday().number_from_monday() <= 5),
    ("5 1,2 * * SUN", |c| c.minute() == 5 && [1, 2].contains(&c.hour()) && c.weekday() == chrono::Weekday::Sun),
    ("10 2 29-31 3,10 7", |c| {
        (c.hour(), c.minute()) == (2, 10) && [3, 10].contains(&c.month()) && (c.day() >= 29 || c.weekday() == chrono::Weekday::Sun)
    }),
    ("59 1 */2 * MON", |c| (c.hour(), c.minute()) == (1, 59) && c.day() % 2 == 1 && c.weekday() == chrono::Weekday::Mon),
];

#[test]
fn around_every_clock_change_of_two_decades_it_fires_as_the_wall_clock_would() {
    for (text, matches) in CASES {
        let cron = cron(text);
        for &(zone, from, to) in WINDOWS.iter() {
            let expected = walked(matches, from, to, zone);
            assert_eq!(firings(&cron, from, to, zone), expected, "{text} in {zone} from {from}");
            assert_eq!(cron.count_between(from, to, zone), expected.len() as u64, "count of {text} in {zone} from {from}");
        }
    }
}

#[test]
fn looking_back_finds_the_firing_that_looking_ahead_came_from() {
    for (text, matches) in [CASES[3], CASES[4]] {
        let cron = cron(text);
        for &(zone, from, to) in WINDOWS.iter() {
            let fired: BTreeSet<_> = walked(matches, from, to, zone).into_iter().collect();
            for now in (40..74 * 6).map(|n| from + Span::minutes(n * 10)).chain(fired.iter().copied()) {
                let Some(expected) = fired.range(..=now).next_back() else { continue };
                assert_eq!(cron.last_at_or_before(now, zone), Some(*expected), "{text} in {zone} at {now}");
                assert!(cron.next_after(now, zone).is_none_or(|next| next > now && cron.last_at_or_before(next, zone) == Some(next)));
            }
        }
    }
}

#[test]
fn a_time_in_the_gap_fires_once_when_the_clock_goes_on() {
    let berlin = firings(&cron("30 2 * * *"), at("2026-03-28T12:00:00Z"), at("2026-03-30T12:00:00Z"), Europe::Berlin);
    assert_eq!(berlin, [at("2026-03-29T03:00:00+02:00"), at("2026-03-30T02:30:00+02:00")]);
    let sao_paulo = firings(&cron("30 0 * * *"), at("2018-11-03T12:00:00Z"), at("2018-11-05T12:00:00Z"), America::Sao_Paulo);
    assert_eq!(sao_paulo, [at("2018-11-04T01:00:00-02:00"), at("2018-11-05T00:30:00-02:00")]);
    // Apia left out the whole of 30 December 2011.
    let apia = firings(&cron("0 9 * * *"), at("2011-12-29T09:00:00-10:00"), at("2011-12-31T12:00:00+14:00"), Pacific::Apia);
    assert_eq!(apia, [at("2011-12-31T00:00:00+14:00"), at("2011-12-31T09:00:00+14:00")]);
}

#[test]
fn a_time_that_comes_twice_fires_the_first_time() {
    let (from, to) = (at("2026-10-24T22:00:00Z"), at("2026-10-25T03:00:00Z"));
    assert_eq!(firings(&cron("30 2 * * *"), from, to, Europe::Berlin), [at("2026-10-25T02:30:00+02:00")]);
    let second = at("2026-10-25T02:10:00+01:00");
    assert_eq!(cron("30 2 * * *").last_at_or_before(second, Europe::Berlin), Some(at("2026-10-25T02:30:00+02:00")));
    assert_eq!(cron("*/30 * * * *").next_after(second, Europe::Berlin), Some(at("2026-10-25T03:00:00+01:00")));
    let day_later = second + Span::hours(24);
    assert_eq!(cron("30 2 * * *").count_between(second, day_later, Europe::Berlin), 0);
    assert_eq!(cron("30 2 * * *").count_between(second, day_later + Span::minutes(20), Europe::Berlin), 1);
}

#[test]
fn weekdays_are_those_of_standard_cron() {
    let monday = at("2026-11-23T09:00:00Z");
    for text in ["0 9 * * 1", "0 9 * * MON", "0 9 * * mon-fri", "0 9 * * 1-5"] {
        assert_eq!(cron(text).next_after(at("2026-11-21T12:00:00Z"), Tz::UTC), Some(monday), "{text}");
    }
    for text in ["0 9 * * 0", "0 9 * * 7", "0 9 * * SUN"] {
        assert_eq!(cron(text).next_after(monday, Tz::UTC), Some(at("2026-11-29T09:00:00Z")), "{text}");
    }
}

#[test]
fn faults_say_what_to_write() {
    for (text, hint) in [
        ("", "has 0 fields; write five"),
        ("0 9 * *", "has 4 fields; write five"),
        ("0 0 9 * * MON", "has 6 fields; write five"),
        ("0 24 * * *", "hour \"24\": write a number from 0 to 23"),
        ("0 9 * * BOB", "SUN to SAT"),
        ("@reboot", "write @hourly, @daily"),
        ("0 0 31 2 *", "never happens"),
        ("0 0 31 4,6,9,11 *", "never happens"),
        ("0 0 30 2 */2", "never happens"),
    ] {
        let fault = Cron::parse(text).expect_err(text).to_string();
        assert!(fault.contains(hint), "{text}: {fault}");
    }
    assert!(Cron::parse("0 0 29 2 *").is_ok());
    assert!(Cron::parse("0 0 31 2 MON").is_ok(), "every Monday in February");
}

#[test]
fn nicknames_are_their_five_fields_and_show_as_written() {
    assert_eq!(cron("@daily").next_after(at("2026-01-01T00:00:00Z"), Tz::UTC), Some(at("2026-01-02T00:00:00Z")));
    assert_eq!(cron("@weekly").to_string(), "@weekly");
    assert_eq!(cron("0 9 * * MON").to_string(), "0 9 * * MON");
}

#[test]
fn instants_beyond_the_calendar_have_an_answer_too() {
    let daily = cron("@daily");
    for zone in ZONES {
        assert!(daily.next_after(Timestamp(i64::MIN), zone).is_some());
        assert_eq!(daily.next_after(Timestamp(i64::MAX), zone), None);
        assert_eq!(daily.last_at_or_before(Timestamp(i64::MIN), zone), None);
        assert!(daily.last_at_or_before(Timestamp(i64::MAX), zone).is_some());
        assert!(daily.count_between(Timestamp(i64::MIN), Timestamp(i64::MAX), zone) > 47_000);
    }
}

fn numbers(kind: RangeInclusive<u32>, most: usize) -> impl Strategy<Value = BTreeSet<u32>> {
    proptest::collection::btree_set(kind, 1..=most)
}

fn written(set: &Option<BTreeSet<u32>>) -> String {
    let list = |set: &BTreeSet<u32>| set.iter().map(u32::to_string).collect::<Vec<_>>().join(",");
    set.as_ref().map_or("*".to_owned(), list)
}

fn has(set: &Option<BTreeSet<u32>>, n: u32) -> bool {
    set.as_ref().is_none_or(|set| set.contains(&n))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn any_expression_fires_as_the_wall_clock_would(
        minute in numbers(0..=59, 4), hour in proptest::option::of(numbers(0..=23, 5)),
        date in proptest::option::of(numbers(1..=28, 9)), month in proptest::option::weighted(0.3, numbers(1..=12, 8)),
        weekday in proptest::option::of(numbers(0..=6, 4)),
        which in any::<prop::sample::Index>(), shift in 0u64..72, now in 0u64..74 * 60,
    ) {
        let (zone, opens, _) = WINDOWS[which.index(WINDOWS.len())];
        let from = opens - Span::hours(shift);
        let to = from + Span::hours(160);
        let (date_free, weekday_free) = (date.is_none(), weekday.is_none());
        let matches = |c: NaiveDateTime| {
            let (by_date, by_weekday) = (has(&date, c.day()), has(&weekday, c.weekday().num_days_from_sunday()));
            let day = if date_free || weekday_free { by_date && by_weekday } else { by_date || by_weekday };
            day && minute.contains(&c.minute()) && has(&hour, c.hour()) && has(&month, c.month())
        };
        let text = [&Some(minute.clone()), &hour, &date, &month, &weekday].map(written).join(" ");
        let cron = cron(&text);
        // A window may open in a repeated hour, where the walker has not seen the first: let it begin two days earlier.
        let expected: Vec<_> = walked(matches, from - Span::hours(48), to, zone).into_iter().filter(|at| *at > from).collect();
        prop_assert_eq!(firings(&cron, from, to, zone), expected.clone(), "{} in {}", text, zone);
        let now = from + Span::minutes(now);
        prop_assert_eq!(cron.count_between(from, now, zone), expected.iter().filter(|at| **at <= now).count() as u64);
        prop_assert_eq!(cron.count_between(now, to, zone), expected.iter().filter(|at| **at > now).count() as u64);
        prop_assert_eq!(cron.next_after(now, zone).filter(|at| *at <= to), expected.iter().copied().find(|at| *at > now));
        if let Some(last) = expected.iter().copied().rfind(|at| *at <= now) {
            prop_assert_eq!(cron.last_at_or_before(now, zone), Some(last));
        }
    }
}
