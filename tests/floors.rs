//! Floors: every arrow between the rooms of `src/` runs down, as ARCHITECTURE.md draws them; one that runs up is explained or it fails.
//! Reads the sources as text, so it needs nothing but the standard library. What only tests use is left out.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// A room, and the rooms and modules it may name besides itself. `engine` alone means all of it.
const MAY_NAME: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("engine", &["domain"]),
    ("config", &["domain"]),
    ("store", &["domain", "engine::archive", "engine::nodes", "engine::ports", "engine::revisions", "engine::sessions", "engine::store"]),
    ("action", &["domain", "engine::ports"]),
    ("channel", &["domain", "engine::ports"]),
    (
        "web",
        &[
            "domain",
            "engine::runtime",
            "engine::error",
            "engine::request",
            "engine::nodes",
            "engine::ports",
            "engine::store",
            "engine::revisions",
            "engine::sessions",
            "engine::metrics",
        ],
    ),
    ("rehearsal", &["domain", "engine::brief", "engine::intake", "engine::wire", "config"]),
    ("carried", &["config"]),
    ("memory", &[]),
    ("terminal", &[]),
    ("telemetry", &[]),
    (
        "app",
        &[
            "domain",
            "engine",
            "config",
            "store",
            "action",
            "channel",
            "web",
            "carried",
            "rehearsal",
            "rehearse",
            "secrets",
            "telemetry",
            "terminal",
        ],
    ),
    // Below `app`: it joins what tries playbooks, and is the desk that the web asks.
    ("rehearse", &["domain", "engine", "config", "action", "rehearsal", "carried", "secrets", "web::state"]),
    ("rehearse_tests", &["domain", "config", "rehearsal", "rehearse", "carried"]),
    ("secrets", &["config"]),
    // `cli` asks `app` for all deeds; it names `config` for the words in which a check is asked for and answered, `engine::verify` for those of a look
    // at the log, and `domain` for an instant.
    (
        "cli",
        &[
            "domain",
            "config::check",
            "engine::archive",
            "engine::verify",
            "app",
            "rehearse",
            "rehearse_tests",
            "carried",
            "telemetry",
            "terminal",
        ],
    ),
    ("main", &["cli"]),
    ("lib", &[]),
];

/// What a room does not know at all: neither these crates nor these ways to the world.
const KNOWS_NOTHING_OF: &[(&str, &[&str])] = &[
    (
        "domain",
        &["tokio", "sqlx", "axum", "reqwest", "utoipa", "std::fs", "std::env", "std::process", "Utc::now", "SystemTime", "Instant::now"],
    ),
    ("rehearsal", &["tokio", "sqlx", "axum", "reqwest", "std::fs", "std::env", "Utc::now", "SystemTime", "Instant::now"]),
    ("config", &["tokio", "sqlx", "axum", "reqwest", "std::env", "Utc::now", "SystemTime", "Instant::now"]),
    ("engine", &["sqlx", "axum", "reqwest", "utoipa", "std::fs", "std::env"]),
    ("store", &["axum", "reqwest", "std::env"]),
    ("action", &["axum", "std::env"]),
    ("channel", &["axum", "sqlx", "std::env"]),
    ("web", &["sqlx", "std::env"]),
];

/// Arrows that run up all the same: file, what it names, why. An entry that is no longer needed fails, too.
const EXPLAINED: &[(&str, &str, &str)] = &[
    ("src/domain/timeline.rs", "utoipa", "the outcome a person gives a step in doubt is its own shape in the API's description"),
    ("src/engine/store.rs", "utoipa", "a rejected alert's shape is described for the API where it is defined, rather than twice"),
];

#[test]
fn every_arrow_runs_down() {
    let mut faults = Vec::new();
    let mut needed = BTreeSet::new();
    for (file, text) in sources() {
        for (line, what, why) in arrows_up(&room_of(&file), &text) {
            match EXPLAINED.iter().position(|(known, named, _)| *known == file && *named == what) {
                Some(at) => drop(needed.insert(at)),
                None => faults.push(format!("{file}:{line}: {why}")),
            }
        }
    }
    let idle = EXPLAINED.iter().enumerate().filter(|(at, _)| !needed.contains(at));
    faults
        .extend(idle.map(|(_, (file, what, _))| format!("{file} does not name {what} any more: take it off the list of explained arrows")));
    assert!(faults.is_empty(), "arrows that run up (ARCHITECTURE.md, rooms and floors):\n  {}\n", faults.join("\n  "));
}

#[test]
fn a_wrong_arrow_is_seen() {
    let told = |room: &str, text: &str| arrows_up(room, text).into_iter().map(|(_, what, _)| what).collect::<Vec<_>>();
    assert_eq!(told("domain", "use crate::domain::time::Span;\nuse crate::engine::ports::Clock;\n"), ["engine::ports"]);
    assert_eq!(told("action", "use crate::engine::{ports, runtime::Runtime};\n"), ["engine::runtime"]);
    assert_eq!(told("web", "fn f() { crate::store::sqlite::open() }\n"), ["store::sqlite"]);
    assert_eq!(told("store", "use crate::{domain, web};\n"), ["crate::{"]);
    assert_eq!(told("domain", "let now = chrono::Utc::now();\n"), ["Utc::now"]);
    assert_eq!(told("domain", "// crate::web is not known here, nor is tokio\n"), [""; 0]);
    assert_eq!(told("domain", "fn a() {}\n#[cfg(test)]\nmod tests {\n    use crate::web::x;\n}\n"), [""; 0]);
    assert_eq!(told("domain", "fn tokio_like() {}\n"), [""; 0]);
}

