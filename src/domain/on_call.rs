//! Who is on call at an instant: schedules, their rotations and hand-offs. Knows no "now", and nothing of how people are reached.
//!
//! The answer is reckoned anew from the schedule and the instant alone, by counting hand-offs since a fixed day, so it is the
//! same before and after a restart and on every node.

use chrono::TimeZone;
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

use crate::domain::cron::Cron;
use crate::domain::time::Timestamp;

/// Rotations side by side: everybody whose turn it is in any of them is on call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schedule {
    /// The zone whose wall clocks the hand-offs follow.
    pub time_zone: Tz,
    pub rotations: Vec<Rotation>,
}

/// People who take turns; each hand-off passes the turn to the next of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written")]
pub struct Rotation {
    pub people: Vec<String>,
    pub handoff: Cron,
    /// The first of `people` has the turn at this instant; without it, at the first midnight of 2024, a Monday.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub starts_at: Option<Timestamp>,
}

/// Why a rotation cannot be followed, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RotationError {
    #[error("hand-off \"{0}\" comes more often than hourly; write a single minute, for example \"0 9 * * MON\"")]
    TooOften(String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    people: Vec<String>,
    handoff: Cron,
    #[serde(default)]
    starts_at: Option<Timestamp>,
}

impl Schedule {
    /// Everybody whose turn ever comes.
    pub fn everybody(&self) -> impl Iterator<Item = &String> {
        self.rotations.iter().flat_map(|rotation| &rotation.people)
    }

    /// The names on call at `at`: one a rotation, in their order, nobody twice. Empty when no rotation has people.
    pub fn on_call_at(&self, at: Timestamp) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for name in self.rotations.iter().filter_map(|rotation| rotation.on_call_at(at, self.time_zone)) {
            if !names.iter().any(|known| known == name) {
                names.push(name.to_owned());
            }
        }
        names
    }

    /// When the turn next passes to somebody else, strictly after `at`; never where people have nobody to hand over to.
    pub fn next_handoff(&self, at: Timestamp) -> Option<Timestamp> {
        let shared = self.rotations.iter().filter(|rotation| rotation.people.len() > 1);
        shared.filter_map(|rotation| rotation.handoff.next_after(at, self.time_zone)).min()
    }
}

impl Rotation {
    /// A rotation; refuses hand-offs more often than hourly, which are a slip of the pen and not a shift.
    pub fn new(people: Vec<String>, handoff: Cron, starts_at: Option<Timestamp>) -> Result<Self, RotationError> {
        if handoff.is_more_often_than_hourly() {
            return Err(RotationError::TooOften(handoff.to_string()));
        }
        Ok(Self { people, handoff, starts_at })
    }

    /// Whose turn it is at `at`. The order of turns runs back before `starts_at` as well: a page never meets an empty chair.
    fn on_call_at(&self, at: Timestamp, zone: Tz) -> Option<&str> {
        if let [only] = self.people.as_slice() {
            return Some(only);
        }
        let start = self.starts_at.unwrap_or_else(|| first_midnight(zone));
        let turns = u64::try_from(self.people.len()).ok().filter(|turns| *turns > 0)?;
        let passed = self.handoff.count_between(start, at, zone) % turns;
        let still_to_come = self.handoff.count_between(at, start, zone) % turns;
        let turn = (passed + turns - still_to_come) % turns;
        usize::try_from(turn).ok().and_then(|turn| self.people.get(turn)).map(String::as_str)
    }
}

impl TryFrom<Written> for Rotation {
    type Error = RotationError;

    fn try_from(written: Written) -> Result<Self, RotationError> {
        Self::new(written.people, written.handoff, written.starts_at)
    }
}

