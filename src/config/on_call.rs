//! The `people:` and `on_call:` sections: who there is, how they are reached and sign in, who is on call when. Knows no clock.

use std::collections::{BTreeMap, BTreeSet};

use crate::config::channels;
use crate::config::diagnostic::Code;
use crate::config::names::{self, Names};
use crate::config::reader::{At, Name};
use crate::config::secrets::Secrets;
use crate::config::sign_in;
use crate::config::suggest;
use crate::domain::cron::Cron;
use crate::domain::directory::{NotifyRule, ON_CALL, Person};
use crate::domain::on_call::{Rotation, Schedule};
use crate::domain::password::PasswordHash;
use crate::domain::settings::{Channel, ChannelKind};
use crate::domain::time::{Span, Timestamp};

/// Passwords by person; none of one that is not the hash of one.
pub type Passwords = BTreeMap<String, Option<PasswordHash>>;

/// Every person by name, and who has a password. Without a `notify:` of their own, they are told by every channel that can reach them.
pub fn people(
    at: At<'_>,
    names: &Names,
    channels: &BTreeMap<String, Channel>,
    secrets: &dyn Secrets,
) -> (BTreeMap<String, Person>, Passwords) {
    let mut passwords = Passwords::new();
    let people = at.entries().into_iter().filter_map(|(key, at)| person(key, at, (names, channels), (secrets, &mut passwords)));
    (people.map(|person| (person.name.clone(), person)).collect(), passwords)
}

/// `on_call:`, every schedule by name.
pub fn schedules(at: At<'_>, names: &Names) -> BTreeMap<String, Schedule> {
    let Some(fields) = at.fields() else { return BTreeMap::new() };
    let entries = fields.optional("schedules").map(At::entries).unwrap_or_default();
    fields.finish();
    entries.into_iter().filter_map(|(key, at)| schedule(key, at, names)).collect()
}

fn person(
    key: Name<'_>,
    at: At<'_>,
    (names, channels): (&Names, &BTreeMap<String, Channel>),
    (secrets, passwords): (&dyn Secrets, &mut Passwords),
) -> Option<Person> {
    let name = own_name(key, names);
    let fields = at.fields()?;
    if let (Some(at), Some(name)) = (fields.optional("password"), &name) {
        passwords.insert(name.clone(), sign_in::password(at, secrets));
    }
    let email = fields.optional("email").and_then(channels::mailbox);
    let slack = fields.optional("slack").and_then(At::words).map(str::to_owned);
    let rules = fields.optional("notify").map(At::list);
    let roles = fields.optional("roles").map(At::one_or_many).unwrap_or_default();
    let roles = roles.into_iter().filter_map(role).collect();
    fields.finish();
    let mut person = Person { name: name?, email, slack, notify: Vec::new(), roles };
    person.notify = match rules {
        Some(rules) => rules.into_iter().filter_map(|at| notify_rule(at, &person, names, channels)).collect(),
        None => every_way(&person, channels),
    };
    if person.notify.is_empty() && names.complete {
        let help = "give an email or a slack id, and declare a channel for it";
        key.place().warning(Code::Unreachable, format!("no channel reaches {}", person.name), Some(help.to_owned()));
    }
    Some(person)
}

fn role(at: At<'_>) -> Option<String> {
    let role = at.words()?;
    if !names::is_name(role) {
        at.error_help(Code::BadName, format!("\"{role}\" cannot be a role"), names::NAME_HELP);
        return None;
    }
    Some(role.to_owned())
}

fn notify_rule(at: At<'_>, person: &Person, names: &Names, channels: &BTreeMap<String, Channel>) -> Option<NotifyRule> {
    let fields = at.fields()?;
    let named = fields.required("channel");
    let after = fields.optional("after").map_or(Some(Span::ZERO), At::span);
    fields.finish();
    let channel = names.known(named?, "channel", &names.channels)?;
    if channels.get(&channel).is_some_and(|channel| matches!(channel.kind, ChannelKind::Email(_))) && person.email.is_none() {
        named?.error_help(Code::Unreachable, format!("{} has no email for this channel", person.name), "give the person an email");
    }
    Some(NotifyRule { channel, after: after? })
}

