//! What automation is held back by, on both databases: what was spent, breakers, records, who holds, what lies in shadow, what a look
//! at itself finds. Each is there after a commit and after it is opened again, and a commit that is refused leaves all of it as it was.

use std::collections::BTreeMap;

use reynard::domain::autonomy::{Ended, Record};
use reynard::domain::breaker::{Breaker, Opened};
use reynard::domain::decide::command::{AttemptRef, Effect};
use reynard::domain::hold::{Hand, Hold, Holds};
use reynard::domain::id::RunId;
use reynard::domain::incident::Status;
use reynard::domain::limits::Spent;
use reynard::domain::run::RunStatus;
use reynard::domain::time::{Span, Timestamp};
use reynard::domain::timeline::{Event, StepRef};
use reynard::engine::store::{Batch, Delivery, StoreError};
use serde_json::json;
use uuid::Uuid;

use crate::databases::{Database, Databases};
use crate::writing::{START, Writing};

/// What PostgreSQL cannot keep is no name here.
const ODD_NAMES: [&str; 4] = ["", "'; drop table spent; --", "😀 größer", "100%_of\\it"];

fn at(seconds: u64) -> Timestamp {
    START + Span::seconds(seconds)
}

fn spent(seconds: u64, name: &str, target: Option<&str>) -> Spent {
    Spent { at: at(seconds), playbook: name.to_owned(), target: target.map(str::to_owned), service: target.map(|_| "orders".to_owned()) }
}

#[tokio::test]
async fn what_was_spent_is_counted_from_its_moment_on_and_in_its_order() {
    for database in Databases::empty("what_was_spent").await.all {
        let mut all: Vec<Spent> = (1..).zip(ODD_NAMES).map(|(second, name)| spent(second, name, Some(name))).collect();
        all.push(spent(9, "no target", None));
        // Twice in one moment is twice.
        all.push(spent(9, "no target", None));
        for one in &all {
            let batch = Batch { spent: vec![one.clone()], ..Batch::default() };
            database.journal.commit(&batch, one.at).await.expect("committed");
        }
        let database = database.again().await;
        let since = async |seconds| database.reads.spent_since(at(seconds)).await.expect("readable");
        assert_eq!(since(0).await, all, "{}", database.name);
        assert_eq!(since(9).await, [], "{}: what lies at the edge of the window is out of it", database.name);
        assert_eq!(since(8).await, all[4..], "{}", database.name);
        assert_eq!(database.journal.resume(at(10)).await.expect("readable").spent, all, "{}", database.name);
    }
}

#[tokio::test]
async fn a_breaker_is_one_row_whatever_becomes_of_it() {
    for database in Databases::empty("a_breaker_is_one_row").await.all {
        let mut writing = Writing::new(31);
        let mut batch = writing.blank();
        let one = writing.opens(&mut batch, "key");
        let incident = writing.incidents[one].1.id;
        let breaker = |playbook: &str, failures, opened: bool| Breaker {
            playbook: playbook.to_owned(),
            failures,
            opened: opened.then_some(Opened { at: at(5), incident }),
        };
        batch.breakers = vec![breaker("reset", 2, false), breaker("restart", 1, false)];
        database.journal.commit(&batch, writing.now).await.expect("committed");
        let then = async |breakers: Vec<Breaker>| {
            database.journal.commit(&Batch { breakers, ..Batch::default() }, at(9)).await.expect("committed");
            database.reads.breakers().await.expect("readable")
        };
        let (open, other) = (breaker("reset", 3, true), breaker("restart", 1, false));
        assert_eq!(then(vec![open.clone()]).await, [open.clone(), other.clone()], "{}", database.name);
        assert_eq!(database.journal.resume(at(10)).await.expect("readable").breakers, [open, other.clone()], "{}", database.name);
        let armed = then(vec![breaker("reset", 0, false)]).await;
        assert!(armed.iter().all(|one| one.opened.is_none()) && armed.contains(&other), "{}: {armed:?}", database.name);
    }
}

fn record(verified: u64) -> Record {
    let mut record = Record::default();
    (0..verified).for_each(|n| record.ended(Ended::Verified, Span::seconds(n + 1), None));
    record.ended(Ended::FalseStart, Span::ZERO, None);
    record
}

fn holds(by: &str, reason: &str) -> Holds {
    let mut holds = Holds::default();
    holds.put(Hand::Person, Hold { by: by.to_owned(), at: at(3), reason: reason.to_owned() });
    holds.put(Hand::File, Hold { by: "data/HOLD".to_owned(), at: at(4), reason: String::new() });
    holds
}

