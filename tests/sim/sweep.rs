//! Many seeds over all processors, and a watch over each: one that does not end by itself is named, instead of keeping everybody waiting.
//! Knows nothing of what a story tells.

use std::io::Write;
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::drive::live;
use crate::plant::Bug;

/// A story is told in some ten milliseconds. One that takes so long spins where no bound counts it.
const ENDLESS: Duration = Duration::from_secs(120);
/// Broken ones that are told of in one sweep.
const ENOUGH: usize = 20;

/// A seed whose story breaks a promise, and which.
pub type Broken = (u64, String);

/// The first seed of these whose story breaks a promise.
pub fn first_broken(seeds: RangeInclusive<u64>, planted: Option<Bug>) -> Option<Broken> {
    Sweep::over(seeds, planted, 1).into_iter().next()
}

/// The broken ones, lowest first; not many more than enough to see what is wrong.
pub fn broken(seeds: RangeInclusive<u64>) -> Vec<Broken> {
    Sweep::over(seeds, None, ENOUGH)
}

/// What breaks, and a panic is what breaks most.
pub fn broken_by(seed: u64, planted: Option<Bug>) -> Option<String> {
    std::panic::catch_unwind(|| live(seed, planted, false).fault).unwrap_or_else(|_| Some("it fell over".to_owned()))
}

struct Sweep {
    next: AtomicU64,
    last: u64,
    planted: Option<Bug>,
    broken: Mutex<Vec<Broken>>,
    enough: usize,
}

impl Sweep {
    fn over(seeds: RangeInclusive<u64>, planted: Option<Bug>, enough: usize) -> Vec<Broken> {
        let sweep = Self { next: AtomicU64::new(*seeds.start()), last: *seeds.end(), planted, broken: Mutex::default(), enough };
        let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let watched: Vec<Watched> = (0..threads).map(|_| Watched::default()).collect();
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| watch(&watched, &over));
            let working: Vec<_> = watched.iter().map(|watched| scope.spawn(|| sweep.works(watched))).collect();
            working.into_iter().for_each(|thread| drop(thread.join()));
            over.store(true, Ordering::SeqCst);
        });
        let mut broken = sweep.broken.into_inner().unwrap_or_else(PoisonError::into_inner);
        broken.sort();
        broken
    }

    fn works(&self, watched: &Watched) {
        loop {
            let seed = self.next.fetch_add(1, Ordering::SeqCst);
            if seed > self.last || self.broken.lock().unwrap_or_else(PoisonError::into_inner).len() >= self.enough {
                return;
            }
            watched.begins(seed);
            if let Some(fault) = broken_by(seed, self.planted) {
                self.broken.lock().unwrap_or_else(PoisonError::into_inner).push((seed, fault));
            }
            watched.ends();
        }
    }
}

/// What a thread is at, and since when.
#[derive(Default)]
struct Watched(Mutex<Option<(u64, Instant)>>);

impl Watched {
    fn begins(&self, seed: u64) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((seed, Instant::now()));
    }

    fn ends(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn endless(&self) -> Option<u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).filter(|(_, since)| since.elapsed() > ENDLESS).map(|(seed, _)| seed)
    }
}

/// A thread that spins cannot be stopped: the process ends, with the seed as its last word.
fn watch(watched: &[Watched], over: &AtomicBool) {
    while !over.load(Ordering::SeqCst) {
        if let Some(seed) = watched.iter().find_map(Watched::endless) {
            // What is printed otherwise is kept for the test's end, which there will be none of.
            let told =
                format!("seed {seed} does not end within {} s; see it with REYNARD_SEED={seed} cargo test --test sim", ENDLESS.as_secs());
            let _ = writeln!(std::io::stderr(), "{told}");
            std::process::exit(101);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}
