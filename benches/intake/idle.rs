//! The released binary at rest: how soon it is ready, what it holds in memory, and whether it touches the disk while nothing happens.
//! Reads Linux's /proc; elsewhere it says that it cannot.

use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::load::socket;

/// At rest, so long.
const REST: Duration = Duration::from_secs(10);

pub fn measure() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (listener, address) = socket();
    drop(listener);
    let began = Instant::now();
    let mut child = Command::new(env!("CARGO_BIN_EXE_reynard"))
        .args(["serve", "--listen", &address.to_string()])
        .current_dir(folder.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the binary starts");
    while TcpStream::connect(address).is_err() {
        assert!(began.elapsed() < Duration::from_secs(10), "it does not listen");
        std::thread::sleep(Duration::from_millis(1));
    }
    let ready = began.elapsed();
    // What starting left to do is not rest.
    std::thread::sleep(Duration::from_secs(2));
    let before = figures(&child);
    std::thread::sleep(REST);
    let after = figures(&child);
    child.kill().and_then(|()| child.wait()).expect("it ends");
    let (Some(before), Some(after)) = (before, after) else { return println!("Idle: /proc cannot be read here") };
    println!(
        "Start on an empty database until it listens, a process of its own: {:.0} ms\nIdle for {} s: {:.1} MiB resident, {} bytes written, {} writes, {} ms of CPU",
        ready.as_secs_f64() * 1_000.0,
        REST.as_secs(),
        after.resident_kib as f64 / 1_024.0,
        after.written - before.written,
        after.writes - before.writes,
        (after.ticks - before.ticks) * 10,
    );
}

struct Figures {
    resident_kib: u64,
    written: u64,
    writes: u64,
    ticks: u64,
}

fn figures(child: &Child) -> Option<Figures> {
    let read = |name: &str| std::fs::read_to_string(format!("/proc/{}/{name}", child.id())).ok();
    let field =
        |text: &str, name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().next()?.parse::<u64>().ok());
    let (status, io, stat) = (read("status")?, read("io")?, read("stat")?);
    let ticks = stat.rsplit(") ").next()?.split(' ').skip(11).take(2).filter_map(|n| n.parse::<u64>().ok()).sum();
    Some(Figures { resident_kib: field(&status, "VmRSS:")?, written: field(&io, "write_bytes:")?, writes: field(&io, "syscw:")?, ticks })
}
