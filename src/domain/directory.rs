//! The people, schedules and channels by name, and whom a list of names reaches. Sends nothing, and knows of a channel only its name.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::domain::on_call::Schedule;
use crate::domain::time::{Span, Timestamp};

/// The name that stands for whoever is on call for the incident.
pub const ON_CALL: &str = "on-call";
/// The schedule of incidents that name none.
pub const PRIMARY: &str = "primary";
/// The role of whoever may answer for the machine; anybody, where nobody has it.
pub const OPERATOR: &str = "operator";
/// The channel of people who have an address and no notify rules.
pub const EMAIL: &str = "email";

/// Somebody who can be notified.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Person {
    pub name: String,
    pub email: Option<String>,
    pub slack: Option<String>,
    #[serde(default)]
    pub notify: Vec<NotifyRule>,
    /// What else they answer for: `dba`, `operator`.
    #[serde(default)]
    pub roles: BTreeSet<String>,
}

/// By which channel somebody wants to be told, and how long after the page began.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NotifyRule {
    pub channel: String,
    #[serde(default)]
    pub after: Span,
}

/// Everything a name in `to:` or `notify:` can mean.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Directory {
    pub people: BTreeMap<String, Person>,
    pub schedules: BTreeMap<String, Schedule>,
    pub channels: BTreeSet<String>,
}

/// One message to send: to a person through a channel, or to a channel itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Recipient {
    Person { name: String, channel: String, after: Span },
    Channel { channel: String },
}

/// Whom names reach, and in whole sentences what kept them from reaching others.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resolution {
    pub recipients: Vec<Recipient>,
    /// When there are no recipients beside these, nobody is told: page the next level.
    pub unknown: Vec<String>,
}

impl Directory {
    /// Whom `to` reaches at `at`. A name means a person, else a schedule, else `on-call`, else a channel, else a role. A person is reached once a
    /// channel, at the earliest time asked for, whatever the number of names that lead there.
    pub fn resolve(&self, to: &[String], schedule_of_incident: Option<&str>, at: Timestamp) -> Resolution {
        let mut found = Resolution::default();
        for name in to {
            if let Some(person) = self.people.get(name) {
                self.add_person(name, person, &mut found);
            } else if let Some(schedule) = self.schedules.get(name) {
                self.add_schedule(name, schedule, at, &mut found);
            } else if name == ON_CALL {
                self.add_on_call(schedule_of_incident, at, &mut found);
            } else if self.channels.contains(name) {
                found.add_channel(name);
            } else if self.has_role(name) {
                self.with_role(name).for_each(|person| self.add_person(&person.name, person, &mut found));
            } else {
                found.miss(format!("\"{name}\" is no person, schedule or channel"));
            }
        }
        found
    }

    /// Whether somebody is meant by one of the names: as a person, by a role, as on call now in a schedule, or because anybody is.
    pub fn stands_for(&self, names: &[String], who: &str, at: Timestamp) -> bool {
        let on_call =
            |schedule: &str| self.schedules.get(schedule).is_some_and(|schedule| schedule.on_call_at(at).iter().any(|name| name == who));
        let in_role = |role: &str| self.with_role(role).any(|person| person.name == who);
        let anybody = |name: &str| name == OPERATOR && !self.has_role(OPERATOR);
        names.iter().any(|name| name == who || anybody(name) || in_role(name) || on_call(name) || (name == ON_CALL && on_call(PRIMARY)))
    }

    /// Whether anybody has the role.
    pub fn has_role(&self, role: &str) -> bool {
        self.with_role(role).next().is_some()
    }

    fn with_role<'a>(&'a self, role: &'a str) -> impl Iterator<Item = &'a Person> {
        self.people.values().filter(move |person| person.roles.contains(role))
    }

    /// Whether a name can mean anybody at all.
    pub fn knows(&self, name: &str) -> bool {
        name == ON_CALL
            || self.people.contains_key(name)
            || self.schedules.contains_key(name)
            || self.channels.contains(name)
            || self.has_role(name)
    }

