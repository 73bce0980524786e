//! The playbook language beyond a list of steps: vars, approvals, side by side, for each item, playbooks in playbooks, one run a
//! target, and time for a whole run. One file, because its last story plays all of it at once.

use axum::body::Body;
use reynard::domain::decide::command::Command;
use reynard::domain::run::{Run, RunStatus, StepStatus};
use reynard::domain::time::Span;
use reynard::domain::timeline::{Actor, Outcome};
use reynard::engine::ports::{ActionError, Clock};
use serde_json::{Map, Value, json};

use crate::app::{App, PEOPLE, START, alert, body};
use crate::web::{Browser, call, notice};

async fn the_run(app: &App) -> Run {
    app.newest().await.runs_in_order().first().copied().cloned().expect("a run")
}

async fn runs(app: &App) -> Vec<Run> {
    app.newest().await.runs_in_order().into_iter().cloned().collect()
}

fn vars(value: Value) -> Map<String, Value> {
    value.as_object().cloned().expect("a map")
}

async fn starts(app: &App, who: &str, playbook: &str, given: Value) -> Result<u64, String> {
    let id = app.newest().await.id;
    let command = Command::StartRun { playbook: playbook.to_owned(), vars: vars(given) };
    app.puts(id, who, command).await.map_err(|error| error.to_string())
}

async fn answers(app: &App, who: &str, step: &str, yes: bool) -> Result<u64, String> {
    let (id, run) = (app.newest().await.id, the_run(app).await.id);
    let command = Command::AnswerApproval { run, step: step.to_owned(), yes, note: "seen".to_owned() };
    app.puts(id, who, command).await.map_err(|error| error.to_string())
}

const DRAIN: &str = "
title: Drain
on: { manual: true }
vars:
  drain: { type: duration, default: 5m }
  reason: { type: text }
steps:
  - { id: pause, wait: '{{ vars.drain }}', when: vars.drain < 1h }
  - { id: say, action: note, with: { text: 'drained: {{ vars.reason }}' } }
";

#[tokio::test]
async fn a_person_gives_a_run_its_vars_and_what_is_left_out_has_its_default() {
    let app = App::with(&[("drain", DRAIN)]).await;
    let incident = app.fires("Anything", "warning").await;
    assert_eq!(starts(&app, "ana", "drain", json!({"reason": "release"})).await.map(drop), Ok(()));
    app.passes(Span::minutes(4)).await;
    assert_eq!(the_run(&app).await.status, RunStatus::Waiting);
    app.passes(Span::minutes(1)).await;
    assert_eq!(the_run(&app).await.status, RunStatus::Succeeded);
    assert!(app.sentences(incident.id).await.contains(&"drained: release".to_owned()));
    for (given, why) in [
        (json!({}), "playbook drain needs the var \"reason\", a text"),
        (json!({"reason": 5}), "var reason must be a text"),
        (json!({"reason": "x", "drain": "soon"}), "var drain must be a length of time such as 5m"),
        (json!({"reason": "x", "drian": "1m"}), "playbook drain takes no var \"drian\"; it takes drain, reason"),
    ] {
        let answer = starts(&app, "ana", "drain", given).await.expect_err("refused");
        assert!(answer.contains(why), "{answer}");
    }
    app.assert_fold_is_state(incident.id).await;
}

const ASKS: &str = "
title: Ask first
on: { type: service_down }
steps:
  - id: protect
    action: http.request
    target: orders-admin
    with: { method: POST, path: '/protect/{{ size(alerts) }}' }
    approval: { by: [bo], expires: 30m, otherwise: fail }
  - { id: say, action: note, with: { text: done } }
";

