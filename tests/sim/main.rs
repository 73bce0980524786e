//! Whole stories from a number: the real engine on a disk, a clock, a network and a world that chance has its way with; alone, or as one of two
//! nodes that share the database. A seed tells the same story every time. `REYNARD_SEED=n` tells one with its log, `REYNARD_PLANT=ActsTwice`
//! beside it with a bug in it; `REYNARD_SEEDS=1000000` tells so many; every bug of `plant::ALL` is found within 10,000, or the plain tests fail.
//!
//! | planted bug | found by seed |
//! |---|---|
//! | a commit leaves out one of the jobs that it asks for | 1 |
//! | a commit is answered as made and is not | 1 |
//! | a job that was settled stays | 1 |
//! | a message is handed to its channel twice | 4 |
//! | an attempt is made twice | 15 |
//! | a start does not know what was cut off | 10 |
//! | a start does not know what limits have counted | 1 |
//! | a start does not know the deliveries that were stored and not worked | 167 |
//! | a start does not know how many runs of a playbook are under way | 1 |
//! | a request that was repeated is taken for a new one | 16 |
//! | due jobs that were stored long ago are not found any more | 9 |
//! | an incident that is read again has lost its alerts | 1 |
//! | the clock goes where the machine's is set | 128 |
//! | what a shutdown had handed out and not begun stays as if it had been | 1 |
//! | a commit does not ask who has the lease | 232 |
//! | a node begins what it has in hand though another one may have taken over | 86 |
//! | a start does not know that automation is held | 5 |
//! | a start does not know which playbooks have failed too often | 35 |
//! | a commit leaves out what it knows of failures in a row | 35 |
//! | a start does not know what each playbook has earned | 1 |
//! | a commit leaves out what the end of a run has earned or cost | 242 |
//! | a start does not know whose targets those were that limits have counted | 1 |
//! | a start does not know who is at work on which target | 9 |
//! | a start does not know what fires, and so what is in trouble | 5 |
//! | an incident that is read again has lost who said yes so far | 4 |
//! | what is taken back is said to be, and stays | 1 |
//! | the self-watch is told of what is due later as if it were late | 1 |
//!
//! The domain has no switch for planting. Each of these was made once by hand in its source; a seed is one of the drawing of that day:
//!
//! | mistake | caught by |
//! |---|---|
//! | a rate lets one more through | seed 1 |
//! | a playbook's own rate is overlooked | seed 12 |
//! | the rate of a service is overlooked | seed 1 |
//! | one target more than the share is worked on | seed 1 |
//! | what other incidents' runs claim is not in trouble | seed 24 |
//! | one more in trouble than `correlated` says is not enough | seed 5 |
//! | a target's shadow is overlooked | seed 9 |
//! | a playbook's shadow is overlooked | seed 5 |
//! | autonomy is earned one success too early | seed 4 |
//! | autonomy is never lost again | the story `trial::a_playbook_asks_until_it_has_helped_often_enough…` |
//! | a target that another run has is given away | seed 9 |
//! | taking back does not wait for whoever changes the target | the story `brakes::taking_back_waits_until…` |
//! | one yes too few is enough | seed 47 |
//! | whoever asked for a run approves it | the story `language::whoever_asked_for_the_run_does_not_approve_it` |
//! | a breaker opens one failure too late | seed 34 |
//! | the self-watch overlooks what is late | the story `watch::what_is_due_and_does_not_begin_is_told_once…` |
//! | what a lost commit has settled is done again, or forgotten with the first part that is made | the story `lost::what_a_lost_commit_has_settled…` |
//! | an end in order does not wait for the disk to say what became of a commit | the story `lost::an_attempt_that_only_a_lost_commit_knows_of…` |
//! | one person's yes counts twice towards a quorum | the story `brakes::as_many_different_people_of_a_role…` |
//! | a late answer ends its step, or is taken for the answer of a look or of the next attempt | the stories `late::an_answer_after_the_timeout…`, `while_a_check_looks…`, `the_late_answer_of_one_attempt…` |
//! | a late answer is not listened for, or is not written down | the story `late::an_answer_after_the_timeout…` |
//! | a late answer is not left for the node that has the work | the story `late::the_answer_that_a_node_gets…` |
//! | a late answer is written down twice | the story `late::an_answer_after_the_timeout…` |
//! | a late answer stays in the inbox once it is written down | the story `late::the_answer_that_a_node_gets…` |
//! | an answer that counts already is told as a late one | the story `late::an_answer_that_counts_already…` |
//! | a cancel makes no cut | the stories `cut::what_is_cut_off…` |
//! | what is cut off goes on | the story `cut::what_only_looks_is_dropped…` |
//! | what was handed out and not begun begins after the cut | the story `cut::what_had_not_begun…` |
//! | what was cut off is told as succeeded | the stories `cut::what_is_cut_off…`; by its hand, `cut::what_only_looks…` |
//! | a session on a PostgreSQL target outlives the cancel | `actions_real`, `a_change_that_is_cut_off…`; with the binary `real`, `cancel::a_cancelled_run…` |
//! | the ledger is not counted anew after a commit that failed | the stories `trouble::what_was_counted_for_a_commit…`, `a_delivery_whose_work_is_refused…` |
//! | a commit that a panic ended leaves the ledger sure | the story `trouble::what_was_counted_for_a_commit…` |
//! | a breaker's row is not written, or not read at a start, on either database | `store`, `brakes::a_breaker_is_one_row…` |
//! | what a refused commit has spent stays spent, on either database | `store`, `brakes::a_commit_that_is_refused…` |
//! | an undo that came due while the process was down is dropped | the story `leases::a_mitigation_ends_at_its_time…` |
//! | a rate that holds back pages nobody | the stories `brakes::a_service_is_counted…`, `a_second_try…`, `watch::automation_that_fails…` |
//! | what is left to a person pages nobody | the story `brakes::many_targets_in_trouble…` |
//! | a run that waits for its turn pages nobody | the story `brakes::a_run_that_waits_for_its_turn…` |
//! | the file that holds is not looked at by a commit, or not before an attempt begins | the stories `hold::a_file_holds_as_well…`, `a_file_stops_an_attempt…` |
//! | the file that holds is not seen on the disk | with the binary `real`, `hold::held_by_the_command_line…` |
//! | a run that did nothing counts as gone well, as a false start, or in the median | the stories `trial::a_run_that_was_refused…`, `what_shadow_only_wrote_down…`, `a_run_that_a_hold…` |
//! | settings that name other targets do not count anew what is in trouble | the story `brakes::a_target_whose_alerts_fire_already…` |
//! | what is handed to a worker that is gone is not taken back | the story `lost::an_attempt_that_is_committed_after…` |
//! | the self-watch overlooks a store that takes nothing, what is late, stuck or adrift | with the binary `real`, `selfwatch::a_full_disk…` |
//!
//! Real ones that it found: a lower priority after a snooze waited for the higher one's first level (495 of an earlier drawing), and an attempt
//! that a shutdown had put back was begun without its mark, and so once more when that life, too, ended (219, 462, 967 of another); a timer
//! that came due between two commits whose answers were lost was gone until the next start (60); what a lost commit had settled was done again
//! when its company was refused and told apart (155); an attempt whose commit took longer than an end in order had patience stayed marked
//! as begun, and a person was asked about what had never been (1586).

