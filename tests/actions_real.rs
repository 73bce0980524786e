//! Actions and channels against real servers: PostgreSQL, PgBouncer, an SMTP server. Skipped unless REYNARD_REAL=1.
//! Knows no engine; it starts what it needs in temporary folders, or uses REYNARD_TEST_POSTGRES_URL (a superuser's).

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::os::unix::fs::chown;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::str::FromStr;
use std::time::{Duration, Instant};

use reynard::action::egress::Egress;
use reynard::action::http::Http;
use reynard::action::http_request::HttpRequest;
use reynard::action::postgres_pool_reset::PostgresPoolReset;
use reynard::action::postgres_pool_status::PostgresPoolStatus;
use reynard::action::postgres_read_only::PostgresReadOnly;
use reynard::channel::email::Email;
use reynard::domain::action::TargetKind;
use reynard::domain::secret::Secret;
use reynard::domain::settings::{EmailSettings, Target};
use reynard::engine::ports::{Action, ActionError, Call, Cut, Delivered, Late, Message, Sender};
use serde_json::{Value, json};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, ConnectOptions, PgConnection, PgPool};
use tempfile::TempDir;

const NOBODY: u32 = 65534;

/// A child that ends with the test.
struct Server {
    child: Option<Child>,
    _folder: Option<TempDir>,
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// A database of its own with a table, an application's role, and an admin that owns it and is no superuser.
struct Orders {
    superuser: PgConnectOptions,
    database: String,
    _server: Server,
}

impl Orders {
    async fn start() -> Option<Self> {
        let own = || std::env::var("REYNARD_TEST_POSTGRES_URL").ok();
        Self::on(own()).await
    }

    async fn on(url: Option<String>) -> Option<Self> {
        if !real() {
            return None;
        }
        let (server, superuser) = match url {
            Some(url) => (Server { child: None, _folder: None }, PgConnectOptions::from_str(&url).unwrap()),
            None => start_postgres(),
        };
        let mut connection = eventually(|| superuser.connect()).await;
        let database = format!("orders_{}", std::process::id() as u64 * 1000 + u64::from(free_port()));
        for role in ["app", "admin"] {
            let create = format!("create role {database}_{role} login password 'pw'");
            sqlx::raw_sql(AssertSqlSafe(create)).execute(&mut connection).await.unwrap();
        }
        for statement in [
            format!("create database {database} owner {database}_admin"),
            format!("grant pg_signal_backend, pg_read_all_stats to {database}_admin"),
        ] {
            sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut connection).await.unwrap();
        }
        let orders = Self { superuser, database, _server: server };
        let mut connection = orders.superuser.clone().database(&orders.database).connect().await.unwrap();
        let table = "create table items (name text); grant all on items to public";
        sqlx::raw_sql(table).execute(&mut connection).await.unwrap();
        Some(orders)
    }

    fn options(&self, role: &str) -> PgConnectOptions {
        self.superuser.clone().username(&format!("{}_{role}", self.database)).password("pw").database(&self.database)
    }

    async fn app(&self) -> PgConnection {
        self.options("app").application_name("shop").connect().await.unwrap()
    }

    fn call(&self, options: &PgConnectOptions, params: Value) -> Call {
        let url = options.clone().database(&self.database).to_url_lossy();
        let target = Target {
            name: "orders-db".to_owned(),
            kind: TargetKind::Postgres,
            service: None,
            url: Secret::new(url.as_str()),
            headers: BTreeMap::new(),
            extra: BTreeMap::new(),
        };
        Call {
            key: "run:protect:1".to_owned(),
            attempt: 1,
            target: Some(target),
            params,
            timeout: Duration::from_secs(60),
            late: Late::default(),
            cut: Cut::default(),
        }
    }

    async fn items(&self) -> i64 {
        let mut connection = self.options("app").connect().await.unwrap();
        sqlx::query_scalar("select count(*) from items").fetch_one(&mut connection).await.unwrap()
    }
}

