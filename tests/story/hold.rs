//! The red switch: from its commit on nothing that changes things begins, whatever stops, crashes or is told meanwhile; people are
//! told, what runs ends, what was done is taken back, and the release begins what waited.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use reynard::domain::decide::command::Command;
use reynard::domain::hold::Hand;
use reynard::domain::run::{RunStatus, StepStatus};
use reynard::domain::time::Span;
use reynard::domain::timeline::Event;
use reynard::engine::ports::{ActionError, Brake};
use reynard::engine::shared::Hands;
use serde_json::json;

use crate::app::{App, PEOPLE, alert, body};
use crate::web::Browser;

const LOOK_AND_ACT: &str = "
title: Look and act
on: { type: service_down }
steps:
  - { id: look, action: postgres.pool_status, target: orders-db }
  - { id: settle, wait: 5m }
  - { id: protect, title: Make orders read-only, action: postgres.read_only, target: orders-db, undo: on_resolve }
  - { id: restart, title: Restart orders, action: http.request, target: orders-admin, with: { method: POST, path: /restart } }
";

const ACT: &str = "
title: Restart at once
on: { type: service_down }
steps:
  - { id: restart, title: Restart orders, action: http.request, target: orders-admin, with: { method: POST, path: /restart } }
";

async fn holds(app: &App) {
    app.runtime.hold("ana", "the restarts make it worse", false).await.expect("held");
    app.settles().await;
}

async fn releases(app: &App) {
    app.runtime.release("bo", "the fix is out", false).await.expect("released");
    app.settles().await;
}

async fn times(app: &App, kind: &str) -> usize {
    app.kinds(app.newest().await.id).await.iter().filter(|told| *told == kind).count()
}

#[tokio::test]
async fn from_the_hold_on_nothing_begins_and_the_release_begins_what_waited() {
    let app = App::with(&[("act", LOOK_AND_ACT)]).await;
    let incident = app.fires("ServiceDown", "critical").await;
    assert_eq!(app.calls(), ["postgres.pool_status orders-db #1"]);
    holds(&app).await;
    app.passes(Span::hours(2)).await;
    assert_eq!(app.calls(), ["postgres.pool_status orders-db #1"], "two hours and nothing began");
    let run = app.newest().await.runs.into_values().next().expect("a run");
    assert_eq!((run.status, run.steps["protect"].status), (RunStatus::Waiting, StepStatus::Waiting));
    let told = app.sentences(incident.id).await;
    assert!(told.contains(&"Automation held by ana: the restarts make it worse".to_owned()), "{told:#?}");
    assert!(told.contains(&"Does not begin: automation is held by ana: the restarts make it worse".to_owned()), "{told:#?}");
    let reasons: Vec<_> = told.iter().filter(|told| told.contains("\"Make orders read-only\" does not begin")).collect();
    assert!(reasons.iter().any(|told| told.starts_with("Level 1: telling ana by email")), "people are told why: {told:#?}");
    releases(&app).await;
    app.passes(Span::minutes(1)).await;
    assert_eq!(app.calls()[1..], ["postgres.read_only orders-db #1", "http.request orders-admin #1"]);
    assert!(app.sentences(incident.id).await.contains(&"Automation released by bo: the fix is out".to_owned()));
    assert_eq!((times(&app, "automation_held").await, times(&app, "automation_released").await), (1, 1));
    assert_eq!(times(&app, "limit_hit").await, 1, "waiting is told once");
    app.assert_fold_is_state(incident.id).await;
}

#[tokio::test]
async fn an_incident_that_opens_meanwhile_says_once_that_automation_is_held_and_since_when() {
    let app = App::with(&[("act", ACT)]).await;
    app.runtime.hold("ana", "deploy", false).await.expect("held");
    app.clock.turn(Span::minutes(7));
    let incident = app.fires("ServiceDown", "critical").await;
    app.passes(Span::hours(1)).await;
    let told = app.sentences(incident.id).await;
    let held: Vec<_> = told.iter().filter(|told| told.starts_with("Automation is held by ana since ")).collect();
    assert!(held.len() == 1 && held[0].ends_with(": deploy"), "{told:#?}");
    assert_eq!(app.calls(), Vec::<String>::new());
    assert!(app.sent().iter().any(|sent| sent.starts_with("bo: ")), "escalation went on: {:?}", app.sent());
    app.assert_fold_is_state(incident.id).await;
}

