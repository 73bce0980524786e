//! Each verb of a database, on both of them.

use reynard::domain::incident::Status;
use reynard::domain::run::RunStatus;
use reynard::domain::time::{Span, Timestamp};
use reynard::domain::timeline::Event;
use reynard::engine::store::{AlertRow, Batch, IncidentName, IncidentQuery, StoreError};
use uuid::Uuid;

use crate::databases::Databases;
use crate::writing::{ODD, START, Writing};

fn comment(text: &str) -> Event {
    Event::Commented { text: text.to_owned() }
}

#[tokio::test]
async fn an_empty_database_has_nothing_and_says_so() {
    for database in Databases::empty("an_empty_database").await.all {
        let (reads, journal) = (&database.reads, &database.journal);
        journal.commit(&Batch::default(), START).await.expect("nothing is a commit as well");
        assert_eq!(reads.incident(IncidentName::Number(1)).await.expect("readable"), None, "{}", database.name);
        assert!(reads.delivery(reynard::domain::id::DeliveryId(Uuid::nil())).await.expect("readable").is_none());
        assert!(reads.changes_since(0, 10).await.expect("readable").is_empty());
        assert!(journal.newest_of_keys(&[]).await.expect("readable").is_empty());
        assert!(journal.load(&[]).await.expect("readable").is_empty());
        assert!(!journal.request_known("a\0b").await.expect("readable"));
        assert_eq!(reads.totals().await.expect("readable"), Default::default());
        let resumed = journal.resume(START).await.expect("readable");
        assert_eq!((resumed.last_number, resumed.last_position, resumed.last_job, resumed.last_commit_at), (0, 0, 0, START));
    }
}

#[tokio::test]
async fn what_was_committed_is_there_after_it_is_opened_again() {
    for database in Databases::empty("what_was_committed").await.all {
        let mut writing = Writing::new(1);
        let mut batch = writing.blank();
        let delivery = writing.delivers(&mut batch, vec!["key".to_owned(), "other".to_owned()], vec![0, 255, 1]);
        let at = writing.opens(&mut batch, "key");
        writing.fires(&mut batch, at, 7);
        writing.runs(&mut batch, at, RunStatus::Running);
        let job = writing.asks(&mut batch, at, true);
        database.journal.commit(&batch, writing.now).await.expect("committed");
        let database = database.again().await;
        let (name, id) = (database.name, writing.incidents[at].1.id);
        let resumed = database.journal.resume(writing.now).await.expect("readable");
        assert_eq!((resumed.last_number, resumed.last_position, resumed.last_job, resumed.last_delivery), (1, 2, job, 1), "{name}");
        assert_eq!(resumed.last_commit_at, writing.now);
        assert_eq!(resumed.running["service_down"], 1);
        assert_eq!(resumed.unworked.iter().map(|(at, d)| (*at, d.id)).collect::<Vec<_>>(), [(1, delivery)], "{name}");
        assert_eq!(resumed.interrupted, batch.jobs, "{name}");
        let report = database.reads.delivery(delivery).await.expect("readable").expect("there");
        assert_eq!((report.worked, report.incidents, &report.delivery), (false, vec![id], &batch.deliveries[0].delivery), "{name}");
        let newest = database.journal.newest_of_keys(&["key".to_owned(), "none".to_owned()]).await.expect("readable");
        assert_eq!(newest, writing.incidents, "{name}: with its alerts and when it was heard of");
        let run = writing.incidents[at].1.runs.keys().next().expect("a run");
        assert_eq!(database.reads.incident_of_run(*run).await.expect("readable"), Some(id), "{name}");
    }
}

