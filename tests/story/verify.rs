//! Whatever somebody does to the file with other hands is found and named; what Reynard does itself fits together.

use reynard::domain::decide::command::Command;
use reynard::domain::time::Span;
use reynard::engine::ports::{ActionError, Delivered};
use sqlx::{AssertSqlSafe, Connection, PgConnection, SqliteConnection};

use crate::app::{App, alert, body};

const PROTECT: &str = "
title: Look and protect
on: { type: service_down }
steps:
  - { id: look, action: postgres.pool_status, target: orders-db }
  - { id: protect, action: postgres.read_only, target: orders-db, undo: on_resolve }
  - { id: pause, wait: 2m }
  - { id: tell, action: notify, with: { to: [bo], text: protected } }
";

impl App {
    /// Changes the file as somebody with a database shell would.
    pub async fn is_tampered_with(&self, text: &str) {
        let query = sqlx::raw_sql(AssertSqlSafe(text.to_owned()));
        let changed = if self.is_on_postgres() {
            let mut connection = PgConnection::connect(self.url()).await.expect("the database");
            query.execute(&mut connection).await.expect("good SQL").rows_affected()
        } else {
            let mut connection = SqliteConnection::connect(self.url()).await.expect("the file");
            query.execute(&mut connection).await.expect("good SQL").rows_affected()
        };
        assert!(changed > 0, "{text} changes nothing");
    }

    fn is_on_postgres(&self) -> bool {
        self.url().starts_with("postgres")
    }

    /// Two incidents, one of which is over.
    pub async fn with_a_past() -> Self {
        let app = Self::with(&[("protect", PROTECT)]).await;
        app.fires("ServiceDown", "critical").await;
        app.passes(Span::minutes(3)).await;
        app.posts(&body(&[alert("ServiceDown", "critical", "firing", 1)])).await;
        app.posts(&body(&[alert("ServiceDown", "critical", "resolved", 0), alert("ServiceDown", "critical", "resolved", 1)])).await;
        app.passes(Span::hours(1)).await;
        app.fires("Anything", "critical").await;
        app.puts(app.newest().await.id, "ana", Command::Comment { text: "look".to_owned() }).await.expect("taken");
        app
    }
}

#[tokio::test]
async fn what_reynard_writes_fits_together_at_every_moment() {
    let mut app = App::with(&[("protect", PROTECT)]).await;
    app.assert_verified().await;
    app.world.replies.lock().expect("no panics").push_back(Delivered::Again { reason: "busy".to_owned(), after: None });
    app.answers("postgres.read_only", vec![Err(ActionError::Retry("away".to_owned())), Err(ActionError::Unknown("lost".to_owned()))]);
    app.fires("ServiceDown", "critical").await;
    for _ in 0..8 {
        app.assert_verified().await;
        app.passes(Span::seconds(40)).await;
    }
    app.crashes().await;
    app.assert_verified().await;
    app.puts(app.newest().await.id, "ana", Command::Acknowledge { note: String::new() }).await.expect("taken");
    app.ends("ServiceDown", "critical").await;
    app.passes(Span::minutes(5)).await;
    app.trouble.comes(&["commit"]);
    let _ = app.runtime.deliver("am", body(&[alert("Other", "warning", "firing", 0)]).to_string().into_bytes()).await;
    app.heals().await;
    app.trouble.comes(&["commit answered"]);
    let _ = app.runtime.deliver("am", body(&[alert("Other", "warning", "firing", 0)]).to_string().into_bytes()).await;
    app.heals().await;
    app.restarts_after(Span::hours(1)).await;
    let verified = app.assert_verified().await;
    assert_eq!((verified.seen.incidents, verified.unchained), (2, 0));
}

#[tokio::test]
async fn an_attempt_under_way_has_its_job() {
    let app = App::with(&[("protect", PROTECT)]).await;
    app.holds("postgres.read_only");
    app.hands_in(&body(&[alert("ServiceDown", "critical", "firing", 0)])).await;
    app.is_asked(2).await;
    app.assert_verified().await;
    app.is_tampered_with("delete from jobs where kind = 'perform'").await;
    let (_, faults) = app.verified().await;
    assert_eq!(faults.len(), 1, "{faults:?}");
    assert!(faults[0].starts_with("incident 1: step protect of run ") && faults[0].ends_with("no job is there for it"), "{faults:?}");
}

