//! The one way actions speak HTTP: no redirects, no proxies, bounded replies, and honest words about what may have happened.
//! Knows no single action.

use std::collections::BTreeMap;
use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Method, RequestBuilder, Url};
use serde_json::Value;

use crate::action::egress::Egress;
use crate::domain::settings::Target;
use crate::engine::ports::{ActionError, Call, Coming};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
const LARGEST_REPLY: usize = 1 << 20;
const LARGEST_OUTPUT: usize = 64 << 10;

/// The clients; cloning is cheap.
#[derive(Clone, Debug)]
pub struct Http {
    /// For targets, which the operator wrote down.
    targets: Client,
    /// For addresses a playbook made up: names are checked as they are resolved.
    outside: Client,
    egress: Egress,
}

/// What a request would do on the other side, were it to arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    /// Nothing: a lost answer may simply be asked for again.
    Read,
    /// A change: a lost answer leaves it open.
    Write,
}

impl Deed {
    pub fn of(method: &Method) -> Self {
        if [Method::GET, Method::HEAD, Method::OPTIONS].contains(method) { Self::Read } else { Self::Write }
    }
}

/// A whole answer, at most 1 MiB of it.
#[derive(Clone, Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
    /// Whether there was more.
    pub truncated: bool,
}

impl Http {
    pub fn new(egress: Egress) -> Self {
        Self { targets: client(Client::builder()), outside: client(Client::builder().dns_resolver(egress.clone())), egress }
    }

    /// A request below the target's base address, with the target's headers.
    pub fn to_target(&self, target: &Target, method: Method, path: &str) -> Result<RequestBuilder, ActionError> {
        let url = below(target, path)?;
        let mut headers = HeaderMap::new();
        for (name, value) in &target.headers {
            let (name, mut value) = header(name, value.expose()).ok_or_else(|| fatal(format!("target {}: header {name}", target.name)))?;
            value.set_sensitive(true);
            headers.insert(name, value);
        }
        Ok(self.targets.request(method, url).headers(headers))
    }

    /// A request to an address that `egress.allow` admits.
    pub fn to_outside(&self, method: Method, url: &str) -> Result<RequestBuilder, ActionError> {
        Ok(self.outside.request(method, self.egress.url(url)?))
    }
}

/// Asks for something, under the call's key and attempt, and reads the answer whatever its status.
pub async fn ask(request: RequestBuilder, call: &Call) -> Result<Reply, ActionError> {
    let request = under_key(request, call)?.timeout(shortened(call.timeout));
    tokio::select! {
        biased;
        reply = receive(request) => reply.map_err(|error| fault(whom(call), &error, Deed::Read)),
        () = call.cut.made() => Err(ActionError::Retry(format!("{}: cut off on request, while it was only asked", whom(call)))),
    }
}

/// Sends a change, under the call's key and attempt; `judge` says what its answer means. One that takes longer than there is time
/// may arrive all the same: what it answers in the end is listened for, and nothing more is done.
pub async fn change(
    request: RequestBuilder,
    call: &Call,
    judge: impl Fn(&Reply) -> Result<Value, ActionError> + Send + 'static,
) -> Result<Value, ActionError> {
    let (request, to) = (under_key(request, call)?, whom(call).to_owned());
    let mut answer: Coming = Box::pin(async move {
        match receive(request).await {
            Ok(reply) => judge(&reply),
            Err(error) => Err(fault(&to, &error, Deed::Write)),
        }
    });
    let in_time = tokio::select! {
        biased;
        in_time = tokio::time::timeout(shortened(call.timeout), &mut answer) => in_time,
        () = call.cut.made() => {
            return Err(ActionError::Unknown(format!("{}: cut off on request; it may have happened", whom(call))));
        }
    };
    in_time.unwrap_or_else(|_| {
        call.late.may_come(answer);
        Err(ActionError::Unknown(format!("{} did not answer: it took too long", whom(call))))
    })
}

fn whom(call: &Call) -> &str {
    call.target.as_ref().map_or("the address", |target| target.name.as_str())
}

fn under_key(request: RequestBuilder, call: &Call) -> Result<RequestBuilder, ActionError> {
    let key = HeaderValue::from_str(&call.key).map_err(|_| fatal("the step's key cannot be a header".to_owned()))?;
    Ok(request.header("idempotency-key", key).header("reynard-attempt", call.attempt))
}