#[tokio::test]
async fn odd_texts_are_kept_and_poison_nothing() {
    for database in Databases::empty("odd_texts").await.all {
        let mut writing = Writing::new(2);
        for odd in ODD.into_iter().map(str::to_owned).chain(["x".repeat(1 << 20), "\u{fffd}\u{fffe}".to_owned()]) {
            let name = format!("{}: {odd:.40}", database.name);
            let mut batch = writing.blank();
            // The key is as long as the text: longer than an entry of an index may be.
            let key = format!("{odd} {}", writing.incidents.len());
            let delivery = writing.delivers(&mut batch, vec![key.clone()], odd.clone().into_bytes());
            let at = writing.opens(&mut batch, &key);
            writing.incidents[at].1.title.clone_from(&odd);
            writing.says(&mut batch, at, comment(&odd));
            database.journal.commit(&batch, writing.now).await.unwrap_or_else(|error| panic!("{name}: {error}"));
            writing.written(&batch);
            let found = database.journal.newest_of_keys(&[key]).await.expect("readable");
            assert_eq!(found.iter().map(|(_, incident)| &incident.title).collect::<Vec<_>>(), [&odd], "{name}: JSON keeps every text");
            let log = database.reads.timeline(found[0].1.id, 1, 10).await.expect("readable");
            assert_eq!(log[0].event, comment(&odd), "{name}");
            let report = database.reads.delivery(delivery).await.expect("readable").expect("there");
            assert_eq!((report.incidents.len(), report.delivery.body), (1, odd.clone().into_bytes()), "{name}");
            let query = IncidentQuery { q: Some(odd.chars().take(40).collect()), limit: 50, ..IncidentQuery::default() };
            let by_words = database.reads.incidents(&query).await.expect("any words can be looked for");
            assert!(odd.contains('\0') || by_words.iter().any(|incident| incident.title == odd), "{name}");
        }
    }
}

#[tokio::test]
async fn ten_thousand_rows_are_one_commit() {
    for database in Databases::empty("ten_thousand_rows").await.all {
        let mut writing = Writing::new(3);
        let mut batch = writing.blank();
        let at = writing.opens(&mut batch, "key");
        for n in 0..10_000 {
            writing.asks(&mut batch, at, false);
            let (incident, mut entry) = batch.entries[0].clone();
            (entry.seq, entry.event) = (n + 2, comment(&n.to_string()));
            batch.entries.push((incident, entry));
        }
        writing.fires(&mut batch, at, 0);
        let alert = batch.alerts.remove(0);
        batch.alerts = (0..10_000).map(|n| AlertRow { fingerprint: format!("{n:016x}"), ..alert.clone() }).collect();
        database.journal.commit(&batch, writing.now).await.expect("committed");
        let id = writing.incidents[at].1.id;
        assert_eq!(database.reads.timeline(id, 0, u32::MAX).await.expect("readable").len(), 10_001, "{}", database.name);
        assert_eq!(database.reads.alerts(id, u32::MAX).await.expect("readable").len(), 10_000);
        let (mut after, mut pages) = (0, Vec::new());
        loop {
            let page = database.journal.jobs_due(Timestamp(i64::MAX), after, 4_000).await.expect("readable");
            let Some(last) = page.last() else { break };
            after = last.id;
            pages.push(page.len());
        }
        assert_eq!(pages, [4_000, 4_000, 2_000], "{}: jobs come in pages", database.name);
    }
}

#[tokio::test]
async fn a_number_is_never_written_twice() {
    for database in Databases::empty("a_number_is_never_written_twice").await.all {
        let mut writing = Writing::new(4);
        let mut batch = writing.blank();
        let at = writing.opens(&mut batch, "key");
        database.journal.commit(&batch, writing.now).await.expect("committed");
        let twice = database.journal.commit(&batch, writing.now).await;
        assert!(matches!(twice, Err(StoreError::Refused(_))), "{}: {twice:?}", database.name);
        writing.written(&batch);
        let mut next = writing.blank();
        writing.says(&mut next, at, comment("goes on"));
        let mut gone_wrong = next.clone();
        gone_wrong.entries[0].1.seq = 1;
        gone_wrong.requests.push(("k".to_owned(), START));
        let refused = database.journal.commit(&gone_wrong, writing.now).await;
        assert!(matches!(refused, Err(StoreError::Refused(_))), "{}: {refused:?}", database.name);
        assert!(!database.journal.request_known("k").await.expect("readable"), "{}: nothing of it was made", database.name);
        database.journal.commit(&next, writing.now).await.expect("the next one goes well");
    }
}

