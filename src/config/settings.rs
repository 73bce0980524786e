//! `reynard.yaml` as a whole: each section is read by its own file, what is left out has its default. Knows no playbook.
//! One thing in one file: half of it is the table of faults, which reads beside the sections that it tries.

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
use crate::config::sign_in;
use crate::config::signals;
use crate::config::sources;
use crate::config::targets;
use crate::config::watch;
use crate::config::yaml::{Node, Value};
use crate::domain::action::Specs;
use crate::domain::database;
use crate::domain::directory::Directory;
use crate::domain::secret::Secret;
use crate::domain::settings::{Automation, HoldSettings, Rulebook, Settings};
use crate::domain::sign_in::{Mode, SignInSettings};

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
    let server = fields.optional("server").and_then(server).unwrap_or_else(|| Server::at(default_listen()));
    let Server { listen, public_url, hosts, node_url, sign_in: wanted } = server;
    let database_url = fields.optional("database").and_then(|at| database(at, secrets)).unwrap_or_else(|| Secret::new(DATABASE));
    let channels = fields.optional("channels").map(|at| channels::read(at, secrets)).unwrap_or_default();
    let (people, passwords) = fields.optional("people").map(|at| on_call::people(at, names, &channels, secrets)).unwrap_or_default();
    let tokens = fields.optional("tokens").map(|at| (at, sign_in::tokens(at, names, secrets)));
    if let (Some((at, Mode::Acts | Mode::All)), true, None) = (wanted, passwords.is_empty(), &tokens) {
        at.error_help(Code::BadValue, "nobody could sign in", "give people a password: `reynard password` makes the line");
    }
    let schedules = fields.optional("on_call").map(|at| on_call::schedules(at, names)).unwrap_or_default();
    let (sources, watchdogs) = fields.optional("sources").map(|at| sources::read(at, secrets)).unwrap_or_default();
    let (heartbeat, watch) = fields.optional("watch").and_then(|at| watch::read(at, secrets)).unwrap_or_default();
    let rulebook = Rulebook {
        incidents: fields.optional("incidents").and_then(limits::incidents).unwrap_or_default(),
        signals: signals::read(fields.optional("signals"), names),
        rules: classification::read(fields.optional("classification"), names),
        policies: escalation::read(fields.optional("escalation"), names),
        directory: Directory { people, schedules, channels: channels.keys().cloned().collect() },
        targets: fields.optional("targets").map(|at| targets::read(at, secrets)).unwrap_or_default(),
        limits: fields.optional("limits").and_then(limits::global).unwrap_or_default(),
        automation: fields.optional("automation").and_then(automation).unwrap_or_default(),
        retention: fields.optional("retention").and_then(limits::retention).unwrap_or_default(),
        watch,
        watchdogs,
        specs: specs.clone(),
        public_url: public_url.clone(),
        ..Rulebook::default()
    };
    let settings = Settings {
        listen,
        public_url,
        hosts,
        node_url,
        database_url,
        sources,
        channels,
        commands: fields.optional("commands").map(commands::read).unwrap_or_default(),
        egress: fields.optional("egress").map(egress).unwrap_or_default(),
        heartbeat,
        hold: fields.optional("hold").and_then(|at| hold(at, secrets)).unwrap_or_default(),
        sign_in: SignInSettings {
            wanted: wanted.map(|(_, mode)| mode),
            passwords: passwords.into_iter().filter_map(|(person, hash)| Some((person, hash?))).collect(),
            tokens: tokens.map(|(_, tokens)| tokens).unwrap_or_default(),
        },
        rulebook,
    };
    fields.finish();
    settings
}

/// The `server:` section.
struct Server<'a> {
    listen: SocketAddr,
    public_url: String,
    hosts: Vec<String>,
    node_url: Option<String>,
    sign_in: Option<(At<'a>, Mode)>,
}

impl Server<'_> {
    fn at(listen: SocketAddr) -> Self {
        Self { listen, public_url: public_url(listen), hosts: Vec::new(), node_url: None, sign_in: None }
    }
}