/// What a start and everybody else know of records and holds.
async fn known(database: &Database) -> (BTreeMap<String, Record>, Holds) {
    let resumed = database.journal.resume(at(10)).await.expect("readable");
    assert_eq!(database.reads.records().await.expect("readable"), resumed.records, "{}: one record for all", database.name);
    assert_eq!(database.reads.totals().await.expect("readable").holds, resumed.holds, "{}: one hold for all", database.name);
    (resumed.records, resumed.holds)
}

#[tokio::test]
async fn records_and_holds_are_as_the_last_commit_left_them() {
    for database in Databases::empty("records_and_holds").await.all {
        let records = |list: &[(&str, u64)]| list.iter().map(|(slug, n)| ((*slug).to_owned(), record(*n))).collect::<Vec<_>>();
        let says = |list: &[(&str, u64)], holds: Option<Holds>| Batch { records: records(list), holds, ..Batch::default() };
        let odd = holds("'; drop table meta; --", "{\"json\": [1]} 😀");
        database.journal.commit(&says(&[("reset", 1), ("größer", 60)], Some(odd.clone())), at(1)).await.expect("committed");
        // A commit that does not speak of them leaves them alone.
        database.journal.commit(&says(&[("reset", 2)], None), at(2)).await.expect("committed");
        let database = database.again().await;
        let all: BTreeMap<String, Record> = records(&[("reset", 2), ("größer", 60)]).into_iter().collect();
        assert_eq!(known(&database).await, (all.clone(), odd), "{}", database.name);
        database.journal.commit(&says(&[], Some(Holds::default())), at(3)).await.expect("committed");
        assert_eq!(known(&database).await, (all, Holds::default()), "{}", database.name);
    }
}

#[tokio::test]
async fn a_commit_that_is_refused_has_spent_counted_held_and_recorded_nothing() {
    for database in Databases::empty("a_commit_that_is_refused_has_spent").await.all {
        let mut writing = Writing::new(32);
        let mut batch = writing.blank();
        let one = writing.opens(&mut batch, "key");
        database.journal.commit(&batch, writing.now).await.expect("committed");
        let answer = Delivery {
            id: reynard::domain::id::DeliveryId(Uuid::now_v7()),
            source: "am".to_owned(),
            received_at: START,
            body: b"{}".to_vec(),
        };
        database.inbox.put(&answer).await.expect("kept");
        // Its places in the log are taken.
        let mut refused = batch.clone();
        refused.answers = vec![answer.id];
        refused.spent = vec![spent(1, "reset", None)];
        refused.records = vec![("reset".to_owned(), record(3))];
        refused.holds = Some(holds("ana", "no"));
        let opened = Some(Opened { at: START, incident: writing.incidents[one].1.id });
        refused.breakers = vec![Breaker { playbook: "reset".to_owned(), failures: 3, opened }];
        let no = database.journal.commit(&refused, at(2)).await;
        assert!(matches!(no, Err(StoreError::Refused(_))), "{}: {no:?}", database.name);
        assert_eq!(known(&database).await, Default::default(), "{}", database.name);
        assert!(database.reads.spent_since(at(0)).await.expect("readable").is_empty(), "{}", database.name);
        assert!(database.reads.breakers().await.expect("readable").is_empty(), "{}", database.name);
        assert_eq!(database.inbox.waiting(9).await.expect("readable").len(), 1, "{}: the late answer waits on", database.name);
        let taken = Batch { answers: vec![answer.id], ..Batch::default() };
        assert!(!taken.is_empty());
        database.journal.commit(&taken, at(3)).await.expect("committed");
        assert!(database.inbox.waiting(9).await.expect("readable").is_empty(), "{}: it is out, and no delivery", database.name);
        assert_eq!(database.reads.totals().await.expect("readable").deliveries, 0, "{}", database.name);
    }
}