#[tokio::test]
async fn a_row_that_was_changed_taken_out_or_put_in_is_named() {
    let cases = [
        ("update timeline set event = replace(event, 'look', 'loop') where kind = 'commented'", "incident 2, entry"),
        ("update timeline set actor = 'bo' where kind = 'commented'", "incident 2, entry"),
        (
            "update timeline set at = at + 1 where incident = (select id from incidents where number = 1) and seq = 3",
            "incident 1, entry 3: ",
        ),
        (
            "update timeline set digest = null where incident = (select id from incidents where number = 1) and seq = 5",
            "incident 1, entry 5: ",
        ),
        (
            "delete from timeline where incident = (select id from incidents where number = 1) and seq = 4",
            "incident 1, entry 5: entry 4 is missing",
        ),
        (
            "delete from timeline where incident = (select id from incidents where number = 1) and seq in (4, 5)",
            "incident 1, entry 6: entries 4 to 5 are missing",
        ),
        (
            "delete from timeline where incident = (select id from incidents where number = 2) and kind = 'commented'",
            "incident 2, entry 7: the log's last link is not the one its state knows",
        ),
        (
            "insert into timeline select 1000, incident, seq + 1, at, kind, actor_kind, actor, event, digest from timeline where kind = 'commented'",
            "incident 2, entry 8: it does not fit the log's chain",
        ),
        (
            "insert into timeline select 1000, incident, seq + 1, at, kind, actor_kind, actor, event, null from timeline where kind = 'commented'",
            "incident 2, entry 8: it has no link",
        ),
        (
            "update incidents set state = json_set(state, '$.title', 'else') where number = 1",
            "incident 1: its state is not what its log adds up to: title",
        ),
        ("update incidents set status = 'acknowledged' where number = 1", "incident 1: its row does not say what its state says"),
        ("update alerts set firing = true where incident = (select id from incidents where number = 1)", "incident 1: alert "),
        ("update runs set status = 'failed'", "incident 1: the row of run "),
        ("delete from runs", "incident 1: run "),
        (
            "insert into jobs values (999, (select id from incidents where number = 2), 'send', 0, false, '{\"kind\":\"send\",\"notification\":77,\"attempt\":1}')",
            "incident 2: job 999 is for something",
        ),
        (
            "insert into jobs values (999, '00000000-0000-0000-0000-000000000000', 'measure', 0, false, '{\"kind\":\"measure\"}')",
            "job 999 of an incident that is not there",
        ),
        ("delete from jobs where kind = 'timer'", "incident 2: its next level is due"),
        ("delete from incidents where number = 1", "entry 1 of an incident that is not there"),
    ];
    for (text, told) in cases {
        let app = App::with_a_past().await;
        app.assert_verified().await;
        if app.is_on_postgres() && text.contains("json") {
            // Said in SQLite's own words.
            continue;
        }
        app.is_tampered_with(text).await;
        let (verified, faults) = app.verified().await;
        assert!(faults.iter().any(|fault| fault.starts_with(told)), "{text}: {faults:#?}");
        assert_eq!(verified.faults, faults.len() as u64);
    }
}

#[tokio::test]
async fn an_incident_that_was_taken_out_with_all_its_rows_is_missed() {
    let app = App::with_a_past().await;
    for table in ["timeline", "alerts", "runs", "jobs"] {
        app.is_tampered_with(&format!("delete from {table} where incident = (select id from incidents where number = 1)")).await;
    }
    app.is_tampered_with("delete from incidents where number = 1").await;
    let (_, faults) = app.verified().await;
    assert_eq!(faults, ["the seal over all incidents does not fit: an incident was taken out, put in or changed as a whole"]);
}

#[tokio::test]
async fn a_log_from_before_it_was_chained_goes_on_as_a_chain() {
    let mut app = App::new().await;
    let incident = app.fires("Anything", "critical").await;
    app.is_tampered_with("update timeline set digest = null").await;
    let unlinked = if app.is_on_postgres() { "(state::jsonb - 'chain')::text" } else { "json_remove(state, '$.chain')" };
    app.is_tampered_with(&format!("update incidents set state = {unlinked}")).await;
    app.is_tampered_with("delete from meta where name = 'seal'").await;
    app.crashes().await;
    let before = app.assert_verified().await.unchained;
    assert!(before > 0);
    app.puts(incident.id, "ana", Command::Comment { text: "look".to_owned() }).await.expect("taken");
    assert_eq!(app.assert_verified().await.unchained, before);
    app.is_tampered_with("update timeline set actor = 'bo' where kind = 'commented'").await;
    assert_eq!(app.verified().await.1.len(), 1);
}
