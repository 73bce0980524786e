//! The schema of `reynard.yaml`, section by section. Knows no default that the domain does not state.

use serde_json::{Value, json};

use crate::config::schema::parts::{
    about, condition, document, list, matchers, merged, named, object, one_or_many, priority, rate, secret, span, text, text_map, words,
    words_of_text,
};
use crate::config::targets::{KINDS, allowed, needed};
use crate::domain::action::TargetKind;
use crate::domain::limits::GlobalLimits;
use crate::domain::settings::{IncidentSettings, Retention};
use crate::domain::time::Span;
use crate::domain::watch::WatchSettings;

/// What an editor needs to complete and explain `reynard.yaml`.
pub fn settings() -> Value {
    let fields = [
        ("server", server()),
        ("database", object(&[], [("url", about("`sqlite://PATH` or `postgres://…`.", secret()))])),
        ("sources", about("Who may send alerts; none: only programs on this machine.", list(source()))),
        ("incidents", incidents()),
        ("signals", about("Numbers that rules may use, by name.", named(signal()))),
        ("classification", about("How bad it is. The first rule that matches wins; the shipped rules follow these.", list(rule()))),
        (
            "escalation",
            object(&[], [("policies", about("Who is told when, by name; `default` is for all that no other is for.", named(policy())))]),
        ),
        (
            "on_call",
            object(&[], [("schedules", about("Who is on call, by name; `on-call` means the schedule `primary`.", named(schedule())))]),
        ),
        ("people", about("Who there is, by name.", named(person()))),
        ("tokens", about("What programs show that act over the API.", list(token()))),
        ("channels", about("Ways to tell people, by name.", named(channel()))),
        ("targets", about("The things that playbooks act on, by name.", named(target()))),
        ("commands", about("The only programs that `command.run` may start, by name.", named(command()))),
        ("egress", egress()),
        ("limits", limits()),
        ("retention", retention()),
        ("hold", hold()),
        ("watch", watch()),
        ("automation", automation()),
    ];
    document("Reynard settings", "Every setting of Reynard. None is required.", object(&[], fields))
}

fn server() -> Value {
    let listen = json!({ "type": "string", "default": "127.0.0.1:5001", "description": "The address to listen on." });
    let url =
        json!({ "type": "string", "pattern": "^https?://", "description": "How people reach the pages; links in messages begin with it." });
    let hosts = about("Further names that it is called by, without a port.", one_or_many(words_of_text()));
    let node = json!({ "type": "string", "pattern": "^https?://", "description": "How other nodes reach this one." });
    let sign_in = words(&[
        ("optional", "nothing; a name is what one says"),
        ("acts", "whatever changes something; the default once anybody has a password"),
        ("all", "reading, too"),
    ]);
    let sign_in = about("What needs a person who has signed in, or a token.", sign_in);
    object(&[], [("listen", listen), ("public_url", url), ("node_url", node), ("hosts", hosts), ("sign_in", sign_in)])
}

fn source() -> Value {
    object(
        &["name", "token"],
        [
            ("name", words_of_text()),
            ("watchdog", watchdog()),
            ("token", about("What it posts as `Authorization: Bearer …`; of several each is good.", one_or_many(secret()))),
        ],
    )
}

fn incidents() -> Value {
    let default = IncidentSettings::default();
    let lasts = |doc: &str, default: crate::domain::time::Span| merged([about(doc, span()), json!({ "default": default.to_string() })]);
    let fields = [
        (
            "group_by",
            merged([
                about("Alerts that agree in these labels are one incident.", one_or_many(words_of_text())),
                json!({ "default": default.group_by }),
            ]),
        ),
        ("settle", lasts("How long all alerts must be quiet before an incident is resolved.", default.settle)),
        ("reopen_within", lasts("Firing again within this time reopens it.", default.reopen_within)),
        ("stale_after", lasts("No news for so long is said on the timeline.", default.stale_after)),
    ];
    object(&[], fields)
}

fn watch() -> Value {
    let every = json!({ "default": WatchSettings::default().every.to_string() });
    let fields = [
        ("heartbeat", about("An address that is called as long as Reynard is well; whoever waits there notices silence.", secret())),
        (
            "every",
            merged([about("How often; at least 1s. Reynard looks at itself as often, and every half minute at the least.", span()), every]),
        ),
    ];
    about("Who watches Reynard itself.", object(&[], fields))
}

fn watchdog() -> Value {
    let alertname = merged([about("The alert that always fires.", words_of_text()), json!({ "default": "Watchdog" })]);
    let within = merged([about("Silence for longer is told; at least 1s.", span()), json!({ "default": "10m" })]);
    about(
        "An alert that always fires, so that its silence says that the sender is away.",
        object(&[], [("alertname", alertname), ("within", within)]),
    )
}

