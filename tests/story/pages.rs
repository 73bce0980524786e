//! What people do with the forms of the pages, and what the pages tell them of it.

use reynard::domain::decide::command::Command;
use reynard::domain::incident::Status;
use reynard::domain::priority::Priority;
use reynard::domain::run::StepStatus;
use reynard::domain::time::Span;
use reynard::engine::ports::ActionError;

use crate::app::App;
use crate::web::{Browser, notice};

#[tokio::test]
async fn many_are_acknowledged_at_once_and_those_that_could_not_be_are_named() {
    let app = App::new().await;
    for name in ["A", "B", "C"] {
        app.fires(name, "critical").await;
    }
    app.puts(app.incident(2).await.id, "bo", Command::Acknowledge { note: String::new() }).await.expect("it is done");
    let browser = Browser::of(&app);

    let page = browser.sends("/incidents", "verb=acknowledge&number=1&number=2&number=3&number=99").await;
    app.settles().await;
    assert_eq!(notice(&page), "Acknowledged #1, #3. Not #2: bo acknowledged it already. Not #99: there is no such incident.");
    for number in 1..=3 {
        assert_eq!(app.incident(number).await.status, Status::Acknowledged);
    }
    let page = browser.undoes(&page).await;
    app.settles().await;
    assert_eq!(notice(&page), "Taken back #1, #3.");
    let triggered = [app.incident(1).await.status, app.incident(2).await.status, app.incident(3).await.status];
    assert_eq!(triggered, [Status::Triggered, Status::Acknowledged, Status::Triggered]);
}

#[tokio::test]
async fn nothing_ticked_or_nothing_said_changes_nothing() {
    let app = App::new().await;
    app.fires("A", "critical").await;
    let browser = Browser::of(&app);
    for (form, said) in
        [("verb=resolve", "tick the incidents first"), ("number=1", "say what to do"), ("verb=explode&number=1", "say what to do")]
    {
        assert!(notice(&browser.sends("/incidents", form).await).contains(said), "{form}");
    }
    let many: String = (1..=101).map(|number| format!("&number={number}")).collect();
    assert!(notice(&browser.sends("/incidents", &format!("verb=resolve{many}")).await).contains("at most 100"));
    assert_eq!(app.incident(1).await.status, Status::Triggered);
}

#[tokio::test]
async fn what_was_done_by_mistake_is_taken_back() {
    let app = App::new().await;
    let incident = app.fires("A", "critical").await;
    let browser = Browser::of(&app);

    let page = browser.sends("/incidents/1/acknowledge", "").await;
    assert_eq!(app.newest().await.status, Status::Acknowledged);
    browser.undoes(&page).await;
    assert_eq!(app.newest().await.status, Status::Triggered);

    assert_eq!(incident.priority, Priority::P2);
    let page = browser.sends("/incidents/1/priority", "priority=P4").await;
    assert_eq!(app.newest().await.priority, Priority::P4);
    browser.undoes(&page).await;
    assert_eq!(app.newest().await.priority, Priority::P2);

    let page = browser.sends("/incidents/1/snooze", "for=8h").await;
    let page = browser.undoes(&page).await;
    assert_eq!(notice(&page), "The snooze ends.");
    app.passes(Span::seconds(2)).await;
    assert_eq!(app.newest().await.escalation.snoozed_until, None);

    let page = browser.sends("/incidents/1/resolve", "").await;
    assert_eq!(app.newest().await.status, Status::Resolved);
    browser.undoes(&page).await;
    assert_eq!(app.newest().await.status, Status::Triggered);
    app.settles().await;
    app.assert_fold_is_state(incident.id).await;
}

#[tokio::test]
async fn a_form_sent_twice_is_done_once() {
    let app = App::new().await;
    let incident = app.fires("A", "critical").await;
    let browser = Browser::of(&app);
    for _ in 0..2 {
        browser.sends("/incidents/1/comment", "text=looking&_action_id=0b0e7a1c-31c5-4b38-9f3c-5a0e1d2f7a66").await;
    }
    assert_eq!(app.kinds(incident.id).await.iter().filter(|kind| *kind == "commented").count(), 1);
}

#[tokio::test]
async fn an_incident_says_how_often_it_came_and_what_ended_it_last_time() {
    let app = App::with(&[("x", "title: T\non: { type: service_down }\nsteps: [ { id: a, action: note, with: { text: hello } } ]")]).await;
    let browser = Browser::of(&app);
    for _ in 0..2 {
        app.fires("ServiceDown", "critical").await;
        app.passes(Span::minutes(4)).await;
        app.ends("ServiceDown", "critical").await;
        app.passes(Span::hours(2)).await;
    }
    app.fires("ServiceDown", "critical").await;
    let page = browser.page("/incidents/3").await;
    assert!(page.contains("3 times in 30 days") && page.contains("last fixed by <b>x</b> in <b class=\"num\">4m 30s</b>"), "{page}");
    let list = browser.page("/incidents").await;
    assert!(list.contains("3 times in 24 hours, burning in "), "{list}");
    app.passes(Span::hours(24 * 31)).await;
    assert!(browser.page("/incidents/3").await.contains("first time in 30 days"), "what was longer ago is not counted");
}

