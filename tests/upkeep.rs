//! Looking after the data with the binary: verify, export, backup and restore, beside a running server and without one.

#[path = "crash/server.rs"]
mod server;

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use serde_json::Value;
use sqlx::{Connection, SqliteConnection};

use crate::server::{Server, client, until};

const SOON: Duration = Duration::from_secs(20);
const BODY: &str = r#"{"version":"4","receiver":"r","groupKey":"g","alerts":[{"status":"firing","labels":{"alertname":"Down","service":"NAME"},"annotations":{},"startsAt":"2026-09-21T14:00:00Z","endsAt":"0001-01-01T00:00:00Z"}]}"#;

/// What a command said and how it ended.
struct Said {
    code: Option<i32>,
    out: String,
    err: String,
}

/// The command in the server's folder, as a pipe sees it.
fn reynard(server: &Server, args: &[&str]) -> Said {
    let Output { status, stdout, stderr } = Command::new(env!("CARGO_BIN_EXE_reynard"))
        .args(args)
        .current_dir(server.folder.path())
        .env_remove("REYNARD_CONFIG")
        .env_remove("REYNARD_DATABASE_URL")
        .stdin(Stdio::null())
        .output()
        .expect("it starts");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    Said { code: status.code(), out: text(stdout), err: text(stderr) }
}

fn goes_well(server: &Server, args: &[&str]) -> String {
    let said = reynard(server, args);
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{args:?}: {}", said.out);
    said.out
}

/// A running server with one incident that its alert has opened.
async fn with_an_incident() -> Server {
    let mut server = Server::prepare(&[("reynard.yaml", "channels: { hook: { kind: webhook, url: 'http://127.0.0.1:1/' } }")]);
    server.start().await;
    hears_of(&server, "first").await;
    server
}

async fn hears_of(server: &Server, service: &str) {
    let post = client().post(&server.url).header("content-type", "application/json").body(BODY.replace("NAME", service));
    assert_eq!(post.send().await.expect("it answers").status().as_u16(), 200);
    until("there is an incident", SOON, async || (services(server).await.iter().any(|known| known == service)).then_some(())).await;
}

async fn services(server: &Server) -> Vec<String> {
    let answer = client().get(format!("{}/api/v1/incidents", server.url)).send().await.expect("it answers");
    let page: Value = answer.json().await.expect("JSON");
    let items = page["items"].as_array().expect("a list").iter();
    items.map(|incident| incident["service"].as_str().unwrap_or_default().to_owned()).collect()
}

async fn changes(database: &Path, text: &'static str) {
    let mut connection = SqliteConnection::connect(&format!("sqlite://{}", database.display())).await.expect("the file");
    assert!(sqlx::query(text).execute(&mut connection).await.expect("good SQL").rows_affected() > 0);
    connection.close().await.expect("closed");
}

#[tokio::test]
async fn verify_looks_beside_a_running_server_and_names_what_does_not_fit() {
    let mut server = with_an_incident().await;
    let said = goes_well(&server, &["verify"]);
    assert!(said.starts_with("1 incidents, ") && said.ends_with(" entries: everything fits\n"), "{said}");
    assert!(server.stop().await.success());
    changes(&server.database(), "update timeline set actor = 'nobody' where seq = 2").await;
    let said = reynard(&server, &["verify"]);
    assert_eq!((said.code, said.err.as_str()), (Some(1), ""), "{}", said.out);
    assert!(said.out.starts_with("incident 1, entry 2: it does not fit the log's chain"), "{}", said.out);
    assert!(said.out.ends_with(" 1 faults\n"), "{}", said.out);
}

#[tokio::test]
async fn what_is_no_database_of_reynard_s_cannot_be_looked_at() {
    let server = Server::prepare(&[("reynard.yaml", ""), ("text.db", "no database"), ("empty.db", "")]);
    for (url, why) in
        [("sqlite://nowhere.db", "it is not there"), ("sqlite://text.db", "text.db"), ("sqlite://empty.db", "no database of Reynard's")]
    {
        let said = reynard(&server, &["verify", "--database-url", url]);
        assert_eq!((said.code, said.out.as_str()), (Some(2), ""), "{url}: {}", said.err);
        assert!(said.err.contains(why), "{url}: {}", said.err);
    }
    assert!(!server.folder.path().join("nowhere.db").exists(), "looking makes nothing");
}

#[tokio::test]
async fn export_tells_an_incident_by_number_and_by_id() {
    let server = with_an_incident().await;
    let markdown = goes_well(&server, &["export", "1"]);
    assert!(markdown.starts_with("# P") && markdown.contains("## Timeline (UTC)"), "{markdown}");
    let json = goes_well(&server, &["export", "#1", "--format", "json"]);
    let told: Value = serde_json::from_str(&json).expect("JSON");
    let id = told["incident"]["id"].as_str().expect("an id");
    assert_eq!(told["incident"]["service"], "first");
    assert_eq!(told["timeline"][0]["kind"], "opened");
    assert_eq!(told["alerts"][0]["labels"]["alertname"], "Down");
    assert_eq!(told["runs"].as_array().expect("a list").len(), told["incident"]["runs"].as_array().expect("a list").len());
    let delivery = told["deliveries"][0].as_str().expect("an id");
    let found = client().get(format!("{}/api/v1/deliveries/{delivery}", server.url)).send().await.expect("it answers");
    assert!(found.status().is_success());
    assert_eq!(goes_well(&server, &["export", id, "--format", "md"]), markdown);
    for (name, why) in [("7", "there is no incident 7"), ("x", "names no incident")] {
        let said = reynard(&server, &["export", name]);
        assert!(said.code == Some(2) && said.err.contains(why), "{}", said.err);
    }
}

