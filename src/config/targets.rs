//! The `targets:` section: the things playbooks act on, and the addresses they have. Knows nothing of what is done to them.

use std::collections::BTreeMap;

use url::Url;

use crate::config::diagnostic::Code;
use crate::config::names;
use crate::config::reader::{At, Fields, Name};
use crate::config::secrets::{self, Secrets};
use crate::domain::action::TargetKind;
use crate::domain::secret::Secret;
use crate::domain::settings::{SHADOW_FIELD, Target};

/// Every kind and its word.
pub const KINDS: [(&str, TargetKind); 6] = [
    ("postgres", TargetKind::Postgres),
    ("pgbouncer", TargetKind::Pgbouncer),
    ("kubernetes", TargetKind::Kubernetes),
    ("http", TargetKind::Http),
    ("prometheus", TargetKind::Prometheus),
    ("tickets", TargetKind::Tickets),
];

const WEB: &[&str] = &["http", "https"];

/// Every target by name.
pub fn read(at: At<'_>, secrets: &dyn Secrets) -> BTreeMap<String, Target> {
    at.entries().into_iter().filter_map(|(key, at)| target(key, at, secrets)).map(|target| (target.name.clone(), target)).collect()
}

/// The headers of an HTTP-like thing.
pub fn headers(at: At<'_>, secrets: &dyn Secrets) -> BTreeMap<String, Secret> {
    at.entries().into_iter().filter_map(|(key, at)| Some((header_name(key)?, secrets::secret(at, secrets)?))).collect()
}

/// An address whose scheme is one of `schemes`.
pub fn address(at: At<'_>, secrets: &dyn Secrets, schemes: &[&str]) -> Option<Secret> {
    let secret = secrets::secret(at, secrets)?;
    // The address may carry a password: the message must not repeat it.
    let fault = match Url::parse(secret.expose()) {
        Ok(url) if schemes.contains(&url.scheme()) => return Some(secret),
        Ok(url) => format!("an address that begins with {}:// cannot be used here", url.scheme()),
        Err(error) => format!("this is not an address: {error}"),
    };
    at.error_help(
        Code::BadValue,
        fault,
        format!("it begins with {}", schemes.iter().map(|s| format!("{s}://")).collect::<Vec<_>>().join(" or ")),
    );
    None
}

fn target(key: Name<'_>, at: At<'_>, secrets: &dyn Secrets) -> Option<Target> {
    let name = names::name(key);
    let fields = at.fields()?;
    let Some(kind) = fields.required("kind").and_then(|at| at.one_of(&KINDS)) else {
        fields.abandon();
        return None;
    };
    let service = fields.optional("service").and_then(At::words).map(str::to_owned);
    let url = url(&fields, kind, secrets);
    let target = headers_and_extra(&fields, kind, secrets);
    let shadow = fields.optional("automation").and_then(|at| at.one_of(&[("live", false), ("shadow", true)])).unwrap_or_default();
    fields.finish();
    let (headers, mut extra) = target;
    extra.extend(shadow.then(|| (SHADOW_FIELD.to_owned(), "shadow".to_owned())));
    Some(Target { name: name?, kind, service, url: url?, headers, extra })
}

fn url(fields: &Fields<'_>, kind: TargetKind, secrets: &dyn Secrets) -> Option<Secret> {
    match kind {
        TargetKind::Postgres | TargetKind::Pgbouncer => address(fields.required("url")?, secrets, &["postgres", "postgresql"]),
        // Without an address the cluster is found as kubectl would find it.
        TargetKind::Kubernetes => fields.optional("url").map_or(Some(Secret::new("")), |at| address(at, secrets, WEB)),
        TargetKind::Http | TargetKind::Prometheus | TargetKind::Tickets => address(fields.required("url")?, secrets, WEB),
    }
}

/// What a kind cannot do without, beside its address.
pub fn needed(kind: TargetKind) -> &'static [&'static str] {
    match kind {
        TargetKind::Kubernetes => &["namespace"],
        TargetKind::Tickets => &["repository"],
        _ => &[],
    }
}

/// What a kind may say beside that.
pub fn allowed(kind: TargetKind) -> &'static [&'static str] {
    match kind {
        TargetKind::Kubernetes => &["deployment", "container", "context", "selector"],
        TargetKind::Http => &["repository"],
        _ => &[],
    }
}

type HeadersAndExtra = (BTreeMap<String, Secret>, BTreeMap<String, String>);

fn headers_and_extra(fields: &Fields<'_>, kind: TargetKind, secrets: &dyn Secrets) -> HeadersAndExtra {
    let mut headers = BTreeMap::new();
    if !matches!(kind, TargetKind::Postgres | TargetKind::Pgbouncer) {
        headers = fields.optional("headers").map(|at| self::headers(at, secrets)).unwrap_or_default();
        if let Some(token) = fields.optional("token").and_then(|at| secrets::secret(at, secrets)) {
            headers.insert("Authorization".to_owned(), Secret::new(format!("Bearer {}", token.expose())));
        }
    }
    let needed = needed(kind).iter().filter_map(|name| fields.required(name).map(|at| (*name, at)));
    let allowed = allowed(kind).iter().filter_map(|name| fields.optional(name).map(|at| (*name, at)));
    let extra = needed.chain(allowed).filter_map(|(name, at)| Some((name.to_owned(), at.words()?.to_owned()))).collect();
    (headers, extra)
}

fn header_name(key: Name<'_>) -> Option<String> {
    let good = |letter: char| letter.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(letter);
    if !key.text().is_empty() && key.text().chars().all(good) {
        return Some(key.text().to_owned());
    }
    key.place().error(Code::BadName, format!("\"{}\" cannot be a header's name", key.text()), None);
    None
}