    /// An incident's schedule that is gone must not swallow the page: the primary one answers, and the gap is told.
    fn add_on_call(&self, wanted: Option<&str>, at: Timestamp, found: &mut Resolution) {
        let wanted = wanted.unwrap_or(PRIMARY);
        if !self.schedules.contains_key(wanted) {
            found.miss(format!("there is no schedule \"{wanted}\" for \"{ON_CALL}\""));
        }
        let name = if self.schedules.contains_key(wanted) { wanted } else { PRIMARY };
        if let Some(schedule) = self.schedules.get(name) {
            self.add_schedule(name, schedule, at, found);
        }
    }

    fn add_schedule(&self, name: &str, schedule: &Schedule, at: Timestamp, found: &mut Resolution) {
        let on_call = schedule.on_call_at(at);
        if on_call.is_empty() {
            found.miss(format!("nobody is on call in \"{name}\""));
        }
        for who in &on_call {
            match self.people.get(who) {
                Some(person) => self.add_person(who, person, found),
                None => found.miss(format!("\"{who}\", on call in \"{name}\", is not among the people")),
            }
        }
    }

    fn add_person(&self, name: &str, person: &Person, found: &mut Resolution) {
        for rule in &person.notify {
            if self.channels.contains(&rule.channel) {
                found.add_person(name, rule);
            } else {
                found.miss(format!("\"{name}\" is to be notified by \"{}\", which is no channel", rule.channel));
            }
        }
        if person.notify.is_empty() {
            self.add_by_email(name, person, found);
        }
    }

    fn add_by_email(&self, name: &str, person: &Person, found: &mut Resolution) {
        if person.email.is_none() {
            found.miss(format!("\"{name}\" has neither notify rules nor an email address"));
        } else if !self.channels.contains(EMAIL) {
            found.miss(format!("\"{name}\" has no notify rules, and there is no channel \"{EMAIL}\" for the address"));
        } else {
            found.add_person(name, &NotifyRule { channel: EMAIL.to_owned(), after: Span::ZERO });
        }
    }
}

impl Resolution {
    fn add_person(&mut self, who: &str, rule: &NotifyRule) {
        for known in &mut self.recipients {
            if let Recipient::Person { name, channel, after } = known
                && name == who
                && *channel == rule.channel
            {
                *after = rule.after.min(*after);
                return;
            }
        }
        self.recipients.push(Recipient::Person { name: who.to_owned(), channel: rule.channel.clone(), after: rule.after });
    }

    fn add_channel(&mut self, channel: &str) {
        let recipient = Recipient::Channel { channel: channel.to_owned() };
        if !self.recipients.contains(&recipient) {
            self.recipients.push(recipient);
        }
    }

