//! Reads what Alertmanager posts (webhook version "4") into alerts, and says where and why when it cannot.
//! Knows no incident and no clock; one broken alert never costs the others, and no body makes it panic.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, SeqAccess, Visitor};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use crate::domain::labels::Labels;
use crate::domain::time::Timestamp;
use crate::domain::watch::Watchdog;
use crate::engine::store::RejectedAlert;

/// Alerts looked at in one body; what follows is rejected in one word.
pub const MAX_ALERTS: usize = 20_000;
/// Labels of one alert.
pub const MAX_LABELS: usize = 256;
/// Bytes of text in one alert: names and values of labels and annotations, address, fingerprint.
pub const MAX_TEXT: usize = 64 * 1024;
/// Bytes of a fingerprint; Alertmanager's have 16. Databases look alerts up by it.
const MAX_FINGERPRINT: usize = 256;

/// A body that could be read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Parsed {
    pub receiver: String,
    pub group_key: String,
    /// Alerts that the sender left out.
    pub truncated: u64,
    pub alerts: Vec<WireAlert>,
    pub rejected: Vec<RejectedAlert>,
}

/// One alert as it was sent.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WireAlert {
    pub fingerprint: String,
    pub firing: bool,
    /// `Timestamp(0)` when it was missing or not a time; the time of receipt stands in for it.
    pub starts_at: Timestamp,
    /// None while it fires (Alertmanager sends the year 1) and when it was not a time.
    pub ends_at: Option<Timestamp>,
    pub labels: Labels,
    pub annotations: Labels,
    pub generator_url: String,
}

impl Parsed {
    /// Whether a source's watchdog barks in it.
    pub fn hears(&self, dog: &Watchdog) -> bool {
        self.alerts.iter().any(|alert| alert.firing && alert.is_of(dog))
    }
}

impl WireAlert {
    pub fn is_of(&self, dog: &Watchdog) -> bool {
        self.labels.get("alertname").is_some_and(|name| *name == dog.alertname)
    }
}

/// Why a body as a whole cannot be read, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason} (line {line}, column {column}, byte {byte})")]
pub struct WireError {
    pub reason: String,
    pub line: usize,
    pub column: usize,
    pub byte: usize,
}

/// Reads a body. The usual body is read in one pass; anything odd is looked at again, alert by alert.
pub fn parse(body: &[u8]) -> Result<Parsed, WireError> {
    match serde_json::from_slice::<Body>(body) {
        Ok(Body { alerts: Some(alerts), version, receiver, group_key, group_labels, truncated }) => {
            known_version(version.as_deref())?;
            let read = alerts.items.into_iter().map(Ok).collect();
            Ok(Envelope { receiver, group_key, group_labels, truncated }.join(read, alerts.left_out))
        }
        _ => parse_patiently(body),
    }
}

