//! What the world does to a server: broken bodies, clients that hang up, disks that are full, files that are taken.
//! Against the binary, in a folder of its own.

#[path = "crash/server.rs"]
mod server;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Resource, Rlimit, prlimit};
use serde_json::{Value, json};

use crate::server::{Server, client, until};

const SOON: Duration = Duration::from_secs(20);
const GOOD: &str = r#"{"status":"firing","labels":{"alertname":"Good","service":"NAME"},"annotations":{},"startsAt":"2026-09-21T14:00:00Z","endsAt":"0001-01-01T00:00:00Z"}"#;

/// A body whose group is its own, with a good alert for a service of that name after `alerts`.
fn beside(name: &str, alerts: &str) -> String {
    let good = GOOD.replace("NAME", name);
    format!(r#"{{"version":"4","receiver":"r","groupKey":"{name}","alerts":[{alerts}{good}]}}"#)
}

struct Answer {
    status: u16,
    kind: String,
    retry_after: Option<String>,
    text: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("{} is not JSON", self.text))
    }
}

async fn post(server: &Server, body: impl Into<reqwest::Body>) -> Answer {
    let request = client().post(&server.url).header("content-type", "application/json").body(body);
    let answer = request.send().await.expect("it answers");
    let header = |name: &str| answer.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let (status, kind, retry_after) = (answer.status().as_u16(), header("content-type").unwrap_or_default(), header("retry-after"));
    Answer { status, kind, retry_after, text: answer.text().await.expect("a whole answer") }
}

async fn get(server: &Server, path: &str) -> Value {
    let answer = client().get(format!("{}{path}", server.url)).send().await.expect("it answers");
    assert!(answer.status().is_success(), "GET {path}: {}", answer.status());
    serde_json::from_str(&answer.text().await.expect("a whole answer")).expect("JSON")
}

async fn incidents_of(server: &Server, service: &str) -> usize {
    get(server, &format!("/api/v1/incidents?service={service}")).await["items"].as_array().map_or(0, Vec::len)
}

