//! `GET /api/v1/stream`: which incidents changed, as Server-Sent Events. Ids only, never what changed.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::IntoResponse;
use axum::response::sse::{Event, Sse};
use futures_util::Stream;
use futures_util::stream::unfold;
use serde_json::json;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Interval, MissedTickBehavior, interval};

use crate::domain::sign_in::Mode;
use crate::engine::sessions::Session;
use crate::engine::store::Change;
use crate::web::sign_in::caller::Caller;
use crate::web::sign_in::sessions::still_holds;
use crate::web::state::WebState;

/// How often a page hears that it is not forgotten.
const PING: Duration = Duration::from_secs(15);
/// How many missed changes are told one by one; more, and the page is told to look at everything.
const MISSED: u32 = 200;

pub async fn stream(State(web): State<WebState>, caller: Caller, headers: HeaderMap) -> impl IntoResponse {
    let session = caller.session().filter(|_| caller.mode == Mode::All).cloned();
    let last = headers.get("last-event-id").and_then(|id| id.to_str().ok()).and_then(|id| id.parse::<i64>().ok());
    // Listen first, then ask what was missed: nothing falls between.
    let changes = web.runtime.changes();
    let (missed, last) = match last {
        Some(position) => missed(&web, position).await,
        None => (Vec::new(), 0),
    };
    let feed = Feed { web, changes, missed: missed.into_iter(), last, ping: pings(), session, over: false };
    ([(header::CACHE_CONTROL, "no-cache"), (header::HeaderName::from_static("x-accel-buffering"), "no")], Sse::new(events(feed)))
}

struct Feed {
    web: WebState,
    changes: Receiver<Change>,
    missed: std::vec::IntoIter<Event>,
    /// The position last told, so that nothing is told twice.
    last: i64,
    ping: Interval,
    /// Without which nobody may listen.
    session: Option<Session>,
    over: bool,
}

/// What happened after `position`, and the position that this leads to.
async fn missed(web: &WebState, position: i64) -> (Vec<Event>, i64) {
    // Asked from the position itself, so that one that this log never had is known: the database is another one now.
    match web.runtime.reads.changes_since(position.saturating_sub(1), MISSED).await {
        Ok(changes) if changes.is_empty() => (vec![everything()], 0),
        Ok(changes) if changes.len() < MISSED as usize => {
            let missed = changes.iter().filter(|seen| seen.position > position);
            (missed.map(change).collect(), changes.iter().map(|seen| seen.position).fold(position, i64::max))
        }
        _ => (vec![everything()], position),
    }
}

fn events(feed: Feed) -> impl Stream<Item = Result<Event, Infallible>> {
    unfold(feed, |mut feed| async move {
        let event = next(&mut feed).await?;
        Some((Ok(event), feed))
    })
}

async fn next(feed: &mut Feed) -> Option<Event> {
    if feed.over {
        return None;
    }
    if let Some(event) = feed.missed.next() {
        return Some(event);
    }
    loop {
        tokio::select! {
            biased;
            () = feed.web.closing.cancelled() => {
                feed.over = true;
                return Some(Event::default().event("bye").data("closing"));
            }
            heard = feed.changes.recv() => match heard {
                Ok(seen) if seen.position <= feed.last => {}
                Ok(seen) => {
                    feed.last = seen.position;
                    return Some(change(&seen));
                }
                Err(RecvError::Lagged(_)) => return Some(everything()),
                Err(RecvError::Closed) => return None,
            },
            _ = feed.ping.tick() => {
                if let Some(session) = &feed.session && !still_holds(&feed.web, session).await {
                    feed.over = true;
                    return Some(Event::default().event("bye").data("signed out"));
                }
                return Some(Event::default().event("ping").data("1"));
            }
        }
    }
}

fn change(seen: &Change) -> Event {
    let data = json!({ "incident": seen.incident, "number": seen.number, "seq": seen.seq });
    Event::default().event("change").id(seen.position.to_string()).data(data.to_string())
}

/// Too much happened to tell it one by one.
fn everything() -> Event {
    Event::default().event("change").data("{}")
}

/// The first ping comes at once: the lamp turns green when the stream stands, not a quarter of a minute later.
fn pings() -> Interval {
    let mut pings = interval(PING);
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    pings
}
