//! Where steps may reach without a target: `egress.allow`, and the addresses that are refused whatever it says. Sends nothing itself.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use regex::Regex;
use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::engine::ports::ActionError;

const RESOLVE_TIMEOUT: Duration = Duration::from_secs(5);

/// The allowed destinations; cloning is cheap.
#[derive(Clone, Debug, Default)]
pub struct Egress(Arc<Vec<Pattern>>);

#[derive(Debug)]
struct Pattern {
    /// Must match the whole of a host, of `host:port` or of an address.
    whole: Regex,
    /// The pattern as written, without its backslashes: loopback must stand in it by name.
    literal: String,
}

impl Egress {
    /// A pattern that cannot be made to match as a whole allows nothing.
    pub fn new(patterns: &[Regex]) -> Self {
        let pattern = |regex: &Regex| {
            let whole = Regex::new(&format!(r"\A(?:{})\z", regex.as_str())).ok()?;
            Some(Pattern { whole, literal: regex.as_str().replace('\\', "") })
        };
        Self(Arc::new(patterns.iter().filter_map(pattern).collect()))
    }

    /// The address, if it may be called.
    pub fn url(&self, text: &str) -> Result<Url, ActionError> {
        let url = Url::parse(text).map_err(|error| ActionError::Fatal(format!("\"{text}\" is not an address: {error}")))?;
        if !matches!(url.scheme(), "http" | "https") || !url.username().is_empty() || url.password().is_some() {
            return Err(ActionError::Fatal("only http:// and https:// addresses without a password can be called".to_owned()));
        }
        self.permit(&url, Some(url.as_str()))?;
        Ok(url)
    }

    /// The socket addresses behind `host:port`, if they may be reached.
    pub async fn sockets(&self, address: &str) -> Result<Vec<SocketAddr>, ActionError> {
        let fault = || ActionError::Fatal(format!("\"{address}\" is not of the form host:port"));
        let (_, port) = address.rsplit_once(':').ok_or_else(fault)?;
        let port: u16 = port.parse().map_err(|_| fault())?;
        let url = Url::parse(&format!("http://{address}/")).map_err(|_| fault())?;
        if url.path() != "/" || !url.username().is_empty() || url.query().is_some() {
            return Err(fault());
        }
        self.permit(&url, None)?;
        self.lookup(bare_host(&url), port).await
    }

    fn permit(&self, url: &Url, whole: Option<&str>) -> Result<(), ActionError> {
        let host = bare_host(url);
        let with_port = format!("{}:{}", url.host_str().unwrap_or_default(), url.port_or_known_default().unwrap_or(80));
        let matches = |pattern: &Pattern| {
            [Some(host), Some(with_port.as_str()), whole].into_iter().flatten().any(|text| pattern.whole.is_match(text))
        };
        if !self.0.iter().any(matches) {
            return Err(ActionError::Barred(format!(
                "Reynard may not look at {with_port}: no pattern in `egress.allow` of reynard.yaml names it"
            )));
        }
        match host.parse() {
            Ok(address) => self.permit_address(address, host),
            Err(_) => Ok(()),
        }
    }

    async fn lookup(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, ActionError> {
        let found = tokio::time::timeout(RESOLVE_TIMEOUT, tokio::net::lookup_host((host, port)))
            .await
            .map_err(|_| ActionError::Retry(format!("{host} was not resolved within {} s", RESOLVE_TIMEOUT.as_secs())))?
            .map_err(|error| ActionError::Retry(format!("{host} was not resolved: {error}")))?;
        let sockets: Vec<SocketAddr> = found.collect();
        // One bad address spoils the name: a rebinding name server mixes them.
        for socket in &sockets {
            self.permit_address(socket.ip(), host)?;
        }
        Ok(sockets)
    }

    fn permit_address(&self, address: IpAddr, host: &str) -> Result<(), ActionError> {
        let address = embedded(address);
        let refused = |what| Err(ActionError::Fatal(format!("{host} leads to {address}, {what}: steps may not reach it")));
        if is_metadata(address) {
            return refused("a metadata address");
        }
        if is_local_only(address) {
            return refused("an address of this link or of many machines");
        }
        if address.is_loopback() && !self.0.iter().any(|pattern| is_loopback_word(host) && pattern.literal.contains(host)) {
            return refused("this very machine");
        }
        Ok(())
    }
}

/// The check once more where names become addresses, so that no second look-up can slip past it.
impl Resolve for Egress {
    fn resolve(&self, name: Name) -> Resolving {
        let egress = self.clone();
        Box::pin(async move {
            let sockets = egress.lookup(name.as_str(), 0).await?;
            Ok(Box::new(sockets.into_iter()) as Addrs)
        })
    }
}

fn bare_host(url: &Url) -> &str {
    url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']')
}

