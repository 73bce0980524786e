//! The real router over reads that live in memory; the engine behind it has not started, so nothing is ever stored.

use std::net::SocketAddr;
use std::sync::Arc;

use async_trait::async_trait;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::ConnectInfo;
use axum::http::{Request, StatusCode, request};
use axum::routing;
use futures_util::StreamExt;
use serde_json::{Value, json};
use tower::ServiceExt;
use uuid::Uuid;

use crate::domain::id::{DeliveryId, IncidentId, RunId};
use crate::domain::incident::{AlertMark, Incident};
use crate::domain::secret::Secret;
use crate::domain::settings::{Rulebook, Source};
use crate::domain::time::Timestamp;
use crate::domain::timeline::{Actor, AlertRef, Entry, Event};
use crate::engine::error::EngineError;
use crate::engine::metrics::Metrics;
use crate::engine::ports::Clock;
use crate::engine::runtime::Runtime;
use crate::engine::store::{
    AlertRow, Change, Delivery, DeliveryReport, Family, IncidentName, IncidentQuery, Kin, Reads, RejectedAlert, StoreError, Totals,
};
use crate::engine::wire::parse;
use crate::web::live::stream;
use crate::web::problem::Problem;
use crate::web::router::router;
use crate::web::state::WebState;
use crate::web::webhook::MAX_BODY;

const BODY: &str = r#"{"version":"4","alerts":[]}"#;
const RUN: RunId = RunId(Uuid::from_u128(7));

/// Three incidents with one line each; number 2 has a run and an alert.
#[derive(Clone, Default)]
struct Memory {
    broken: bool,
}

impl Memory {
    fn log(number: u64) -> Vec<Entry> {
        let entry = |seq, event| Entry { seq, at: Timestamp(1_700_000_000_000), actor: Actor::Source("prod".to_owned()), event };
        let opened = Event::Opened {
            number,
            source: "prod".to_owned(),
            receiver: "rx".to_owned(),
            group_key: "{}".to_owned(),
            title: format!("Incident {number}"),
            service: "orders".to_owned(),
            labels: [("alertname".to_owned(), "Down".to_owned())].into(),
            annotations: Default::default(),
            policy: "default".to_owned(),
        };
        let fired = Event::AlertFired {
            delivery: DeliveryId::default(),
            alerts: vec![AlertRef { fingerprint: "aa".to_owned(), starts_at: Timestamp(1_699_999_000_000) }],
            labels: [("alertname".to_owned(), "Down".to_owned())].into(),
            annotations: Default::default(),
            truncated: 0,
        };
        let started = Event::RunStarted {
            run: RUN,
            ordinal: 1,
            playbook: "restart".to_owned(),
            title: "Restart".to_owned(),
            revision: "abc".to_owned(),
            requested_by: None,
            vars: Default::default(),
            parent: None,
        };
        vec![entry(1, opened), entry(2, fired), entry(3, started)]
    }

    fn one(number: u64) -> Incident {
        let mut incident = Incident::blank(id(number));
        Self::log(number).iter().for_each(|entry| incident.apply(entry));
        incident
    }

    fn ask(&self) -> Result<(), StoreError> {
        if self.broken { Err(StoreError::Unavailable("no such table: incident".to_owned())) } else { Ok(()) }
    }
}

fn id(number: u64) -> IncidentId {
    IncidentId(Uuid::from_u128(u128::from(number)))
}

#[async_trait]
impl Reads for Memory {
    async fn incidents(&self, query: &IncidentQuery) -> Result<Vec<Incident>, StoreError> {
        self.ask()?;
        let before = query.before.unwrap_or(u64::MAX);
        Ok((1..=3).rev().filter(|number| *number < before).take(query.limit as usize).map(Self::one).collect())
    }

    async fn incident(&self, name: IncidentName) -> Result<Option<Incident>, StoreError> {
        self.ask()?;
        Ok((1..=3).map(Self::one).find(|incident| name == IncidentName::Id(incident.id) || name == IncidentName::Number(incident.number)))
    }

    async fn timeline(&self, incident: IncidentId, after: u64, limit: u32) -> Result<Vec<Entry>, StoreError> {
        let number = u64::try_from(incident.0.as_u128()).unwrap_or_default();
        Ok(Self::log(number).into_iter().filter(|entry| entry.seq > after).take(limit as usize).collect())
    }