/// Line, what it names, and the fault in words.
fn arrows_up(room: &str, text: &str) -> Vec<(usize, String, String)> {
    let Some((_, allowed)) = MAY_NAME.iter().find(|(name, _)| *name == room) else {
        return vec![(
            1,
            room.to_owned(),
            format!("the room \"{room}\" has no floor yet: give it one in tests/floors.rs and ARCHITECTURE.md"),
        )];
    };
    let unknown = KNOWS_NOTHING_OF.iter().find(|(name, _)| *name == room).map_or(&[][..], |(_, unknown)| unknown);
    let mut found = Vec::new();
    for (at, line) in without_tests(text).lines().enumerate() {
        let code = line.split("//").next().unwrap_or_default();
        for named in named_in(code) {
            if named == "crate::{" {
                found.push((at + 1, named, "write one `use` for each module, by its full path".to_owned()));
            } else if !is_allowed(room, allowed, &named) {
                let can = if allowed.is_empty() { "nothing but itself".to_owned() } else { allowed.join(", ") };
                found.push((at + 1, named.clone(), format!("{room} names {named}, which is above it or beside it; it may name {can}")));
            }
        }
        for stranger in unknown.iter().filter(|stranger| names_word(code, stranger)) {
            found.push((at + 1, (*stranger).to_owned(), format!("{room} names {stranger}, which it knows nothing of")));
        }
    }
    found
}

fn is_allowed(room: &str, allowed: &[&str], named: &str) -> bool {
    let head = named.split("::").next().unwrap_or(named);
    head == room || allowed.contains(&head) || allowed.contains(&named)
}

/// Every `crate::room::module` of a line; a group behind a room is taken apart.
fn named_in(code: &str) -> Vec<String> {
    let mut named = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        // `pub(in crate::…)`, `reynard_crate::…` and the like are no arrows of ours.
        if code[..at].ends_with(|before: char| before.is_alphanumeric() || before == '_') {
            continue;
        }
        let path = &code[at + "crate::".len()..];
        if path.starts_with('{') {
            named.push("crate::{".to_owned());
            continue;
        }
        let room = word(path);
        let rest = path[room.len()..].strip_prefix("::").unwrap_or_default();
        if let Some(group) = rest.strip_prefix('{') {
            let group = group.split('}').next().unwrap_or(group);
            named.extend(
                group.split(',').map(str::trim).filter(|part| !word(part).is_empty()).map(|part| format!("{room}::{}", word(part))),
            );
        } else if word(rest).is_empty() {
            named.push(room.to_owned());
        } else {
            named.push(format!("{room}::{}", word(rest)));
        }
    }
    named
}

fn word(text: &str) -> &str {
    let end = text.find(|letter: char| !letter.is_alphanumeric() && letter != '_').unwrap_or(text.len());
    &text[..end]
}

fn names_word(code: &str, name: &str) -> bool {
    let inside = |letter: char| letter.is_alphanumeric() || letter == '_';
    code.match_indices(name).any(|(at, _)| !code[..at].ends_with(inside) && !code[at + name.len()..].starts_with(inside))
}

/// The text up to its test module, which stands last.
fn without_tests(text: &str) -> &str {
    let start = text.match_indices("#[cfg(test)]\n").map(|(at, _)| at).find(|at| {
        let item = text[*at..].lines().nth(1).unwrap_or_default().trim_start();
        (item.starts_with("mod ") || item.starts_with("pub mod ") || item.starts_with("pub(crate) mod ")) && item.ends_with('{')
    });
    &text[..start.unwrap_or(text.len())]
}

/// `src/web/api/runs.rs` is in the room `web`, `src/app.rs` in `app`.
fn room_of(file: &str) -> String {
    let below = file.strip_prefix("src/").unwrap_or(file);
    below.split('/').next().unwrap_or(below).trim_end_matches(".rs").to_owned()
}

/// Every source file by its path from the root, without those that are declared under `#[cfg(test)]`.
fn sources() -> Vec<(String, String)> {
    let root = option_env!("CARGO_MANIFEST_DIR").map_or_else(|| std::env::current_dir().expect("a working folder"), PathBuf::from);
    let mut files = Vec::new();
    gather(&root.join("src"), &mut files);
    files.sort();
    assert!(files.len() > 100, "the sources are not below {}", root.display());
    let for_tests: BTreeSet<PathBuf> = files.iter().flat_map(|(path, text)| declared_for_tests(path, text)).collect();
    let kept =
        files.into_iter().filter(|(path, _)| !for_tests.iter().any(|test| path.starts_with(test) || *path == test.with_extension("rs")));
    kept.map(|(path, text)| (path.strip_prefix(&root).unwrap_or(&path).to_string_lossy().into_owned(), text)).collect()
}

fn declared_for_tests(path: &Path, text: &str) -> Vec<PathBuf> {
    let stem = path.file_stem().unwrap_or_default();
    let home = path.parent().unwrap_or(path);
    let home = if stem == "mod" || stem == "lib" || stem == "main" { home.to_owned() } else { home.join(stem) };
    let pairs = text.lines().zip(text.lines().skip(1)).filter(|(first, _)| first.trim() == "#[cfg(test)]");
    let names = pairs.filter_map(|(_, second)| second.trim().strip_suffix(';')?.rsplit_once("mod ").map(|(_, name)| name));
    names.map(|name| home.join(name)).collect()
}

fn gather(folder: &Path, files: &mut Vec<(PathBuf, String)>) {
    for entry in fs::read_dir(folder).expect("a folder of sources") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            gather(&path, files);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            let text = fs::read_to_string(&path).expect("a source file");
            files.push((path, text));
        }
    }
}
