//! A mail server that takes every mail and keeps it in a Maildir; with STARTTLS where a story wants it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use crate::parts::process::{Process, program};

pub struct Smtp {
    pub port: u16,
    folder: TempDir,
    _process: Process,
}

impl Smtp {
    pub async fn start() -> Result<Smtp> {
        Smtp::with(tempfile::tempdir()?, &[]).await
    }

    /// Refuses mail until the sender has changed to TLS; `certificate()` is the root that a sender must trust.
    pub async fn start_tls() -> Result<Smtp> {
        let folder = tempfile::tempdir()?;
        let (certificate, key) = (folder.path().join("certificate.pem"), folder.path().join("key.pem"));
        make_certificate(&certificate, &key)?;
        let flags = ["--tlscert", &certificate.to_string_lossy(), "--tlskey", &key.to_string_lossy()].map(str::to_owned);
        Smtp::with(folder, &flags).await
    }

    async fn with(folder: TempDir, flags: &[String]) -> Result<Smtp> {
        let python = python()?;
        let maildir = folder.path().join("mail");
        let build = |port| {
            let mut command = Command::new(&python);
            command.args(["-m", "aiosmtpd", "--nosetuid", "--listen", &format!("127.0.0.1:{port}")]);
            command.args(flags).args(["--class", "aiosmtpd.handlers.Mailbox"]).arg(&maildir);
            command
        };
        let (process, port) = Process::serve("smtp", folder.path(), build, async |port| greets(port).await).await?;
        Ok(Smtp { port, folder, _process: process })
    }

    pub fn certificate(&self) -> PathBuf {
        self.folder.path().join("certificate.pem")
    }

    /// The mails received so far, as they came over the wire, oldest first.
    pub fn mails(&self) -> Result<Vec<String>> {
        let Ok(entries) = fs::read_dir(self.folder.path().join("mail/new")) else { return Ok(Vec::new()) };
        let mut files = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
        files.sort();
        files.iter().map(|file| Ok(fs::read_to_string(file)?)).collect()
    }
}

async fn greets(port: u16) -> Result<bool> {
    let mut greeting = [0; 3];
    TcpStream::connect(("127.0.0.1", port)).await?.read_exact(&mut greeting).await?;
    Ok(&greeting == b"220")
}

/// The distribution's Python has the package; another one that comes first on PATH often has not.
fn python() -> Result<PathBuf> {
    let candidates = [PathBuf::from("/usr/bin/python3"), program(&["python3"])?];
    let has = |python: &PathBuf| Command::new(python).args(["-c", "import aiosmtpd"]).output().is_ok_and(|out| out.status.success());
    candidates.into_iter().find(has).context("python3-aiosmtpd is not installed; tests/run installs it")
}

fn make_certificate(certificate: &Path, key: &Path) -> Result<()> {
    let made = Command::new(program(&["openssl"])?)
        .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"])
        .args(["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-addext", "basicConstraints=critical,CA:FALSE"])
        .arg("-keyout")
        .arg(key)
        .arg("-out")
        .arg(certificate)
        .output()?;
    ensure!(made.status.success(), "openssl: {}", String::from_utf8_lossy(&made.stderr));
    Ok(())
}
