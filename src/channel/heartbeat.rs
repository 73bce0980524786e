//! Tells a dead man's switch (healthchecks.io, Dead Man's Snitch) that all is well; what is wrong is
//! told by silence. Goes to the one address of the settings and follows nobody from there.

use async_trait::async_trait;
use reqwest::Client;

use crate::channel::http;
use crate::domain::secret::Secret;
use crate::engine::ports::{Delivered, Heart};

#[derive(Debug)]
pub struct Heartbeat {
    client: Client,
    url: Secret,
}

impl Heartbeat {
    /// A TLS provider must be installed by then.
    pub fn new(url: Secret) -> Self {
        Self { client: http::client(), url }
    }
}

#[async_trait]
impl Heart for Heartbeat {
    async fn beat(&self) -> Result<(), String> {
        match http::deliver(self.client.get(self.url.expose())).await {
            Delivered::Sent(_) => Ok(()),
            Delivered::Again { reason, .. } | Delivered::Never(reason) => Err(reason),
        }
    }
}