#[tokio::test]
async fn what_runs_ends_and_what_was_done_is_taken_back_also_while_held() {
    let app = App::with(&[("act", LOOK_AND_ACT)]).await;
    app.holds("http.request");
    app.fires("ServiceDown", "critical").await;
    // The second change is under way when somebody holds.
    let end = reynard::engine::ports::Clock::now(app.clock.as_ref()) + Span::minutes(5);
    app.clock.set(end);
    app.is_asked(3).await;
    app.runtime.hold("ana", "enough", false).await.expect("held");
    app.lets_go("http.request");
    app.settles().await;
    assert_eq!(times(&app, "run_succeeded").await, 1, "what had begun ended");
    app.ends("ServiceDown", "critical").await;
    app.passes(Span::minutes(5)).await;
    assert_eq!(app.calls().last().map(String::as_str), Some("undo postgres.read_only orders-db #1"), "{:?}", app.calls());
    assert_eq!(app.newest().await.runs.into_values().next().expect("a run").steps["protect"].status, StepStatus::Undone);
}

#[tokio::test]
async fn an_attempt_that_was_handed_out_and_has_not_begun_does_not_begin() {
    let app = App::with(&[("act", ACT)]).await;
    // It has been committed and handed out, and waits until this node is sure that it is the active one.
    app.trouble.sure(false);
    app.hands_in(&body(&[alert("ServiceDown", "critical", "firing", 0)])).await;
    assert_eq!(times(&app, "step_started").await, 1);
    app.runtime.hold("ana", "no", false).await.expect("held");
    app.trouble.sure(true);
    app.clock.turn(Span::seconds(1));
    app.settles().await;
    assert_eq!(app.calls(), Vec::<String>::new(), "it does not begin");
    let step = app.newest().await.runs.into_values().next().expect("a run").steps["restart"].clone();
    assert_eq!((step.status, step.attempt, step.unsure), (StepStatus::Waiting, 1, false), "and everybody knows that it did not");
    releases(&app).await;
    assert_eq!(app.calls(), ["http.request orders-admin #2"]);
    app.assert_fold_is_state(app.newest().await.id).await;
}

#[tokio::test]
async fn a_hold_outlives_a_crash_and_another_writer() {
    let mut app = App::with(&[("act", LOOK_AND_ACT)]).await;
    app.fires("ServiceDown", "critical").await;
    holds(&app).await;
    app.crashes().await;
    app.passes(Span::hours(1)).await;
    assert_eq!(app.calls().len(), 1, "{:?}", app.calls());
    assert_eq!(app.runtime.reads.totals().await.expect("readable").holds.by(Hand::Person).expect("held").by, "ana");
    app.crashes().await;
    releases(&app).await;
    app.passes(Span::minutes(1)).await;
    assert_eq!(app.calls().len(), 3, "{:?}", app.calls());
    assert_eq!((times(&app, "automation_held").await, times(&app, "automation_released").await), (1, 1));
}

#[tokio::test]
async fn an_end_while_held_leaves_nothing_waiting() {
    let app = App::with(&[("act", ACT)]).await;
    app.runtime.hold("ana", "no", false).await.expect("held");
    app.fires("ServiceDown", "critical").await;
    app.ends("ServiceDown", "critical").await;
    app.passes(Span::minutes(2)).await;
    releases(&app).await;
    app.passes(Span::hours(1)).await;
    assert_eq!(app.calls(), Vec::<String>::new());
    assert_eq!(app.newest().await.runs.into_values().next().expect("a run").status, RunStatus::Cancelled);
}

#[tokio::test]
async fn a_release_can_leave_out_what_waited() {
    let app = App::with(&[("act", LOOK_AND_ACT)]).await;
    let incident = app.fires("ServiceDown", "critical").await;
    holds(&app).await;
    app.passes(Span::minutes(10)).await;
    app.runtime.release("bo", "by hand", true).await.expect("released");
    app.passes(Span::minutes(1)).await;
    assert_eq!(app.calls()[1..], ["http.request orders-admin #1"], "only what came after it");
    let told = "\"Make orders read-only\" skipped: it waited while automation was held, and bo released it without what waited";
    assert!(app.sentences(incident.id).await.iter().any(|said| said.contains(&told["\"Make orders read-only\" ".len()..])));
}

