//! Which attempts are to be cut off: those of runs that somebody has cancelled. The writer makes the cut once that is committed, and
//! whoever carries an attempt out looks whether it was made. Knows no action.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio_util::sync::CancellationToken;

use crate::domain::id::RunId;
use crate::engine::ports::Cut;

/// How many runs are known before those of which nothing is under way any more are forgotten.
const FEW: usize = 64;

/// The runs of which something is handed out.
#[derive(Debug, Default)]
pub struct Cuts(Mutex<HashMap<RunId, Weak<CancellationToken>>>);

impl Cuts {
    /// What an attempt of the run looks at, for as long as it is under way.
    pub fn of(&self, run: RunId) -> Cut {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= FEW && known.len() == known.capacity() {
            known.retain(|_, token| token.strong_count() > 0);
        }
        if let Some(token) = known.get(&run).and_then(Weak::upgrade) {
            return Cut::of(token);
        }
        let token = Arc::new(CancellationToken::new());
        known.insert(run, Arc::downgrade(&token));
        Cut::of(token)
    }

    /// Cuts off whatever of the run is under way.
    pub fn make(&self, run: RunId) {
        let token = self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&run);
        if let Some(token) = token.and_then(|token| token.upgrade()) {
            token.cancel();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_run_s_own_attempts_are_cut_off_and_what_is_over_is_forgotten() {
        let cuts = Cuts::default();
        let (one, other) = (RunId(uuid::Uuid::from_u128(1)), RunId(uuid::Uuid::from_u128(2)));
        let (first, second, beside) = (cuts.of(one), cuts.of(one), cuts.of(other));
        cuts.make(one);
        assert_eq!((first.is_made(), second.is_made(), beside.is_made()), (true, true, false));
        assert!(!cuts.of(one).is_made(), "what is handed out later is looked at when it is");
        for run in 0..10_000 {
            drop(cuts.of(RunId(uuid::Uuid::from_u128(run))));
        }
        assert!(cuts.0.lock().expect("no panics").len() < 1_000);
        cuts.make(other);
        assert!(beside.is_made());
    }
}
