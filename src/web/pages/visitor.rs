//! Who looks at a page: who is shown to, else who their browser says; a theme, a time zone, a word left by the last action.
//! A name that is only said is a courtesy, not a proof; `Caller` knows where one is asked for.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::header::COOKIE;
use axum::http::request::Parts;
use serde::Serialize;

use crate::domain::timeline::Actor;
use crate::web::sign_in::caller::Caller;

const NAME: &str = "reynard_name";
const THEME: &str = "reynard_theme";
const ZONE: &str = "reynard_zone";
const NOTICE: &str = "reynard_notice";
const NOBODY: &str = "someone on this machine";
/// As it is written into the cookie; together with its undo it stays below what a browser keeps.
const LONGEST_NOTICE: usize = 1_500;
const YEAR: u32 = 31_536_000;

#[derive(Clone, Debug)]
pub struct Visitor {
    pub name: Option<String>,
    pub caller: Caller,
    pub theme: &'static str,
    pub zone: chrono_tz::Tz,
    pub notice: Option<Notice>,
    /// The address looked at, to come back to.
    pub back: String,
    /// The name of this looking: what is done from it twice is done once.
    pub key: String,
}

/// What became of the last action.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Notice {
    /// `good` when it was done, `wait` when it was not.
    pub tone: &'static str,
    pub text: String,
    pub undo: Option<Undo>,
}

/// The form that takes it back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Undo {
    pub action: String,
    pub fields: Vec<(String, String)>,
}

impl Visitor {
    pub fn read(headers: &HeaderMap, back: String) -> Self {
        Self {
            name: cookie(headers, NAME).and_then(|name| valid_name(&name)),
            caller: Caller::default(),
            theme: theme(&cookie(headers, THEME).unwrap_or_default()),
            zone: cookie(headers, ZONE).and_then(|zone| zone.parse().ok()).unwrap_or(chrono_tz::UTC),
            notice: cookie(headers, NOTICE).and_then(|text| Notice::decode(&text)),
            back,
            key: uuid::Uuid::new_v4().to_string(),
        }
    }

    pub fn name(&self) -> &str {
        self.name.as_deref().unwrap_or(NOBODY)
    }

    /// The same visitor, as whoever they are shown to be. A name that they would have to show is not theirs.
    pub fn shown(self, caller: Caller) -> Self {
        let said = self.name.filter(|name| caller.may_say(name));
        Self { name: caller.name().map(str::to_owned).or(said), caller, ..self }
    }

    /// Called as they are shown to be, else as this browser remembers them, else as the form said; nameless when nobody has said who
    /// they are.
    pub fn named(self, said: Option<&str>) -> Self {
        let name = self.name.clone().or_else(|| said.and_then(valid_name).filter(|name| self.caller.may_say(name)));
        Self { name, ..self }
    }

    /// Whose name stands behind it where a form asks for one: who is shown to, else the name in the form.
    pub fn by(&self, said: Option<&str>) -> Option<String> {
        let shown = self.caller.name().map(str::to_owned);
        shown.or_else(|| said.and_then(valid_name).filter(|name| self.caller.may_say(name)))
    }

    pub fn actor(&self) -> Actor {
        Actor::Person(self.name().to_owned())
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Visitor {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        let back = parts.uri.path_and_query().map_or_else(|| "/".to_owned(), ToString::to_string);
        Ok(Self::read(&parts.headers, back).shown(parts.extensions.get::<Caller>().cloned().unwrap_or_default()))
    }
}

impl Notice {
    pub fn done(text: impl Into<String>, undo: Option<Undo>) -> Self {
        Self { tone: "good", text: text.into(), undo }
    }

    pub fn refused(text: String) -> Self {
        Self { tone: "wait", text, undo: None }
    }

    /// The cookie that carries it to the next page.
    pub fn cookie(&self) -> String {
        let undo = self.undo.as_ref().map(Undo::address).unwrap_or_default();
        let mut room = LONGEST_NOTICE;
        let fits = |letter: &char| {
            room = room.saturating_sub(encode(letter.encode_utf8(&mut [0; 4])).len());
            room > 0
        };
        let text: String = self.text.chars().take_while(fits).collect();
        set_cookie(NOTICE, &format!("{}|{undo}|{text}", self.tone), 30)
    }

