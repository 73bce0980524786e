//! Settings that change while the released binary runs.

use std::fs;

use anyhow::Result;
use serde_json::json;

use crate::parts::http;
use crate::parts::reynard::{Reynard, Setup};
use crate::parts::wait::{seconds, wait_until};
use crate::real;

#[tokio::test]
async fn a_sources_token_is_changed_without_a_restart() -> Result<()> {
    if !real("a_sources_token_is_changed_without_a_restart") {
        return Ok(());
    }
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("token");
    fs::write(&file, "third")?;
    let settings = |token: &str| format!("sources: [ {{ name: prod, token: {token} }} ]\n");
    let reynard = Reynard::start(Setup { settings: &settings("first"), playbooks: &[], environment: &[] }).await?;
    let status = async |token: &str| -> Result<u16> {
        let body = json!({ "version": "4", "receiver": "r", "groupKey": "g", "status": "firing", "alerts": [] });
        let hook = format!("{}/api/v1/webhooks/alertmanager", reynard.url);
        Ok(http::client().post(hook).bearer_auth(token).json(&body).send().await?.status().as_u16())
    };
    let holds = async |token: &str| -> Result<()> {
        wait_until(&format!("the token {token}"), seconds(10), async || Ok((status(token).await? != 401).then_some(()))).await
    };
    holds("first").await?;
    reynard.write("reynard.yaml", &settings("[second, first]"))?;
    holds("second").await?;
    assert_ne!(status("first").await?, 401, "both hold while one is changed for the other");
    reynard.write("reynard.yaml", &settings(&format!("'${{file:{}}}'", file.display())))?;
    holds("third").await?;
    assert_eq!(status("first").await?, 401);
    // A file with a secret is not watched: somebody says that it changed.
    fs::write(&file, "fourth")?;
    reynard.signal("HUP");
    holds("fourth").await?;
    assert_eq!(status("third").await?, 401);
    Ok(())
}
