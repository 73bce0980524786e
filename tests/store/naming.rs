//! Which alerts may name a target, on both databases: by the marks that they were written with, and by other words than those.

use std::collections::BTreeSet;

use reynard::domain::incident::Status;
use reynard::domain::labels::Labels;
use reynard::domain::trouble::Words;
use reynard::engine::store::{AlertRow, Batch};
use sqlx::{Connection, PgConnection, SqliteConnection};

use crate::databases::{Database, Databases};
use crate::writing::{START, Writing};

/// More than are looked through in one commit, and not a whole number of them.
const MANY: usize = 25_000;

fn words(words: &[&str]) -> Words {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// As many alerts of one incident as there are instances, marked by these words.
fn fire(writing: &mut Writing, batch: &mut Batch, at: usize, instances: &[String], by: &Words) {
    writing.fires(batch, at, 0);
    let alert = batch.alerts.pop().expect("it was just put there");
    batch.alerts.extend(instances.iter().enumerate().map(|(n, instance)| {
        let mut mark = alert.mark.clone();
        mark.firing = true;
        mark.labels = Labels::from([("instance".to_owned(), instance.clone()), ("job".to_owned(), "named".to_owned())]);
        let may_name = by.may_be_in(&mark.labels);
        AlertRow { fingerprint: format!("{n:016x}"), mark, may_name, ..alert.clone() }
    }));
}

async fn found(database: &Database, words: &Words) -> BTreeSet<String> {
    let firing = database.journal.firing(words).await.expect("readable");
    firing.into_iter().map(|(_, _, labels)| labels.into_values().collect::<Vec<_>>().join(" ")).collect()
}

/// As a node of the version before would write them.
async fn forget_marks(database: &Database) {
    const FORGET: &str = "update alerts set may_name = null";
    if let Some(path) = database.url.strip_prefix("sqlite://") {
        let mut db = SqliteConnection::connect(&format!("sqlite://{path}")).await.expect("the file opens");
        sqlx::query(FORGET).execute(&mut db).await.expect("written");
    } else {
        let mut db = PgConnection::connect(&database.url).await.expect("the server answers");
        sqlx::query(FORGET).execute(&mut db).await.expect("written");
    }
}

#[tokio::test]
async fn an_alert_is_found_by_the_words_that_count_now_whichever_it_was_written_under() {
    for database in Databases::empty("an_alert_is_found").await.all {
        let (name, none, two, other) = (database.name, words(&[]), words(&["i-7", "i-24999"]), words(&["i-10000", "i-7", "named"]));
        assert_eq!(found(&database, &none).await, BTreeSet::new(), "{name}");
        let mut writing = Writing::new(1);
        let mut batch = writing.blank();
        let at = writing.opens(&mut batch, "key");
        let instances: Vec<String> = (0..MANY).map(|n| format!("i-{n}")).collect();
        fire(&mut writing, &mut batch, at, &instances, &none);
        database.journal.commit(&batch, START).await.expect("committed");

        assert_eq!(found(&database, &none).await, BTreeSet::new(), "{name}");
        assert_eq!(found(&database, &two).await, BTreeSet::from(["i-24999".to_owned(), "i-7".to_owned()]), "{name}");
        // The value of a label that says nothing of where an alert comes from names nothing.
        assert_eq!(found(&database, &other).await, BTreeSet::from(["i-10000".to_owned(), "i-7".to_owned()]), "{name}");
        let database = database.again().await;
        assert_eq!(found(&database, &other).await, BTreeSet::from(["i-10000".to_owned(), "i-7".to_owned()]), "{name}");
        assert_eq!(found(&database, &none).await, BTreeSet::new(), "{name}");

        // Those that nobody has marked are all looked at.
        forget_marks(&database).await;
        assert_eq!(found(&database, &none).await.len(), MANY, "{name}");
        assert_eq!(found(&database, &two).await, BTreeSet::from(["i-24999".to_owned(), "i-7".to_owned()]), "{name}");
    }
}

#[tokio::test]
async fn what_has_ended_or_whose_incident_is_over_names_nothing() {
    for database in Databases::empty("what_has_ended").await.all {
        let (name, words) = (database.name, words(&["i-0", "i-1", "i-2"]));
        database.journal.firing(&words).await.expect("readable");
        let mut writing = Writing::new(2);
        let mut batch = writing.blank();
        let at = writing.opens(&mut batch, "key");
        fire(&mut writing, &mut batch, at, &["i-0".to_owned(), "i-1".to_owned()], &words);
        let over = writing.opens(&mut batch, "other");
        fire(&mut writing, &mut batch, over, &["i-2".to_owned()], &words);
        let mut incident = writing.incidents[over].1.clone();
        incident.status = Status::Resolved;
        batch.incidents.iter_mut().filter(|row| row.state.id == incident.id).for_each(|row| row.state = incident.clone().into());
        batch.alerts[0].mark.firing = false;
        database.journal.commit(&batch, START).await.expect("committed");
        assert_eq!(found(&database, &words).await, BTreeSet::from(["i-1".to_owned()]), "{name}");
    }
}
