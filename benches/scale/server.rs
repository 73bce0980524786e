//! The binary in a folder of its own, spoken to over HTTP only.

use std::fs::{self, File};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::sink::Sink;

/// The priorities of the incidents that all others are copies of, by what makes them so.
pub const TEMPLATES: [(&str, &str); 3] = [("ServiceDown", "critical"), ("Busy", "critical"), ("Slow", "warning")];

/// Things that automation may change.
pub const TARGETS: u32 = 100;

pub struct Server {
    url: String,
    child: Child,
    pub started: Instant,
    pub ready_after: Duration,
    client: reqwest::Client,
    _folder: TempDir,
}

impl Server {
    pub async fn start(database: &str, sink: &Sink, targets: u32) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        fs::create_dir(folder.path().join("playbooks"))?;
        // As many as a house of this size has. No alert here names one; each has to be asked.
        let target = |n: u32| format!("svc-{n:02}: {{ kind: http, url: 'http://10.0.1.{n}:8080', service: svc-{n:02} }}");
        let targets = (0..targets).map(target).collect::<Vec<_>>().join(", ");
        let settings = format!(
            "channels: {{ pager: {{ kind: webhook, url: '{}' }} }}
targets: {{ {} }}
escalation: {{ policies: {{ default: {{ P1: {{ respond_within: 1h, levels: [ {{ notify: [pager], after: 0s }}, {{ notify: [pager], after: 30s }} ] }} }} }} }}
",
            sink.url, targets
        );
        fs::write(folder.path().join("reynard.yaml"), settings)?;
        let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
        let log = File::create(folder.path().join("log"))?;
        let started = Instant::now();
        let binary = std::env::var_os("REYNARD_BINARY").unwrap_or_else(|| env!("CARGO_BIN_EXE_reynard").into());
        let child = Command::new(binary)
            .args(["serve", "--listen", &format!("127.0.0.1:{port}"), "--database-url", database])
            .env("REYNARD_LOG", "reynard=error")
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(60)).build()?;
        let mut server =
            Self { url: format!("http://127.0.0.1:{port}"), child, started, ready_after: Duration::ZERO, client, _folder: folder };
        server.until_ready().await?;
        server.ready_after = started.elapsed();
        Ok(server)
    }

    async fn until_ready(&mut self) -> Result<()> {
        while self.started.elapsed() < Duration::from_secs(120) {
            ensure!(self.child.try_wait()?.is_none(), "it ended: {}", fs::read_to_string(self._folder.path().join("log"))?);
            let answer = self.client.get(format!("{}/ready", self.url)).send().await;
            if answer.is_ok_and(|answer| answer.status().is_success()) {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        anyhow::bail!("not ready within two minutes")
    }

    /// One incident of each kind, with ten alerts.
    pub async fn opens_templates(&self) -> Result<()> {
        for (name, severity) in TEMPLATES {
            let alerts: Vec<Value> = (0..10).map(|instance| alert(name, severity, "svc-00", instance)).collect();
            self.post(&json!({"version": "4", "receiver": "r", "groupKey": name, "alerts": alerts})).await?;
        }
        // What it says of itself at first is over when the copies are made.
        tokio::time::sleep(Duration::from_secs(1)).await;
        Ok(())
    }

    /// How long a delivery took.
    pub async fn posts(&self, service: &str) -> Result<Duration> {
        let body = json!({"version": "4", "receiver": "r", "groupKey": service, "alerts": [alert("Load", "info", service, 0)]});
        let began = Instant::now();
        self.post(&body).await?;
        Ok(began.elapsed())
    }

    async fn post(&self, body: &Value) -> Result<()> {
        let answer = self.client.post(format!("{}/", self.url)).json(body).send().await?;
        let (status, text) = (answer.status(), answer.text().await?);
        ensure!(status.is_success(), "{status}: {text}");
        Ok(())
    }

    /// Rows that retention has let go, as the metrics tell.
    pub async fn let_go(&self) -> Result<u64> {
        let text = self.client.get(format!("{}/metrics", self.url)).send().await?.text().await?;
        let lines = text.lines().filter(|line| line.starts_with("reynard_let_go_total"));
        Ok(lines.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum())
    }

    /// How long each look at an address took, the quickest first.
    pub async fn looks(&self, path: &str, times: usize) -> Result<Vec<Duration>> {
        let mut took = Vec::new();
        for _ in 0..times {
            let began = Instant::now();
            let answer = self.client.get(format!("{}{path}", self.url)).send().await?;
            ensure!(answer.status().is_success(), "{path}: {}", answer.status());
            answer.bytes().await?;
            took.push(began.elapsed());
        }
        took.sort();
        Ok(took)
    }

    /// In MiB; a name of `/proc/PID/status`.
    pub fn memory(&mut self, name: &str) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find(|line| line.starts_with(name)).context("it is told")?;
        let kib: u64 = line.split_whitespace().nth(1).context("a number")?.parse()?;
        Ok(kib / 1024)
    }

    pub fn ends(mut self) {
        let _ = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        let _ = self.child.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn alert(name: &str, severity: &str, service: &str, instance: u32) -> Value {
    json!({
        "status": "firing",
        "labels": {"alertname": name, "severity": severity, "service": service, "instance": format!("10.0.0.{instance}:9100"), "team": "shop"},
        "annotations": {"summary": format!("{name} on {service}"), "runbook": "https://wiki.example.com/runbooks/1"},
        "startsAt": "2026-09-21T14:00:00Z", "endsAt": "0001-01-01T00:00:00Z", "fingerprint": format!("{instance:016x}"),
    })
}
