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

#[test]
fn code_hosts_get_sarif_with_its_essentials() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("x.yaml");
    std::fs::write(&file, "on: {}\nsteps:\n  - { id: a, acton: note }\n  - { id: b, wait: 1m, when: incident.priority == 'P9' }\n")
        .expect("written");
    let checked = run(folder.path(), &["check", "x.yaml", "--format", "sarif"]);
    assert_eq!(checked.status.code(), Some(1));
    let sarif: serde_json::Value = serde_json::from_slice(&checked.stdout).expect("JSON");
    assert_eq!((&sarif["version"], sarif["runs"].as_array().map(Vec::len)), (&"2.1.0".into(), Some(1)));
    let run = &sarif["runs"][0];
    let rules: Vec<&serde_json::Value> = run["tool"]["driver"]["rules"].as_array().expect("rules").iter().map(|rule| &rule["id"]).collect();
    assert_eq!(run["tool"]["driver"]["name"], "reynard");
    for result in run["results"].as_array().expect("results") {
        assert!(rules.contains(&&result["ruleId"]), "{result} has no rule");
        assert!(["error", "warning", "note"].contains(&result["level"].as_str().unwrap_or_default()), "{result}");
        assert!(result["message"]["text"].as_str().is_some_and(|text| !text.is_empty()), "{result}");
        let place = &result["locations"][0]["physicalLocation"];
        assert!(place["artifactLocation"]["uri"].as_str().is_some_and(|uri| uri.ends_with("x.yaml")), "{result}");
        assert!(place["region"]["startLine"].as_u64().is_some_and(|line| line >= 1), "{result}");
        assert!(place["region"]["startColumn"].as_u64() <= place["region"]["endColumn"].as_u64(), "{result}");
    }
}

#[test]
fn warnings_and_notes_are_told_and_are_no_fault() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("x.yaml"), "on: {}\nsteps:\n  - { id: b, wait: 1m, when: incident.priority == 'P9' }\n")
        .expect("written");
    let checked = run(folder.path(), &["check", "x.yaml"]);
    let said = String::from_utf8_lossy(&checked.stdout);
    assert!(checked.status.success(), "{said}");
    assert!(
        said.contains("warning[unreachable-step]: step \"b\" never runs") && said.contains("note: x.yaml: a run takes 1m at most"),
        "{said}"
    );
    let json = run(folder.path(), &["check", "x.yaml", "--format", "json"]);
    let json: serde_json::Value = serde_json::from_slice(&json.stdout).expect("JSON");
    assert_eq!((&json["errors"], &json["warnings"]), (&0.into(), &1.into()));
}

/// Settings whose every address is one that counts who comes.
fn all_at(address: std::net::SocketAddr) -> String {
    format!(
        "signals: {{ queue: {{ prometheus: {{ target: prom, query: up }} }} }}
on_call: {{ schedules: {{ primary: {{ rotations: [ {{ people: [ana], handoff: '0 9 * * MON' }} ] }} }} }}
people: {{ ana: {{ email: ana@example.com, slack: U1 }} }}
channels:
  email: {{ kind: email, smtp: 'smtp://{address}', from: a@example.com }}
  chat: {{ kind: slack, url: 'http://{address}/chat' }}
  hook: {{ kind: webhook, url: 'http://{address}/hook' }}
targets:
  db: {{ kind: postgres, url: 'postgres://u@{address}/d' }}
  web: {{ kind: http, url: 'http://{address}' }}
  prom: {{ kind: prometheus, url: 'http://{address}' }}
commands: {{ touch: {{ program: /usr/bin/touch, args: [made] }} }}
egress: {{ allow: ['127\\.0\\.0\\.1'] }}
"
    )
}

const EVERYTHING: &str = "on: {}
limits: { concurrency: 1 }
steps:
  - { id: protect, action: postgres.read_only, target: db, undo: on_failure }
  - { id: call, action: http.request, target: web, with: { method: POST, path: '/{{ incident.service }}' } }
  - { id: look, action: http.check, target: web, on_failure: continue }
  - { id: ask, action: prometheus.query, target: prom, with: { query: up }, on_failure: continue }
  - { id: knock, action: tcp.connect, with: { address: 'ADDRESS' }, on_failure: continue }
  - { id: start, action: command.run, with: { command: touch } }
  - { id: tell, action: notify, with: { to: [on-call, hook, chat], text: 'so' } }
  - { id: end, action: http.request, target: web, with: { method: POST } }