#[tokio::test]
async fn a_timeline_is_read_from_both_ends() {
    for database in Databases::empty("a_timeline_is_read_from_both_ends").await.all {
        let mut writing = Writing::new(5);
        let mut batch = writing.blank();
        let at = writing.opens(&mut batch, "key");
        (2..=9).for_each(|n| writing.says(&mut batch, at, comment(&n.to_string())));
        database.journal.commit(&batch, writing.now).await.expect("committed");
        let id = writing.incidents[at].1.id;
        let seqs = |entries: Vec<reynard::domain::timeline::Entry>| entries.iter().map(|entry| entry.seq).collect::<Vec<_>>();
        assert_eq!(seqs(database.reads.timeline(id, 3, 3).await.expect("readable")), [4, 5, 6], "{}", database.name);
        assert_eq!(seqs(database.reads.timeline_backwards(id, 3, 3).await.expect("readable")), [2, 1]);
        assert_eq!(seqs(database.reads.timeline_backwards(id, u64::MAX, 2).await.expect("readable")), [9, 8]);
        let changes = database.reads.changes_since(4, 10).await.expect("readable");
        assert_eq!(changes.iter().map(|c| (c.position, c.incident, c.number, c.seq)).collect::<Vec<_>>(), [(9, id, 1, 9)]);
    }
}

#[tokio::test]
async fn jobs_are_due_settled_and_released() {
    for database in Databases::empty("jobs_are_due").await.all {
        let mut writing = Writing::new(6);
        let mut batch = writing.blank();
        let at = writing.opens(&mut batch, "key");
        let (waits, runs, ends) =
            (writing.asks(&mut batch, at, false), writing.asks(&mut batch, at, true), writing.asks(&mut batch, at, true));
        database.journal.commit(&batch, writing.now).await.expect("committed");
        let due = async || {
            let jobs = database.journal.jobs_due(writing.now + Span::hours(1), 0, 10).await.expect("readable");
            jobs.iter().map(|job| job.id).collect::<Vec<_>>()
        };
        assert_eq!(due().await, [waits], "{}: what is under way is not due", database.name);
        let then = Batch { released: vec![runs], settled: vec![waits, ends], ..Batch::default() };
        database.journal.commit(&then, writing.now).await.expect("committed");
        assert_eq!(due().await, [runs], "{}", database.name);
        let resumed = database.journal.resume(writing.now).await.expect("readable");
        assert_eq!((resumed.last_job, resumed.interrupted.len()), (ends, 0), "{}: an id is never used twice", database.name);
    }
}

#[tokio::test]
async fn revisions_stay_while_a_run_is_pinned_to_them() {
    for database in Databases::empty("revisions_stay").await.all {
        for text in ["text", "another text"] {
            database.journal.keep_revision("r1", "service_down", text, START).await.expect("kept");
        }
        database.journal.keep_revision("r2", "unused", "text", START).await.expect("kept");
        let mut writing = Writing::new(7);
        let mut batch = writing.blank();
        let at = writing.opens(&mut batch, "key");
        writing.runs(&mut batch, at, RunStatus::Running);
        database.journal.commit(&batch, writing.now).await.expect("committed");
        writing.written(&batch);
        let pinned = database.journal.pinned_revisions().await.expect("readable");
        assert_eq!(pinned, [("r1".to_owned(), "service_down".to_owned(), "text".to_owned())], "{}", database.name);
        let mut end = writing.blank();
        writing.incidents[at].1.status = Status::Resolved;
        writing.runs(&mut end, at, RunStatus::Succeeded);
        database.journal.commit(&end, writing.now).await.expect("committed");
        assert!(database.journal.pinned_revisions().await.expect("readable").is_empty(), "{}", database.name);
    }
}

#[tokio::test]
async fn runs_that_wait_for_their_turn_are_known_in_their_order_whatever_their_incidents_say() {
    for database in Databases::empty("runs_that_wait_for_their_turn").await.all {
        let mut writing = Writing::new(8);
        let mut batch = writing.blank();
        for key in ["begun", "first", "second", "over"] {
            let at = writing.opens(&mut batch, key);
            writing.incidents[at].1.title = "NUL \0 amid".to_owned();
            let status = if key == "over" { RunStatus::Succeeded } else { RunStatus::Waiting };
            writing.runs(&mut batch, at, status);
        }
        let begun = writing.incidents[0].1.runs.values_mut().next().expect("a run");
        begun.current = Some("wait".to_owned());
        begun.title = "NUL \0 amid".to_owned();
        writing.says(&mut batch, 0, comment("it waits within a step"));
        database.journal.commit(&batch, writing.now).await.expect("committed");
        let waiting = database.journal.resume(writing.now).await.expect("readable").waiting;
        let incidents: Vec<_> = waiting.iter().map(|(playbook, waiter)| (playbook.as_str(), waiter.incident)).collect();
        let expected = [1, 2].map(|at: usize| ("service_down", writing.incidents[at].1.id));
        assert_eq!(incidents, expected, "{}", database.name);
    }
}