fn hold() -> Value {
    let fields = [
        ("file", about("Automation is held while this file is there; left out: `HOLD` beside the database.", words_of_text())),
        ("release_token", about("Who releases automation from elsewhere than this machine must show it, unless they sign in.", secret())),
    ];
    about("What holds all automation, and who lets go of it.", object(&[], fields))
}

fn retention() -> Value {
    let kept = |doc: &str, default: Option<Span>| {
        let span = json!({ "anyOf": [span(), { "const": "forever" }] });
        let default = default.map_or_else(|| json!("forever"), |span| json!(span.to_string()));
        merged([about(doc, span), json!({ "default": default })])
    };
    let default = Retention::default();
    let fields = [
        ("deliveries", kept("Webhook calls as they came in; what is tried against the past needs them.", default.deliveries)),
        ("resolved", kept("Resolved incidents, with timeline, alerts and runs.", default.resolved)),
    ];
    about("How long things are kept; at least 1d, or `forever`.", object(&[], fields))
}

fn signal() -> Value {
    let query = [("target", about("A prometheus target.", words_of_text())), ("query", about("PromQL, with holes.", words_of_text()))];
    let fields = [
        ("label", about("The label that holds the number.", words_of_text())),
        ("annotation", about("The annotation that holds the number.", words_of_text())),
        ("prometheus", about("Asked where neither label nor annotation tells.", object(&["target", "query"], query))),
    ];
    object(&[], fields)
}

fn rule() -> Value {
    let fields = [
        ("name", words_of_text()),
        ("when", condition()),
        ("priority", priority()),
        ("type", about("The incident's type, when the rule matches.", words_of_text())),
    ];
    merged([object(&["name", "when"], fields), json!({ "anyOf": [{ "required": ["priority"] }, { "required": ["type"] }] })])
}

fn policy() -> Value {
    let plans = ["P1", "P2", "P3", "P4"].map(|name| (name, plan()));
    let all = [("match", about("Which incidents follow it, by their labels when they open.", matchers()))].into_iter().chain(plans);
    object(&[], all)
}

fn plan() -> Value {
    let level = object(
        &["notify"],
        [
            ("notify", about("People, schedules, `on-call` or channels.", one_or_many(words_of_text()))),
            ("after", about("Reckoned from the start of the round.", span())),
        ],
    );
    let levels = merged([about("Who is told, and when, until somebody acknowledges.", list(level)), json!({ "minItems": 1 })]);
    let fields = [
        ("respond_within", about("How long people may take to acknowledge.", span())),
        ("levels", levels),
        ("repeat", json!({ "type": "integer", "minimum": 1, "maximum": 100, "description": "How often the levels are gone through." })),
    ];
    object(&["respond_within", "levels"], fields)
}

fn schedule() -> Value {
    let rotation = object(
        &["people", "handoff"],
        [
            ("people", merged([about("They take turns in this order.", list(words_of_text())), json!({ "minItems": 1 })])),
            ("handoff", json!({ "type": "string", "examples": ["0 9 * * MON"], "description": "A five-field cron line in civil time." })),
            ("starts_at", json!({ "type": "string", "format": "date-time", "description": "When the first of them begins." })),
        ],
    );
    object(
        &["rotations"],
        [("time_zone", json!({ "type": "string", "default": "UTC", "examples": ["Europe/Berlin"] })), ("rotations", list(rotation))],
    )
}

fn person() -> Value {
    let way = object(&["channel"], [("channel", words_of_text()), ("after", about("How long after the page began.", span()))]);
    let fields = [
        ("email", words_of_text()),
        ("slack", about("The member id.", words_of_text())),
        ("password", about("The hash of what they sign in with; `reynard password` makes it.", secret())),
        ("roles", about("What approvals may ask for; no person and no schedule is called so.", one_or_many(words_of_text()))),
        ("notify", about("By which channels, in order; left out: by every channel that reaches them.", list(way))),
    ];
    object(&[], fields)
}

fn token() -> Value {
    let fields = [
        ("name", words_of_text()),
        ("token", about("Sent as `Authorization: Bearer …`; at least 16 letters.", secret())),
        ("person", about("Whose program it is: what it does is theirs.", words_of_text())),
    ];
    object(&["name", "token"], fields)
}