    async fn timeline_backwards(&self, _: IncidentId, _: u64, _: u32) -> Result<Vec<Entry>, StoreError> {
        Ok(vec![])
    }

    async fn alerts(&self, incident: IncidentId, _: u32) -> Result<Vec<AlertRow>, StoreError> {
        let mark = AlertMark { firing: true, ..AlertMark::default() };
        Ok(vec![AlertRow { incident, fingerprint: "aa".to_owned(), mark, last_seen_at: Timestamp(5), may_name: false }])
    }

    async fn incident_of_run(&self, run: RunId) -> Result<Option<IncidentId>, StoreError> {
        Ok((run == RUN).then(|| id(2)))
    }

    async fn delivery(&self, delivery: DeliveryId) -> Result<Option<DeliveryReport>, StoreError> {
        let rejected = vec![RejectedAlert { index: 1, reason: "it has no labels".to_owned() }];
        let delivery = Delivery { id: delivery, source: "prod".to_owned(), received_at: Timestamp(0), body: b"{}".to_vec() };
        Ok(Some(DeliveryReport { delivery, worked: false, incidents: vec![id(1)], rejected }))
    }

    async fn changes_since(&self, position: i64, _: u32) -> Result<Vec<Change>, StoreError> {
        let last = Change { position: 7, incident: id(2), number: 2, seq: 2 };
        Ok(Some(last).filter(|change| change.position > position).into_iter().collect())
    }

    async fn kin(&self, _: &[Family], _: u32) -> Result<Vec<Kin>, StoreError> {
        Ok(vec![])
    }

    async fn totals(&self) -> Result<Totals, StoreError> {
        self.ask()?;
        Ok(Totals { open: [1, 0, 2, 0], ..Totals::default() })
    }

    async fn jobs_pending(&self) -> Result<u64, StoreError> {
        Ok(4)
    }
}

struct Still;

#[async_trait]
impl Clock for Still {
    fn now(&self) -> Timestamp {
        Timestamp(1_700_000_000_000)
    }

    async fn wait_until(&self, _: Timestamp) {}
}

fn web(memory: Memory, tokens: &[(&str, &str)]) -> WebState {
    let sources = tokens.iter().map(|(name, token)| Source { name: (*name).to_owned(), token: Secret::new(*token) });
    let rulebook = Rulebook { public_url: "http://reynard.test/".to_owned(), ..Rulebook::default() };
    let runtime = Runtime::reading(Arc::new(memory), Arc::new(Still), rulebook);
    WebState::new(runtime, sources.collect(), Arc::new(Metrics::new()), Default::default())
}

fn app() -> Router {
    router(web(Memory::default(), &[]), Router::new())
}

fn from(peer: &str, method: &str, path: &str) -> request::Builder {
    let peer: SocketAddr = peer.parse().expect("an address");
    Request::builder().method(method).uri(path).header("host", "reynard.test").extension(ConnectInfo(peer))
}

fn call(method: &str, path: &str) -> request::Builder {
    from("127.0.0.1:9", method, path)
}

async fn ask(app: &Router, request: Request<Body>) -> (StatusCode, Value) {
    let response = app.clone().oneshot(request).await.expect("routers do not fail");
    let status = response.status();
    let kind = response.headers().get("content-type").map(|kind| kind.to_str().unwrap_or_default().to_owned());
    if status.is_client_error() || status == StatusCode::INTERNAL_SERVER_ERROR {
        assert_eq!(kind.as_deref(), Some("application/problem+json"), "{status}");
    }
    assert!(response.headers().contains_key("content-security-policy"));
    assert_eq!(
        status == StatusCode::SERVICE_UNAVAILABLE && kind.as_deref() != Some("application/json"),
        response.headers().contains_key("retry-after")
    );
    let bytes = to_bytes(response.into_body(), usize::MAX).await.expect("the body is in memory");
    (status, serde_json::from_slice(&bytes).unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&bytes).into_owned())))
}

async fn get(path: &str) -> (StatusCode, Value) {
    ask(&app(), call("GET", path).body(Body::empty()).expect("a request")).await
}

async fn post(app: &Router, builder: request::Builder, body: impl Into<Body>) -> u16 {
    ask(app, builder.body(body.into()).expect("a request")).await.0.as_u16()
}

