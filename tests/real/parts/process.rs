//! A server's process: started with its output in a file, ended by its id; knows nothing of what it serves.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

const TRIES: usize = 3;
const START_WITHIN: Duration = Duration::from_secs(30);
const END_WITHIN: Duration = Duration::from_secs(5);

pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    pub fn start(name: &str, folder: &Path, command: &mut Command) -> Result<Process> {
        let log = folder.join(format!("{name}.log"));
        let output = File::create(&log)?;
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        let child = command.spawn().with_context(|| format!("start {name}: {command:?}"))?;
        register(child.id())?;
        Ok(Process { name: name.to_owned(), child, log })
    }

    /// Starts a server on a free port and waits until it is ready. A port that somebody else took meanwhile is not a fault.
    pub async fn serve(
        name: &str,
        folder: &Path,
        build: impl Fn(u16) -> Command,
        ready: impl AsyncFn(u16) -> Result<bool>,
    ) -> Result<(Process, u16)> {
        for _ in 1..TRIES {
            let port = free_port()?;
            match Process::start(name, folder, &mut build(port))?.until_ready(port, &ready).await {
                Ok(process) => return Ok((process, port)),
                Err(error) if error.to_string().to_lowercase().contains("address already in use") => {}
                Err(error) => return Err(error),
            }
        }
        let port = free_port()?;
        let process = Process::start(name, folder, &mut build(port))?.until_ready(port, &ready).await?;
        Ok((process, port))
    }

    pub async fn until_ready(mut self, port: u16, ready: &impl AsyncFn(u16) -> Result<bool>) -> Result<Process> {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait()? {
                bail!("{} ended at its start with {status}; it said:\n{}", self.name, self.said());
            }
            if ready(port).await.unwrap_or(false) {
                return Ok(self);
            }
            if begun.elapsed() > START_WITHIN {
                bail!("{} was not ready after {START_WITHIN:?}; it said:\n{}", self.name, self.said());
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Everything it printed so far.
    pub fn said(&self) -> String {
        fs::read(&self.log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    /// Sends a signal by its name (TERM, INT, KILL …) to this process alone.
    pub fn signal(&self, name: &str) {
        let _ = Command::new("sh").args(["-c", "kill -s \"$0\" \"$1\"", name, &self.id().to_string()]).stderr(Stdio::null()).status();
    }

    /// Asks it to end and waits; one that does not listen is killed. True when it ended by itself.
    pub fn end(&mut self, signal: &str) -> bool {
        self.signal(signal);
        let begun = Instant::now();
        while begun.elapsed() < END_WITHIN {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return true;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
        false
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            self.end("TERM");
        }
        if std::thread::panicking() {
            eprintln!("---- {} said ----\n{}", self.name, self.said());
        }
    }
}

pub fn free_port() -> Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

/// The first of these programs that this machine has, by path or on PATH.
pub fn program(names: &[&str]) -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    names
        .iter()
        .flat_map(|name| folders.iter().map(move |folder| folder.join(name)))
        .find(|file| file.is_file())
        .with_context(|| format!("none of {names:?} is installed; tests/run installs them"))
}

/// Tells `tests/run` which process to end should this one be killed: its id, and its start so that a reused id is spared.
pub fn register(id: u32) -> Result<()> {
    let Some(file) = std::env::var_os("REYNARD_REAL_STARTED") else { return Ok(()) };
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    let start = stat.rsplit(") ").next().and_then(|rest| rest.split(' ').nth(19)).unwrap_or_default();
    let mut register = OpenOptions::new().create(true).append(true).open(file)?;
    register.write_all(format!("{id} {start}\n").as_bytes())?;
    Ok(())
}
