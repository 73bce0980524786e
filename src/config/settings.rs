//! `reynard.yaml` as a whole: each section is read by its own file, what is left out has its default. Knows no playbook.

use std::net::{Ipv4Addr, SocketAddr};

use crate::config::channels;
use crate::config::classification;
use crate::config::commands;
use crate::config::diagnostic::Code;
use crate::config::escalation;
use crate::config::limits;
use crate::config::names::Names;
use crate::config::on_call;
use crate::config::reader::{At, Document, Fields};
use crate::config::secrets::{self, NoSecrets, Secrets};
use crate::config::signals;
use crate::config::sources;
use crate::config::targets;
use crate::config::yaml::{Node, Value};
use crate::domain::action::Specs;
use crate::domain::on_call::Directory;
use crate::domain::secret::Secret;
use crate::domain::settings::{Automation, Rulebook, Settings};

const DATABASE: &str = "sqlite://data/reynard.db";
const PORT: u16 = 5001;

/// Reads the whole file; what is broken in it is a fault of the document and left out of the answer.
pub fn read(document: &Document, specs: &Specs, secrets: &dyn Secrets) -> (Settings, Names) {
    let empty = Node { span: 0..0, value: Value::Map(Vec::new()) };
    let parsed = document.parse();
    let root = parsed.as_ref().filter(|root| root.value != Value::Null).unwrap_or(&empty);
    let mut names = declared(root);
    names.complete = parsed.as_ref().is_some_and(|root| matches!(root.value, Value::Map(_) | Value::Null));
    let fields = At::new(document, root).fields();
    // A file that is no map at all has said so already; the empty one gives the defaults.
    let fields = fields.unwrap_or_else(|| Fields::none(At::new(document, &empty)));
    (sections(fields, &names, specs, secrets), names)
}

/// What holds when there is no `reynard.yaml`.
pub fn shipped(specs: &Specs) -> Settings {
    read(&Document::new("", ""), specs, &NoSecrets).0
}

fn sections(fields: Fields<'_>, names: &Names, specs: &Specs, secrets: &dyn Secrets) -> Settings {
    let (listen, public_url) =
        fields.optional("server").and_then(server).unwrap_or_else(|| (default_listen(), public_url(default_listen())));
    let database_url = fields.optional("database").and_then(|at| database(at, secrets)).unwrap_or_else(|| Secret::new(DATABASE));
    let channels = fields.optional("channels").map(|at| channels::read(at, secrets)).unwrap_or_default();
    let people = fields.optional("people").map(|at| on_call::people(at, names, &channels)).unwrap_or_default();
    let schedules = fields.optional("on_call").map(|at| on_call::schedules(at, names)).unwrap_or_default();
    let rulebook = Rulebook {
        incidents: fields.optional("incidents").and_then(limits::incidents).unwrap_or_default(),
        signals: signals::read(fields.optional("signals"), names),
        rules: classification::read(fields.optional("classification"), names),
        policies: escalation::read(fields.optional("escalation"), names),
        directory: Directory { people, schedules, channels: channels.keys().cloned().collect() },
        targets: fields.optional("targets").map(|at| targets::read(at, secrets)).unwrap_or_default(),
        limits: fields.optional("limits").and_then(limits::global).unwrap_or_default(),
        automation: fields.optional("automation").and_then(automation).unwrap_or_default(),
        specs: specs.clone(),
        public_url: public_url.clone(),
        ..Rulebook::default()
    };
    let settings = Settings {
        listen,
        public_url,
        database_url,
        sources: fields.optional("sources").map(|at| sources::read(at, secrets)).unwrap_or_default(),
        channels,
        commands: fields.optional("commands").map(commands::read).unwrap_or_default(),
        egress: fields.optional("egress").map(egress).unwrap_or_default(),
        rulebook,
    };
    fields.finish();
    settings
}

fn server(at: At<'_>) -> Option<(SocketAddr, String)> {
    let fields = at.fields()?;
    let listen = fields.optional("listen").and_then(listen).unwrap_or_else(default_listen);
    let url = fields.optional("public_url").and_then(web_url).unwrap_or_else(|| public_url(listen));
    fields.finish();
    Some((listen, url))
}