const HOOK: &str = "/api/v1/webhooks/alertmanager";

#[tokio::test]
async fn without_sources_only_this_machine_may_post() {
    for (peer, header, status) in [
        ("127.0.0.1:9", None, 503),
        ("[::1]:9", None, 503),
        ("[::ffff:127.0.0.1]:9", None, 503),
        ("192.0.2.1:9", None, 401),
        ("127.0.0.1:9", Some(("x-forwarded-for", "192.0.2.1")), 401),
        ("127.0.0.1:9", Some(("sec-fetch-site", "cross-site")), 403),
    ] {
        for path in ["/", HOOK, "/api/v1/webhooks/alertmanager/eu"] {
            let mut builder = from(peer, "POST", path);
            if let Some((name, value)) = header {
                builder = builder.header(name, value);
            }
            assert_eq!(post(&app(), builder, BODY).await, status, "{peer} {path} {header:?}");
        }
    }
}

#[tokio::test]
async fn a_page_that_made_its_own_name_mean_this_machine_gets_nothing() {
    let state = web(Memory::default(), &[]);
    state.hosts.follow([127, 0, 0, 1].into(), "http://reynard.test:5001", &["incidents.example.com".to_owned()]);
    let hosts = state.hosts.clone();
    let app = router(state, Router::new());
    let asked = async |host: &str, method: &str, path: &str| {
        let mut request = call(method, path).body(Body::from(BODY)).expect("a request");
        request.headers_mut().insert("host", host.parse().expect("a header"));
        ask(&app, request).await
    };
    for (method, path) in
        [("GET", "/api/v1/incidents"), ("POST", "/api/v1/incidents/2/resolve"), ("POST", "/"), ("POST", HOOK), ("GET", "/metrics")]
    {
        let (status, problem) = asked("evil.example:5001", method, path).await;
        assert_eq!(status, 421, "{path}");
        let words = problem["detail"].as_str().unwrap_or_default().to_owned();
        assert!(words.contains("evil.example") && words.contains("server.hosts"), "{words}");
        for ours in ["reynard.test", "localhost:5001", "127.0.0.1:5001", "[::1]:5001", "192.0.2.1", "incidents.example.com"] {
            assert_ne!(asked(ours, method, path).await.0, 421, "{ours} {path}");
        }
    }
    hosts.follow([0, 0, 0, 0].into(), "http://reynard.test:5001", &[]);
    assert_eq!(asked("alertmanager-knows-me-as-this", "GET", "/api/v1/incidents").await.0, 200);
}

#[tokio::test]
async fn a_sender_with_a_token_may_know_us_by_any_name() {
    let state = web(Memory::default(), &[("eu", "secret")]);
    state.hosts.follow([127, 0, 0, 1].into(), "http://reynard.test", &[]);
    let app = router(state, Router::new());
    let said = async |path: &str, token: &str| {
        let mut request = call("POST", path).header("authorization", format!("Bearer {token}")).body(Body::from(BODY)).expect("a request");
        request.headers_mut().insert("host", "upstream".parse().expect("a header"));
        ask(&app, request).await.0
    };
    assert_eq!(
        (said(HOOK, "secret").await, said("/", "secret").await, said(HOOK, "wrong").await),
        (503.try_into().unwrap(), 503.try_into().unwrap(), 401.try_into().unwrap())
    );
    assert_eq!(said("/api/v1/incidents/2/resolve", "secret").await, 421);
}

#[tokio::test]
async fn an_address_with_a_slash_too_many_is_meant_as_it_reads() {
    let app = app();
    for path in [
        "/api/v1/webhooks/alertmanager/",
        "//api/v1/webhooks/alertmanager",
        "//api//v1/webhooks///alertmanager//",
        "/api/v1/webhooks/alertmanager/eu/",
        "//",
    ] {
        // 503: the engine of these tests takes nothing.
        assert_eq!(post(&app, call("POST", path), BODY).await, 503, "{path}");
    }
    for (method, path, status) in [
        ("GET", HOOK, 405),
        ("HEAD", HOOK, 405),
        ("OPTIONS", HOOK, 405),
        ("PUT", "//api/v1/webhooks/alertmanager/", 405),
        ("HEAD", "/api/openapi.json", 200),
    ] {
        let request = call(method, path).body(Body::empty()).expect("a request");
        let response = app.clone().oneshot(request).await.expect("routers do not fail");
        assert_eq!(response.status(), status, "{method} {path}");
        assert_eq!(response.headers().get("allow").is_some_and(|allow| allow == "POST"), status == 405, "{method} {path}");
    }
    assert_eq!(get("/api/v1/nothing/").await.0, 404);
    assert_eq!(get("/api/v1/incidents//timeline").await.0, 404, "whose?");
}