#[tokio::test]
async fn broken_bodies_get_a_clear_no_or_are_taken_and_cost_no_good_alert() {
    let mut server = Server::prepare(&[("reynard.yaml", "")]);
    server.start().await;
    let no = [
        ("cut", beside("cut", "")[..90].to_owned()),
        ("nothing", String::new()),
        ("another type", "[1]".to_owned()),
        ("alerts of another type", r#"{"version":"4","alerts":7}"#.to_owned()),
        ("no alerts", r#"{"version":"4"}"#.to_owned()),
        ("deep", "[".repeat(200_000)),
        ("deep and whole", format!("{}{}", "{\"a\":".repeat(100_000), "}".repeat(100_000))),
        ("another version", beside("version", "").replace("\"4\"", "\"3\"")),
        ("NUL", "\0".repeat(100)),
    ];
    for (what, body) in no {
        let answer = post(&server, body).await;
        assert_eq!((answer.status, answer.kind.as_str()), (400, "application/problem+json"), "{what}: {}", answer.text);
        let detail = answer.json()["detail"].as_str().unwrap_or_default().to_owned();
        assert!(detail.contains("line 1"), "{what}: {detail}");
    }
    let labels: Vec<_> = (0..5_000).map(|n| format!("\"l{n}\":\"v\"")).collect();
    let deep = format!("{}{}", "[".repeat(5_000), "]".repeat(5_000));
    let year = |at: &str| format!(r#"{{"status":"firing","labels":{{"alertname":"Y"}},"startsAt":"{at}","endsAt":"{at}"}},"#);
    let yes = [
        ("types", r#"{"status":5,"labels":[],"annotations":7},{"status":"firing","labels":{"a":[1]}},null,7,"x","#.to_owned(), 5),
        ("nesting", format!(r#"{{"status":"firing","labels":{{"a":{deep}}}}},"#), 1),
        (
            "numbers",
            r#"{"status":"firing","labels":{"alertname":"N","n":1e999,"m":-123456789012345678901234567890},"startsAt":1e400},"#.to_owned(),
            0,
        ),
        ("surrogates", r#"{"status":"firing","labels":{"alertname":"S\ud800"},"annotations":{"a":"\udc00\ud83d"}},"#.to_owned(), 0),
        (
            "nul",
            r#"{"status":"firing","labels":{"alertname":"\u0000","\u0000":"\u0000"},"annotations":{"summary":"\u0000"}},"#.to_owned(),
            0,
        ),
        ("year1", year("0001-01-01T00:00:00Z"), 0),
        ("year9999", year("9999-12-31T23:59:59.999999999+23:59"), 0),
        ("labels", format!(r#"{{"status":"firing","labels":{{{}}}}},"#, labels.join(",")), 1),
        (
            "unknown",
            r#"{"status":"pending","labels":{"a":"b"}},{"status":"firing","labels":{"alertname":"U"},"new":{"x":[]}},"#.to_owned(),
            1,
        ),
    ];
    for (name, alerts, rejected) in yes {
        let answer = post(&server, beside(name, &alerts)).await;
        assert_eq!(answer.status, 200, "{name}: {}", answer.text);
        let taken = answer.json();
        assert_eq!(taken["rejected"].as_array().map_or(0, Vec::len), rejected, "{name}: {}", answer.text);
        let delivery = format!("/api/v1/deliveries/{}", taken["delivery"].as_str().unwrap_or_default());
        let report =
            until("it is worked", SOON, async || Some(get(&server, &delivery).await).filter(|report| report["worked"] == true)).await;
        assert_eq!(report["rejected"].as_array().map_or(0, Vec::len), rejected, "the bad ones are shown");
        assert_eq!(incidents_of(&server, name).await, 1, "{name}: the good alert is an incident");
        // Every page about it can be drawn.
        for incident in report["incidents"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            get(&server, &format!("/api/v1/incidents/{incident}/timeline")).await;
            get(&server, &format!("/api/v1/incidents/{incident}/alerts")).await;
            let page = client().get(format!("{}/incidents/{incident}", server.url)).header("accept", "text/html").send().await;
            assert_eq!(page.expect("it answers").status().as_u16(), 200, "{name}: its page");
        }
    }
    let empty = post(&server, r#"{"version":"4","groupKey":"e","receiver":"r","alerts":[]}"#).await;
    assert_eq!((empty.status, &empty.json()["alerts"]), (200, &json!(0)));
    let mut bytes = beside("bytes", "").into_bytes();
    let at = bytes.iter().position(|byte| *byte == b'G').expect("it is there");
    bytes[at] = 0xff;
    assert_eq!(post(&server, bytes).await.status, 200, "a byte that is no text costs one letter");
    assert!(server.stop().await.success());
    assert!(!server.said().contains("panicked"), "{}", server.said());
}

/// A start that does not come about says why and ends with 2.
#[tokio::test]
async fn a_second_process_on_the_same_file_is_refused_in_clear_words() {
    let mut server = Server::prepare(&[("reynard.yaml", "")]);
    server.start().await;
    let second = server.command(0).stdout(Stdio::null()).output().expect("it starts");
    let said = String::from_utf8_lossy(&second.stderr).into_owned();
    assert_eq!(second.status.code(), Some(2), "{said}");
    assert!(said.contains("in use by another Reynard") && said.contains("--database-url"), "{said}");
    assert_eq!(post(&server, beside("first", "")).await.status, 200, "the first one does not mind");
    server.kill();
    server.start().await;
    assert!(server.stop().await.success());
}

/// A clock that was years ahead for a moment must not take the engine with it without a word.
#[tokio::test]
async fn a_last_commit_years_ahead_is_refused_at_the_start_with_the_ways_out() {
    let mut server = Server::prepare(&[("reynard.yaml", "")]);
    server.start().await;
    assert_eq!(post(&server, beside("first", "")).await.status, 200);
    assert!(server.stop().await.success());
    for (ahead, starts) in [("10 hours", true), ("3 years", false)] {
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(server.database());
        let mut file = options.connect_file().await;
        let later = "update meta set value = cast(unixepoch('now', '+' || $1) * 1000 as text) where name = 'last_commit_at'";
        let changed = sqlx::query(later).bind(ahead).execute(&mut file).await.expect("it can be written");
        assert_eq!(changed.rows_affected(), 1);
        sqlx::Connection::close(file).await.expect("closed");
        if starts {
            server.start().await;
            assert!(server.stop().await.success());
            continue;
        }
        let refused = server.command(0).stdout(Stdio::null()).output().expect("it starts");
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert_eq!(refused.status.code(), Some(2), "{said}");
        assert!(["clock says", "before the last commit", "backup", "--time-goes-on"].iter().all(|word| said.contains(word)), "{said}");
        let mut all_the_same = server.command(0);
        let mut child = all_the_same.arg("--time-goes-on").stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("it starts");
        let mut welcome = [0; 7];
        child.stdout.take().expect("piped").read_exact(&mut welcome).expect("it says that it is ready");
        assert_eq!(&welcome, b"Reynard");
        child.kill().expect("our own child");
        child.wait().expect("it is gone");
    }
}

#[tokio::test]
async fn a_sender_that_hangs_up_loses_no_delivery_that_was_whole() {
    let mut server = Server::prepare(&[("reynard.yaml", "")]);
    server.start().await;
    let address = server.url.trim_start_matches("http://").to_owned();
    let hang_up = |body: &str, sent: usize| {
        let mut stream = TcpStream::connect(&address).expect("it listens");
        let head =
            format!("POST / HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n", body.len());
        stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body.as_bytes()[..sent])).expect("it reads");
        stream
    };
    let half = beside("half", "");
    drop(hang_up(&half, half.len() / 2));
    for n in 0..20 {
        drop(hang_up(&beside(&format!("left{n}"), ""), beside(&format!("left{n}"), "").len()));
    }
    // One that waits is answered after those before it; whatever of theirs was stored is worked by then or soon.
    let body = beside("stayed", "");
    let mut stream = hang_up(&body, body.len());
    let mut start = [0; 12];
    stream.read_exact(&mut start).expect("it answers");
    assert_eq!(&start, b"HTTP/1.1 200");
    until("the one that stayed is an incident", SOON, async || (incidents_of(&server, "stayed").await == 1).then_some(())).await;
    assert_eq!(incidents_of(&server, "half").await, 0);
    assert!(server.stop().await.success());
    let mut file = sqlx::sqlite::SqliteConnectOptions::new().filename(server.database()).read_only(true).connect_file().await;
    let unworked: i64 = sqlx::query_scalar(
        "select count(*) from deliveries where position > (select cast(value as integer) from meta where name = 'worked_up_to')",
    )
    .fetch_one(&mut file)
    .await
    .expect("readable");
    assert_eq!(unworked, 0);
    let stored: i64 = sqlx::query_scalar("select count(*) from deliveries").fetch_one(&mut file).await.expect("readable");
    let opened: i64 = sqlx::query_scalar("select count(*) from incidents").fetch_one(&mut file).await.expect("readable");
    assert_eq!(stored, opened, "each stored delivery has become its incident");
}

trait ConnectFile {
    async fn connect_file(&self) -> sqlx::SqliteConnection;
}

impl ConnectFile for sqlx::sqlite::SqliteConnectOptions {
    async fn connect_file(&self) -> sqlx::SqliteConnection {
        sqlx::ConnectOptions::connect(self).await.expect("the file can be read")
    }
}

/// The process's files may grow no further, as on a full disk; then they may again.
fn limit_files(server: &Server, bytes: Option<u64>) {
    let pid = Pid::from_raw(server.id().cast_signed()).expect("a process");
    prlimit(Some(pid), Resource::Fsize, Rlimit { current: bytes, maximum: None }).expect("our own child's limit");
}

#[tokio::test]
async fn a_full_disk_is_a_clear_503_and_heals_by_itself() {
    let mut server = Server::prepare(&[("reynard.yaml", "channels: { hook: { kind: webhook, url: 'http://127.0.0.1:1/' } }")]);
    server.start().await;
    assert_eq!(post(&server, beside("before", "")).await.status, 200);
    until("it is an incident", SOON, async || (incidents_of(&server, "before").await == 1).then_some(())).await;
    limit_files(&server, Some(4096));
    for name in ["full1", "full2"] {
        let answer = post(&server, beside(name, "")).await;
        assert_eq!((answer.status, answer.kind.as_str()), (503, "application/problem+json"), "{}", answer.text);
        assert!(answer.retry_after.is_some_and(|after| after.parse::<u32>().is_ok()));
        assert!(!answer.text.to_lowercase().contains("sql") && !answer.text.contains("disk I/O"), "{}", answer.text);
    }
    let comment = format!("{}/api/v1/incidents/1/comment", server.url);
    let put = client().post(&comment).json(&json!({"text": "lost"})).send().await.expect("it answers");
    assert_eq!(put.status().as_u16(), 503, "a person is told too");
    let ready = async || client().get(format!("{}/ready", server.url)).send().await.expect("it answers").status().as_u16();
    assert_eq!(ready().await, 503);
    assert_eq!(incidents_of(&server, "before").await, 1, "what is there can be read all the while");
    limit_files(&server, None);
    // A load balancer sends nothing to what is not ready: it must find out by itself.
    until("it is ready again", SOON, async || (ready().await == 200).then_some(())).await;
    assert_eq!(post(&server, beside("after", "")).await.status, 200);
    until("it is an incident", SOON, async || (incidents_of(&server, "after").await == 1).then_some(())).await;
    let timeline = get(&server, "/api/v1/incidents/1/timeline?limit=500").await;
    let seqs: Vec<u64> = timeline["items"].as_array().expect("a list").iter().filter_map(|entry| entry["seq"].as_u64()).collect();
    assert_eq!(seqs, (1..=seqs.len() as u64).collect::<Vec<_>>(), "no gap where commits failed");
    assert!(!timeline.to_string().contains("lost"), "what was refused did not happen");
    server.kill();
    server.start().await;
    assert_eq!(incidents_of(&server, "after").await, 1);
    assert!(server.stop().await.success());
}

/// Run as root, the child becomes nobody: root may write everywhere.
#[tokio::test]
async fn a_file_that_may_only_be_read_is_refused_at_the_start_with_its_name() {
    use std::os::unix::fs::{PermissionsExt, chown};
    use std::os::unix::process::CommandExt;
    let mut server = Server::prepare(&[("reynard.yaml", "")]);
    server.start().await;
    assert!(server.stop().await.success());
    let folder = server.folder.path();
    let mut command = server.command(0);
    if rustix::process::geteuid().is_root() {
        for path in [folder.to_path_buf(), folder.join("data"), folder.join("data/reynard.lock")] {
            chown(&path, Some(65_534), Some(65_534)).expect("root may");
        }
        command.uid(65_534).gid(65_534);
        let mut probe = Command::new("sh");
        probe.args(["-c", "test -x \"$0\""]).arg(env!("CARGO_BIN_EXE_reynard")).uid(65_534).gid(65_534);
        if !probe.status().is_ok_and(|status| status.success()) {
            return println!("skipped: nobody cannot start the binary here, and root may write to a read-only file");
        }
    }
    std::fs::set_permissions(server.database(), std::fs::Permissions::from_mode(0o444)).expect("our own file");
    let refused = command.stdout(Stdio::null()).output().expect("it starts");
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(2), "{said}");
    assert!(said.contains("reynard.db") && said.contains("read-only"), "{said}");
    std::fs::set_permissions(server.database(), std::fs::Permissions::from_mode(0o644)).expect("our own file");
    server.start().await;
    assert!(server.stop().await.success());
}