#[tokio::test]
async fn a_step_waits_for_the_yes_of_whom_it_names_and_does_exactly_what_was_approved() {
    let app = App::with(&[("asks", ASKS)]).await;
    let incident = app.fires("ServiceDown", "critical").await;
    assert_eq!(app.calls(), Vec::<String>::new());
    assert!(app.sent().iter().any(|sent| sent.starts_with("bo: ")), "{:?}", app.sent());
    let letters = app.world.letters.lock().expect("no panics").join("\n");
    assert!(letters.contains("http.request on orders-admin with method: \"POST\", path: \"/protect/1\""), "{letters}");
    assert!(answers(&app, "ana", "protect", true).await.is_err_and(|why| why.contains("ana may not answer this; it is for bo")));
    // What is asked for stays as it was shown, whatever fires meanwhile.
    app.posts(&body(&[alert("ServiceDown", "critical", "firing", 0), alert("ServiceDown", "critical", "firing", 1)])).await;
    assert_eq!(answers(&app, "bo", "protect", true).await.map(drop), Ok(()));
    let run = the_run(&app).await;
    assert_eq!((run.status, &run.steps["protect"].params["path"]), (RunStatus::Succeeded, &json!("/protect/1")));
    assert!(app.sentences(incident.id).await.contains(&"bo approved \"Protect\": seen".to_owned()));
    assert!(answers(&app, "bo", "protect", true).await.is_err());
    app.assert_fold_is_state(incident.id).await;
}

#[tokio::test]
async fn whoever_asked_for_the_run_does_not_approve_it() {
    let asks = ASKS.replace("{ type: service_down }", "{ manual: true }").replace("[bo]", "operator");
    let app = App::with(&[("asks", &asks)]).await;
    app.fires("Anything", "critical").await;
    starts(&app, "ana", "asks", json!({})).await.expect("taken");
    for name in ["ana", " Ana "] {
        assert!(answers(&app, name, "protect", true).await.is_err_and(|why| why.contains("asked for this run")));
    }
    assert_eq!(app.calls().len(), 0);
    let again = Command::RetryStep { run: the_run(&app).await.id, step: "protect".to_owned(), note: String::new() };
    assert!(app.puts(app.newest().await.id, "ana", again).await.is_err(), "trying again is no way around a yes");
    assert_eq!(answers(&app, "cy", "protect", true).await.map(drop), Ok(()));
    assert_eq!(app.calls().len(), 1);
}

#[tokio::test]
async fn a_no_fails_the_step_and_so_does_no_answer_in_time_unless_said_otherwise() {
    let app = App::with(&[("asks", ASKS)]).await;
    app.fires("ServiceDown", "critical").await;
    answers(&app, "bo", "protect", false).await.expect("taken");
    let run = the_run(&app).await;
    assert_eq!((run.status, run.steps["protect"].status), (RunStatus::Failed, StepStatus::Failed));
    for (otherwise, status, calls) in
        [("fail", StepStatus::Failed, 0), ("skip", StepStatus::Skipped, 0), ("continue", StepStatus::Succeeded, 1)]
    {
        let mut app = App::with(&[("asks", &ASKS.replace("otherwise: fail", &format!("otherwise: {otherwise}")))]).await;
        let incident = app.fires("ServiceDown", "critical").await;
        app.passes(Span::minutes(29)).await;
        app.crashes().await;
        assert!(the_run(&app).await.steps["protect"].awaits_approval());
        app.passes(Span::minutes(1)).await;
        let run = the_run(&app).await;
        assert_eq!((run.steps["protect"].status, app.calls().len()), (status, calls), "{otherwise}");
        app.assert_fold_is_state(incident.id).await;
    }
}

#[tokio::test]
async fn an_approval_may_stand_alone() {
    let alone = "
title: Ask
on: { type: service_down }
steps:
  - { id: ask, approval: { by: on-call } }
  - { id: say, action: note, with: { text: 'the answer was {{ steps.ask.status }}' } }
";
    let app = App::with(&[("alone", alone)]).await;
    let incident = app.fires("ServiceDown", "critical").await;
    answers(&app, "ana", "ask", true).await.expect("taken");
    assert!(app.sentences(incident.id).await.contains(&"the answer was succeeded".to_owned()));
}