#[tokio::test]
async fn a_hold_that_cancels_ends_the_runs_too() {
    let app = App::with(&[("act", LOOK_AND_ACT)]).await;
    app.fires("ServiceDown", "critical").await;
    app.runtime.hold("ana", "stop it", true).await.expect("held");
    app.settles().await;
    releases(&app).await;
    app.passes(Span::hours(1)).await;
    assert_eq!(app.calls().len(), 1, "{:?}", app.calls());
    assert_eq!(app.newest().await.runs.into_values().next().expect("a run").status, RunStatus::Cancelled);
}

#[tokio::test]
async fn a_step_that_asked_before_waits_with_its_yes() {
    const ASKS: &str = "
on: { type: service_down }
steps:
  - { id: ask, approval: { by: operator, expires: 6h }, action: http.request, target: orders-admin, with: { method: POST, path: /restart } }
";
    let app = App::with(&[("asks", ASKS)]).await;
    let incident = app.fires("ServiceDown", "critical").await;
    holds(&app).await;
    let run = app.newest().await.runs.into_values().next().expect("a run");
    let yes = Command::AnswerApproval { run: run.id, step: "ask".to_owned(), yes: true, note: String::new() };
    app.puts(incident.id, "bo", yes).await.expect("taken");
    assert_eq!(app.calls(), Vec::<String>::new(), "a yes is no release");
    let again = Command::RetryStep { run: run.id, step: "ask".to_owned(), note: String::new() };
    let no = app.puts(incident.id, "bo", again).await.expect_err("nor is being asked to hurry");
    assert!(no.to_string().contains("automation is held by ana"), "{no}");
    releases(&app).await;
    assert_eq!(app.calls(), ["http.request orders-admin #1"]);
    app.assert_fold_is_state(incident.id).await;
}

#[tokio::test]
async fn a_retry_that_comes_due_waits_too() {
    const TRIES: &str = "
on: { type: service_down }
steps:
  - { id: protect, action: postgres.read_only, target: orders-db, retry: { attempts: 3, backoff: 1m } }
";
    let app = App::with(&[("tries", TRIES)]).await;
    app.answers("postgres.read_only", vec![Err(ActionError::Retry("not now".to_owned()))]);
    app.fires("ServiceDown", "critical").await;
    holds(&app).await;
    app.passes(Span::hours(1)).await;
    assert_eq!(app.calls().len(), 1, "{:?}", app.calls());
    releases(&app).await;
    assert_eq!(app.calls().last().map(String::as_str), Some("postgres.read_only orders-db #2"));
}

/// A file that is there, or not.
#[derive(Default)]
struct Lever(AtomicBool);

impl Brake for Lever {
    fn pulled(&self) -> Option<(String, String)> {
        self.0.load(Ordering::SeqCst).then(|| ("the file HOLD".to_owned(), "no page".to_owned()))
    }
}

fn with_lever(app: &App) -> Arc<Lever> {
    let lever = Arc::new(Lever::default());
    let hands = Hands { brake: Some(lever.clone()), ..app.hands() };
    app.runtime.reload(reynard::domain::settings::Rulebook::clone(&app.runtime.rulebook()), hands);
    lever
}

#[tokio::test]
async fn a_file_holds_as_well_and_lets_go_when_it_is_gone() {
    let app = App::with(&[("act", LOOK_AND_ACT)]).await;
    let lever = with_lever(&app);
    let incident = app.fires("ServiceDown", "critical").await;
    lever.0.store(true, Ordering::SeqCst);
    // No page and nobody who tells the engine to look: the commit that would begin the step sees it.
    app.passes(Span::hours(1)).await;
    assert_eq!(app.calls().len(), 1, "{:?}", app.calls());
    let no = app.runtime.release("bo", "go", false).await.expect_err("a person does not lift the file");
    assert!(no.to_string().contains("the file HOLD"), "{no}");
    lever.0.store(false, Ordering::SeqCst);
    app.runtime.look_if_changed();
    app.settles().await;
    app.passes(Span::minutes(1)).await;
    assert_eq!(app.calls().len(), 3, "{:?}", app.calls());
    let told = app.sentences(incident.id).await;
    assert!(told.contains(&"Automation held by the file HOLD: no page".to_owned()), "{told:#?}");
    assert!(told.contains(&"Automation released by the file HOLD".to_owned()), "{told:#?}");
    app.assert_fold_is_state(incident.id).await;
}

