//! A running server, as verbs speak to it that act in somebody's name: where it is, who says so, and what shows it. Knows no verb.

use std::time::Duration;

use anyhow::Context;
use reqwest::{Client, RequestBuilder, Response, Url};
use serde_json::Value;

#[derive(Debug, clap::Args)]
pub struct Server {
    /// Who says so.
    #[arg(long, env = "USER", default_value = "operator")]
    pub by: String,
    /// One of `tokens` in reynard.yaml, where acts ask for a sign-in.
    #[arg(long, env = "REYNARD_API_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// The server.
    #[arg(long, env = "REYNARD_URL", default_value = "http://127.0.0.1:5001")]
    url: String,
}

impl Server {
    /// Puts a wish; the path is what follows `/api/v1/`, in parts that may hold anything.
    pub async fn post(&self, path: &[&str], wish: &Value) -> anyhow::Result<Response> {
        self.send(client()?.post(self.address(path)?).json(wish)).await
    }

    pub async fn get(&self, path: &[&str]) -> anyhow::Result<Response> {
        self.send(client()?.get(self.address(path)?)).await
    }

    async fn send(&self, request: RequestBuilder) -> anyhow::Result<Response> {
        let request = match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        };
        request.send().await.with_context(|| format!("nobody answers at {}; start one with: reynard serve", self.base()))
    }

    fn base(&self) -> &str {
        self.url.trim_end_matches('/')
    }

    fn address(&self, path: &[&str]) -> anyhow::Result<Url> {
        let base = self.base();
        let mut address = Url::parse(base).with_context(|| format!("{base} is not an address"))?;
        let parts = address.path_segments_mut().ok();
        parts.context("the address has no path")?.pop_if_empty().extend(["api", "v1"]).extend(path);
        Ok(address)
    }
}

fn client() -> anyhow::Result<Client> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    Ok(Client::builder().timeout(Duration::from_secs(10)).no_proxy().build()?)
}
