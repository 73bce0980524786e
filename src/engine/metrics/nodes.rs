//! What is measured of the nodes that share a database, read whenever Prometheus asks.

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::domain::time::Span;
use crate::engine::nodes::{Overview, Role};

type Seconds = Gauge<f64, AtomicU64>;

/// The numbers of an overview.
#[derive(Default)]
pub(super) struct NodeMetrics {
    nodes: Family<StateLabels, Gauge>,
    epoch: Gauge,
    lease_age: Seconds,
    oldest_due: Seconds,
    inbox: Gauge,
    oldest_in_inbox: Seconds,
}

impl NodeMetrics {
    pub fn register(&self, registry: &mut Registry) {
        registry.register("nodes", "Nodes that share the database, by what they do", self.nodes.clone());
        registry.register("lease_epoch", "How often the lease of the active node has changed hands", self.epoch.clone());
        registry.register("lease_age_seconds", "Since the active node was last heard of", self.lease_age.clone());
        registry.register("oldest_due_seconds", "How long the oldest job has been due that nobody has begun", self.oldest_due.clone());
        registry.register("inbox", "Deliveries taken in by other nodes and not worked yet", self.inbox.clone());
        registry.register("inbox_oldest_seconds", "How long the oldest of them has waited", self.oldest_in_inbox.clone());
    }

    pub fn show(&self, overview: &Overview) {
        for state in ["active", "standing_by", "stopped", "silent"] {
            let count = overview.peers.iter().filter(|peer| self::state(peer, overview) == state).count();
            self.nodes.get_or_create(&StateLabels { state }).set(i64::try_from(count).unwrap_or(i64::MAX));
        }
        let seconds = |span: Option<Span>| span.unwrap_or(Span::ZERO).to_std().as_secs_f64();
        self.epoch.set(overview.epoch.unwrap_or(0));
        self.lease_age.set(seconds(overview.lease_age));
        self.oldest_due.set(seconds(overview.oldest_due));
        self.inbox.set(i64::try_from(overview.inbox).unwrap_or(i64::MAX));
        self.oldest_in_inbox.set(seconds(overview.oldest_in_inbox));
    }
}

fn state(peer: &crate::engine::nodes::Peer, overview: &Overview) -> &'static str {
    match peer.role {
        Role::Stopped => "stopped",
        _ if peer.is_silent() => "silent",
        _ if overview.holder.as_ref() == Some(&peer.name) => "active",
        _ => "standing_by",
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StateLabels {
    state: &'static str,
}