fn channel() -> Value {
    let kinds = words(&[("email", "by SMTP"), ("slack", "an incoming webhook as Slack has it"), ("webhook", "a plain POST of JSON")]);
    let fields = [
        ("kind", kinds),
        ("smtp", about("`smtp://[user:password@]host[:port]` or `smtps://…`.", secret())),
        ("from", words_of_text()),
        ("to", about("Who gets a mail when the channel itself is told.", one_or_many(words_of_text()))),
        ("url", secret()),
        ("headers", text_map(secret())),
    ];
    let only = |kind: &str, required: &[&str], not: &[&str]| of_kind(kind, required, not);
    let kinds = [
        only("email", &["smtp", "from"], &["url", "headers"]),
        only("slack", &["url"], &["smtp", "from", "to", "headers"]),
        only("webhook", &["url"], &["smtp", "from", "to"]),
    ];
    merged([object(&["kind"], fields), json!({ "allOf": kinds })])
}

fn of_kind(kind: &str, required: &[&str], not: &[&str]) -> Value {
    let barred: serde_json::Map<String, Value> = not.iter().map(|name| ((*name).to_owned(), json!(false))).collect();
    let then = if required.is_empty() { json!({ "properties": barred }) } else { json!({ "required": required, "properties": barred }) };
    json!({ "if": { "properties": { "kind": { "const": kind } }, "required": ["kind"] }, "then": then })
}

fn target() -> Value {
    let extras = ["namespace", "deployment", "container", "context", "selector", "repository"];
    let kinds: Vec<(&str, &str)> = KINDS.iter().map(|(word, _)| (*word, "")).collect();
    let fields = [
        ("kind", words(&kinds)),
        ("url", about("The base address; playbooks reach nothing beside it.", secret())),
        ("service", about("Whose it is.", words_of_text())),
        ("automation", live_or_shadow()),
        ("headers", text_map(secret())),
        ("token", about("Sent as `Authorization: Bearer …`.", secret())),
    ];
    let fields = fields.into_iter().chain(extras.map(|name| (name, words_of_text())));
    let kinds: Vec<Value> = KINDS.iter().map(|(word, kind)| target_of(word, *kind, &extras)).collect();
    merged([object(&["kind"], fields), json!({ "allOf": kinds })])
}

fn target_of(word: &str, kind: TargetKind, extras: &[&'static str]) -> Value {
    let database = matches!(kind, TargetKind::Postgres | TargetKind::Pgbouncer);
    let mut required = needed(kind).to_vec();
    if kind != TargetKind::Kubernetes {
        required.push("url");
    }
    let known = |name: &&str| needed(kind).contains(name) || allowed(kind).contains(name);
    let mut barred: Vec<&str> = extras.iter().copied().filter(|name| !known(name)).collect();
    if database {
        barred.extend(["headers", "token"]);
    }
    of_kind(word, &required, &barred)
}

fn command() -> Value {
    let fields = [
        ("program", json!({ "type": "string", "pattern": "^/", "description": "The full path." })),
        ("args", about("No shell is involved; `{{ name }}` is a parameter.", list(text()))),
        ("params", about("Each parameter's pattern, which must match as a whole.", text_map(words_of_text()))),
        ("timeout", merged([about("It is stopped after so long.", span()), json!({ "default": "1m" })])),
    ];
    object(&["program"], fields)
}

fn egress() -> Value {
    let allow = about("Patterns of hosts that playbooks may reach by an address from an alert.", list(words_of_text()));
    object(&[], [("allow", allow)])
}

fn limits() -> Value {
    let default = GlobalLimits::default();
    let rates = |doc: &str, default: String| merged([about(doc, rate()), json!({ "default": default })]);
    let fields = [
        ("destructive", rates("Steps that change something, over all incidents.", default.destructive.to_string())),
        ("per_target", rates("Of those, on one target.", default.per_target.to_string())),
        ("per_service", about("Of those, on all targets of one service.", rate())),
        (
            "share",
            json!({ "type": "string", "pattern": "^[0-9.]+ *%$", "description": "So large a share of a service's targets may be worked on at once; one always." }),
        ),
        (
            "correlated",
            json!({ "type": "string", "pattern": "^[0-9.]+ *%$", "default": "30%", "description": "Hold back when so large a share of a service's targets is in trouble at once." }),
        ),
        (
            "breaker",
            json!({ "anyOf": [{ "type": "integer", "minimum": 1, "maximum": 100 }, { "const": "never" }], "default": 3, "description": "Failures in a row after which a playbook changes nothing more until a person arms it again; `never`: however often it fails." }),
        ),
    ];
    about("Brakes for automation, over all incidents; paging never waits.", object(&[], fields))
}

/// Of one target or playbook.
pub fn live_or_shadow() -> Value {
    let kinds = words(&[("live", "it is acted on"), ("shadow", "what would change something is only written down")]);
    merged([kinds, json!({ "default": "live" })])
}

fn automation() -> Value {
    let kinds =
        words(&[("live", "it acts"), ("shadow", "it says what it would do"), ("held", "nothing destructive begins; people are told")]);
    merged([kinds, json!({ "default": "live" })])
}
