//! An Alertmanager with one webhook receiver and short waits, alone or as one of a pair.

use std::fs;
use std::net::SocketAddr;
use std::process::Command;

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::parts::http;
use crate::parts::process::{Process, free_port, program};

pub struct Alertmanager {
    pub address: SocketAddr,
    process: Process,
    _folder: TempDir,
}

impl Alertmanager {
    pub async fn start(webhook: &str) -> Result<Alertmanager> {
        Self::start_with(webhook, &["--cluster.listen-address=".to_owned()]).await
    }

    /// Two that know each other and do not hear in time whether the other has sent already, as when the wire between them is slow:
    /// they meet, and then gossip once an hour. So both tell everything, however busy the machine is.
    pub async fn start_pair(webhook: &str) -> Result<(Alertmanager, Alertmanager)> {
        let (one, two) = (free_port()?, free_port()?);
        let flags = |own: u16, peer: u16| {
            let gossip = format!("--cluster.listen-address=127.0.0.1:{own}");
            let advertise = format!("--cluster.advertise-address=127.0.0.1:{own}");
            let slow = [
                "--cluster.gossip-interval=1h",
                "--cluster.pushpull-interval=1h",
                "--cluster.settle-timeout=1s",
                "--cluster.peer-timeout=0s",
            ];
            [gossip, advertise, format!("--cluster.peer=127.0.0.1:{peer}")].into_iter().chain(slow.map(str::to_owned)).collect::<Vec<_>>()
        };
        let (first, second) = (flags(one, two), flags(two, one));
        let (one, two) = tokio::join!(Self::start_with(webhook, &first), Self::start_with(webhook, &second));
        Ok((one?, two?))
    }

    /// How many members its cluster has, itself among them.
    pub async fn members(&self) -> Result<usize> {
        let answer = http::client().get(format!("http://{}/api/v2/status", self.address)).send().await?;
        let status: serde_json::Value = answer.json().await?;
        Ok(status["cluster"]["peers"].as_array().map_or(0, Vec::len))
    }

    /// It is gone from one moment to the next.
    pub fn dies(&mut self) {
        self.process.end("KILL");
    }

    async fn start_with(webhook: &str, cluster: &[String]) -> Result<Alertmanager> {
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
                .args(cluster);
            command
        };
        let ready = async |port| http::answers(&format!("http://127.0.0.1:{port}/-/ready")).await;
        let (process, port) = Process::serve("alertmanager", folder.path(), build, ready).await?;
        let address = format!("127.0.0.1:{port}").parse().context("an address")?;
        Ok(Alertmanager { address, process, _folder: folder })
    }
}

fn configuration(webhook: &str) -> String {
    format!(
        "route: {{ receiver: reynard, group_by: [alertname, service], group_wait: 1s, group_interval: 2s, repeat_interval: 1h }}
receivers: [ {{ name: reynard, webhook_configs: [ {{ url: '{webhook}', send_resolved: true }} ] }} ]
"
    )
}
