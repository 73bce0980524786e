//! Words for people: message templates (Handlebars) filled with an incident. A template that fails still leaves a message.
//! Knows no channel; templates come as text from whoever read the files.

use std::collections::BTreeMap;

use handlebars::{Context, Handlebars};
use serde_json::Value;

use crate::domain::escalation::ONLY_WORDS;

/// A template longer than this is refused.
const LONGEST_TEMPLATE: usize = 16 * 1024;

/// A message in every form that channels take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Words {
    pub subject: String,
    pub text: String,
    pub html: String,
    pub chat: String,
}

/// The message templates: `NAME.txt.hbs`, `NAME.html.hbs`, `NAME.chat.hbs`.
pub struct Messages {
    plain: Handlebars<'static>,
    html: Handlebars<'static>,
    chat: Handlebars<'static>,
}

impl Default for Messages {
    fn default() -> Self {
        let mut plain = Handlebars::new();
        plain.register_escape_fn(handlebars::no_escape);
        let mut chat = Handlebars::new();
        // A chat's own letters are escaped by the channel that knows them.
        chat.register_escape_fn(handlebars::no_escape);
        Self { plain, html: Handlebars::new(), chat }
    }
}

impl Messages {
    /// Reads templates by file name. Answers what could be read, and a fault for each that could not.
    pub fn load(files: &BTreeMap<String, String>) -> (Self, Vec<String>) {
        let mut messages = Self::default();
        let mut faults = Vec::new();
        for (name, text) in files {
            if let Err(why) = messages.add(name, text) {
                faults.push(format!("templates/messages/{name}: {why}"));
            }
        }
        (messages, faults)
    }

    fn add(&mut self, file: &str, text: &str) -> Result<(), String> {
        if text.len() > LONGEST_TEMPLATE {
            return Err(format!("longer than {LONGEST_TEMPLATE} bytes"));
        }
        // Partials that include each other end the process, so no template may have any.
        if text.contains("{{>") || text.contains("{{#>") || text.contains("{{#*") || text.contains("{{~>") {
            return Err("partials ({{> …}}) are not taken in messages".to_owned());
        }
        let (engine, name) = if let Some(name) = file.strip_suffix(".txt.hbs") {
            (&mut self.plain, name)
        } else if let Some(name) = file.strip_suffix(".html.hbs") {
            (&mut self.html, name)
        } else if let Some(name) = file.strip_suffix(".chat.hbs") {
            (&mut self.chat, name)
        } else {
            return Err("name it NAME.txt.hbs, NAME.html.hbs or NAME.chat.hbs".to_owned());
        };
        engine.register_template_string(name, text).map_err(|error| error.to_string())
    }

    pub fn knows(&self, name: &str) -> bool {
        self.plain.has_template(name)
    }

    /// Fills a template in. What cannot be filled in is told in plain words, because a page must go out.
    pub fn render(&self, name: &str, data: &Value) -> Words {
        let plain = fallback(data);
        let own = data.get("text").and_then(Value::as_str);
        if let (ONLY_WORDS, Some(own)) = (name, own) {
            let text = format!("{own}\n\n{}", url(data));
            return Words { subject: plain.subject, html: paragraphs(&text), chat: text.clone(), text };
        }
        let context = Context::wraps(data).ok(); // once, it is a copy of the data
        let filled = |engine: &Handlebars<'_>| engine.render_with_context(name, context.as_ref()?).ok();
        let (subject, text) = match filled(&self.plain) {
            Some(text) => split_subject(text, &plain.subject),
            None => (plain.subject, plain.text),
        };
        // A template may have no place for a playbook's own words; they are said all the same.
        let text = with_own(own, text);
        let says_own = |html: &String| own.is_none_or(|own| html.contains(&handlebars::html_escape(own)));
        Words {
            subject,
            html: filled(&self.html).filter(says_own).unwrap_or_else(|| paragraphs(&text)),
            chat: filled(&self.chat).map_or_else(|| text.clone(), |chat| with_own(own, chat)),
            text,
        }
    }
}