#[tokio::test]
async fn a_database_stops_writes_of_open_sessions_and_its_undo_brings_them_back() {
    let Some(orders) = Orders::start().await else { return };
    let mut idle = orders.app().await;
    write(&mut idle).await.unwrap();
    let mut writing = orders.app().await;
    begin(&mut writing).await;
    write(&mut writing).await.unwrap();
    let mut reading = orders.app().await;
    begin(&mut reading).await;
    sqlx::query("select count(*) from items").execute(&mut reading).await.unwrap();
    let pool = PgPoolOptions::new().max_connections(2).connect_with(orders.options("app")).await.unwrap();
    write_through(&pool).await.unwrap();
    let bouncer = start_pgbouncer(&orders).await;
    if let Some((_, pool)) = &bouncer {
        write_through(pool).await.unwrap();
    }
    let before = orders.items().await;

    let (action, call) = (PostgresReadOnly::new(Vec::new()), orders.call(&orders.options("admin"), json!({})));
    let output = action.perform(&call).await.unwrap();
    println!("{output}");
    assert_eq!((&output["scope"], &output["verified"], &output["read_only"]), (&json!("database"), &json!(true), &json!(true)));
    assert!(output["terminated"].as_u64().unwrap() >= 4, "{output}");

    assert!(write(&mut idle).await.is_err());
    assert!(write(&mut reading).await.is_err());
    assert!(sqlx::query("commit").execute(&mut writing).await.is_err());
    assert_eq!(code(eventually_answers(&pool).await), "25006");
    if let Some((_, pool)) = &bouncer {
        assert_eq!(code(eventually_answers(pool).await), "25006");
        println!("through PgBouncer: read-only");
    }
    assert_eq!(code(write(&mut orders.app().await).await), "25006");
    assert_eq!(orders.items().await, before, "the transaction under way was not kept");

    let again = action.perform(&call).await.unwrap();
    assert_eq!(again["verified"], json!(true), "twice with one key");

    let mut opened_read_only = orders.app().await;
    assert!(write(&mut opened_read_only).await.is_err());
    // The pools hold sessions again, read-only ones.
    assert_eq!(code(eventually_answers(&pool).await), "25006");
    if let Some((_, pool)) = &bouncer {
        assert_eq!(code(eventually_answers(pool).await), "25006");
    }
    let output = action.undo(&call).await.unwrap();
    println!("{output}");
    assert_eq!((&output["read_only"], &output["verified"]), (&json!(false), &json!(true)));
    eventually_answers(&pool).await.unwrap();
    if let Some((_, pool)) = &bouncer {
        eventually_answers(pool).await.unwrap();
        println!("through PgBouncer: writable");
    }
    write(&mut orders.app().await).await.unwrap();
    action.undo(&call).await.unwrap();
}

#[tokio::test]
async fn under_a_storm_of_writers_not_one_write_begins_after_the_step_has_succeeded() {
    let Some(orders) = Orders::start().await else { return };
    let writers: Vec<_> = (0..6)
        .map(|_| {
            let options = orders.options("app");
            tokio::spawn(async move {
                let mut last_written = None;
                let end = Instant::now() + Duration::from_secs(4);
                while Instant::now() < end {
                    let Ok(mut connection) = options.connect().await else { continue };
                    for _ in 0..20 {
                        let begun = Instant::now();
                        if write(&mut connection).await.is_err() {
                            break;
                        }
                        last_written = Some(begun);
                    }
                }
                last_written
            })
        })
        .collect();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let output = PostgresReadOnly::new(Vec::new()).perform(&orders.call(&orders.options("admin"), json!({}))).await.unwrap();
    let stopped = Instant::now();
    println!("{output}");
    for writer in writers {
        let last_written = writer.await.unwrap().expect("it wrote before");
        assert!(last_written < stopped, "written {:?} after", last_written - stopped);
        println!("last write {:?} before the step succeeded", stopped - last_written);
    }
}

#[tokio::test]
async fn a_server_stops_writes_and_idle_sessions_stay() {
    // Never on a server that others use.
    let Some(orders) = Orders::on(None).await else { return };
    let mut idle = orders.app().await;
    write(&mut idle).await.unwrap();
    let mut writing = orders.app().await;
    begin(&mut writing).await;
    write(&mut writing).await.unwrap();
    let mut reading = orders.app().await;
    begin(&mut reading).await;
    let mut stubborn = orders.app().await;
    sqlx::query("set default_transaction_read_only = off").execute(&mut stubborn).await.unwrap();
    begin(&mut stubborn).await;
    write(&mut stubborn).await.unwrap();
    let before = orders.items().await;

    let (action, call) = (PostgresReadOnly::new(Vec::new()), orders.call(&orders.superuser, json!({ "scope": "system" })));
    let output = action.perform(&call).await.unwrap();
    println!("{output}");
    assert_eq!((&output["scope"], &output["terminated"], &output["verified"]), (&json!("system"), &json!(3), &json!(true)));
    assert_eq!(code(write(&mut idle).await), "25006", "the same session, still open");
    for session in [&mut writing, &mut reading, &mut stubborn] {
        assert!(write(session).await.is_err());
    }
    assert_eq!(orders.items().await, before);
    assert_eq!(action.perform(&call).await.unwrap()["terminated"], json!(0));

    action.undo(&call).await.unwrap();
    write(&mut idle).await.unwrap();
    assert_eq!(orders.items().await, before + 1);

    let refused = action.perform(&orders.call(&orders.options("admin"), json!({ "scope": "system" }))).await;
    assert!(matches!(refused, Err(ActionError::Fatal(_))), "{refused:?}");
}