";

#[test]
fn a_simulation_reaches_nobody_and_live_reads_only_look() {
    let folder = tempfile::tempdir().expect("a folder");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.set_nonblocking(true).expect("it does not wait");
    let address = listener.local_addr().expect("an address");
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("written");
    write("reynard.yaml", &all_at(address));
    write("x.yaml", &EVERYTHING.replace("ADDRESS", &address.to_string()));
    let simulated = run(folder.path(), &["simulate", "x.yaml", "--alert", "service-down", "--answer", "end=failed", "--format", "json"]);
    assert!(simulated.status.success(), "{}", String::from_utf8_lossy(&simulated.stderr));
    let report: serde_json::Value = serde_json::from_slice(&simulated.stdout).expect("JSON");
    let calls: Vec<&str> = report["calls"].as_array().expect("calls").iter().filter_map(|call| call["step"].as_str()).collect();
    assert_eq!(calls, ["protect", "call", "look", "ask", "knock", "start", "end", "protect"], "{report:#}");
    assert_eq!(report["calls"][1]["with"]["path"], "/inventory");
    assert_eq!(report["calls"][7]["undo"], true);
    let told: Vec<&str> = report["told"].as_array().expect("told").iter().filter_map(|told| told["channel"].as_str()).collect();
    assert!(["email", "chat", "hook"].iter().all(|channel| told.contains(channel)), "{told:?}");
    assert!(listener.accept().is_err(), "a simulation has called somebody");
    assert!(!folder.path().join("made").exists() && !Path::new("/made").exists());
    // The same with looks that are real: now somebody comes, and what changes something still does not.
    let begun = std::thread::spawn(move || {
        let mut asked = Vec::new();
        listener.set_nonblocking(false).expect("it waits");
        while let Ok((mut stream, _)) = listener.accept() {
            let mut request = [0; 512];
            let read = io::Read::read(&mut stream, &mut request).unwrap_or(0);
            let first = String::from_utf8_lossy(&request[..read]).lines().next().unwrap_or_default().to_owned();
            if first == "END" {
                break;
            }
            asked.push(first);
            let _ = io::Write::write_all(&mut stream, b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}");
        }
        asked
    });
    let live = run(folder.path(), &["simulate", "x.yaml", "--alert", "service-down", "--live-reads"]);
    assert!(live.status.success(), "{}", String::from_utf8_lossy(&live.stderr));
    io::Write::write_all(&mut std::net::TcpStream::connect(address).expect("it listens"), b"END\n").expect("said");
    let asked = begun.join().expect("it ends");
    assert!(asked.iter().any(|line| line.starts_with("GET / ")) && !asked.iter().any(|line| line.starts_with("POST / ")), "{asked:?}");
}

#[test]
fn a_simulation_reads_standard_input_and_says_what_is_wrong() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut child = reynard(folder.path(), &["simulate", "service_down", "--alert", "-"]);
    let mut child = child.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it starts");
    let body = br#"{"version": "4", "alerts": [{"status": "firing", "labels": {"alertname": "ServiceDown", "service": "x"}, "startsAt": "2026-11-24T03:12:00Z"}]}"#;
    io::Write::write_all(&mut child.stdin.take().expect("a pipe"), body).expect("it reads");
    let said = child.wait_with_output().expect("it ends");
    let text = String::from_utf8_lossy(&said.stdout);
    assert!(said.status.success() && text.contains("P1 service_down by rule service-down") && text.contains("Nothing was sent"), "{text}");
    for (arguments, why) in [
        (&["simulate", "nope", "--alert", "service-down"][..], "there is no good playbook \"nope\""),
        (&["simulate", "service_down", "--alert", "nope"], "neither a file nor one of"),
        (&["simulate", "service_down", "--alert", "service-down", "--answer", "nope=failed"], "has no step \"nope\""),
        (&["simulate", "service_down", "--alert", "service-down", "--answer", "tell=maybe"], "\"maybe\" is no answer"),
        (&["simulate", "service_down", "--alert", "service-down", "--signals", "x=many"], "many is not a number"),
    ] {
        let said = run(folder.path(), arguments);
        let text = String::from_utf8_lossy(&said.stderr);
        assert!(said.status.code() == Some(2) && text.contains(why), "{arguments:?}: {text}");
    }
}

