//! The gate that every attempt which changes things passes before it begins. Knows no step; the writer shuts and opens it.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::domain::hold::{Hand, Holds};
use crate::domain::settings::{Automation, Rulebook};

/// What an attempt passes before it begins. It is shut before the commit that holds automation, so that whatever begins has begun
/// before that commit, and it is opened only once a commit says that nobody holds any more.
#[derive(Debug, Default)]
pub struct Gate {
    shut: AtomicBool,
    /// Whether the last commit knew of the file, and of the settings.
    file: AtomicBool,
    settings: AtomicBool,
}

impl Gate {
    pub fn is_shut(&self) -> bool {
        self.shut.load(Ordering::SeqCst)
    }

    pub fn shut(&self) {
        self.shut.store(true, Ordering::SeqCst);
    }

    /// What a commit has made true.
    pub fn follow(&self, holds: &Holds) {
        self.shut.store(!holds.are_none(), Ordering::SeqCst);
        self.file.store(holds.by(Hand::File).is_some(), Ordering::SeqCst);
        self.settings.store(holds.by(Hand::Settings).is_some(), Ordering::SeqCst);
    }

    /// Whether file or settings say something else than what was committed last.
    pub fn differs(&self, pulled: bool, rulebook: &Rulebook) -> bool {
        let set = rulebook.automation == Automation::Held;
        (self.file.load(Ordering::SeqCst), self.settings.load(Ordering::SeqCst)) != (pulled, set)
    }
}
