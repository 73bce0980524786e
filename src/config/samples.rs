//! What the tests of this room share: a few actions, a few secrets, the example file. Knows no test.

use crate::config::diagnostic::{Diagnostics, Severity};
use crate::config::files::{Files, TextFile};
use crate::config::load::{self, Loaded};
use crate::config::secrets::Secrets;
use crate::domain::action::{Field, OnInterrupt, Param, ParamType, Performer, Spec, Specs, TargetKind};

/// The example of the documentation.
pub const SETTINGS: &str = include_str!("samples/reynard.yaml");

/// A playbook with every kind of step.
pub const PLAYBOOK: &str = include_str!("samples/database_connection_failure.yaml");

/// Two variables and one file.
pub struct Sampled;

impl Secrets for Sampled {
    fn env(&self, name: &str) -> Option<String> {
        let known = [("TOKEN", "s3cret"), ("SLACK_URL", "https://hooks.example.com/x"), ("DB_URL", "postgres://admin:pw@db/orders")];
        known.iter().find(|(known, _)| *known == name).map(|(_, text)| (*text).to_owned())
    }

    fn file(&self, path: &str) -> Result<String, String> {
        if path == "/run/token" { Ok("from-file\n".to_owned()) } else { Err(format!("{path} is not there")) }
    }
}

/// One action of each sort.
pub fn specs() -> Specs {
    const QUERY: &[Param] = &[
        Param::required("query", ParamType::Text, "what to ask"),
        Param::optional("for", ParamType::Span, "how long it must hold"),
        Param::optional("within", ParamType::Span, "how long to wait for it"),
    ];
    const ANSWER: &[Field] = &[Field::number("value", "the number"), Field::text("unit", "its unit")];
    const HTTP: &[Param] = &[
        Param::optional("method", ParamType::Text, "GET unless said otherwise"),
        Param::optional("path", ParamType::Text, "below the target's address"),
        Param::optional("headers", ParamType::TextMap, "sent along"),
        Param::optional("json", ParamType::Json, "the body"),
        Param::optional("expect", ParamType::Number, "the status that is good"),
        Param::optional("follow", ParamType::Bool, "redirects"),
    ];
    const NOTIFY: &[Param] = &[
        Param::required("to", ParamType::Texts, "who is told"),
        Param::optional("template", ParamType::Text, "the message's file"),
        Param::optional("text", ParamType::Text, "the message itself"),
    ];
    const ONE_TEXT: &[Param] = &[Param::required("text", ParamType::Text, "the sentence")];
    const NAME: &[Param] = &[Param::required("name", ParamType::Text, "the name")];
    const ADDRESS: &[Param] = &[Param::required("address", ParamType::Text, "host:port")];
    const LOOK: &[Param] = &[
        Param::optional("url", ParamType::Text, "a whole address, without a target"),
        Param::optional("path", ParamType::Text, "below the target's address"),
        Param::optional("expect", ParamType::Json, "the status that is good"),
    ];
    const TICKET: &[Param] = &[
        Param::required("title", ParamType::Text, "the headline"),
        Param::optional("body", ParamType::Text, "in Markdown"),
        Param::optional("labels", ParamType::Texts, "labels"),
        Param::optional("repository", ParamType::Text, "owner/name"),
    ];
    const COMMAND: &[Param] =
        &[Param::required("command", ParamType::Text, "its name"), Param::optional("params", ParamType::TextMap, "its holes")];
    const RUN: &[Param] =
        &[Param::required("playbook", ParamType::Text, "its name"), Param::optional("vars", ParamType::Json, "what it is given")];
    let spec = |name, on_interrupt, destructive, targets, params| Spec {
        name,
        doc: "",
        performer: Performer::Worker,
        destructive,
        on_interrupt,
        targets,
        params,
        undoable: name == "postgres.read_only",
        output: &[],
    };
    Specs::new(vec![
        Spec { performer: Performer::Core, ..spec("notify", OnInterrupt::Retry, false, &[], NOTIFY) },
        spec("prometheus.wait_until", OnInterrupt::Retry, false, &[TargetKind::Prometheus], QUERY),
        spec("postgres.read_only", OnInterrupt::Retry, true, &[TargetKind::Postgres], &[]),
        spec("pgbouncer.pool_status", OnInterrupt::Retry, false, &[TargetKind::Pgbouncer], &[]),
        spec("pgbouncer.pool_reset", OnInterrupt::Ask, true, &[TargetKind::Pgbouncer], &[]),
        spec("http.request", OnInterrupt::Check, true, &[TargetKind::Http], HTTP),
        spec("ticket.create", OnInterrupt::Ask, false, &[TargetKind::Tickets], TICKET),
        Spec { performer: Performer::Core, ..spec("playbook.run", OnInterrupt::Retry, false, &[], RUN) },
        Spec { performer: Performer::Core, ..spec("note", OnInterrupt::Retry, false, &[], ONE_TEXT) },
        spec("dns.resolve", OnInterrupt::Retry, false, &[], NAME),
        spec("tcp.connect", OnInterrupt::Retry, false, &[], ADDRESS),
        spec("http.check", OnInterrupt::Retry, false, &[TargetKind::Http], LOOK),
        Spec { output: ANSWER, ..spec("prometheus.query", OnInterrupt::Retry, false, &[TargetKind::Prometheus], &QUERY[..1]) },
        spec("postgres.pool_status", OnInterrupt::Retry, false, &[TargetKind::Postgres], &[]),
        spec("postgres.pool_reset", OnInterrupt::Ask, true, &[TargetKind::Postgres], &[]),
        spec("command.run", OnInterrupt::Ask, true, &[], COMMAND),
    ])
}

/// Loads texts as if they were files.
pub fn load(settings: &str, playbooks: &[(&str, &str)]) -> Loaded {
    let playbooks = playbooks.iter().map(|(path, text)| TextFile::new(*path, *text)).collect();
    let files = Files { settings: Some(TextFile::new("reynard.yaml", settings)), playbooks };
    load::load(&files, &specs(), &Sampled, None)
}

/// Each fault as `code line:column-end help`, warnings with a `?` before them.
pub fn told(diagnostics: &Diagnostics) -> Vec<String> {
    let told = |fault: &crate::config::diagnostic::Diagnostic| {
        let mark = if fault.severity == Severity::Warning { "?" } else { "" };
        let help = fault.help.as_ref().map(|help| format!(" {help}")).unwrap_or_default();
        format!("{mark}{} {}:{}-{}{help}", fault.code, fault.line, fault.column, fault.end_column)
    };
    diagnostics.iter().map(told).collect()
}
