//! A Prometheus that scrapes one page every second and sends what fires to its Alertmanagers.

use std::fs;
use std::net::SocketAddr;
use std::process::Command;

use anyhow::{Result, ensure};
use serde_json::Value;
use tempfile::TempDir;

use crate::parts::http;
use crate::parts::process::{Process, program};
use crate::parts::wait::{seconds, wait_until};

pub struct Prometheus {
    pub url: String,
    port: u16,
    process: Process,
    folder: TempDir,
}

impl Prometheus {
    pub async fn start(scraped: SocketAddr, alertmanagers: &[SocketAddr], rules: &str) -> Result<Prometheus> {
        let folder = tempfile::tempdir()?;
        let config = folder.path().join("prometheus.yml");
        fs::write(folder.path().join("rules.yml"), rules)?;
        fs::write(&config, configuration(scraped, alertmanagers))?;
        let ready = async |port| http::answers(&format!("http://127.0.0.1:{port}/-/ready")).await;
        let (process, port) = Process::serve("prometheus", folder.path(), builder(&folder)?, ready).await?;
        Ok(Prometheus { url: format!("http://127.0.0.1:{port}"), port, process, folder })
    }

    pub fn stops(&mut self) {
        self.process.end("TERM");
    }

    /// At the same address, with what it had stored.
    pub async fn starts_again(&mut self) -> Result<()> {
        self.process = Process::start("prometheus", self.folder.path(), &mut builder(&self.folder)?(self.port))?;
        let ready = async || Ok(http::answers(&format!("{}/-/ready", self.url)).await.unwrap_or(false).then_some(()));
        wait_until("prometheus to start again", seconds(30), ready).await
    }

    /// The result of an instant query: one entry for each series.
    pub async fn query(&self, query: &str) -> Result<Vec<Value>> {
        let answer = http::client().get(format!("{}/api/v1/query", self.url)).query(&[("query", query)]).send().await?;
        let body: Value = answer.json().await?;
        ensure!(body["status"] == "success", "Prometheus answered {body}");
        Ok(body["data"]["result"].as_array().cloned().unwrap_or_default())
    }
}

fn builder(folder: &TempDir) -> Result<impl Fn(u16) -> Command> {
    let (binary, folder) = (program(&["prometheus"])?, folder.path().to_owned());
    Ok(move |port| {
        let mut command = Command::new(&binary);
        command
            .arg(format!("--config.file={}", folder.join("prometheus.yml").display()))
            .arg(format!("--storage.tsdb.path={}", folder.join("data").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"));
        command
    })
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