#[tokio::test]
async fn a_token_is_changed_while_the_server_runs() {
    let state = web(Memory::default(), &[("eu", "old")]);
    let sources = state.sources.clone();
    let app = router(state, Router::new());
    let said = async |token: &str| post(&app, call("POST", HOOK).header("authorization", format!("Bearer {token}")), BODY).await;
    assert_eq!((said("old").await, said("new").await), (503, 401));
    let source = |token: &str| Source { name: "eu".to_owned(), token: Secret::new(token) };
    sources.replace(vec![source("new"), source("old")]);
    assert_eq!((said("old").await, said("new").await), (503, 503), "while it is changed both hold");
    sources.replace(vec![source("new")]);
    assert_eq!((said("old").await, said("new").await), (401, 503));
}

#[tokio::test]
async fn with_sources_each_posts_with_its_own_token() {
    let state = web(Memory::default(), &[("eu", "secret-eu"), ("us", "secret-us"), ("none", "")]);
    let metrics = state.metrics.clone();
    let app = router(state, Router::new());
    for (path, authorization, status) in [
        (HOOK, "Bearer secret-eu", 503),
        (HOOK, "bearer secret-us", 503),
        ("/api/v1/webhooks/alertmanager/us", "Bearer secret-us", 503),
        ("/api/v1/webhooks/alertmanager/eu", "Bearer secret-us", 401),
        (HOOK, "Basic YW55OnNlY3JldC1ldQ==", 503),
        (HOOK, "Basic YW55Ondyb25n", 401),
        (HOOK, "Bearer wrong", 401),
        (HOOK, "Bearer ", 401),
        (HOOK, "", 401),
    ] {
        assert_eq!(
            post(&app, from("192.0.2.1:9", "POST", path).header("authorization", authorization), BODY).await,
            status,
            "{authorization}"
        );
    }
    let text = metrics.text().expect("it can be written");
    assert!(text.contains("reynard_deliveries_total{source=\"us\",outcome=\"unavailable\"} 2"), "{text}");
    assert!(text.contains("reynard_deliveries_total{source=\"unknown\",outcome=\"unauthorized\"} 5"), "{text}");
}

#[tokio::test]
async fn a_page_that_comes_back_hears_what_it_missed_and_of_another_database_all() {
    for (last, first) in [("6", ["event: change", "id: 7"]), ("7", ["event: ping", "data: 1"]), ("8", ["event: change", "data: {}"])] {
        let request = call("GET", "/api/v1/stream").header("last-event-id", last).body(Body::empty()).expect("a request");
        let stream = Router::new().route("/api/v1/stream", routing::get(stream));
        let response = router(web(Memory::default(), &[]), stream).oneshot(request).await.expect("routers do not fail");
        let chunk = response.into_body().into_data_stream().next().await.expect("something").expect("whole");
        let heard = String::from_utf8_lossy(&chunk).into_owned();
        assert!(first.iter().all(|line| heard.lines().any(|said| said == *line)), "{last}: {heard}");
    }
}

#[tokio::test]
async fn packed_foreign_and_oversized_bodies_are_refused() {
    let app = app();
    for (name, value, status) in [
        ("content-encoding", "gzip", 415),
        ("content-encoding", "identity", 503),
        ("content-type", "text/plain", 415),
        ("content-type", "multipart/form-data; boundary=x", 415),
        ("content-type", "application/json; charset=utf-8", 503),
        ("content-type", "application/cloudevents+json", 503),
        ("content-length", "99999999999", 413),
    ] {
        assert_eq!(post(&app, call("POST", HOOK).header(name, value), BODY).await, status, "{name}: {value}");
    }
    assert_eq!(post(&app, call("POST", HOOK), vec![b' '; MAX_BODY + 1]).await, 413);
    assert_eq!(post(&app, call("POST", HOOK), vec![b' '; MAX_BODY]).await, 503);
}