fn every_way(person: &Person, channels: &BTreeMap<String, Channel>) -> Vec<NotifyRule> {
    let reaches = |channel: &&Channel| match channel.kind {
        ChannelKind::Email(_) => person.email.is_some(),
        ChannelKind::Slack { .. } => person.slack.is_some(),
        ChannelKind::Webhook { .. } => false,
    };
    channels.values().filter(reaches).map(|channel| NotifyRule { channel: channel.name.clone(), after: Span::ZERO }).collect()
}

fn schedule(key: Name<'_>, at: At<'_>, names: &Names) -> Option<(String, Schedule)> {
    let name = own_name(key, names);
    let fields = at.fields()?;
    let time_zone = fields.optional("time_zone").map_or(Some(chrono_tz::UTC), time_zone);
    let rotations = fields.required("rotations").map(At::list).unwrap_or_default();
    fields.finish();
    let rotations = rotations.into_iter().filter_map(|at| rotation(at, names)).collect();
    Some((name?, Schedule { time_zone: time_zone?, rotations }))
}

fn rotation(at: At<'_>, names: &Names) -> Option<Rotation> {
    let fields = at.fields()?;
    let people = fields.required("people").map(|at| rota(at, names)).unwrap_or_default();
    let handoff_at = fields.required("handoff");
    let handoff = handoff_at.and_then(cron);
    let starts_at = fields.optional("starts_at").map(instant);
    fields.finish();
    let starts_at = match starts_at {
        Some(None) => return None,
        Some(at) => at,
        None => None,
    };
    let place = handoff_at?;
    Rotation::new(people, handoff?, starts_at).map_err(|error| place.error(Code::BadValue, error.to_string())).ok()
}

fn rota(at: At<'_>, names: &Names) -> Vec<String> {
    let items = at.list();
    if items.is_empty() {
        at.error(Code::BadValue, "a rotation needs somebody");
    }
    let mut seen = BTreeSet::new();
    let mut people = Vec::new();
    for item in items {
        let Some(person) = names.known(item, "person", &names.people) else { continue };
        if !seen.insert(person.clone()) {
            item.place().warning(Code::DuplicateName, format!("{person} is in this rotation twice"), None);
        }
        people.push(person);
    }
    people
}

/// A five-field cron line.
pub fn cron(at: At<'_>) -> Option<Cron> {
    let text = at.words()?;
    Cron::parse(text).map_err(|error| at.error(Code::BadValue, error.to_string())).ok()
}

fn instant(at: At<'_>) -> Option<Timestamp> {
    let text = at.words()?;
    let found = Timestamp::parse_rfc3339(text);
    if found.is_none() {
        at.error_help(Code::BadValue, format!("\"{text}\" is not an instant"), "write for example 2026-11-23T09:00:00+01:00");
    }
    found
}

/// A time zone by its name.
pub fn time_zone(at: At<'_>) -> Option<chrono_tz::Tz> {
    let text = at.words()?;
    let found = text.parse();
    if found.is_err() {
        let help = suggest::nearest(text, &chrono_tz::TZ_VARIANTS.map(chrono_tz::Tz::name));
        let help = help.map_or("write for example Europe/Berlin".to_owned(), |near| format!("did you mean \"{near}\"?"));
        at.error_help(Code::BadValue, format!("there is no time zone \"{text}\""), help);
    }
    found.ok()
}

/// People, schedules and channels share one space of names: `to:` must mean one of them.
fn own_name(key: Name<'_>, names: &Names) -> Option<String> {
    let name = names::name(key)?;
    let holders = [&names.people, &names.schedules, &names.channels].into_iter().filter(|space| space.contains(&name)).count();
    if holders > 1 || name == ON_CALL {
        let message = format!("\"{name}\" stands for more than one thing");
        let help = "people, schedules and channels need different names, and on-call is taken".to_owned();
        key.place().error(Code::DuplicateName, message, Some(help));
    }
    Some(name)
}
