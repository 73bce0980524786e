//! What is good by the letter and yet hardly meant: conditions that decide nothing, steps that never run, messages that nobody gets,
//! danger without a brake; and, as notes, how long a run takes and when people are told. Knows no run.

use crate::config::diagnostic::{Code, Diagnostic};
use crate::config::reader::{At, Document};
use crate::config::worst_case;
use crate::config::yaml::{Node, Value};
use crate::domain::directory::{Directory, EMAIL, ON_CALL, PRIMARY};
use crate::domain::expression::constant::always;
use crate::domain::playbook::{OnFailure, Playbook, Step};
use crate::domain::priority::Priority;
use crate::domain::settings::Rulebook;

const PRIORITIES: [Priority; 4] = [Priority::P1, Priority::P2, Priority::P3, Priority::P4];

/// Looks at a playbook that has been read without an error.
pub fn lint(path: &str, text: &str, playbook: &Playbook, book: &Rulebook) -> Vec<Diagnostic> {
    let document = Document::new(path, text);
    if let Some(root) = document.parse() {
        let look = Look { document: &document, root: &root, playbook, book };
        look.conditions();
        look.messages();
        look.brakes();
        look.reckon();
    }
    document.into_faults()
}

struct Look<'a> {
    document: &'a Document,
    root: &'a Node,
    playbook: &'a Playbook,
    book: &'a Rulebook,
}

impl<'a> Look<'a> {
    fn conditions(&self) {
        for (index, step) in self.playbook.steps.iter().enumerate() {
            let Some(when) = &step.when else { continue };
            let earlier = &self.playbook.steps[..index];
            let values = |name: &str| values(name, earlier);
            let Some(at) = self.field(&step.id, "when") else { continue };
            match always(when.source(), &values) {
                Some(true) => at.place().warning(Code::ConstantCondition, "this is always so", Some("leave it out".to_owned())),
                Some(false) => {
                    let message = format!("step \"{}\" never runs: this is never so", step.id);
                    at.place().warning(Code::UnreachableStep, message, Some(why_never(when.names(), earlier)));
                }
                None => {}
            }
        }
    }

    fn messages(&self) {
        for step in self.playbook.steps.iter().filter(|step| step.action == "notify") {
            let Some(at) = self.field(&step.id, "with").and_then(|with| below(with, "to")) else { continue };
            let names: Vec<&str> = at
                .one_or_many()
                .into_iter()
                .filter_map(|item| if let Value::Text(name) = &item.node.value { Some(name.as_str()) } else { None })
                .collect();
            let open = names.iter().any(|name| name.contains("{{") || *name == ON_CALL);
            if !open && !names.iter().any(|name| reaches(&self.book.directory, name)) {
                let help = "no channel of reynard.yaml reaches any of them".to_owned();
                at.place().warning(Code::NobodyTold, "nobody receives this message", Some(help));
            }
        }
    }

    fn brakes(&self) {
        let limits = self.playbook.limits;
        let Some(step) = self.playbook.steps.iter().find(|step| step.destructive) else { return };
        if limits.per_target.is_none()
            && limits.concurrency.is_none()
            && let Some(at) = self.field(&step.id, "action")
        {
            let help = "say for example limits: { concurrency: 1, per_target: 3 per 1h }".to_owned();
            at.place().warning(
                Code::NoLimits,
                format!("{} changes something, and the playbook has no limits of its own", step.action),
                Some(help),
            );
        }
    }

    fn reckon(&self) {
        let Some(steps) = below(At::new(self.document, self.root), "steps") else { return };
        let admitted =
            PRIORITIES.into_iter().filter(|p| self.playbook.trigger.priorities.is_empty() || self.playbook.trigger.priorities.contains(p));
        let told: Vec<String> = admitted
            .map(|priority| match worst_case::first_told(self.playbook, priority, self.book) {
                Some(span) if span.0 == 0 => format!("{priority} at once"),
                Some(span) => format!("{priority} after {span}"),
                None => format!("{priority} never"),
            })
            .collect();
        let longest = worst_case::duration(self.playbook, self.book)
            .map_or_else(|| "as long as a hole says".to_owned(), |span| format!("{span} at most"));
        let asks = if self.playbook.steps.iter().any(|step| step.approval.is_some()) { " with each approval until it expires" } else { "" };
        let message =
            format!("a run takes {longest}{asks}, people's answers and limits apart; a person is first told: {}", told.join(", "));
        steps.part(0..0).note(Code::WorstCase, message);
    }

