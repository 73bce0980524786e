//! The binary under test in a folder of its own: started on one address, killed by its id, started again.

use std::fs::{self, File};
use std::io::Write;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use tempfile::TempDir;

const START_WITHIN: Duration = Duration::from_secs(30);
const LOOK_EVERY: Duration = Duration::from_millis(5);

pub struct Server {
    pub folder: TempDir,
    pub url: String,
    /// What the child has in its environment beside our own.
    pub environment: Vec<(&'static str, String)>,
    port: u16,
    child: Option<Child>,
    lives: u32,
}

impl Server {
    /// A folder with these files and a free port; nothing runs yet.
    pub fn prepare(files: &[(&str, &str)]) -> Server {
        let folder = tempfile::tempdir().expect("a temporary folder");
        for (name, text) in files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().expect("below the folder")).expect("a folder");
            fs::write(path, text).expect("a file");
        }
        let port = TcpListener::bind(("127.0.0.1", 0)).and_then(|listener| listener.local_addr()).expect("a free port").port();
        Server { folder, url: format!("http://127.0.0.1:{port}"), environment: Vec::new(), port, child: None, lives: 0 }
    }

    pub fn database(&self) -> PathBuf {
        self.folder.path().join("data/reynard.db")
    }

    /// The command that serves in the folder. Files that may grow no further are an error to it, not its end.
    pub fn command(&self, port: u16) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""]).arg(binary());
        command.args(["serve", "--config", "reynard.yaml", "--listen", &format!("127.0.0.1:{port}")]);
        command.current_dir(self.folder.path()).env("RUST_LOG", "reynard=warn").env_remove("REYNARD_CONFIG").stdin(Stdio::null());
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Starts it and waits until it is ready; how long that took.
    pub async fn start(&mut self) -> Duration {
        let begun = Instant::now();
        self.lives += 1;
        let log = File::create(self.folder.path().join(format!("life-{}.log", self.lives))).expect("a log");
        let mut command = self.command(self.port);
        command.stdout(log.try_clone().expect("a log")).stderr(log);
        let child = command.spawn().expect("the binary starts");
        register(child.id());
        self.child = Some(child);
        let ready = format!("{}/ready", self.url);
        loop {
            if client().get(&ready).send().await.is_ok_and(|answer| answer.status().is_success()) {
                return begun.elapsed();
            }
            if let Some(status) = self.child.as_mut().and_then(|child| child.try_wait().expect("it can be asked")) {
                panic!("life {} ended at its start with {status}; it said:\n{}", self.lives, self.said());
            }
            assert!(begun.elapsed() < START_WITHIN, "life {} was not ready; it said:\n{}", self.lives, self.said());
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    pub fn id(&self) -> u32 {
        self.child.as_ref().expect("it runs").id()
    }

    /// kill -9.
    pub fn kill(&mut self) {
        let mut child = self.child.take().expect("it runs");
        child.kill().expect("it can be killed");
        child.wait().expect("it is gone");
    }

    /// Asks it to end, and waits for it.
    pub async fn stop(&mut self) -> ExitStatus {
        Command::new("kill").args(["-TERM", &self.id().to_string()]).status().expect("kill");
        let mut child = self.child.take().expect("it runs");
        until("it has ended", Duration::from_secs(30), async || child.try_wait().expect("it can be asked")).await
    }

    /// What its present life printed.
    pub fn said(&self) -> String {
        said(self.folder.path(), self.lives)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            for life in 1..=self.lives {
                eprintln!("---- life {life} said ----\n{}", said(self.folder.path(), life));
            }
        }
    }
}

/// Tells `tests/run` which process to end should this one be killed: its id, and its start so that a reused id is spared.
fn register(id: u32) {
    let Some(file) = std::env::var_os("REYNARD_REAL_STARTED") else { return };
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    let start = stat.rsplit(") ").next().and_then(|rest| rest.split(' ').nth(19)).unwrap_or_default();
    let mut register = File::options().create(true).append(true).open(file).expect("the register");
    writeln!(register, "{id} {start}").expect("the register");
}

fn said(folder: &Path, life: u32) -> String {
    fs::read_to_string(folder.join(format!("life-{life}.log"))).unwrap_or_default()
}

/// Looks until there is an answer, never longer than a bound.
pub async fn until<T>(what: &str, within: Duration, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(answer) = look().await {
            return answer;
        }
        assert!(begun.elapsed() < within, "waited {within:?} until {what}");
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

pub fn client() -> &'static reqwest::Client {
    static CLIENT: OnceLock<reqwest::Client> = OnceLock::new();
    CLIENT.get_or_init(|| {
        let _ = rustls::crypto::ring::default_provider().install_default();
        reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(20)).build().expect("a client without settings can be built")
    })
}

/// The released binary where `tests/run` built it, else the one of this test build.
fn binary() -> PathBuf {
    std::env::var_os("REYNARD_BINARY").unwrap_or_else(|| env!("CARGO_BIN_EXE_reynard").into()).into()
}
