//! What the papers show, held against the program: every YAML block is checked, every code has a wrong and a right example, what is
//! generated is what the types say. With `REYNARD_UPDATE=1` what is generated is written anew.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use reynard::action::catalog;
use reynard::config::check;
use reynard::config::diagnostic::{Code, Diagnostic, Severity};
use reynard::config::files::{Files, TextFile};
use reynard::config::load;
use reynard::config::reference;
use reynard::config::secrets::Secrets;
use reynard::domain::settings::Settings;

use crate::papers::{Block, blocks, papers, root};

/// The secrets that the examples name.
struct Known;

impl Secrets for Known {
    fn env(&self, name: &str) -> Option<String> {
        ["SLACK_URL", "ORDERS_ADMIN_URL", "REYNARD_PROD_TOKEN"].contains(&name).then(|| "https://hooks.example.com/x".to_owned())
    }

    fn file(&self, path: &str) -> Result<String, String> {
        Err(format!("{path} is not there"))
    }
}

/// The settings that the examples live with.
fn settings() -> Settings {
    let file = TextFile::read(&root().join("examples/reynard.yaml"));
    let drain = "on: {}\nvars: { drain: { type: duration, default: 5m } }\nsteps: [ { id: pause, wait: '{{ vars.drain }}' } ]\n";
    let playbooks = vec![TextFile::new("drain.yaml", drain)];
    let loaded = load::load(&Files { settings: Some(file), playbooks }, &catalog::specs(), &Known, None);
    loaded.settings.expect("the example settings are good")
}

/// What the check says of a block: of a whole playbook, of some steps or fields of one, of settings.
fn told(text: &str, settings: &Settings) -> Vec<Diagnostic> {
    if text.contains("# playbooks/") {
        return told_of_files(text);
    }
    let first = text.lines().find(|line| !line.trim().is_empty() && !line.starts_with('#')).unwrap_or_default();
    let begins = |names: &[&str]| names.iter().any(|name| first.starts_with(&format!("{name}:")));
    if text.starts_with("# reynard.yaml") || begins(&["people", "channels", "targets", "sources", "escalation", "server", "database"]) {
        let files = Files { settings: Some(TextFile::new("reynard.yaml", text)), playbooks: Vec::new() };
        return load::load(&files, &catalog::specs(), &Known, None).diagnostics.iter().cloned().collect();
    }
    let indented: String = text.lines().map(|line| format!("  {line}\n")).collect();
    let has = |name: &str| text.lines().any(|line| line.starts_with(&format!("{name}:")));
    let mut whole = if first.starts_with("- ") { format!("limits: {{ concurrency: 1 }}\nsteps:\n{indented}") } else { text.to_owned() };
    if !has("on") && !has("steps") {
        whole = format!("on: {{}}\n{whole}");
    }
    if !has("steps") && !first.starts_with("- ") {
        whole.push_str("steps: [ { id: pause, wait: 5m } ]\n");
    }
    check::one("example.yaml", &whole, settings).iter().cloned().collect()
}

/// What the check says of the playbooks of a block that has several files.
fn told_of_files(text: &str) -> Vec<Diagnostic> {
    let mut parts = text.split("# playbooks/");
    let settings = parts.next().filter(|settings| !settings.is_empty()).map(|settings| TextFile::new("reynard.yaml", settings));
    let playbooks = parts.filter_map(|part| part.split_once('\n')).map(|(name, text)| TextFile::new(format!("playbooks/{name}"), text));
    let files = Files { settings, playbooks: playbooks.collect() };
    files.playbooks.iter().flat_map(|file| check::among(&files, &file.path, &catalog::specs(), &Known).0).collect()
}

fn codes(found: &[Diagnostic]) -> BTreeSet<Code> {
    found.iter().filter(|fault| fault.severity != Severity::Note).map(|fault| fault.code).collect()
}

fn words(found: &[Diagnostic]) -> String {
    found.iter().map(|fault| format!("{fault} [{}]\n", fault.code)).collect()
}

#[test]
fn every_yaml_block_of_the_docs_is_good() {
    let settings = settings();
    let mut checked = 0;
    for block in papers().iter().flat_map(|paper| blocks(paper)).filter(|block| block.is("yaml")) {
        // What is for other programs says so; stories and the files of the guide have tests of their own.
        if block.is("wrong") || block.is("alertmanager") || block.text.contains("\ntests:") || block.file().is_some() {
            continue;
        }
        let found = told(&block.text, &settings);
        assert!(codes(&found).is_empty(), "{}:\n{}\n{}", block.place, block.text, words(&found));
        checked += 1;
    }
    assert!(checked > 40, "{checked}");
}

