//! The page of the red switch: who holds automation, what waits for the release, and the form that throws it. Knows no HTML.

use serde::Serialize;

use crate::domain::hold::{Hand, Holds};
use crate::domain::incident::Incident;
use crate::domain::settings::{Automation, Rulebook};
use crate::domain::shadow::{Fate, Would, sums};
use crate::domain::timeline::deed;
use crate::web::pages::view::incident::title;
use crate::web::pages::view::times::{Lens, Moment};

/// Steps that are listed; the rest are counted.
const LISTED: usize = 20;

/// What whoever looks has shown of themselves, as far as a release goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shows {
    /// Nobody can sign in: a token is asked for, or to be at this machine.
    Nothing,
    /// They can, and have not.
    SignIn,
    /// They have, too long ago.
    Password,
    Enough,
}

#[derive(Clone, Debug, Serialize)]
pub struct AutomationView {
    pub held: bool,
    pub shadow: bool,
    pub holds: Vec<HoldView>,
    /// Whether a person holds, so that a person can release.
    pub by_person: bool,
    pub waiting: Vec<WaitingView>,
    /// Steps that wait and are not listed.
    pub more: usize,
    pub needs_token: bool,
    pub needs_sign_in: bool,
    /// Whether the password is asked for once more.
    pub needs_password: bool,
    /// Whether whoever looks may release from where they are.
    pub from_elsewhere: bool,
}

#[derive(Clone, Debug, Serialize)]
pub struct HoldView {
    pub by: String,
    pub at: Moment,
    pub reason: String,
    /// How it lets go, where that is not a person's to do here.
    pub ends: Option<&'static str>,
}

/// A step that begins, or is asked about again, with the release.
#[derive(Clone, Debug, Serialize)]
pub struct WaitingView {
    pub number: u64,
    pub incident: String,
    pub playbook: String,
    pub step: String,
}

/// What shadow kept from being done.
#[derive(Clone, Debug, Serialize)]
pub struct ShadowView {
    pub sums: Vec<SumView>,
    pub items: Vec<WouldView>,
}

#[derive(Clone, Debug, Serialize)]
pub struct SumView {
    pub playbook: String,
    /// Each fate in words with its count.
    pub lines: Vec<String>,
}

#[derive(Clone, Debug, Serialize)]
pub struct WouldView {
    pub at: Moment,
    pub number: u64,
    pub title: String,
    pub playbook: String,
    pub deed: String,
    pub params: String,
    pub fate: String,
}

pub fn shadow_view(woulds: &[Would], lens: Lens) -> ShadowView {
    let sums = sums(woulds).into_iter().map(|(playbook, sum)| SumView {
        playbook,
        lines: Fate::ALL.into_iter().filter_map(|fate| Some(format!("{} {}", sum.fates.get(&fate)?, fate.in_words()))).collect(),
    });
    let items = woulds.iter().take(ITEMS).map(|would| WouldView {
        at: lens.moment(would.at),
        number: would.number,
        title: would.title.clone(),
        playbook: would.playbook.clone(),
        deed: deed(&would.action, would.target.as_deref()),
        params: if would.params.is_null() { String::new() } else { would.params.to_string() },
        fate: would.limit.as_deref().map_or_else(|| would.fate.in_words().to_owned(), Fate::stopped_by),
    });
    ShadowView { sums: sums.collect(), items: items.collect() }
}

/// Steps of the report that the page lists.
const ITEMS: usize = 100;

/// The first words of the banner on every page.
#[derive(Clone, Debug, Serialize)]
pub struct Banner {
    pub by: String,
    pub since: Moment,
    pub reason: String,
}

/// What is looked at.
pub struct Seen<'a> {
    pub holds: &'a Holds,
    pub open: &'a [Incident],
    pub rulebook: &'a Rulebook,
    pub needs_token: bool,
    pub here: bool,
    pub shows: Shows,
}

pub fn banner(holds: &Holds, lens: Lens) -> Option<Banner> {
    let (_, hold) = holds.first()?;
    Some(Banner { by: hold.by.clone(), since: lens.moment(holds.since().unwrap_or(hold.at)), reason: hold.reason.clone() })
}

pub fn automation_view(seen: &Seen<'_>, lens: Lens) -> AutomationView {
    let waiting: Vec<WaitingView> = seen.open.iter().flat_map(waiting).collect();
    let more = waiting.len().saturating_sub(LISTED);
    AutomationView {
        held: !seen.holds.are_none(),
        shadow: seen.rulebook.automation == Automation::Shadow,
        holds: seen.holds.iter().map(|(hand, hold)| hold_view(hand, hold, lens)).collect(),
        by_person: seen.holds.by(Hand::Person).is_some(),
        waiting: waiting.into_iter().take(LISTED).collect(),
        more,
        needs_token: seen.shows == Shows::Nothing && seen.needs_token,
        needs_sign_in: seen.shows == Shows::SignIn,
        needs_password: seen.shows == Shows::Password,
        from_elsewhere: seen.shows == Shows::Nothing && !seen.here && !seen.needs_token,
    }
}

fn hold_view(hand: Hand, hold: &crate::domain::hold::Hold, lens: Lens) -> HoldView {
    let ends = match hand {
        Hand::Person => None,
        Hand::File => Some("It holds until the file is taken away."),
        Hand::Settings => Some("It holds until automation says otherwise in reynard.yaml."),
    };
    HoldView { by: hold.by.clone(), at: lens.moment(hold.at), reason: hold.reason.clone(), ends }
}

fn waiting(incident: &Incident) -> Vec<WaitingView> {
    let runs = incident.runs_in_order().into_iter().filter(|run| !run.status.is_over());
    let steps = runs.flat_map(|run| run.steps.iter().filter(|(_, state)| state.is_withheld()).map(move |(path, _)| (run, path)));
    let view = |(run, path): (&crate::domain::run::Run, &String)| WaitingView {
        number: incident.number,
        incident: title(incident),
        playbook: run.playbook.clone(),
        step: path.clone(),
    };
    steps.map(view).collect()
}
