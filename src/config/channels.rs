//! The `channels:` section: the ways to tell people. Knows nothing of how a message is sent.

use std::collections::BTreeMap;

use crate::config::diagnostic::Code;
use crate::config::names;
use crate::config::reader::{At, Fields, Name};
use crate::config::secrets::Secrets;
use crate::config::targets;
use crate::domain::settings::{Channel, ChannelKind, EmailSettings};

#[derive(Clone, Copy)]
enum Kind {
    Email,
    Slack,
    Webhook,
}

/// Every channel by name.
pub fn read(at: At<'_>, secrets: &dyn Secrets) -> BTreeMap<String, Channel> {
    at.entries().into_iter().filter_map(|(key, at)| channel(key, at, secrets)).map(|channel| (channel.name.clone(), channel)).collect()
}

fn channel(key: Name<'_>, at: At<'_>, secrets: &dyn Secrets) -> Option<Channel> {
    let name = names::name(key);
    let fields = at.fields()?;
    let Some(kind) =
        fields.required("kind").and_then(|at| at.one_of(&[("email", Kind::Email), ("slack", Kind::Slack), ("webhook", Kind::Webhook)]))
    else {
        fields.abandon();
        return None;
    };
    let kind = match kind {
        Kind::Email => email(&fields, secrets).map(ChannelKind::Email),
        Kind::Slack => web_address(&fields, secrets).map(|url| ChannelKind::Slack { url }),
        Kind::Webhook => webhook(&fields, secrets),
    };
    fields.finish();
    Some(Channel { name: name?, kind: kind? })
}

fn email(fields: &Fields<'_>, secrets: &dyn Secrets) -> Option<EmailSettings> {
    let smtp = fields.required("smtp").and_then(|at| targets::address(at, secrets, &["smtp", "smtps"]));
    let from = fields.required("from").and_then(mailbox);
    let to = fields.optional("to").map(At::one_or_many).unwrap_or_default();
    Some(EmailSettings { smtp: smtp?, from: from?, to: to.into_iter().filter_map(mailbox).collect() })
}

fn webhook(fields: &Fields<'_>, secrets: &dyn Secrets) -> Option<ChannelKind> {
    let headers = fields.optional("headers").map(|at| targets::headers(at, secrets)).unwrap_or_default();
    Some(ChannelKind::Webhook { url: web_address(fields, secrets)?, headers })
}

fn web_address(fields: &Fields<'_>, secrets: &dyn Secrets) -> Option<crate::domain::secret::Secret> {
    fields.required("url").and_then(|at| targets::address(at, secrets, &["http", "https"]))
}

/// An e-mail address: `ana@example.com` or `Ana <ana@example.com>`.
pub fn mailbox(at: At<'_>) -> Option<String> {
    let text = at.words()?;
    let address = text.rsplit_once('<').map_or(text, |(_, rest)| rest.trim_end_matches('>'));
    let good = !address.contains(char::is_whitespace) && address.split('@').count() == 2 && address.split('@').all(|part| !part.is_empty());
    if !good || text.contains(['\n', '\r']) {
        at.error_help(Code::BadValue, format!("\"{text}\" is not an e-mail address"), "write for example ana@example.com");
        return None;
    }
    Some(text.to_owned())
}
