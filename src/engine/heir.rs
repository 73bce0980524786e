//! The heir: the node that somebody asks to be active next, who may be that, and how the wish reaches whoever holds the lease. Knows no
//! lease and no loop.

use std::sync::Arc;

use tokio::sync::watch;

use crate::engine::nodes::{Overview, Role};

/// The node that is to be active next, until the work is given to it. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Heir(Arc<watch::Sender<Option<String>>>);

impl Default for Heir {
    fn default() -> Self {
        Self(Arc::new(watch::channel(None).0))
    }
}

impl Heir {
    /// Makes it the one; whoever was wished for before is not any more.
    pub fn wish(&self, name: &str) {
        self.0.send_replace(Some(name.to_owned()));
    }

    /// Returns once there is one, and forgets it: a wish is granted once.
    pub async fn named(&self) -> String {
        let mut wish = self.0.subscribe();
        // The sender is ours, so that it does not end.
        let _ = wish.wait_for(Option::is_some).await;
        match self.0.send_replace(None) {
            Some(name) => name,
            None => std::future::pending().await,
        }
    }

    /// What was wished of a node that is active no more is no wish to the next one.
    pub fn forget(&self) {
        self.0.send_replace(None);
    }
}

/// Why it may not, if so.
pub(super) fn may_have_it(overview: &Overview, to: &str, active: &str) -> Result<(), String> {
    if overview.epoch.is_none() {
        return Err("there is one node alone; several share a PostgreSQL".to_owned());
    }
    if to == active {
        return Err(format!("{to} is active already"));
    }
    match overview.peer(to) {
        None => Err(format!("there is no node {to}; the Nodes page and GET /api/v1/nodes have their names")),
        Some(peer) if peer.role == Role::Stopped => Err(format!("{to} was stopped; start it first")),
        Some(peer) if peer.is_silent() => Err(format!("{to} has not been heard of for {}; it would not take over", peer.seen)),
        Some(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::{Span, Timestamp};
    use crate::engine::nodes::Peer;

    #[test]
    fn only_a_node_that_lives_may_have_the_work() {
        let peer = |name: &str, role, seen| Peer {
            name: name.to_owned(),
            url: None,
            version: "0.1.0".to_owned(),
            role,
            since: Timestamp(0),
            seen: Span::seconds(seen),
        };
        let peers =
            vec![peer("a", Role::Active, 1), peer("b", Role::StandingBy, 1), peer("c", Role::StandingBy, 11), peer("d", Role::Stopped, 1)];
        let overview = Overview { peers, epoch: Some(7), ..Overview::default() };
        for (to, no) in [("b", None), ("a", Some("active already")), ("c", Some("11s")), ("d", Some("start it")), ("e", Some("no node e"))]
        {
            let said = may_have_it(&overview, to, "a").err();
            assert_eq!(said.is_some(), no.is_some(), "{to}: {said:?}");
            assert!(said.unwrap_or_default().contains(no.unwrap_or_default()), "{to}");
        }
        assert!(may_have_it(&Overview::default(), "b", "a").is_err_and(|no| no.contains("alone")));
    }

    #[tokio::test]
    async fn a_wish_is_granted_once() {
        let heir = Heir::default();
        heir.wish("b");
        heir.wish("c");
        assert_eq!(heir.named().await, "c");
        heir.wish("d");
        heir.forget();
        let again = tokio::time::timeout(std::time::Duration::from_millis(1), heir.named()).await;
        assert!(again.is_err(), "{again:?}");
    }
}