fn server(at: At<'_>) -> Option<Server<'_>> {
    let fields = at.fields()?;
    let listen = fields.optional("listen").and_then(listen).unwrap_or_else(default_listen);
    let url = fields.optional("public_url").and_then(web_url);
    let node_url = fields.optional("node_url").and_then(web_url);
    let hosts = fields.optional("hosts").map(At::one_or_many).unwrap_or_default();
    let sign_in = fields.optional("sign_in").and_then(|at| Some((at, at.one_of(&sign_in::MODES)?)));
    fields.finish();
    let mut hosts: Vec<String> = hosts.into_iter().filter_map(host).collect();
    // Where names are held to, other nodes must be let in by the one they use.
    let own = node_url.as_deref().and_then(|url| url::Url::parse(url).ok()?.host_str().map(str::to_owned));
    if !hosts.is_empty() || listen.ip().is_loopback() {
        hosts.extend(own);
    }
    Some(Server { public_url: url.unwrap_or_else(|| public_url(listen)), hosts, node_url, sign_in, listen })
}

/// A name as it stands in an address, without scheme, port and path.
fn host(at: At<'_>) -> Option<String> {
    let text = at.words()?;
    let found = url::Host::parse(text).ok();
    if found.is_none() {
        at.error_help(
            Code::BadValue,
            format!("\"{text}\" is not the name of a host"),
            "write for example reynard.example.com, without a port",
        );
    }
    found.map(|host| host.to_string())
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
    if !database::is_postgres(url.expose()) {
        if url.expose().starts_with("sqlite:") {
            return Some(url);
        }
        at.error_help(Code::BadValue, "this is not a database Reynard can use", "it begins with sqlite:// or postgres://");
        return None;
    }
    let servers = database::servers(url.expose());
    let broken = servers.iter().position(|server| url::Url::parse(server).is_err());
    if let Some(nth) = broken {
        let message = format!("server {} of {} is not an address", nth + 1, servers.len());
        at.error_help(Code::BadValue, message, "write for example postgres://reynard:PASSWORD@db1,db2:5433/reynard");
        return None;
    }
    Some(url)
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

fn hold(at: At<'_>, secrets: &dyn Secrets) -> Option<HoldSettings> {
    let fields = at.fields()?;
    let file = fields.optional("file").and_then(At::words).map(str::to_owned);
    let release_token = fields.optional("release_token").and_then(|at| secrets::secret(at, secrets));
    fields.finish();
    Some(HoldSettings { file, release_token })
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
        roles: children(root, &["people"]).iter().filter_map(|(_, person)| field(person, "roles")).flat_map(words).collect(),
        schedules: keys(&["on_call", "schedules"]),
        channels: keys(&["channels"]),
        targets: children(root, &["targets"]).into_iter().map(|(name, node)| (name.to_owned(), kind(node))).collect(),
        commands: keys(&["commands"]),
        playbooks: std::collections::BTreeSet::new(),
        signals: keys(&["signals"]),
        complete: true,
    };
    names.signals.extend(signals::SHIPPED.map(str::to_owned));
    names
}

/// A text, or the texts of a list.
fn words(node: &Node) -> Vec<String> {
    match &node.value {
        Value::Text(text) => vec![text.clone()],
        Value::List(items) => items.iter().flat_map(words).collect(),
        _ => Vec::new(),
    }
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::config::samples;
    use crate::domain::escalation::Plan;
    use crate::domain::priority::Priority;
    use crate::domain::settings::ChannelKind;
    use crate::domain::time::Span;

    #[test]
    fn the_documented_example_is_read_as_it_stands() {
        let loaded = samples::load(samples::SETTINGS, &[]);
        assert_eq!(samples::told(&loaded.diagnostics), [""; 0]);
        let settings = loaded.settings.expect("it is good");
        assert_eq!(settings.sources.iter().map(|source| source.token.expose()).collect::<Vec<_>>(), ["s3cret", "from-file"]);
        let book = &settings.rulebook;
        assert_eq!(book.targets["orders-db"].url.expose(), "postgres://admin:pw@db/orders");
        assert_eq!(book.targets["tracker"].headers["Authorization"].expose(), "Bearer s3cret");
        assert_eq!(book.targets["orders-api"].extra["deployment"], "orders-api");
        assert_eq!(book.directory.people["bo"].notify.len(), 1, "without notify: every channel that can");
        assert_eq!(book.rules.iter().take(3).map(|rule| rule.name.as_str()).collect::<Vec<_>>(), ["outage", "queue", "p1"]);
        let hook = &settings.channels["hook"].kind;
        assert!(matches!(hook, ChannelKind::Webhook { headers, .. } if headers["Authorization"].expose() == "Token s3cret"));
        assert!(settings.commands["restart-unit"].params["unit"].is_match("nginx.service"));
        assert!(!settings.commands["restart-unit"].params["unit"].is_match("nginx.service; rm"));
        assert!((book.limits.correlated - 0.3).abs() < 1e-9);
    }

    #[test]
    fn nothing_is_required() {
        for text in ["", "# only a comment\n", "{}", "people:\nchannels:\n"] {
            let loaded = samples::load(text, &[]);
            assert_eq!(samples::told(&loaded.diagnostics), [""; 0], "{text}");
            let settings = loaded.settings.expect("it is good");
            assert_eq!((settings.listen.to_string().as_str(), settings.public_url.as_str()), ("127.0.0.1:5001", "http://localhost:5001"));
            assert_eq!(settings.database_url.expose(), "sqlite://data/reynard.db");
            let rules: Vec<_> =
                settings.rulebook.rules.iter().map(|rule| (rule.name.as_str(), rule.priority.map(|p| p.number()))).collect();
            assert_eq!(
                rules,
                [("p1", Some(1)), ("p2", Some(2)), ("p3", Some(3)), ("service-down", Some(1)), ("critical", Some(2)), ("warning", Some(3))]
            );
            assert_eq!(settings.rulebook.signals.keys().collect::<Vec<_>>(), ["affected_users", "error_rate", "latency"]);
        }
    }

    fn shape(plan: &Plan) -> String {
        let levels: Vec<String> = plan.levels.iter().map(|level| format!("{}@{}", level.notify.join("+"), level.after)).collect();
        format!("{} {} x{}", plan.respond_within, levels.join(" "), plan.repeat)
    }

    #[test]
    fn the_shipped_policy_names_only_who_is_there() {
        let plans = |text: &str| {
            let settings = samples::load(text, &[]).settings.expect("it is good");
            settings.rulebook.policy("default").expect("it is always there").plans.values().map(shape).collect::<Vec<_>>()
        };
        let lonely =
            ["15m on-call@0s on-call@15m x3", "1h on-call@0s on-call@2h x3", "4h on-call@0s on-call@1d x3", "1d on-call@0s on-call@2d x3"];
        assert_eq!(plans(""), lonely);
        let led = plans("on_call: { schedules: { primary: { rotations: [] } } }\npeople: { lead: {} }");
        assert_eq!(led[..2], ["15m on-call@0s lead@0s on-call@15m x3", "1h on-call@0s lead@2h x3"]);
        let unscheduled = plans("people: { ana: {}, bo: {} }");
        assert_eq!(unscheduled[0], "15m ana+bo@0s ana+bo@15m x3");
        let only_a_channel = plans("channels: { hook: { kind: webhook, url: 'http://h' } }");
        assert_eq!(only_a_channel[..2], ["15m hook@0s hook@15m x3", "1h hook@0s hook@2h x3"]);
        let own = plans("escalation: { policies: { default: { P4: { respond_within: 2d, levels: [ { notify: on-call } ] } } } }");
        assert_eq!((own[0].as_str(), own[3].as_str()), (lonely[0], "2d on-call@0s x1"));
    }

    #[test]
    fn every_fault_is_told_at_its_place() {
        let table = [
            ("sever: {}", "unknown-field 1:1-6 did you mean \"server\"?"),
            ("[]", "wrong-type 1:1-3"),
            ("server: { listen: here }", "bad-value 1:19-23 write for example 127.0.0.1:5001, or 0.0.0.0:5001 for every network"),
            ("server: { public_url: 'ftp://x' }", "bad-value 1:23-32 write for example https://reynard.example.com"),
            ("database: { url: mysql://x }", "bad-value 1:18-27 it begins with sqlite:// or postgres://"),
            (
                "database: { url: 'postgres://a,b:x/db' }",
                "bad-value 1:18-39 write for example postgres://reynard:PASSWORD@db1,db2:5433/reynard",
            ),
            ("sources: [ { name: a } ]", "missing-field 1:12-23"),
            ("sources: [ { name: a, token: '' } ]", "bad-value 1:30-32"),
            ("limits: { destructive: 20 per 2w }", "bad-value 1:24-33"),
            ("sources: [ { name: a, token: [] } ]", "bad-value 1:30-32"),
            ("sources: [ { name: a, token: [x, ''] } ]", "bad-value 1:34-36"),
            ("sources: [ { name: a, token: x }, { name: a, token: y } ]", "duplicate-name 1:43-44"),
            (
                "sources: [ { name: A, token: x } ]",
                "bad-name 1:20-21 a name has up to 64 small letters, digits, - and _, and begins with a letter",
            ),
            ("sources: [ { name: a, token: 'x${env:NOPE}' } ]", "missing-secret 1:32-43 set it before Reynard starts"),
            ("sources: [ { name: a, token: '${file:/nope}' } ]", "missing-secret 1:31-44"),
            ("sources: [ { name: a, token: '${enf:NOPE}' } ]", "missing-secret 1:31-42 did you mean \"env\"?"),
            (
                "people: { ana: { email: '${env:TOKEN}' } }",
                "misplaced-secret 1:25-39 such a text stands only where a secret does: url, token, headers, smtp",
            ),
            ("incidents: { settle: 30 }", "bad-value 1:22-24 write for example 30s or 30m"),
            ("incidents: { group_by: [1] }", "wrong-type 1:25-26 write it in quotes: \"1\""),
            ("classification: [ { name: a, priority: P1 } ]", "missing-field 1:19-44"),
            ("classification: [ { name: a, when: 'true', priority: P5 } ]", "bad-value 1:54-56 did you mean \"P1\"?"),
            ("classification: [ { name: a, when: 'true' } ]", "missing-field 1:19-44"),
            (
                "escalation: { policies: { default: { P1: { respond_within: 1m, levels: [ { notify: [anna] } ] } } } }\npeople: { ana: { email: a@b } }\nchannels: { mail: { kind: email, smtp: 'smtp://h', from: a@b } }",
                "unknown-name 1:85-89 did you mean \"ana\"?",
            ),
            ("escalation: { policies: { default: { P1: { respond_within: 1m, levels: [] } } } }", "bad-value 1:72-74"),
            ("escalation: { policies: { db: { match: team } } }", "bad-matcher 1:40-44"),
            ("escalation: { policies: { db: { mach: team=db } } }", "unknown-field 1:33-37 did you mean \"match\"?"),
            (
                "escalation: { policies: { default: { match: team=db } } }",
                "bad-matcher 1:45-52 give the others a match; whatever they do not match follows this one",
            ),
            (
                "on_call: { schedules: { primary: { time_zone: Europe/Berln, rotations: [] } } }",
                "bad-value 1:47-59 did you mean \"Europe/Berlin\"?",
            ),
            ("on_call: { schedules: { primary: { rotations: [ { people: [zoe], handoff: '0 9 * * MON' } ] } } }", "unknown-name 1:60-63"),
            ("people: { ana: { email: nobody } }", "bad-value 1:25-31 write for example ana@example.com"),
            ("channels: { c: { kind: pigeon } }", "bad-value 1:24-30 known here: email, slack, webhook"),
            ("channels: { c: { kind: slack, url: 'nope' } }", "bad-value 1:36-42 it begins with http:// or https://"),
            ("targets: { db: { kind: postgres } }", "missing-field 1:16-34"),
            ("targets: { db: { kind: postgress, url: x } }", "bad-value 1:24-33 did you mean \"postgres\"?"),
            ("targets: { k: { kind: kubernetes, namespac: x, namespace: y } }", "unknown-field 1:35-43 did you mean \"namespace\"?"),
            ("commands: { c: { program: ls } }", "bad-value 1:27-29 write for example /usr/bin/systemctl"),
            (
                "commands: { c: { program: /bin/ls, args: ['-l {{ dir }}'] } }",
                "unknown-name 1:50-53 declare it under params, with a pattern",
            ),
            ("commands: { c: { program: /bin/ls, params: { dir: '(' } } }", "bad-pattern 1:51-54"),
            ("signals: { depth: { prometheus: { target: prom, query: up } } }", "unknown-name 1:43-47"),
            ("classification: [ { name: a, when: labels.x == 5, priority: P1 } ]", "bad-expression 1:"),
            (
                "classification: [ { name: a, when: signals.eror_rate > 5, priority: P1 } ]",
                "unknown-name 1:44-53 did you mean \"error_rate\"?",
            ),
            ("classification: [ { name: a, when: steps.x.status == 'y', priority: P1 } ]", "bad-expression 1:36-41"),
            (
                "signals: { depth: { prometheus: { target: prom, query: 'up{{{ labels.x }' } } }\ntargets: { prom: { kind: prometheus, url: 'http://p' } }",
                "bad-template 1:",
            ),
            (
                "on_call: { schedules: { primary: { rotations: [ { people: [a], handoff: '0 25 * * *' } ] } } }\npeople: { a: { email: a@b } }\nchannels: { mail: { kind: email, smtp: 'smtp://h', from: a@b } }",
                "bad-value 1:73-85",
            ),
            (
                "on_call: { schedules: { primary: { rotations: [ { people: [a], handoff: '* * * * *' } ] } } }\npeople: { a: { email: a@b } }\nchannels: { mail: { kind: email, smtp: 'smtp://h', from: a@b } }",
                "bad-value 1:73-84",
            ),
            ("limits: { destructive: 20 }", "wrong-type 1:24-26 write it in quotes: \"20\""),
            ("retention: { deliveries: 1h }", "bad-value 1:26-28 write for example 30d, or forever"),
            ("retention: { resolved: soon }", "bad-value 1:24-28"),
            ("limits: { correlated: lots }", "bad-value 1:23-27 write for example 30%"),
            ("watch: { every: 0s }", "bad-value 1:17-19 write for example 1m"),
            ("watch: { heartbeat: 'ftp://x' }", "bad-value 1:21-30 it begins with http:// or https://"),
            ("sources: [ { name: a, token: x, watchdog: { within: 0s } } ]", "bad-value 1:53-55 write for example 1m"),
            (
                "people: { ana: { email: a@b, password: hunter2hunter2 } }\nchannels: { mail: { kind: email, smtp: 'smtp://h', from: a@b } }",
                "bad-password 1:40-54 make one with `reynard password`, and paste the line that it prints",
            ),
            ("server: { sign_in: act }", "bad-value 1:20-23 did you mean \"acts\"?"),
            ("server: { sign_in: acts }", "bad-value 1:20-24 give people a password: `reynard password` makes the line"),
            ("tokens: [ { name: ci, token: short } ]", "bad-value 1:30-35 make one with `openssl rand -hex 32`"),
            ("tokens: [ { name: ci, token: '0123456789abcdef', person: anna } ]", "unknown-name 1:58-62"),
            (
                "people: { ci: { email: a@b } }\ntokens: [ { name: ci, token: '0123456789abcdef' } ]\nchannels: { mail: { kind: email, smtp: 'smtp://h', from: a@b } }",
                "duplicate-name 2:19-21 call it otherwise, and say `person:` whose it is",
            ),
            ("hold: { files: x }", "unknown-field 1:9-14 did you mean \"file\"?"),
            ("hold: { release_token: '' }", "bad-value 1:24-26"),
            ("automation: liv", "bad-value 1:13-16 did you mean \"live\"?"),
            ("automation: live\nautomation: held", "yaml-duplicate-key 2:1-11 the first one is on line 1"),
            ("egress: { allow: ['['] }", "bad-pattern 1:19-22"),
            ("server: { hosts: ['reynard.example.com:80'] }", "bad-value 1:19-43 write for example reynard.example.com, without a port"),
            ("people:\n\tana: {}", "yaml-syntax 2:1-2 YAML wants spaces there"),
        ];
        let mut wrong = Vec::new();
        for (text, expected) in table {
            let loaded = samples::load(text, &[]);
            let told = samples::told(&loaded.diagnostics);
            let errors: Vec<_> = told.iter().filter(|fault| !fault.starts_with('?')).collect();
            if errors.len() != 1 || !errors[0].starts_with(expected) {
                wrong.push(format!(
                    "{text}
  wanted {expected}
  told   {told:?}"
                ));
            }
            assert!(loaded.settings.is_none(), "{text}");
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    #[test]
    fn what_is_odd_but_works_is_a_warning() {
        let odd =
            "people: { ana: {} }\nescalation: { policies: { default: { P1: { respond_within: 1m, levels: [ { notify: on-call } ] } } } }";
        let loaded = samples::load(odd, &[]);
        let codes: Vec<_> = loaded.diagnostics.iter().map(|fault| fault.code).collect();
        assert_eq!(codes, [Code::Unreachable, Code::NobodyOnCall]);
        assert!(loaded.settings.is_some());
    }

    #[test]
    fn a_policy_that_nobody_follows_is_a_warning() {
        let loaded = samples::load("escalation: { policies: { db: { P1: { respond_within: 1m, levels: [ { notify: [] } ] } } } }", &[]);
        let told = samples::told(&loaded.diagnostics);
        assert!(told.iter().any(|told| told.starts_with("?never-used 1:27-29 say which incidents it is for")), "{told:?}");
    }

    #[test]
    fn a_named_policy_takes_from_default_what_it_does_not_say() {
        let level = |who: &str| format!("{{ respond_within: 1m, levels: [ {{ notify: {who} }} ] }}");
        let (ana, bo) = (level("ana"), level("bo"));
        let text = format!(
            "people: {{ ana: {{ email: a@b }}, bo: {{ email: b@b }} }}
channels: {{ email: {{ kind: email, smtp: 'smtp://h', from: a@b }} }}
escalation: {{ policies: {{ db: {{ match: team=db, P1: {ana} }}, default: {{ P2: {bo} }} }} }}"
        );
        let book = samples::load(&text, &[]).settings.expect("it is good").rulebook;
        let told = |policy: &str, priority| book.policy(policy).and_then(|p| p.plan(priority)).map(|plan| plan.levels[0].notify.join("+"));
        assert_eq!(told("db", Priority::P1).as_deref(), Some("ana"));
        assert_eq!(told("db", Priority::P2).as_deref(), Some("bo"));
        assert_eq!(told("gone", Priority::P2).as_deref(), Some("bo"));
        assert_eq!(told("default", Priority::P1).as_deref(), Some("ana+bo"));
    }

    #[test]
    fn all_faults_come_at_once_and_in_order() {
        let loaded = samples::load("automation: liv\ntargts: {}\nserver: { listen: x }\nlimits: { per_target: 3 per hour }\n", &[]);
        assert_eq!(loaded.diagnostics.iter().map(|fault| fault.line).collect::<Vec<_>>(), [1, 2, 3, 4]);
    }

    #[test]
    fn an_address_with_a_password_is_never_repeated() {
        let loaded = samples::load("targets: { db: { kind: http, url: '${env:DB_URL}' } }", &[]);
        assert!(loaded.diagnostics.has_errors() && !loaded.diagnostics.to_text(false).contains("admin:pw"));
        assert!(!format!("{:?}", samples::load(samples::SETTINGS, &[]).settings).contains("s3cret"));
    }

    #[test]
    fn spans_and_defaults_meet() {
        let settings = samples::load("incidents: { settle: 0 }", &[]).settings.expect("it is good");
        assert_eq!((settings.rulebook.incidents.settle, settings.rulebook.incidents.stale_after), (Span::ZERO, Span::hours(12)));
    }

    proptest! {
        #[test]
        fn no_text_makes_the_loader_panic(text in "(\\PC|\n|\t|: |- |[{}\\[\\]\"'&*!|>%#]){0,200}") {
            let loaded = samples::load(&text, &[("playbooks/x.yaml", &text)]);
            loaded.diagnostics.to_text(false);
        }

        #[test]
        fn no_damage_to_the_example_makes_it_panic(at in 0usize..3000, cut in 0usize..40, put in "[ \\PC\n]{0,6}") {
            for whole in [samples::SETTINGS, samples::PLAYBOOK] {
                let letters: Vec<char> = whole.chars().collect();
                let at = at % letters.len();
                let text: String = letters[..at].iter().copied().chain(put.chars()).chain(letters.iter().skip(at + cut).copied()).collect();
                let loaded = samples::load(&text, &[("playbooks/x.yaml", &text)]);
                loaded.diagnostics.to_text(false);
            }
        }
    }
}