    /// The field of a step, wherever among the steps it stands.
    fn field(&self, id: &str, name: &str) -> Option<At<'a>> {
        below(step_at(At::new(self.document, self.root), id)?, name)
    }
}

/// Where a step stands in a playbook.
pub fn step_at<'a>(root: At<'a>, id: &str) -> Option<At<'a>> {
    find(below(root, "steps")?, id)
}

/// Where a rule stands in the settings.
pub fn rule_at<'a>(root: At<'a>, name: &str) -> Option<At<'a>> {
    let rules = below(root, "classification")?;
    let Value::List(items) = &rules.node.value else { return None };
    let is = |item: &At<'a>| below(*item, "name").is_some_and(|at| matches!(&at.node.value, Value::Text(text) if text == name));
    items.iter().map(|node| At { node, ..rules }).find(is)
}

/// Why it is never so, where the reason is another step.
fn why_never(names: Vec<String>, earlier: &[std::sync::Arc<Step>]) -> String {
    let of = |name: &String| earlier.iter().find(|step| name == &format!("steps.{}.status", step.id));
    match names.iter().find_map(of) {
        Some(step) if step.on_failure != OnFailure::Continue => {
            format!(
                "\"{}\" ends the run when it fails, so it can only be succeeded or skipped here; on_failure: continue lets the run go on",
                step.id
            )
        }
        Some(step) => format!("the status of \"{}\" is succeeded, skipped or failed here", step.id),
        None => "look at the words that it compares".to_owned(),
    }
}

/// The values that a name can have when the condition is asked.
fn values(name: &str, earlier: &[std::sync::Arc<Step>]) -> Option<Vec<String>> {
    let words = |words: &[&str]| Some(words.iter().map(|word| (*word).to_owned()).collect());
    match name {
        "incident.priority" => words(&["P1", "P2", "P3", "P4"]),
        "incident.status" => words(&["triggered", "acknowledged", "resolved"]),
        _ => {
            let id = name.strip_prefix("steps.")?.strip_suffix(".status")?;
            let step = earlier.iter().find(|step| step.id == id)?;
            if step.on_failure == OnFailure::Continue {
                words(&["succeeded", "skipped", "failed"])
            } else {
                words(&["succeeded", "skipped"])
            }
        }
    }
}

/// Whether a name leads to anybody at all, at some time.
pub fn reaches(directory: &Directory, name: &str) -> bool {
    let person = |name: &String| {
        directory.people.get(name).is_some_and(|person| {
            let told = person.notify.iter().any(|rule| directory.channels.contains(&rule.channel));
            told || (person.notify.is_empty() && person.email.is_some() && directory.channels.contains(EMAIL))
        })
    };
    let schedule = |name: &str| directory.schedules.get(name).is_some_and(|schedule| schedule.everybody().any(person));
    person(&name.to_owned()) || schedule(name) || (name == ON_CALL && schedule(PRIMARY)) || directory.channels.contains(name)
}

/// The field of a map.
pub fn below<'a>(at: At<'a>, name: &str) -> Option<At<'a>> {
    let Value::Map(entries) = &at.node.value else { return None };
    entries.iter().find(|(key, _)| key.text == name).map(|(_, node)| At { node, ..at })
}

fn find<'a>(list: At<'a>, id: &str) -> Option<At<'a>> {
    let Value::List(items) = &list.node.value else { return None };
    items.iter().map(|node| At { node, ..list }).find_map(|item| {
        let is = below(item, "id").is_some_and(|at| matches!(&at.node.value, Value::Text(text) if text == id));
        if is { Some(item) } else { below(item, "parallel").and_then(|branches| find(branches, id)).or_else(|| find(item, id)) }
    })
}

