//! How long nobody was there while the server was killed and started again.

use reynard::domain::time::Timestamp;

/// From when to when nobody was there, in order. Several may lie between a level's time and its telling.
#[derive(Default)]
pub struct Outages(Vec<(Timestamp, Timestamp)>);

impl Outages {
    pub fn push(&mut self, gone: Timestamp, back: Timestamp) {
        self.0.push((gone, back));
    }

    /// How much of the time from `due` to `at` that was, in milliseconds.
    pub fn between(&self, due: Timestamp, at: Timestamp) -> i64 {
        self.0.iter().map(|(gone, back)| (back.min(&at).0 - gone.max(&due).0).max(0)).sum()
    }

    /// In milliseconds.
    pub fn longest(&self) -> i64 {
        self.0.iter().map(|(gone, back)| back.0 - gone.0).max().unwrap_or_default()
    }
}