#[tokio::test]
async fn no_body_is_a_fault_of_ours() {
    let app = app();
    let deep = "[".repeat(100_000);
    for body in [
        "",
        "hello",
        "{",
        "[]",
        "{}",
        "{\"alerts\":7}",
        "{\"alerts\":[{\"status\":\"fir",
        "{\"alerts\":[],\"version\":\"3\"}",
        "{\"alerts\":[,]}",
        &deep,
    ] {
        // The engine reads the body; until it has started it takes none.
        assert_eq!(post(&app, call("POST", HOOK), body.to_owned()).await, 503);
        let error = parse(body.as_bytes()).expect_err("the body cannot be read");
        let problem = Problem::from(EngineError::Unreadable(error.to_string()));
        assert_eq!(problem.status, 400);
        assert!(problem.detail.contains("line 1, column"), "{}", problem.detail);
    }
}

#[tokio::test]
async fn every_described_address_answers() {
    let app = app();
    let (_, description) = get("/api/openapi.json").await;
    let paths = description["paths"].as_object().expect("it has paths");
    assert!(paths.len() >= 31, "{} are described", paths.len());
    let acknowledge = &description["paths"]["/api/v1/incidents/{id}/acknowledge"]["post"];
    assert_eq!(acknowledge["security"], json!([{ "token": [] }, { "session": [] }]));
    assert_eq!(
        acknowledge["responses"]["401"]["content"]["application/problem+json"]["schema"]["$ref"],
        "#/components/schemas/ProblemBody"
    );
    assert_eq!(description["components"]["securitySchemes"]["token"]["scheme"], "bearer");
    assert_eq!(description["components"]["securitySchemes"]["session"]["in"], "cookie");
    for (path, verbs) in paths {
        let path = path.replace("/runs/{id}", &format!("/runs/{RUN}")).replace("{id}", "2").replace("{source}", "eu");
        for verb in verbs.as_object().expect("it has verbs").keys() {
            let request = call(&verb.to_uppercase(), &path.replace("{step}", "a")).body(Body::empty()).expect("a request");
            let (status, body) = ask(&app, request).await;
            assert!(status != 405 && !body.to_string().contains("nothing at this address"), "{verb} {path}: {body}");
        }
    }
}

#[tokio::test]
async fn an_incident_has_the_promised_shape() {
    for path in ["/api/v1/incidents/2", "/api/v1/incidents/00000000-0000-0000-0000-000000000002"] {
        let (status, incident) = get(path).await;
        assert_eq!(status, 200);
        let expected = json!({
            "id": "00000000-0000-0000-0000-000000000002", "number": 2, "title": "Incident 2", "priority": "P4", "status": "triggered",
            "type": "unknown", "service": "orders", "labels": {"alertname": "Down"}, "opened_at": "2023-11-14T22:13:20.000Z",
            "acknowledged_at": null, "resolved_at": null, "alerts": {"firing": 1, "resolved": 0}, "classification": null,
            "escalation": {"policy": "default", "level": 0, "next_at": null},
            "runs": [{"id": RUN.to_string(), "playbook": "restart", "revision": "abc", "status": "running"}],
            "in_force": [], "assignee": null, "version": 3, "url": "http://reynard.test/incidents/2"
        });
        assert_eq!(incident, expected);
    }
}

#[tokio::test]
async fn lists_go_on_where_they_stopped() {
    let (_, first) = get("/api/v1/incidents?status=&priority=p1&service=&q=&cursor=&limit=2").await;
    assert_eq!((first["items"][0]["number"].as_u64(), first["next"].as_str()), (Some(3), Some("2")));
    let (_, last) = get("/api/v1/incidents?limit=2&cursor=2").await;
    assert_eq!((last["items"][0]["number"].as_u64(), &last["next"]), (Some(1), &Value::Null));
    let (_, timeline) = get("/api/v1/incidents/2/timeline?limit=2").await;
    assert_eq!(timeline["next"], "2");
    assert_eq!(timeline["items"][1]["data"]["alerts"][0]["starts_at"], "2023-11-14T21:56:40.000Z");
    let (_, rest) = get("/api/v1/incidents/2/timeline?cursor=2").await;
    assert_eq!((&rest["items"][0]["kind"], &rest["items"][0]["run"], &rest["next"]), (&json!("run_started"), &json!(RUN), &Value::Null));
    let (_, alerts) = get("/api/v1/incidents/2/alerts").await;
    assert_eq!(
        (&alerts["items"][0]["status"], &alerts["items"][0]["last_seen_at"]),
        (&json!("firing"), &json!("1970-01-01T00:00:00.005Z"))
    );
    let (_, runs) = get("/api/v1/incidents/2/runs").await;
    assert_eq!(runs["items"][0]["incident"], "00000000-0000-0000-0000-000000000002");
    assert_eq!(get(&format!("/api/v1/runs/{RUN}")).await.1, runs["items"][0]);
}