#[tokio::test]
async fn what_cannot_be_done_wholly_is_not_begun() {
    let Some(orders) = Orders::start().await else { return };
    let mut connection = orders.superuser.connect().await.unwrap();
    let action = PostgresReadOnly::new(Vec::new());
    let call = orders.call(&orders.options("admin"), json!({}));
    let mut app = orders.app().await;

    let app_role = format!("{}_app", orders.database);
    let own = format!("alter role {app_role} set default_transaction_read_only = off");
    sqlx::raw_sql(AssertSqlSafe(own)).execute(&mut connection).await.unwrap();
    let error = action.perform(&call).await.unwrap_err();
    println!("{error}");
    assert!(matches!(&error, ActionError::Fatal(text) if text.contains(&app_role)), "{error}");
    let reset = format!("alter role {app_role} reset default_transaction_read_only");
    sqlx::raw_sql(AssertSqlSafe(reset)).execute(&mut connection).await.unwrap();

    for right in ["pg_signal_backend", "pg_read_all_stats"] {
        let revoke = format!("revoke {right} from {}_admin", orders.database);
        sqlx::raw_sql(AssertSqlSafe(revoke)).execute(&mut connection).await.unwrap();
        for refused in [action.perform(&call).await, PostgresPoolReset.perform(&call).await] {
            println!("{}", refused.as_ref().unwrap_err());
            assert!(matches!(refused, Err(ActionError::Fatal(text)) if text.contains("pg_signal_backend")));
        }
    }
    write(&mut app).await.unwrap();

    let nowhere = orders.call(&orders.options("nobody"), json!({}));
    let refused = action.perform(&nowhere).await.unwrap_err();
    println!("{refused}");
    assert!(matches!(&refused, ActionError::Fatal(text) if !text.contains("pw@")), "{refused}");
}

