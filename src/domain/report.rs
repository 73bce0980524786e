//! An incident told as Markdown, for a review, a ticket or a chat. What came from outside stays plain text in it.
//! Knows no page and no store: who has the incident and its log hands them in.

use std::fmt::Write;

use crate::domain::incident::{Incident, NotificationStatus};
use crate::domain::run::{Run, StepState};
use crate::domain::time::{Span, Timestamp};
use crate::domain::timeline::Entry;

/// What is told.
#[derive(Clone, Copy, Debug)]
pub struct Report<'a> {
    pub incident: &'a Incident,
    /// Its log from the beginning, or as much of it as was read.
    pub entries: &'a [Entry],
}

impl Report<'_> {
    pub fn markdown(&self) -> String {
        let mut text = String::new();
        let incident = self.incident;
        let title = if incident.title.is_empty() { "Incident" } else { &incident.title };
        // Writing to a text cannot fail.
        let _ = writeln!(text, "# {} {} (#{})\n", incident.priority, plain(title), incident.number);
        for (name, value) in self.facts() {
            let _ = writeln!(text, "- **{name}:** {value}");
        }
        if !incident.runs.is_empty() {
            text.push_str("\n## Machine\n");
            incident.runs_in_order().into_iter().for_each(|run| told_run(&mut text, run));
        }
        text.push_str("\n## Timeline (UTC)\n\n");
        self.entries.iter().for_each(|entry| told_entry(&mut text, entry));
        let left = incident.seq.saturating_sub(self.entries.last().map_or(0, |entry| entry.seq));
        if left > 0 {
            let _ = writeln!(text, "- … {left} later entries are not written here");
        }
        text
    }

    fn facts(&self) -> Vec<(&'static str, String)> {
        let incident = self.incident;
        let after = |at: Timestamp| Span(at.since(incident.opened_at).0 / 1_000 * 1_000);
        let mut facts = vec![("Status", incident.status.word().to_owned())];
        if let Some(said) = &incident.classification {
            facts.push(("Priority", format!("{} by rule {}: {}", incident.priority, plain(&said.rule), plain(&said.reason))));
        }
        facts.push(("Service", plain(&incident.service)));
        facts.push(("Type", plain(&incident.kind)));
        facts.push(("Opened", format!("{} from {}", instant(incident.opened_at), plain(&incident.source))));
        let told = incident.notifications.values().filter(|told| told.status == NotificationStatus::Sent).map(|told| told.queued_at).min();
        facts.extend(told.map(|at| ("First person told", format!("after {}", after(at)))));
        let by = incident.acknowledged_by.as_deref().unwrap_or("somebody");
        facts.extend(incident.acknowledged_at.map(|at| ("Acknowledged", format!("by {} after {}", plain(by), after(at)))));
        facts.extend(incident.resolved_at.map(|at| ("Resolved", format!("{} after {}", instant(at), after(at)))));
        facts.retain(|(_, value)| !value.is_empty());
        facts
    }
}

fn told_run(text: &mut String, run: &Run) {
    let span = run.ended_at.map_or_else(String::new, |end| format!(" in {}", end.since(run.started_at)));
    let _ = writeln!(text, "\n**{}** {}{span}: {}\n", plain(&run.playbook), run.status.word(), plain(&run.title));
    let mut steps: Vec<(&String, &StepState)> = run.steps.iter().collect();
    steps.sort_by_key(|(_, step)| step.started_at.or(step.ended_at));
    for (id, step) in steps {
        let title = if step.title.is_empty() { id } else { &step.title };
        let on = step.target.as_ref().map_or_else(String::new, |target| format!(" on {}", plain(target)));
        let why = step.reason.as_ref().filter(|why| !why.is_empty()).map_or_else(String::new, |why| format!(": {}", plain(why)));
        // What was skipped never came to an action.
        let deed = if step.action.is_empty() { String::new() } else { format!(" ({}{on})", plain(&step.action)) };
        let _ = writeln!(text, "1. {}{deed} {}{why}", plain(title), step.status.word().replace('_', " "));
    }
}

fn told_entry(text: &mut String, entry: &Entry) {
    let said = plain(&entry.event.sentence(&entry.actor));
    let who = if entry.event.kind() == "commented" { format!("**{}:** ", plain(entry.actor.name())) } else { String::new() };
    let _ = writeln!(text, "- {} {who}{said}", instant(entry.at));
}

fn instant(at: Timestamp) -> String {
    at.to_utc().format("%Y-%m-%d %H:%M:%S").to_string()
}

/// On one line, with every sign that Markdown would take for its own made harmless.
fn plain(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '>' | '#' | '|' | '~' | '!' | '&' => {
                safe.push('\\');
                safe.push(letter);
            }
            letter if letter.is_control() => safe.push(' '),
            letter => safe.push(letter),
        }
    }
    safe.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::id::IncidentId;
    use crate::domain::timeline::{Actor, Event};

    fn incident() -> (Incident, Vec<Entry>) {
        let opened = Event::Opened {
            number: 7,
            source: "prod-eu".to_owned(),
            receiver: String::new(),
            group_key: String::new(),
            title: "Disk <full>".to_owned(),
            service: "ci".to_owned(),
            labels: Default::default(),
            annotations: Default::default(),
            policy: "default".to_owned(),
        };
        let events = [
            (0, Actor::Source("prod-eu".to_owned()), opened),
            (61_500, Actor::Person("ana".to_owned()), Event::Acknowledged { note: String::new() }),
            (70_000, Actor::Person("ana".to_owned()), Event::Commented { text: "# see\n[here](http://evil)".to_owned() }),
            (120_000, Actor::engine(), Event::Resolved { reason: "quiet".to_owned() }),
        ];
        let mut incident = Incident::blank(IncidentId::default());
        let entries: Vec<Entry> =
            (1..).zip(events).map(|(seq, (ms, actor, event))| Entry { seq, at: Timestamp(1_795_486_154_000 + ms), actor, event }).collect();
        entries.iter().for_each(|entry| incident.apply(entry));
        (incident, entries)
    }

    #[test]
    fn it_tells_how_long_everything_took_and_every_entry() {
        let (incident, entries) = incident();
        let text = Report { incident: &incident, entries: &entries }.markdown();
        for line in [
            "# P4 Disk \\<full\\> (#7)",
            "- **Acknowledged:** by ana after 1m 1s",
            "- **Resolved:** 2026-11-24 02:11:14 after 2m",
            "- 2026-11-24 02:10:24 **ana:** \\# see \\[here\\](http://evil)",
            "- 2026-11-24 02:11:14 Resolved: quiet",
        ] {
            assert!(text.lines().any(|known| known == line), "{line} in\n{text}");
        }
    }

    #[test]
    fn it_says_what_it_leaves_out() {
        let (incident, entries) = incident();
        let text = Report { incident: &incident, entries: &entries[..2] }.markdown();
        assert!(text.ends_with("- … 2 later entries are not written here\n"), "{text}");
    }
}
