//! `reynard password`: makes the line that gives a person a password. Asks twice without showing it, or reads one line from a pipe.

use std::io::{self, BufRead, IsTerminal};
use std::process::ExitCode;

use anyhow::{Context, bail};
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

use crate::domain::password::{PasswordHash, SALT_BYTES, too_easy};
use crate::terminal;

/// Nobody types a longer line.
const LONGEST_LINE: u64 = 4_096;

#[derive(Debug, clap::Args)]
#[command(after_help = "Example: reynard password\n         pass show reynard/ana | reynard password\n\n\
    Paste the line below the person's name under people: in reynard.yaml. It is an Argon2id hash; nobody can read the password off it.")]
pub struct Args {}

pub fn run(_: &Args) -> anyhow::Result<ExitCode> {
    let password = if io::stdin().is_terminal() { asked_twice()? } else { line()? };
    if let Some(why) = too_easy(&password) {
        terminal::complain(format!("reynard: this password is not taken: {why}"));
        return Ok(ExitCode::from(1));
    }
    let mut salt = [0; SALT_BYTES];
    getrandom::fill(&mut salt).map_err(|error| anyhow::anyhow!("no chance to be had: {error}"))?;
    let hash = PasswordHash::of(&password, salt).context("the hash needs 19 MiB of memory")?;
    terminal::say(format!("password: \"{}\"", hash.text()));
    Ok(ExitCode::SUCCESS)
}

fn asked_twice() -> anyhow::Result<String> {
    let ask = |words: &str| {
        terminal::draw(words);
        let typed = Silence::begin().and_then(|_silence| line());
        terminal::complain("");
        typed
    };
    let password = ask("Password: ")?;
    if ask("Once more: ")? != password {
        bail!("these were two; nothing was made");
    }
    Ok(password)
}

fn line() -> anyhow::Result<String> {
    let mut text = String::new();
    let read = io::Read::take(io::stdin().lock(), LONGEST_LINE).read_line(&mut text).context("the password cannot be read")?;
    if read == 0 {
        bail!("there is no password to read");
    }
    Ok(text.trim_end_matches(['\n', '\r']).to_owned())
}

/// The terminal shows nothing of what is typed, until this is dropped.
struct Silence(Termios);

impl Silence {
    fn begin() -> anyhow::Result<Self> {
        let before = tcgetattr(io::stdin()).context("the terminal cannot be asked")?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        tcsetattr(io::stdin(), OptionalActions::Flush, &silent).context("the terminal cannot be silenced")?;
        Ok(Self(before))
    }
}

impl Drop for Silence {
    fn drop(&mut self) {
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.0);
    }
}