const BESIDE: &str = "
title: Side by side
on: { type: service_down }
steps:
  - parallel:
      - { id: protect, action: postgres.read_only, target: orders-db, undo: on_failure }
      - [ { id: look, action: http.check, target: orders-admin, with: { path: / } }, { id: restart, action: http.request, target: orders-admin } ]
  - { id: say, action: note, with: { text: 'joined: {{ steps.restart.status }}' } }
";

#[tokio::test]
async fn branches_run_side_by_side_and_are_joined() {
    let app = App::with(&[("beside", BESIDE)]).await;
    app.holds("postgres.read_only");
    app.hands_in(&body(&[alert("ServiceDown", "critical", "firing", 0)])).await;
    app.is_asked(3).await;
    assert!(app.calls().contains(&"http.request orders-admin #1".to_owned()), "{:?}", app.calls());
    app.lets_go("postgres.read_only");
    app.settles().await;
    let incident = app.newest().await;
    assert_eq!(the_run(&app).await.status, RunStatus::Succeeded);
    assert_eq!(app.kinds(incident.id).await.iter().filter(|kind| *kind == "step_succeeded").count(), 4);
    app.assert_fold_is_state(incident.id).await;
}

#[tokio::test]
async fn a_branch_in_doubt_does_not_lose_the_other() {
    let mut app = App::with(&[("beside", BESIDE)]).await;
    app.answers("http.request", vec![Err(ActionError::Unknown("lost".to_owned()))]);
    let incident = app.fires("ServiceDown", "critical").await;
    app.crashes().await;
    let run = the_run(&app).await;
    assert_eq!((run.status.is_over(), run.steps["protect"].status), (false, StepStatus::Succeeded));
    assert_eq!(run.steps["restart"].status, StepStatus::InDoubt);
    let settle = Command::SettleStep { run: run.id, step: "restart".to_owned(), outcome: Outcome::Failed, note: String::new() };
    app.puts(incident.id, "ana", settle).await.expect("taken");
    assert_eq!(the_run(&app).await.status, RunStatus::Failed);
    assert_eq!(app.calls().last().map(String::as_str), Some("undo postgres.read_only orders-db #1"));
    app.assert_fold_is_state(incident.id).await;
}

#[tokio::test]
async fn a_branch_that_fails_lets_end_what_runs_beside_it_and_then_everything_is_taken_back() {
    let app = App::with(&[("beside", BESIDE)]).await;
    app.holds("postgres.read_only");
    app.answers("http.check", vec![Err(ActionError::Fatal("500".to_owned()))]);
    app.hands_in(&body(&[alert("ServiceDown", "critical", "firing", 0)])).await;
    app.is_asked(2).await;
    for _ in 0..200 {
        tokio::task::yield_now().await;
    }
    assert_eq!(the_run(&app).await.status, RunStatus::Running);
    app.lets_go("postgres.read_only");
    app.settles().await;
    assert_eq!(the_run(&app).await.status, RunStatus::Failed);
    let calls = app.calls();
    assert!(!calls.contains(&"http.request orders-admin #1".to_owned()), "{calls:?}");
    assert_eq!(calls.last().map(String::as_str), Some("undo postgres.read_only orders-db #1"));
}

const EACH: &str = "
title: For each
on: { type: service_down }
steps:
  - id: restart
    for_each: alerts
    as: one
    max: 3
    when: one.labels.instance != 'i9'
    action: http.request
    target: orders-admin
    with: { method: POST, path: '/restart/{{ one.labels.instance }}' }
  - { id: say, action: note, with: { text: '{{ steps.restart.output.succeeded }} restarted' } }
";

fn crowd(instances: &[u32]) -> Value {
    body(&instances.iter().map(|instance| alert("ServiceDown", "critical", "firing", *instance)).collect::<Vec<_>>())
}

async fn paths(app: &App) -> Vec<Value> {
    let run = the_run(app).await;
    run.items("restart").map(|(_, item)| item.params["path"].clone()).collect()
}