fn is_loopback_word(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| embedded(address).is_loopback())
}

/// The IPv4 address inside a mapped, compatible, NAT64 or 6to4 one; else the address itself.
fn embedded(address: IpAddr) -> IpAddr {
    let IpAddr::V6(six) = address else { return address };
    let v4 = |high: u16, low: u16| IpAddr::V4(Ipv4Addr::from((u32::from(high) << 16) | u32::from(low)));
    match six.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => address,
        [0, 0, 0, 0, 0, 0xffff | 0, high, low] | [0x64, 0xff9b, _, _, _, _, high, low] | [0x2002, high, low, ..] => v4(high, low),
        _ => address,
    }
}

fn is_metadata(address: IpAddr) -> bool {
    const FOURS: [Ipv4Addr; 4] = [
        Ipv4Addr::new(169, 254, 169, 254),
        Ipv4Addr::new(100, 100, 100, 200),
        Ipv4Addr::new(168, 63, 129, 16),
        Ipv4Addr::new(192, 0, 0, 192),
    ];
    const SIX: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);
    match address {
        IpAddr::V4(four) => FOURS.contains(&four),
        IpAddr::V6(six) => six == SIX,
    }
}

fn is_local_only(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(four) => four.is_link_local() || four.is_broadcast() || four.is_multicast() || four.octets()[0] == 0,
        IpAddr::V6(six) => six.is_unicast_link_local() || six.is_multicast() || six.is_unspecified(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn egress(patterns: &[&str]) -> Egress {
        Egress::new(&patterns.iter().map(|pattern| Regex::new(pattern).unwrap()).collect::<Vec<_>>())
    }

    #[test]
    fn nothing_is_allowed_until_a_pattern_matches_the_whole_host() {
        assert!(egress(&[]).url("http://example.com/").is_err());
        let egress = egress(&[r"status\.example\.com", r"api\.example\.com:8443", r"https://docs\.example\.com/health.*"]);
        for good in ["http://status.example.com/x", "https://api.example.com:8443/", "https://docs.example.com/health?a=b"] {
            assert!(egress.url(good).is_ok(), "{good}");
        }
        for bad in [
            "http://status.example.com.evil.org/",
            "http://evil.org/status.example.com",
            "http://xstatus.example.com/",
            "http://api.example.com/",
            "http://user:pw@status.example.com/",
            "http://docs.example.com/health",
            "ftp://status.example.com/",
        ] {
            assert!(egress.url(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn loopback_and_metadata_are_refused_even_under_a_wide_pattern() {
        let wide = egress(&[".*"]);
        for bad in [
            "http://127.0.0.1/",
            "http://127.1/",
            "http://0x7f000001/",
            "http://2130706433/",
            "http://0/",
            "http://[::1]/",
            "http://[::]/",
            "http://[::ffff:127.0.0.1]/",
            "http://[::ffff:169.254.169.254]/",
            "http://[64:ff9b::169.254.169.254]/",
            "http://[64:ff9b::7f00:1]/",
            "http://[2002:7f00:1::]/",
            "http://169.254.169.254/latest/meta-data",
            "http://169.254.1.1/",
            "http://[fe80::1]/",
            "http://[fd00:ec2::254]/",
            "http://100.100.100.200/",
            "http://224.0.0.1/",
            "http://255.255.255.255/",
        ] {
            assert!(wide.url(bad).is_err(), "{bad}");
        }
        assert!(wide.url("http://10.0.0.1/").is_ok());
    }

    #[tokio::test]
    async fn a_name_is_checked_again_after_it_was_resolved() {
        assert!(matches!(egress(&[".*"]).sockets("localhost:80").await, Err(ActionError::Fatal(_))));
        assert!(egress(&[r"localhost(:\d+)?"]).sockets("localhost:80").await.is_ok());
        assert!(egress(&[r"127\.0\.0\.1"]).sockets("127.0.0.1:80").await.is_ok());
        assert!(egress(&[r"127\.0\.0\.1", ".*"]).sockets("127.0.0.2:80").await.is_err());
    }

    #[tokio::test]
    async fn addresses_are_host_and_port_only() {
        for bad in ["localhost", "localhost:", "localhost:x", "localhost:80/x", "a@localhost:80", "localhost:99999", ":80", "a b:80"] {
            assert!(egress(&[".*", "localhost"]).sockets(bad).await.is_err(), "{bad}");
        }
    }
}
