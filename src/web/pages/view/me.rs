//! A person's own page: where they are signed in since when, and what they answer for. Knows no HTML.

use serde::Serialize;

use crate::domain::settings::Rulebook;
use crate::engine::sessions::Session;
use crate::web::pages::view::times::{Lens, Moment};

#[derive(Clone, Debug, Serialize)]
pub struct MeView {
    pub person: String,
    pub roles: Vec<String>,
    pub sessions: Vec<SessionView>,
    /// Whether there is another than this one.
    pub others: bool,
}

#[derive(Clone, Debug, Serialize)]
pub struct SessionView {
    pub digest: String,
    pub is_this: bool,
    pub browser: String,
    pub address: String,
    pub since: Moment,
    pub seen: Moment,
}

pub fn me_view(this: &Session, sessions: &[Session], rulebook: &Rulebook, lens: Lens) -> MeView {
    let roles = rulebook.directory.people.get(&this.person).map(|person| person.roles.iter().cloned().collect());
    let view = |session: &Session| SessionView {
        digest: session.digest.clone(),
        is_this: session.digest == this.digest,
        browser: browser(&session.agent),
        address: session.address.clone(),
        since: lens.moment(session.began_at),
        seen: lens.moment(session.seen_at),
    };
    MeView {
        person: this.person.clone(),
        roles: roles.unwrap_or_default(),
        sessions: sessions.iter().map(view).collect(),
        others: sessions.iter().any(|session| session.digest != this.digest),
    }
}

/// `Firefox on Android`, where the long line says so; else the line.
fn browser(agent: &str) -> String {
    let known = |names: &[(&str, &'static str)]| names.iter().find(|(sign, _)| agent.contains(sign)).map(|(_, name)| *name);
    let what = known(&[("Edg/", "Edge"), ("Firefox/", "Firefox"), ("Chrome/", "Chrome"), ("Safari/", "Safari")]);
    let on = known(&[
        ("Android", "Android"),
        ("iPhone", "iPhone"),
        ("iPad", "iPad"),
        ("Mac OS", "macOS"),
        ("Windows", "Windows"),
        ("Linux", "Linux"),
    ]);
    match (what, on) {
        (Some(what), Some(on)) => format!("{what} on {on}"),
        _ if agent.is_empty() => "a browser that does not say what it is".to_owned(),
        _ => agent.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_browser_is_called_what_people_call_it() {
        let phone = "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0 Mobile Safari/537.36";
        assert_eq!(browser(phone), "Chrome on Android");
        assert_eq!(browser("Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"), "Firefox on Linux");
        assert_eq!(browser("curl/8.5.0"), "curl/8.5.0");
    }
}
