//! The last day of an incident's family in 24 blocks, an hour each: when it burned, and how badly. Knows no HTML.

use serde::Serialize;

use crate::domain::time::{Span, Timestamp};
use crate::engine::store::{Family, Kin};

const BLOCKS: usize = 24;
const HOUR: Span = Span::hours(1);
/// A block is three units wide and one apart from the next.
const STEP: usize = 4;

/// The blocks in which something burned, drawn over a row of empty ones.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Strip {
    pub words: String,
    pub inks: Vec<Ink>,
}

/// All blocks of one priority, as one path.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Ink {
    pub priority: String,
    pub path: String,
}

pub fn strip(family: &Family, kin: &[Kin], now: Timestamp) -> Strip {
    let start = now - Span::hours(BLOCKS as u64);
    let own: Vec<&Kin> = kin.iter().filter(|one| one.family == *family && end(one, now) >= start).collect();
    let worst: Vec<Option<u8>> = (0..BLOCKS).map(|block| worst(&own, start + HOUR.times(block as u64), now)).collect();
    let hours = worst.iter().flatten().count();
    let times = if own.len() == 1 { "once".to_owned() } else { format!("{} times", own.len()) };
    Strip { words: format!("{times} in 24 hours, burning in {hours} of them"), inks: (1..=4).filter_map(|p| ink(p, &worst)).collect() }
}

fn worst(own: &[&Kin], from: Timestamp, now: Timestamp) -> Option<u8> {
    own.iter().filter(|one| one.opened_at <= from + HOUR && end(one, now) >= from).map(|one| one.priority).min()
}

/// Until when it burned, as far as anybody spoke of it.
fn end(one: &Kin, now: Timestamp) -> Timestamp {
    if one.open { now } else { one.heard_at.max(one.opened_at) }
}

fn ink(priority: u8, worst: &[Option<u8>]) -> Option<Ink> {
    let blocks = worst.iter().enumerate().filter(|(_, seen)| **seen == Some(priority));
    let path: String = blocks.map(|(at, _)| format!("M{} 0h3v12h-3z", at * STEP)).collect();
    (!path.is_empty()).then(|| Ink { priority: format!("p{priority}"), path })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_hour_shows_the_worst_that_burned_in_it() {
        let now = Timestamp(1_795_486_154_000);
        let family = Family("down".to_owned(), "orders".to_owned());
        let one = |priority, open, from: u64, to: u64| Kin {
            family: family.clone(),
            number: 1,
            priority,
            open,
            opened_at: now - Span::minutes(from),
            heard_at: now - Span::minutes(to),
        };
        let kin = [one(2, true, 10, 0), one(1, false, 70, 65), one(4, false, 40 * 60, 39 * 60), one(3, false, 23 * 60 + 30, 23 * 60 + 20)];
        let strip = strip(&family, &kin, now);
        assert_eq!(strip.words, "3 times in 24 hours, burning in 3 of them");
        let blocks: Vec<(&str, &str)> = strip.inks.iter().map(|ink| (ink.priority.as_str(), ink.path.as_str())).collect();
        assert_eq!(blocks, [("p1", "M88 0h3v12h-3z"), ("p2", "M92 0h3v12h-3z"), ("p3", "M0 0h3v12h-3z")]);
        assert_eq!(super::strip(&Family("down".to_owned(), "other".to_owned()), &kin, now).inks, []);
    }
}