mod alertmanager;
mod audit;
mod bound;
mod brakes;
mod clock;
mod deed;
mod disk;
mod drive;
mod grip;
mod house;
mod lease;
mod life;
mod node;
mod nowhere;
mod oracle;
mod people;
mod plant;
mod playbook;
mod process;
mod record;
mod seed;
mod stage;
mod store;
mod sweep;
mod trust;
mod twins;
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
        let story = live(seed, plant::named(&name), true);
        println!("{}\nThat was {} steps.", story.log, story.steps);
        assert_eq!(story.fault, None, "REYNARD_SEED={seed}");
        return;
    }
    let first = number("REYNARD_FROM").unwrap_or(1);
    let broken = broken(first..=first + number("REYNARD_SEEDS").unwrap_or(FEW) - 1);
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

/// A seed that is known to find a bug is asked first; with `REYNARD_PLANT_ANEW=1` the first one that does is looked for.
#[test]
fn planted_bugs_are_found() {
    let anew = number("REYNARD_PLANT_ANEW").is_some();
    let one = std::env::var("REYNARD_PLANT").ok().and_then(|name| plant::named(&name));
    let asked = one.map_or_else(|| plant::ALL.to_vec(), |bug| vec![(bug, 1)]);
    for (bug, soon) in asked {
        let known = if anew { None } else { first_broken(soon..=soon, Some(bug)) };
        let found = known.or_else(|| first_broken(1..=SOON, Some(bug)));
        let (seed, fault) = found.unwrap_or_else(|| panic!("{bug:?} is not found within {SOON} seeds"));
        println!("{bug:?}: seed {seed}: {fault}");
    }
}