/// The body as a healthy Alertmanager sends it.
#[derive(Deserialize)]
struct Body {
    #[serde(default)]
    version: Option<String>,
    #[serde(default)]
    receiver: String,
    #[serde(default, rename = "groupKey")]
    group_key: String,
    #[serde(default, rename = "groupLabels")]
    group_labels: Labels,
    #[serde(default, rename = "truncatedAlerts")]
    truncated: u64,
    alerts: Option<Bounded<Sent>>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Sent {
    status: String,
    labels: Labels,
    annotations: Labels,
    starts_at: String,
    ends_at: String,
    #[serde(rename = "generatorURL")]
    generator_url: String,
    fingerprint: String,
}

/// All of the body but its alerts.
#[derive(Default)]
struct Envelope {
    receiver: String,
    group_key: String,
    group_labels: Labels,
    truncated: u64,
}

impl Envelope {
    fn join(self, read: Vec<Result<Sent, String>>, left_out: usize) -> Parsed {
        let beyond = read.len();
        let mut parsed = Parsed { truncated: self.truncated, receiver: unquoted(clean(self.receiver)), ..Parsed::default() };
        parsed.alerts.reserve(read.len());
        for (index, sent) in read.into_iter().enumerate() {
            match sent.and_then(accepted) {
                Ok(alert) => parsed.alerts.push(alert),
                Err(reason) => parsed.rejected.push(RejectedAlert { index, reason }),
            }
        }
        if left_out > 0 {
            let reason = format!("a body may hold {MAX_ALERTS} alerts; this one and those after it, {left_out} in all, were left out");
            parsed.rejected.push(RejectedAlert { index: beyond, reason });
        }
        parsed.group_key = match clean(self.group_key) {
            given if !given.is_empty() => given,
            _ if !self.group_labels.is_empty() => group_key(&self.group_labels),
            _ => parsed.alerts.first().map(|alert| group_key(&alert.labels)).unwrap_or_default(),
        };
        parsed
    }
}

/// Whether one alert can be taken, and what it says.
fn accepted(sent: Sent) -> Result<WireAlert, String> {
    let firing = match sent.status.as_str() {
        "firing" => true,
        "resolved" => false,
        other => return Err(format!("its status is \"{}\"; it must be firing or resolved", excerpt(other))),
    };
    if sent.labels.is_empty() {
        return Err("it has no labels".to_owned());
    }
    if sent.labels.len() > MAX_LABELS {
        return Err(format!("it has {} labels; at most {MAX_LABELS} are taken", sent.labels.len()));
    }
    let text = sent.generator_url.len() + sent.fingerprint.len() + length(&sent.labels) + length(&sent.annotations);
    if text > MAX_TEXT {
        return Err(format!("its texts have {text} bytes; at most {MAX_TEXT} are taken"));
    }
    let labels = clean_labels(sent.labels);
    let usable = (1..=MAX_FINGERPRINT).contains(&sent.fingerprint.len());
    let fingerprint = if usable { clean(sent.fingerprint) } else { fingerprint(&labels) };
    Ok(WireAlert {
        fingerprint,
        firing,
        starts_at: Timestamp::parse_rfc3339(&sent.starts_at).unwrap_or_default(),
        ends_at: Timestamp::parse_rfc3339(&sent.ends_at).filter(|at| !firing && *at > YEAR_TWO),
        labels,
        annotations: clean_labels(sent.annotations),
        generator_url: clean(sent.generator_url),
    })
}

/// Before this, an instant means "none" (Go's zero time is the year 1).
const YEAR_TWO: Timestamp = Timestamp(-62_104_060_800_000);

fn length(labels: &Labels) -> usize {
    labels.iter().map(|(name, value)| name.len() + value.len()).sum()
}

/// A stand-in for the sender's fingerprint: the same labels always get the same one.
fn fingerprint(labels: &Labels) -> String {
    let mut hash = Sha256::new();
    for (name, value) in labels {
        hash.update(name);
        hash.update([0xff]);
        hash.update(value);
        hash.update([0xff]);
    }
    hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// The key as Alertmanager writes it for a group of the root route.
fn group_key(labels: &Labels) -> String {
    let pairs: Vec<_> = labels.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
    format!("{{}}:{{{}}}", pairs.join(", "))
}

/// Some Alertmanagers quote the receiver as for a pattern: `team\-x` is `team-x`.
fn unquoted(text: String) -> String {
    if !text.contains('\\') {
        return text;
    }
    let mut plain = String::with_capacity(text.len());
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        if letter != '\\' || !letters.peek().is_some_and(char::is_ascii_punctuation) {
            plain.push(letter);
        } else if let Some(quoted) = letters.next() {
            plain.push(quoted);
        }
    }
    plain
}

/// Databases refuse NUL; it becomes U+FFFD.
fn clean(text: String) -> String {
    if text.contains('\0') { text.replace('\0', "\u{fffd}") } else { text }
}

fn clean_labels(labels: Labels) -> Labels {
    if labels.iter().any(|(name, value)| name.contains('\0') || value.contains('\0')) {
        labels.into_iter().map(|(name, value)| (clean(name), clean(value))).collect()
    } else {
        labels
    }
}

/// The start of a foreign text, for a message.
fn excerpt(text: &str) -> Cow<'_, str> {
    text.char_indices().nth(40).map_or(Cow::Borrowed(text), |(at, _)| Cow::Owned(format!("{}…", &text[..at])))
}

fn known_version(version: Option<&str>) -> Result<(), WireError> {
    match version {
        None | Some("" | "4") => Ok(()),
        Some(other) => {
            Err(at_start(format!("the body says version \"{}\"; this reads Alertmanager's webhook version \"4\"", excerpt(other))))
        }
    }
}

fn at_start(reason: String) -> WireError {
    WireError { reason, line: 1, column: 1, byte: 0 }
}

