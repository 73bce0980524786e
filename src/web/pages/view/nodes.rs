//! The nodes and how late the work is, in words. Knows no database: what is known of them is handed in.

use serde::Serialize;

use crate::domain::time::Span;
use crate::engine::nodes::{Overview, Peer, Role};
use crate::web::pages::view::times::{Age, Lens, Moment, took};

/// Later than this is worth a look.
const LATE: Span = Span::seconds(5);

#[derive(Clone, Debug, Serialize)]
pub struct NodesView {
    pub nodes: Vec<NodeLine>,
    /// Those that may be given the work.
    pub heirs: Vec<String>,
    /// Whether others may join: not where a file has one process.
    pub shared: bool,
    pub facts: Vec<Fact>,
}

#[derive(Clone, Debug, Serialize)]
pub struct NodeLine {
    pub name: String,
    pub is_this: bool,
    pub version: String,
    pub url: Option<String>,
    pub word: &'static str,
    pub tone: &'static str,
    pub since: Option<Moment>,
    pub for_: Option<Age>,
    pub seen: String,
}

/// One measure of how late something is.
#[derive(Clone, Debug, Serialize)]
pub struct Fact {
    pub what: &'static str,
    pub words: String,
    pub tone: &'static str,
}

pub fn nodes_view(overview: &Overview, this: &str, lens: Lens) -> NodesView {
    let shared = overview.epoch.is_some();
    let mut nodes: Vec<NodeLine> = overview.peers.iter().map(|peer| line(peer, overview, this, lens)).collect();
    if !shared {
        nodes.push(alone(this));
    }
    NodesView { nodes, heirs: heirs(overview), shared, facts: facts(overview) }
}

fn line(peer: &Peer, overview: &Overview, this: &str, lens: Lens) -> NodeLine {
    let holds = overview.holder.as_ref() == Some(&peer.name);
    let (word, tone) = match peer.role {
        Role::Stopped => ("stopped", "dim"),
        _ if peer.is_silent() && holds => ("silent, still active", "bad"),
        _ if peer.is_silent() => ("silent", "bad"),
        _ if holds => ("active", "good"),
        // It has said so, and the lease is somebody else's or nobody's.
        Role::Active => ("taking over", "wait"),
        Role::StandingBy => ("standing by", "wait"),
    };
    NodeLine {
        name: peer.name.clone(),
        is_this: peer.name == this,
        version: peer.version.clone(),
        url: peer.url.clone(),
        word,
        tone,
        since: Some(lens.moment(peer.since)),
        for_: Some(lens.age(peer.since)),
        seen: format!("{} ago", took(peer.seen)),
    }
}

fn heirs(overview: &Overview) -> Vec<String> {
    let holds = |peer: &&Peer| overview.holder.as_ref() == Some(&peer.name);
    let may = |peer: &&Peer| peer.role == Role::StandingBy && !peer.is_silent() && !holds(peer);
    overview.peers.iter().filter(may).map(|peer| peer.name.clone()).collect()
}

fn alone(this: &str) -> NodeLine {
    NodeLine {
        name: this.to_owned(),
        is_this: true,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        url: None,
        word: "active",
        tone: "good",
        since: None,
        for_: None,
        seen: "now".to_owned(),
    }
}

fn facts(overview: &Overview) -> Vec<Fact> {
    let late = |span: Option<Span>| span.map_or("good", |span| if span > LATE { "bad" } else { "good" });
    let mut facts = Vec::new();
    if let Some(epoch) = overview.epoch {
        let words = match (&overview.holder, overview.lease_age) {
            (Some(_), Some(age)) => format!("renewed {} ago; it has changed hands {epoch} times", took(age)),
            _ => format!("nobody has it; it has changed hands {epoch} times"),
        };
        facts.push(Fact { what: "Lease", words, tone: if overview.holder.is_some() { "good" } else { "bad" } });
    }
    let due = overview.oldest_due;
    let words = due.map_or("nothing is late".to_owned(), |span| format!("the oldest has been due for {}", took(span)));
    facts.push(Fact { what: "Jobs", words, tone: late(due) });
    if overview.epoch.is_some() {
        let words = match overview.oldest_in_inbox {
            Some(span) => format!("{} deliveries wait, the oldest for {}", overview.inbox, took(span)),
            None => "empty".to_owned(),
        };
        facts.push(Fact { what: "Inbox", words, tone: late(overview.oldest_in_inbox) });
    }
    facts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::Timestamp;

    fn peer(name: &str, role: Role, seen: u64) -> Peer {
        let (name, version) = (name.to_owned(), "0.1.0".to_owned());
        Peer { name, url: None, version, role, since: Timestamp(0), seen: Span::seconds(seen) }
    }

    #[test]
    fn who_is_silent_and_who_is_active_are_two_things() {
        let lens = Lens { now: Timestamp(60_000), zone: chrono_tz::UTC };
        let overview = Overview {
            peers: vec![
                peer("a", Role::Active, 1),
                peer("b", Role::StandingBy, 12),
                peer("c", Role::Stopped, 50),
                peer("d", Role::Active, 2),
                peer("e", Role::StandingBy, 1),
            ],
            holder: Some("a".to_owned()),
            epoch: Some(3),
            lease_age: Some(Span(900)),
            oldest_due: Some(Span::seconds(9)),
            inbox: 2,
            oldest_in_inbox: Some(Span(200)),
        };
        let view = nodes_view(&overview, "b", lens);
        let words: Vec<_> = view.nodes.iter().map(|node| (node.name.as_str(), node.word, node.is_this)).collect();
        let expected = [
            ("a", "active", false),
            ("b", "silent", true),
            ("c", "stopped", false),
            ("d", "taking over", false),
            ("e", "standing by", false),
        ];
        assert_eq!(words, expected);
        assert_eq!(view.heirs, ["e"], "who is silent, stopped or active already would not take over");
        let facts: Vec<_> = view.facts.iter().map(|fact| (fact.what, fact.words.as_str(), fact.tone)).collect();
        let expected = [
            ("Lease", "renewed 900ms ago; it has changed hands 3 times", "good"),
            ("Jobs", "the oldest has been due for 9.0s", "bad"),
            ("Inbox", "2 deliveries wait, the oldest for 200ms", "good"),
        ];
        assert_eq!(facts, expected);
        let alone = nodes_view(&Overview::default(), "here", lens);
        assert_eq!((alone.shared, alone.nodes.len(), alone.facts.len(), alone.nodes[0].word), (false, 1, 1, "active"));
    }
}