/// Everything that the newer half of the language has.
const BRANCHES: &str = "on: { manual: true }
timeout: 2h
vars: { drain: { type: duration, default: 5m }, hosts: { type: texts, default: [] }, loud: { type: bool, default: false } }
limits: { concurrency: 1 }
steps:
  - { id: ask, approval: { by: [ana, bo], expires: 10m, otherwise: fail } }
  - parallel:
      - { id: pause, wait: '{{ vars.drain }}' }
      - [ { id: protect, action: postgres.read_only, target: db, undo: on_failure }, { id: inner, action: playbook.run, with: { playbook: y } } ]
  - { id: each, for_each: vars.hosts, as: host, action: tcp.connect, with: { address: '{{ host }}:22' }, max: 2, on_failure: continue }
  - { id: shout, when: vars.loud, action: notify, with: { to: [bo], text: '{{ steps.each.status }}' } }
  - { id: end, action: tcp.connect, with: { address: 'x:1' } }
";

const SMALL: &str = "people: { ana: { email: a@example.com }, bo: { email: b@example.com } }
channels: { email: { kind: email, smtp: 'smtp://127.0.0.1:1', from: a@example.com } }
targets: { db: { kind: postgres, url: 'postgres://u@127.0.0.1/d' } }
";

#[test]
fn a_simulation_plays_branches_lists_approvals_and_other_playbooks() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        std::fs::write(path, text).expect("written");
    };
    write("reynard.yaml", SMALL);
    write("playbooks/x.yaml", BRANCHES);
    // It would start by itself for the same alert, and here only runs as a part of the other.
    write("playbooks/y.yaml", "on: { type: service_down }\nsteps: [ { id: below, action: dns.resolve, with: { name: x } } ]");
    let simulated = |more: &[&str]| {
        let said = run(folder.path(), &[&["simulate", "x", "--alert", "service-down", "--format", "json"], more].concat());
        assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
        serde_json::from_slice::<serde_json::Value>(&said.stdout).expect("JSON")
    };
    let steps = |report: &serde_json::Value| -> Vec<String> {
        let calls = report["calls"].as_array().expect("calls").iter();
        calls
            .map(|call| format!("{}{}", call["step"].as_str().unwrap_or_default(), if call["undo"] == true { " undone" } else { "" }))
            .collect()
    };
    let kinds = |report: &serde_json::Value, kind: &str| {
        let entries = report["timeline"].as_array().expect("a timeline").iter();
        entries.filter(|entry| entry["kind"] == kind).map(|entry| entry["after_ms"].as_u64().unwrap_or(0)).collect::<Vec<_>>()
    };
    let vars = ["--var", "drain=1h", "--var", "hosts=[\"a\", \"b\", \"c\"]", "--var", "loud=true"];
    let report = simulated(&[&["--answer", "ask=approved", "--answer", "each.2=failed"], &vars[..]].concat());
    assert_eq!(steps(&report), ["protect", "below", "each.1", "each.2", "end"], "{report:#}");
    assert_eq!((&report["calls"][3]["with"]["address"], &report["calls"][3]["after_ms"]), (&"b:22".into(), &3_600_000.into()));
    assert_eq!((&report["starts"], &report["beside"]), (&false.into(), &serde_json::json!(["y"])));
    assert!(report["told"].as_array().is_some_and(|told| told.iter().any(|one| one["text"] == "failed")), "{report:#}");
    // How long the wait is, a hole decides; but the whole has two hours.
    assert_eq!((kinds(&report, "run_succeeded").len(), &report["at_most_ms"]), (2, &7_200_000.into()));
    // Taken back when something after it fails.
    assert_eq!(steps(&simulated(&["--answer", "ask=approved", "--answer", "end=failed"])), ["protect", "below", "end", "protect undone"]);
    // Nobody answers, and somebody says no.
    let expired = simulated(&[]);
    assert_eq!((steps(&expired).len(), kinds(&expired, "run_failed")), (0, vec![600_000]));
    let rejected = simulated(&["--answer", "ask=rejected"]);
    assert_eq!((steps(&rejected).len(), kinds(&rejected, "rejected")), (0, vec![0]));
    for (more, why) in [
        (&["--var", "drian=5m"][..], "takes no var \"drian\""),
        (&["--var", "drain=soon"], "must be a length of time"),
        (&["--answer", "end=approved"], "asks nobody for a yes"),
    ] {
        let said = run(folder.path(), &[&["simulate", "x", "--alert", "service-down"], more].concat());
        assert!(said.status.code() == Some(2) && String::from_utf8_lossy(&said.stderr).contains(why), "{why}: {said:?}");
    }
}

