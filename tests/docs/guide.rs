//! The guide to a first playbook, gone through as a person would: its files are written, its commands are run, and they say what it
//! shows. In what is shown `…` stands for anything.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::papers::{Block, blocks, root};
use crate::server::{Server, until};

const SOON: Duration = Duration::from_secs(60);
/// The address that a reader has.
const ADDRESS: &str = "127.0.0.1:5001";

#[tokio::test]
async fn whoever_follows_the_guide_sees_what_it_shows() {
    if Command::new("curl").arg("--version").stdout(Stdio::null()).status().is_err() {
        assert!(std::env::var_os("REYNARD_REAL").is_none(), "the guide needs curl");
        return println!("skipped: whoever_follows_the_guide_sees_what_it_shows needs curl");
    }
    let mut server = Server::prepare(&[]);
    let mut commands = 0;
    for block in blocks(&root().join("docs/first-playbook.md")) {
        if let Some(file) = block.file() {
            fs::write(server.folder.path().join(file), &block.text).unwrap_or_else(|error| panic!("{file}: {error}"));
        } else if block.is("serve") {
            server.start().await;
            let (_, shown) = &asked(&block)[0];
            // It is ready a moment before it says so.
            until(&format!("{}: it says so", block.place), SOON, async || fits(shown, &as_shown(&server, &server.said())).then_some(()))
                .await;
        } else if block.is("console") {
            for (command, shown) in asked(&block) {
                sees(&server, &block, &command, &shown).await;
                commands += 1;
            }
        }
    }
    assert!(commands >= 8, "{commands}");
    assert!(server.stop().await.success());
}

/// Runs a command until it says what is shown: at once, or as soon as the engine is so far.
async fn sees(server: &Server, block: &Block, command: &str, shown: &str) {
    let folder = server.folder.path();
    let address = server.url.trim_start_matches("http://");
    let look = || as_shown(server, &run(folder, &command.replace(ADDRESS, address)));
    if command.starts_with("reynard export") {
        let what = format!("{}: {command} says what is shown", block.place);
        return until(&what, SOON, async || fits(shown, &look()).then_some(())).await;
    }
    let said = look();
    assert!(fits(shown, &said), "{}: {command} says\n{said}\nand not\n{shown}", block.place);
}

fn run(folder: &Path, command: &str) -> String {
    let home = Path::new(env!("CARGO_BIN_EXE_reynard")).parent().expect("a folder").display().to_string();
    let path = format!("{home}:{}", std::env::var("PATH").unwrap_or_default());
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("{command} 2>&1")]).current_dir(folder).env("PATH", path).env_remove("REYNARD_CONFIG").stdin(Stdio::null());
    String::from_utf8_lossy(&shell.output().expect("a shell").stdout).into_owned()
}

/// With the address that a reader has.
fn as_shown(server: &Server, text: &str) -> String {
    text.replace(server.url.trim_start_matches("http://"), ADDRESS)
}

/// Each command of a block, and what it says.
fn asked(block: &Block) -> Vec<(String, String)> {
    let parts = block.text.split("$ ").skip(1);
    parts.map(|part| part.split_once('\n').map(|(command, shown)| (command.to_owned(), shown.to_owned())).unwrap_or_default()).collect()
}

/// Whether what was said is what is shown. A line of `…` stands for any lines, `…` in a line for any words.
fn fits(shown: &str, said: &str) -> bool {
    let (shown, said): (Vec<&str>, Vec<&str>) = (shown.trim().lines().collect(), said.trim().lines().collect());
    fit(&shown, &said)
}

fn fit(shown: &[&str], said: &[&str]) -> bool {
    match shown.split_first() {
        None => said.is_empty(),
        Some((&"…", rest)) => (0..=said.len()).any(|from| fit(rest, &said[from..])),
        Some((line, rest)) => said.split_first().is_some_and(|(first, more)| is_like(line, first) && fit(rest, more)),
    }
}

fn is_like(shown: &str, said: &str) -> bool {
    let mut parts = shown.split('…');
    let Some(mut rest) = parts.next().and_then(|begin| said.trim_end().strip_prefix(begin)) else {
        return shown.trim_end() == said.trim_end();
    };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part.trim_end());
        }
        let Some((_, after)) = rest.split_once(part) else { return false };
        rest = after;
    }
    true
}

#[test]
fn what_is_left_out_may_be_anything_and_nothing_else_may() {
    for (shown, said, expected) in [
        ("a\nb\n", "a\nb\n", true),
        ("a\n", "a\nb\n", false),
        ("a\n…\n", "a\nb\nc\n", true),
        ("…\nc\n", "a\nb\nc\n", true),
        ("…\nc\n", "a\nb\n", false),
        ("in … ms", "in 12 ms", true),
        ("in … ms", "in 12 s", false),
        ("{\"delivery\":\"…\",\"alerts\":1}", "{\"delivery\":\"01a\",\"alerts\":1}", true),
        ("failed: …", "failed: refused", true),
    ] {
        assert_eq!(fits(shown, said), expected, "{shown:?} {said:?}");
    }
}