#[tokio::test]
async fn a_file_stops_an_attempt_that_is_handed_out_though_no_commit_can_be_made() {
    let app = App::with(&[("act", ACT)]).await;
    let lever = with_lever(&app);
    app.trouble.sure(false);
    app.hands_in(&body(&[alert("ServiceDown", "critical", "firing", 0)])).await;
    lever.0.store(true, Ordering::SeqCst);
    app.trouble.sure(true);
    app.clock.turn(Span::seconds(1));
    app.settles().await;
    assert_eq!(app.calls(), Vec::<String>::new());
}

#[tokio::test]
async fn the_setting_holds_until_it_is_changed() {
    let app = App::with_settings(&format!("{PEOPLE}\nautomation: held\n"), &[("act", ACT)]).await;
    let incident = app.fires("ServiceDown", "critical").await;
    app.passes(Span::hours(1)).await;
    assert_eq!(app.calls(), Vec::<String>::new());
    let mut rulebook = reynard::domain::settings::Rulebook::clone(&app.runtime.rulebook());
    rulebook.automation = reynard::domain::settings::Automation::Live;
    app.runtime.reload(rulebook, app.hands());
    app.settles().await;
    assert_eq!(app.calls(), ["http.request orders-admin #1"]);
    assert!(app.sentences(incident.id).await.contains(&"Automation released by reynard.yaml".to_owned()));
}

#[tokio::test]
async fn nobody_can_release_what_nobody_holds_and_holding_twice_is_holding_once() {
    let app = App::with(&[("act", LOOK_AND_ACT)]).await;
    app.fires("ServiceDown", "critical").await;
    assert!(app.runtime.release("bo", "go", false).await.is_err());
    holds(&app).await;
    let holds = app.runtime.hold("bo", "me too", false).await.expect("the wish is fulfilled");
    assert_eq!(holds.by(Hand::Person).map(|hold| hold.by.as_str()), Some("ana"));
    assert_eq!(times(&app, "automation_held").await, 1);
}

/// Holds, then lets two hours pass with a process that dies after so many commits and comes back each time.
async fn held_story(commits: i64) -> bool {
    let mut app = App::that_dies_after(commits, PEOPLE, &[("act", LOOK_AND_ACT)]).await;
    let mut died = false;
    let mut held = false;
    for beat in 0..4 {
        loop {
            let mortal = app.mortal.clone().expect("a journal");
            let made = async {
                match beat {
                    0 => drop(app.posts(&body(&[alert("ServiceDown", "critical", "firing", 0)])).await),
                    1 => drop(app.runtime.hold("ana", "no", false).await.expect("held")),
                    2 => app.passes(Span::hours(1)).await,
                    _ => app.ends("ServiceDown", "critical").await,
                }
                app.settles().await;
            };
            let survived = tokio::select! {
                () = made => true,
                () = mortal.death() => false,
            };
            drop(mortal);
            if survived {
                break;
            }
            died = true;
            app.crashes().await;
        }
        held |= beat >= 1;
        if held {
            assert_eq!(app.calls().iter().filter(|call| !call.starts_with("postgres.pool_status")).count(), 0, "{:?}", app.calls());
        }
    }
    let incident = app.newest().await;
    app.assert_fold_is_state(incident.id).await;
    let entries = app.entries(incident.id).await;
    let told = entries.iter().filter(|entry| matches!(entry.event, Event::AutomationHeld { .. })).count();
    assert_eq!(told, 1, "{entries:#?}");
    died
}

#[tokio::test]
async fn a_crash_after_any_commit_finds_automation_held() {
    assert!(!held_story(i64::MAX).await);
    let mut commits = 0;
    while held_story(commits + 1).await {
        commits += 1;
    }
    assert!(commits > 5, "the story has {commits} commits");
}

