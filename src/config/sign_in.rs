//! What signing in takes: a person's `password:`, the `tokens:` section, `server.sign_in`. Knows no page.

use std::collections::BTreeSet;

use crate::config::diagnostic::Code;
use crate::config::names::{self, Names};
use crate::config::reader::At;
use crate::config::secrets::{self, Secrets};
use crate::domain::password::PasswordHash;
use crate::domain::sign_in::{Mode, Token};

pub const MODES: [(&str, Mode); 3] = [("optional", Mode::Optional), ("acts", Mode::Acts), ("all", Mode::All)];
/// What is shorter can be guessed.
const SHORTEST_TOKEN: usize = 16;

/// A hash, as `reynard password` makes it. What stands there is never repeated: it may be the password itself.
pub fn password(at: At<'_>, secrets: &dyn Secrets) -> Option<PasswordHash> {
    let text = secrets::secret(at, secrets)?;
    let help = "make one with `reynard password`, and paste the line that it prints";
    PasswordHash::parse(text.expose()).map_err(|why| at.error_help(Code::BadPassword, why, help)).ok()
}

/// `tokens:`, in the file's order.
pub fn tokens(at: At<'_>, names: &Names, secrets: &dyn Secrets) -> Vec<Token> {
    let mut seen = BTreeSet::new();
    at.list().into_iter().filter_map(|item| token(item, names, secrets, &mut seen)).collect()
}

fn token<'a>(at: At<'a>, names: &Names, secrets: &dyn Secrets, seen: &mut BTreeSet<&'a str>) -> Option<Token> {
    let fields = at.fields()?;
    let name = fields.required("name").and_then(|at| own_name(at, names, seen));
    let token = fields.required("token").and_then(|at| {
        let token = secrets::secret(at, secrets)?;
        if token.expose().len() < SHORTEST_TOKEN {
            let help = "make one with `openssl rand -hex 32`";
            at.error_help(Code::BadValue, format!("a token has at least {SHORTEST_TOKEN} letters"), help);
            return None;
        }
        Some(token)
    });
    let person = fields.optional("person").map(|at| names.known(at, "person", &names.people));
    fields.finish();
    let person = match person {
        Some(None) => return None,
        Some(person) => person,
        None => None,
    };
    Some(Token { name: name?.to_owned(), token: token?, person })
}

fn own_name<'a>(at: At<'a>, names: &Names, seen: &mut BTreeSet<&'a str>) -> Option<&'a str> {
    let name = at.words()?;
    if !names::is_name(name) {
        at.error_help(Code::BadName, format!("\"{name}\" is not a name"), names::NAME_HELP);
        return None;
    }
    if names.people.contains(name) {
        at.error_help(Code::DuplicateName, format!("\"{name}\" is a person's name"), "call it otherwise, and say `person:` whose it is");
    } else if !seen.insert(name) {
        at.error(Code::DuplicateName, format!("there are two tokens \"{name}\""));
    }
    Some(name)
}