#[tokio::test]
async fn a_change_that_is_cut_off_leaves_no_session_behind_and_changes_nothing_later() {
    let Some(orders) = Orders::start().await else { return };
    // Somebody else has the same setting in hand: the statement waits for them, and would go on when they are done.
    let mut other = orders.superuser.connect().await.unwrap();
    begin(&mut other).await;
    let same = format!("alter database {} set default_transaction_read_only = off", orders.database);
    sqlx::raw_sql(AssertSqlSafe(same)).execute(&mut other).await.unwrap();
    let mut looker = orders.superuser.connect().await.unwrap();
    for cancelled in [true, false] {
        let mut call = orders.call(&orders.options("admin"), json!({}));
        call.timeout = if cancelled { call.timeout } else { Duration::from_secs(4) };
        let cut = call.cut.clone();
        let under_way = tokio::spawn(async move { PostgresReadOnly::new(Vec::new()).perform(&call).await });
        let session = eventually(async || waits(&mut looker, &orders.database).await.ok_or("it does not wait yet")).await;
        if cancelled {
            cut.make();
        }
        let error = under_way.await.unwrap().unwrap_err();
        let why = if cancelled { "cut off on request" } else { "it took too long" };
        let words = format!("orders-db: {why}, its session was ended; part of it may have happened");
        assert!(matches!(&error, ActionError::Unknown(text) if *text == words), "{error}");
        // It would give up by itself after 5 s of waiting.
        let ended = Instant::now();
        while is_there(&mut looker, session).await {
            assert!(ended.elapsed() < Duration::from_secs(2), "its session is still there");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    sqlx::raw_sql("rollback").execute(&mut other).await.unwrap();
    write(&mut orders.app().await).await.unwrap();
}

/// The session in which the action's statement waits for somebody.
async fn waits(looker: &mut PgConnection, database: &str) -> Option<i32> {
    const WAITS: &str = "
        select pid
          from pg_stat_activity
         where application_name = 'reynard action'
           and datname = $1
           and wait_event_type = 'Lock'";
    sqlx::query_scalar(WAITS).bind(database).fetch_optional(looker).await.unwrap()
}

async fn is_there(looker: &mut PgConnection, session: i32) -> bool {
    let there = "select exists (select from pg_stat_activity where pid = $1 and application_name = 'reynard action')";
    sqlx::query_scalar(there).bind(session).fetch_one(looker).await.unwrap()
}

#[tokio::test]
async fn idle_sessions_are_counted_and_ended_and_busy_ones_stay() {
    let Some(orders) = Orders::start().await else { return };
    let mut idle = orders.app().await;
    write(&mut idle).await.unwrap();
    let mut open = orders.app().await;
    begin(&mut open).await;
    let mut other = orders.options("app").application_name("other").connect().await.unwrap();
    write(&mut other).await.unwrap();
    let mut busy = orders.app().await;
    let busy = tokio::spawn(async move { sqlx::query("select pg_sleep(3)").execute(&mut busy).await.map(|_| ()) });
    tokio::time::sleep(Duration::from_millis(500)).await;
    let admin = orders.options("admin");

    let status = PostgresPoolStatus.perform(&orders.call(&admin, json!({}))).await.unwrap();
    println!("{status}");
    assert_eq!(status["sessions"], json!({ "active": 1, "idle": 2, "idle in transaction": 1 }));
    assert!(status["longest_idle_in_transaction_seconds"].as_f64().unwrap() > 0.3 && status["max"].as_i64().unwrap() > 0);

    let ended = |params| PostgresPoolReset.perform(Box::leak(Box::new(orders.call(&admin, params))));
    assert_eq!(ended(json!({})).await.unwrap(), json!({ "terminated": 0 }), "nobody has been idle for five minutes");
    assert_eq!(ended(json!({ "idle_for": "100ms", "application": "shop" })).await.unwrap(), json!({ "terminated": 2 }));
    assert!(write(&mut idle).await.is_err() && write(&mut open).await.is_err());
    write(&mut other).await.unwrap();
    busy.await.unwrap().unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(
        ended(json!({ "idle_for": "100ms", "application": "shop" })).await.unwrap(),
        json!({ "terminated": 0 }),
        "twice with one key"
    );
}

#[tokio::test]
async fn mail_arrives_whole_and_a_servers_no_is_told_apart() {
    if !real() {
        return;
    }
    let (_server, port, mut lines) = start_smtp(false);
    let email = email(&format!("smtp://127.0.0.1:{port}"));
    for _ in 0..2 {
        let sent = email.send(&message("ana@example.com")).await;
        assert!(matches!(&sent, Delivered::Sent(words) if words.starts_with("250")), "{sent:?}");
        let mail: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
        println!("{mail}");
        assert_eq!(mail["to"], json!(["ana@example.com"]));
        assert_eq!(mail["id"], "<run.tell.1@example.com>");
        assert_eq!(mail["parts"], json!(["text/plain", "text/html"]));
        assert!(mail["text"].as_str().unwrap().contains("Orders are down: größer"));
    }
    let later = email.send(&message("later@example.com")).await;
    assert!(matches!(later, Delivered::Again { .. }), "{later:?}");
    let never = email.send(&message("never@example.com")).await;
    assert!(matches!(never, Delivered::Never(_)), "{never:?}");
    let insisted = self::email(&format!("smtp://127.0.0.1:{port}?tls=required")).send(&message("ana@example.com")).await;
    println!("{insisted:?}");
    assert!(!matches!(insisted, Delivered::Sent(_)));
    let nobody = self::email(&format!("smtp://127.0.0.1:{}", free_port())).send(&message("ana@example.com")).await;
    assert!(matches!(nobody, Delivered::Again { .. }), "{nobody:?}");
}

#[tokio::test]
async fn encryption_is_used_when_offered_and_its_certificate_is_checked() {
    if !real() {
        return;
    }
    let (_server, port, mut lines) = start_smtp(true);
    let untrusted = email(&format!("smtp://localhost:{port}")).send(&message("ana@example.com")).await;
    println!("{untrusted:?}");
    assert!(matches!(&untrusted, Delivered::Again { reason, .. } if reason.to_lowercase().contains("certificate")), "{untrusted:?}");
    let plain = email(&format!("smtp://localhost:{port}?tls=none")).send(&message("ana@example.com")).await;
    assert!(matches!(plain, Delivered::Sent(_)), "{plain:?}");
    assert!(lines.next().is_some());
}

#[tokio::test]
async fn a_certificate_nobody_vouches_for_is_refused_before_anything_is_sent() {
    if !real() {
        return;
    }
    let _ = rustls::crypto::ring::default_provider().install_default();
    let (folder, port) = (certificate(), free_port());
    let child = Command::new("openssl")
        .args(["s_server", "-quiet", "-www", "-cert", "cert.pem", "-key", "key.pem", "-accept", &port.to_string()])
        .current_dir(folder.path())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let _server = Server { child: Some(child), _folder: Some(folder) };
    eventually(|| tokio::net::TcpStream::connect(("localhost", port))).await;
    let target = Target {
        name: "orders-admin".to_owned(),
        kind: TargetKind::Http,
        service: None,
        url: Secret::new(format!("https://localhost:{port}")),
        headers: BTreeMap::new(),
        extra: BTreeMap::new(),
    };
    let params = json!({ "method": "POST" });
    let call = Call {
        key: "run:step:1".to_owned(),
        attempt: 1,
        target: Some(target),
        params,
        timeout: Duration::from_secs(10),
        late: Late::default(),
        cut: Cut::default(),
    };
    let error = HttpRequest::new(Http::new(Egress::default())).perform(&call).await.unwrap_err();
    println!("{error}");
    assert!(matches!(&error, ActionError::Retry(text) if text.contains("certificate")), "{error:?}");
}

fn real() -> bool {
    let real = std::env::var("REYNARD_REAL").is_ok_and(|value| value == "1");
    if !real {
        println!("skipped: set REYNARD_REAL=1 and install postgresql, pgbouncer and python3-aiosmtpd");
    }
    real
}

fn start_postgres() -> (Server, PgConnectOptions) {
    let programs = std::fs::read_dir("/usr/lib/postgresql").expect("install postgresql").flatten().map(|entry| entry.path().join("bin"));
    let programs: PathBuf = programs.max().expect("install postgresql");
    let folder = nobodys_folder();
    let data = folder.path().join("data");
    let made = as_nobody(&programs.join("initdb")).args(["-U", "postgres", "-A", "trust", "--no-sync", "-D"]).arg(&data).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let port = free_port();
    let child = as_nobody(&programs.join("postgres"))
        .args(["-p", &port.to_string(), "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off", "-k"])
        .arg(folder.path())
        .arg("-D")
        .arg(&data)
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let options = PgConnectOptions::new_without_pgpass().host("127.0.0.1").port(port).username("postgres").database("postgres");
    (Server { child: Some(child), _folder: Some(folder) }, options)
}

/// A pool behind PgBouncer in transaction mode, when PgBouncer is installed.
async fn start_pgbouncer(orders: &Orders) -> Option<(Server, PgPool)> {
    let program = PathBuf::from("/usr/sbin/pgbouncer");
    if !program.exists() {
        println!("skipped: install pgbouncer");
        return None;
    }
    let (folder, port) = (nobodys_folder(), free_port());
    let (users, settings) = (folder.path().join("users"), folder.path().join("pgbouncer.ini"));
    std::fs::write(&users, format!("\"{}_app\" \"pw\"\n", orders.database)).unwrap();
    let to = &orders.superuser;
    let ini = format!(
        "[databases]\n{db} = host={host} port={server} dbname={db}\n[pgbouncer]\nlisten_addr=127.0.0.1\nlisten_port={port}\nunix_socket_dir=\nauth_type=plain\nauth_file={users}\npool_mode=transaction\nignore_startup_parameters=extra_float_digits\n",
        db = orders.database,
        host = to.get_host(),
        server = to.get_port(),
        users = users.display(),
    );
    std::fs::write(&settings, ini).unwrap();
    for file in [&users, &settings] {
        let _ = chown(file, Some(NOBODY), Some(NOBODY));
    }
    let child = as_nobody(&program).arg(&settings).stderr(Stdio::null()).spawn().unwrap();
    let options = orders.options("app").host("127.0.0.1").port(port).statement_cache_capacity(0);
    let pool = eventually(|| PgPoolOptions::new().max_connections(2).connect_with(options.clone())).await;
    Some((Server { child: Some(child), _folder: Some(folder) }, pool))
}

/// Prints each mail as a line of JSON; `later@` and `never@` are refused for now and for good.
const SMTP: &str = r#"
import asyncio, email, email.policy, json, ssl, sys
from aiosmtpd.smtp import SMTP
class Handler:
    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith('later'): return '450 try later'
        if address.startswith('never'): return '550 no such user'
        envelope.rcpt_tos.append(address)
        return '250 OK'
    async def handle_DATA(self, server, session, envelope):
        mail = email.message_from_bytes(envelope.content, policy=email.policy.default)
        parts = [part for part in mail.walk() if not part.is_multipart()]
        print(json.dumps({'to': envelope.rcpt_tos, 'id': mail['Message-ID'], 'subject': mail['Subject'],
            'parts': [part.get_content_type() for part in parts], 'text': parts[0].get_content()}), flush=True)
        return '250 OK'
async def main():
    context = None
    if len(sys.argv) > 2:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(sys.argv[2] + '/cert.pem', sys.argv[2] + '/key.pem')
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(Handler(), tls_context=context), 'localhost', int(sys.argv[1]))
    print('ready', flush=True)
    await server.serve_forever()
asyncio.run(main())
"#;

fn start_smtp(encrypted: bool) -> (Server, u16, std::io::Lines<BufReader<std::process::ChildStdout>>) {
    let (folder, port) = (certificate(), free_port());
    let script = folder.path().join("smtp.py");
    std::fs::File::create(&script).unwrap().write_all(SMTP.as_bytes()).unwrap();
    let mut command = Command::new("/usr/bin/python3");
    command.arg(&script).arg(port.to_string());
    if encrypted {
        command.arg(folder.path());
    }
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().expect("install python3-aiosmtpd").unwrap(), "ready");
    (Server { child: Some(child), _folder: Some(folder) }, port, lines)
}

