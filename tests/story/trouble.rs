//! A database that stumbles: what failed did not happen, what was to happen happens once, and the log has no gap.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use futures_util::FutureExt;
use reynard::domain::chain::Digest;
use reynard::domain::decide::command::Command;
use reynard::domain::escalation::{Level, Plan, Policy};
use reynard::domain::id::IncidentId;
use reynard::domain::incident::{Incident, NotificationStatus, Status};
use reynard::domain::labels::Labels;
use reynard::domain::run::RunStatus;
use reynard::domain::settings::Rulebook;
use reynard::domain::time::{Span, Timestamp};
use reynard::domain::timeline::Actor;
use reynard::domain::trouble::Words;
use reynard::engine::error::EngineError;
use reynard::engine::ports::{ActionError, Clock, Delivered};
use reynard::engine::store::{Batch, Job, Journal, LetGo, Resumed, Slice, StoreError};

use crate::app::{App, alert, body};

/// The verbs that are to fail, in the order in which they are asked; a verb that is not next goes well.
#[derive(Default)]
pub struct Trouble {
    planned: Mutex<VecDeque<&'static str>>,
    /// Whether another node may be the writer already.
    unsure: AtomicBool,
    /// Whether a long commit may be made now.
    patient: AtomicBool,
}

impl Trouble {
    pub fn comes(&self, verbs: &[&'static str]) {
        self.planned.lock().expect("no panics").extend(verbs);
    }

    /// Whether this node is sure that no other one is the writer.
    pub fn sure(&self, sure: bool) {
        self.unsure.store(!sure, Ordering::SeqCst);
    }

    /// The long commit that was planned comes to its end.
    pub fn passes(&self) {
        self.patient.store(true, Ordering::SeqCst);
    }

    async fn takes_long(&self) {
        while !self.patient.load(Ordering::SeqCst) {
            tokio::task::yield_now().await;
        }
    }

    fn at(&self, verb: &'static str) -> Result<(), StoreError> {
        let mut planned = self.planned.lock().expect("no panics");
        match planned.front() {
            Some(next) if *next == verb => {
                planned.pop_front();
                Err(StoreError::Unavailable("it stumbles".to_owned()))
            }
            Some(&"commit fenced") if verb == "commit" => {
                planned.pop_front();
                Err(StoreError::Fenced("another node writes now".to_owned()))
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
        let mut planned = self.planned.lock().expect("no panics");
        if planned.front() == Some(&"refused facts") && !batch.entries.is_empty() {
            planned.pop_front();
            return Err(StoreError::Refused("it does not like these facts".to_owned()));
        }
        Ok(())
    }

    /// Returns once all but so many of the planned ones have come, with the clock standing still.
    pub async fn leaves(&self, planned: usize) {
        let come = async {
            while self.planned.lock().expect("no panics").len() > planned {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(20), come).await.expect("the trouble comes");
    }

    fn is_over(&self) -> bool {
        self.planned.lock().expect("no panics").is_empty()
    }
}

/// The real store, stumbling as planned.
pub struct Shaky {
    pub store: Arc<dyn Journal>,
    pub trouble: Arc<Trouble>,
}

#[async_trait]
impl Journal for Shaky {
    async fn resume(&self, now: Timestamp) -> Result<Resumed, StoreError> {
        self.store.resume(now).await
    }

    async fn firing(&self, words: &Words) -> Result<Vec<(IncidentId, String, Labels)>, StoreError> {
        self.store.firing(words).await
    }

    async fn commit(&self, batch: &Batch, now: Timestamp) -> Result<(), StoreError> {
        assert!(self.trouble.at("commit falls over").is_ok(), "it falls over");
        self.trouble.at("commit")?;
        self.trouble.with(batch)?;
        if self.trouble.at("long commit").is_err() {
            self.trouble.takes_long().await;
        }
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

    async fn expired(&self, before: Timestamp, limit: u32) -> Result<Vec<(IncidentId, Digest)>, StoreError> {
        self.store.expired(before, limit).await
    }

    async fn let_go(&self, slice: &Slice) -> Result<LetGo, StoreError> {
        self.trouble.at("let go")?;
        let went = self.store.let_go(slice).await?;
        self.trouble.at("let go answered")?;
        Ok(went)
    }

    fn may_begin(&self) -> bool {
        !self.trouble.unsure.load(Ordering::SeqCst)
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
        let both = async {
            tokio::select! {
                () = well => {}
                () = self.time_passes() => {}
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(20), both).await.expect("the trouble comes and goes");
    }

    /// Turns the clock a little at a time, for as long as it is polled.
    pub async fn time_passes(&self) {
        loop {
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
            self.clock.turn(Span(100));
        }
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
        app.runtime.command(incident.id, ana(), comment("second"), Some("key".into())),
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

const LOOKS: &str = "
title: Look
on: { type: service_down }
steps:
  - { id: poke, action: http.request, target: orders-admin, with: { method: POST, path: /poke } }
";

impl App {
    /// Until the log says so; nothing need come to rest.
    async fn tells(&self, kind: &str) {
        let told = async {
            while !self.incidents().await.iter().any(|incident| !incident.runs.is_empty()) {
                tokio::task::yield_now().await;
            }
            while !self.kinds(self.newest().await.id).await.iter().any(|told| told == kind) {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(20), told).await.expect("the log tells it");
    }
}

#[tokio::test]
async fn a_node_that_may_have_lost_the_work_begins_nothing_until_it_is_sure_again() {
    let app = App::with(&[("service_down", LOOKS)]).await;
    app.trouble.unsure.store(true, Ordering::SeqCst);
    let body = body(&[alert("ServiceDown", "critical", "firing", 0)]).to_string().into_bytes();
    app.runtime.deliver("am", body).await.expect("what is committed is committed");
    app.tells("step_started").await;
    for _ in 0..100 {
        app.clock.set(app.clock.now() + Span::seconds(1));
        tokio::task::yield_now().await;
    }
    assert_eq!((app.calls(), app.sent()), (vec![], vec![]), "neither steps nor messages");
    app.trouble.unsure.store(false, Ordering::SeqCst);
    app.clock.set(app.clock.now() + Span::seconds(1));
    app.settles().await;
    assert_eq!(app.calls(), ["http.request orders-admin #1"]);
}

/// Where a node loses the lease while it gives its work away, nobody holds its loops any more: found by the simulation, in which the
/// attempt began a quarter of an hour later, when that node was active again and its step had long been taken back.
#[tokio::test]
async fn loops_that_nobody_holds_any_more_begin_nothing_when_the_node_is_sure_again() {
    let mut app = App::with(&[("service_down", LOOKS)]).await;
    app.trouble.sure(false);
    let body = body(&[alert("ServiceDown", "critical", "firing", 0)]).to_string().into_bytes();
    app.runtime.deliver("am", body).await.expect("what is committed is committed");
    app.tells("step_started").await;
    drop(app.loops.take().expect("running"));
    app.trouble.sure(true);
    for _ in 0..100 {
        app.clock.set(app.clock.now() + Span::seconds(1));
        tokio::task::yield_now().await;
    }
    assert_eq!((app.calls(), app.sent()), (vec![], vec![]), "whoever has the work does it");
}

#[tokio::test]
async fn a_fenced_node_drops_what_it_had_in_hand_and_goes_on_from_the_disk_when_it_takes_over_again() {
    let mut app = App::with(&[("service_down", LOOKS)]).await;
    let incident = app.fires("ServiceDown", "critical").await;
    let before = app.entries(incident.id).await.len();
    app.trouble.comes(&["commit fenced"]);
    let answer = app.runtime.command(incident.id, ana(), comment("too late"), None).await;
    assert!(matches!(answer, Err(EngineError::Unavailable(_))), "{answer:?}");
    let mut loops = app.loops.take().expect("they run");
    tokio::time::timeout(std::time::Duration::from_secs(20), loops.over()).await.expect("there is no writer any more");
    loops.abort();
    app.runtime.stands_by("b:5001");
    let answer = app.runtime.command(incident.id, ana(), comment("to the wrong one"), None).await;
    assert!(matches!(answer, Err(EngineError::StandingBy(node)) if node == "b:5001"));
    let delivered = app.runtime.deliver("am", body(&[alert("X", "critical", "firing", 0)]).to_string().into_bytes()).await;
    assert!(matches!(delivered, Err(EngineError::StandingBy(_))));
    assert_eq!(app.entries(incident.id).await.len(), before, "nothing was made of what it had in hand");

    let journal = app.store.clone().expect("it is open");
    app.loops = Some(app.runtime.take_over(journal).await.expect("taken over"));
    app.settles().await;
    app.puts(incident.id, "ana", comment("in time")).await.expect("it works again");
    app.assert_fold_is_state(incident.id).await;
    assert_eq!(app.calls().len(), 1, "no step was done again");
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

#[tokio::test]
async fn what_waits_for_a_disk_that_stands_still_takes_up_room_until_it_is_gone() {
    let app = App::that_dies_after(1, crate::app::PEOPLE, &[]).await;
    let large = || {
        let mut post = body(&[alert("Anything", "critical", "firing", 0)]).to_string().into_bytes();
        post.resize(15 * 1024 * 1024, b' ');
        post
    };
    // The disk does not answer, and each sender in turn loses patience at once.
    for _ in 0..4 {
        assert!(app.runtime.deliver("am", large()).now_or_never().is_none());
        tokio::task::yield_now().await;
    }
    let full = app.runtime.deliver("am", large()).now_or_never();
    assert!(matches!(full, Some(Err(EngineError::Unavailable(_)))), "64 MiB wait already: {full:?}");
}

/// Rules with a mistake in them that nothing looks out for: deciding whom to page for such incidents panics.
fn with_a_mistake(app: &App) -> Rulebook {
    let mut rules = (*app.runtime.rulebook()).clone();
    let level = Level { notify: vec!["ana".to_owned()], after: Span(u64::MAX) };
    let plan = Plan { respond_within: Span::minutes(1), levels: vec![level], repeat: 1 };
    let matchers = vec!["service=cursed".parse().expect("a matcher")];
    rules
        .policies
        .insert(0, Policy { name: "cursed".to_owned(), matchers, plans: (1..=4).map(|priority| (priority, plan.clone())).collect() });
    rules
}

fn cursed(instance: u32) -> serde_json::Value {
    let mut alert = alert("Cursed", "critical", "firing", instance);
    alert["labels"]["service"] = "cursed".into();
    alert
}

#[tokio::test]
async fn a_mistake_in_deciding_one_delivery_stops_nobody_else() {
    let mut app = App::new().await;
    let healthy = app.fires("Before", "critical").await;
    app.runtime.reload(with_a_mistake(&app), app.hands());
    // One batch: the cursed delivery, which also speaks of a healthy incident, and a command and a delivery of others.
    let mixed = body(&[cursed(0), alert("Beside", "critical", "firing", 1)]).to_string().into_bytes();
    let other = body(&[alert("Other", "critical", "firing", 2)]).to_string().into_bytes();
    let (stored, commented, also) = tokio::join!(
        app.runtime.deliver("am", mixed),
        app.runtime.command(healthy.id, ana(), comment("meanwhile"), None),
        app.runtime.deliver("am", other),
    );
    let stored = stored.expect("it is on disk");
    assert!(commented.is_ok() && also.is_ok(), "{commented:?} {also:?}");
    app.settles().await;
    let mut titles: Vec<String> = app.incidents().await.into_iter().map(|incident| incident.title).collect();
    titles.sort();
    assert_eq!(titles, ["Before on orders", "Beside on orders", "Other on orders"]);
    let numbers: Vec<u64> = app.incidents().await.iter().map(|incident| incident.number).collect();
    assert_eq!(numbers, [3, 2, 1], "no number is lost");
    assert!(app.runtime.reads.delivery(stored.delivery).await.expect("readable").is_some(), "what came is kept");
    assert!(app.world.metrics.text().expect("text").contains("reynard_poisoned_total{kind=\"delivery\"} 1"));
    assert!(app.runtime.health().ready, "the database is not at fault");
    for incident in app.incidents().await {
        app.assert_fold_is_state(incident.id).await;
    }
    // Neither at the next start; and once the mistake is out, the sender's repeat is heard.
    app.crashes().await;
    app.fires("After", "critical").await;
    app.posts(&body(&[cursed(0)])).await;
    assert_eq!(app.newest().await.title, "Cursed on orders");
}

#[tokio::test]
async fn a_mistake_in_deciding_a_command_changes_nothing_of_its_incident() {
    let app = App::new().await;
    let good = (*app.runtime.rulebook()).clone();
    let mut rules = with_a_mistake(&app);
    app.runtime.reload(Rulebook { policies: good.policies.clone(), ..rules.clone() }, app.hands());
    app.posts(&body(&[cursed(0)])).await;
    let id = app.newest().await.id;
    app.puts(id, "ana", Command::Acknowledge { note: String::new() }).await.expect("taken");
    // Taking the acknowledgement back begins the escalation anew, by the policy that is cursed now.
    rules.policies[0].name = "default".to_owned();
    app.runtime.reload(rules, app.hands());
    let mistake = app.puts(id, "ana", Command::Unacknowledge).await;
    assert!(matches!(mistake, Err(EngineError::Mistake(_))), "{mistake:?}");
    assert_eq!(app.newest().await.status, Status::Acknowledged);
    app.puts(id, "ana", comment("still here")).await.expect("taken");
    assert!(app.world.metrics.text().expect("text").contains("reynard_poisoned_total{kind=\"command\"} 1"));
    app.assert_fold_is_state(id).await;
}

#[tokio::test]
async fn what_was_counted_for_a_commit_that_a_mistake_has_ended_is_not_counted() {
    const ONE_AT_A_TIME: &str = "
title: One at a time
on: { match: 'alertname=\"Beside\"' }
limits: { concurrency: 1 }
steps:
  - { id: pause, wait: 1h }
";
    let app = App::with(&[("one", ONE_AT_A_TIME)]).await;
    app.runtime.reload(with_a_mistake(&app), app.hands());
    // The run begins, and then deciding about the other incident panics: the run begins once more, alone.
    app.posts(&body(&[alert("Beside", "critical", "firing", 1), cursed(0)])).await;
    let incident = app.newest().await;
    assert_eq!(incident.title, "Beside on orders");
    assert!(!app.kinds(incident.id).await.contains(&"limit_hit".to_owned()), "its place is taken by nobody");
    app.passes(Span::hours(1)).await;
    assert!(app.incident(incident.number).await.runs.values().all(|run| run.status == RunStatus::Succeeded));
    app.assert_fold_is_state(incident.id).await;
}

#[tokio::test]
async fn a_timer_whose_commit_lost_its_answer_rings_once() {
    let two_ways =
        crate::app::PEOPLE.replace("notify: [ { channel: email } ] }", "notify: [ { channel: email }, { channel: hook, after: 5m } ] }");
    let two_ways = two_ways.replace("channels:\n", "channels:\n  hook: { kind: webhook, url: 'http://localhost:9000/page' }\n");
    let app = App::with_settings(&two_ways, &[]).await;
    let incident = app.fires("ServiceDown", "critical").await;
    app.passes(Span::minutes(4)).await;
    app.trouble.comes(&["commit answered"]);
    app.clock.turn(Span::minutes(1));
    app.heals().await;
    assert_eq!(app.sent().len(), 2, "the second way once: {:#?}", app.sentences(incident.id).await);
    // Nothing else is due now but the word about silence.
    app.puts(incident.id, "ana", Command::Acknowledge { note: String::new() }).await.expect("taken");
    app.passes(Span::hours(11)).await;
    app.trouble.comes(&["commit answered"]);
    app.clock.turn(Span::hours(1));
    app.heals().await;
    let silences = async || app.sentences(incident.id).await.iter().filter(|said| said.starts_with("No news")).count();
    assert_eq!(silences().await, 1);
    app.passes(Span::hours(12)).await;
    assert_eq!(silences().await, 2, "and one watch goes on, not two");
    app.assert_fold_is_state(incident.id).await;
}

const CHECKED: &str = "
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
    let app = App::with(&[("looks", CHECKED)]).await;
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
