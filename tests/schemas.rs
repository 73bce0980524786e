//! The schemas for editors, held against files by a validator that is not ours: the shipped files pass, mistakes do not, and what the
//! reader of a file knows is what its schema knows.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use boon::{Compiler, SchemaIndex, Schemas};
use reynard::action::catalog;
use reynard::app::{self, Kind};
use reynard::config::diagnostic::Code;
use reynard::config::files::{Files, TextFile};
use reynard::config::load;
use reynard::config::secrets::NoSecrets;
use serde_json::Value;

struct Schema(Schemas, SchemaIndex);

impl Schema {
    fn of(kind: Kind) -> Self {
        let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
        compiler.enable_format_assertions();
        compiler.add_resource("mem:///schema.json", serde_json::from_str(&app::schema(kind)).expect("JSON")).expect("a resource");
        let index = compiler.compile("mem:///schema.json", &mut schemas).expect("a schema of the draft that it names");
        Self(schemas, index)
    }

    fn told(&self, value: &Value) -> Result<(), String> {
        self.0.validate(value, self.1).map_err(|error| format!("{error:#}"))
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn yaml(text: &str) -> Value {
    reynard::config::yaml::parse(text).expect("YAML").to_json()
}

fn folder(folder: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(root().join(folder)).expect("a folder").map(|entry| entry.expect("an entry").path());
    let mut files: Vec<PathBuf> = entries.filter(|path| path.extension().is_some_and(|ending| ending == "yaml")).collect();
    files.sort();
    files
}

#[test]
fn the_schemas_that_lie_beside_the_files_are_those_that_the_program_prints() {
    for kind in Kind::ALL {
        let path = root().join("schemas").join(kind.file());
        let kept = fs::read_to_string(&path).unwrap_or_default();
        assert!(kept == app::schema(kind), "{} is old: cargo run -- schema … > {}", path.display(), path.display());
    }
}

#[test]
fn every_shipped_and_example_file_keeps_to_its_schema_and_says_where_it_lies() {
    let (playbook, config) = (Schema::of(Kind::Playbook), Schema::of(Kind::Config));
    let files = folder("playbooks").into_iter().chain(folder("examples/playbooks")).map(|path| (&playbook, path));
    let test = Schema::of(Kind::Test);
    let tests = folder("playbooks/tests").into_iter().chain(folder("examples/playbooks/tests")).map(|path| (&test, path));
    for (schema, path) in files.chain(tests).chain([(&config, root().join("examples/reynard.yaml"))]) {
        let text = fs::read_to_string(&path).expect("a file");
        schema.told(&yaml(&text)).unwrap_or_else(|fault| panic!("{}: {fault}", path.display()));
        let line = text.lines().next().unwrap_or_default();
        let named = line.strip_prefix("# yaml-language-server: $schema=").unwrap_or_else(|| panic!("{}: {line}", path.display()));
        assert!(path.with_file_name(named).exists(), "{}: there is no {named}", path.display());
    }
    let samples = root().join("src/config/samples");
    for (schema, name) in [(&playbook, "database_connection_failure.yaml"), (&config, "reynard.yaml")] {
        let text = fs::read_to_string(samples.join(name)).expect("a sample").replace("pgbouncer.", "postgres.");
        schema.told(&yaml(&text)).unwrap_or_else(|fault| panic!("{name}: {fault}"));
    }
}

#[test]
fn an_editor_marks_what_the_check_would_say() {
    let schema = Schema::of(Kind::Playbook);
    let step = |step: &str| yaml(&format!("on: {{}}\nsteps:\n  - {{ {step} }}\n"));
    for good in [
        "id: a, wait: 5m",
        "id: a, wait: '{{ signals.pause }}'",
        "id: a, action: note, with: { text: so }",
        "id: a, action: postgres.read_only, target: db, with: { enabled: '{{ labels.x == \"y\" }}', scope: system }, undo: after 30m",
        "id: a, action: http.check, with: { url: 'https://x' }",
        "id: a, action: http.request, target: x, with: { expect: [200, 204] }, on_interrupt: check, check: { action: http.check, target: x }",
        "id: a, approval: { by: operator }",
        "id: a, approval: { by: [ana, on-call], expires: 10m, otherwise: skip }, action: postgres.read_only, target: db",
        "id: a, for_each: alerts, as: alert, max: 5, at_once: 2, action: note, with: { text: '{{ alert.status }}' }",
        "id: a, action: playbook.run, with: { playbook: other, vars: { drain: 5m } }",
        "parallel: [ { id: a, wait: 1m }, [ { id: b, wait: 1m }, { id: c, action: note, with: { text: so } } ] ]",
    ] {
        schema.told(&step(good)).unwrap_or_else(|fault| panic!("{good}: {fault}"));
    }
    for broken in [
        "wait: 5m",
        "id: a",
        "id: A1, wait: 5m",
        "id: a, wait: soon",
        "id: a, wait: 5",
        "id: a, wait: 5m, action: note, with: { text: so }",
        "id: a, acton: note",
        "id: a, action: notfy, with: { to: bo }",
        "id: a, action: notify",
        "id: a, action: notify, with: { to: bo, txt: x }",
        "id: a, action: note, with: { text: 5 }",
        "id: a, action: note, target: db, with: { text: so }",
        "id: a, action: postgres.read_only",
        "id: a, action: postgres.read_only, target: db, with: { enabled: yes }",
        "id: a, action: postgres.read_only, target: db, with: { scope: table }",
        "id: a, action: postgres.read_only, target: db, undo: on_resolv",
        "id: a, action: postgres.pool_reset, target: db, undo: on_resolve",
        "id: a, action: http.request, target: x, with: { method: FETCH }",
        "id: a, action: http.request, target: x, check: { action: postgres.read_only, target: db }",
        "id: a, wait: 5m, retry: { attempts: 0 }",
        "id: a, wait: 5m, on_failure: contineu",
        "id: a, wait: 5m, timeout: 1m",
        "id: a, approval: {}",
        "id: a, approval: { by: operator, otherwise: contineu }",
        "id: a, approval: { by: operator, expire: 10m }",
        "id: a, approval: { by: operator }, with: { text: x }",
        "id: a, for_each: alerts, max: 0, wait: 1m",
        "id: a, for_each: alerts, as: Alert, wait: 1m",
        "id: a, as: alert, wait: 1m",
        "id: a, at_once: 2, wait: 1m",
        "id: a, action: playbook.run, with: { vars: {} }",
        "parallel: [ { id: a, wait: 1m } ]",
        "parallel: [ { id: a, wait: 1m }, { id: b, wiat: 1m } ]",
        "parallel: [ { id: a, wait: 1m }, { id: b, wait: 1m } ], when: 'true'",
    ] {
        assert!(schema.told(&step(broken)).is_err(), "the schema takes {broken}");
    }
    for good in [
        "on: { schedule: '0 3 * * SUN', time_zone: Europe/Berlin }\nretry: { attempts: 2 }\nrecovered: { query: up, target: prom }\nsteps: [ { id: a, wait: 1m } ]",
        "on: { type: x }\nrecovered: { alerts: resolved, for: 2m, within: 20m }\nsteps: [ { id: a, wait: 1m } ]",
        "on: { manual: true }\ntimeout: 1h\nvars: { drain: { type: duration, default: 5m }, who: { type: texts } }\nsteps: [ { id: a, wait: 1m } ]",
        "on: {}\nvars: { much: { type: number, default: 5 }, loud: { type: bool, default: false } }\nsteps: [ { id: a, wait: 1m } ]",
    ] {
        schema.told(&yaml(good)).unwrap_or_else(|fault| panic!("{good}: {fault}"));
    }
    for broken in [
        "on: { type: x, time_zone: UTC }\nsteps: [ { id: a, wait: 1m } ]",
        "on: {}\nretry: { attempts: 0 }\nsteps: [ { id: a, wait: 1m } ]",
        "on: {}\nrecovered: { alerts: gone }\nsteps: [ { id: a, wait: 1m } ]",
        "on: {}\nrecovered: { query: up }\nsteps: [ { id: a, wait: 1m } ]",
        "on: {}\nrecovered: { for: 1m }\nsteps: [ { id: a, wait: 1m } ]",
        "on: { manual: yes }\nsteps: [ { id: a, wait: 1m } ]",
        "on: {}\ntimeout: soon\nsteps: [ { id: a, wait: 1m } ]",
        "on: {}\nvars: { a: { default: 1 } }\nsteps: [ { id: a, wait: 1m } ]",
        "on: {}\nvars: { a: { type: numbr } }\nsteps: [ { id: a, wait: 1m } ]",
        "on: {}\nvars: { a: { type: number, default: five } }\nsteps: [ { id: a, wait: 1m } ]",
        "on: {}\nvars: { a: { type: duration, default: 5 } }\nsteps: [ { id: a, wait: 1m } ]",
        "on: {}\nvars: { a: { type: texts, default: one } }\nsteps: [ { id: a, wait: 1m } ]",
        "on: {}\nvars: { A: { type: text } }\nsteps: [ { id: a, wait: 1m } ]",
        "steps: [ { id: a, wait: 1m } ]",
        "on: {}\nsteps: []",
        "on: { typ: x }\nsteps: [ { id: a, wait: 1m } ]",
        "on: { priority: P9 }\nsteps: [ { id: a, wait: 1m } ]",
    ] {
        assert!(schema.told(&yaml(broken)).is_err(), "the schema takes {broken}");
    }
    let config = Schema::of(Kind::Config);
    for broken in [
        "sever: {}",
        "automation: liv",
        "server: { public_url: 'ftp://x' }",
        "sources: [ { name: a } ]",
        "limits: { per_target: 3 }",
        "retention: { resolved: ever }",
        "server: { hosts: [''] }",
        "targets: { db: { kind: postgres } }",
        "targets: { db: { kind: postgres, url: x, repository: a/b } }",
        "targets: { t: { kind: tickets, url: x } }",
        "channels: { chat: { kind: slack, url: x, smtp: y } }",
        "channels: { mail: { kind: email, smtp: x } }",
        "commands: { c: { program: systemctl } }",
        "classification: [ { name: a, when: 'true' } ]",
        "on_call: { schedules: { primary: { rotations: [ { people: [], handoff: x } ] } } }",
        "escalation: { policies: { default: { P1: { respond_within: 5m, levels: [] } } } }",
    ] {
        assert!(config.told(&yaml(broken)).is_err(), "the schema takes {broken}");
    }
}

/// Where a step's schema stands, which every branch refers to.
const STEP: &str = "/$defs/step";

/// A map of a file, by what stands around it, and the place of its fields in the schema.
const MAPS: &[(Kind, &str, &str)] = &[
    (Kind::Playbook, "{ FIELD: 1 }", ""),
    (Kind::Playbook, "on: { FIELD: 1 }", "/properties/on"),
    (Kind::Playbook, "limits: { FIELD: 1 }", "/properties/limits"),
    (Kind::Playbook, "retry: { FIELD: 1 }", "/properties/retry"),
    (Kind::Playbook, "recovered: { FIELD: 1 }", "/properties/recovered"),
    (Kind::Playbook, "on: { type: x }\nvars: { a: { FIELD: 1 } }", "/properties/vars/additionalProperties"),
    (Kind::Playbook, "steps: [ { FIELD: 1 } ]", STEP),
    (Kind::Playbook, "steps: [ { parallel: [ { FIELD: 1 }, { id: b, wait: 1m } ] } ]", STEP),
    (Kind::Playbook, "steps: [ { parallel: [ [ { FIELD: 1 } ], { id: b, wait: 1m } ] } ]", STEP),
    (Kind::Playbook, "steps: [ { parallel: [ { id: a, wait: 1m }, { id: b, wait: 1m } ], FIELD: 1 } ]", "/properties/steps/items/then"),
    (Kind::Playbook, "steps: [ { id: a, retry: { FIELD: 1 } } ]", "/$defs/step/properties/retry"),
    (Kind::Playbook, "steps: [ { id: a, approval: { FIELD: 1 } } ]", "/$defs/step/properties/approval"),
    (Kind::Playbook, "steps: [ { id: a, action: http.request, target: web, check: { FIELD: 1 } } ]", "/$defs/step/properties/check"),
    (Kind::Config, "{ FIELD: 1 }", ""),
    (Kind::Config, "server: { FIELD: 1 }", "/properties/server"),
    (Kind::Config, "database: { FIELD: 1 }", "/properties/database"),
    (Kind::Config, "sources: [ { FIELD: 1 } ]", "/properties/sources/items"),
    (Kind::Config, "incidents: { FIELD: 1 }", "/properties/incidents"),
    (Kind::Config, "retention: { FIELD: 1 }", "/properties/retention"),
    (Kind::Config, "hold: { FIELD: 1 }", "/properties/hold"),
    (Kind::Config, "signals: { a: { FIELD: 1 } }", "/properties/signals/additionalProperties"),
    (Kind::Config, "signals: { a: { prometheus: { FIELD: 1 } } }", "/properties/signals/additionalProperties/properties/prometheus"),
    (Kind::Config, "classification: [ { FIELD: 1 } ]", "/properties/classification/items"),
    (Kind::Config, "escalation: { FIELD: 1 }", "/properties/escalation"),
    (
        Kind::Config,
        "escalation: { policies: { default: { FIELD: 1 } } }",
        "/properties/escalation/properties/policies/additionalProperties",
    ),
    (
        Kind::Config,
        "escalation: { policies: { default: { P1: { FIELD: 1 } } } }",
        "/properties/escalation/properties/policies/additionalProperties/properties/P1",
    ),
    (Kind::Config, "on_call: { FIELD: 1 }", "/properties/on_call"),
    (Kind::Config, "on_call: { schedules: { a: { FIELD: 1 } } }", "/properties/on_call/properties/schedules/additionalProperties"),
    (Kind::Config, "people: { a: { FIELD: 1 } }", "/properties/people/additionalProperties"),
    (Kind::Config, "commands: { a: { FIELD: 1 } }", "/properties/commands/additionalProperties"),
    (Kind::Config, "egress: { FIELD: 1 }", "/properties/egress"),
    (Kind::Config, "limits: { FIELD: 1 }", "/properties/limits"),
];

#[test]
fn what_the_reader_knows_is_what_the_schema_knows() {
    for (kind, around, place) in MAPS {
        let schema: Value = serde_json::from_str(&app::schema(*kind)).expect("JSON");
        let fields = schema.pointer(&format!("{place}/properties")).and_then(Value::as_object).unwrap_or_else(|| panic!("{place}"));
        let known: BTreeSet<String> = fields.keys().cloned().collect();
        assert_eq!(read(*kind, around), known, "{around}: put it into src/config/schema/");
    }
}

/// The fields that the reader of a map asks for, by what it says about one that it does not know.
fn read(kind: Kind, around: &str) -> BTreeSet<String> {
    let text = around.replace("FIELD", "qqqqqqqqqqqqqqqqqqqq");
    let settings =
        TextFile::new("reynard.yaml", if kind == Kind::Config { &text } else { "targets: { web: { kind: http, url: 'http://x' } }" });
    let playbooks = if kind == Kind::Playbook { vec![TextFile::new("playbooks/x.yaml", &*text)] } else { Vec::new() };
    let files = Files { settings: Some(settings), playbooks };
    let loaded = load::load(&files, &catalog::specs(), &NoSecrets, None);
    let fault = loaded
        .diagnostics
        .iter()
        .find(|fault| fault.code == Code::UnknownField)
        .unwrap_or_else(|| panic!("{around}: {}", loaded.diagnostics.to_text(false)));
    let help = fault.help.as_deref().and_then(|help| help.strip_prefix("known here: ")).unwrap_or_else(|| panic!("{around}: {fault}"));
    help.split(", ").map(str::to_owned).collect()
}
