//! What a playbook said, since when and by whom, on both databases.

use reynard::domain::run::RunStatus;
use reynard::domain::time::{Span, Timestamp};
use reynard::engine::revisions::{Edition, Save, Saving};

use crate::databases::{Database, Databases};
use crate::writing::{START, Writing};

fn at(minutes: u64) -> Timestamp {
    START + Span::minutes(minutes)
}

fn save(revision: &str, replaces: Option<&str>, by: &str) -> Save {
    let replaces = replaces.map(str::to_owned);
    Save { slug: "drain".to_owned(), revision: revision.to_owned(), source: format!("text {revision}"), replaces, by: by.to_owned() }
}

async fn told(database: &Database, slug: &str) -> Vec<(String, Timestamp, Vec<(Timestamp, String)>)> {
    let saves = |edition: &Edition| edition.saves.iter().map(|Saving { at, by }| (*at, by.clone())).collect();
    let editions = database.revisions.editions(slug).await.expect("readable");
    editions.iter().map(|edition| (edition.revision.clone(), edition.first_seen_at, saves(edition))).collect()
}

#[tokio::test]
async fn every_text_is_kept_with_who_saved_it_the_latest_first() {
    for database in Databases::empty("every_text_is_kept").await.all {
        let name = database.name;
        for again in [0, 9] {
            database.journal.keep_revision("r1", "drain", "text r1", at(again)).await.expect("kept");
        }
        database.journal.keep_revision("r1", "twin", "text r1", at(1)).await.expect("two playbooks may say the same");
        let saves = [save("r2", Some("r1"), "ana"), save("r3", Some("r2"), "'; drop table saves; --"), save("r1", Some("r3"), "bo")];
        for (n, save) in (2..).zip(&saves) {
            assert_eq!(database.revisions.save(save, at(n)).await.expect("kept"), n - 1, "{name}");
        }
        let saved = |n, by: &str| vec![(at(n), by.to_owned())];
        let expected = [
            ("r1".to_owned(), at(0), saved(4, "bo")),
            ("r3".to_owned(), at(3), saved(3, "'; drop table saves; --")),
            ("r2".to_owned(), at(2), saved(2, "ana")),
        ];
        assert_eq!(told(&database, "drain").await, expected, "{name}");
        assert_eq!(told(&database, "twin").await, [("r1".to_owned(), at(1), Vec::new())], "{name}");
        let text = database.revisions.text("drain", "r2").await.expect("readable");
        assert_eq!(text.as_deref(), Some("text r2"), "{name}");
        assert_eq!(database.revisions.text("twin", "r2").await.expect("readable"), None, "{name}: another playbook's text");
        database.revisions.take_back("drain", 3).await.expect("taken back");
        assert_eq!(told(&database, "drain").await[2], ("r1".to_owned(), at(0), Vec::new()), "{name}: what was not made was not saved");
        assert!(told(&database.again().await, "nobody").await.is_empty(), "{name}");
    }
}

#[tokio::test]
async fn each_text_knows_its_runs() {
    for database in Databases::empty("each_text_knows_its_runs").await.all {
        let name = database.name;
        for revision in ["r1", "r2"] {
            database.journal.keep_revision(revision, "service_down", revision, START).await.expect("kept");
        }
        let mut writing = Writing::new(11);
        let mut batch = writing.blank();
        for status in [RunStatus::Succeeded, RunStatus::Failed, RunStatus::Running] {
            let at = writing.opens(&mut batch, &format!("{status:?}"));
            writing.runs(&mut batch, at, status);
        }
        database.journal.commit(&batch, writing.now).await.expect("committed");
        let editions = database.revisions.editions("service_down").await.expect("readable");
        let runs: Vec<_> =
            editions.iter().map(|edition| (edition.revision.as_str(), edition.runs, edition.last_run_at.is_some())).collect();
        assert_eq!(runs, [("r1", 3, true), ("r2", 0, false)], "{name}");
        let past = database.revisions.past_runs("service_down", 2).await.expect("readable");
        assert_eq!(past.len(), 2, "{name}: as many as were asked for");
        assert!(past.iter().all(|run| run.revision == "r1" && (1..=3).contains(&run.number)), "{name}: {past:?}");
        assert!(database.revisions.past_runs("other", 2).await.expect("readable").is_empty(), "{name}");
    }
}
