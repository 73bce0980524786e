//! Where to look: the addresses that an alert's annotations carry. Knows that they come from outside: http and https only.

use serde::Serialize;

use crate::domain::labels::Labels;

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Link {
    pub word: String,
    pub href: String,
    pub host: String,
}

const KNOWN: [(&str, &str); 9] = [
    ("runbook_url", "Runbook"),
    ("runbook", "Runbook"),
    ("dashboard_url", "Dashboard"),
    ("dashboard", "Dashboard"),
    ("generator_url", "Graph"),
    ("generatorURL", "Graph"),
    ("logs_url", "Logs"),
    ("trace_url", "Trace"),
    ("silence_url", "Silence"),
];

/// The links among the annotations, the most useful first.
pub fn links(annotations: &Labels) -> Vec<Link> {
    let mut found: Vec<Link> = Vec::new();
    for (key, word) in KNOWN {
        if let Some((href, host)) = annotations.get(key).and_then(|text| safe(text))
            && !found.iter().any(|link| link.href == href)
        {
            found.push(Link { word: word.to_owned(), href, host });
        }
    }
    found
}

/// The address and its host, if it is one that a browser may be sent to.
fn safe(text: &str) -> Option<(String, String)> {
    let text = text.trim();
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"))?;
    let host: String = rest.chars().take_while(|c| !matches!(c, '/' | '?' | '#' | '\\')).collect();
    let clean = !host.is_empty() && !host.contains('@') && text.len() <= 2_000 && !text.chars().any(|c| c.is_control() || c == ' ');
    clean.then(|| (text.to_owned(), host))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_web_addresses_become_links() {
        for (text, host) in [
            ("https://wiki/runbook", Some("wiki")),
            ("http://grafana:3000/d/1?x=y", Some("grafana:3000")),
            ("javascript:alert(1)", None),
            ("//evil", None),
            ("https://good@evil/", None),
            ("https://", None),
            ("data:text/html,x", None),
        ] {
            assert_eq!(safe(text).map(|(_, host)| host).as_deref(), host, "{text}");
        }
    }
}
