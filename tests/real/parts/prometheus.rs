//! A Prometheus that scrapes one page every second and sends what fires to its Alertmanagers.

use std::fs;
use std::net::SocketAddr;
use std::process::Command;

use anyhow::{Result, ensure};
use serde_json::Value;
use tempfile::TempDir;

use crate::parts::http;
use crate::parts::process::{Process, program};

pub struct Prometheus {
    pub url: String,
    _process: Process,
    _folder: TempDir,
}

impl Prometheus {
    pub async fn start(scraped: SocketAddr, alertmanagers: &[SocketAddr], rules: &str) -> Result<Prometheus> {
        let folder = tempfile::tempdir()?;
        let config = folder.path().join("prometheus.yml");
        fs::write(folder.path().join("rules.yml"), rules)?;
        fs::write(&config, configuration(scraped, alertmanagers))?;
        let binary = program(&["prometheus"])?;
        let build = |port| {
            let mut command = Command::new(&binary);
            command
                .arg(format!("--config.file={}", config.display()))
                .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
                .arg(format!("--web.listen-address=127.0.0.1:{port}"));
            command
        };
        let ready = async |port| http::answers(&format!("http://127.0.0.1:{port}/-/ready")).await;
        let (process, port) = Process::serve("prometheus", folder.path(), build, ready).await?;
        Ok(Prometheus { url: format!("http://127.0.0.1:{port}"), _process: process, _folder: folder })
    }

    /// The result of an instant query: one entry for each series.
    pub async fn query(&self, query: &str) -> Result<Vec<Value>> {
        let answer = http::client().get(format!("{}/api/v1/query", self.url)).query(&[("query", query)]).send().await?;
        let body: Value = answer.json().await?;
        ensure!(body["status"] == "success", "Prometheus answered {body}");
        Ok(body["data"]["result"].as_array().cloned().unwrap_or_default())
    }
}

fn configuration(scraped: SocketAddr, alertmanagers: &[SocketAddr]) -> String {
    let targets = alertmanagers.iter().map(|address| format!("'{address}'")).collect::<Vec<_>>().join(", ");
    format!(
        "global: {{ scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s }}
rule_files: [rules.yml]
alerting: {{ alertmanagers: [ {{ static_configs: [ {{ targets: [{targets}] }} ] }} ] }}
scrape_configs: [ {{ job_name: story, static_configs: [ {{ targets: ['{scraped}'] }} ] }} ]
"
    )
}
