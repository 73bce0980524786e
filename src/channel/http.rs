//! The one way channels speak HTTP, and what an answer means for the message. Knows no single channel.

use std::time::Duration;

use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::{Client, RequestBuilder};

use crate::engine::ports::Delivered;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
const SEND_TIMEOUT: Duration = Duration::from_secs(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(3600);

/// A client that follows nobody. A TLS provider must be installed by then.
pub fn client() -> Client {
    Client::builder()
        .user_agent(concat!("reynard/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(SEND_TIMEOUT)
        .build()
        .expect("the app installs a TLS provider before it builds the channels; nothing else here can fail")
}

/// Sends it. A lost answer is tried again: a message that comes twice is better than none.
pub async fn deliver(request: RequestBuilder) -> Delivered {
    let mut response = match request.send().await {
        Ok(response) => response,
        Err(error) if error.is_builder() => return Delivered::Never("the request cannot be made: is the url an http address?".to_owned()),
        Err(error) => return again(format!("no answer: {}", root_cause(&error))),
    };
    let status = response.status().as_u16();
    let after = retry_after(response.headers());
    let words = excerpt(&response.chunk().await.ok().flatten().unwrap_or_default());
    let answer = if words.is_empty() { status.to_string() } else { format!("{status}: {words}") };
    match status {
        200..=299 => Delivered::Sent(answer),
        408 | 425 | 429 | 500..=599 => Delivered::Again { reason: format!("it answered {answer}"), after },
        _ => Delivered::Never(format!("it answered {answer}")),
    }
}

/// `Retry-After` in seconds; a date there is left to our own pace.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds).min(LONGEST_PAUSE))
}

fn again(reason: String) -> Delivered {
    Delivered::Again { reason, after: None }
}

fn excerpt(body: &[u8]) -> String {
    String::from_utf8_lossy(body).split_whitespace().collect::<Vec<_>>().join(" ").chars().take(200).collect()
}

/// The deepest cause; the outer ones repeat the address, which is a secret here.
fn root_cause(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "it took too long".to_owned();
    }
    let causes = std::iter::successors(std::error::Error::source(error), |cause| cause.source());
    causes.last().map_or_else(|| "the connection broke".to_owned(), ToString::to_string)
}
