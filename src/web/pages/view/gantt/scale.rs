//! From instants to places: straight where something happens, folded where for long nothing does. Knows no incident.

use chrono_tz::Tz;

use crate::domain::time::{Span, Timestamp};

/// A gap wider than this share of what is still drawn is folded.
const WIDE: f64 = 0.10;
/// After the first folding only gaps wider than this: what remains shall keep its proportions.
const STILL_WIDE: f64 = 0.30;
const SHORTEST_FOLD: Span = Span::minutes(5);
/// How wide a fold is drawn, in percent of the whole.
const FOLD: f64 = 5.0;
/// How far apart two labels of the axis stand at least, in percent.
const APART: f64 = 15.0;
/// Room at the right, so that what happens last can be seen.
const RIGHT: f64 = 99.0;

const STEPS: [u64; 15] = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 10_800, 86_400];

#[derive(Clone, Copy, Debug)]
struct Piece {
    from: Timestamp,
    to: Timestamp,
    x: f64,
    w: f64,
    folded: bool,
}

#[derive(Clone, Debug)]
pub struct Scale {
    pieces: Vec<Piece>,
}

impl Scale {
    /// Over all of `instants`, which are in order.
    pub fn new(instants: &[Timestamp]) -> Self {
        let mut gaps: Vec<(Timestamp, Timestamp, bool)> = instants.windows(2).map(|pair| (pair[0], pair[1], false)).collect();
        fold(&mut gaps, WIDE);
        while fold(&mut gaps, STILL_WIDE) {}
        let folds = gaps.iter().filter(|(.., folded)| *folded).count();
        let width = if folds == 0 { 0.0 } else { FOLD.min(RIGHT / 2.0 / count(folds)) };
        let straight: f64 = gaps.iter().filter(|(.., folded)| !folded).map(|(from, to, _)| length(*from, *to)).sum();
        let per_ms = (RIGHT - width * count(folds)) / straight.max(1.0);
        let mut x = 0.0;
        let pieces = gaps.into_iter().map(|(from, to, folded)| {
            let w = if folded { width } else { length(from, to) * per_ms };
            x += w;
            Piece { from, to, x: x - w, w, folded }
        });
        Self { pieces: pieces.collect() }
    }

    /// Where an instant stands, in percent.
    pub fn place(&self, at: Timestamp) -> f64 {
        let piece = self.pieces.partition_point(|piece| piece.to < at);
        match self.pieces.get(piece).or(self.pieces.last()) {
            Some(piece) => piece.x + piece.w * (length(piece.from, at) / length(piece.from, piece.to).max(1.0)).clamp(0.0, 1.0),
            None => 0.0,
        }
    }

    /// Place, width and length of each fold.
    pub fn folds(&self) -> impl Iterator<Item = (f64, f64, Span)> + '_ {
        self.pieces.iter().filter(|piece| piece.folded).map(|piece| (piece.x, piece.w, piece.to.since(piece.from)))
    }

    /// The axis: as many round times of day as have room.
    pub fn ticks(&self, zone: Tz) -> Vec<(f64, String)> {
        let first = self.pieces.first().map(|piece| (piece.x, piece.from));
        let and_first = |times: Vec<(f64, Timestamp)>| {
            let later = times.into_iter().filter(|(x, _)| *x >= APART);
            first.into_iter().chain(later).collect::<Vec<_>>()
        };
        let all = STEPS.iter().map(|step| (*step, and_first(self.round_times(*step))));
        let fits = |ticks: &[(f64, Timestamp)]| ticks.windows(2).all(|pair| pair[1].0 - pair[0].0 >= APART);
        let (step, ticks) = all.into_iter().find(|(_, ticks)| fits(ticks)).unwrap_or((1, Vec::new()));
        let pattern = if step % 60 == 0 { "%H:%M" } else { "%H:%M:%S" };
        ticks.into_iter().map(|(x, at)| (x, at.to_utc().with_timezone(&zone).format(pattern).to_string())).collect()
    }

    /// Every multiple of `seconds` outside the folds; none when there would be very many.
    fn round_times(&self, seconds: u64) -> Vec<(f64, Timestamp)> {
        const MOST: usize = 40;
        let step = i64::try_from(seconds * 1_000).unwrap_or(i64::MAX);
        let mut found = Vec::new();
        for piece in self.pieces.iter().filter(|piece| !piece.folded) {
            let mut at = piece.from.0.div_euclid(step).saturating_add(1).saturating_mul(step);
            while at <= piece.to.0 && found.len() <= MOST {
                found.push((self.place(Timestamp(at)), Timestamp(at)));
                at = at.saturating_add(step);
            }
        }
        if found.len() > MOST { vec![(RIGHT, Timestamp(0)); 2] } else { found }
    }
}

/// Folds what is wider than a share of what is not folded yet; says whether there was any.
fn fold(gaps: &mut [(Timestamp, Timestamp, bool)], share: f64) -> bool {
    let total: f64 = gaps.iter().filter(|(.., folded)| !folded).map(|(from, to, _)| length(*from, *to)).sum();
    let mut any = false;
    for (from, to, folded) in gaps.iter_mut().filter(|(.., folded)| !folded) {
        *folded = to.since(*from) >= SHORTEST_FOLD && length(*from, *to) > share * total;
        any |= *folded;
    }
    any
}

#[allow(clippy::cast_precision_loss, reason = "a place on a screen needs no more")]
fn length(from: Timestamp, to: Timestamp) -> f64 {
    to.since(from).0 as f64
}

fn count(n: usize) -> f64 {
    f64::from(u32::try_from(n).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp(1_795_486_154_000 + seconds * 1_000)
    }

    #[test]
    fn a_night_without_news_takes_no_more_room_than_its_label() {
        let scale = Scale::new(&[at(0), at(10), at(60), at(9 * 3_600), at(9 * 3_600 + 60)]);
        let folds: Vec<_> = scale.folds().collect();
        assert_eq!(folds.len(), 1);
        assert_eq!(folds[0].2, Span(9 * 3_600_000 - 60_000));
        assert!((scale.place(at(60)) - 47.0).abs() < 0.1, "{}", scale.place(at(60)));
        assert!(scale.place(at(9 * 3_600)) - scale.place(at(60)) <= FOLD + 0.01);
    }

    #[test]
    fn places_grow_with_time_and_stay_on_the_picture() {
        let scale = Scale::new(&[at(0), at(3), at(90), at(4_000), at(4_001), at(90_000)]);
        let places: Vec<f64> = (-10..100_000).step_by(7).map(|seconds| scale.place(at(seconds))).collect();
        assert!(places.windows(2).all(|pair| pair[0] <= pair[1]));
        assert!(places.iter().all(|x| (0.0..=RIGHT).contains(x)));
    }

    #[test]
    fn labels_of_the_axis_do_not_stand_on_each_other() {
        for end in [1, 45, 600, 7_000, 100_000, 5_000_000] {
            let scale = Scale::new(&[at(0), at(end / 3), at(end / 2), at(end)]);
            let ticks = scale.ticks(chrono_tz::UTC);
            assert!(ticks.windows(2).all(|pair| pair[1].0 - pair[0].0 >= APART), "{end}: {ticks:?}");
        }
        assert_eq!(Scale::new(&[]).ticks(chrono_tz::UTC), []);
        assert!(Scale::new(&[at(5)]).place(at(7)).abs() < f64::EPSILON);
    }
}
