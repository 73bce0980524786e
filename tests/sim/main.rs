//! Whole stories from a number: the real engine on a disk, a clock, a network and a world that chance has its way with; alone, or as one of two
//! nodes that share the database. A seed tells the same story every time. `REYNARD_SEED=n` tells one with its log, `REYNARD_PLANT=ActsTwice`
//! beside it with a bug in it; `REYNARD_SEEDS=1000000` tells
//! so many; every bug of
//! `plant` is found within 10,000, or the plain tests fail.
//!
//! | planted bug | found by seed |
//! |---|---|
//! | a commit leaves out one of the jobs that it asks for | 1 |
//! | a commit is answered as made and is not | 1 |
//! | a job that was settled stays | 1 |
//! | a message is handed to its channel twice | 4 |
//! | an attempt is made twice | 6 |
//! | a start does not know what was cut off | 1 |
//! | a start does not know what limits have counted | 8 |
//! | a start does not know the deliveries that were stored and not worked | 66 |
//! | a start does not know how many runs of a playbook are under way | 1 |
//! | a request that was repeated is taken for a new one | 5 |
//! | due jobs that were stored long ago are not found any more | 3 |
//! | an incident that is read again has lost its alerts | 1 |
//! | the clock goes where the machine's is set | 8 |
//! | what a shutdown had handed out and not begun stays as if it had been | 1 |
//! | a commit does not ask who has the lease | 97 |
//! | a node begins what it has in hand though another one may have taken over | UNSURE |
//!
//! Real ones that it found: a lower priority after a snooze waited for the higher one's first level (495 of an earlier drawing), and an attempt
//! that a shutdown had put back was begun without its mark, and so once more when that life, too, ended (219, 462, 967 of another).

mod alertmanager;
mod bound;
mod clock;
mod disk;
mod drive;
mod house;
mod lease;
mod life;
mod node;
mod nowhere;
mod oracle;
mod people;
mod plant;
mod process;
mod record;
mod seed;
mod stage;
mod store;
mod sweep;
mod verdict;
mod weather;
mod world;

use drive::live;
use sweep::{broken, first_broken};

/// Seeds that a short test lives through.
const FEW: u64 = 300;
/// Within so many seeds a planted bug must be found.
const SOON: u64 = 10_000;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

#[test]
fn whatever_happens_no_promise_is_broken() {
    if let Some(seed) = number("REYNARD_SEED") {
        let name = std::env::var("REYNARD_PLANT").unwrap_or_default();
        let story = live(seed, plant::ALL.into_iter().find(|bug| format!("{bug:?}") == name), true);
        println!("{}\nThat was {} steps.", story.log, story.steps);
        assert_eq!(story.fault, None, "REYNARD_SEED={seed}");
        return;
    }
    let broken = broken(number("REYNARD_SEEDS").unwrap_or(FEW));
    let told: Vec<String> =
        broken.iter().map(|(seed, fault)| format!("{fault}; see it with REYNARD_SEED={seed} cargo test --test sim")).collect();
    assert!(told.is_empty(), "{}", told.join("\n"));
}

#[test]
fn a_seed_tells_the_same_story_twice() {
    for seed in 1..=10 {
        let (once, twice) = (live(seed, None, true).log, live(seed, None, true).log);
        let apart = once.lines().zip(twice.lines()).find(|(first, second)| first != second);
        assert!(once.len() > 1_000 && once == twice, "seed {seed} told two stories: {apart:#?}");
    }
}

#[test]
fn planted_bugs_are_found() {
    for bug in plant::ALL {
        let (seed, fault) = first_broken(SOON, Some(bug)).unwrap_or_else(|| panic!("{bug:?} is not found within {SOON} seeds"));
        println!("{bug:?}: seed {seed}: {fault}");
    }
}
