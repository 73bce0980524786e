//! The `escalation:` section over the shipped policy: who is told, and when, until somebody acknowledges. Knows no clock.

use std::collections::BTreeMap;

use crate::config::diagnostic::Code;
use crate::config::names::{self, Names};
use crate::config::reader::At;
use crate::domain::directory::{ON_CALL, PRIMARY};
use crate::domain::escalation::{Level, Plan, Policy};
use crate::domain::priority::Priority;
use crate::domain::time::Span;

/// The policy that every incident follows unless told otherwise.
pub const DEFAULT: &str = "default";

/// `escalation:`; a policy says what it says, and the shipped one says the rest.
pub fn read(at: Option<At<'_>>, names: &Names) -> BTreeMap<String, Policy> {
    let mut policies = BTreeMap::from([(DEFAULT.to_owned(), shipped(names))]);
    let Some(fields) = at.and_then(At::fields) else { return policies };
    let entries = fields.optional("policies").map(At::entries).unwrap_or_default();
    fields.finish();
    for (key, at) in entries {
        let policy = policy(at, names);
        let Some(name) = names::name(key) else { continue };
        if name != DEFAULT {
            let help = format!("every incident follows \"{DEFAULT}\" for now");
            key.place().warning(Code::NotYetSupported, format!("the policy \"{name}\" is not used"), Some(help));
        }
        policies.insert(name, policy);
    }
    policies
}

/// P1 escalates at once, P2 after 2 h, P3 after 24 h, P4 after 48 h: to `lead` and `managers` where such names exist,
/// otherwise to whoever was told first once more.
pub fn shipped(names: &Names) -> Policy {
    let first = first_told(names);
    let named = |who: &str| if names.tells(who) { vec![who.to_owned()] } else { first.clone() };
    let level = |notify: &[String], after| Level { notify: notify.to_vec(), after };
    let second = named("lead");
    let plan = |respond_within, after| Plan { respond_within, levels: vec![level(&first, Span::ZERO), level(&second, after)], repeat: 3 };
    let mut p1 = plan(Span::minutes(15), Span::ZERO);
    p1.levels.dedup();
    p1.levels.push(level(&named("managers"), Span::minutes(15)));
    let plans = [p1, plan(Span::hours(1), Span::hours(2)), plan(Span::hours(4), Span::hours(24)), plan(Span::hours(24), Span::hours(48))];
    Policy { plans: (1..).zip(plans).collect() }
}

/// Who is on call; where no schedule says so, everybody there is, so that an alert never pages nobody in silence.
fn first_told(names: &Names) -> Vec<String> {
    let everybody = if names.people.is_empty() { &names.channels } else { &names.people };
    if names.schedules.contains(PRIMARY) || everybody.is_empty() {
        return vec![ON_CALL.to_owned()];
    }
    everybody.iter().cloned().collect()
}

fn policy(at: At<'_>, names: &Names) -> Policy {
    let mut policy = shipped(names);
    let Some(fields) = at.fields() else { return policy };
    for (word, priority) in [("P1", Priority::P1), ("P2", Priority::P2), ("P3", Priority::P3), ("P4", Priority::P4)] {
        if let Some(plan) = fields.optional(word).and_then(|at| plan(at, names)) {
            policy.plans.insert(priority.number(), plan);
        }
    }
    fields.finish();
    policy
}

fn plan(at: At<'_>, names: &Names) -> Option<Plan> {
    let fields = at.fields()?;
    let respond_within = fields.required("respond_within").and_then(At::span);
    let levels = fields.required("levels");
    let repeat = fields.optional("repeat").map_or(Some(1), |at| at.whole(1, 100));
    fields.finish();
    let items = levels?.list();
    if items.is_empty() {
        levels?.error(Code::BadValue, "a plan needs a level, or nobody is ever told");
    }
    let levels = items.into_iter().filter_map(|at| level(at, names)).collect();
    Some(Plan { respond_within: respond_within?, levels, repeat: repeat? })
}

fn level(at: At<'_>, names: &Names) -> Option<Level> {
    let fields = at.fields()?;
    let notify = fields.required("notify").map(At::one_or_many).unwrap_or_default();
    let after = fields.optional("after").map_or(Some(Span::ZERO), At::span);
    fields.finish();
    let notify: Vec<String> = notify.into_iter().filter_map(|at| names.recipient(at)).collect();
    if notify.is_empty() {
        at.error(Code::BadValue, "this level tells nobody");
    }
    Some(Level { notify, after: after? })
}