fn listen(at: At<'_>) -> Option<SocketAddr> {
    let text = at.words()?;
    let address = text.strip_prefix("localhost:").map_or_else(|| text.to_owned(), |port| format!("127.0.0.1:{port}"));
    let found = address.parse().ok();
    if found.is_none() {
        let message = format!("\"{text}\" is not an address to listen on");
        at.error_help(Code::BadValue, message, "write for example 127.0.0.1:5001, or 0.0.0.0:5001 for every network");
    }
    found
}

fn web_url(at: At<'_>) -> Option<String> {
    let text = at.words()?;
    match url::Url::parse(text) {
        Ok(url) if ["http", "https"].contains(&url.scheme()) => Some(text.trim_end_matches('/').to_owned()),
        _ => {
            at.error_help(Code::BadValue, format!("\"{text}\" is not a web address"), "write for example https://reynard.example.com");
            None
        }
    }
}

fn database(at: At<'_>, secrets: &dyn Secrets) -> Option<Secret> {
    let fields = at.fields()?;
    let url = fields.optional("url").and_then(|at| database_url(at, secrets));
    fields.finish();
    url
}

/// `sqlite://data/reynard.db` is a path rather than an address, so only the beginning is looked at.
fn database_url(at: At<'_>, secrets: &dyn Secrets) -> Option<Secret> {
    let url = secrets::secret(at, secrets)?;
    if ["sqlite:", "postgres://", "postgresql://"].iter().any(|scheme| url.expose().starts_with(scheme)) {
        return Some(url);
    }
    at.error_help(Code::BadValue, "this is not a database Reynard can use", "it begins with sqlite:// or postgres://");
    None
}

fn egress(at: At<'_>) -> Vec<regex::Regex> {
    let Some(fields) = at.fields() else { return Vec::new() };
    let allow = fields.optional("allow").map(At::list).unwrap_or_default();
    fields.finish();
    allow.into_iter().filter_map(commands::whole_pattern).collect()
}

fn automation(at: At<'_>) -> Option<Automation> {
    at.one_of(&[("live", Automation::Live), ("shadow", Automation::Shadow), ("held", Automation::Held)])
}

fn default_listen() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, PORT).into()
}

fn public_url(listen: SocketAddr) -> String {
    format!("http://localhost:{}", listen.port())
}

/// Every name that the file declares, whatever is wrong with what it stands for.
fn declared(root: &Node) -> Names {
    let keys = |path: &[&str]| children(root, path).iter().map(|(name, _)| (*name).to_owned()).collect();
    let kind = |node: &Node| {
        let word = field(node, "kind").and_then(|kind| if let Value::Text(word) = &kind.value { Some(word) } else { None });
        word.and_then(|word| targets::KINDS.iter().find(|(known, _)| known == word)).map(|(_, kind)| *kind)
    };
    let mut names = Names {
        people: keys(&["people"]),
        schedules: keys(&["on_call", "schedules"]),
        channels: keys(&["channels"]),
        targets: children(root, &["targets"]).into_iter().map(|(name, node)| (name.to_owned(), kind(node))).collect(),
        commands: keys(&["commands"]),
        signals: keys(&["signals"]),
        complete: true,
    };
    names.signals.extend(signals::SHIPPED.map(str::to_owned));
    names
}

fn children<'a>(root: &'a Node, path: &[&str]) -> Vec<(&'a str, &'a Node)> {
    match path.iter().try_fold(root, |node, name| field(node, name)).map(|node| &node.value) {
        Some(Value::Map(entries)) => entries.iter().map(|(key, node)| (key.text.as_str(), node)).collect(),
        _ => Vec::new(),
    }
}

fn field<'a>(node: &'a Node, name: &str) -> Option<&'a Node> {
    let Value::Map(entries) = &node.value else { return None };
    entries.iter().find(|(key, _)| key.text == name).map(|(_, child)| child)
}