fn with_own(own: Option<&str>, text: String) -> String {
    match own {
        Some(own) if !text.contains(own) => format!("{own}\n\n{text}"),
        _ => text,
    }
}

fn fallback(data: &Value) -> Words {
    let field = |name: &str| data["incident"][name].as_str().unwrap_or_default().to_owned();
    let subject = format!("[{} #{}] {}", field("priority"), data["incident"]["number"], field("title"));
    let text = format!("{subject}\n{}\n{}", data["reason"].as_str().unwrap_or_default(), url(data));
    Words { html: paragraphs(&text), chat: text.clone(), subject, text }
}

fn url(data: &Value) -> String {
    data["incident"]["url"].as_str().unwrap_or_default().to_owned()
}

/// The first line `Subject: …` names the mail; the rest is its text.
fn split_subject(text: String, otherwise: &str) -> (String, String) {
    match text.strip_prefix("Subject:").and_then(|rest| rest.split_once('\n')) {
        Some((subject, rest)) => (one_line(subject), rest.trim_start_matches('\n').to_owned()),
        None => (one_line(otherwise), text),
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(240).collect()
}

fn paragraphs(text: &str) -> String {
    text.lines().map(|line| format!("<p>{}</p>", handlebars::html_escape(line))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn data() -> Value {
        json!({"incident": {"number": 7, "title": "db <down>", "priority": "P1", "url": "http://x/incidents/7"}, "reason": "it opened", "text": null})
    }

    #[test]
    fn a_template_names_the_mail_and_escapes_where_it_must() {
        let files = BTreeMap::from([
            ("a.txt.hbs".to_owned(), "Subject: {{incident.title}}\n\nHello {{incident.title}}".to_owned()),
            ("a.html.hbs".to_owned(), "<b>{{incident.title}}</b>".to_owned()),
        ]);
        let (messages, faults) = Messages::load(&files);
        assert!(faults.is_empty(), "{faults:?}");
        let words = messages.render("a", &data());
        assert_eq!((words.subject.as_str(), words.text.as_str()), ("db <down>", "Hello db <down>"));
        assert_eq!(words.html, "<b>db &lt;down&gt;</b>");
        assert_eq!(words.chat, "Hello db <down>");
    }

    #[test]
    fn own_words_are_said_whatever_the_template_does_with_them() {
        let files =
            |txt: &str, html: &str| BTreeMap::from([("a.txt.hbs".to_owned(), txt.to_owned()), ("a.html.hbs".to_owned(), html.to_owned())]);
        let mut data = data();
        data["text"] = json!("keep <calm>");
        let (deaf, _) = Messages::load(&files("Subject: s\n\nbody", "<b>body</b>"));
        let words = deaf.render("a", &data);
        assert_eq!((words.text.as_str(), words.chat.as_str()), ("keep <calm>\n\nbody", "keep <calm>\n\nbody"));
        assert_eq!(words.html, "<p>keep &lt;calm&gt;</p><p></p><p>body</p>");
        let (hearing, _) = Messages::load(&files("Subject: s\n\n{{text}}!", "<b>{{text}}</b>"));
        let words = hearing.render("a", &data);
        assert_eq!((words.text.as_str(), words.html.as_str()), ("keep <calm>!", "<b>keep &lt;calm&gt;</b>"));
        assert!(Messages::default().render("gone", &data).text.starts_with("keep <calm>\n\n[P1 #7]"));
        assert_eq!(hearing.render(ONLY_WORDS, &data).text, "keep <calm>\n\nhttp://x/incidents/7");
    }

    #[test]
    fn a_message_goes_out_even_without_a_template() {
        let words = Messages::default().render("gone", &data());
        assert!(words.text.contains("it opened") && words.subject.starts_with("[P1 #7]"), "{words:?}");
    }

    #[test]
    fn partials_are_refused() {
        let files = BTreeMap::from([("a.txt.hbs".to_owned(), "{{> b}}".to_owned())]);
        assert_eq!(Messages::load(&files).1.len(), 1);
    }
}
