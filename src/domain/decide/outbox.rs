//! The messages of one decision: collected while it is made and put together at its end, so that whoever is reached by a playbook
//! and by the escalation at once gets one message that says both. Knows neither channels nor words.

use crate::domain::decide::command::{Effect, Wake};
use crate::domain::decide::turn::Turn;
use crate::domain::directory::Recipient;
use crate::domain::escalation::ONLY_WORDS;
use crate::domain::incident::Status;
use crate::domain::late::begin_of;
use crate::domain::time::Span;
use crate::domain::timeline::Event;

/// A message to a set of names.
pub(super) struct Page<'a> {
    pub to: &'a [String],
    pub template: &'a str,
    pub text: Option<String>,
    pub reason: &'a str,
}

/// A message to one person by one channel, or to a channel itself.
#[derive(Clone, Debug, PartialEq)]
pub struct Letter {
    channel: String,
    person: Option<String>,
    /// How long after the page began it goes out.
    after: Span,
    template: String,
    text: Option<String>,
    reason: String,
}

impl Letter {
    fn goes_with(&self, other: &Self) -> bool {
        (&self.channel, &self.person, self.after) == (&other.channel, &other.person, other.after)
    }

    /// Takes the other one in, if one message can say both: the same template, or words that need none.
    fn take_in(&mut self, other: &Self) -> bool {
        if !self.goes_with(other) || (self.template != other.template && self.template != ONLY_WORDS && other.template != ONLY_WORDS) {
            return false;
        }
        // The template and its reason are the page's own; a playbook's words come on top.
        if self.template == ONLY_WORDS {
            other.template.clone_into(&mut self.template);
            other.reason.clone_into(&mut self.reason);
        }
        match (&mut self.text, &other.text) {
            (Some(text), Some(more)) if text != more => *text = format!("{text}\n\n{more}"),
            (none @ None, Some(_)) => none.clone_from(&other.text),
            _ => {}
        }
        true
    }
}

impl Turn<'_, '_> {
    /// Writes one message for each person and channel that the names reach.
    pub(super) fn page(&mut self, page: &Page<'_>) {
        for recipient in self.rulebook.directory.resolve(page.to, None, self.now).recipients {
            let (channel, person, after) = match recipient {
                Recipient::Person { name, channel, after } => (channel, Some(name), after),
                Recipient::Channel { channel } => (channel, None, Span::ZERO),
            };
            self.write(channel, person, after, page);
        }
    }

    fn write(&mut self, channel: String, person: Option<String>, after: Span, page: &Page<'_>) {
        let (template, text, reason) = (page.template.to_owned(), page.text.clone(), begin_of(page.reason));
        let letter = Letter { channel, person, after, template, text, reason };
        if !self.letters.iter_mut().any(|earlier| earlier.take_in(&letter)) {
            self.letters.push(letter);
        }
    }

    /// Queues what was written; later ways of being told become timers.
    pub(super) fn post_letters(&mut self) {
        for Letter { channel, person, after, template, text, reason } in std::mem::take(&mut self.letters) {
            if after > Span::ZERO {
                let generation = self.state.escalation.generation;
                self.wake_at(self.now + after, Wake::Tell { generation, channel, person, template, text, reason });
                continue;
            }
            let notification = self.state.notifications.keys().last().map_or(1, |last| last + 1);
            self.emit_engine(Event::NotificationQueued { notification, channel, person, template, text, reason });
            self.ask(Effect::Send { notification, attempt: 1 });
        }
    }

    pub(super) fn tell_later(&mut self, wake: Wake) {
        let Wake::Tell { generation, channel, person, template, text, reason } = wake else { return };
        // An acknowledgement in between has changed the generation. A page that came after it, because automation needs somebody,
        // goes all its ways; a playbook's own words need not be said twice to whoever is on it.
        let wanted = self.state.status == Status::Triggered || (self.state.is_open() && template != ONLY_WORDS);
        if self.state.escalation.generation == generation && wanted {
            self.write(channel, person, Span::ZERO, &Page { to: &[], template: &template, text, reason: &reason });
        }
    }

    /// Those who were told that it began are told that it is over.
    pub(super) fn tell_resolved(&mut self, reason: &str) {
        self.post_letters();
        for (channel, person) in self.state.told() {
            self.write(channel, person, Span::ZERO, &Page { to: &[], template: "resolved", text: None, reason });
        }
    }
}
