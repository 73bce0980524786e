//! What automation acts on, as seen from outside: writes down each call with its key and its times, and answers as told: at once, with
//! a status, or not before it is let go. Knows nothing of who calls.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::parts::wait::{seconds, wait_until};

/// One call.
#[derive(Clone, Debug)]
pub struct Call {
    pub method: String,
    pub path: String,
    /// The `Idempotency-Key`.
    pub key: String,
    /// The number in `Reynard-Attempt`.
    pub attempt: String,
    pub came: Instant,
    /// When it was answered, or whoever called was gone.
    pub ended: Option<Instant>,
}

pub struct Target {
    pub address: SocketAddr,
    desk: Arc<Desk>,
    serving: JoinHandle<()>,
}

struct Desk {
    calls: Mutex<Vec<Call>>,
    holds: watch::Sender<bool>,
    status: Mutex<StatusCode>,
}

impl Target {
    pub async fn start() -> Result<Target> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let desk = Arc::new(Desk { calls: Mutex::default(), holds: watch::channel(false).0, status: Mutex::new(StatusCode::OK) });
        let router = Router::new().fallback(take).with_state(Arc::clone(&desk));
        let serving = tokio::spawn(async move {
            let _ = axum::serve(listener, router).await;
        });
        Ok(Target { address, desk, serving })
    }

    /// A line for `targets:`; each of them has paths of its own here.
    pub fn line(&self, name: &str, service: &str) -> String {
        format!("  {name}: {{ kind: http, url: 'http://{}/{name}', service: {service} }}\n", self.address)
    }

    /// From here on no call is answered.
    pub fn holds(&self) {
        self.desk.holds.send_replace(true);
    }

    /// Whatever waits is answered.
    pub fn lets_go(&self) {
        self.desk.holds.send_replace(false);
    }

    pub fn answers(&self, status: StatusCode) {
        *lock(&self.desk.status) = status;
    }

    pub fn calls(&self) -> Vec<Call> {
        lock(&self.desk.calls).clone()
    }

    /// The calls below this path.
    pub fn calls_of(&self, path: &str) -> Vec<Call> {
        self.calls().into_iter().filter(|call| call.path.starts_with(path)).collect()
    }

    /// Waits until so many calls have come, and not one more.
    pub async fn is_called(&self, times: usize) -> Result<()> {
        let came = async || {
            let calls = self.calls();
            ensure!(calls.len() == times, "{} calls: {calls:#?}", calls.len());
            Ok(Some(()))
        };
        wait_until(&format!("{times} calls"), seconds(15), came).await
    }

    /// How many calls below this path were ever under way at the same time.
    pub fn most_at_once(&self, path: &str) -> usize {
        let calls = self.calls_of(path);
        let under_way = |at: Instant| calls.iter().filter(|call| call.came <= at && call.ended.is_none_or(|ended| ended > at)).count();
        calls.iter().map(|call| under_way(call.came)).max().unwrap_or(0)
    }
}

/// How many calls came within any window of this length.
pub fn most_within(calls: &[Call], window: Duration) -> usize {
    let within = |from: Instant| calls.iter().filter(|call| call.came >= from && call.came < from + window).count();
    calls.iter().map(|call| within(call.came)).max().unwrap_or(0)
}

impl Drop for Target {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn take(State(desk): State<Arc<Desk>>, request: Request) -> StatusCode {
    let number = desk.writes_down(&request);
    let _written = Ended { desk: &desk, number };
    let _ = desk.holds.subscribe().wait_for(|holds| !holds).await;
    *lock(&desk.status)
}

impl Desk {
    fn writes_down(&self, request: &Request) -> usize {
        let (method, path, headers) = (request.method().to_string(), request.uri().path().to_owned(), request.headers());
        let (key, attempt) = (header(headers, "idempotency-key"), header(headers, "reynard-attempt"));
        let mut calls = lock(&self.calls);
        calls.push(Call { method, path, key, attempt, came: Instant::now(), ended: None });
        calls.len() - 1
    }
}

/// Whoever calls may be killed, and then the answer is never written.
struct Ended<'a> {
    desk: &'a Desk,
    number: usize,
}

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        lock(&self.desk.calls)[self.number].ended = Some(Instant::now());
    }
}

fn header(headers: &HeaderMap, name: &str) -> String {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