#[tokio::test]
async fn a_hold_whose_commit_fails_begins_nothing_meanwhile() {
    let app = App::with(&[("act", ACT)]).await;
    app.trouble.sure(false);
    app.hands_in(&body(&[alert("ServiceDown", "critical", "firing", 0)])).await;
    app.trouble.comes(&["commit"]);
    let no = app.runtime.hold("ana", "no", false).await;
    assert!(no.is_err(), "nobody can say that it is held: {no:?}");
    app.trouble.sure(true);
    app.clock.turn(Span::seconds(1));
    app.settles().await;
    app.passes(Span::minutes(1)).await;
    assert_eq!(app.calls().len(), 1, "the hold was not made, so the step goes on: {:?}", app.calls());
}

/// Where no incident is concerned, nothing but the hold itself tells that the commit was made.
#[tokio::test]
async fn a_hold_whose_commit_was_made_and_its_answer_lost_holds() {
    let app = App::with(&[("act", ACT)]).await;
    app.trouble.comes(&["commit answered"]);
    let no = app.runtime.hold("ana", "no", false).await;
    assert!(no.is_err(), "nobody can say that it is held: {no:?}");
    app.heals().await;
    app.fires("ServiceDown", "critical").await;
    app.passes(Span::minutes(1)).await;
    assert_eq!(app.calls(), [""; 0], "the disk says that it is held");
    app.trouble.comes(&["commit answered"]);
    let no = app.runtime.release("ana", "yes", false).await;
    assert!(no.is_err(), "nobody can say that it is released: {no:?}");
    app.heals().await;
    app.passes(Span::minutes(1)).await;
    assert_eq!(app.calls().len(), 1, "the disk says that it is released: {:?}", app.calls());
}

#[tokio::test]
async fn a_person_holds_and_releases_by_page_and_program() {
    let app = App::with(&[("act", LOOK_AND_ACT)]).await;
    app.fires("ServiceDown", "critical").await;
    let browser = Browser::of(&app);
    assert!(browser.page("/incidents").await.contains("href=\"/automation\">Hold automation</a>"), "on every page");
    let page = browser.sends("/automation/hold", "reason=&name=Ana").await;
    assert!(page.contains("say why"), "{page}");
    let page = browser.sends("/automation/hold", "reason=it+makes+it+%3Cworse%3E&name=Ana").await;
    assert!(page.contains("<h1 id=\"automation-h\">Automation is held</h1>") && page.contains("it makes it &lt;worse&gt;"), "{page}");
    app.passes(Span::minutes(10)).await;
    for path in ["/incidents", "/playbooks", "/incidents/1"] {
        assert!(browser.page(path).await.contains("<b>Automation is held</b> by Ana since"), "{path}");
    }
    assert!(browser.page("/automation").await.contains("act, step protect"), "what waits is listed");
    assert!(browser.page("/metrics").await.contains("reynard_automation_held 1"));
    for (form, no) in [
        ("reason=fixed&sure=yes&waiting=begin", "say who you are"),
        ("name=Bo&sure=yes", "say why"),
        ("name=Bo&reason=fixed", "tick that you have looked"),
    ] {
        let page = browser.sends("/automation/release", form).await;
        assert!(page.contains(no) && page.contains("Automation is held"), "{form}: {page}");
    }
    let page = browser.sends("/automation/release", "name=Bo&reason=fixed&sure=yes&waiting=begin").await;
    assert!(page.contains("Released: automation acts again.") && !page.contains("<b>Automation is held</b>"), "{page}");
    app.passes(Span::minutes(1)).await;
    assert_eq!(app.calls().len(), 3, "{:?}", app.calls());
    let (status, said) = browser.posts("/api/v1/automation/hold", &json!({"reason": "again", "by": "cy"})).await;
    assert_eq!((status, &said["automation"], &said["holds"][0]["by"]), (200, &json!("held"), &json!("cy")), "{said}");
    let (status, said) = browser.posts("/api/v1/automation/release", &json!({"reason": "x"})).await;
    assert_eq!(status, 400, "nobody is named: {said}");
    let (status, said) = browser.posts("/api/v1/automation/release", &json!({"reason": "x", "by": "cy"})).await;
    assert_eq!((status, &said["automation"]), (200, &json!("live")), "{said}");
    let (status, said) = browser.posts("/api/v1/automation/release", &json!({"reason": "x", "by": "cy"})).await;
    assert_eq!(status, 409, "{said}");
}
