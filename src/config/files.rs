//! Texts of files, read within bounds: `reynard.yaml` and the playbook folder. Knows nothing of what they say.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use crate::config::yaml::MAX_BYTES;

/// A file, or why it has no text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextFile {
    pub path: String,
    pub text: Result<String, String>,
}

impl TextFile {
    pub fn new(path: impl Into<String>, text: impl Into<String>) -> Self {
        Self { path: path.into(), text: Ok(text.into()) }
    }

    /// Reads it; at most one byte more than a file may have, so that the YAML reader can say so.
    pub fn read(path: &Path) -> Self {
        Self { path: path.display().to_string(), text: text(path).map_err(|error| error.to_string()) }
    }
}

/// Everything to load.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Files {
    /// `reynard.yaml`; none when there is none.
    pub settings: Option<TextFile>,
    pub playbooks: Vec<TextFile>,
}

impl Files {
    /// Reads both from disk; what the program carries stands for the folder when there is no such folder.
    pub fn gather(settings: &Path, playbooks: &Path, carried: &[TextFile]) -> io::Result<Self> {
        let settings = settings.exists().then(|| TextFile::read(settings));
        Ok(Self { settings, playbooks: folder(playbooks)?.unwrap_or_else(|| carried.to_vec()) })
    }
}

/// Every `*.yaml` and `*.yml` directly in the folder, by name; none when there is no such folder.
/// Symbolic links are followed only to files within it, as mounted configuration has them.
pub fn folder(folder: &Path) -> io::Result<Option<Vec<TextFile>>> {
    let home = match folder.canonicalize() {
        Ok(home) => home,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let inside = || path.canonicalize().is_ok_and(|real| real.starts_with(&home) && real.is_file());
        if is_yaml(&path) && inside() {
            found.push(path);
        }
    }
    found.sort();
    Ok(Some(found.iter().map(|path| TextFile::read(path)).collect()))
}

/// Whether the file's name is a YAML file's and not hidden.
pub fn is_yaml(path: &Path) -> bool {
    let hidden = path.file_name().is_none_or(|name| name.to_string_lossy().starts_with('.'));
    !hidden && path.extension().is_some_and(|ending| ending == "yaml" || ending == "yml")
}

fn text(path: &Path) -> io::Result<String> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    // A letter cut in two by the bound is no fault of the file's encoding.
    if bytes.len() > MAX_BYTES {
        return Ok(String::from_utf8_lossy(&bytes).into_owned());
    }
    if bytes.starts_with(&[0xef, 0xbb, 0xbf]) {
        // Some editors write a mark at the beginning; it says nothing.
        bytes.drain(..3);
    }
    String::from_utf8(bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, foreign(error.as_bytes(), error.utf8_error())))
}

/// Which encoding a text has that is not UTF-8, and where that shows first.
fn foreign(bytes: &[u8], error: std::str::Utf8Error) -> String {
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        return "it is UTF-16 text; save it as UTF-8".to_owned();
    }
    let at = error.valid_up_to();
    let line = bytes[..at].iter().filter(|byte| **byte == b'\n').count() + 1;
    format!("it is not UTF-8 text: the byte 0x{:02x} on line {line} is of another encoding, perhaps Latin-1; save it as UTF-8", bytes[at])
}
