//! `${env:NAME}` and `${file:PATH}` in a text become a secret. Knows neither the environment nor a disk; both are handed in.

use crate::config::diagnostic::Code;
use crate::config::reader::At;
use crate::config::suggest;
use crate::domain::secret::Secret;

/// Where secrets come from; the app hands in the real environment and disk.
pub trait Secrets: Send + Sync {
    /// The environment variable's text, if it is set.
    fn env(&self, name: &str) -> Option<String>;

    /// The file's text, or why it cannot be had.
    fn file(&self, path: &str) -> Result<String, String>;
}

/// No environment and no files.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoSecrets;

impl Secrets for NoSecrets {
    fn env(&self, _name: &str) -> Option<String> {
        None
    }

    fn file(&self, path: &str) -> Result<String, String> {
        Err(format!("{path} is out of reach here"))
    }
}

/// Fills every `${…}` of a text; `$${` stands for `${` itself. What cannot be filled is a fault at its place.
pub fn secret(at: At<'_>, secrets: &dyn Secrets) -> Option<Secret> {
    let text = at.raw_text()?;
    let mut filled = String::new();
    let mut good = true;
    let mut from = 0;
    while let Some(found) = text[from..].find("${") {
        let start = from + found;
        if text[..start].ends_with('$') && start > from {
            filled.push_str(&text[from..start - 1]);
            filled.push_str("${");
            from = start + 2;
            continue;
        }
        filled.push_str(&text[from..start]);
        let end = text[start..].find('}').map_or(text.len(), |length| start + length + 1);
        match reference(at, start..end, secrets) {
            Some(part) => filled.push_str(&part),
            None => good = false,
        }
        from = end;
    }
    filled.push_str(&text[from..]);
    if good && filled.trim().is_empty() {
        at.error(Code::BadValue, "this is empty");
        return None;
    }
    good.then(|| Secret::new(filled))
}

fn reference(at: At<'_>, span: std::ops::Range<usize>, secrets: &dyn Secrets) -> Option<String> {
    let written = &at.raw_text()?[span.clone()];
    let fault = |message: String, help: Option<String>| at.part(span).error(Code::MissingSecret, message, help);
    let Some((kind, name)) = written.strip_prefix("${").and_then(|w| w.strip_suffix('}')).and_then(|inner| inner.split_once(':')) else {
        fault(format!("\"{written}\" is neither ${{env:NAME}} nor ${{file:PATH}}"), Some("write $${ for a plain ${".to_owned()));
        return None;
    };
    match kind {
        "env" => {
            let found = secrets.env(name);
            if found.is_none() {
                fault(format!("the environment variable {name} is not set"), Some("set it before Reynard starts".to_owned()));
            }
            found
        }
        // A file made by an editor or `echo` ends with a line break that is no part of the secret.
        "file" => match secrets.file(name) {
            Ok(text) => Some(text.trim_end_matches(['\n', '\r']).to_owned()),
            Err(why) => {
                fault(format!("the secret's file cannot be read: {why}"), None);
                None
            }
        },
        other => {
            fault(format!("\"{other}\" is no place for secrets"), suggest::hint(other, ["env", "file"]));
            None
        }
    }
}
