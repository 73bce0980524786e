//! What is shipped as settings and playbooks is good by the program's own check, with the actions that it really has.

use std::path::{Path, PathBuf};

use reynard::action::catalog;
use reynard::config::check::{Request, Verdict, check};
use reynard::config::diagnostic::Severity;
use reynard::config::secrets::NoSecrets;

#[test]
fn shipped_and_example_files_pass_the_check() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (settings, playbooks, files) in
        [("no.yaml", "playbooks", 7), ("examples/reynard.yaml", "examples/playbooks", 8), ("examples/reynard.yaml", "examples/language", 8)]
    {
        let (settings, playbooks): (PathBuf, PathBuf) = (root.join(settings), root.join(playbooks));
        let request = Request { settings: &settings, playbooks: &playbooks, paths: &[] };
        let checked = check(request, &[], &catalog::specs(), &NoSecrets);
        assert_eq!((checked.verdict, checked.files.len()), (Verdict::Good, files), "{}", checked.diagnostics.to_text(false));
    }
}

/// A folder with one good playbook and one of these bytes, checked as a person would.
fn told(bytes: &[u8]) -> Vec<String> {
    let folder = tempfile::tempdir().expect("a folder");
    let playbooks = folder.path().join("playbooks");
    std::fs::create_dir(&playbooks).expect("a folder");
    std::fs::write(playbooks.join("good.yaml"), "on: {}\nsteps: [ { id: a, wait: 1m } ]\n").expect("written");
    std::fs::write(playbooks.join("x.yaml"), bytes).expect("written");
    let settings = folder.path().join("reynard.yaml");
    let checked = check(Request { settings: &settings, playbooks: &playbooks, paths: &[] }, &[], &catalog::specs(), &NoSecrets);
    assert_eq!(checked.files.len(), 2);
    // Whatever is wrong with one file is said of that file, briefly.
    let faults = || checked.diagnostics.iter().filter(|fault| fault.severity != Severity::Note);
    faults().for_each(|fault| assert!(fault.file.ends_with("x.yaml"), "{fault}"));
    assert!(checked.diagnostics.to_text(false).len() < 200_000);
    faults().map(|fault| format!("{} {}:{} {}", fault.code, fault.line, fault.column, fault.message)).collect()
}

fn steps(step: &str) -> String {
    format!("on: {{}}\nsteps:\n  - {{ id: a, {step} }}\n")
}

#[test]
fn bad_input_is_told_at_its_place() {
    let good = steps("wait: 1m");
    let utf16 = |bom: [u8; 2], bytes: fn(u16) -> [u8; 2]| bom.into_iter().chain(good.encode_utf16().flat_map(bytes)).collect::<Vec<u8>>();
    let latin = [b"# gr\xfc\xdfe\n".as_slice(), good.as_bytes()].concat();
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    (1..9).for_each(|n| bomb += &format!("a{n}: &a{n} [{}]\n", vec![format!("*a{}", n - 1); 10].join(", ")));
    let huge = good.clone() + &"# x\n".repeat(10 * 1024 * 1024 / 4);
    let deep = steps(&format!("action: note, with: {{ text: {}{} }}", "[".repeat(60), "]".repeat(60)));
    let when = |expression: &str| steps(&format!("wait: 1m, when: '{expression}'"));
    let table: Vec<(Vec<u8>, &str)> = vec![
        (utf16([0xff, 0xfe], u16::to_le_bytes), "unreadable-file 1:1 cannot be read: it is UTF-16 text; save it as UTF-8"),
        (utf16([0xfe, 0xff], u16::to_be_bytes), "unreadable-file 1:1 cannot be read: it is UTF-16 text; save it as UTF-8"),
        (latin, "unreadable-file 1:1 cannot be read: it is not UTF-8 text: the byte 0xfc on line 1"),
        (huge.into_bytes(), "yaml-too-large 1:1 the file has"),
        (bomb.into_bytes(), "yaml-too-large "),
        (deep.into_bytes(), "yaml-too-large "),
        ("[".repeat(100_000).into_bytes(), "yaml-syntax "),
        ("on: {}\nsteps:\n\t- { id: a, wait: 1m }\n".into(), "yaml-syntax 3:1 a tab in the margin"),
        ("on: {}\non: {}\nsteps: [ { id: a, wait: 1m } ]".into(), "yaml-duplicate-key 2:1 \"on\" is there twice"),
        ("on: &on {}\nsteps: [ { <<: *on, id: a, wait: 1m } ]".into(), "yaml-unsupported 2:12 merge keys are not read"),
        ("on: &on [*on]\nsteps: [ { id: a, wait: 1m } ]".into(), "yaml-unsupported 1:10 this alias contains itself"),
        ("on: !!map {}\nsteps: [ { id: a, wait: 1m } ]".into(), "yaml-unsupported 1:"),
        (steps("action: http.request, target: x, with: { expect: no }").into(), "unknown-name "),
        (steps("wait: no").into(), "bad-value 3:20 \"no\" is not a length of time"),
        (steps("wait: 1m, retry: { attempts: 010 }").into(), "wrong-type 3:43 this must be a whole number, not a text"),
        (when(&"(".repeat(2_000)).into(), "bad-expression "),
        (when(&"!".repeat(900)).into(), "bad-expression "),
        (when(&format!("{}1 == 1", "1 == 1 || ".repeat(90))).into(), "bad-expression "),
        (when("\"a\".matches(\"(x{1000}){1000}\")").into(), "bad-expression "),
        (when("alerts.exists(a, alerts.exists(b, alerts.exists(c, true)))").into(), "bad-expression "),
        (steps(&format!("action: note, with: {{ text: '{}' }}", "{{ ".repeat(300))).into(), "bad-template "),
        ("on: {}\nsteps: [ { id: a, wait: 1m } ]\n\u{0}".into(), "yaml-"),
        (b"\x00\x01\x02\xff".to_vec(), "unreadable-file "),
    ];
    let mut wrong = Vec::new();
    for (bytes, expected) in table {
        let told = told(&bytes);
        if told.first().is_none_or(|first| !first.starts_with(expected)) {
            let begin: String = String::from_utf8_lossy(&bytes).chars().take(120).collect();
            wrong.push(format!("{begin}\n  wanted {expected}\n  told   {:?}", told.first()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_is_only_unusual_is_taken() {
    let plain = steps("wait: 1m");
    let marked = [b"\xef\xbb\xbf".as_slice(), plain.as_bytes()].concat();
    let windows = plain.replace('\n', "\r\n");
    let anchored = "on: {}\nsteps:\n  - { id: a, wait: &pause 1m }\n  - { id: b, wait: *pause }\n";
    let norway = "on: { match: ['country=\"no\"'] }\nsteps: [ { id: on, title: no, wait: 1m } ]";
    for bytes in [
        marked.as_slice(),
        windows.as_bytes(),
        anchored.as_bytes(),
        norway.as_bytes(),
        "on: {}\nsteps: [ { id: a, wait: 1m, title: 'Grüße 💥' } ]".as_bytes(),
    ] {
        assert_eq!(told(bytes), [""; 0], "{}", String::from_utf8_lossy(bytes));
    }
}