#[test]
fn a_test_answers_requests_branches_items_and_what_takes_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        std::fs::write(path, text).expect("written");
    };
    write("reynard.yaml", SMALL);
    write("playbooks/x.yaml", BRANCHES);
    write("playbooks/y.yaml", "on: {}\nsteps: [ { id: below, action: dns.resolve, with: { name: x } } ]");
    write(
        "playbooks/tests/x.yaml",
        "tests:
  - name: What was approved is done side by side, each item by itself
    given:
      - { sample: service-down }
      - { at: 1m, by: cy, does: start, playbook: x, vars: { hosts: [a, b], loud: true } }
      - { at: 3m, by: ana, does: approve, step: ask, note: go }
    answers: { each.2: failed }
    for: 2h
    expect:
      timeline: [ approval_requested, { kind: approved, by: ana, at: 3m }, { kind: step_succeeded, step: pause, at: 8m }, { kind: step_failed, step: each.2 }, run_succeeded ]
      calls: [ { step: below, times: 1 }, { step: each.1, with: { address: 'a:22' } } ]
      told: [ bo by email ]
  - name: A no ends it
    given: [ { sample: service-down }, { does: start, playbook: x } ]
    answers: { ask: { rejected: too risky, by: bo, after: 2m } }
    expect: { timeline: [ { kind: rejected, by: bo, says: too risky, at: 2m }, run_failed ], no_calls: [ { step: protect } ] }
  - name: Whoever asked does not say yes
    given: [ { sample: service-down }, { by: ana, does: start, playbook: x } ]
    answers: { ask: { approved: true, by: ana } }
    expect: { timeline: [ { kind: commented, says: somebody else must }, run_failed ], never: [ approved ] }
  - name: What takes back is tried again
    given: [ { sample: service-down }, { does: start, playbook: x } ]
    answers: { ask: approved, end: failed, 'protect:undo': [ { retry: busy }, succeeded ] }
    for: 2h
    expect:
      timeline: [ run_failed, { kind: step_failed, step: protect, says: busy }, { kind: step_undone, step: protect } ]
      calls: [ { step: protect, undo: true, times: 2 }, { step: protect, undo: false, times: 1 } ]
  - name: A crash while two branches are at work cuts off both
    given: [ { sample: service-down }, { does: start, playbook: x } ]
    answers: { ask: approved, protect: [ { crash: true, after: 5s }, succeeded ] }
    for: 2h
    expect: { timeline: [ recovered, { kind: step_succeeded, step: protect }, run_succeeded ], calls: [ { step: protect, times: 2 } ] }
",
    );
    let said = run(folder.path(), &["test"]);
    let text = String::from_utf8_lossy(&said.stdout);
    assert!(said.status.success() && text.contains("5 tests: 5 good"), "{text}");
}

#[test]
fn a_fault_of_a_test_has_its_line_and_the_nearest_entry_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let tested = |text: &str| {
        std::fs::write(folder.path().join("x.yaml"), text).expect("written");
        let said = run(folder.path(), &["test", "x.yaml"]);
        (said.status.code(), String::from_utf8_lossy(&said.stdout).into_owned())
    };
    let head = "tests:\n- name: a story\n  given:\n  - { sample: service-down }\n";
    for (rest, code, expected) in [
        (
            "  - { at: 1m, does: dance }\n  expect: { status: triggered }\n",
            2,
            "5:5: it cannot be played: nobody can \"dance\" here; known are",
        ),
        ("  expects: { status: triggered }\n", 2, "unknown field `expects`"),
        (
            "  answers:\n    nope: failed\n  expect: { status: triggered }\n",
            2,
            "6:11: it cannot be played: no playbook here has a step \"nope\"",
        ),
        ("  answers: { tell: approved }\n  expect: { status: triggered }\n", 2, "asks nobody for a yes"),
        ("  expect:\n    priority: P1\n    status: resolved\n", 1, "7:13: expected status resolved, it is triggered"),
        (
            "  expect:\n    timeline:\n    - opened\n    - { kind: step_succeeded, step: first_look, at: 5s }\n",
            1,
            "8:7: the timeline is another",
        ),
        ("  expect:\n    timeline:\n    - { kind: step_succeeded, step: first_look, at: 5s }\n", 1, "(at another time)"),
        ("  expect:\n    timeline: [ { kind: commented, says: nothing of the kind } ]\n", 1, "(it does not say \"nothing of the kind\")"),
        ("  expect:\n    timeline: [ run_succeeded, opened ]\n", 1, "opened  Opened: Service is down, which comes earlier"),
    ] {
        let (status, text) = tested(&format!("{head}{rest}"));
        assert!(status == Some(code) && text.contains(expected), "{rest}\n  wanted {expected}\n  told {status:?} {text}");
    }
}

