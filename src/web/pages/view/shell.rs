//! What stands around every page: the header, the lamp, who is looking. Knows nothing of the page inside.

use serde::Serialize;

use crate::domain::settings::{Automation, Rulebook};
use crate::engine::store::Totals;
use crate::web::assets::href;
use crate::web::pages::view::automation::{Banner, banner};
use crate::web::pages::view::story::who;
use crate::web::pages::view::times::Lens;
use crate::web::pages::visitor::{Notice, Visitor, encode};

#[derive(Clone, Debug, Serialize)]
pub struct Shell {
    pub title: String,
    pub place: &'static str,
    /// The incident whose changes matter to this page; empty when all do.
    pub scope: String,
    pub theme: &'static str,
    pub themes: Vec<Theme>,
    pub css: String,
    pub js: String,
    pub icon: String,
    pub now_ms: i64,
    pub clock: String,
    pub utc: String,
    pub zone: String,
    pub open: Vec<Open>,
    pub on_call: Option<String>,
    pub automation: Option<&'static str>,
    /// Who holds automation.
    pub held: Option<Banner>,
    pub name: String,
    pub named: bool,
    /// Whether one says one's name here, because nobody has to show it.
    pub says: bool,
    pub signed_in: bool,
    /// Whether people can sign in.
    pub offered: bool,
    pub exposed: bool,
    pub back: String,
    pub back_in_address: String,
    pub key: String,
    pub notice: Option<Notice>,
    pub people: Vec<String>,
}

#[derive(Clone, Debug, Serialize)]
pub struct Open {
    pub priority: String,
    pub count: u64,
}

#[derive(Clone, Debug, Serialize)]
pub struct Theme {
    pub value: &'static str,
    pub current: bool,
}

/// A page: what stands around it, and what it shows.
#[derive(Clone, Debug, Serialize)]
pub struct Page<V> {
    pub shell: Shell,
    pub view: V,
}

/// What the shell has to be told by the page.
#[derive(Clone, Debug)]
pub struct Place {
    pub title: String,
    pub place: &'static str,
    pub scope: String,
}

pub fn shell(place: Place, visitor: &Visitor, totals: &Totals, rulebook: &Rulebook, lens: Lens) -> Shell {
    let (clock, utc) = lens.clocks();
    let on_call = who("on-call", rulebook, lens.now);
    Shell {
        title: place.title,
        place: place.place,
        scope: place.scope,
        theme: visitor.theme,
        themes: ["auto", "light", "dark"].map(|value| Theme { value, current: value == visitor.theme }).to_vec(),
        css: href("reynard.css"),
        js: href("live.js"),
        icon: href("fox.svg"),
        now_ms: lens.now.0,
        clock,
        utc,
        zone: lens.zone.name().to_owned(),
        open: (1..=2).zip(totals.open).map(|(n, count)| Open { priority: format!("P{n}"), count }).collect(),
        on_call: on_call.strip_prefix("on-call (").and_then(|rest| rest.strip_suffix(')')).map(str::to_owned),
        held: banner(&totals.holds, lens),
        automation: match rulebook.automation {
            _ if !totals.holds.are_none() => Some("automation held"),
            Automation::Live => None,
            Automation::Shadow => Some("automation in shadow"),
            Automation::Held => Some("automation held"),
        },
        name: visitor.name().to_owned(),
        named: visitor.name.is_some(),
        says: visitor.caller.says(),
        signed_in: visitor.caller.session().is_some(),
        offered: visitor.caller.offered,
        exposed: visitor.caller.exposed,
        back: visitor.back.clone(),
        back_in_address: encode(&visitor.back),
        key: visitor.key.clone(),
        notice: visitor.notice.clone(),
        people: rulebook.directory.people.keys().cloned().collect(),
    }
}
