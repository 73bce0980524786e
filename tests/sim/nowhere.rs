//! Pages that nobody looks at: the stories are judged from the disk and the world.

use async_trait::async_trait;
use reynard::domain::id::{DeliveryId, IncidentId, RunId};
use reynard::domain::incident::Incident;
use reynard::domain::time::{Span, Timestamp};
use reynard::domain::timeline::Entry;
use reynard::engine::nodes::{Overview, Peer, Role};
use reynard::engine::store::{AlertRow, Change, DeliveryReport, Family, IncidentName, IncidentQuery, Kin, Reads, StoreError, Totals};

pub struct Nowhere;

macro_rules! nowhere {
    ($($verb:ident($($name:ident: $kind:ty),*) -> $answer:ty;)*) => {
        #[async_trait]
        impl Reads for Nowhere {
            $(async fn $verb(&self, $($name: $kind),*) -> Result<$answer, StoreError> {
                $(let _ = $name;)*
                Err(StoreError::Unavailable("nowhere".to_owned()))
            })*

            /// Two that live, whatever is true: what becomes of the wish is the engine's affair.
            async fn overview(&self, _now: Timestamp) -> Result<Overview, StoreError> {
                let peers = (0..2).map(|node| Peer {
                    name: format!("node {node}"),
                    url: None,
                    version: String::new(),
                    role: Role::StandingBy,
                    since: Timestamp::default(),
                    seen: Span::ZERO,
                });
                Ok(Overview { peers: peers.collect(), epoch: Some(1), ..Overview::default() })
            }
        }
    };
}

nowhere! {
    incidents(query: &IncidentQuery) -> Vec<Incident>;
    incident(name: IncidentName) -> Option<Incident>;
    timeline(id: IncidentId, after: u64, limit: u32) -> Vec<Entry>;
    timeline_backwards(id: IncidentId, before: u64, limit: u32) -> Vec<Entry>;
    alerts(id: IncidentId, limit: u32) -> Vec<AlertRow>;
    incident_of_run(run: RunId) -> Option<IncidentId>;
    delivery(id: DeliveryId) -> Option<DeliveryReport>;
    changes_since(position: i64, limit: u32) -> Vec<Change>;
    kin(families: &[Family], limit: u32) -> Vec<Kin>;
    totals() -> Totals;
}
