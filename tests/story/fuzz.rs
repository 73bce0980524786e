//! Every address that the API's own description names, asked with what it says, with nearly that, and with malice.
//! Whatever comes: no fault of ours, a problem that says what to do, and no word of the database, the disk or a secret.
//! `REYNARD_SEED=…` asks the same again; `REYNARD_FUZZ=20000` asks more.

use std::collections::BTreeMap;

use axum::body::Body;
use axum::http::Request;
use reynard::engine::ports::ActionError;
use serde_json::{Map, Value, json};

use crate::app::{self, App, PEOPLE};
use crate::web::{Answer, Browser, call};

const PLAYBOOK: &str = "title: T
on: { type: service_down }
steps:
  - { id: reset, title: Reset the pool, action: postgres.pool_reset, target: orders-db, with: {} }
  - { id: tell, action: note, with: { text: done } }";

const SECRETS: [&str; 2] = ["canary-of-a-target", "canary-of-a-channel"];
/// What nobody outside needs to know of our inside, and what no question here contains.
const INSIDE: [&str; 12] = [
    "select ",
    "insert into",
    "sqlite",
    "sqlx",
    "no such table",
    "constraint",
    "syntax error",
    ".rs:",
    "panicked",
    "reynard.db",
    "backtrace",
    "/tmp/",
];

/// Strings that have broken somebody before.
const EVIL: [&str; 22] = [
    "",
    " ",
    "0",
    "-1",
    "18446744073709551616",
    "1e309",
    "NaN",
    "null",
    "' or 1=1; --",
    "\"; drop table incidents; --",
    "%' escape '\\",
    "../../etc/passwd",
    "..%2f..%2f",
    "\u{0}",
    "\u{202e}\u{feff}",
    "<script>alert(1)</script>",
    "{{7*7}}${7*7}",
    "\r\nX-Evil: 1",
    "💥é漢",
    "9999-12-31T23:59:59.999Z",
    "0000-01-01T00:00:00Z",
    "P1D",
];

#[tokio::test]
async fn whatever_the_api_is_asked_it_answers_calmly() {
    let seed = number("REYNARD_SEED", 412);
    println!("REYNARD_SEED={seed}");
    let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let settings = PEOPLE
        .replace("postgres://localhost/orders", "postgres://admin:canary-of-a-target@localhost/orders")
        .replace("smtp://localhost:587", "smtp://me:canary-of-a-channel@localhost:587");
    let app = App::with_settings(&settings, &[("x", PLAYBOOK)]).await;
    app.answers("postgres.pool_reset", vec![Err(ActionError::Unknown("the connection was lost".to_owned())); 3]);
    let run = app.fires("ServiceDown", "critical").await.runs_in_order()[0].id.to_string();
    let delivery = app.posts(&app::body(&[app::alert("Anything", "warning", "firing", 0)])).await.delivery.to_string();
    let revision = app.runtime.rulebook().playbooks["x"].revision.clone();
    let mut known = Known { run, delivery, revision };
    let browser = Browser::of(&app);
    let api: Value = serde_json::from_str(&browser.page("/api/openapi.json").await).expect("it is JSON");
    let operations = operations(&api);
    let mut seen: BTreeMap<String, BTreeMap<u16, u32>> = BTreeMap::new();
    for turn in 0..number("REYNARD_FUZZ", 2_000) {
        let operation = &operations[dice.below(operations.len())];
        let asked = question(operation, &api, &known, &mut dice);
        let words = format!("{} {} {}", asked.verb, asked.path, String::from_utf8_lossy(&asked.body).chars().take(300).collect::<String>());
        // With nothing in a hole it is another address, which perhaps nobody knows.
        let elsewhere = asked.path.split('?').next().is_some_and(|path| path.contains("//") || path.ends_with('/'));
        let Some(request) = asked.request() else { continue };
        let answer = browser.ask(request).await;
        calm(&answer).unwrap_or_else(|why| panic!("seed {seed}, question {turn}: {words}\n{} {why}:\n{}", answer.status, answer.text));
        let described = operation.described["responses"].get(answer.status.to_string()).is_some();
        assert!(
            described || elsewhere && answer.status == 404,
            "seed {seed}, question {turn}: {words}\n{} is not described:\n{}",
            answer.status,
            answer.text
        );
        *seen.entry(format!("{} {}", operation.verb, operation.path)).or_default().entry(answer.status).or_default() += 1;
        if turn % 100 == 99 {
            app.settles().await;
            let newest =
                app.incidents().await.into_iter().flat_map(|incident| incident.runs.into_values()).max_by_key(|run| run.started_at);
            known.run = newest.map_or(known.run, |run| run.id.to_string());
        }
    }
    app.settles().await;
    for incident in app.incidents().await {
        app.assert_fold_is_state(incident.id).await;
    }
    for (operation, statuses) in &seen {
        println!("{operation}: {statuses:?}");
        assert!(statuses.keys().any(|status| *status < 400 || *status == 409), "{operation} was never asked so that it could answer");
    }
    assert_eq!(seen.len(), operations.len(), "every address was asked");
}