#[tokio::test]
async fn what_lies_in_shadow_is_found_newest_first_and_nothing_else_that_was_skipped() {
    for database in Databases::empty("what_lies_in_shadow").await.all {
        let mut writing = Writing::new(33);
        let mut batch = writing.blank();
        let one = writing.opens(&mut batch, "key");
        let run = RunId::derive(writing.incidents[one].1.id, 1);
        let step = |name: &str| StepRef { run, step: name.to_owned(), attempt: 1, undo: false };
        let shadowed = |name: &str| Event::StepShadowed {
            at: step(name),
            title: name.to_owned(),
            playbook: "reset".to_owned(),
            action: "http.request".to_owned(),
            target: None,
            params: json!({"kind": "step_skipped"}),
            why: "automation is in shadow".to_owned(),
            limit: None,
            asks: false,
        };
        for (second, event) in [
            (1, shadowed("old")),
            (2, Event::StepSkipped { at: step("skipped"), title: "a".to_owned(), reason: "{\"kind\":\"step_shadowed\"".to_owned() }),
            (3, shadowed("first")),
            (4, shadowed("second")),
        ] {
            writing.now = at(second);
            writing.says(&mut batch, one, event);
        }
        database.journal.commit(&batch, writing.now).await.expect("committed");
        let found = async |since, limit| {
            let found = database.reads.shadowed(at(since), limit).await.expect("readable");
            found.iter().map(|(_, entry)| entry.event.step().expect("a step").step.clone()).collect::<Vec<_>>()
        };
        assert_eq!(found(2, 9).await, ["second", "first"], "{}", database.name);
        assert_eq!(found(1, 2).await, ["second", "first"], "{}", database.name);
        assert_eq!(found(1, 9).await, ["second", "first", "old"], "{}", database.name);
    }
}

#[tokio::test]
async fn the_last_runs_of_a_playbook_are_those_that_are_over() {
    for database in Databases::empty("the_last_runs_of_a_playbook").await.all {
        let mut writing = Writing::new(34);
        for (key, status) in [("a", RunStatus::Failed), ("b", RunStatus::Running), ("c", RunStatus::Cancelled), ("d", RunStatus::Succeeded)]
        {
            let mut batch = writing.blank();
            let one = writing.opens(&mut batch, key);
            writing.runs(&mut batch, one, status);
            database.journal.commit(&batch, writing.now).await.expect("committed");
            writing.written(&batch);
        }
        let last = async |playbook: &str, limit| {
            let found = database.reads.last_runs(playbook, limit).await.expect("readable");
            found.into_iter().map(|(number, run)| (number, run.status)).collect::<Vec<_>>()
        };
        let all = [(4, RunStatus::Succeeded), (3, RunStatus::Cancelled), (1, RunStatus::Failed)];
        assert_eq!(last("service_down", 9).await, all, "{}", database.name);
        assert_eq!(last("service_down", 2).await, all[..2], "{}", database.name);
        assert_eq!(last("another", 9).await, [], "{}", database.name);
    }
}

#[tokio::test]
async fn a_look_at_itself_finds_what_is_adrift_overdue_and_at_work() {
    for database in Databases::empty("a_look_at_itself").await.all {
        let mut writing = Writing::new(35);
        let mut batch = writing.blank();
        let [adrift, busy, over] = ["adrift", "busy", "over"].map(|key| writing.opens(&mut batch, key));
        writing.incidents[over].1.status = Status::Resolved;
        writing.says(&mut batch, over, Event::Resolved { reason: String::new() });
        writing.runs(&mut batch, busy, RunStatus::Running);
        let id = writing.incidents[busy].1.id;
        let run = *writing.incidents[busy].1.runs.keys().next().expect("a run");
        let effect = Effect::Perform { attempt: AttemptRef { run, step: "a".to_owned(), attempt: 1, undo: false, check: false } };
        for started in [true, false] {
            let job = writing.asks(&mut batch, busy, started);
            let asked = batch.jobs.iter_mut().find(|asked| asked.id == job).expect("it was asked for");
            (asked.effect, asked.due_at) = (effect.clone(), at(job.unsigned_abs()));
        }
        database.journal.commit(&batch, writing.now).await.expect("committed");
        let audit = database.reads.audit(at(100), 9).await.expect("readable");
        assert_eq!(audit.adrift, [writing.incidents[adrift].1.number], "{}", database.name);
        let overdue = audit.overdue.expect("the one that has not begun");
        assert_eq!((overdue.number, overdue.due_at, overdue.count), (writing.incidents[busy].1.number, at(2), 1), "{}", database.name);
        assert_eq!(audit.at_work.iter().map(|state| state.id).collect::<Vec<_>>(), [id], "{}", database.name);
        let mut attempts: Vec<(bool, Timestamp)> = audit.attempts.iter().map(|asked| (asked.started, asked.at)).collect();
        attempts.sort_unstable();
        assert_eq!(attempts, [(false, at(2)), (true, at(1))], "{}", database.name);
        assert!(database.reads.audit(at(1), 9).await.expect("readable").overdue.is_none(), "{}: nothing is late yet", database.name);
    }
}
