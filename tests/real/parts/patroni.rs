//! Three PostgreSQL servers under Patroni with an etcd, strictly synchronous, as an organisation runs them: one is primary, each
//! commit is on two of them, and whichever dies, another takes over. As nobody when we are root.

use std::fs;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::parts::http;
use crate::parts::postgres::{Account, account, binaries, open_to_pass, run_as};
use crate::parts::process::{Process, free_port, program};
use crate::parts::wait::{seconds, wait_until};

const STARTS_WITHIN: u64 = 60;

pub struct Patroni {
    nodes: Vec<Node>,
    _etcd: Process,
    folder: TempDir,
}

struct Node {
    name: String,
    /// None while the machine is gone.
    process: Option<Process>,
    port: u16,
    api: u16,
    home: PathBuf,
}

impl Patroni {
    pub async fn start() -> Result<Patroni> {
        let folder = tempfile::tempdir()?;
        let account = account()?;
        open_to_pass(folder.path(), account)?;
        let home = home(folder.path(), "etcd", account)?;
        let build = |port: u16| {
            // Its peers' port is nobody's: there are none.
            let (client, peer) = (format!("http://127.0.0.1:{port}"), format!("http://127.0.0.1:{}", free_port().unwrap_or(port)));
            let mut command = run_as(Path::new("etcd"), account, &home);
            command.arg("--data-dir").arg(home.join("data")).args(["--listen-client-urls", &client, "--advertise-client-urls", &client]);
            command.args([
                "--listen-peer-urls",
                &peer,
                "--initial-advertise-peer-urls",
                &peer,
                "--initial-cluster",
                &format!("default={peer}"),
            ]);
            command
        };
        program(&["etcd"])?;
        let healthy = async |port| http::answers(&format!("http://127.0.0.1:{port}/health")).await;
        let (etcd, port) = Process::serve("etcd", folder.path(), build, healthy).await?;
        let mut cluster = Patroni { nodes: Vec::new(), _etcd: etcd, folder };
        for number in 1..=3 {
            let node = Node::prepare(number, port, cluster.folder.path(), account)?;
            cluster.nodes.push(node);
            cluster.comes_back(&format!("db{number}"))?;
        }
        cluster.until_whole(STARTS_WITHIN).await?;
        Ok(cluster)
    }

    /// All three servers in one address.
    pub fn url(&self) -> String {
        let hosts: Vec<String> = self.nodes.iter().map(|node| format!("127.0.0.1:{}", node.port)).collect();
        format!("postgres://admin@{}/postgres?sslmode=disable", hosts.join(","))
    }

    /// Who is primary, by its own word.
    pub async fn primary(&self) -> Option<String> {
        for node in &self.nodes {
            if node.is_primary().await {
                return Some(node.name.clone());
            }
        }
        None
    }

    /// Who a commit waits for.
    pub async fn synchronous(&self) -> Option<String> {
        for node in self.nodes.iter().filter(|node| node.process.is_some()) {
            if http::answers(&format!("http://127.0.0.1:{}/sync", node.api)).await.unwrap_or(false) {
                return Some(node.name.clone());
            }
        }
        None
    }

    pub async fn until_primary_is_not(&self, former: &str, within: u64) -> Result<String> {
        let another = async || Ok(self.primary().await.filter(|primary| primary != former));
        wait_until(&format!("another primary than {former}"), seconds(within), another).await
    }

    /// Until there is a primary with a synchronous standby, and all three follow.
    pub async fn until_whole(&self, within: u64) -> Result<()> {
        wait_until("the cluster to be whole", seconds(within), async || {
            for node in &self.nodes {
                let told = node.told().await?;
                if told["state"] != "running" {
                    return Ok(None);
                }
                let streaming = told["replication"].as_array().map_or(0, Vec::len);
                if ["master", "primary"].contains(&told["role"].as_str().unwrap_or_default()) && streaming < self.nodes.len() - 1 {
                    return Ok(None);
                }
            }
            Ok((self.primary().await.is_some() && self.synchronous().await.is_some()).then_some(()))
        })
        .await
    }

    /// Its PostgreSQL is killed; Patroni beside it lives.
    pub fn kills_database_of(&self, name: &str) -> Result<()> {
        self.node(name)?.signal_database("KILL")
    }

    /// The whole machine is gone at once.
    pub fn loses(&mut self, name: &str) -> Result<()> {
        let node = self.nodes.iter_mut().find(|node| node.name == name).context("a node of that name")?;
        let process = node.process.take().context("it is there")?;
        process.signal("KILL");
        node.signal_database("KILL")
    }