#[tokio::test]
async fn faults_are_problems_that_say_what_to_do() {
    for (method, path, status, said) in [
        ("GET", "/api/v1/incidents/99", 404, "no such incident"),
        ("GET", "/api/v1/incidents/x", 404, "no such incident"),
        ("GET", "/api/v1/incidents?status=closed", 400, "triggered"),
        ("GET", "/api/v1/incidents?priority=P9", 400, "P1, P2"),
        ("GET", "/api/v1/incidents?cursor=x", 400, "next"),
        ("GET", "/api/v1/incidents?limit=0", 400, "1 to 200"),
        ("GET", "/api/v1/runs/x", 404, "no such run"),
        ("GET", "/api/v1/playbooks/none", 404, "no such playbook"),
        ("GET", "/api/v1/on-call?at=noon", 400, "2026"),
        ("GET", "/api/v1/nothing", 404, "openapi.json"),
        ("GET", "/api/v1/incidents/2/nothing", 404, "openapi.json"),
        ("GET", "/api/v1/webhooks/nothing", 404, "openapi.json"),
        ("GET", "/api/v1/incidents/", 404, "openapi.json"),
        ("POST", "/api/v1/automation/hold/now", 404, "openapi.json"),
        ("GET", "/api/v1/incidents/%ff", 400, ""),
        ("GET", "/api/v1/incidents?limit=%ff", 400, "1 to 200"),
        ("DELETE", "/api/v1/incidents/2", 405, "DELETE"),
        ("GET", HOOK, 405, "GET"),
        ("POST", "/api/v1/incidents/2/comment", 400, "text"),
        ("POST", "/api/v1/incidents/2/snooze", 400, "30m"),
        ("POST", "/api/v1/incidents/2/priority", 400, "priority"),
        ("POST", "/api/v1/runs/x/steps/a/approve", 404, "run"),
        ("POST", &format!("/api/v1/runs/{RUN}/steps/a/settle"), 400, "outcome"),
    ] {
        let (answered, problem) = ask(&app(), call(method, path).body(Body::empty()).expect("a request")).await;
        assert_eq!(answered.as_u16(), status, "{method} {path}: {problem}");
        assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains(said)), "{method} {path}: {problem}");
        assert_eq!((problem["status"].as_u64(), problem["type"].as_str()), (Some(u64::from(status)), Some("about:blank")));
        assert_eq!(problem["instance"], format!("urn:uuid:{}", problem["id"].as_str().unwrap_or_default()));
    }
}