/// The second look: letters that JSON cannot hold are replaced, every field is read by itself, and what is odd about
/// an alert is that alert's own fault.
fn parse_patiently(body: &[u8]) -> Result<Parsed, WireError> {
    let text = String::from_utf8_lossy(body);
    let text = without_lone_surrogates(&text);
    let fields: BTreeMap<Cow<'_, str>, &RawValue> = serde_json::from_str(&text).map_err(|error| located(&error, body))?;
    let field = |name: &str| fields.get(name).map_or("null", |raw| raw.get());
    let alerts = match field("alerts") {
        list if list.starts_with('[') => list,
        "null" => return Err(at_start("the body has no \"alerts\" list".to_owned())),
        _ => return Err(at_start("\"alerts\" is not a list".to_owned())),
    };
    known_version(plain_text(field("version")).as_deref())?;
    let alerts: Bounded<&RawValue> = serde_json::from_str(alerts).map_err(|error| located(&error, body))?;
    let envelope = Envelope {
        receiver: plain_text(field("receiver")).unwrap_or_default(),
        group_key: plain_text(field("groupKey")).unwrap_or_default(),
        group_labels: texts(field("groupLabels")).unwrap_or_default(),
        truncated: serde_json::from_str(field("truncatedAlerts")).unwrap_or_default(),
    };
    Ok(envelope.join(alerts.items.into_iter().map(|raw| sent(raw.get())).collect(), alerts.left_out))
}

/// One alert, whatever shape it has.
fn sent(raw: &str) -> Result<Sent, String> {
    if let Ok(sent) = serde_json::from_str(raw) {
        return Ok(sent);
    }
    let fields: BTreeMap<Cow<'_, str>, &RawValue> = serde_json::from_str(raw).map_err(|_| "it is not an object".to_owned())?;
    let field = |name: &str| fields.get(name).map_or("null", |raw| raw.get());
    let text = |name: &str| plain_text(field(name)).unwrap_or_default();
    Ok(Sent {
        status: text("status"),
        labels: texts(field("labels")).map_err(|why| format!("its labels {why}"))?,
        annotations: annotations(field("annotations")),
        starts_at: text("startsAt"),
        ends_at: text("endsAt"),
        generator_url: text("generatorURL"),
        fingerprint: text("fingerprint"),
    })
}

/// A map of texts; numbers and truth values count as their text, null as absent.
fn texts(raw: &str) -> Result<Labels, String> {
    let fields: BTreeMap<Cow<'_, str>, &RawValue> = serde_json::from_str(raw).map_err(|_| "are not a map of texts".to_owned())?;
    let present = fields.into_iter().filter(|(_, value)| value.get() != "null");
    present
        .map(|(name, value)| match plain_text(value.get()) {
            Some(value) => Ok((name.into_owned(), value)),
            None => Err(format!("are not a map of texts: \"{}\" is a list or a map", excerpt(&name))),
        })
        .collect()
}

/// Annotations are only shown, so that odd ones are shown as they came.
fn annotations(raw: &str) -> Labels {
    let fields: BTreeMap<Cow<'_, str>, &RawValue> = serde_json::from_str(raw).unwrap_or_default();
    let text = |value: &RawValue| plain_text(value.get()).unwrap_or_else(|| value.get().to_owned());
    fields.into_iter().filter(|(_, value)| value.get() != "null").map(|(name, value)| (name.into_owned(), text(value))).collect()
}

/// A text, or a number or truth value as it is written.
fn plain_text(raw: &str) -> Option<String> {
    match raw.as_bytes().first()? {
        b'"' => serde_json::from_str(raw).ok(),
        b'{' | b'[' | b'n' => None,
        _ => Some(raw.to_owned()),
    }
}

/// Replaces each escape of half a character (`\ud800` without its other half) by `\ufffd`, which is as long.
fn without_lone_surrogates(text: &str) -> Cow<'_, str> {
    if !text.contains("\\ud") && !text.contains("\\uD") {
        return Cow::Borrowed(text);
    }
    let mut whole = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        let (before, escape) = rest.split_at(at);
        whole.push_str(before);
        let (kept, length) = match (surrogate(escape), escape.get(6..).and_then(surrogate)) {
            (Some(High), Some(Low)) => (&escape[..12], 12),
            (Some(_), _) => ("\\ufffd", 6),
            (None, _) => {
                let length = 1 + escape[1..].chars().next().map_or(0, char::len_utf8);
                (&escape[..length], length)
            }
        };
        whole.push_str(kept);
        rest = &escape[length..];
    }
    whole.push_str(rest);
    Cow::Owned(whole)
}