/// Civil midnight, so that one rotation has the same week in every zone; near enough to be counted from in a moment.
fn first_midnight(zone: Tz) -> Timestamp {
    const IN_UTC: Timestamp = Timestamp(1_704_067_200_000);
    let civil = IN_UTC.to_utc().naive_utc();
    zone.from_local_datetime(&civil).earliest().map_or(IN_UTC, |at| Timestamp(at.timestamp_millis()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::time::Span;

    fn at(text: &str) -> Timestamp {
        Timestamp::parse_rfc3339(text).expect(text)
    }

    fn rotation(people: &[&str], handoff: &str) -> Rotation {
        let people = people.iter().map(|name| (*name).to_owned()).collect();
        Rotation::new(people, Cron::parse(handoff).expect(handoff), None).expect(handoff)
    }

    fn schedule(zone: Tz, rotations: Vec<Rotation>) -> Schedule {
        Schedule { time_zone: zone, rotations }
    }

    #[test]
    fn the_week_is_handed_over_at_nine_on_the_wall_in_summer_and_winter() {
        let primary = schedule(Tz::Europe__Berlin, vec![rotation(&["ana", "bo"], "0 9 * * MON")]);
        for (before, handoff) in [
            ("2026-11-23T08:59:59+01:00", "2026-11-23T09:00:00+01:00"),
            ("2026-03-30T08:59:59+02:00", "2026-03-30T09:00:00+02:00"),
            ("2026-10-26T08:59:59+01:00", "2026-10-26T09:00:00+01:00"),
        ] {
            assert_eq!(primary.next_handoff(at(before)), Some(at(handoff)));
            assert_ne!(primary.on_call_at(at(before)), primary.on_call_at(at(handoff)));
            assert_eq!(primary.on_call_at(at(handoff)), primary.on_call_at(at(handoff) + Span::hours(6 * 24)));
        }
    }

    #[test]
    fn the_answer_is_fixed_for_all_time() {
        let zones = [Tz::Europe__Berlin, Tz::America__New_York, Tz::Asia__Kolkata];
        for zone in zones {
            let primary = schedule(zone, vec![rotation(&["ana", "bo", "cy"], "0 9 * * MON")]);
            // 1 January 2024 at nine passed the turn to bo; 2026-11-24 is 151 weeks and a day later.
            assert_eq!(primary.on_call_at(at("2024-01-02T00:00:00Z")), ["bo"], "{zone}");
            assert_eq!(primary.on_call_at(at("2026-11-24T12:00:00Z")), ["cy"], "{zone}");
            assert_eq!(primary.on_call_at(at("2023-12-31T12:00:00Z")), ["ana"], "{zone}");
            assert_eq!(primary.on_call_at(at("2023-12-24T12:00:00Z")), ["cy"], "{zone}");
        }
    }

    #[test]
    fn a_week_from_midnight_is_the_same_persons_in_every_zone() {
        for zone in [Tz::UTC, Tz::America__New_York, Tz::Asia__Kolkata, Tz::Pacific__Apia] {
            let primary = schedule(zone, vec![rotation(&["ana", "bo", "cy"], "0 0 * * MON")]);
            assert_eq!(primary.on_call_at(at("2024-01-03T12:00:00Z")), ["ana"], "{zone}");
        }
    }

    #[test]
    fn a_written_start_gives_the_first_of_the_people_the_turn() {
        let mut weekly = rotation(&["ana", "bo", "cy"], "0 9 * * MON");
        weekly.starts_at = Some(at("2026-11-23T09:00:00+01:00"));
        let primary = schedule(Tz::Europe__Berlin, vec![weekly]);
        for (instant, name) in [
            ("2026-11-23T08:59:59+01:00", "cy"),
            ("2026-11-23T09:00:00+01:00", "ana"),
            ("2026-11-30T09:00:00+01:00", "bo"),
            ("2026-11-09T09:00:00+01:00", "bo"),
        ] {
            assert_eq!(primary.on_call_at(at(instant)), [name], "{instant}");
        }
    }

    #[test]
    fn rotations_answer_in_order_and_nobody_twice() {
        let rotations =
            vec![rotation(&["bo"], "@daily"), rotation(&[], "@daily"), rotation(&["ana"], "@daily"), rotation(&["bo"], "@daily")];
        let primary = schedule(Tz::UTC, rotations);
        assert_eq!(primary.on_call_at(at("2026-11-24T03:12:00Z")), ["bo", "ana"]);
        assert_eq!(primary.next_handoff(at("2026-11-24T03:12:00Z")), None);
        assert!(schedule(Tz::UTC, Vec::new()).on_call_at(Timestamp(0)).is_empty());
    }

    #[test]
    fn hand_offs_more_often_than_hourly_are_refused() {
        let written = r#"{ "time_zone": "Europe/Berlin", "rotations": [ { "people": ["ana"], "handoff": "*/30 * * * *" } ] }"#;
        let fault = serde_json::from_str::<Schedule>(written).expect_err(written).to_string();
        assert!(fault.contains("more often than hourly; write a single minute"), "{fault}");
        let hourly = serde_json::from_str::<Schedule>(&written.replace("*/30", "0")).expect(written);
        assert_eq!(serde_json::from_value::<Schedule>(serde_json::json!(hourly)).expect(written), hourly);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Following the hand-offs one by one, the turn passes to the next person and to nobody else in between.
        #[test]
        fn each_hand_off_passes_the_turn_by_one(
            minutes in -2_000_000i64..6_000_000, zone in 0usize..6, handoff in 0usize..4, started in proptest::option::of(0i64..3_000_000),
        ) {
            let zones = [
                Tz::Europe__Berlin, Tz::America__New_York, Tz::Australia__Lord_Howe, Tz::Africa__Cairo,
                Tz::America__Sao_Paulo, Tz::Pacific__Apia,
            ];
            let after = |minutes: i64| Timestamp(1_704_067_200_000 + minutes * 60_000);
            let people = ["ana", "bo", "cy", "di", "ed"];
            let mut turns = rotation(&people, ["0 * * * *", "30 2 * * *", "0 9 * * MON", "15 0,12 1-7 * FRI"][handoff]);
            turns.starts_at = started.map(after);
            let primary = schedule(zones[zone], vec![turns]);
            let mut now = after(minutes);
            for _ in 0..5 {
                let before = primary.on_call_at(now);
                let next = primary.next_handoff(now).expect("before 2100");
                prop_assert_eq!(&primary.on_call_at(Timestamp(next.0 - 1)), &before);
                let turn = people.iter().position(|name| before == [*name]).expect("one of them");
                prop_assert_eq!(primary.on_call_at(next), [people[(turn + 1) % people.len()]]);
                now = next;
            }
        }
    }
}