#[test]
fn a_planted_mistake_in_a_shipped_playbook_fails_its_tests() {
    let shipped = |name: &str| std::fs::read_to_string(root().join("playbooks").join(name)).expect("a playbook");
    for (name, good, bad) in [
        ("service_down.yaml", "when: steps.first_look.status == \"failed\"", "when: steps.first_look.status == \"succeeded\""),
        ("service_down.yaml", "wait: 30s", "wait: 3m"),
        ("database_connection_failure.yaml", "when: incident.priority == \"P1\"", "when: incident.priority == \"P2\""),
        ("database_connection_failure.yaml", "priority: [P1, P2]", "priority: [P1, P2, P3]"),
        ("external_api_failure.yaml", "on_failure: continue", "on_failure: stop"),
        ("high_memory_usage.yaml", "priority: [P1, P2]", "priority: [P1]"),
        ("high_error_rate.yaml", "when: incident.priority == \"P1\" || incident.priority == \"P2\"", "when: incident.priority != \"P9\""),
        ("service_timeout.yaml", "name: \"{{ labels.upstream_host }}\"", "name: \"{{ incident.service }}\""),
        ("unknown.yaml", "No playbook is written", "A playbook is written"),
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        assert!(run(folder.path(), &["init"]).status.success());
        let text = shipped(name);
        assert!(text.contains(good), "{name} has no {good}");
        std::fs::write(folder.path().join("playbooks").join(name), text.replace(good, bad)).expect("written");
        let said = run(folder.path(), &["test"]);
        assert_eq!(said.status.code(), Some(1), "{name}: {bad} is not seen: {}", String::from_utf8_lossy(&said.stdout));
    }
}

#[test]
fn a_planted_mistake_in_an_example_fails_its_tests() {
    let folder = tempfile::tempdir().expect("a folder");
    assert!(run(folder.path(), &["init"]).status.success());
    let tested = || run(folder.path(), &["test", "examples/playbooks/tests"]);
    let good = tested();
    assert!(good.status.success(), "what init writes: {}", String::from_utf8_lossy(&good.stdout));
    for (name, good, bad) in [
        ("database_connection_failure.yaml", "undo: on_resolve", "undo: never"),
        ("database_connection_failure.yaml", "retry: { attempts: 3, backoff: 2s }", "retry: { attempts: 2, backoff: 2s }"),
        ("database_connection_failure.yaml", "on_failure: escalate", "on_failure: stop"),
        ("external_api_failure.yaml", "on_interrupt: ask", "on_interrupt: fail"),
        ("external_api_failure.yaml", " && incident.service == \"orders\"", ""),
        ("high_error_rate.yaml", "on_failure: escalate", "on_failure: continue"),
        ("high_memory_usage.yaml", "command: memory-report", "command: restart-unit"),
        ("service_down.yaml", "wait: 30s", "wait: 3s"),
        ("service_timeout.yaml", "when: incident.service == \"orders\"", "when: incident.service == \"shop\""),
        ("unknown.yaml", "Knocking at the instance:", "Knocking at it:"),
    ] {
        let path = folder.path().join("examples/playbooks").join(name);
        let text = std::fs::read_to_string(&path).expect("a playbook");
        assert!(text.contains(good), "{name} has no {good}");
        std::fs::write(&path, text.replace(good, bad)).expect("written");
        let said = tested();
        assert_eq!(said.status.code(), Some(1), "{name}: {bad} is not seen: {}", String::from_utf8_lossy(&said.stdout));
        std::fs::write(&path, text).expect("written");
    }
}