use Half::{High, Low};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Half {
    High,
    Low,
}

/// Which half of a character the escape at the start of `text` stands for, if it stands for one.
fn surrogate(text: &str) -> Option<Half> {
    let digits = text.strip_prefix("\\u")?.get(..4)?;
    match u16::from_str_radix(digits, 16).ok()? {
        0xd800..=0xdbff => Some(High),
        0xdc00..=0xdfff => Some(Low),
        _ => None,
    }
}

/// Says in our words what the JSON reader found, and where in the body as it was sent.
fn located(error: &serde_json::Error, body: &[u8]) -> WireError {
    if let Err(utf8) = std::str::from_utf8(body) {
        let before = &body[..utf8.valid_up_to()];
        let line_start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        let reason = "the body is not JSON: it is not UTF-8 text".to_owned();
        return WireError { reason, line, column: before.len() - line_start + 1, byte: before.len() };
    }
    let (line, column) = (error.line(), error.column());
    let message = error.to_string();
    let message = message.rsplit_once(" at line ").map_or(message.as_str(), |(message, _)| message);
    let reason = match error.classify() {
        serde_json::error::Category::Eof => "the body is not JSON: it ends too early".to_owned(),
        serde_json::error::Category::Data => "the body is not a JSON object with an \"alerts\" list".to_owned(),
        _ => format!("the body is not JSON: {message}"),
    };
    let line_start = body.split_inclusive(|byte| *byte == b'\n').take(line.saturating_sub(1)).map(<[u8]>::len).sum::<usize>();
    WireError { reason, line, column, byte: (line_start + column.saturating_sub(1)).min(body.len()) }
}

/// The first items of a list, and how many more there were.
struct Bounded<T> {
    items: Vec<T>,
    left_out: usize,
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Bounded<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(BoundedVisitor(PhantomData))
    }
}

