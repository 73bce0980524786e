//! Logging: text on a terminal, JSON otherwise. `REYNARD_LOG` chooses what is logged (`info`, `reynard=debug`).
//! What alerts and people wrote stands in the text as words only: it moves no cursor and begins no line that looks like the log's own.

use std::fmt;
use std::io::IsTerminal;

use tracing::field::Field;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer;
use tracing_subscriber::field::MakeExt;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::FormatFields;
use tracing_subscriber::fmt::format::{Writer, debug_fn};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// What is logged unless somebody wishes otherwise.
const LEVEL: LevelFilter = LevelFilter::INFO;

/// Starts logging to standard error. A wish that cannot be read is told, and the default holds.
pub fn start() {
    let wish = std::env::var("REYNARD_LOG").unwrap_or_default();
    let (targets, fault) = match wish.trim() {
        "" => (Targets::new().with_default(LEVEL), None),
        wish => match wish.parse::<Targets>() {
            Ok(targets) => (targets, None),
            Err(error) => (Targets::new().with_default(LEVEL), Some(error)),
        },
    };
    // A line that cannot be written is lost. Complaining of it where it could not be written panics, which would end whoever logs.
    let layer = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).log_internal_errors(false);
    let layer = if std::io::stderr().is_terminal() {
        layer.with_target(false).fmt_fields(in_words()).boxed()
    } else {
        layer.json().flatten_event(true).boxed()
    };
    // A second start, as tests have, changes nothing.
    let _ = tracing_subscriber::registry().with(layer.with_filter(targets)).try_init();
    if let Some(error) = fault {
        tracing::warn!(%error, "REYNARD_LOG={wish} is not understood, so {LEVEL} and worse is logged; write a level, or target=level,…");
    }
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
