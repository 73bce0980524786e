//! How often passwords may be tried: a growing wait after some that were wrong, for a name and an address, and never for long, so that
//! nobody is kept out by others. Knows no password and no clock.

use std::collections::HashMap;

use crate::domain::time::{Span, Timestamp};

/// What was wrong so long ago is forgotten.
const WINDOW: Span = Span::minutes(15);
/// Tries that cost nothing, and the longest wait after them: of one address for one name, of one address, for one name.
const PAIR: Rule = Rule { free: 5, most: Span::seconds(60) };
const ADDRESS: Rule = Rule { free: 20, most: Span::seconds(60) };
/// Whoever tries a name from everywhere slows its owner down by this at most.
const NAME: Rule = Rule { free: 50, most: Span::seconds(5) };
const MOST_COUNTED: usize = 10_000;

#[derive(Clone, Copy)]
struct Rule {
    free: u32,
    most: Span,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Counted {
    Pair(String, String),
    Address(String),
    Name(String),
}

#[derive(Clone, Copy, Debug)]
struct Tries {
    count: u32,
    last: Timestamp,
}

#[derive(Debug, Default)]
pub struct Throttle(HashMap<Counted, Tries>);

impl Throttle {
    /// Counts a try before it is known to be right, so that many at once are many; or says how long to wait.
    pub fn admit(&mut self, name: &str, address: &str, now: Timestamp) -> Result<(), Span> {
        let wait = keys(name, address).iter().map(|(key, rule)| self.wait(key, *rule, now)).max().unwrap_or_default();
        if wait > Span::ZERO {
            return Err(wait);
        }
        self.make_room(now);
        for (key, _) in keys(name, address) {
            let tries = self.0.entry(key).or_insert(Tries { count: 0, last: now });
            let before = if now.since(tries.last) < WINDOW { tries.count } else { 0 };
            *tries = Tries { count: before.saturating_add(1), last: now };
        }
        Ok(())
    }

    /// The try was right: it does not count.
    pub fn was_right(&mut self, name: &str, address: &str) {
        for (key, _) in keys(name, address) {
            if matches!(key, Counted::Pair(..)) {
                self.0.remove(&key);
            } else if let Some(tries) = self.0.get_mut(&key) {
                tries.count = tries.count.saturating_sub(1);
            }
        }
    }

    fn wait(&self, key: &Counted, rule: Rule, now: Timestamp) -> Span {
        let Some(tries) = self.0.get(key).filter(|tries| now.since(tries.last) < WINDOW) else { return Span::ZERO };
        let Some(over) = tries.count.checked_sub(rule.free) else { return Span::ZERO };
        let wait = Span::seconds(1 << over.min(16)).min(rule.most);
        (tries.last + wait).since(now)
    }

    /// Whoever makes up names and addresses fills no memory.
    fn make_room(&mut self, now: Timestamp) {
        if self.0.len() + 3 > MOST_COUNTED {
            self.0.retain(|_, tries| now.since(tries.last) < WINDOW);
        }
        for least in [2, 5, u32::MAX] {
            if self.0.len() + 3 > MOST_COUNTED {
                self.0.retain(|_, tries| tries.count >= least);
            }
        }
    }
}

fn keys(name: &str, address: &str) -> [(Counted, Rule); 3] {
    let (name, address) = (name.to_owned(), address.to_owned());
    [(Counted::Pair(name.clone(), address.clone()), PAIR), (Counted::Address(address), ADDRESS), (Counted::Name(name), NAME)]
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: Timestamp = Timestamp(1_790_000_000_000);

    #[test]
    fn five_wrong_ones_are_free_and_then_each_waits_longer_up_to_a_minute() {
        let (mut throttle, mut now) = (Throttle::default(), NOON);
        for _ in 0..5 {
            assert_eq!(throttle.admit("ana", "a", now), Ok(()));
        }
        let mut waits = Vec::new();
        for _ in 0..8 {
            let wait = throttle.admit("ana", "a", now).expect_err("it waits");
            waits.push(wait.as_millis() / 1_000);
            assert!(throttle.admit("ana", "a", now + wait - Span(1)).is_err(), "and not a moment less");
            now = now + wait;
            assert_eq!(throttle.admit("ana", "a", now), Ok(()));
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(throttle.admit("ana", "elsewhere", now), Ok(()), "ana herself is elsewhere");
        assert_eq!(throttle.admit("ana", "a", now + WINDOW), Ok(()), "and it is forgotten");
    }

    #[test]
    fn one_address_that_tries_many_names_waits_and_a_name_tried_from_everywhere_waits_little() {
        let mut throttle = Throttle::default();
        for n in 0..20 {
            assert_eq!(throttle.admit(&format!("n{n}"), "a", NOON), Ok(()));
        }
        assert!(throttle.admit("n99", "a", NOON).is_err());
        let (mut throttle, mut now) = (Throttle::default(), NOON);
        for n in 0..200 {
            if let Err(wait) = throttle.admit("ana", &format!("a{n}"), now) {
                assert!(wait <= Span::seconds(5), "{wait}");
                now = now + wait;
            }
        }
    }

    #[test]
    fn a_right_one_wipes_the_slate_of_its_own_browser() {
        let mut throttle = Throttle::default();
        for _ in 0..40 {
            assert_eq!(throttle.admit("ana", "a", NOON), Ok(()));
            throttle.was_right("ana", "a");
        }
    }

    #[test]
    fn made_up_names_fill_no_memory() {
        let mut throttle = Throttle::default();
        for n in 0..3 * MOST_COUNTED {
            let _ = throttle.admit(&format!("n{n}"), &format!("a{n}"), NOON);
        }
        assert!(throttle.0.len() <= MOST_COUNTED);
    }
}
