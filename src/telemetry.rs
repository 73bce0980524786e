//! Logging: text on a terminal, JSON otherwise. `REYNARD_LOG` chooses what is logged (`info`, `reynard=debug`).
//! What alerts and people wrote stands in the text as words only: it moves no cursor and begins no line that looks like the log's own.

use std::fmt;
use std::io::IsTerminal;

use tracing::field::Field;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::field::MakeExt;
use tracing_subscriber::fmt::FormatFields;
use tracing_subscriber::fmt::format::{Writer, debug_fn};

/// Starts logging to standard error.
pub fn start() {
    let filter = EnvFilter::try_from_env("REYNARD_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    // A line that cannot be written is lost. Complaining of it where it could not be written panics, which would end whoever logs.
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).log_internal_errors(false);
    // A second start, as tests have, changes nothing.
    let _ = if std::io::stderr().is_terminal() {
        builder.with_target(false).fmt_fields(in_words()).try_init()
    } else {
        builder.json().flatten_event(true).try_init()
    };
}

/// Writes fields as `message name=value …`.
fn in_words() -> impl for<'w> FormatFields<'w> + Send + Sync + 'static {
    let write = |writer: &mut Writer<'_>, field: &Field, value: &dyn fmt::Debug| {
        if field.name() != "message" {
            write!(writer, "{field}=")?;
        }
        harmless(writer, &format!("{value:?}"))
    };
    debug_fn(write).delimited(" ")
}

/// A text without what a terminal obeys; a line after the first is marked as a part of the one before.
fn harmless(writer: &mut Writer<'_>, text: &str) -> fmt::Result {
    for letter in text.chars() {
        match letter {
            '\n' => writer.write_str("\n    | ")?,
            letter if letter.is_control() || turns_the_line(letter) => writer.write_char('\u{fffd}')?,
            letter => writer.write_char(letter)?,
        }
    }
    Ok(())
}

/// Letters that make what follows run the other way.
fn turns_the_line(letter: char) -> bool {
    matches!(letter, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Paper(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Paper {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("no panics").extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn what_an_alert_says_is_no_line_of_the_log_and_moves_no_cursor() {
        let paper = Paper::default();
        let made = paper.clone();
        let subscriber = tracing_subscriber::fmt().with_ansi(false).fmt_fields(in_words()).with_writer(move || made.clone()).finish();
        let hostile = "Disk\u{1b}[2J full\r\n2026-11-24T03:12:00Z  INFO All is well\u{9b}31m\u{202e}";
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!(who = %hostile, number = 7, "#7 Opened: {hostile}");
        });
        let text = String::from_utf8(paper.0.lock().expect("no panics").clone()).expect("UTF-8");
        let body = text.strip_suffix('\n').expect("a whole line");
        assert!(body.lines().skip(1).all(|line| line.starts_with("    | ")), "{text:?}");
        assert!(!body.chars().any(|letter| letter != '\n' && (letter.is_control() || turns_the_line(letter))), "{text:?}");
        assert!(text.contains("#7 Opened: Disk") && text.contains("number=7"), "{text:?}");
    }
}