#[test]
fn every_shipped_playbook_has_tests_and_keeps_them() {
    for (folder, arguments) in [("playbooks", &["test"][..]), ("examples/playbooks", &["test", "examples/playbooks/tests"])] {
        let said = run(root(), arguments);
        assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stdout));
        for playbook in std::fs::read_dir(root().join(folder)).expect("a folder").map(|entry| entry.expect("an entry").path()) {
            let tests = root().join(folder).join("tests").join(playbook.file_name().expect("a name"));
            assert!(!playbook.is_file() || tests.exists(), "{} has no tests", playbook.display());
        }
    }
}

#[test]
fn a_test_that_fails_shows_the_timeline_and_where_it_is_another() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("x.yaml");
    let story = |expect: &str| format!("tests:\n- name: a story\n  given: [ {{ sample: service-down }} ]\n  expect: {{ {expect} }}\n");
    let tested = |text: &str, format: &str| {
        std::fs::write(&file, text).expect("written");
        let said = run(folder.path(), &["test", "x.yaml", "--format", format]);
        (said.status.code(), String::from_utf8_lossy(&said.stdout).into_owned())
    };
    assert_eq!(tested(&story("timeline: [ opened, run_succeeded ]"), "text").0, Some(0));
    let (code, text) = tested(&story("timeline: [ opened, { kind: step_failed, step: first_look } ]"), "text");
    assert_eq!(code, Some(1));
    assert!(
        text.contains("\u{2713}    00:00  opened") && text.contains("- step_failed of first_look   \u{2190} expected from here on"),
        "{text}"
    );
    assert_eq!(tested(&story("no_calls: [ {} ]"), "text").0, Some(1));
    assert_eq!(tested(&story("never: [ run_succeeded ]"), "text").0, Some(1));
    assert_eq!(tested(&story("priority: P4"), "text").0, Some(1));
    assert_eq!(tested(&story("told: [ ana by email ]"), "text").0, Some(1));
    let (code, xml) = tested(&story("status: resolved"), "junit");
    assert!(code == Some(1) && xml.contains("failures=\"1\"") && xml.contains("expected status resolved, it is triggered"), "{xml}");
    assert_eq!(tested("tests: [ { name: x } ]", "text").0, Some(2));
    assert_eq!(tested(&story("timline: []"), "text").0, Some(2));
}

/// Makes a line from what is piped in; the exit code, and what it said where.
fn password(folder: &Path, piped: &str) -> (Option<i32>, String, String) {
    let mut command = reynard(folder, &["password"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    io::Write::write_all(&mut child.stdin.take().expect("a pipe"), piped.as_bytes()).expect("it reads");
    let said = child.wait_with_output().expect("it ends");
    (said.status.code(), String::from_utf8_lossy(&said.stdout).into_owned(), String::from_utf8_lossy(&said.stderr).into_owned())
}

#[test]
fn a_password_is_made_into_the_line_that_the_settings_take() {
    let folder = tempfile::tempdir().expect("a folder");
    let (code, line, _) = password(folder.path(), "correct horse battery staple\n");
    assert_eq!(code, Some(0), "{line}");
    assert!(line.starts_with("password: \"$argon2id$") && line.lines().count() == 1 && !line.contains("horse"), "{line}");
    let (_, again, _) = password(folder.path(), "correct horse battery staple");
    assert_ne!(line, again, "each has a salt of its own");
    let settings = |line: &str| format!("server: {{ sign_in: all }}\npeople:\n  ana:\n    email: ana@example.com\n    {line}\n");
    std::fs::write(folder.path().join("reynard.yaml"), settings(line.trim())).expect("written");
    let said = run(folder.path(), &["check"]);
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stdout));
    std::fs::write(folder.path().join("reynard.yaml"), settings("password: hunter2hunter2")).expect("written");
    let said = run(folder.path(), &["check"]);
    let words = String::from_utf8_lossy(&said.stdout).into_owned() + &String::from_utf8_lossy(&said.stderr);
    assert!(!said.status.success() && words.contains("bad-password") && words.contains("reynard.yaml:5"), "{words}");
}

#[test]
fn silly_passwords_and_none_at_all_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    for silly in ["short\n", "password1234\n", "\n"] {
        let (code, line, why) = password(folder.path(), silly);
        assert_eq!((code, line.as_str()), (Some(1), ""), "{why}");
        assert!(why.contains("not taken"), "{why}");
    }
    assert_eq!(password(folder.path(), "").0, Some(2));
}