/// What every answer must be.
fn calm(answer: &Answer) -> Result<(), String> {
    let kind = answer.headers.get("content-type").and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if answer.status >= 500 && answer.status != 503 {
        return Err("is a fault of ours".to_owned());
    }
    if (400..500).contains(&answer.status) {
        let problem: Value = serde_json::from_str(&answer.text).map_err(|error| format!("is no problem+json: {error}"))?;
        if kind != "application/problem+json" || problem["status"] != answer.status || problem["detail"].as_str().is_none_or(str::is_empty)
        {
            return Err(format!("is no whole problem ({kind})"));
        }
    }
    let text = answer.text.to_lowercase();
    let leak = SECRETS.iter().chain(&INSIDE).find(|word| text.contains(**word));
    // The description and the metrics speak of commits and of pages by right, but of nothing here.
    leak.map_or(Ok(()), |word| Err(format!("tells {word:?}")))
}

/// Names that there are.
struct Known {
    run: String,
    delivery: String,
    revision: String,
}

struct Operation {
    path: String,
    verb: String,
    described: Value,
}

fn operations(api: &Value) -> Vec<Operation> {
    let paths = api["paths"].as_object().expect("it has paths");
    let all = paths.iter().flat_map(|(path, verbs)| verbs.as_object().into_iter().flatten().map(move |(verb, it)| (path, verb, it)));
    all.map(|(path, verb, it)| Operation { path: path.clone(), verb: verb.to_uppercase(), described: it.clone() }).collect()
}