#[tokio::test]
async fn acts_reach_the_engine_and_other_sites_do_not() {
    let app = app();
    for (verb, body) in [
        ("acknowledge", ""),
        ("unacknowledge", "{}"),
        ("resolve", r#"{"note":"done"}"#),
        ("reopen", r#"{"reason":"again"}"#),
        ("snooze", r#"{"for":"30m"}"#),
        ("snooze", r#"{"until":"2030-01-01T00:00:00Z","by":"ana"}"#),
        ("priority", r#"{"priority":"P2","reason":"worse"}"#),
        ("comment", r#"{"text":"looking"}"#),
        ("assign", r#"{"to":"bo"}"#),
        ("escalate", ""),
        ("runs", r#"{"playbook":"restart"}"#),
    ] {
        let path = format!("/api/v1/incidents/2/{verb}");
        assert_eq!(post(&app, call("POST", &path).header("reynard-actor", "ana"), body).await, 503, "{verb}");
        assert_eq!(post(&app, call("POST", &path).header("origin", "http://evil.test"), body).await, 403, "{verb}");
        assert_eq!(post(&app, call("POST", &path).header("reynard-actor", "x".repeat(65)), body).await, 400, "{verb}");
        assert_eq!(post(&app, call("POST", &path), r#"{"nonsense":1}"#).await, 400, "{verb}");
        assert_eq!(post(&app, call("POST", &path), "{").await, 400, "{verb}");
    }
    assert_eq!(post(&app, call("POST", "/api/v1/incidents/2/snooze"), r#"{"until":"2001-01-01T00:00:00Z"}"#).await, 400);
    assert_eq!(post(&app, call("POST", "/api/v1/incidents/2/comment"), vec![b' '; 300 * 1024]).await, 413);
}

#[tokio::test]
async fn health_says_what_is_wrong_without_the_database_s_words() {
    let app = router(web(Memory { broken: true }, &[]), Router::new());
    for path in ["/health", "/ready", "/startup"] {
        let (status, health) = ask(&app, call("GET", path).body(Body::empty()).expect("a request")).await;
        assert_eq!((status.as_u16(), &health["status"]), (503, &json!("unhealthy")), "{path}");
        assert_eq!(health["timestamp"], "2023-11-14T22:13:20.000Z");
        assert!(!health.to_string().contains("table"));
    }
    let (status, problem) = ask(&app, call("GET", "/api/v1/incidents").body(Body::empty()).expect("a request")).await;
    assert_eq!(status, 503);
    assert!(!problem.to_string().contains("table"), "{problem}");
    assert_eq!(get("/health").await.1["checks"]["database"], json!({"status": "healthy"}));
}

#[tokio::test]
async fn metrics_name_routes_and_not_addresses() {
    let app = app();
    let request = |path: &str| call("GET", path).body(Body::empty()).expect("a request");
    ask(&app, request("/api/v1/incidents/2")).await;
    app.clone().oneshot(request("/nothing")).await.expect("routers do not fail");
    let (_, text) = ask(&app, request("/metrics")).await;
    let text = text.as_str().unwrap_or_default();
    for line in [
        "reynard_http_request_duration_seconds_count{route=\"/api/v1/incidents/{id}\",method=\"GET\",status=\"200\"} 1",
        "reynard_http_request_duration_seconds_count{route=\"none\",method=\"GET\",status=\"404\"} 1",
        "reynard_incidents_open{priority=\"P3\"} 2",
        "reynard_jobs_pending{kind=\"all\"} 4",
    ] {
        assert!(text.contains(line), "{line} is missing in\n{text}");
    }
}

async fn boom() -> &'static str {
    panic!("a bug")
}

#[tokio::test]
async fn a_panic_is_a_problem_and_pages_share_the_root_with_the_webhook() {
    let pages = Router::new()
        .route("/", routing::get(|| async { "home" }))
        .route("/boom", routing::get(boom))
        .fallback(|| async { "no such page" })
        .method_not_allowed_fallback(|| async { "not like this" });
    let app = router(web(Memory::default(), &[]), pages);
    let request = |path: &str| call("GET", path).body(Body::empty()).expect("a request");
    assert_eq!(ask(&app, request("/")).await.1, "home");
    assert_eq!(ask(&app, request("/nothing")).await.1, "no such page");
    assert_eq!(ask(&app, request("/api/nothing")).await.0, 404);
    assert_eq!(post(&app, call("POST", "/"), BODY).await, 503);
    let (status, problem) = ask(&app, request("/boom")).await;
    assert_eq!(status, 500);
    assert!(!problem.to_string().contains("a bug"), "{problem}");
}

#[tokio::test]
async fn a_delivery_tells_what_became_of_it() {
    let (status, delivery) = get("/api/v1/deliveries/00000000-0000-0000-0000-000000000009").await;
    assert_eq!(status, 200);
    assert_eq!((&delivery["worked"], &delivery["bytes"], &delivery["rejected"][0]["index"]), (&json!(false), &json!(2), &json!(1)));
    let (_, description) = get("/api/openapi.json").await;
    let missing = &description["paths"]["/api/v1/incidents/{id}"]["get"]["responses"]["404"]["content"];
    assert_eq!(missing["application/problem+json"]["schema"]["$ref"], "#/components/schemas/ProblemBody", "{missing}");
    assert!(description["openapi"].as_str().is_some_and(|version| version.starts_with("3.1")));
}