#[tokio::test]
async fn a_step_is_done_for_each_item_in_order_and_a_list_that_is_too_long_says_so() {
    let app = App::with(&[("each", EACH)]).await;
    app.posts(&crowd(&[1, 2, 3, 4])).await;
    let incident = app.newest().await;
    let sentences = app.sentences(incident.id).await;
    assert_eq!(paths(&app).await, ["/restart/i1", "/restart/i2", "/restart/i3"]);
    for told in ["\"Restart\" is done for the first 3 of 4 items", "\"Restart\" started for 3 items", "3 restarted"] {
        assert!(sentences.contains(&told.to_owned()), "{told}: {sentences:#?}");
    }
    let keys = app.world.keys.lock().expect("no panics").clone();
    let run = the_run(&app).await.id;
    assert_eq!(keys, [1, 2, 3].map(|visit| format!("{run}:restart:{visit}")));
    app.assert_fold_is_state(incident.id).await;
}

#[tokio::test]
async fn an_item_that_fails_ends_the_rest_unless_the_step_goes_on() {
    for (on_failure, calls, status) in [("stop", 2, RunStatus::Failed), ("continue", 3, RunStatus::Succeeded)] {
        let each = EACH
            .replace("    as: one", &format!("    on_failure: {on_failure}\n    as: one"))
            .replace("{{ steps.restart.output.succeeded }} restarted", "said");
        let app = App::with(&[("each", &each)]).await;
        app.answers("http.request", vec![Ok(Value::Null), Err(ActionError::Fatal("404".to_owned()))]);
        app.posts(&crowd(&[1, 2, 3])).await;
        let run = the_run(&app).await;
        assert_eq!((app.calls().len(), run.status, run.steps["restart"].status), (calls, status, StepStatus::Failed), "{on_failure}");
    }
}

/// Three items in a process that dies after so many commits; whoever is in doubt is settled. Tells what was sent, and whether it died.
async fn mortal_items(commits: i64) -> (Vec<String>, RunStatus, bool) {
    let mut app = App::that_dies_after(commits, PEOPLE, &[("each", EACH)]).await;
    let post = crowd(&[1, 2, 3]);
    let mortal = app.mortal.clone().expect("a journal");
    let survived = tokio::select! {
        _ = app.posts(&post) => true,
        () = mortal.death() => false,
    };
    drop(mortal);
    if !survived {
        app.crashes().await;
        app.posts(&post).await;
    }
    let run = the_run(&app).await;
    if let Some((path, _)) = run.steps.iter().find(|(_, state)| state.status == StepStatus::InDoubt) {
        let settle = Command::SettleStep { run: run.id, step: path.clone(), outcome: Outcome::Succeeded, note: String::new() };
        app.puts(app.newest().await.id, "ana", settle).await.expect("taken");
    }
    app.assert_fold_is_state(app.newest().await.id).await;
    let keys = app.world.keys.lock().expect("no panics").clone();
    (keys, the_run(&app).await.status, !survived)
}

#[tokio::test]
async fn a_crash_after_any_commit_goes_on_with_the_right_item_and_sends_none_twice() {
    for commits in 1.. {
        let (keys, status, died) = mortal_items(commits).await;
        let mut once = keys.clone();
        once.dedup();
        assert_eq!((once.len(), status), (keys.len(), RunStatus::Succeeded), "a crash after commit {commits}: {keys:?}");
        if !died {
            assert!(commits > 4 && keys.len() == 3, "{commits} {keys:?}");
            break;
        }
    }
}

const OUTER: &str = "
title: Outer
on: { type: service_down }
steps:
  - { id: inner, action: playbook.run, with: { playbook: inner, vars: { who: bo } } }
  - { id: say, action: note, with: { text: 'inner {{ steps.inner.status }}' } }
";
const INNER: &str = "
title: Inner
on: {}
vars: { who: { type: text } }
steps:
  - { id: protect, action: postgres.read_only, target: orders-db, undo: on_failure }
  - { id: pause, wait: 1m }
  - { id: restart, action: http.request, target: orders-admin, with: { path: '/{{ vars.who }}' } }
";