#[tokio::test]
async fn a_backup_made_beside_a_server_is_put_back_and_what_it_replaces_is_kept() {
    let mut server = with_an_incident().await;
    let said = goes_well(&server, &["backup", "copy.db"]);
    assert!(said.contains("everything fits") && said.contains("Wrote copy.db"), "{said}");
    let again = reynard(&server, &["backup", "copy.db"]);
    assert!(again.code == Some(2) && again.err.contains("--force"), "{}", again.err);
    goes_well(&server, &["backup", "copy.db", "--force"]);
    let itself = reynard(&server, &["backup", "data/reynard.db", "--force"]);
    assert!(itself.code == Some(2) && itself.err.contains("the database itself"), "{}", itself.err);
    hears_of(&server, "second").await;
    let taken = reynard(&server, &["restore", "copy.db"]);
    assert!(taken.code == Some(2) && taken.err.contains("in use by another Reynard"), "{}", taken.err);
    // What it leaves behind lies partly in the file's log.
    server.kill();
    let said = goes_well(&server, &["restore", "copy.db"]);
    assert!(said.contains("Restored data/reynard.db") && said.contains("Next: start the server"), "{said}");
    server.start().await;
    assert_eq!(services(&server).await, ["first"]);
    hears_of(&server, "third").await;
    goes_well(&server, &["verify"]);
    let kept = said.split_whitespace().find(|word| word.contains(".before-restore-")).expect("it is named").trim_end_matches(';');
    assert!(goes_well(&server, &["verify", "--database-url", &format!("sqlite://{kept}")]).starts_with("2 incidents"));
    let left: Vec<_> =
        std::fs::read_dir(server.folder.path().join("data")).expect("a folder").flatten().map(|file| file.file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().contains("partial")), "{left:?}");
}

#[tokio::test]
async fn a_backup_that_is_not_whole_is_not_put_back() {
    let mut server = with_an_incident().await;
    goes_well(&server, &["backup", "copy.db"]);
    assert!(server.stop().await.success());
    changes(&server.folder.path().join("copy.db"), "delete from timeline where seq = 2").await;
    let said = reynard(&server, &["restore", "copy.db"]);
    assert!(said.code == Some(1) && said.out.contains("Nothing was restored"), "{} {}", said.out, said.err);
    let foreign = reynard(&server, &["restore", "reynard.yaml"]);
    assert_eq!(foreign.code, Some(2), "{}", foreign.out);
    server.start().await;
    assert_eq!(services(&server).await, ["first"]);
    goes_well(&server, &["verify"]);
}

#[tokio::test]
async fn postgresql_has_tools_of_its_own_for_this_and_they_are_named() {
    let server = Server::prepare(&[("reynard.yaml", "database: { url: 'postgres://reynard@127.0.0.1:1/reynard' }")]);
    for (command, tool) in [("backup", "pg_dump --format=custom"), ("restore", "pg_restore --clean")] {
        let said = reynard(&server, &[command, "copy.db"]);
        assert!(said.code == Some(2) && said.err.contains(tool), "{}", said.err);
    }
}

#[test]
fn every_command_tells_how_it_is_used() {
    let server = Server::prepare(&[]);
    for command in ["verify", "export", "backup", "restore", "migrate"] {
        let said = goes_well(&server, &[command, "--help"]);
        assert!(said.contains(&format!("Example: reynard {command}")), "{said}");
    }
}

#[tokio::test]
async fn a_backtest_and_a_test_from_an_incident_only_read_beside_a_running_server() {
    let server = with_an_incident().await;
    let said = goes_well(&server, &["backtest", "--since", "1d"]);
    assert!(said.contains("No incident would have been otherwise") && said.contains("1 deliveries of the last 1d"), "{said}");
    let folder = server.folder.path();
    std::fs::write(folder.join("edited.yaml"), "classification: [ { name: all, when: 'true', priority: P2 } ]").expect("written");
    let said = reynard(&server, &["backtest", "--config", "edited.yaml", "--since", "1d"]);
    assert!(
        said.code == Some(1) && said.err.is_empty() && said.out.contains("priority P4 → P2: rule \"all\": true"),
        "{} {}",
        said.out,
        said.err
    );
    let json = reynard(&server, &["backtest", "--config", "edited.yaml", "--since", "1d", "--format", "json"]);
    let json: Value = serde_json::from_str(&json.out).expect("JSON");
    assert_eq!((&json["then"]["P4"], &json["now"]["P2"], &json["changed"][0]["number"]), (&1.into(), &1.into(), &1.into()));
    std::fs::write(folder.join("bad.yaml"), "clasification: []").expect("written");
    let said = reynard(&server, &["backtest", "--config", "bad.yaml"]);
    assert!(said.code == Some(2) && said.err.contains("did you mean"), "{}", said.err);

    let said = reynard(&server, &["test", "--from-incident", "1"]);
    assert!(said.code == Some(0) && said.out.contains("1 tests: 1 good"), "{} {}", said.out, said.err);
    let written = std::fs::read_to_string(folder.join("playbooks/tests/incident-1.yaml")).expect("written");
    assert!(written.contains("name: ") && written.contains("service: first"), "{written}");
    let again = reynard(&server, &["test", "--from-incident", "1"]);
    assert!(again.code == Some(2) && again.err.contains("is there already"), "{}", again.err);
    assert!(goes_well(&server, &["verify"]).contains("0 faults") || !goes_well(&server, &["verify"]).is_empty());
}
