//! Everything `reynard.yaml` and the playbook files say, checked and typed: the rulebook that decisions are made by.
//! Knows no files; the config room builds it, the runtime swaps it when a file changes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use regex::Regex;

use crate::domain::action::{Specs, TargetKind};
use crate::domain::classification::Rule;
use crate::domain::directory::Directory;
use crate::domain::escalation::{DEFAULT, Policy};
use crate::domain::expression::template::Template;
use crate::domain::labels::Labels;
use crate::domain::limits::GlobalLimits;
use crate::domain::playbook::Playbook;
use crate::domain::secret::Secret;
use crate::domain::sign_in::SignInSettings;
use crate::domain::time::Span;
use crate::domain::watch::{WatchSettings, Watchdog};

/// What decisions are made by; one immutable snapshot, replaced as a whole.
#[derive(Clone, Debug, Default)]
pub struct Rulebook {
    pub incidents: IncidentSettings,
    /// Numbers that rules may use, by name.
    pub signals: BTreeMap<String, SignalSource>,
    /// First match wins.
    pub rules: Vec<Rule>,
    /// Escalation policies in the file's order; `default` is always there once loaded.
    pub policies: Vec<Policy>,
    pub directory: Directory,
    pub targets: BTreeMap<String, Target>,
    pub limits: GlobalLimits,
    pub automation: Automation,
    pub retention: Retention,
    pub watch: WatchSettings,
    /// Alerts that always fire, by source.
    pub watchdogs: BTreeMap<String, Watchdog>,
    /// The playbooks that may start, by slug.
    pub playbooks: BTreeMap<String, Arc<Playbook>>,
    /// Every revision that a run may still be pinned to, by digest.
    pub revisions: BTreeMap<String, Arc<Playbook>>,
    pub specs: Specs,
    /// Playbook files that are broken now: path to the fault in words. Their last good revision stays in force.
    pub broken: BTreeMap<String, String>,
    /// `server.public_url`, for links in messages.
    pub public_url: String,
}

impl Rulebook {
    /// The names of a service's targets.
    pub fn targets_of(&self, service: &str) -> BTreeSet<&str> {
        let own = |target: &&Target| target.service.as_deref() == Some(service);
        self.targets.values().filter(own).map(|target| target.name.as_str()).collect()
    }

    /// Whose a target is: as its settings say, else the incident's, which names the service it is about.
    pub fn service_of(&self, target: Option<&str>, of_incident: &str) -> Option<String> {
        let own = target.and_then(|name| self.targets.get(name)).and_then(|target| target.service.clone());
        own.or_else(|| (!of_incident.is_empty()).then(|| of_incident.to_owned()))
    }

    /// The policy that an incident with these labels follows: the first one that is for it, else `default`.
    pub fn policy_for(&self, labels: &Labels) -> &str {
        self.policies.iter().find(|policy| policy.is_for(labels)).map_or(DEFAULT, |policy| &policy.name)
    }

    /// The policy of that name; `default` for one that the file does not have any more.
    pub fn policy(&self, name: &str) -> Option<&Policy> {
        let named = |name: &str| self.policies.iter().find(|policy| policy.name == name);
        named(name).or_else(|| named(DEFAULT))
    }
}

/// The `incidents:` section.
#[derive(Clone, Debug)]
pub struct IncidentSettings {
    pub group_by: Vec<String>,
    pub settle: Span,
    pub reopen_within: Span,
    pub stale_after: Span,
}

impl Default for IncidentSettings {
    fn default() -> Self {
        Self {
            group_by: vec!["alertname".to_owned(), "service".to_owned()],
            settle: Span::seconds(30),
            reopen_within: Span::minutes(30),
            stale_after: Span::hours(12),
        }
    }
}

/// The `retention:` section: how long things are kept; none is for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Webhook calls as they came in.
    pub deliveries: Option<Span>,
    /// Resolved incidents, with their timeline, alerts and runs.
    pub resolved: Option<Span>,
}

impl Default for Retention {
    fn default() -> Self {
        Self { deliveries: Some(Span::hours(30 * 24)), resolved: Some(Span::hours(365 * 24)) }
    }
}

