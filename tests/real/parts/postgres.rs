//! A PostgreSQL with an empty database. It refuses to run as root, so there it runs as nobody.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use sqlx::{Connection, PgConnection};
use tempfile::TempDir;

use crate::parts::process::{Process, program};

pub struct Postgres {
    pub port: u16,
    process: Process,
    data: PathBuf,
    folder: TempDir,
    /// Whether a commit is synced to disk; stories do without, because they never take the power away.
    synced: &'static str,
}

const SYNCED: &str = "fsync=on";
const NOT_SYNCED: &str = "fsync=off";

#[derive(Clone, Copy)]
pub struct Account {
    pub user: u32,
    pub group: u32,
}

impl Postgres {
    pub async fn start() -> Result<Postgres> {
        Self::start_as(NOT_SYNCED).await
    }

    /// One whose commits are as durable, and as slow, as they are meant to be.
    pub async fn start_synced() -> Result<Postgres> {
        Self::start_as(SYNCED).await
    }

    async fn start_as(synced: &'static str) -> Result<Postgres> {
        let folder = tempfile::tempdir()?;
        let account = account()?;
        let data = make_home(folder.path(), account)?;
        initialise(&binaries()?.join("initdb"), &data, account)?;
        Self::serve(folder, data, synced).await
    }

    /// A standby that follows this server and may be promoted.
    pub async fn standby(&self) -> Result<Postgres> {
        let folder = tempfile::tempdir()?;
        let account = account()?;
        let data = make_home(folder.path(), account)?;
        let mut copy = run_as(&binaries()?.join("pg_basebackup"), account, &data);
        copy.arg("-D").arg(&data).args(["-d", &self.url("admin"), "-R", "-X", "stream", "--checkpoint=fast", "--no-sync"]);
        let made = copy.output()?;
        ensure!(made.status.success(), "pg_basebackup: {}", String::from_utf8_lossy(&made.stderr));
        Self::serve(folder, data, self.synced).await
    }

    async fn serve(folder: TempDir, data: PathBuf, synced: &'static str) -> Result<Postgres> {
        let (program, account) = (binaries()?.join("postgres"), account()?);
        let (process, port) =
            Process::serve("postgres", folder.path(), |port| command(&program, account, &data, (port, synced)), ready).await?;
        Ok(Postgres { port, process, data, folder, synced })
    }

    /// Stops it: `INT` is pg_ctl's "fast", `QUIT` its "immediate", which is a crash of the database.
    pub fn stop(&mut self, signal: &str) {
        self.process.end(signal);
    }

    /// Starts it again where it was.
    pub async fn start_again(&mut self) -> Result<()> {
        let program = binaries()?.join("postgres");
        let mut command = command(&program, account()?, &self.data, (self.port, self.synced));
        self.process = Process::start("postgres", self.folder.path(), &mut command)?.until_ready(self.port, &ready).await?;
        Ok(())
    }

    /// The address for a role; `admin` is the superuser.
    pub fn url(&self, role: &str) -> String {
        url(self.port, role)
    }

    pub async fn connect(&self, role: &str) -> Result<PgConnection> {
        Ok(PgConnection::connect(&self.url(role)).await?)
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.process.end("INT"); // TERM would wait for every session to leave
    }
}

fn command(program: &Path, account: Option<Account>, data: &Path, (port, synced): (u16, &str)) -> Command {
    let mut command = run_as(program, account, data);
    command.arg("-D").arg(data).args(["-p", &port.to_string(), "-h", "127.0.0.1"]);
    command.args(["-c", "unix_socket_directories=", "-c", synced, "-c", "max_connections=60"]);
    command
}

async fn ready(port: u16) -> Result<bool> {
    Ok(PgConnection::connect(&url(port, "admin")).await.is_ok())
}

fn url(port: u16, role: &str) -> String {
    format!("postgres://{role}@127.0.0.1:{port}/postgres?sslmode=disable")
}

/// Whom the server has to run as: nobody when we are root, else ourselves.
pub fn account() -> Result<Option<Account>> {
    if fs::metadata("/proc/self")?.uid() != 0 {
        return Ok(None);
    }
    let users = fs::read_to_string("/etc/passwd")?;
    let nobody = users.lines().find(|line| line.starts_with("nobody:")).context("root needs a user nobody to run PostgreSQL")?;
    let fields: Vec<&str> = nobody.split(':').collect();
    Ok(Some(Account { user: fields[2].parse()?, group: fields[3].parse()? }))
}

fn make_home(folder: &Path, account: Option<Account>) -> Result<PathBuf> {
    let data = folder.join("data");
    fs::create_dir(&data)?;
    fs::set_permissions(&data, Permissions::from_mode(0o700))?;
    open_to_pass(folder, account)?;
    if let Some(Account { user, group }) = account {
        chown(&data, Some(user), Some(group))?;
    }
    Ok(data)
}

/// Whoever the server runs as must be able to pass through the folder to its own.
pub fn open_to_pass(folder: &Path, account: Option<Account>) -> Result<()> {
    if account.is_some() {
        fs::set_permissions(folder, Permissions::from_mode(0o711))?;
    }
    Ok(())
}

pub fn run_as(program: &Path, account: Option<Account>, folder: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(folder).env("LC_ALL", "C.UTF-8");
    if let Some(Account { user, group }) = account {
        command.uid(user).gid(group);
    }
    command
}

fn initialise(initdb: &Path, data: &Path, account: Option<Account>) -> Result<()> {
    let mut command = run_as(initdb, account, data);
    command.arg("-D").arg(data).args(["-U", "admin", "-A", "trust", "--no-sync", "-E", "UTF8", "--no-locale"]);
    let made = command.output()?;
    ensure!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
    Ok(())
}

/// The folder of the server's programs: Debian keeps it off PATH, one for each version.
pub fn binaries() -> Result<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten().map(|entry| entry.path().join("bin"));
    let newest = versions.filter(|folder| folder.join("initdb").is_file()).max();
    match newest {
        Some(folder) => Ok(folder),
        None => Ok(program(&["initdb"])?.parent().context("a program has a folder")?.to_owned()),
    }
}
