//! Who has signed in, on both databases.

use reynard::domain::time::{Span, Timestamp};
use reynard::engine::sessions::{IDLE, Session, WHOLE};

use crate::databases::{Database, Databases};
use crate::writing::START;

fn session(digest: &str, person: &str, at: Timestamp) -> Session {
    Session {
        digest: digest.to_owned(),
        person: person.to_owned(),
        mark: "mark".to_owned(),
        began_at: at,
        seen_at: at,
        address: "203.0.113.5 by ::1".to_owned(),
        agent: "'; drop table sessions; --".to_owned(),
    }
}

async fn begins(database: &Database, session: &Session) {
    database.sessions.begin(session).await.unwrap_or_else(|error| panic!("{}: {error}", database.name));
}

async fn of(database: &Database, person: &str) -> Vec<String> {
    let sessions = database.sessions.sessions_of(person).await.expect("readable");
    sessions.into_iter().map(|session| session.digest).collect()
}

#[tokio::test]
async fn a_session_is_kept_seen_and_ended_by_its_own_person_alone() {
    for database in Databases::empty("a_session_is_kept").await.all {
        let name = database.name;
        let [first, second, other] = [session("d1", "ana", START), session("d2", "ana", START + Span(5)), session("d3", "bo", START)];
        for session in [&first, &second, &other] {
            begins(&database, session).await;
        }
        assert!(database.sessions.begin(&first).await.is_err(), "{name}: an id is one session's");
        assert_eq!(database.sessions.find("d1").await.expect("readable"), Some(first.clone()), "{name}");
        assert_eq!(database.sessions.find("d9").await.expect("readable"), None, "{name}");
        assert_eq!(of(&database, "ana").await, ["d2", "d1"], "{name}: the latest first");
        database.sessions.seen("d1", START + Span::hours(2)).await.expect("seen");
        database.sessions.seen("d1", START + Span::hours(1)).await.expect("seen by a clock that is behind");
        database.sessions.seen("d9", START).await.expect("nobody");
        let seen = database.sessions.find("d1").await.expect("readable").map(|session| session.seen_at);
        assert_eq!(seen, Some(START + Span::hours(2)), "{name}");
        assert!(!database.sessions.end("bo", "d1").await.expect("asked"), "{name}: it is not bo's");
        assert!(database.sessions.end("ana", "d1").await.expect("asked"), "{name}");
        assert!(!database.sessions.end("ana", "d1").await.expect("asked"), "{name}: it is over");
        let database = database.again().await;
        assert_eq!((of(&database, "ana").await, of(&database, "bo").await), (vec!["d2".to_owned()], vec!["d3".to_owned()]), "{name}");
    }
}

#[tokio::test]
async fn a_sign_in_forgets_what_is_over() {
    for database in Databases::empty("a_sign_in_forgets").await.all {
        let name = database.name;
        let start = START - WHOLE;
        for (digest, seen) in [("old", Span(WHOLE.0 - 1)), ("idle", Span(WHOLE.0 - IDLE.0))] {
            begins(&database, &session(digest, "ana", start)).await;
            database.sessions.seen(digest, start + seen).await.expect("seen");
        }
        begins(&database, &session("used", "ana", start + Span(1))).await;
        database.sessions.seen("used", start + Span(WHOLE.0 - 1)).await.expect("seen");
        begins(&database, &session("new", "bo", start + WHOLE)).await;
        assert_eq!((of(&database, "ana").await, of(&database, "bo").await), (vec!["used".to_owned()], vec!["new".to_owned()]), "{name}");
    }
}