#[cfg(test)]
mod tests {
    use crate::config::check;
    use crate::config::diagnostic::Severity;
    use crate::config::samples;

    fn told(playbook: &str) -> Vec<String> {
        let settings = samples::load(samples::SETTINGS, &[]).settings.expect("they are good");
        let found = check::one("playbooks/x.yaml", playbook, &settings);
        found
            .iter()
            .map(|fault| {
                if fault.severity == Severity::Note {
                    fault.message.clone()
                } else {
                    format!("{} {}:{}", fault.code, fault.line, fault.column)
                }
            })
            .collect()
    }

    fn warned(steps: &str) -> Vec<String> {
        told(&format!("on: {{}}\nsteps:\n{steps}")).into_iter().filter(|told| !told.starts_with("a run takes")).collect()
    }

    #[test]
    fn conditions_that_decide_nothing_are_told() {
        let look = "- { id: look, action: tcp.connect, with: { address: 'x:1' } }\n";
        let after = |when: &str| warned(&format!("{look}- {{ id: a, wait: 1m, when: {when} }}"));
        assert_eq!(after("incident.priority == 'P9'"), ["unreachable-step 4:28"]);
        assert_eq!(after("incident.priority != 'P9'"), ["constant-condition 4:28"]);
        assert_eq!(after("\"steps.look.status == 'failed'\""), ["unreachable-step 4:28"]);
        assert_eq!(after("\"steps.look.status == 'skipped'\""), [""; 0]);
        assert_eq!(after("incident.priority == 'P1'"), [""; 0]);
        let patient = look.replace(" }\n", ", on_failure: continue }\n");
        assert_eq!(warned(&format!("{patient}- {{ id: a, wait: 1m, when: \"steps.look.status == 'failed'\" }}")), [""; 0]);
    }

    #[test]
    fn a_message_that_nobody_gets_is_told() {
        let notify = |to: &str| warned(&format!("- {{ id: a, action: notify, with: {{ to: [{to}], text: x }} }}"));
        assert_eq!(notify("bo"), [""; 0]);
        assert_eq!(notify("chat, bo"), [""; 0]);
        let settings = "people: { eve: {} }\nchannels: { hook: { kind: webhook, url: 'http://h' } }";
        let settings = samples::load(settings, &[]).settings.expect("it is good");
        let found = check::one("x.yaml", "on: {}\nsteps: [ { id: a, action: notify, with: { to: eve, text: x } } ]", &settings);
        assert!(found.iter().any(|fault| fault.code == super::Code::NobodyTold), "{}", found.to_text(false));
    }

    #[test]
    fn danger_without_a_brake_is_told() {
        let protect = "steps: [ { id: a, action: postgres.read_only, target: orders-db } ]";
        let first = |limits: &str| told(&format!("on: {{}}\n{limits}{protect}"))[0].clone();
        assert_eq!(first(""), "no-limits 2:27");
        assert!(first("limits: { concurrency: 1 }\n").starts_with("a run takes 1m at most"));
    }

    #[test]
    fn the_longest_run_and_the_first_word_are_reckoned() {
        let steps = "- { id: a, action: dns.resolve, with: { name: x }, timeout: 10s, retry: { attempts: 3, backoff: 5s } }\n- { id: b, wait: 30s }\n";
        // Three times 10 s, 5 s and 10 s between them, half a minute of waiting.
        let note = told(&format!("on: {{ priority: [P1, P4] }}\nsteps:\n{steps}"));
        assert_eq!(note, ["a run takes 1m 15s at most, people's answers and limits apart; a person is first told: P1 at once, P4 at once"]);
        assert!(told("on: {}\nsteps: [ { id: b, wait: '{{ labels.pause }}' } ]")[0].starts_with("a run takes as long as a hole says"));
    }
}
