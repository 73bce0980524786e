//! The commands as people meet them: the program itself, started, and what it says. Needs no server.

use std::io;
use std::path::Path;
use std::process::{Command, Output, Stdio};

fn reynard(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_reynard"));
    command.args(arguments).current_dir(folder).env_remove("REYNARD_CONFIG").env_remove("REYNARD_PLAYBOOKS").stdin(Stdio::null());
    command
}

fn run(folder: &Path, arguments: &[&str]) -> Output {
    reynard(folder, arguments).output().expect("it starts")
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn a_reader_that_goes_away_ends_no_command_in_a_panic() {
    let folder = tempfile::tempdir().expect("a folder");
    let made = folder.path().join("made").display().to_string();
    for arguments in [
        &["check"][..],
        &["check", "--format", "json"],
        &["check", "--format", "sarif"],
        &["schema", "playbook"],
        &["fire"],
        &["init", &made],
        &["--help"],
    ] {
        let (gone, stdout) = io::pipe().expect("a pipe");
        drop(gone);
        let ended = reynard(root(), arguments).stdout(stdout).stderr(Stdio::piped()).output().expect("it starts");
        let said = String::from_utf8_lossy(&ended.stderr);
        assert!(ended.status.success() && !said.contains("panicked"), "{arguments:?}: {} {said}", ended.status);
    }
}

#[test]
fn what_init_writes_is_good_and_editors_find_its_schemas_without_a_network() {
    let folder = tempfile::tempdir().expect("a folder");
    assert!(run(folder.path(), &["init"]).status.success());
    let text = |path: &str| std::fs::read_to_string(folder.path().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
    for path in ["reynard.example.yaml", "playbooks/service_down.yaml", "examples/playbooks/service_down.yaml"] {
        let first = text(path).lines().next().unwrap_or_default().to_owned();
        let named = first.strip_prefix("# yaml-language-server: $schema=").unwrap_or_else(|| panic!("{path}: {first}"));
        assert!(folder.path().join(path).with_file_name(named).exists(), "{path}: there is no {named}");
    }
    let checked = run(folder.path(), &["check", "--config", "reynard.example.yaml"]);
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stdout));
}