#[tokio::test]
async fn a_playbook_runs_another_with_vars_and_goes_on_when_that_is_done_also_over_a_crash() {
    let mut app = App::with(&[("outer", OUTER), ("inner", INNER)]).await;
    let incident = app.fires("ServiceDown", "critical").await;
    app.crashes().await;
    app.passes(Span::minutes(1)).await;
    let runs = runs(&app).await;
    assert_eq!(runs.iter().map(|run| run.status).collect::<Vec<_>>(), [RunStatus::Succeeded; 2]);
    assert_eq!(runs[1].parent.as_ref().map(|at| (at.run, at.step.as_str())), Some((runs[0].id, "inner")));
    assert!(app.sentences(incident.id).await.contains(&"inner succeeded".to_owned()));
    app.assert_fold_is_state(incident.id).await;
}

#[tokio::test]
async fn the_failure_of_a_playbook_in_a_playbook_is_the_steps_and_pages_once() {
    let app = App::with(&[("outer", OUTER), ("inner", INNER)]).await;
    app.answers("http.request", vec![Err(ActionError::Fatal("500".to_owned()))]);
    let incident = app.fires("ServiceDown", "critical").await;
    app.passes(Span::minutes(2)).await;
    assert_eq!(runs(&app).await.iter().map(|run| run.status).collect::<Vec<_>>(), [RunStatus::Failed; 2]);
    let paged: Vec<_> =
        app.sentences(incident.id).await.into_iter().filter(|said| said.starts_with("Level 1") && said.contains("failed")).collect();
    assert_eq!(paged.len(), 1, "{paged:#?}");
    assert!(app.calls().contains(&"undo postgres.read_only orders-db #1".to_owned()));
}

#[tokio::test]
async fn playbooks_that_start_each_other_do_so_four_deep_at_most() {
    let to = |other: &str| OUTER.replace("playbook: inner, vars: { who: bo }", &format!("playbook: {other}"));
    let by_hand = |other: &str| to(other).replace("{ type: service_down }", "{}");
    let books = [
        ("a", to("b")),
        ("b", by_hand("c")),
        ("c", by_hand("d")),
        ("d", by_hand("e")),
        ("e", DRAIN.replace("type: text", "type: text, default: x")),
    ];
    let books: Vec<(&str, &str)> = books.iter().map(|(slug, text)| (*slug, text.as_str())).collect();
    let app = App::with(&books).await;
    app.fires("ServiceDown", "critical").await;
    let runs = runs(&app).await;
    assert_eq!((runs.len(), runs[0].status), (4, RunStatus::Failed));
    assert!(runs[3].reason.as_ref().is_some_and(|reason| reason.contains("at most 4 deep")), "{:?}", runs[3].reason);
}

#[tokio::test]
async fn what_a_playbook_had_another_do_is_taken_back_however_many_runs_came_in_between() {
    let outer = OUTER
        .replace("  - { id: say", "  - { id: long, wait: 2h }\n  - { id: last, action: http.check, target: orders-admin }\n  - { id: say");
    let inner = INNER.split("  - { id: pause").next().expect("its first step");
    let short = "on: {}\nsteps: [ { id: say, action: note, with: { text: short } } ]";
    let app = App::with(&[("outer", &outer), ("inner", inner), ("short", short)]).await;
    app.answers("http.check", vec![Err(ActionError::Fatal("500".to_owned()))]);
    let incident = app.fires("ServiceDown", "critical").await;
    app.passes(Span::minutes(1)).await;
    for _ in 0..30 {
        starts(&app, "ana", "short", json!({})).await.expect("taken");
        app.passes(Span::minutes(1)).await;
    }
    let held = runs(&app).await;
    assert!(held.len() < 25 && held.iter().any(|run| run.playbook == "inner"), "the oldest are let go, but not what an open run has done");
    app.passes(Span::hours(2)).await;
    assert_eq!(runs(&app).await[0].status, RunStatus::Failed);
    assert!(app.calls().contains(&"undo postgres.read_only orders-db #1".to_owned()), "{:?}", app.calls());
    app.assert_fold_is_state(incident.id).await;
}

