//! An Alertmanager with one webhook receiver and short waits.

use std::fs;
use std::net::SocketAddr;
use std::process::Command;

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::parts::http;
use crate::parts::process::{Process, program};

pub struct Alertmanager {
    pub address: SocketAddr,
    _process: Process,
    _folder: TempDir,
}

impl Alertmanager {
    pub async fn start(webhook: &str) -> Result<Alertmanager> {
        let folder = tempfile::tempdir()?;
        let config = folder.path().join("alertmanager.yml");
        fs::write(&config, configuration(webhook))?;
        let binary = program(&["prometheus-alertmanager", "alertmanager"])?;
        let build = |port| {
            let mut command = Command::new(&binary);
            command
                .arg(format!("--config.file={}", config.display()))
                .arg(format!("--storage.path={}", folder.path().join("data").display()))
                .arg(format!("--web.listen-address=127.0.0.1:{port}"))
                .arg("--cluster.listen-address=");
            command
        };
        let ready = async |port| http::answers(&format!("http://127.0.0.1:{port}/-/ready")).await;
        let (process, port) = Process::serve("alertmanager", folder.path(), build, ready).await?;
        let address = format!("127.0.0.1:{port}").parse().context("an address")?;
        Ok(Alertmanager { address, _process: process, _folder: folder })
    }
}

fn configuration(webhook: &str) -> String {
    format!(
        "route: {{ receiver: reynard, group_by: [alertname, service], group_wait: 1s, group_interval: 2s, repeat_interval: 1h }}
receivers: [ {{ name: reynard, webhook_configs: [ {{ url: '{webhook}', send_resolved: true }} ] }} ]
"
    )
}
