//! How far a long look has come, as a bar on a terminal, and what it finds; quiet about the former in a pipe.

use crate::app::upkeep::Watcher;
use crate::engine::archive::Extent;
use crate::engine::verify::{Fault, Listener};
use crate::terminal;

const WIDTH: u64 = 30;

/// Shows the bar on the error stream and the faults on the output.
pub struct Progress {
    is_shown: bool,
    /// In thousandths, so that it is drawn only when it moves.
    drawn: Option<u64>,
}

impl Progress {
    pub fn new() -> Self {
        Self { is_shown: terminal::is_watched(), drawn: None }
    }

    /// Takes the bar away.
    pub fn clear(&mut self) {
        if self.drawn.take().is_some() {
            terminal::draw("\r\x1b[K");
        }
    }

    /// So many of so many of something.
    pub fn show(&mut self, done: u64, all: u64, what: &str) {
        let thousandths = (done * 1_000).checked_div(all).unwrap_or(1_000).min(1_000);
        if self.is_shown && self.drawn != Some(thousandths) {
            self.drawn = Some(thousandths);
            terminal::draw(format!("\r\x1b[K{} {done} of {all} {what}", bar(thousandths)));
        }
    }
}

impl Listener for Progress {
    fn fault(&mut self, fault: &Fault) {
        self.clear();
        terminal::say(fault.to_string());
    }

    fn progress(&mut self, done: Extent, all: Extent) {
        self.show(done.entries, all.entries, "entries");
    }
}

impl Watcher for Progress {
    fn carried(&mut self, done: u64, all: u64) {
        self.show(done, all, "rows carried over");
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}

fn bar(thousandths: u64) -> String {
    let full = thousandths * WIDTH / 1_000;
    let signs: String = (0..WIDTH).map(|at| if at < full { '█' } else { '░' }).collect();
    format!("{signs} {:>3} %", thousandths / 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_says_how_far_it_is() {
        assert_eq!(bar(0), format!("{}   0 %", "░".repeat(30)));
        assert_eq!(bar(500), format!("{}{}  50 %", "█".repeat(15), "░".repeat(15)));
        assert_eq!(bar(1_000), format!("{} 100 %", "█".repeat(30)));
    }
}
