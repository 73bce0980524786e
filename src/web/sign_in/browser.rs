//! What a browser shows of itself: where it is, what it is, whether its page came by TLS, and the cookie that carries a session.
//! Knows no session.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};

use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::header::{COOKIE, FORWARDED, HOST, ORIGIN, USER_AGENT};
use axum::http::request::Parts;
use axum::http::{Extensions, HeaderMap, HeaderName};

use crate::engine::sessions::WHOLE;
use crate::web::state::WebState;

/// A browser takes a cookie of this name only over TLS, from this very host.
const BY_TLS: &str = "__Host-reynard_session";
/// Where the page itself is plain, so is its cookie.
const PLAIN: &str = "reynard_session";
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const LONGEST_WORDS: usize = 200;

#[derive(Clone, Debug, Default)]
pub struct Browser {
    /// Whom tries are counted for: who speaks to us, and for whom, if that is a proxy.
    pub address: String,
    pub agent: String,
    pub by_tls: bool,
    /// The id of its session, as it says.
    pub id: Option<String>,
}

impl Browser {
    pub fn read(headers: &HeaderMap, extensions: &Extensions, public_url: &str) -> Self {
        let by_tls = is_by_tls(headers, public_url);
        let plain = || if by_tls { None } else { cookie(headers, PLAIN) };
        Self {
            address: address(headers, extensions),
            agent: words(headers, &USER_AGENT),
            by_tls,
            id: cookie(headers, BY_TLS).or_else(plain).filter(|id| id.len() == 64 && id.bytes().all(|byte| byte.is_ascii_hexdigit())),
        }
    }

    /// The cookie that carries a session's id from now on.
    pub fn keeps(&self, id: &str) -> String {
        self.cookie(id, WHOLE.as_millis() / 1_000)
    }

    /// The one that takes it away.
    pub fn forgets(&self) -> String {
        self.cookie("", 0)
    }

    fn cookie(&self, id: &str, seconds: u64) -> String {
        let (name, secure) = if self.by_tls { (BY_TLS, "; Secure") } else { (PLAIN, "") };
        format!("{name}={id}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}")
    }
}

impl FromRequestParts<WebState> for Browser {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, web: &WebState) -> Result<Self, Infallible> {
        Ok(Self::read(&parts.headers, &parts.extensions, &web.runtime.rulebook().public_url))
    }
}

/// A proxy says so, the browser itself does (when it sends a form), or it asks for the very name that people reach by TLS.
fn is_by_tls(headers: &HeaderMap, public_url: &str) -> bool {
    let first = |name: &HeaderName| words(headers, name).split(',').next().unwrap_or_default().trim().to_ascii_lowercase();
    let said = first(&FORWARDED_PROTO);
    if !said.is_empty() {
        return said == "https";
    }
    let public = public_url.strip_prefix("https://").map(|rest| rest.split('/').next().unwrap_or_default());
    first(&FORWARDED).contains("proto=https")
        || words(headers, &ORIGIN).starts_with("https://")
        || public.is_some_and(|public| public.eq_ignore_ascii_case(&words(headers, &HOST)))
}

/// The nearest address that nobody but the peer can have made up; networks of IPv6 count as one.
fn address(headers: &HeaderMap, extensions: &Extensions) -> String {
    let peer = extensions.get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| network(peer.ip())).unwrap_or_default();
    let last = headers.get_all(&FORWARDED_FOR).iter().next_back().and_then(|line| line.to_str().ok());
    match last.and_then(|line| line.rsplit(',').next()).map(str::trim).filter(|last| !last.is_empty()) {
        Some(last) => format!("{} by {peer}", last.parse().map_or_else(|_| last.chars().take(64).collect(), network)),
        None => peer,
    }
}

fn network(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) if address.is_loopback() => address.to_string(),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
        }
    }
}

fn words(headers: &HeaderMap, name: &HeaderName) -> String {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().chars().take(LONGEST_WORDS).collect()
}

fn cookie(headers: &HeaderMap, name: &str) -> Option<String> {
    let lines = headers.get_all(COOKIE).iter().filter_map(|line| line.to_str().ok());
    let mut pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(key, _)| *key == name).map(|(_, value)| value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(pairs: &[(&'static str, &str)], peer: &str) -> Browser {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, value.parse().expect("a header"));
        }
        let mut extensions = Extensions::new();
        extensions.insert(ConnectInfo::<SocketAddr>(peer.parse().expect("an address")));
        Browser::read(&headers, &extensions, "https://reynard.example.com")
    }

    const PEER: &str = "192.0.2.7:99";

    #[test]
    fn where_the_page_came_by_tls_only_a_cookie_that_tls_brought_counts() {
        let id = "a".repeat(64);
        let (plain, whole) = (format!("reynard_session={id}"), format!("x=y; __Host-reynard_session={id}"));
        for proof in [
            ("x-forwarded-proto", "https, http"),
            ("forwarded", "for=1.2.3.4;proto=https"),
            ("origin", "https://reynard.example.com"),
            ("host", "Reynard.example.com"),
        ] {
            let browser = seen(&[proof, ("cookie", &plain)], PEER);
            assert_eq!((browser.by_tls, browser.id.as_deref()), (true, None), "{proof:?}");
            assert_eq!(seen(&[proof, ("cookie", &whole)], PEER).id, Some(id.clone()), "{proof:?}");
            let kept = browser.keeps(&id);
            assert!(
                kept.starts_with("__Host-reynard_session=aaa")
                    && kept.ends_with("; Path=/; Max-Age=2592000; HttpOnly; SameSite=Lax; Secure"),
                "{kept}"
            );
        }
        let browser = seen(&[("host", "127.0.0.1:5001"), ("cookie", &plain)], PEER);
        assert_eq!((browser.by_tls, browser.id.as_deref()), (false, Some(id.as_str())));
        assert!(browser.forgets().starts_with("reynard_session=; Path=/; Max-Age=0;") && !browser.forgets().contains("Secure"));
        assert!(!seen(&[("x-forwarded-proto", "http"), ("host", "reynard.example.com")], PEER).by_tls, "the proxy knows best");
        assert_eq!(seen(&[("cookie", "reynard_session=../../x")], PEER).id, None);
    }

    #[test]
    fn tries_are_counted_for_who_speaks_to_us_and_for_whom() {
        assert_eq!(seen(&[], PEER).address, "192.0.2.7");
        assert_eq!(seen(&[("x-forwarded-for", "10.9.9.9, 203.0.113.5")], PEER).address, "203.0.113.5 by 192.0.2.7");
        assert_eq!(seen(&[], "[2001:db8:1:2:aaaa::1]:9").address, "2001:db8:1:2::/64");
        assert_eq!(seen(&[], "[::ffff:192.0.2.7]:9").address, "192.0.2.7");
    }
}
