//! What the binary carries, so that it runs in an empty folder: playbooks, message templates, example settings, sample alerts.
//! A file in the working folder wins over a carried one.

use std::collections::BTreeMap;
use std::path::Path;

use rust_embed::RustEmbed;

use crate::config::files::TextFile;

#[derive(RustEmbed)]
#[folder = "playbooks/"]
struct Playbooks;

#[derive(RustEmbed)]
#[folder = "templates/messages/"]
struct Messages;

#[derive(RustEmbed)]
#[folder = "examples/"]
struct Examples;

#[derive(RustEmbed)]
#[folder = "src/fire/"]
struct Alerts;

/// The shipped playbooks.
pub fn playbooks() -> Vec<TextFile> {
    let direct = texts::<Playbooks>().into_iter().filter(|(name, _)| !name.contains('/'));
    direct.map(|(name, text)| TextFile::new(format!("playbooks/{name}"), text)).collect()
}

/// The tests of the shipped playbooks.
pub fn tests() -> Vec<TextFile> {
    let below = texts::<Playbooks>().into_iter().filter(|(name, _)| name.starts_with("tests/"));
    below.map(|(name, text)| TextFile::new(format!("playbooks/{name}"), text)).collect()
}

/// The message templates by file name, those of the folder before those carried.
pub fn messages(folder: &Path) -> BTreeMap<String, String> {
    let mut found = texts::<Messages>();
    let own = std::fs::read_dir(folder).into_iter().flatten().flatten();
    for path in own.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|ending| ending == "hbs")) {
        if let (Some(name), Ok(text)) = (path.file_name().and_then(|name| name.to_str()), std::fs::read_to_string(&path)) {
            found.insert(name.to_owned(), text);
        }
    }
    found
}

/// Everything that `reynard init` writes, by path.
pub fn examples() -> BTreeMap<String, String> {
    texts::<Examples>().into_iter().filter(|(path, _)| !path.ends_with(".rs")).collect()
}

/// The sample alerts by name.
pub fn alerts() -> BTreeMap<String, String> {
    texts::<Alerts>().into_iter().map(|(name, text)| (name.trim_end_matches(".json").to_owned(), text)).collect()
}

fn texts<E: RustEmbed>() -> BTreeMap<String, String> {
    E::iter().filter_map(|name| E::get(&name).map(|file| (name.to_string(), String::from_utf8_lossy(&file.data).into_owned()))).collect()
}