const HOLDS: &str = "
title: Protect for a while
on: { type: service_down }
steps:
  - { id: protect, action: postgres.read_only, target: orders-db, undo: on_resolve }
  - { id: pause, wait: 5m }
";

#[tokio::test]
async fn a_run_waits_for_a_target_that_another_has_and_goes_on_in_the_moment_in_which_that_ends() {
    let other = HOLDS.replace("postgres.read_only", "postgres.pool_reset").replace(", undo: on_resolve", "");
    for crash in [false, true] {
        let mut app = App::with(&[("a", HOLDS), ("b", &other)]).await;
        let incident = app.fires("ServiceDown", "critical").await;
        assert_eq!(app.calls(), ["postgres.read_only orders-db #1"]);
        let told = format!("Waits for orders-db: playbook a of incident {} is at work on it", incident.number);
        assert!(app.sentences(incident.id).await.contains(&told), "{:#?}", app.sentences(incident.id).await);
        if crash {
            app.crashes().await;
        }
        app.passes(Span::minutes(5)).await;
        assert_eq!(app.calls(), ["postgres.read_only orders-db #1", "postgres.pool_reset orders-db #1"]);
        let runs = runs(&app).await;
        assert_eq!(runs[0].ended_at, runs[1].steps["protect"].started_at);
        app.assert_fold_is_state(incident.id).await;
    }
}

#[tokio::test]
async fn runs_of_several_incidents_have_a_target_in_the_order_in_which_they_came() {
    let mut app = App::with(&[("a", HOLDS)]).await;
    for group in 0..3 {
        let mut post = body(&[alert("ServiceDown", "critical", "firing", group)]);
        post["groupKey"] = json!(format!("group {group}"));
        app.posts(&post).await;
    }
    let order = async |app: &App| {
        let mut begun: Vec<_> =
            app.incidents().await.into_iter().map(|i| (i.number, i.runs.into_values().next().expect("a run"))).collect();
        begun.sort_by_key(|(number, _)| *number);
        begun.into_iter().map(|(_, run)| run.steps["protect"].started_at.is_some()).collect::<Vec<_>>()
    };
    assert_eq!(order(&app).await, [true, false, false]);
    app.passes(Span::minutes(5)).await;
    assert_eq!(order(&app).await, [true, true, false]);
    app.crashes().await;
    app.passes(Span::minutes(5)).await;
    assert_eq!(order(&app).await, [true, true, true]);
}

#[tokio::test]
async fn an_undo_under_way_when_an_incident_opens_again_is_not_overtaken() {
    let app = App::with(&[("a", HOLDS)]).await;
    let says = |id, command| app.runtime.command(id, Actor::Person("ana".to_owned()), command, None);
    let incident = app.fires("ServiceDown", "critical").await;
    app.holds("undo postgres.read_only");
    says(incident.id, Command::Resolve { note: String::new() }).await.expect("taken");
    app.is_asked(2).await;
    let reopen = Command::Reopen { note: String::new() };
    says(incident.id, reopen).await.expect("taken");
    let start = Command::StartRun { playbook: "a".to_owned(), vars: Map::new() };
    says(incident.id, start).await.expect("taken");
    for _ in 0..200 {
        tokio::task::yield_now().await;
    }
    assert_eq!(app.calls().len(), 2, "{:?}", app.calls());
    app.lets_go("undo postgres.read_only");
    app.settles().await;
    assert_eq!(app.calls()[1..], ["undo postgres.read_only orders-db #1", "postgres.read_only orders-db #1"]);
    app.assert_fold_is_state(incident.id).await;
}