/// A folder with a certificate for localhost that nobody vouches for.
fn certificate() -> TempDir {
    let folder = TempDir::new().unwrap();
    let made = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-days",
            "1",
            "-subj",
            "/CN=localhost",
            "-addext",
            "subjectAltName=DNS:localhost",
            "-keyout",
            "key.pem",
            "-out",
            "cert.pem",
        ])
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    folder
}

fn email(smtp: &str) -> Email {
    Email::new(&EmailSettings { smtp: Secret::new(smtp), from: "alerts@example.com".to_owned(), to: Vec::new() }).unwrap()
}

fn message(to: &str) -> Message {
    Message {
        key: "run:tell:1".to_owned(),
        person: Some("ana".to_owned()),
        email: Some(to.to_owned()),
        slack: None,
        subject: "P1 größer".to_owned(),
        text: "Orders are down: größer".to_owned(),
        html: "<p>Orders are down</p>".to_owned(),
        chat: String::new(),
        data: Value::Null,
    }
}

/// PostgreSQL does not run as root.
fn as_nobody(program: &PathBuf) -> Command {
    let root = rustix::process::getuid().is_root();
    let mut command = if root { Command::new("setpriv") } else { Command::new(program) };
    if root {
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(program);
    }
    command.current_dir("/").stdout(Stdio::null());
    command
}

