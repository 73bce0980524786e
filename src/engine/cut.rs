//! Which attempts are to be cut off: those of runs that somebody has cancelled. The writer makes the cut once that is committed, and
//! whoever carries an attempt out looks whether it was made. Knows no single action.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::domain::id::RunId;
use crate::engine::ports::{ActionError, Cut};

/// How many runs are known before those of which nothing is under way any more are forgotten.
const FEW: usize = 64;
/// How long whoever performs an attempt may take to end it once it is cut off.
const CUT_WITHIN: Duration = Duration::from_secs(10);

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

/// Somebody has cancelled its run: whoever performs it ends it and says what is known; one that changes nothing is simply dropped.
pub async fn unless_cut(
    deed: impl Future<Output = Result<Value, ActionError>>,
    (cut, destructive): (&Cut, bool),
) -> Result<Value, ActionError> {
    tokio::pin!(deed);
    tokio::select! {
        biased;
        answer = &mut deed => return answer,
        () = cut.made() => {}
    }
    let patience = if destructive { CUT_WITHIN } else { Duration::ZERO };
    let cut_off = || ActionError::Unknown("cut off on request; it may have happened".to_owned());
    tokio::time::timeout(patience, deed).await.unwrap_or_else(|_| Err(cut_off()))
}

#[cfg(test)]
mod tests {
    use tokio::time::{Instant, sleep};

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

    #[tokio::test(start_paused = true)]
    async fn whoever_is_cut_off_has_some_time_to_say_what_is_known_and_then_nobody_knows() {
        let (cut, began) = (Cut::already(), Instant::now());
        let says = async {
            sleep(Duration::from_secs(3)).await;
            Err(ActionError::Fatal("it was not begun".to_owned()))
        };
        let said = unless_cut(says, (&cut, true)).await;
        assert!(matches!(said, Err(ActionError::Fatal(_))), "whoever performs it knows best: {said:?}");
        let deaf = unless_cut(std::future::pending(), (&cut, true)).await;
        assert!(matches!(&deaf, Err(ActionError::Unknown(why)) if why.starts_with("cut off")), "{deaf:?}");
        assert_eq!(began.elapsed(), Duration::from_secs(3) + CUT_WITHIN);
        let looks = unless_cut(std::future::pending(), (&cut, false)).await;
        assert!(matches!(looks, Err(ActionError::Unknown(_))), "{looks:?}");
        assert_eq!(began.elapsed(), Duration::from_secs(3) + CUT_WITHIN, "what only looks is dropped at once");
        let done = unless_cut(async { Ok(Value::Null) }, (&cut, true)).await;
        assert!(done.is_ok(), "what was done when the cut came is done: {done:?}");
    }
}
