//! What is told of one story: its lines, and the promises that were broken. Knows nothing of what they mean.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::{Arc, Mutex, PoisonError};

use crate::clock::Machine;

pub struct Record {
    machine: Arc<Machine>,
    /// Whether anybody wants to read the lines; most stories are only judged.
    told: bool,
    lines: Mutex<Vec<String>>,
    faults: Mutex<Vec<String>>,
}

impl Record {
    pub fn new(machine: Arc<Machine>, told: bool) -> Self {
        Self { machine, told, lines: Mutex::default(), faults: Mutex::default() }
    }

    pub fn line<T: Display>(&self, line: impl FnOnce() -> T) {
        if self.told {
            let line = format!("{:>10.3} {}", self.machine.elapsed() as f64 / 1_000.0, line());
            self.lines.lock().unwrap_or_else(PoisonError::into_inner).push(line);
        }
    }

    /// A promise that was broken.
    pub fn fault(&self, what: String) {
        self.line(|| format!("BROKEN {what}"));
        self.faults.lock().unwrap_or_else(PoisonError::into_inner).push(what);
    }

    pub fn demand(&self, holds: bool, otherwise: impl FnOnce() -> String) {
        if !holds {
            self.fault(otherwise());
        }
    }

    pub fn first_fault(&self) -> Option<String> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner).first().cloned()
    }

    pub fn text(&self) -> String {
        without_chance(&self.lines.lock().unwrap_or_else(PoisonError::into_inner).join("\n"))
    }
}

/// Ids have random parts, by which nothing is decided: each is named by when it is first spoken of.
fn without_chance(text: &str) -> String {
    let mut names: BTreeMap<&str, usize> = BTreeMap::new();
    let (mut told, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(dash) = rest.find('-') {
        let begin = dash.saturating_sub(8);
        match rest.get(begin..begin + 36).filter(|id| uuid::Uuid::try_parse(id).is_ok()) {
            Some(id) => {
                let next = names.len() + 1;
                told += &rest[..begin];
                told += &format!("id{}", names.entry(id).or_insert(next));
                rest = &rest[begin + 36..];
            }
            None => {
                told += &rest[..=dash];
                rest = &rest[dash + 1..];
            }
        }
    }
    told + rest
}