#[tokio::test]
async fn two_runs_that_would_wait_for_each_other_do_not() {
    let first = "
title: First
on: { type: service_down }
steps:
  - { id: one, action: postgres.pool_reset, target: orders-db }
  - { id: pause, wait: 1m }
  - { id: two, action: http.request, target: orders-admin }
";
    let second = first
        .replace("postgres.pool_reset, target: orders-db", "http.request, target: orders-admin")
        .replace("id: two, action: http.request, target: orders-admin", "id: two, action: postgres.pool_reset, target: orders-db");
    let app = App::with(&[("first", first), ("second", &second)]).await;
    app.fires("ServiceDown", "critical").await;
    app.passes(Span::minutes(2)).await;
    let runs = runs(&app).await;
    assert_eq!(runs.iter().map(|run| run.status).collect::<Vec<_>>(), [RunStatus::Succeeded, RunStatus::Failed]);
    assert!(runs[1].reason.as_ref().is_some_and(|reason| reason.contains("waits for what this run has")), "{:?}", runs[1].reason);
}

#[tokio::test]
async fn a_run_that_takes_too_long_fails_and_is_taken_back() {
    let slow = HOLDS.replace("on_resolve", "on_failure").replace("title:", "timeout: 2m\ntitle:");
    let mut app = App::with(&[("slow", &slow)]).await;
    let incident = app.fires("ServiceDown", "critical").await;
    app.crashes().await;
    app.passes(Span::minutes(2)).await;
    let run = the_run(&app).await;
    assert_eq!((run.status, run.reason.as_deref()), (RunStatus::Failed, Some("it was not done within 2m")));
    assert_eq!(app.calls().last().map(String::as_str), Some("undo postgres.read_only orders-db #1"));
    app.assert_fold_is_state(incident.id).await;
}

#[tokio::test]
async fn the_page_says_what_a_yes_would_do_and_takes_it_and_so_does_the_api() {
    let asks = ASKS.replace("[bo]", "operator").replace("- { id: say", "- { id: again, approval: { by: ana } }\n  - { id: say");
    let app = App::with(&[("asks", &asks)]).await;
    app.fires("ServiceDown", "critical").await;
    let browser = Browser::of(&app);
    let run = the_run(&app).await.id;
    let page = browser.page("/incidents/1").await;
    assert!(page.contains("Needs a yes: it will do http.request on orders-admin."), "{page}");
    assert!(page.contains("/protect/1") && page.contains(&format!("/runs/{run}/steps/protect/reject")), "{page}");
    let page = browser.sends(&format!("/runs/{run}/steps/protect/approve"), "note=go&by=zoe").await;
    app.settles().await;
    assert_eq!(notice(&page), "Approved: it goes on.");
    assert_eq!(app.calls().len(), 1);
    let post = |step: &str, by: &str| {
        let body = Body::from(json!({ "by": by }).to_string());
        let address = format!("/api/v1/runs/{run}/steps/{step}/approve");
        browser.ask(call("POST", &address).header("content-type", "application/json").body(body).expect("a request"))
    };
    for (step, by, status, said) in [
        ("protect", "ana", 409, "asks for no approval now"),
        ("again", "bo", 409, "it is for ana"),
        ("again", "ana", 200, "\"approved_by\":\"ana\""),
    ] {
        let answer = post(step, by).await;
        assert_eq!(answer.status, status, "{}", answer.text);
        assert!(answer.text.contains(said), "{}", answer.text);
    }
}

#[tokio::test]
async fn the_page_shows_a_list_as_one_step_with_its_items() {
    let app = App::with(&[("each", EACH)]).await;
    app.answers("http.request", vec![Ok(Value::Null), Err(ActionError::Unknown("lost".to_owned()))]);
    app.posts(&crowd(&[1, 2])).await;
    let browser = Browser::of(&app);
    let page = browser.page("/incidents/1").await;
    let run = the_run(&app).await.id;
    assert!(page.contains("Restart, item 1") && page.contains(&format!("/runs/{run}/steps/restart.2/settle")), "{page}");
    let api: Value = serde_json::from_str(&browser.page(&format!("/api/v1/runs/{run}")).await).expect("JSON");
    assert_eq!((&api["steps"][0]["items"][1]["id"], &api["steps"][0]["items"][1]["status"]), (&json!("restart.2"), &json!("in_doubt")));
    browser.sends(&format!("/runs/{run}/steps/restart.2/settle"), "outcome=succeeded&note=it+is+up&by=ana").await;
    app.settles().await;
    assert_eq!(the_run(&app).await.status, RunStatus::Succeeded);
}

