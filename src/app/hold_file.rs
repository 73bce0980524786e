//! The file that holds automation while it is there: the switch for when no page can be reached. Its text is the reason.
//! Knows no engine but the port it fills.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::domain::database;
use crate::domain::settings::Settings;
use crate::engine::ports::Brake;

const NAME: &str = "HOLD";
/// As much of its text as is told.
const REASON: usize = 400;

#[derive(Debug)]
pub struct HoldFile {
    path: PathBuf,
}

impl HoldFile {
    /// Where the settings say, else beside the database, else in the working folder.
    pub fn of(settings: &Settings) -> Self {
        let url = settings.database_url.expose();
        let beside = url.strip_prefix("sqlite://").filter(|_| !database::is_postgres(url)).and_then(|path| Path::new(path).parent());
        let path = settings.hold.file.as_ref().map_or_else(|| beside.unwrap_or(Path::new("")).join(NAME), PathBuf::from);
        Self { path }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Brake for HoldFile {
    fn pulled(&self) -> Option<(String, String)> {
        let name = format!("the file {}", self.path.display());
        match fs::metadata(&self.path) {
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => None,
            // What cannot be looked at may be there: holding is the safe side.
            Err(error) => Some((name, format!("it cannot be looked at: {error}"))),
            Ok(_) => Some((name, said(&self.path))),
        }
    }
}

/// The first line of what it says.
fn said(path: &Path) -> String {
    let text = fs::read(path).unwrap_or_default();
    let text = String::from_utf8_lossy(&text[..text.len().min(4 * REASON)]).into_owned();
    text.trim().lines().next().unwrap_or_default().chars().filter(|letter| !letter.is_control()).take(REASON).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_holds_while_it_is_there_and_its_first_line_says_why() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = HoldFile { path: folder.path().join("HOLD") };
        assert_eq!(file.pulled(), None);
        fs::write(&file.path, "ana: restarts make it worse\nmore\n").expect("written");
        let (name, reason) = file.pulled().expect("it is there");
        assert!(name.ends_with("HOLD") && reason == "ana: restarts make it worse", "{name}: {reason}");
        fs::remove_file(&file.path).expect("removed");
        fs::create_dir(&file.path).expect("a folder");
        assert_eq!(file.pulled().map(|(_, reason)| reason), Some(String::new()), "a folder of that name holds as well");
    }
}