struct Asked {
    verb: String,
    path: String,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

impl Asked {
    /// None when it is nothing that HTTP can carry.
    fn request(self) -> Option<Request<Body>> {
        let mut request = call(&self.verb, &self.path);
        for (name, value) in self.headers {
            request = request.header(name, value);
        }
        request.body(Body::from(self.body)).ok()
    }
}

fn question(operation: &Operation, api: &Value, known: &Known, dice: &mut Dice) -> Asked {
    let mut path = operation.path.clone();
    while let Some((before, rest)) = path.clone().split_once('{') {
        let (name, after) = rest.split_once('}').expect("a hole is closed");
        path = format!("{before}{}{after}", encoded(&place(&operation.path, name, known, dice)));
    }
    let described = operation.described["parameters"].as_array().cloned().unwrap_or_default();
    let mut query: Vec<String> = Vec::new();
    for parameter in described.iter().filter(|parameter| parameter["in"] == "query") {
        if dice.below(2) == 0 {
            continue;
        }
        let name = parameter["name"].as_str().unwrap_or_default();
        query.push(format!("{name}={}", encoded(&value_of(name, dice))));
    }
    if dice.below(12) == 0 {
        query.push(format!("{}={}", encoded(dice.evil()), encoded(dice.evil())));
    }
    if !query.is_empty() {
        path = format!("{path}?{}", query.join("&"));
    }
    let mut headers = Vec::new();
    let body = if operation.verb == "GET" { Vec::new() } else { body(operation, api, dice, &mut headers) };
    for name in ["idempotency-key", "reynard-actor"] {
        if dice.below(6) == 0 {
            headers.push((name, if dice.below(2) == 0 { "ana".to_owned() } else { dice.evil().repeat(1 + dice.below(40)) }));
        }
    }
    Asked { verb: operation.verb.clone(), path, headers, body }
}

/// A word for a hole in an address: mostly one that is known there.
fn place(path: &str, name: &str, known: &Known, dice: &mut Dice) -> String {
    let good = match name {
        "id" if path.contains("/runs/{id}") => &known.run,
        "id" if path.contains("deliveries") => &known.delivery,
        "step" => ["reset", "tell"][dice.below(2)],
        "slug" => "x",
        "revision" => &known.revision,
        "source" => "am",
        _ => ["1", "2"][dice.below(2)],
    };
    match dice.below(5) {
        0 => dice.evil().to_owned(),
        1 if dice.below(4) == 0 => "9".repeat(1 + dice.below(3_000)),
        _ => good.to_owned(),
    }
}

fn value_of(name: &str, dice: &mut Dice) -> String {
    let good = match name {
        "status" => "open",
        "priority" => "P1",
        "limit" => "2",
        "cursor" => "1",
        "at" => "2026-11-24T03:00:00Z",
        _ => "orders",
    };
    if dice.below(2) == 0 { good.to_owned() } else { dice.evil().to_owned() }
}

/// A body as described, then perhaps spoilt.
fn body(operation: &Operation, api: &Value, dice: &mut Dice, headers: &mut Vec<(&'static str, String)>) -> Vec<u8> {
    let content = &operation.described["requestBody"]["content"]["application/json"]["schema"];
    let mut value = if operation.path.contains("webhooks") || operation.path == "/" { delivery(dice) } else { made(content, api, dice, 0) };
    if dice.below(3) == 0 {
        spoil(&mut value, dice);
    }
    let mut bytes = value.to_string().into_bytes();
    match dice.below(16) {
        0 => bytes.truncate(dice.below(bytes.len() + 1)),
        1 => bytes = vec![b'['; 1 + dice.below(20_000)],
        2 => bytes = dice.evil().as_bytes().to_vec(),
        3 => bytes.insert(dice.below(bytes.len() + 1), 0xff),
        4 => bytes = br#"{"text":"\ud800","note":"\u0000"}"#.to_vec(),
        5 => bytes.clear(),
        _ => {}
    }
    let kind = ["application/json", "application/json", "application/json", "text/plain", "application/x-www-form-urlencoded", ""];
    let kind = kind[dice.below(kind.len())];
    if !kind.is_empty() {
        headers.push(("content-type", kind.to_owned()));
    }
    bytes
}

/// A value of a schema.
fn made(schema: &Value, api: &Value, dice: &mut Dice, depth: usize) -> Value {
    if let Some(name) = schema["$ref"].as_str().and_then(|name| name.rsplit('/').next()) {
        return made(&api["components"]["schemas"][name], api, dice, depth + 1);
    }
    if let Some(any) = schema["oneOf"].as_array().or(schema["anyOf"].as_array()).filter(|any| !any.is_empty()) {
        return made(&any[dice.below(any.len())], api, dice, depth + 1);
    }
    if let Some(words) = schema["enum"].as_array().filter(|words| !words.is_empty()) {
        return words[dice.below(words.len())].clone();
    }
    let kinds = schema["type"].as_array();
    let kind = kinds.and_then(|kinds| kinds.iter().find(|kind| *kind != "null")).unwrap_or(&schema["type"]).as_str().unwrap_or_default();
    match kind {
        "object" if depth < 6 => {
            let mut object = Map::new();
            for (name, of) in schema["properties"].as_object().into_iter().flatten() {
                if dice.below(3) > 0 {
                    object.insert(name.clone(), known(name, dice).unwrap_or_else(|| made(of, api, dice, depth + 1)));
                }
            }
            Value::Object(object)
        }
        "array" if depth < 6 => (0..dice.below(3)).map(|_| made(&schema["items"], api, dice, depth + 1)).collect(),
        "integer" => json!(dice.below(1_000)),
        "number" => json!(0.5),
        "boolean" => json!(dice.below(2) == 0),
        "string" => json!(if dice.below(2) == 0 { "word" } else { dice.evil() }),
        _ => Value::Null,
    }
}

/// Words that mean something under their names.
fn known(name: &str, dice: &mut Dice) -> Option<Value> {
    let good = match name {
        "for" => "15m",
        "until" => "2030-01-01T00:00:00Z",
        "priority" => "P2",
        "playbook" => "x",
        "outcome" => "failed",
        _ => return None,
    };
    (dice.below(4) > 0).then(|| json!(good))
}

fn delivery(dice: &mut Dice) -> Value {
    let alert = |dice: &mut Dice| {
        json!({
            "status": (["firing", "resolved"][dice.below(2)]),
            "labels": { "alertname": (["ServiceDown", "Anything", dice.evil()][dice.below(3)]), "service": "orders", "n": dice.evil() },
            "annotations": { "summary": dice.evil(), "runbook_url": dice.evil() },
            "startsAt": (["2026-09-21T12:00:00Z", dice.evil()][dice.below(2)]),
            "endsAt": "0001-01-01T00:00:00Z",
            "fingerprint": format!("{:x}", dice.below(3)),
        })
    };
    let alerts: Vec<Value> = (0..dice.below(3)).map(|_| alert(dice)).collect();
    json!({ "version": "4", "groupKey": "{}", "receiver": "r", "status": "firing", "alerts": alerts, "truncatedAlerts": dice.below(2) })
}

/// Puts something wrong somewhere.
fn spoil(value: &mut Value, dice: &mut Dice) {
    match value {
        Value::Object(object) if !object.is_empty() && dice.below(4) > 0 => {
            let at = dice.below(object.len());
            if let Some((_, inner)) = object.iter_mut().nth(at) {
                spoil(inner, dice);
            }
        }
        Value::Array(list) if !list.is_empty() && dice.below(4) > 0 => {
            let at = dice.below(list.len());
            spoil(&mut list[at], dice);
        }
        other => {
            *other = match dice.below(7) {
                0 => Value::Null,
                1 => json!(i64::MIN),
                2 => json!(1e308),
                3 => json!([[[[{}]]]]),
                4 => json!("x".repeat(dice.below(40_000))),
                5 => json!({ "": { "a": [] } }),
                _ => json!(dice.evil()),
            }
        }
    }
}

/// Percent-encoded, so that anything can stand in an address.
fn encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| if byte.is_ascii_alphanumeric() || byte == b'-' { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

fn number(name: &str, else_this: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(else_this)
}

/// Chance that can be repeated.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap_or_default() % n.max(1)
    }

    fn evil(&mut self) -> &'static str {
        EVIL[self.below(EVIL.len())]
    }
}
