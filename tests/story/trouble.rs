//! A database that stumbles: what failed did not happen, what was to happen happens once, and the log has no gap.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use reynard::domain::decide::command::Command;
use reynard::domain::id::IncidentId;
use reynard::domain::incident::{Incident, NotificationStatus};
use reynard::domain::time::{Span, Timestamp};
use reynard::domain::timeline::Actor;
use reynard::engine::ports::{ActionError, Delivered};
use reynard::engine::runtime::EngineError;
use reynard::engine::store::{Batch, Job, Journal, Resumed, StoreError};
use reynard::store::sqlite::open::SqliteStore;

use crate::app::{App, alert, body};

/// The verbs that are to fail, in the order in which they are asked; a verb that is not next goes well.
#[derive(Default)]
pub struct Trouble(Mutex<VecDeque<&'static str>>);

impl Trouble {
    pub fn comes(&self, verbs: &[&'static str]) {
        self.0.lock().expect("no panics").extend(verbs);
    }

    fn at(&self, verb: &'static str) -> Result<(), StoreError> {
        let mut planned = self.0.lock().expect("no panics");
        match planned.front() {
            Some(next) if *next == verb => {
                planned.pop_front();
                Err(StoreError::Unavailable("it stumbles".to_owned()))
            }
            // A commit that goes well is planned by its own word, so that a later one can be meant.
            Some(next) if *next == "good commit" && verb == "commit" => {
                planned.pop_front();
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Facts that the database refuses, as it would a poisoned command's; what has none is let through.
    fn with(&self, batch: &Batch) -> Result<(), StoreError> {
        let mut planned = self.0.lock().expect("no panics");
        if planned.front() == Some(&"refused facts") && !batch.entries.is_empty() {
            planned.pop_front();
            return Err(StoreError::Refused("it does not like these facts".to_owned()));
        }
        Ok(())
    }

    fn is_over(&self) -> bool {
        self.0.lock().expect("no panics").is_empty()
    }
}

/// The real store, stumbling as planned.
pub struct Shaky {
    pub store: Arc<SqliteStore>,
    pub trouble: Arc<Trouble>,
}

#[async_trait]
impl Journal for Shaky {
    async fn resume(&self, now: Timestamp) -> Result<Resumed, StoreError> {
        self.store.resume(now).await
    }

    async fn commit(&self, batch: &Batch, now: Timestamp) -> Result<(), StoreError> {
        assert!(self.trouble.at("commit falls over").is_ok(), "it falls over");
        self.trouble.at("commit")?;
        self.trouble.with(batch)?;
        self.store.commit(batch, now).await?;
        self.trouble.at("commit answered")
    }

    async fn newest_of_keys(&self, keys: &[String]) -> Result<Vec<(String, Incident)>, StoreError> {
        self.store.newest_of_keys(keys).await
    }

    async fn load(&self, ids: &[IncidentId]) -> Result<Vec<(String, Incident)>, StoreError> {
        self.trouble.at("load")?;
        self.store.load(ids).await
    }

    async fn jobs_due(&self, until: Timestamp, after: i64, limit: u32) -> Result<Vec<Job>, StoreError> {
        self.trouble.at("jobs_due")?;
        self.store.jobs_due(until, after, limit).await
    }

    async fn request_known(&self, key: &str) -> Result<bool, StoreError> {
        self.trouble.at("request_known")?;
        self.store.request_known(key).await
    }

    async fn keep_revision(&self, revision: &str, slug: &str, source: &str, now: Timestamp) -> Result<(), StoreError> {
        self.store.keep_revision(revision, slug, source, now).await
    }

    async fn pinned_revisions(&self) -> Result<Vec<(String, String, String)>, StoreError> {
        self.store.pinned_revisions().await
    }
}

const ONE_AT_A_TIME: &str = "
title: One at a time
on: { type: service_down }
limits: { concurrency: 1 }
steps:
  - { id: protect, action: postgres.read_only, target: orders-db, undo: on_resolve }
";

fn comment(text: &str) -> Command {
    Command::Comment { text: text.to_owned() }
}

fn ana() -> Actor {
    Actor::Person("ana".to_owned())
}

impl App {
    /// The database stumbles as planned, and time passes until it is found to be well again.
    pub async fn heals(&self) {
        let well = async {
            while !self.trouble.is_over() || !self.runtime.health().ready {
                tokio::task::yield_now().await;
            }
            self.settles().await;
        };
        let time = async {
            loop {
                for _ in 0..100 {
                    tokio::task::yield_now().await;
                }
                self.clock.turn(Span(100));
            }
        };
        let both = async {
            tokio::select! {
                () = well => {}
                () = time => {}
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(20), both).await.expect("the trouble comes and goes");
    }
}

#[tokio::test]
async fn a_command_whose_commit_fails_did_not_happen_and_leaves_no_gap() {
    let app = App::new().await;
    let incident = app.fires("Anything", "critical").await;
    app.trouble.comes(&["commit"]);
    let refused = app.runtime.command(incident.id, ana(), comment("lost"), None).await;
    assert!(matches!(refused, Err(EngineError::Unavailable(_))), "{refused:?}");
    // Nobody sends anything meanwhile.
    app.heals().await;
    app.puts(incident.id, "ana", comment("kept")).await.expect("taken");
    let sentences = app.sentences(incident.id).await;
    assert!(sentences.contains(&"kept".to_owned()) && !sentences.contains(&"lost".to_owned()), "{sentences:?}");
    app.assert_fold_is_state(incident.id).await;
}

#[tokio::test]
async fn a_batch_that_fails_half_decided_is_forgotten_whole() {
    let app = App::new().await;
    let incident = app.fires("Anything", "critical").await;
    app.trouble.comes(&["request_known"]);
    // Both wait for the writer before it looks: one batch, whose second command cannot be decided.
    let (first, second) = tokio::join!(
        app.runtime.command(incident.id, ana(), comment("first"), None),
        app.runtime.command(incident.id, ana(), comment("second"), Some("key".to_owned())),
    );
    assert!(first.is_err() && second.is_err(), "{first:?} {second:?}");
    app.heals().await;
    let version = app.puts(incident.id, "ana", comment("third")).await.expect("taken");
    assert_eq!(version, incident.seq + 1);
    app.assert_fold_is_state(incident.id).await;
}

#[tokio::test]
async fn a_delivery_whose_work_is_refused_is_stored_and_worked_by_itself() {
    let app = App::with(&[("one", ONE_AT_A_TIME)]).await;
    app.trouble.comes(&["refused facts"]);
    let post = body(&[alert("ServiceDown", "critical", "firing", 0)]).to_string().into_bytes();
    app.runtime.deliver("am", post).await.expect("it is stored");
    app.heals().await;
    let incident = app.newest().await;
    assert_eq!((incident.number, app.incidents().await.len()), (1, 1), "no number is lost");
    assert_eq!(app.calls(), ["postgres.read_only orders-db #1"], "the limit did not count what never happened");
    assert!(!app.kinds(incident.id).await.contains(&"limit_hit".to_owned()));
    app.assert_fold_is_state(incident.id).await;
}

#[tokio::test]
async fn a_delivery_that_can_never_be_worked_is_kept_and_stops_nobody() {
    let app = App::new().await;
    app.trouble.comes(&["refused facts", "refused facts"]);
    let post = body(&[alert("Poisoned", "critical", "firing", 0)]).to_string().into_bytes();
    let receipt = app.runtime.deliver("am", post).await.expect("it is stored");
    app.heals().await;
    assert!(app.incidents().await.is_empty());
    let report = app.runtime.reads.delivery(receipt.delivery).await.expect("readable");
    assert!(report.is_some(), "what came is there for whoever looks into it");
    let incident = app.fires("Anything", "critical").await;
    assert_eq!(incident.number, 1);
    app.assert_fold_is_state(incident.id).await;
}

#[tokio::test]
async fn a_commit_whose_answer_is_lost_is_made_once() {
    let app = App::with(&[("one", ONE_AT_A_TIME)]).await;
    app.trouble.comes(&["commit answered"]);
    let post = || body(&[alert("ServiceDown", "critical", "firing", 0)]).to_string().into_bytes();
    assert!(app.runtime.deliver("am", post()).await.is_err(), "nobody knows whether it is stored");
    app.heals().await;
    app.runtime.deliver("am", post()).await.expect("the sender tries again");
    app.settles().await;
    let incident = app.newest().await;
    let whole = app.kinds(incident.id).await;
    for kind in ["opened", "run_started", "escalated"] {
        assert_eq!(whole.iter().filter(|entry| *entry == kind).count(), 1, "{whole:?}");
    }
    app.trouble.comes(&["commit answered"]);
    let unknown = app.runtime.command(incident.id, ana(), comment("once"), None).await;
    assert!(unknown.is_err(), "nobody knows whether it happened: {unknown:?}");
    app.heals().await;
    app.puts(incident.id, "ana", comment("later")).await.expect("taken");
    let sentences = app.sentences(incident.id).await;
    assert_eq!(sentences.iter().filter(|sentence| *sentence == "once").count(), 1, "{sentences:?}");
    app.assert_fold_is_state(incident.id).await;
}

#[tokio::test]
async fn a_page_whose_facts_cannot_be_read_for_a_moment_is_sent_all_the_same() {
    let mut app = App::new().await;
    let later = Delivered::Again { reason: "busy".to_owned(), after: Some(std::time::Duration::from_secs(60)) };
    app.world.replies.lock().expect("no panics").push_back(later);
    let incident = app.fires("Anything", "critical").await;
    assert!(app.sent().is_empty());
    app.crashes().await;
    app.trouble.comes(&["load"]);
    app.clock.turn(Span::seconds(60));
    app.heals().await;
    assert_eq!(app.sent().len(), 1, "{:?}", app.sentences(incident.id).await);
    assert!(app.newest().await.notifications.values().all(|n| n.status == NotificationStatus::Sent));
    app.assert_fold_is_state(incident.id).await;
}

#[tokio::test]
async fn reopened_by_a_person_it_still_answers_to_its_alerts() {
    let app = App::new().await;
    let incident = app.fires("Anything", "critical").await;
    app.ends("Anything", "critical").await;
    app.passes(Span::minutes(1)).await;
    app.passes(Span::hours(2)).await;
    app.puts(incident.id, "ana", Command::Reopen { note: String::new() }).await.expect("taken");
    app.fires("Anything", "critical").await;
    assert_eq!(app.incidents().await.len(), 1, "its alerts are its own");
    assert_eq!(app.newest().await.counts.firing, 1);
    app.assert_fold_is_state(incident.id).await;
}

#[tokio::test]
async fn an_alert_without_a_start_began_when_it_was_heard_of() {
    let app = App::new().await;
    let mut bare = alert("Anything", "critical", "firing", 0);
    bare.as_object_mut().expect("an object").remove("startsAt");
    app.posts(&body(&[bare.clone()])).await;
    let incident = app.newest().await;
    let rows = app.runtime.reads.alerts(incident.id, 10).await.expect("readable");
    assert_eq!(rows[0].mark.starts_at, crate::app::START);
    app.clock.turn(Span::seconds(5));
    app.posts(&body(&[bare.clone()])).await;
    assert_eq!(app.newest().await.seq, incident.seq, "a repeat is no news");
    // It ends and fires again at once: without a start nobody can take that for a lagging twin.
    app.clock.turn(Span::seconds(5));
    bare["status"] = "resolved".into();
    app.posts(&body(&[bare.clone()])).await;
    app.clock.turn(Span::seconds(5));
    bare["status"] = "firing".into();
    app.posts(&body(&[bare])).await;
    assert_eq!(app.newest().await.counts.firing, 1);
}

#[tokio::test]
async fn a_delivery_whose_answer_was_lost_is_worked_as_soon_as_the_database_is_back() {
    let app = App::with(&[("one", ONE_AT_A_TIME)]).await;
    app.trouble.comes(&["commit answered"]);
    let post = body(&[alert("ServiceDown", "critical", "firing", 0)]);
    let answer = app.runtime.deliver("am", post.to_string().into_bytes()).await;
    assert!(answer.is_err(), "nobody knows whether it is stored: {answer:?}");
    // Nobody sends anything meanwhile.
    app.heals().await;
    assert_eq!(app.newest().await.counts.firing, 1);
    assert_eq!((app.calls().len(), app.sent().len()), (1, 1));
    // The sender, which was told "not now", sends it again.
    app.posts(&post).await;
    assert_eq!((app.incidents().await.len(), app.calls().len(), app.sent().len()), (1, 1, 1));
    app.assert_fold_is_state(app.newest().await.id).await;
}

const TWO_LOOKS: &str = "
title: Two looks
on: { type: service_down }
steps:
  - { id: first, action: postgres.pool_status, target: orders-db }
  - { id: second, action: http.check, target: orders-admin, with: { path: /health } }
";

#[tokio::test]
async fn what_a_commit_asked_for_is_done_although_its_answer_was_lost() {
    // Whichever commit it is: the one that begins the run, or one that makes its results true and asks for what is next.
    for goods in 0..4 {
        let app = App::with(&[("two", TWO_LOOKS)]).await;
        app.trouble.comes(&["good commit"].repeat(goods));
        app.trouble.comes(&["commit answered"]);
        let post = body(&[alert("ServiceDown", "critical", "firing", 0)]).to_string().into_bytes();
        let _ = app.runtime.deliver("am", post).await;
        app.heals().await;
        let incident = app.newest().await;
        assert_eq!(app.calls(), ["postgres.pool_status orders-db #1", "http.check orders-admin #1"], "{goods}");
        assert_eq!(app.sent().len(), 1, "{goods}: {:#?}", app.sentences(incident.id).await);
        app.passes(Span::minutes(15)).await;
        assert_eq!(app.sent().len(), 2, "{goods}: the timer of the next level rings, too");
        app.assert_fold_is_state(incident.id).await;
    }
}

const LOOKS: &str = "
title: Looks
on: { type: service_down }
steps:
  - id: restart
    action: http.request
    target: orders-admin
    with: { method: POST, path: /restart }
    on_interrupt: check
    check: { action: http.check, target: orders-admin, with: { path: /health } }
";

#[tokio::test]
async fn a_look_is_asked_for_once_though_the_answer_of_its_commit_was_lost() {
    let app = App::with(&[("looks", LOOKS)]).await;
    app.answers("http.request", vec![Err(ActionError::Unknown("the answer was lost".to_owned()))]);
    app.holds("http.request");
    app.hands_in(&body(&[alert("ServiceDown", "critical", "firing", 0)])).await;
    app.is_asked(1).await;
    app.trouble.comes(&["commit answered"]);
    app.lets_go("http.request");
    app.heals().await;
    let looks = app.calls().iter().filter(|call| call.starts_with("check ")).count();
    assert_eq!(looks, 1, "{:?}", app.calls());
    app.assert_fold_is_state(app.newest().await.id).await;
}
