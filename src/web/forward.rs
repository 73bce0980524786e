//! Sends people's acts on to the node that does the work, while this one stands by: whichever node a page is open on, its buttons
//! work. Knows no act.

use std::net::SocketAddr;
use std::sync::OnceLock;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::{ConnectInfo, Request, State};
use axum::http::header::{CONNECTION, CONTENT_LENGTH, HOST, HeaderName, ORIGIN, TRANSFER_ENCODING};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::web::problem::Problem;
use crate::web::router::MAX_TEXT;
use crate::web::state::WebState;
use crate::web::webhook::is_direct;

/// Says that a node has sent this on; nobody sends it on again, so that two nodes who each believe in the other end at once.
const SENT_ON: HeaderName = HeaderName::from_static("reynard-sent-on");
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const CONNECT_WITHIN: Duration = Duration::from_secs(2);
const ANSWER_WITHIN: Duration = Duration::from_secs(25);

/// Meant for one stretch of the way, or told of the browser to the node that it asked, which has looked at it.
const NOT_SENT_ON: [HeaderName; 7] = [
    HOST,
    CONNECTION,
    CONTENT_LENGTH,
    TRANSFER_ENCODING,
    ORIGIN,
    HeaderName::from_static("sec-fetch-site"),
    HeaderName::from_static("keep-alive"),
];

pub async fn sent_on(State(web): State<WebState>, request: Request, next: Next) -> Response {
    let Some(node) = web.runtime.health().standing_by.filter(|_| is_act(&request)) else { return next.run(request).await };
    let Some(url) = web.runtime.active_url() else { return next.run(request).await };
    match send(&url, marked(request)).await {
        Ok(answer) => answer,
        Err(cause) => {
            tracing::warn!(active = node, url, cause, "An act could not be sent on to the active node");
            let detail =
                format!("this node stands by; {node} is active and could not be reached: send it there, or again in a few seconds");
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail).into_response()
        }
    }
}

/// Deliveries are taken here, reads are answered here, and who somebody is stays between this node, their browser and the database.
fn is_act(request: &Request) -> bool {
    let path = request.uri().path();
    let changes = ![Method::GET, Method::HEAD, Method::OPTIONS].contains(request.method());
    let here = ["/", "/sign-in", "/sign-out", "/me"].contains(&path) || path.starts_with("/me/") || path.starts_with("/api/v1/webhooks/");
    changes && !here && !request.headers().contains_key(SENT_ON)
}

/// The other node must not take this one for the person's own machine. What shows who they are goes with the request, and that node
/// looks at it itself: it believes no word of this one about it.
fn marked(mut request: Request) -> Request {
    if is_direct(request.headers(), request.extensions()) {
        return request;
    }
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| peer.ip().to_string());
    if let Ok(peer) = peer.unwrap_or_else(|| "unknown".to_owned()).parse() {
        request.headers_mut().append(FORWARDED_FOR, peer);
    }
    request
}

async fn send(url: &str, request: Request) -> Result<Response, String> {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    let body = to_bytes(body, MAX_TEXT).await.map_err(|error| error.to_string())?;
    let mut headers = passed_on(&parts.headers);
    headers.insert(SENT_ON, HeaderValue::from_static("1"));
    let asked = client()?.request(parts.method, format!("{}{path}", url.trim_end_matches('/'))).headers(headers).body(body);
    let answer = asked.send().await.map_err(|error| error.without_url().to_string())?;
    let (status, headers) = (answer.status(), passed_on(answer.headers()));
    let body = answer.bytes().await.map_err(|error| error.without_url().to_string())?;
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    Ok(response)
}

fn passed_on(headers: &HeaderMap) -> HeaderMap {
    let mut passed = headers.clone();
    NOT_SENT_ON.iter().for_each(|name| drop(passed.remove(name)));
    passed
}

fn client() -> Result<&'static reqwest::Client, String> {
    static CLIENT: OnceLock<Result<reqwest::Client, String>> = OnceLock::new();
    let made = CLIENT.get_or_init(|| {
        let builder = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none());
        builder.connect_timeout(CONNECT_WITHIN).timeout(ANSWER_WITHIN).build().map_err(|error| error.to_string())
    });
    made.as_ref().map_err(Clone::clone)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_came_from_elsewhere_is_not_taken_for_this_machine_by_the_other_node() {
        let sent = |peer: &str, forwarded: Option<&str>| {
            let peer: SocketAddr = peer.parse().expect("an address");
            let mut request = Request::builder().method("POST").uri("/automation/release").extension(ConnectInfo(peer));
            if let Some(forwarded) = forwarded {
                request = request.header(FORWARDED_FOR, forwarded);
            }
            let request = marked(request.body(Body::empty()).expect("a request"));
            let said = request.headers().get_all(FORWARDED_FOR).iter().map(|value| value.to_str().unwrap_or_default().to_owned());
            said.collect::<Vec<_>>()
        };
        assert_eq!(sent("127.0.0.1:9", None), [""; 0]);
        assert_eq!(sent("192.0.2.7:9", None), ["192.0.2.7"]);
        assert_eq!(sent("127.0.0.1:9", Some("203.0.113.5")), ["203.0.113.5", "127.0.0.1"]);
    }

    #[test]
    fn signing_in_and_out_is_done_where_one_is() {
        let is_sent =
            |method: &str, path: &str| is_act(&Request::builder().method(method).uri(path).body(Body::empty()).expect("a request"));
        for path in ["/sign-in", "/sign-out", "/me", "/me/sessions", "/", "/api/v1/webhooks/alertmanager"] {
            assert!(!is_sent("POST", path), "{path}");
        }
        assert!(is_sent("POST", "/automation/release") && is_sent("PUT", "/api/v1/playbooks/x") && !is_sent("GET", "/incidents"));
    }
}
