//! Reynard as released, in a folder of its own, spoken to over HTTP only.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::parts::http;
use crate::parts::process::Process;
use crate::parts::wait::{seconds, wait_until};

pub struct Reynard {
    pub url: String,
    pub process: Process,
    port: u16,
    environment: Vec<(String, String)>,
    folder: TempDir,
}

/// What a story gives it: the text of `reynard.yaml`, playbooks by slug, environment variables for the secrets.
#[derive(Clone, Copy)]
pub struct Setup<'a> {
    pub settings: &'a str,
    pub playbooks: &'a [(&'a str, &'a str)],
    pub environment: &'a [(&'a str, &'a str)],
}

impl Reynard {
    pub async fn start(setup: Setup<'_>) -> Result<Reynard> {
        Self::until(setup, "ready").await
    }

    /// A node that need not be the active one.
    pub async fn node(setup: Setup<'_>) -> Result<Reynard> {
        Self::until(setup, "startup").await
    }

    async fn until(setup: Setup<'_>, well: &str) -> Result<Reynard> {
        let folder = tempfile::tempdir()?;
        fs::write(folder.path().join("reynard.yaml"), setup.settings)?;
        fs::create_dir(folder.path().join("playbooks"))?;
        for (slug, text) in setup.playbooks {
            fs::write(folder.path().join(format!("playbooks/{slug}.yaml")), text)?;
        }
        let environment: Vec<_> = setup.environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let build = |port| serve(&folder, &environment, port);
        let ready = async |port| http::answers(&format!("http://127.0.0.1:{port}/{well}")).await;
        let (process, port) = Process::serve("reynard", folder.path(), build, ready).await?;
        Ok(Reynard { url: format!("http://127.0.0.1:{port}"), process, port, environment, folder })
    }

    /// Gone from one moment to the next, as by a power cut.
    pub fn dies(&mut self) {
        self.process.end("KILL");
    }

    /// A new life in the same folder, at the same address.
    pub async fn starts_again(&mut self) -> Result<()> {
        let process = Process::start("reynard", self.folder.path(), &mut serve(&self.folder, &self.environment, self.port))?;
        let ready = async |port| http::answers(&format!("http://127.0.0.1:{port}/ready")).await;
        self.process = process.until_ready(self.port, &ready).await?;
        Ok(())
    }

    pub async fn is_ready(&self) -> bool {
        http::answers(&format!("{}/ready", self.url)).await.unwrap_or(false)
    }

    /// Whether it is the node that does the work.
    pub async fn is_active(&self) -> bool {
        http::answers(&format!("{}/active", self.url)).await.unwrap_or(false)
    }

    /// Another command of the same binary, in its folder.
    pub async fn command(&self, args: &[&str]) -> Result<std::process::Output> {
        let mut command = tokio::process::Command::new(binary());
        command.current_dir(self.folder.path()).args(args).env_remove("REYNARD_DATABASE_URL").env_remove("REYNARD_CONFIG");
        Ok(command.output().await?)
    }

    /// A file of its folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file of its folder anew.
    pub fn write(&self, path: &str, text: &str) -> Result<()> {
        fs::write(self.folder.path().join(path), text).with_context(|| format!("write {path}"))
    }

    pub fn signal(&self, name: &str) {
        self.process.signal(name);
    }

    /// From here on none of its files takes a write any more, as when a disk is full; or all of them do again.
    pub fn fills_its_disk(&self, full: bool) -> Result<()> {
        let id = Pid::from_raw(self.process.id().try_into()?);
        let most = getrlimit(Resource::Fsize).maximum;
        prlimit(id, Resource::Fsize, Rlimit { current: if full { Some(0) } else { most }, maximum: most })?;
        Ok(())
    }

    pub async fn get(&self, path: &str) -> Result<Value> {
        let answer = http::client().get(format!("{}{path}", self.url)).send().await?;
        let (status, text) = (answer.status(), answer.text().await?);
        ensure!(status.is_success(), "GET {path}: {status}: {text}");
        serde_json::from_str(&text).with_context(|| format!("GET {path}: {text}"))
    }

    pub async fn text(&self, path: &str) -> Result<String> {
        Ok(http::client().get(format!("{}{path}", self.url)).send().await?.error_for_status()?.text().await?)
    }

    pub async fn post(&self, path: &str) -> Result<()> {
        self.asks(path, &json!({})).await.map(drop)
    }

    /// Has something done, as a program does.
    pub async fn asks(&self, path: &str, wish: &Value) -> Result<Value> {
        let answer = http::client().post(format!("{}{path}", self.url)).json(wish).send().await?;
        let (status, text) = (answer.status(), answer.text().await?);
        ensure!(status.is_success(), "POST {path}: {status}: {text}");
        serde_json::from_str(&text).with_context(|| format!("POST {path}: {text}"))
    }