#[tokio::test]
async fn unacknowledged_p1_stand_above_what_is_younger() {
    let app = App::new().await;
    for name in ["A", "B", "C"] {
        app.fires(name, "warning").await;
    }
    let browser = Browser::of(&app);
    browser.sends("/incidents/1/priority", "priority=P1").await;
    let order = |page: &str| -> Vec<String> {
        let rows = page.split("name=\"number\" value=\"").skip(1);
        rows.filter_map(|row| row.split('"').next()).map(str::to_owned).collect()
    };
    assert_eq!(order(&browser.page("/incidents").await), ["1", "3", "2"]);
    assert_eq!(order(&browser.page("/incidents?priority=P3").await), ["3", "2"]);
    assert_eq!(order(&browser.page("/incidents?before=3").await), ["2"], "it is not shown again on a later page");
    browser.sends("/incidents/1/acknowledge", "").await;
    assert_eq!(order(&browser.page("/incidents").await), ["3", "2", "1"]);
}

#[tokio::test]
async fn quiet_is_shown_with_the_proof_that_it_is_not_deafness() {
    let app = App::new().await;
    let browser = Browser::of(&app);
    assert!(browser.page("/").await.contains("Until one does, quiet proves nothing."));
    app.fires("A", "critical").await;
    app.ends("A", "critical").await;
    app.passes(Span::minutes(5)).await;
    let page = browser.page("/").await;
    assert!(page.contains("All quiet") && page.contains("Last heard from <b>am</b>"), "{page}");
}

#[tokio::test]
async fn what_nobody_can_take_back_is_asked_about_first() {
    let playbook = "title: T
on: { type: service_down }
steps:
  - { id: reset, title: Reset the pool, action: postgres.pool_reset, target: orders-db, with: {} }
  - { id: tell, title: Say so, action: note, with: { text: done } }";
    let app = App::with(&[("x", playbook)]).await;
    app.answers("postgres.pool_reset", vec![Err(ActionError::Unknown("the connection was lost".to_owned()))]);
    let incident = app.fires("ServiceDown", "critical").await;
    let run = incident.runs_in_order()[0].id;
    assert_eq!(app.newest().await.runs[&run].steps["reset"].status, StepStatus::InDoubt);
    let browser = Browser::of(&app);

    let page = browser.page(&format!("/runs/{run}/cancel")).await;
    for words in ["Cancel the run of x?", "“Reset the pool” stays in doubt", "“Say so” does not begin."] {
        assert!(page.contains(words), "{words} in {page}");
    }
    let page = browser.page(&format!("/runs/{run}/steps/reset/retry")).await;
    assert!(page.contains("(postgres.pool_reset on orders-db) was sent") && page.contains("it happens twice"), "{page}");
    assert!(browser.page(&format!("/runs/{run}/steps/reset/skip")).await.contains("goes on with “Say so”"));
    let kinds = app.kinds(incident.id).await;
    for verb in ["retry", "skip"] {
        let step = format!("/runs/{run}/steps/reset/{verb}");
        assert_eq!(notice(&browser.sends(&step, "note=seen").await), "Say who you are: your name stands behind it.");
        assert_eq!(notice(&browser.sends(&step, "by=ana").await), "Say how you know: what did you see?");
    }
    assert_eq!(app.kinds(incident.id).await, kinds, "whoever answers for it says who they are, and why");
    browser.sends(&format!("/runs/{run}/steps/reset/retry"), "note=seen&by=ana").await;
    app.settles().await;
    assert!(app.kinds(incident.id).await.len() > kinds.len(), "looking changed nothing, the form did");
    assert_eq!(app.newest().await.runs[&run].steps["tell"].status, StepStatus::Succeeded);
}

#[tokio::test]
async fn an_incident_is_told_as_markdown() {
    let app = App::new().await;
    app.fires("A", "critical").await;
    let browser = Browser::of(&app);
    browser.sends("/incidents/1/comment", "text=*+see+%3Cb%3E").await;
    let text = browser.page("/incidents/1.md").await;
    assert!(text.starts_with("# P2 ") && text.contains("**someone on this machine:** \\* see \\<b\\>"), "{text}");
}

#[tokio::test]
async fn a_priority_that_a_person_chose_is_explained_by_the_person_first() {
    let app = App::new().await;
    let incident = app.fires("ServiceDown", "critical").await;
    let browser = Browser::of(&app);
    assert!(browser.page("/incidents/1").await.contains(">Why P1</h2><p>Rule <b>"));
    app.puts(incident.id, "ana", Command::SetPriority { priority: Priority::P2, note: String::new() }).await.expect("taken");
    let page = browser.page("/incidents/1").await;
    let card = crate::web::between(&page, "id=\"class\"", "</section>");
    assert!(card.contains(">P2, because ana set it</h2>") && !card.contains("Why P1"), "{card}");
    assert!(card.contains("The rules say P1: rule <b>"), "{card}");
}
