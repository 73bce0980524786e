//! The `escalation:` section over the shipped policy: who is told, and when, until somebody acknowledges. Knows no clock.

use crate::config::diagnostic::Code;
use crate::config::names::{self, Names};
use crate::config::reader::{At, Name};
use crate::domain::directory::{ON_CALL, PRIMARY};
use crate::domain::escalation::{DEFAULT, Level, Plan, Policy};
use crate::domain::priority::Priority;
use crate::domain::time::Span;

/// `escalation:`, every policy in the file's order. What a policy does not say, `default` says, and the shipped one the rest.
pub fn read(at: Option<At<'_>>, names: &Names) -> Vec<Policy> {
    let Some(fields) = at.and_then(At::fields) else { return vec![shipped(names)] };
    let entries = fields.optional("policies").map(At::entries).unwrap_or_default();
    fields.finish();
    let (defaults, others): (Vec<_>, Vec<_>) = entries.into_iter().partition(|(key, _)| key.text() == DEFAULT);
    let default = defaults.into_iter().next().map_or_else(|| shipped(names), |(key, at)| policy(key, at, shipped(names), names));
    let mut policies: Vec<Policy> = others.into_iter().map(|(key, at)| policy(key, at, default.clone(), names)).collect();
    policies.push(default);
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
    Policy { name: DEFAULT.to_owned(), matchers: Vec::new(), plans: (1..).zip(plans).collect() }
}

/// Who is on call; where no schedule says so, everybody there is, so that an alert never pages nobody in silence.
fn first_told(names: &Names) -> Vec<String> {
    let everybody = if names.people.is_empty() { &names.channels } else { &names.people };
    if names.schedules.contains(PRIMARY) || everybody.is_empty() {
        return vec![ON_CALL.to_owned()];
    }
    everybody.iter().cloned().collect()
}

/// `base` says what the policy itself does not.
fn policy(key: Name<'_>, at: At<'_>, base: Policy, names: &Names) -> Policy {
    let mut policy = Policy { name: names::name(key).unwrap_or_default(), ..base };
    let Some(fields) = at.fields() else { return policy };
    let matchers = fields.optional("match");
    policy.matchers = matchers.map(At::one_or_many).unwrap_or_default().into_iter().filter_map(At::matcher).collect();
    match matchers {
        Some(at) if policy.name == DEFAULT => {
            let help = "give the others a match; whatever they do not match follows this one";
            at.error_help(Code::BadMatcher, format!("\"{DEFAULT}\" is for all that no other policy is for"), help);
        }
        None if policy.name != DEFAULT => {
            let help = "say which incidents it is for, for example match: ['team=\"payments\"']".to_owned();
            key.place().warning(
                Code::NeverUsed,
                format!("no incident follows the policy \"{}\": it has no match", policy.name),
                Some(help),
            );
        }
        _ => {}
    }
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
