//! Playbooks that start by the clock: once for each occurrence, whatever happens to the process, the file and the clock.

use reynard::action::catalog;
use reynard::config::files::{Files, TextFile};
use reynard::config::load;
use reynard::config::secrets::NoSecrets;
use reynard::domain::decide::command::Command;
use reynard::domain::incident::{Incident, Status};
use reynard::domain::run::RunStatus;
use reynard::domain::time::{Span, Timestamp};
use reynard::engine::ports::{ActionError, Clock};
use serde_json::Value;

use crate::app::{App, PEOPLE, START};
use crate::web::Browser;

/// The stories begin on Monday, 2026-09-21, at 14:13:20 UTC, which is 16:13:20 in Berlin.
const TIDY: &str = "
title: Tidy up
on: { schedule: '0 3 * * *', time_zone: Europe/Berlin }
steps:
  - { id: look, action: postgres.pool_status, target: orders-db }
";

impl App {
    /// The files change while it runs; one that is broken keeps its last good revision.
    pub fn reads(&self, playbooks: &[(&str, &str)]) {
        let files = Files {
            settings: Some(TextFile::new("reynard.yaml", PEOPLE)),
            playbooks: playbooks.iter().map(|(slug, text)| TextFile::new(format!("playbooks/{slug}.yaml"), *text)).collect(),
        };
        let loaded = load::load(&files, &catalog::specs(), &NoSecrets, Some(&self.runtime.rulebook()));
        self.runtime.reload(loaded.settings.expect("no errors").rulebook, self.hands());
    }

    async fn opened(&self) -> Vec<String> {
        let mut opened: Vec<Incident> = self.incidents().await;
        opened.sort_by_key(|incident| incident.number);
        opened.iter().map(|incident| incident.opened_at.to_rfc3339()).collect()
    }
}

fn day(day: u32, time: &str) -> String {
    format!("2026-09-{day}T{time}:00.000Z")
}

#[tokio::test]
async fn a_playbook_starts_by_the_clock_in_an_incident_of_its_own_and_nobody_is_told() {
    let app = App::with(&[("tidy", TIDY)]).await;
    app.passes(Span::hours(48)).await;
    assert_eq!(app.opened().await, [day(22, "01:00"), day(23, "01:00")]);
    let incident = app.newest().await;
    assert_eq!((incident.kind.as_str(), incident.priority.number(), incident.status), ("scheduled", 4, Status::Resolved));
    assert_eq!((incident.service.as_str(), incident.assignee.as_deref()), ("orders", None));
    assert_eq!(app.calls(), ["postgres.pool_status orders-db #1"; 2]);
    assert_eq!(app.sent(), [""; 0]);
    let said = app.sentences(incident.id).await;
    assert!(said.contains(&"Resolved: its playbook succeeded".to_owned()), "{said:#?}");
    app.assert_fold_is_state(incident.id).await;
}

#[tokio::test]
async fn a_scheduled_run_that_fails_is_somebodys_and_its_incident_stays_open() {
    let app = App::with(&[("tidy", TIDY)]).await;
    app.answers("postgres.pool_status", vec![Err(ActionError::Fatal("connection refused".to_owned()))]);
    app.passes(Span::hours(12)).await;
    let incident = app.newest().await;
    assert_eq!((incident.status, incident.acknowledged_by.as_deref()), (Status::Triggered, None));
    assert!(app.sent().len() == 1 && app.sent()[0].starts_with("ana: "), "{:?}", app.sent());
    assert!(incident.escalation.next_at.is_some(), "and it climbs the ladder of a P4");
    app.puts(incident.id, "ana", Command::Acknowledge { note: String::new() }).await.expect("taken");
    // Whoever has it done again by hand, and well, is done.
    let again = Command::StartRun { playbook: "tidy".to_owned(), vars: Default::default() };
    app.puts(incident.id, "ana", again).await.expect("taken");
    assert_eq!(app.newest().await.status, Status::Resolved);
    app.assert_fold_is_state(incident.id).await;
}

#[tokio::test]
async fn what_was_missed_is_made_up_for_once_and_says_so() {
    let mut app = App::with(&[("tidy", TIDY)]).await;
    app.passes(Span::hours(1)).await;
    app.restarts_after(Span::hours(24 * 3)).await;
    assert_eq!(app.opened().await, [day(24, "15:13").replace(":00.000", ":20.000")]);
    let incident = app.newest().await;
    let said = app.sentences(incident.id).await;
    assert!(
        said.contains(&"It was due at 2026-09-22T01:00:00.000Z and begins 2d 14h late; it stands for 2 more that were missed".to_owned()),
        "{said:#?}"
    );
    assert!(!app.kinds(incident.id).await.contains(&"recovered".to_owned()));
    app.passes(Span::hours(24)).await;
    assert_eq!(app.opened().await[1..], [day(25, "01:00")]);
    app.assert_fold_is_state(incident.id).await;
}