    fn decode(text: &str) -> Option<Self> {
        let mut parts = text.splitn(3, '|');
        let tone = if parts.next()? == "good" { "good" } else { "wait" };
        let undo = parts.next().and_then(Undo::read);
        Some(Self { tone, undo, text: parts.next()?.to_owned() })
    }
}

impl Undo {
    pub fn new(action: impl Into<String>) -> Self {
        Self { action: action.into(), fields: Vec::new() }
    }

    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.fields.push((name.to_owned(), value.into()));
        self
    }

    /// As one address, which is short enough for a cookie.
    fn address(&self) -> String {
        let fields: Vec<String> = self.fields.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect();
        format!("{}?{}", self.action, fields.join("&"))
    }

    fn read(address: &str) -> Option<Self> {
        let (action, fields) = address.split_once('?')?;
        let known = action == "/incidents" || action.starts_with("/incidents/");
        let fields = fields.split('&').filter_map(|pair| pair.split_once('=')).map(|(name, value)| Some((decode(name)?, decode(value)?)));
        known.then(|| fields.collect()).flatten().map(|fields| Self { action: action.to_owned(), fields })
    }
}

/// Takes the notice away once it has been shown.
pub fn clear_notice() -> String {
    set_cookie(NOTICE, "", 0)
}

pub fn remember_name(name: &str) -> String {
    set_cookie(NAME, &valid_name(name).unwrap_or_default(), if valid_name(name).is_some() { YEAR } else { 0 })
}

pub fn remember_theme(word: &str) -> String {
    set_cookie(THEME, theme(word), YEAR)
}

/// A path of this server, whatever the form said.
pub fn local(back: Option<&str>) -> &str {
    back.filter(|path| {
        path.starts_with('/') && !path.starts_with("//") && !path.contains('\\') && path.is_ascii() && !path.contains(char::is_control)
    })
    .unwrap_or("/")
}

/// Percent-encodes everything but letters, digits and a few harmless signs.
pub fn encode(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~' | b'/');
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digits = [rest.next()?, rest.next()?];
            bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

fn cookie(headers: &HeaderMap, name: &str) -> Option<String> {
    let lines = headers.get_all(COOKIE).iter().filter_map(|line| line.to_str().ok());
    let mut pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(key, _)| *key == name).and_then(|(_, value)| decode(value))
}

fn set_cookie(name: &str, value: &str, seconds: u32) -> String {
    format!("{name}={}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax", encode(value))
}

fn valid_name(name: &str) -> Option<String> {
    let name = name.trim();
    let good = !name.is_empty() && name.chars().count() <= 64 && !name.chars().any(char::is_control);
    good.then(|| name.to_owned())
}

fn theme(word: &str) -> &'static str {
    match word {
        "light" => "light",
        "dark" => "dark",
        _ => "auto",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(cookie: &str) -> Visitor {
        let mut headers = HeaderMap::new();
        headers.insert(COOKIE, cookie.parse().expect("a header"));
        Visitor::read(&headers, "/".to_owned())
    }

    #[test]
    fn a_name_comes_back_as_it_was_given() {
        let cookie = remember_name(" Zoë; <b> ");
        let sent = cookie.split(';').next().unwrap_or_default();
        assert_eq!(with(sent).name(), "Zoë; <b>");
        assert_eq!(with("reynard_name=%0A").name(), NOBODY);
        assert_eq!(with(&format!("reynard_name={}", "x".repeat(65))).name(), NOBODY);
    }

    #[test]
    fn a_notice_survives_the_way_through_the_browser() {
        let undo = Undo::new("/incidents").with("verb", "unacknowledge").with("number", "7").with("number", "&=|");
        let notice = Notice::done("Acknowledged | by you", Some(undo));
        let cookie = notice.cookie();
        assert_eq!(with(cookie.split(';').next().unwrap_or_default()).notice, Some(notice));
        for foreign in ["//evil?", "/me?name=x", "/incidentsx?", "no"] {
            assert_eq!(
                with(&format!("reynard_notice={}", encode(&format!("good|{foreign}|x")))).notice.and_then(|notice| notice.undo),
                None
            );
        }
    }

    #[test]
    fn one_only_comes_back_to_this_server() {
        for (asked, given) in [(Some("/incidents?q=x"), "/incidents?q=x"), (Some("//evil"), "/"), (Some("https://evil"), "/"), (None, "/")]
        {
            assert_eq!(local(asked), given);
        }
    }
}