    /// Takes a delivery.
    pub async fn hears(&self, delivery: &Value) -> Result<()> {
        self.asks("/", delivery).await.map(drop)
    }

    /// A verb of the command line that speaks to this server; whether it went well, and what it said.
    pub async fn asked_to(&self, args: &[&str]) -> Result<(bool, String)> {
        let said = tokio::process::Command::new(binary()).args(args).args(["--url", &self.url]).output().await?;
        Ok((said.status.success(), String::from_utf8_lossy(&[said.stdout, said.stderr].concat()).into_owned()))
    }

    /// Takes a file of its folder away.
    pub fn remove(&self, path: &str) -> Result<()> {
        fs::remove_file(self.folder.path().join(path)).with_context(|| format!("remove {path}"))
    }

    /// Sends a sample alert the way a person tries it out.
    pub async fn fire(&self, sample: &str) -> Result<()> {
        let said = tokio::process::Command::new(binary()).args(["fire", sample, "--url", &self.url]).output().await?;
        ensure!(said.status.success(), "fire {sample}: {}", String::from_utf8_lossy(&[said.stdout, said.stderr].concat()));
        Ok(())
    }

    /// The newest incident, as soon as there is one.
    pub async fn incident(&self) -> Result<Option<Value>> {
        Ok(self.get("/api/v1/incidents").await?["items"].as_array().and_then(|items| items.first()).cloned())
    }

    /// The open or ended incident of this service, once there is one and it is as wanted.
    pub async fn incident_of(&self, service: &str, what: &str, is: impl Fn(&Value) -> bool) -> Result<Value> {
        let path = format!("/api/v1/incidents?status=all&service={service}");
        wait_until(&format!("the incident of {service}: {what}"), seconds(20), async || {
            let newest = self.get(&path).await?["items"][0].clone();
            ensure!(!newest.is_null() && is(&newest), "it is {newest:#}");
            Ok(Some(newest))
        })
        .await
    }

    /// The entry of the incident's timeline that says this, once there is one.
    pub async fn tells(&self, incident: &Value, words: &str) -> Result<Value> {
        let id = incident["id"].as_str().context("an incident has an id")?;
        wait_until(&format!("\"{words}\" on the timeline"), seconds(20), async || {
            let entries = self.timeline(id).await?;
            let said = |entry: &&Value| entry["sentence"].as_str().is_some_and(|sentence| sentence.contains(words));
            let sentences = || entries.iter().map(|entry| entry["sentence"].to_string()).collect::<Vec<_>>().join("\n");
            Ok(Some(entries.iter().find(said).with_context(sentences)?.clone()))
        })
        .await
    }

    /// A step of the incident's last run, as the API has it.
    pub async fn step(&self, incident: &Value, step: &str) -> Result<Value> {
        let id = incident["id"].as_str().context("an incident has an id")?;
        let runs = self.get(&format!("/api/v1/incidents/{id}/runs")).await?;
        let run = runs["items"].as_array().and_then(|runs| runs.last()).context("it has a run")?;
        let found = run["steps"].as_array().into_iter().flatten().find(|known| known["id"] == step);
        found.cloned().with_context(|| format!("no step {step} in {run:#}"))
    }

    pub async fn timeline(&self, incident: &str) -> Result<Vec<Value>> {
        let answer = self.get(&format!("/api/v1/incidents/{incident}/timeline")).await?;
        answer["items"].as_array().or(answer.as_array()).cloned().context("a timeline is a list")
    }
}

fn serve(folder: &TempDir, environment: &[(String, String)], port: u16) -> Command {
    // A write that its disk has no room for is an error then, and no signal that ends it.
    let mut command = Command::new("sh");
    command.args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""]).arg(binary());
    command.current_dir(folder.path()).envs(environment.iter().cloned());
    command.args(["serve", "--config", "reynard.yaml", "--listen", &format!("127.0.0.1:{port}")]);
    command
}

/// The line that gives somebody a password, as `reynard password` makes it.
pub async fn password_line(password: &str) -> Result<String> {
    let piped = std::process::Stdio::piped;
    let mut child = tokio::process::Command::new(binary()).arg("password").stdin(piped()).stdout(piped()).stderr(piped()).spawn()?;
    let mut stdin = child.stdin.take().context("a pipe")?;
    tokio::io::AsyncWriteExt::write_all(&mut stdin, format!("{password}\n").as_bytes()).await?;
    drop(stdin);
    let said = child.wait_with_output().await?;
    ensure!(said.status.success(), "password: {}", String::from_utf8_lossy(&said.stderr));
    Ok(String::from_utf8(said.stdout)?.trim().to_owned())
}

/// The binary under test: the released one where `tests/run` built it, else the one of this test build.
fn binary() -> PathBuf {
    std::env::var_os("REYNARD_BINARY").unwrap_or_else(|| env!("CARGO_BIN_EXE_reynard").into()).into()
}