#[tokio::test]
async fn an_occurrence_begins_once_however_often_the_process_dies() {
    for commits in 1.. {
        let mut app = App::that_dies_after(commits, PEOPLE, &[("tidy", TIDY)]).await;
        let mortal = app.mortal.clone().expect("a journal");
        let died = tokio::select! {
            () = app.passes(Span::hours(40)) => false,
            () = mortal.death() => true,
        };
        drop(mortal);
        if died {
            app.crashes().await;
            app.crashes().await;
            let left = (START + Span::hours(40)).since(app.clock.now());
            app.passes(left).await;
        }
        assert_eq!(app.opened().await.len(), 2, "a crash after commit {commits}");
        assert!(app.calls().len() <= 3, "{:?}", app.calls());
        for incident in app.incidents().await {
            assert_eq!(incident.status, Status::Resolved);
            app.assert_fold_is_state(incident.id).await;
        }
        if !died {
            assert!(commits > 4, "{commits}");
            break;
        }
    }
}

#[tokio::test]
async fn an_edit_plans_anew_and_a_file_that_goes_ends_it() {
    let app = App::with(&[("tidy", TIDY)]).await;
    let at_four = TIDY.replace("0 3 *", "0 4 *");
    app.settles().await;
    app.reads(&[("tidy", &at_four)]);
    app.passes(Span::hours(24)).await;
    assert_eq!(app.opened().await, [day(22, "02:00")], "at four, and not at three");
    // There and back again is no second start.
    app.reads(&[("tidy", TIDY)]);
    app.settles().await;
    app.reads(&[("tidy", &at_four)]);
    app.settles().await;
    app.reads(&[("tidy", TIDY)]);
    app.passes(Span::hours(24)).await;
    assert_eq!(app.opened().await[1..], [day(23, "01:00")]);
    app.reads(&[]);
    app.passes(Span::hours(48)).await;
    assert_eq!(app.opened().await.len(), 2);
    app.reads(&[("tidy", TIDY)]);
    app.passes(Span::hours(24)).await;
    assert_eq!(app.opened().await.len(), 3, "{:?}", app.opened().await);
    app.assert_verified().await;
}

#[tokio::test]
async fn the_step_of_an_edited_playbook_is_the_one_of_the_file_that_is_there_then() {
    let app = App::with(&[("tidy", TIDY)]).await;
    app.settles().await;
    app.reads(&[("tidy", &TIDY.replace("pool_status", "read_only"))]);
    app.passes(Span::hours(24)).await;
    assert_eq!(app.calls(), ["postgres.read_only orders-db #1"]);
}

#[tokio::test]
async fn where_the_clocks_change_it_starts_once_a_day() {
    let twice = TIDY.replace("0 3", "30 2");
    let app = App::with(&[("tidy", &twice)]).await;
    // On 2026-10-25 it is half past two twice in Berlin.
    let before = Timestamp::parse_rfc3339("2026-10-24T12:00:00Z").expect("an instant");
    app.clock.set(before);
    app.settles().await;
    let already = app.opened().await.len();
    app.passes(Span::hours(48)).await;
    let opened = app.opened().await;
    assert_eq!(opened[already..], ["2026-10-25T00:30:00.000Z", "2026-10-26T01:30:00.000Z"]);
}

#[tokio::test]
async fn one_that_takes_too_long_holds_up_a_single_one_and_the_rest_are_left_out() {
    let slow = "
title: Slow
on: { schedule: '*/5 * * * *' }
steps: [ { id: ask, approval: { by: ana, expires: 1d } }, { id: look, action: postgres.pool_status, target: orders-db } ]
";
    let app = App::with(&[("slow", slow)]).await;
    app.passes(Span::hours(3)).await;
    let incidents = app.incidents().await;
    assert_eq!(incidents.len(), 2, "one under way, one in line");
    let first = app.incident(1).await;
    let run = first.runs_in_order()[0].clone();
    assert_eq!(run.status, RunStatus::Waiting);
    let yes = Command::AnswerApproval { run: run.id, step: "ask".to_owned(), yes: true, note: String::new() };
    app.puts(first.id, "ana", yes).await.expect("taken");
    assert_eq!(app.incident(1).await.status, Status::Resolved);
    assert_eq!(app.incident(2).await.runs_in_order()[0].status, RunStatus::Waiting);
    app.puts(app.incident(2).await.id, "ana", Command::CancelRun { run: app.incident(2).await.runs_in_order()[0].id, note: String::new() })
        .await
        .expect("taken");
    assert_eq!(app.incident(2).await.status, Status::Resolved, "a run that a person cancels ends its incident");
    app.passes(Span::minutes(5)).await;
    assert_eq!(app.incidents().await.len(), 3);
    app.assert_verified().await;
}

#[tokio::test]
async fn pages_and_api_say_when_it_starts() {
    let app = App::with(&[("tidy", TIDY)]).await;
    app.passes(Span::hours(12)).await;
    let browser = Browser::of(&app);
    assert!(browser.page("/playbooks").await.contains("at 0 3 * * * Europe/Berlin"));
    let api: Value = serde_json::from_str(&browser.page("/api/v1/playbooks/tidy").await).expect("JSON");
    assert_eq!((&api["schedule"], &api["next_at"]), (&"0 3 * * * Europe/Berlin".into(), &day(23, "01:00").into()));
    let page = browser.page("/incidents/1").await;
    assert!(page.contains("Scheduled: Tidy up") && page.contains("no alerts"), "{page}");
}