    fn miss(&mut self, reason: String) {
        if !self.unknown.contains(&reason) {
            self.unknown.push(reason);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// ana is on call in primary, bo in night, a stranger in strange, nobody in empty; dan has no rules, eve not even an address.
    fn directory() -> Directory {
        let schedule = |people: &[&str]| json!({ "time_zone": "UTC", "rotations": [ { "people": people, "handoff": "0 9 * * MON" } ] });
        let written = json!({
            "channels": ["email", "chat", "hook"],
            "schedules": {
                "primary": schedule(&["ana"]), "night": schedule(&["bo"]), "strange": schedule(&["zed"]), "empty": schedule(&[]),
            },
            "people": {
                "ana": {
                    "name": "ana", "email": "ana@example.com",
                    "notify": [ { "channel": "email" }, { "channel": "chat", "after": "5m" } ],
                },
                "bo": { "name": "bo", "notify": [ { "channel": "chat", "after": "10m" }, { "channel": "chat", "after": "1m" } ] },
                "cy": { "name": "cy", "notify": [ { "channel": "pager" }, { "channel": "chat" } ] },
                "dan": { "name": "dan", "email": "dan@example.com" },
                "eve": { "name": "eve", "slack": "U1" },
            },
        });
        serde_json::from_value(written).expect("a directory")
    }

    fn resolve(directory: &Directory, to: &[&str], schedule: Option<&str>) -> (Vec<String>, Vec<String>) {
        let to: Vec<String> = to.iter().map(|name| (*name).to_owned()).collect();
        let at = Timestamp::parse_rfc3339("2026-11-24T03:12:00Z").expect("an instant");
        let found = directory.resolve(&to, schedule, at);
        (found.recipients.iter().map(shown).collect(), found.unknown)
    }

    fn shown(recipient: &Recipient) -> String {
        match recipient {
            Recipient::Person { name, channel, after } => format!("{name} by {channel} after {after}"),
            Recipient::Channel { channel } => channel.clone(),
        }
    }

    /// What `to` reaches, where nothing may be unknown.
    fn reached(to: &[&str], schedule: Option<&str>) -> Vec<String> {
        let (recipients, unknown) = resolve(&directory(), to, schedule);
        assert_eq!(unknown, Vec::<String>::new());
        recipients
    }

    /// The one reason why `to` reaches nobody.
    fn missed(directory: &Directory, to: &str, schedule: Option<&str>) -> String {
        let (recipients, unknown) = resolve(directory, &[to], schedule);
        assert_eq!((recipients.len(), unknown.len()), (0, 1), "{unknown:?}");
        unknown[0].clone()
    }

    const ANA: [&str; 2] = ["ana by email after 0s", "ana by chat after 5m"];

    #[test]
    fn a_name_is_a_person_a_schedule_on_call_or_a_channel() {
        assert_eq!(reached(&["ana"], None), ANA);
        assert_eq!(reached(&["primary"], None), ANA);
        assert_eq!(reached(&["on-call"], None), ANA);
        assert_eq!(reached(&["on-call"], Some("night")), ["bo by chat after 1m"]);
        assert_eq!(reached(&["hook"], None), ["hook"]);
        assert_eq!(missed(&directory(), "lead", None), "\"lead\" is no person, schedule or channel");
    }

    #[test]
    fn whoever_is_named_twice_is_told_once() {
        assert_eq!(reached(&["on-call", "ana", "primary", "hook", "ana", "hook"], None), [ANA[0], ANA[1], "hook"]);
        let (_, unknown) = resolve(&directory(), &["lead", "lead"], None);
        assert_eq!(unknown.len(), 1);
    }

    #[test]
    fn a_person_and_the_channel_itself_are_two() {
        assert_eq!(reached(&["chat", "bo"], None), ["chat", "bo by chat after 1m"]);
    }

    #[test]
    fn without_rules_the_email_address_will_do() {
        assert_eq!(reached(&["dan"], None), ["dan by email after 0s"]);
        assert_eq!(missed(&directory(), "eve", None), "\"eve\" has neither notify rules nor an email address");
        let mut without_email = directory();
        without_email.channels.remove("email");
        assert!(missed(&without_email, "dan", None).contains("there is no channel \"email\""));
    }

    #[test]
    fn a_rule_without_its_channel_is_told_and_the_others_hold() {
        let (recipients, unknown) = resolve(&directory(), &["cy"], None);
        assert_eq!(recipients, ["cy by chat after 0s"]);
        assert_eq!(unknown, ["\"cy\" is to be notified by \"pager\", which is no channel"]);
    }

    #[test]
    fn an_empty_on_call_is_told_so_that_the_next_level_can_be_paged() {
        assert_eq!(missed(&directory(), "on-call", Some("empty")), "nobody is on call in \"empty\"");
        assert_eq!(missed(&directory(), "strange", None), "\"zed\", on call in \"strange\", is not among the people");
        assert_eq!(missed(&Directory::default(), "on-call", None), "there is no schedule \"primary\" for \"on-call\"");
    }

    #[test]
    fn an_incident_whose_schedule_is_gone_pages_the_primary_one() {
        let (recipients, unknown) = resolve(&directory(), &["on-call"], Some("gone"));
        assert_eq!(recipients, ANA);
        assert_eq!(unknown, ["there is no schedule \"gone\" for \"on-call\""]);
    }
}