fn nobodys_folder() -> TempDir {
    let folder = TempDir::new().unwrap();
    let _ = chown(folder.path(), Some(NOBODY), Some(NOBODY));
    folder
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

async fn eventually<T, E: std::fmt::Debug>(mut attempt: impl AsyncFnMut() -> Result<T, E>) -> T {
    for _ in 0..100 {
        if let Ok(done) = attempt().await {
            return done;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    attempt().await.unwrap()
}

async fn begin(connection: &mut PgConnection) {
    sqlx::raw_sql("begin").execute(connection).await.unwrap();
}

async fn write(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::raw_sql("insert into items values ('x')").execute(connection).await.map(|_| ())
}

async fn write_through(pool: &PgPool) -> Result<(), sqlx::Error> {
    sqlx::raw_sql("insert into items values ('x')").execute(pool).await.map(|_| ())
}

/// The first answer of a pool that is not about a connection it lost.
async fn eventually_answers(pool: &PgPool) -> Result<(), sqlx::Error> {
    for _ in 0..50 {
        match write_through(pool).await {
            Err(sqlx::Error::Database(error)) if error.code().is_some_and(|code| code.starts_with("08") || code.starts_with("57P")) => {}
            Err(sqlx::Error::Io(_)) => {}
            answer => return answer,
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    write_through(pool).await
}

fn code(outcome: Result<(), sqlx::Error>) -> String {
    let error = outcome.expect_err("it was written");
    error.as_database_error().and_then(|error| error.code()).unwrap_or_else(|| panic!("{error}")).into_owned()
}