/// The headers a playbook may set: not the ones that say where a request ends or whom it is for.
pub fn headers(given: &BTreeMap<String, String>) -> Result<HeaderMap, ActionError> {
    const OURS: [&str; 8] =
        ["host", "content-length", "transfer-encoding", "connection", "upgrade", "te", "idempotency-key", "reynard-attempt"];
    let mut headers = HeaderMap::new();
    for (name, value) in given {
        let (name, value) = header(name, value).ok_or_else(|| fatal(format!("header {name} is not a header")))?;
        if OURS.contains(&name.as_str()) {
            return Err(fatal(format!("header {name} cannot be set")));
        }
        headers.insert(name, value);
    }
    Ok(headers)
}

/// What an unwanted status means: 5xx, 408, 425 and 429 pass, the rest of 4xx stays.
pub fn refusal(whom: &str, reply: &Reply, deed: Deed) -> ActionError {
    let text = format!("{whom} answered {}{}", reply.status, reply.excerpt());
    match reply.status {
        // A gateway that gave up waiting cannot say what became of a change.
        504 if deed == Deed::Write => ActionError::Unknown(text),
        408 | 425 | 429 | 500..=599 => ActionError::Retry(text),
        _ => ActionError::Fatal(text),
    }
}

impl Reply {
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The body as JSON, if it is JSON and whole.
    pub fn json(&self) -> Option<Value> {
        if self.truncated { None } else { serde_json::from_slice(&self.body).ok() }
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body for a step's output: JSON if it is, else the first 64 KiB of text.
    pub fn output(&self) -> Value {
        let small = self.body.len() <= LARGEST_OUTPUT;
        match self.json().filter(|_| small) {
            Some(json) => json,
            None => Value::String(String::from_utf8_lossy(&self.body[..self.body.len().min(LARGEST_OUTPUT)]).into_owned()),
        }
    }

    /// The headers for a step's output, without the ones that let somebody in.
    pub fn shown_headers(&self) -> BTreeMap<String, String> {
        const HIDDEN: [&str; 3] = ["set-cookie", "authorization", "proxy-authenticate"];
        let shown = self.headers.iter().filter(|(name, _)| !HIDDEN.contains(&name.as_str()));
        shown.filter_map(|(name, value)| Some((name.to_string(), value.to_str().ok()?.to_owned()))).collect()
    }

    /// The start of the body in one line, for a sentence.
    fn excerpt(&self) -> String {
        let text = self.text();
        let line: String = text.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(200).collect();
        if line.is_empty() { line } else { format!(": {line}") }
    }
}

fn client(builder: reqwest::ClientBuilder) -> Client {
    builder
        .user_agent(concat!("reynard/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .no_proxy()
        .connect_timeout(CONNECT_TIMEOUT)
        // A kept connection may have died unseen: then a change is sent into the void and nobody knows whether it arrived.
        .pool_max_idle_per_host(0)
        .build()
        .expect("the app installs a TLS provider before it builds the catalogue; nothing else here can fail")
}

/// The target's base address with `path` below it, and nowhere else.
fn below(target: &Target, path: &str) -> Result<Url, ActionError> {
    let mut url = Url::parse(target.url.expose())
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https"))
        .ok_or_else(|| fatal(format!("target {}: its url is not an http address", target.name)))?;
    if path.is_empty() {
        return Ok(url);
    }
    stays_below(path)?;
    let base = url.path().trim_end_matches('/').to_owned();
    url.set_path(&format!("{base}/{}", path.trim_start_matches('/')));
    if url.path().starts_with(&format!("{base}/")) { Ok(url) } else { Err(escape(path)) }
}

fn stays_below(path: &str) -> Result<(), ActionError> {
    let lower = path.to_ascii_lowercase();
    // Encoded dots and slashes too: what this side reads as a name, the other side may read as a way up.
    let plain = lower.replace("%2e", ".").replace("%2f", "/").replace("%5c", "\\");
    let up = plain.split('/').any(|segment| segment == ".." || segment == ".");
    if up || plain.contains("//") || plain.contains('\\') || plain.contains("://") || plain.chars().any(char::is_control) {
        return Err(escape(path));
    }
    if path.contains(['?', '#']) {
        return Err(fatal("put what follows `?` under `query:`".to_owned()));
    }
    Ok(())
}

fn escape(path: &str) -> ActionError {
    fatal(format!("path \"{path}\" leaves the target's base address"))
}

fn header(name: &str, value: &str) -> Option<(HeaderName, HeaderValue)> {
    Some((HeaderName::from_bytes(name.as_bytes()).ok()?, HeaderValue::from_str(value).ok()?))
}

async fn receive(request: RequestBuilder) -> Result<Reply, reqwest::Error> {
    let mut response = request.send().await?;
    let mut reply = Reply { status: response.status().as_u16(), headers: response.headers().clone(), body: Vec::new(), truncated: false };
    while let Some(chunk) = response.chunk().await? {
        let room = LARGEST_REPLY - reply.body.len();
        reply.body.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if chunk.len() > room {
            reply.truncated = true;
            break;
        }
    }
    Ok(reply)
}

/// Before the request went out nothing happened; after that only a read may be sure.
fn fault(whom: &str, error: &reqwest::Error, deed: Deed) -> ActionError {
    let text = format!("{whom} did not answer: {}", root_cause(error));
    if error.is_builder() {
        return ActionError::Fatal(text);
    }
    if let Some(refused) = refused_by_egress(error) {
        return refused;
    }
    if error.is_connect() || deed == Deed::Read { ActionError::Retry(text) } else { ActionError::Unknown(text) }
}

fn refused_by_egress(error: &reqwest::Error) -> Option<ActionError> {
    causes(error).find_map(|cause| cause.downcast_ref::<ActionError>().cloned())
}

/// The deepest cause; the outer ones repeat the address, which may carry a password.
fn root_cause(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "it took too long".to_owned();
    }
    causes(error).last().map_or_else(|| "the connection broke".to_owned(), ToString::to_string)
}

fn causes(error: &reqwest::Error) -> impl Iterator<Item = &(dyn std::error::Error + 'static)> {
    std::iter::successors(std::error::Error::source(error), |cause| cause.source())
}

/// A little less than the engine allows, so that the words come from here.
fn shortened(timeout: Duration) -> Duration {
    timeout.saturating_sub(Duration::from_millis(500)).max(timeout / 2)
}

fn fatal(text: String) -> ActionError {
    ActionError::Fatal(text)
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::domain::action::TargetKind;
    use crate::domain::secret::Secret;
    use crate::engine::ports::{Cut, Late};

    /// A call on a target of `kind` at `url`.
    pub fn call(kind: TargetKind, url: &str, params: Value) -> Call {
        let headers = BTreeMap::from([("Authorization".to_owned(), Secret::new("Bearer s3cret"))]);
        let extra = BTreeMap::from([("repository".to_owned(), "acme/orders".to_owned())]);
        let target = Target { name: "thing".to_owned(), kind, service: None, url: Secret::new(url), headers, extra };
        Call {
            key: "run:step:1".to_owned(),
            attempt: 1,
            target: Some(target),
            params,
            timeout: Duration::from_secs(5),
            late: Late::default(),
            cut: Cut::default(),
        }
    }

    /// The clients without any egress.
    pub fn http() -> Http {
        let _ = rustls::crypto::ring::default_provider().install_default();
        Http::new(Egress::default())
    }

    #[test]
    fn a_path_stays_below_the_base_address() {
        let call = call(TargetKind::Http, "http://host:81/api/", Value::Null);
        let target = call.target.as_ref().unwrap();
        for (path, full) in
            [("", "/api/"), ("/x", "/api/x"), ("x/y", "/api/x/y"), ("/a b", "/api/a%20b"), ("/a@evil.org", "/api/a@evil.org")]
        {
            let url = below(target, path).unwrap();
            assert_eq!((url.path(), url.host_str(), url.port()), (full, Some("host"), Some(81)), "{path}");
        }
        for path in [
            "//evil.org/",
            "http://evil.org/",
            "/../admin",
            "/x/..",
            "/%2e%2e/admin",
            "/.%2E/admin",
            "/%2e%2e%2fadmin",
            "/x\\..\\y",
            "\\\\evil.org",
            "/./x",
            "/x?force=true",
            "/x#y",
            "/x\r\nHost: evil",
        ] {
            assert!(matches!(below(target, path), Err(ActionError::Fatal(_))), "{path}");
        }
    }
}