    pub fn comes_back(&mut self, name: &str) -> Result<()> {
        let account = account()?;
        let folder = self.folder.path().to_owned();
        let node = self.nodes.iter_mut().find(|node| node.name == name).context("a node of that name")?;
        let mut command = run_as(Path::new("patroni"), account, &node.home);
        command.arg("patroni.yml").env("HOME", &node.home);
        node.process = Some(Process::start(name, &folder, &mut command)?);
        Ok(())
    }

    /// In order, as before maintenance.
    pub async fn switches_over(&self, from: &str) -> Result<()> {
        let candidate = self.synchronous().await.context("a synchronous standby")?;
        let api = self.node(from)?.api;
        let wish = json!({"leader": from, "candidate": candidate});
        let answer = http::client().post(format!("http://127.0.0.1:{api}/switchover")).json(&wish).send().await?;
        let (status, text) = (answer.status(), answer.text().await?);
        ensure!(status.is_success(), "switchover: {status}: {text}");
        Ok(())
    }

    fn node(&self, name: &str) -> Result<&Node> {
        self.nodes.iter().find(|node| node.name == name).context("a node of that name")
    }
}

impl Drop for Patroni {
    fn drop(&mut self) {
        for node in &mut self.nodes {
            // In order: Patroni ends its PostgreSQL.
            drop(node.process.take());
            let _ = node.signal_database("QUIT");
        }
    }
}

impl Node {
    fn prepare(number: u16, etcd: u16, folder: &Path, account: Option<Account>) -> Result<Node> {
        let name = format!("db{number}");
        let home = home(folder, &name, account)?;
        let (port, api) = (free_port()?, free_port()?);
        let node = Node { name, process: None, port, api, home };
        let file = node.home.join("patroni.yml");
        fs::write(&file, node.settings(etcd, &binaries()?))?;
        if let Some(Account { user, group }) = account {
            chown(&file, Some(user), Some(group))?;
        }
        Ok(node)
    }

    /// A primary that died is not waited for, so that the pause is what Patroni needs to notice it.
    fn settings(&self, etcd: u16, programs: &Path) -> String {
        let Node { name, port, api, home, .. } = self;
        let (home, programs) = (home.display(), programs.display());
        format!(
            r#"
scope: reynard
name: {name}
restapi: {{ listen: "127.0.0.1:{api}", connect_address: "127.0.0.1:{api}" }}
etcd3: {{ hosts: ["127.0.0.1:{etcd}"] }}
bootstrap:
  dcs:
    ttl: 20
    loop_wait: 1
    retry_timeout: 3
    master_start_timeout: 0
    synchronous_mode: true
    synchronous_mode_strict: true
    postgresql: {{ use_pg_rewind: true, parameters: {{ max_connections: 80, wal_keep_size: 128MB }} }}
  initdb: [ {{ encoding: UTF8 }}, {{ locale: C }}, {{ auth: trust }}, no-sync, data-checksums ]
postgresql:
  listen: "127.0.0.1:{port}"
  connect_address: "127.0.0.1:{port}"
  data_dir: {home}/data
  bin_dir: {programs}
  pgpass: {home}/pgpass
  authentication: {{ superuser: {{ username: admin }}, replication: {{ username: replicator }}, rewind: {{ username: admin }} }}
  parameters: {{ unix_socket_directories: "" }}
  pg_hba: [ "host all all 127.0.0.1/32 trust", "host replication all 127.0.0.1/32 trust" ]
"#
        )
    }

    async fn told(&self) -> Result<Value> {
        Ok(http::client().get(format!("http://127.0.0.1:{}/patroni", self.api)).send().await?.json().await?)
    }

    async fn is_primary(&self) -> bool {
        self.process.is_some() && http::answers(&format!("http://127.0.0.1:{}/primary", self.api)).await.unwrap_or(false)
    }

    /// To its PostgreSQL's first process, by the id that it has written down.
    fn signal_database(&self, signal: &str) -> Result<()> {
        let Ok(text) = fs::read_to_string(self.home.join("data/postmaster.pid")) else { return Ok(()) };
        let id: u32 = text.lines().next().context("an id")?.parse()?;
        let told = fs::read_link(format!("/proc/{id}/cwd")).unwrap_or_default();
        // An id that was given away again is somebody else's.
        if told == self.home.join("data") {
            std::process::Command::new("sh").args(["-c", "kill -s \"$0\" \"$1\"", signal, &id.to_string()]).status()?;
        }
        Ok(())
    }
}

fn home(folder: &Path, name: &str, account: Option<Account>) -> Result<PathBuf> {
    let home = folder.join(name);
    fs::create_dir(&home)?;
    if let Some(Account { user, group }) = account {
        chown(&home, Some(user), Some(group))?;
    }
    Ok(home)
}
