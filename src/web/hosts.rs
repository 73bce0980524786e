//! By which names this server is called: a page of another site that made its own name mean this machine (DNS rebinding) is told
//! apart by the name it asks for. Knows no routes and no sign-in.

use std::net::IpAddr;
use std::sync::{Arc, PoisonError, RwLock};

use axum::extract::Request;
use axum::http::StatusCode;
use axum::http::header::HOST;
use axum::http::uri::Authority;

use crate::web::problem::Problem;

/// The names that are answered to, replaced as a whole when the settings change; cloning is cheap and means the same ones.
#[derive(Clone, Debug, Default)]
pub struct Hosts(Arc<RwLock<Option<Arc<Vec<String>>>>>);

impl Hosts {
    /// On loopback the names are known, so any other is foreign; whoever listens wider is called by names nobody told us, and is
    /// only held to them where the settings list them.
    pub fn follow(&self, listen: IpAddr, public_url: &str, hosts: &[String]) {
        let known = listen.to_canonical().is_loopback() || !hosts.is_empty();
        let public = url::Url::parse(public_url).ok().and_then(|url| url.host_str().map(str::to_owned));
        let names = hosts.iter().cloned().chain(public).map(|name| plain(&name)).collect();
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = known.then(|| Arc::new(names));
    }

    /// Refuses a request that calls this server by a name that is not its own.
    pub fn admit(&self, request: &Request) -> Result<(), Problem> {
        let Some(names) = self.0.read().unwrap_or_else(PoisonError::into_inner).clone() else { return Ok(()) };
        let asked = request.headers().get_all(HOST).iter().map(|host| String::from_utf8_lossy(host.as_bytes()));
        let asked = asked.chain(request.uri().authority().map(|authority| authority.as_str().into()));
        match asked.into_iter().find(|host| !is_ours(host, &names)) {
            Some(foreign) => Err(misdirected(&foreign)),
            None => Ok(()),
        }
    }
}

/// An address in numbers is nobody's to point elsewhere; `localhost` and what ends in it mean this machine by their standard.
fn is_ours(host: &str, names: &[String]) -> bool {
    let Ok(authority) = host.parse::<Authority>() else { return false };
    let name = plain(authority.host());
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    bare.parse::<IpAddr>().is_ok() || name == "localhost" || name.ends_with(".localhost") || names.contains(&name)
}

/// As names are compared: in small letters, without the dot that ends a whole one.
fn plain(name: &str) -> String {
    name.trim_end_matches('.').to_ascii_lowercase()
}

fn misdirected(foreign: &str) -> Problem {
    let name: String = foreign.chars().filter(|letter| !letter.is_control()).take(100).collect();
    let detail = format!(
        "this server is not called \"{name}\"; if it is, put the name under server.hosts in reynard.yaml or into server.public_url, \
         or ask for it by its address"
    );
    tracing::warn!(host = name, "A request for a name that is not this server's was refused; server.hosts lists those that are");
    Problem::new(StatusCode::MISDIRECTED_REQUEST, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_this_machine_and_addresses_are_its_own_and_no_others() {
        let names = [plain("Reynard.Example.com.")];
        for ours in [
            "localhost",
            "localhost:5001",
            "LOCALHOST.",
            "a.localhost:1",
            "127.0.0.1:5001",
            "127.9.9.9",
            "[::1]:5001",
            "192.0.2.7:5001",
            "reynard.example.com",
            "REYNARD.example.com:443",
            "reynard.example.com.",
        ] {
            assert!(is_ours(ours, &names), "{ours}");
        }
        for foreign in [
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example:5001",
            "evillocalhost",
            "reynard.example.com.evil",
            "",
            "a b",
            "reynard.example.com@evil.example",
            "127.0.0.1@evil.example",
        ] {
            assert!(!is_ours(foreign, &names), "{foreign}");
        }
    }
}
