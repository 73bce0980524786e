//! What commands say to whoever reads them. A reader that has gone away, as `| head` does, is no fault. Knows no command.

use std::io::{self, IsTerminal, Write};

/// Says it on standard output, with a line's end.
pub fn say(text: impl AsRef<str>) {
    give(&mut io::stdout().lock(), text.as_ref(), "\n");
}

/// Says it on standard output as it stands.
pub fn write(text: impl AsRef<str>) {
    give(&mut io::stdout().lock(), text.as_ref(), "");
}

/// Says on standard error what is not the answer itself.
pub fn complain(text: impl AsRef<str>) {
    give(&mut io::stderr().lock(), text.as_ref(), "\n");
}

/// Writes on standard error as it stands, for what is drawn and wiped away again.
pub fn draw(text: impl AsRef<str>) {
    give(&mut io::stderr().lock(), text.as_ref(), "");
}

/// Whether a person sees what is drawn.
pub fn is_watched() -> bool {
    io::stderr().is_terminal()
}

/// Whether a person looks, who likes colours and has not said otherwise.
pub fn is_coloured() -> bool {
    io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|no| no.is_empty())
}

/// The exit code carries the verdict; that nobody read the words changes nothing about it.
fn give(to: &mut dyn Write, text: &str, end: &str) {
    let _ = to.write_all(text.as_bytes()).and_then(|()| to.write_all(end.as_bytes())).and_then(|()| to.flush());
}
