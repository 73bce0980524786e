//! A playbook's own message, told through the same outbox as pages. Knows no step.

use serde_json::Value;

use crate::domain::decide::outbox::Page;
use crate::domain::decide::turn::Turn;
use crate::domain::escalation::ONLY_WORDS;

/// Why a playbook's message reaches nobody.
pub(super) enum Unheard {
    NobodyThere(String),
    NoSuchName(String),
}

impl Turn<'_, '_> {
    /// A playbook's message, or why it reaches nobody: names that come from alerts are only known now.
    pub(super) fn notify(&mut self, params: &Value) -> Result<(), Unheard> {
        let to = match params.get("to") {
            Some(Value::String(name)) => vec![name.clone()],
            Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
            _ => Vec::new(),
        };
        let text = params.get("text").and_then(Value::as_str).map(str::to_owned);
        let template = params.get("template").and_then(Value::as_str);
        // Words without a template stand for themselves, or go with whatever else the same person is told now.
        let template = template.unwrap_or(if text.is_some() { ONLY_WORDS } else { "incident-opened" }).to_owned();
        let reason = text.as_deref().map_or_else(|| "a playbook step says so".to_owned(), |text| text.chars().take(120).collect());
        let reached = self.resolve_names(&to);
        if reached.told.is_empty() {
            let reason = format!("nobody could be told; {}", reached.nobody.join("; "));
            // That nobody is on call is for the settings to mend; a name that nobody has is a fault here.
            let known = to.iter().any(|name| self.rulebook.directory.knows(name));
            return Err(if known { Unheard::NobodyThere(reason) } else { Unheard::NoSuchName(reason) });
        }
        self.page(&Page { to: &to, template: &template, text, reason: &reason });
        Ok(())
    }
}