/// Where a signal's number comes from, asked in this order.
#[derive(Clone, Debug, Default)]
pub struct SignalSource {
    pub label: Option<String>,
    pub annotation: Option<String>,
    pub prometheus: Option<SignalQuery>,
}

#[derive(Clone, Debug)]
pub struct SignalQuery {
    pub target: String,
    pub query: Template,
}

/// Whether automation acts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Automation {
    #[default]
    Live,
    /// Destructive steps are recorded, not done.
    Shadow,
    /// Nothing destructive starts.
    Held,
}

/// A named thing that playbooks act on.
#[derive(Clone, Debug)]
pub struct Target {
    pub name: String,
    pub kind: TargetKind,
    pub service: Option<String>,
    /// The base address; it may carry a password.
    pub url: Secret,
    /// Sent with every call of an HTTP-like target (`headers:`, `token:`).
    pub headers: BTreeMap<String, Secret>,
    /// Anything else the kind takes (`namespace`, `deployment`, `repository` …).
    pub extra: BTreeMap<String, String>,
}

impl Target {
    /// Whether what would change it is only written down (`automation: shadow`).
    pub fn is_shadow(&self) -> bool {
        self.extra.get(SHADOW_FIELD).is_some_and(|word| word == "shadow")
    }
}

/// Where a target keeps that.
pub const SHADOW_FIELD: &str = "automation";

/// A program that `command.run` may start.
#[derive(Clone, Debug)]
pub struct Command {
    pub name: String,
    pub program: String,
    /// Arguments; a hole names a parameter.
    pub args: Vec<String>,
    /// Each parameter's whole text must match its pattern.
    pub params: BTreeMap<String, Regex>,
    pub timeout: Span,
}

/// A way to tell people.
#[derive(Clone, Debug)]
pub struct Channel {
    pub name: String,
    pub kind: ChannelKind,
}

#[derive(Clone, Debug)]
pub enum ChannelKind {
    Email(EmailSettings),
    /// A Slack-compatible incoming webhook.
    Slack {
        url: Secret,
    },
    Webhook {
        url: Secret,
        headers: BTreeMap<String, Secret>,
    },
}

#[derive(Clone, Debug)]
pub struct EmailSettings {
    /// `smtp://[user:password@]host[:port]` (STARTTLS when the server offers it), `smtps://…` (TLS at once);
    /// `?tls=required` insists on STARTTLS, `?tls=none` never uses it.
    pub smtp: Secret,
    pub from: String,
    /// Recipients when the channel itself is told, rather than a person.
    pub to: Vec<String>,
}

/// The `hold:` section: what holds automation besides a person, and what releasing it takes.
#[derive(Clone, Debug, Default)]
pub struct HoldSettings {
    /// While there is such a file, automation is held; none: `HOLD` beside the database.
    pub file: Option<String>,
    /// What whoever releases must show, unless people sign in; without one, this machine alone may.
    pub release_token: Option<Secret>,
}

/// Who may post deliveries.
#[derive(Clone, Debug)]
pub struct Source {
    pub name: String,
    pub token: Secret,
}

/// The whole of `reynard.yaml`: the rulebook and what only the outer rooms need.
#[derive(Clone, Debug)]
pub struct Settings {
    pub listen: std::net::SocketAddr,
    pub public_url: String,
    /// Further names that this server is called by.
    pub hosts: Vec<String>,
    /// Where other nodes reach this one; none: at the address it listens on.
    pub node_url: Option<String>,
    pub database_url: Secret,
    pub sources: Vec<Source>,
    pub channels: BTreeMap<String, Channel>,
    pub commands: BTreeMap<String, Command>,
    /// Hosts that `http.*` and `tcp.connect` may reach without a target (`egress: { allow: [...] }`).
    pub egress: Vec<Regex>,
    pub hold: HoldSettings,
    pub sign_in: SignInSettings,
    /// Where somebody outside is told that all is well.
    pub heartbeat: Option<Secret>,
    pub rulebook: Rulebook,
}

impl Settings {
    pub fn channel_names(&self) -> BTreeSet<String> {
        self.channels.keys().cloned().collect()
    }
}
