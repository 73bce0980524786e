//! The `commands:` section: the only programs that a playbook may start. Knows nothing of processes.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use regex::{Regex, RegexBuilder};

use crate::config::diagnostic::Code;
use crate::config::names;
use crate::config::reader::{At, Name};
use crate::config::suggest;
use crate::domain::settings::Command;
use crate::domain::time::Span;

/// Every command by name.
pub fn read(at: At<'_>) -> BTreeMap<String, Command> {
    at.entries().into_iter().filter_map(|(key, at)| command(key, at)).map(|command| (command.name.clone(), command)).collect()
}

/// The text as a pattern that a whole value must match.
pub fn whole_pattern(at: At<'_>) -> Option<Regex> {
    let text = at.words()?;
    let built = RegexBuilder::new(&format!("^(?:{text})$")).size_limit(1 << 20).build();
    let fault = |error: regex::Error| {
        let words = error.to_string();
        at.error(
            Code::BadPattern,
            format!("the pattern cannot be read: {}", words.lines().last().unwrap_or("").trim_start_matches("error: ")),
        );
    };
    built.map_err(fault).ok()
}

fn command(key: Name<'_>, at: At<'_>) -> Option<Command> {
    let name = names::name(key);
    let fields = at.fields()?;
    let program = fields.required("program").and_then(program);
    let args = fields.optional("args").map(At::list).unwrap_or_default();
    let declared = fields.optional("params").map(At::entries).unwrap_or_default();
    let timeout = fields.optional("timeout").map_or(Some(Span::minutes(1)), At::span);
    fields.finish();
    let known: Vec<&str> = declared.iter().map(|(key, _)| key.text()).collect();
    let args = args.into_iter().filter_map(|at| argument(at, &known)).collect();
    let params = declared.into_iter().filter_map(|(key, at)| Some((key.text().to_owned(), whole_pattern(at)?))).collect();
    Some(Command { name: name?, program: program?, args, params, timeout: timeout? })
}

fn program(at: At<'_>) -> Option<String> {
    let program = at.words()?;
    if !Path::new(program).is_absolute() {
        at.error_help(Code::BadValue, format!("\"{program}\" is not a full path"), "write for example /usr/bin/systemctl");
        return None;
    }
    Some(program.to_owned())
}

fn argument(at: At<'_>, known: &[&str]) -> Option<String> {
    let text = at.text()?;
    for hole in holes(text) {
        let name = &text[hole.clone()];
        if !known.contains(&name) {
            let help = suggest::hint(name, known.iter().copied()).or(Some("declare it under params, with a pattern".to_owned()));
            at.part(hole).error(Code::UnknownName, format!("\"{name}\" is no parameter of this command"), help);
        }
    }
    Some(text.to_owned())
}

/// What stands between `{{` and `}}`, without the blanks around it.
fn holes(text: &str) -> Vec<Range<usize>> {
    let mut holes = Vec::new();
    let mut from = 0;
    while let Some(start) = text[from..].find("{{").map(|at| from + at + 2) {
        let end = text[start..].find("}}").map_or(text.len(), |at| start + at);
        let inner = &text[start..end];
        let begin = start + inner.len() - inner.trim_start().len();
        holes.push(begin..begin + inner.trim().len());
        from = end;
    }
    holes
}