struct BoundedVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for BoundedVisitor<T> {
    type Value = Bounded<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Bounded<T>, A::Error> {
        let mut bounded = Bounded { items: Vec::new(), left_out: 0 };
        while bounded.items.len() < MAX_ALERTS {
            match list.next_element()? {
                Some(item) => bounded.items.push(item),
                None => return Ok(bounded),
            }
        }
        while list.next_element::<IgnoredAny>()?.is_some() {
            bounded.left_out += 1;
        }
        Ok(bounded)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GOOD: &str = r#"{"status":"firing","labels":{"alertname":"Good"},"startsAt":"2026-11-23T22:51:09.497Z","fingerprint":"aa"}"#;

    fn body(alerts: &str) -> String {
        format!(r#"{{"version":"4","receiver":"rx","groupKey":"{{}}:{{}}","alerts":[{alerts}]}}"#)
    }

    fn read(body: impl AsRef<[u8]>) -> Parsed {
        parse(body.as_ref()).expect("the body can be read")
    }

    #[test]
    fn a_real_body_is_read_whole() {
        let parsed = read(
            r#"{"receiver":"team\\-x","status":"firing","alerts":[{"status":"firing","labels":{"alertname":"X","größe":"5"},
                "annotations":{"summary":"s"},"startsAt":"2026-11-23T22:51:09.497Z","endsAt":"0001-01-01T00:00:00Z",
                "generatorURL":"http://p","fingerprint":"db2e776bcb608ea9"}],"groupLabels":{"alertname":"X"},"commonLabels":{},
                "externalURL":"http://a","version":"4","groupKey":"{}:{alertname=\"X\"}","truncatedAlerts":4,
                "notification_reason":"x","routeLabels":{"a":[1]}}"#,
        );
        assert_eq!((parsed.receiver.as_str(), parsed.group_key.as_str(), parsed.truncated), ("team-x", "{}:{alertname=\"X\"}", 4));
        let alert = &parsed.alerts[0];
        assert_eq!((alert.firing, alert.ends_at, alert.fingerprint.as_str()), (true, None, "db2e776bcb608ea9"));
        assert_eq!(alert.starts_at.to_rfc3339(), "2026-11-23T22:51:09.497Z");
        assert_eq!(alert.labels["größe"], "5");
    }

    #[test]
    fn one_broken_alert_never_costs_the_others() {
        for (broken, reason) in [
            (r#"{"status":"firing","labels":[]}"#, "map of texts"),
            (r#"{"status":"firing","labels":{"a":{"b":1}}}"#, "\"a\" is a list or a map"),
            (r#"{"status":"firing"}"#, "no labels"),
            (r#"{"status":"pending","labels":{"a":"b"}}"#, "pending"),
            (r#"{"labels":{"a":"b"}}"#, "firing or resolved"),
            ("7", "not an object"),
            ("null", "not an object"),
            (r#""text""#, "not an object"),
        ] {
            let parsed = read(body(&format!("{broken},{GOOD}")));
            assert_eq!((parsed.alerts.len(), parsed.rejected.len(), parsed.rejected[0].index), (1, 1, 0), "{broken}");
            assert!(parsed.rejected[0].reason.contains(reason), "{broken}: {}", parsed.rejected[0].reason);
        }
    }

    #[test]
    fn odd_alerts_are_taken_as_far_as_they_go() {
        for odd in [
            r#"{"status":"firing","labels":{"n":5,"big":1e999,"yes":true,"none":null,"alertname":"X"}}"#,
            r#"{"status":"firing","labels":{"alertname":"X"},"annotations":{"a":"\ud800","b":"\ud83d\ude00","c":"\\ud800"}}"#,
            r#"{"status":"firing","labels":{"alertname":"X"},"annotations":{"a":["x"]},"startsAt":5,"endsAt":{},"generatorURL":null}"#,
            r#"{"status":"firing","labels":{"alertname":"X"},"annotations":7,"value":1e999,"startsAt":"yesterday"}"#,
            r#"{"status":"resolved","labels":{"alertname":"X"},"startsAt":"9999-12-31T23:59:59Z","endsAt":"9999-12-31T23:59:59Z"}"#,
            r#"{"status":"firing","status":"firing","labels":{"alertname":"X"}}"#,
            "{\"status\":\"firing\",\"labels\":{\"alertname\":\"\\u0000X\"}}",
        ] {
            let parsed = read(body(&format!("{odd},{GOOD}")));
            assert_eq!((parsed.alerts.len(), parsed.rejected.len()), (2, 0), "{odd}: {:?}", parsed.rejected);
            assert_eq!(parsed.alerts[0].fingerprint.len(), 16);
        }
    }

    #[test]
    fn letters_that_databases_refuse_are_replaced() {
        let parsed =
            read(body(r#"{"status":"firing","labels":{"a\u0000":"b\u0000"},"annotations":{"x":"\udc00-\uD83D\uDE00-\ud800\ud800"}}"#));
        assert_eq!(parsed.alerts[0].labels["a\u{fffd}"], "b\u{fffd}");
        assert_eq!(parsed.alerts[0].annotations["x"], "\u{fffd}-😀-\u{fffd}\u{fffd}");
        let mut raw = body(GOOD).into_bytes();
        let at = raw.iter().position(|byte| *byte == b'G').expect("it is there");
        raw[at] = 0xff;
        assert_eq!(read(raw).alerts[0].labels["alertname"], "\u{fffd}ood");
    }

    #[test]
    fn unreadable_bodies_say_why_and_where() {
        let deep = "[".repeat(100_000);
        for (text, reason, line, byte) in [
            ("", "ends too early", 1, 0),
            ("hello", "not JSON", 1, 0),
            ("{\n  \"alerts\": [,]\n}", "not JSON", 2, 15),
            ("{\"alerts\":[{\"status\":\"fir", "ends too early", 1, 25),
            ("[]", "JSON object", 1, 0),
            ("{}", "no \"alerts\"", 1, 0),
            ("{\"alerts\":null}", "no \"alerts\"", 1, 0),
            ("{\"alerts\":{}}", "not a list", 1, 0),
            ("{\"alerts\":[],\"version\":\"3\"}", "version \"4\"", 1, 0),
            (&deep, "", 1, 0),
        ] {
            let error = parse(text.as_bytes()).expect_err("the body cannot be read");
            assert!(error.reason.contains(reason), "{error}");
            assert_eq!(error.line, line, "{error}");
            assert!(error.byte.abs_diff(byte) <= 1, "{error} is not near byte {byte}");
        }
        assert!(parse(b"{\"alerts\":[],\"x\":\"\xff\"").expect_err("cut").reason.contains("UTF-8"));
    }

    #[test]
    fn nothing_to_tell_is_fine_and_deep_nesting_is_the_alerts_own() {
        assert_eq!(read(r#"{"alerts":[]}"#), Parsed::default());
        let deep = format!(r#"{{"status":"firing","labels":{{"a":{}{}}}}}"#, "[".repeat(5_000), "]".repeat(5_000));
        let parsed = read(body(&format!("{deep},{GOOD}")));
        assert_eq!((parsed.alerts.len(), parsed.rejected.len()), (1, 1));
    }

    #[test]
    fn limits_are_the_alerts_own() {
        let labels: Vec<_> = (0..5_000).map(|n| format!("\"l{n}\":\"v\"")).collect();
        let many = format!(r#"{{"status":"firing","labels":{{{}}}}}"#, labels.join(","));
        let long = format!(r#"{{"status":"firing","labels":{{"a":"{}"}}}}"#, "x".repeat(MAX_TEXT + 1));
        let parsed = read(body(&format!("{many},{long},{GOOD}")));
        assert_eq!((parsed.alerts.len(), parsed.rejected.len()), (1, 2));
        let flood = vec!["0"; MAX_ALERTS + 5].join(",");
        let parsed = read(body(&flood));
        assert_eq!(parsed.rejected.len(), MAX_ALERTS + 1);
        assert!(parsed.rejected[MAX_ALERTS].reason.contains("5 in all"));
    }

    #[test]
    fn missing_names_are_made_up_alike_each_time() {
        let alert = r#"{"status":"firing","labels":{"b":"2","a":"1"}}"#;
        let again = r#"{"status":"resolved","labels":{"a":"1","b":"2"}}"#;
        let (one, two) = (read(format!(r#"{{"alerts":[{alert}]}}"#)), read(format!(r#"{{"alerts":[{again}]}}"#)));
        assert_eq!(one.alerts[0].fingerprint, two.alerts[0].fingerprint);
        let long = format!(r#"{{"status":"firing","labels":{{"b":"2","a":"1"}},"fingerprint":"{}"}}"#, "f".repeat(MAX_FINGERPRINT + 1));
        assert_eq!(read(format!(r#"{{"alerts":[{long}]}}"#)).alerts[0].fingerprint, one.alerts[0].fingerprint);
        assert_eq!(one.group_key, "{}:{a=\"1\", b=\"2\"}");
        assert_eq!(one.alerts[0].starts_at, Timestamp(0));
        assert_eq!(read(format!(r#"{{"alerts":[{alert}],"groupLabels":{{"a":"1"}}}}"#)).group_key, "{}:{a=\"1\"}");
    }

    fn json() -> impl Strategy<Value = String> {
        let leaf = prop_oneof![
            Just("null".to_owned()),
            Just("1e999".to_owned()),
            Just("\"\\ud800\"".to_owned()),
            Just("\"firing\"".to_owned()),
            any::<i64>().prop_map(|n| n.to_string()),
            any::<String>().prop_map(|text| serde_json::Value::String(text).to_string()),
        ];
        let name = prop_oneof![Just("labels"), Just("status"), Just("annotations"), Just("startsAt"), Just("x\\udc00")];
        leaf.prop_recursive(4, 32, 4, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(|items| format!("[{}]", items.join(","))),
                prop::collection::vec((name.clone(), inner), 0..4).prop_map(|fields| {
                    let fields: Vec<_> = fields.into_iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
                    format!("{{{}}}", fields.join(","))
                }),
            ]
        })
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&bytes);
        }

        #[test]
        fn a_cut_or_flipped_body_is_survived(at in 0usize..300, byte in any::<u8>()) {
            let mut bytes = body(&format!("{GOOD},{GOOD}")).into_bytes();
            let at = at % bytes.len();
            let _ = parse(&bytes[..at]);
            bytes[at] = byte;
            let _ = parse(&bytes);
        }

        #[test]
        fn a_good_alert_beside_any_other_is_kept(other in json()) {
            let parsed = read(body(&format!("{other},{GOOD}")));
            prop_assert_eq!(parsed.alerts.last().map(|alert| alert.fingerprint.as_str()), Some("aa"));
            prop_assert_eq!(parsed.alerts.len() + parsed.rejected.len(), 2);
        }
    }
}