#[test]
fn every_story_of_the_docs_is_played() {
    let folder = tempfile::tempdir().expect("a folder");
    let stories: Vec<Block> =
        papers().iter().flat_map(|paper| blocks(paper)).filter(|block| block.text.contains("\ntests:") && block.file().is_none()).collect();
    for block in &stories {
        let file = folder.path().join("story.yaml");
        fs::write(&file, &block.text).expect("it is written");
        let said =
            Command::new(env!("CARGO_BIN_EXE_reynard")).arg("test").arg(&file).current_dir(folder.path()).output().expect("it starts");
        assert!(said.status.success(), "{}: {}", block.place, String::from_utf8_lossy(&said.stdout));
    }
    assert!(!stories.is_empty());
}

/// The section of a page that begins with this heading.
fn section<'a>(page: &'a str, heading: &str) -> Option<&'a str> {
    let start = page.find(&format!("\n{heading}\n"))? + 1;
    let level = heading.split(' ').next()?;
    let end = page[start + 1..].match_indices("\n#").map(|(at, _)| start + 1 + at).find(|at| {
        let next = page[at + 1..].split(' ').next().unwrap_or_default();
        // A comment in a block is no heading of a page.
        (2..=level.len()).contains(&next.len())
    });
    Some(&page[start..end.unwrap_or(page.len())])
}

#[test]
fn every_code_has_an_example_that_gives_it_and_one_that_does_not() {
    let (settings, page) = (settings(), root().join("docs/checks.md"));
    let text = fs::read_to_string(&page).expect("the page");
    let all = blocks(&page);
    let mut faults = String::new();
    for code in Code::ALL {
        let section = section(&text, &format!("### {code}")).unwrap_or_else(|| panic!("{code} is not explained"));
        let of = |kind: &str| all.iter().filter(|block| block.is(kind) && section.contains(block.text.as_str())).collect::<Vec<_>>();
        // Not to be shown so: a text that is none, a note that every playbook gets, what only the past tells, what nothing gives now.
        let hindsight = matches!(*code, Code::NeverFalse | Code::NeverTrue | Code::OftenMissing);
        if hindsight || matches!(*code, Code::UnreadableFile | Code::WorstCase | Code::NotYetSupported) {
            continue;
        }
        let (wrong, right) = (of("wrong"), of("right"));
        if wrong.is_empty() || right.is_empty() {
            faults.push_str(&format!("{code} lacks an example\n"));
        }
        for block in wrong {
            let found = told(&block.text, &settings);
            if codes(&found) != [*code].into() {
                faults.push_str(&format!("{}: wanted {code}, told\n{}\n", block.place, words(&found)));
            }
        }
        for block in right {
            let found = told(&block.text, &settings);
            if !codes(&found).is_empty() {
                faults.push_str(&format!("{}: wanted nothing, told\n{}\n", block.place, words(&found)));
            }
        }
    }
    assert!(faults.is_empty(), "{faults}");
}

#[test]
fn what_cannot_be_shown_as_text_gives_its_code_all_the_same() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("x.yaml");
    fs::write(&file, b"title: caf\xe9\non: {}\nsteps: [ { id: a, wait: 1m } ]\n").expect("it is written");
    let found = load::load(&Files { settings: None, playbooks: vec![TextFile::read(&file)] }, &catalog::specs(), &Known, None).diagnostics;
    assert_eq!(found.iter().map(|fault| fault.code).collect::<Vec<_>>(), [Code::UnreadableFile]);
    let found = told("on: {}\nsteps: [ { id: a, wait: 1m } ]\n", &settings());
    assert_eq!(found.iter().map(|fault| fault.code).collect::<Vec<_>>(), [Code::WorstCase]);
}

#[test]
fn the_reference_says_what_the_types_say_and_has_an_example_of_every_action() {
    let path = root().join("docs/playbooks.md");
    let page = fs::read_to_string(&path).expect("the page");
    let specs = catalog::specs();
    let (fresh, unknown) = reference::renew(&page, &specs);
    assert_eq!(unknown, Vec::<String>::new(), "marks that stand for nothing, or things without a mark");
    if std::env::var_os("REYNARD_UPDATE").is_some() {
        fs::write(&path, &fresh).expect("it is written");
    } else {
        assert!(fresh == page, "docs/playbooks.md is old: REYNARD_UPDATE=1 cargo test --test docs");
    }
    for spec in specs.iter() {
        let section = section(&fresh, &format!("### {}", spec.name)).unwrap_or_else(|| panic!("{} has no section", spec.name));
        let shown = section.contains("```yaml")
            && (section.contains(&format!("action: {}", spec.name)) || section.contains(&format!("{}: ", spec.name)));
        assert!(shown, "{} has no example", spec.name);
    }
}
