//! Names of things: incidents, runs, deliveries. Knows no randomness; fresh ids are handed in.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;
            fn from_str(text: &str) -> Result<Self, uuid::Error> {
                Uuid::parse_str(text).map(Self)
            }
        }
    };
}

id!(
    /// An incident (UUIDv7: it sorts by the time it opened).
    IncidentId
);
id!(
    /// One execution of a playbook.
    RunId
);
id!(
    /// One webhook call received.
    DeliveryId
);

impl RunId {
    /// The id of an incident's `ordinal`-th run: derived, so that deciding twice names it alike.
    pub fn derive(incident: IncidentId, ordinal: u32) -> Self {
        let digest = Sha256::new().chain_update(incident.0.as_bytes()).chain_update(ordinal.to_be_bytes()).finalize();
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&digest[..16]);
        Self(uuid::Builder::from_custom_bytes(bytes).into_uuid())
    }
}