const ALL: &str = "
title: All at once
on: { type: service_down }
timeout: 1h
steps:
  - parallel:
      - { id: protect, action: postgres.read_only, target: orders-db, undo: on_resolve }
      - [ { id: look, action: postgres.pool_status, target: orders-db }, { id: ask, approval: { by: ana } } ]
  - { id: each, for_each: alerts, as: one, action: prometheus.query, target: prom, with: { query: '{{ one.labels.instance }}' } }
  - { id: part, action: playbook.run, with: { playbook: part } }
";
const PART: &str = "
title: Part
on: {}
steps:
  - { id: protect, action: postgres.read_only, target: orders-db }
  - { id: pause, wait: 1m }
";

/// Everything that the language has, in a process that dies after so many commits. Tells how each step ended, and whether it died.
async fn mortal_language(commits: i64) -> (Vec<String>, bool) {
    let waits = PART.replace("on: {}", "on: { type: service_down }");
    // An attempt that is made again counts again.
    let settings = format!("{PEOPLE}\nlimits: {{ per_target: 10 per 1h }}\n");
    let mut app = App::that_dies_after(commits, &settings, &[("all", ALL), ("part", PART), ("waits", &waits)]).await;
    let (post, over) = (crowd(&[1, 2]), body(&[1, 2].map(|instance| alert("ServiceDown", "critical", "resolved", instance))));
    let mut died = false;
    for gesture in ["post", "approve", "time", "resolve", "end"] {
        let mortal = app.mortal.clone().expect("a journal");
        let survived = tokio::select! {
            () = makes(&app, gesture, (&post, &over)) => true,
            () = mortal.death() => false,
        };
        drop(mortal);
        if !survived {
            died = true;
            app.crashes().await;
            makes(&app, gesture, (&post, &over)).await;
        }
    }
    app.assert_fold_is_state(app.newest().await.id).await;
    let of_run = |run: Run| {
        let steps: Vec<String> = run.steps.iter().map(|(path, state)| format!("{path} {}", state.status.word())).collect();
        format!("{} {}: {}", run.playbook, run.status.word(), steps.join(", "))
    };
    (runs(&app).await.into_iter().map(of_run).collect(), died)
}

async fn makes(app: &App, gesture: &str, (post, over): (&Value, &Value)) {
    let until = async |span| app.passes((START + span).since(app.clock.now())).await;
    match gesture {
        "post" => drop(app.posts(post).await),
        "approve" => {
            let command = Command::AnswerApproval { run: the_run(app).await.id, step: "ask".to_owned(), yes: true, note: String::new() };
            let (id, who) = (app.newest().await.id, Actor::Person("ana".to_owned()));
            app.runtime.command(id, who, command, Some("once".into())).await.expect("taken");
            app.settles().await;
        }
        "time" => until(Span::minutes(5)).await,
        "resolve" => drop(app.posts(over).await),
        _ => until(Span::minutes(9)).await,
    }
}

#[tokio::test]
async fn a_crash_after_any_commit_of_all_the_language_ends_in_the_same_steps() {
    let (whole, _) = mortal_language(i64::MAX).await;
    let expected = [
        "all succeeded: ask succeeded, each succeeded, each.1 succeeded, each.2 succeeded, look succeeded, part succeeded, protect undone",
        "waits succeeded: pause succeeded, protect succeeded",
        "part succeeded: pause succeeded, protect succeeded",
    ];
    assert_eq!(whole, expected);
    for commits in 1.. {
        let (ended, died) = mortal_language(commits).await;
        assert_eq!(ended, whole, "a crash after commit {commits}");
        if !died {
            assert!(commits > 10, "the story has {commits} commits");
            break;
        }
    }
}
