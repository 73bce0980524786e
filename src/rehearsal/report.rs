//! A simulation as a person reads it at a terminal. Knows no terminal; colours only when asked for.

use std::fmt::Write;

use serde_json::Value;

use crate::domain::time::{Span, Timestamp};
use crate::domain::timeline::{Event, recipient, told as said};
use crate::rehearsal::simulation::Simulation;

const WIDEST: usize = 118;

/// The whole report.
pub fn text(simulation: &Simulation, coloured: bool) -> String {
    let mut page = Page { simulation, coloured, text: String::new() };
    page.head();
    page.classification();
    page.steps();
    page.told();
    page.end();
    page.text
}

struct Page<'a> {
    simulation: &'a Simulation,
    coloured: bool,
    text: String,
}

impl Page<'_> {
    fn head(&mut self) {
        let title = format!("{} · {}", self.simulation.playbook.slug, self.simulation.title);
        let title = self.bold(&title);
        self.line(&title);
        if !self.simulation.starts {
            self.line("Here a person started it: it does not start by itself for this alert, or was given vars.");
        }
        if !self.simulation.beside.is_empty() {
            let beside = self.simulation.beside.join(", ");
            self.line(&format!("The same alert starts {beside} too, which is left out here."));
        }
    }

    fn classification(&mut self) {
        self.section("Classified");
        if let Some(found) = &self.simulation.classification {
            let next = found.next.as_ref().map(|next| format!("; without it {next}")).unwrap_or_default();
            let head = format!("  {} {} by rule {}{next}", found.priority, found.kind, found.rule);
            let head = self.bold(&head);
            self.line(&head);
            let signals: Vec<String> = found.signals.iter().map(|(name, value)| format!("{name} {value}")).collect();
            self.line(&format!("  signals: {}", if signals.is_empty() { "none".to_owned() } else { signals.join(" · ") }));
        }
        let rules = self.simulation.rules.clone();
        let widest = rules.iter().map(|rule| rule.name.chars().count()).max().unwrap_or(0);
        let decided = self.simulation.classification.as_ref().map(|found| found.rule.clone());
        for rule in rules {
            let mark = if decided.as_ref() == Some(&rule.name) {
                "▸"
            } else if rule.matched {
                "✓"
            } else {
                "·"
            };
            let missing = if rule.missing.is_empty() { String::new() } else { format!("   ({} not known)", rule.missing.join(", ")) };
            let line = cut(&format!("    {mark} {:widest$}  {}{missing}", rule.name, rule.when));
            self.line(&if rule.matched { line } else { self.dim(&line) });
        }
    }

    fn steps(&mut self) {
        self.section("Steps");
        let simulation = self.simulation;
        let mut any = false;
        for entry in &simulation.entries {
            let at = clock(entry.at, simulation.begin);
            match &entry.event {
                Event::StepStarted { at: step, title, items, .. } if !items.is_empty() => {
                    let name = self.bold(&step.step);
                    self.line(&format!("  {at}  ▶ {name}  {title}, for {} items", items.len()));
                }
                Event::StepStarted { at: step, title, action, target, params, destructive, .. } => {
                    let on = target.as_ref().map(|target| format!(" on {target}")).unwrap_or_default();
                    let danger = if *destructive { "  ⚠ changes something" } else { "" };
                    let undo = if step.undo { "undo " } else { "" };
                    let again = if step.attempt > 1 && !step.undo { format!(", attempt {}", step.attempt) } else { String::new() };
                    let name = self.bold(&format!("{undo}{}", step.step));
                    self.line(&format!("  {at}  ▶ {name}  {title}"));
                    self.line(&format!("             {action}{on}{again}{danger}"));
                    self.params(params);
                }
                Event::StepSucceeded { at: step, output, .. } => self.line(&format!("  {at}  ✓ {}{}", step.step, shown(output))),
                Event::StepUndone { at: step, .. } => self.line(&format!("  {at}  ↶ {} undone", step.step)),
                Event::StepFailed { at: step, reason, retry_at, .. } => {
                    let again = retry_at.map(|again| format!("; again at {}", clock(again, simulation.begin).trim())).unwrap_or_default();
                    self.line(&cut(&format!("  {at}  ✗ {}  {reason}{again}", step.step)));
                }
                Event::StepSkipped { at: step, reason, .. } => {
                    let line = self.dim(&cut(&format!("  {at}  – {}  skipped: {reason}", step.step)));
                    self.line(&line);
                }
                Event::ApprovalRequested { at: step, by, expires_at, otherwise, .. } => {
                    let until = clock(*expires_at, simulation.begin);
                    let line = format!(
                        "  {at}  ? {}  asks {} for a yes until {}; else {}",
                        step.step,
                        by.join(", "),
                        until.trim(),
                        said(*otherwise)
                    );
                    self.line(&cut(&line));
                }
                Event::Approved { .. } | Event::Rejected { .. } => {
                    let line = cut(&format!("  {at}  ☞ {}", entry.event.sentence(&entry.actor)));
                    self.line(&line);
                }
                Event::StepInDoubt { at: step, reason, .. } => {
                    self.line(&cut(&format!("  {at}  ? {}  in doubt until a person says: {reason}", step.step)))
                }
                Event::LimitHit { .. }
                | Event::RunStarted { parent: Some(_), .. }
                | Event::RunSucceeded { .. }
                | Event::RunFailed { .. }
                | Event::RunCancelled { .. } => {
                    let line = cut(&format!("  {at}  ■ {}", entry.event.sentence(&entry.actor)));
                    self.line(&line);
                }
                _ => continue,
            }
            any = true;
        }
        if !any {
            self.line("  none");
        }
    }

    fn params(&mut self, params: &Value) {
        for (name, value) in params.as_object().into_iter().flatten() {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            let mut lines = text.trim_end().lines();
            self.line(&cut(&format!("             {name}: {}", lines.next().unwrap_or_default())));
            for more in lines {
                self.line(&cut(&format!("             {:width$}  {more}", "", width = name.chars().count())));
            }
        }
    }

    fn told(&mut self) {
        self.section("People told, if nobody acknowledges");
        let simulation = self.simulation;
        for letter in &simulation.letters {
            let who = recipient(&letter.channel, letter.person.as_deref());
            let words = letter.text.as_deref().unwrap_or(&letter.reason).lines().next().unwrap_or_default();
            self.line(&cut(&format!("  {}  {who:18}  {words}", clock(letter.at, simulation.begin))));
        }
        if simulation.letters.is_empty() {
            let nobody = simulation.entries.iter().find_map(|entry| match &entry.event {
                Event::Escalated { nobody, .. } if !nobody.is_empty() => Some(nobody.join("; ")),
                _ => None,
            });
            self.line(&format!("  nobody{}", nobody.map(|why| format!(": {why}")).unwrap_or_default()));
        }
    }

    fn end(&mut self) {
        self.section("Limits");
        let limits: Vec<String> = self.simulation.limits().collect();
        if limits.is_empty() {
            self.line("  none was met");
        }
        limits.iter().for_each(|limit| self.line(&format!("  {limit}")));
        self.section("At most");
        let longest = self.simulation.longest.map_or_else(|| "as long as a hole says".to_owned(), |span| span.to_string());
        self.line(&format!("  a run takes {longest}; people's answers and limits come on top"));
        self.line("");
        let end = format!("Played {} on a clock of its own. Nothing was sent, nothing was changed.", self.simulation.lasts);
        let end = self.dim(&end);
        self.line(&end);
    }

    fn section(&mut self, name: &str) {
        let name = self.bold(name);
        let _ = write!(self.text, "\n{name}\n");
    }

    fn line(&mut self, text: &str) {
        let _ = writeln!(self.text, "{}", text.trim_end());
    }

    fn bold(&self, text: &str) -> String {
        if self.coloured { format!("\u{1b}[1m{text}\u{1b}[0m") } else { text.to_owned() }
    }

    fn dim(&self, text: &str) -> String {
        if self.coloured { format!("\u{1b}[2m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}

/// Minutes and seconds since the beginning: ` 12:05`, `1:02:05`.
pub fn clock(at: Timestamp, begin: Timestamp) -> String {
    let Span(ms) = at.since(begin);
    let (hours, minutes, seconds) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1_000 % 60);
    if hours > 0 { format!("{hours:2}:{minutes:02}:{seconds:02}") } else { format!("   {minutes:02}:{seconds:02}") }
}

fn shown(output: &Value) -> String {
    match output {
        Value::Null => String::new(),
        Value::Object(fields) if fields.is_empty() => String::new(),
        other => format!("  gives {}", cut(&other.to_string())),
    }
}

fn cut(text: &str) -> String {
    // Texts of alerts come along: what would move the cursor stays out.
    let plain: String = text.chars().map(|letter| if letter.is_control() { '\u{fffd}' } else { letter }).collect();
    match plain.char_indices().nth(WIDEST) {
        Some((at, _)) => format!("{}…", &plain[..at]),
        None => plain,
    }
}
