//! The `steps:` of a playbook, each checked against its action's declaration. Knows no run.
//! One thing in one file: a step's fields decide over each other, and whichever is wrong must be told in one place.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::json;

use crate::config::diagnostic::Code;
use crate::config::names::{self, NAME_HELP, Names};
use crate::config::outputs::{self, Outputs};
use crate::config::reader::{At, Fields};
use crate::config::scope::{self, Own, StepScope};
use crate::config::suggest;
use crate::config::with;
use crate::config::yaml::{Node, Value};
use crate::domain::action::{OnInterrupt, Performer, Spec, Specs, TargetKind};
use crate::domain::expression::schema::Type;
use crate::domain::expression::template::ValueTemplate;
use crate::domain::playbook::{Approval, Check, Each, Lane, OnFailure, Otherwise, Retry, Step, Undo, Var};
use crate::domain::settings::Target;
use crate::domain::time::Span;

/// What steps may refer to.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    pub specs: &'a Specs,
    pub names: &'a Names,
    pub targets: &'a BTreeMap<String, Target>,
    /// What each step's output is, by the step's id; `read` fills it in.
    pub outputs: &'a Outputs,
}

/// What the steps of one playbook share.
#[derive(Clone, Copy, Debug)]
struct Around<'a> {
    context: Context<'a>,
    vars: &'a BTreeMap<String, Var>,
    slug: &'a str,
}

/// A step in its place: which branch it stands in, and the steps that have ended by the time it begins.
struct Placed<'a> {
    at: At<'a>,
    lane: Option<Lane>,
    earlier: Vec<&'a str>,
}

/// Every answer to being cut off, and its word.
pub const ON_INTERRUPT: [(&str, OnInterrupt); 4] =
    [("retry", OnInterrupt::Retry), ("check", OnInterrupt::Check), ("ask", OnInterrupt::Ask), ("fail", OnInterrupt::Fail)];
/// More than anybody oversees; it also bounds the work of checking what each step may read.
pub const MAX_STEPS: usize = 200;
const DEFAULT_TIMEOUT: Span = Span::minutes(1);
const OTHERWISE: [(&str, Otherwise); 3] = [("fail", Otherwise::Fail), ("skip", Otherwise::Skip), ("continue", Otherwise::Continue)];
const DEFAULT_EXPIRY: Span = Span::minutes(30);
pub const DEFAULT_ITEMS: u32 = 20;
pub const MAX_ITEMS: u32 = 100;

/// Every step that is whole, in the file's order.
pub fn read(at: At<'_>, context: Context<'_>, vars: &BTreeMap<String, Var>, slug: &str) -> Vec<Arc<Step>> {
    let items = at.list();
    if items.is_empty() && matches!(at.node.value, Value::List(_)) {
        at.error(Code::BadValue, "a playbook needs a step");
    }
    let placed = placed(items);
    if placed.len() > MAX_STEPS {
        at.error(Code::BadValue, format!("a playbook has at most {MAX_STEPS} steps, this one has {}", placed.len()));
        return Vec::new();
    }
    let all: Vec<&str> = placed.iter().filter_map(|step| id_of(step.at.node)).collect();
    let outputs = outputs::of_steps(at.node, context.specs);
    let context = Context { outputs: &outputs, ..context };
    let around = Around { context, vars, slug };
    let step = |(index, placed): (usize, &Placed<'_>)| {
        let before: Vec<&str> = all.iter().copied().take(index).collect();
        one(placed, &before, &all, around).map(Arc::new)
    };
    placed.iter().enumerate().filter_map(step).collect()
}

/// The steps one after the other, those of a `parallel` with their branch.
fn placed<'a>(items: Vec<At<'a>>) -> Vec<Placed<'a>> {
    let (mut placed, mut ended): (Vec<Placed<'a>>, Vec<&'a str>) = (Vec::new(), Vec::new());
    for (item, group) in items.into_iter().zip(0..) {
        let branches = parallel(item);
        if branches.is_empty() {
            placed.push(Placed { at: item, lane: None, earlier: ended.clone() });
            ended.extend(id_of(item.node));
            continue;
        }
        let mut after = ended.clone();
        for (branch, lane) in branches.into_iter().zip(0..) {
            let mut earlier = ended.clone();
            for at in branch {
                placed.push(Placed { at, lane: Some(Lane { group, branch: lane }), earlier: earlier.clone() });
                earlier.extend(id_of(at.node));
                after.extend(id_of(at.node));
            }
        }
        ended = after;
    }
    placed
}

/// The branches of a `parallel`: each a step, or a list of steps one after the other. None when it is a step itself.
fn parallel(item: At<'_>) -> Vec<Vec<At<'_>>> {
    if !is_parallel(item) {
        return Vec::new();
    }
    let Some(fields) = item.fields() else { return Vec::new() };
    let branches: Vec<Vec<At<'_>>> =
        fields.optional("parallel").map(At::list).unwrap_or_default().into_iter().map(At::one_or_many).collect();
    if branches.len() < 2 {
        fields.place_of("parallel").error(Code::BadValue, "a parallel has two branches or more", None);
    }
    fields.finish();
    let alone = |at: &At<'_>| {
        let nested = is_parallel(*at);
        if nested {
            at.error(Code::BadValue, "a parallel stands by itself, not in another one");
        }
        !nested
    };
    branches.into_iter().map(|branch| branch.into_iter().filter(alone).collect()).collect()
}

fn is_parallel(at: At<'_>) -> bool {
    matches!(&at.node.value, Value::Map(entries) if entries.iter().any(|(key, _)| key.text == "parallel"))
}

fn id_of(node: &Node) -> Option<&str> {
    let Value::Map(entries) = &node.value else { return None };
    let (_, id) = entries.iter().find(|(key, _)| key.text == "id")?;
    if let Value::Text(text) = &id.value { Some(text) } else { None }
}

fn one(placed: &Placed<'_>, before: &[&str], all: &[&str], around: Around<'_>) -> Option<Step> {
    let Around { context, vars, .. } = around;
    let fields = placed.at.fields()?;
    let id = fields.required("id").and_then(|at| id(at, before));
    let title = fields.optional("title").and_then(At::words).map(str::to_owned);
    let target = fields.optional("target");
    let known = target.map(|at| at.raw_text().and_then(|name| context.targets.get(name)));
    let extra: Option<Vec<&str>> =
        known.map(|target| target.map(|target| target.extra.keys().map(String::as_str).collect()).unwrap_or_default());
    let own = Own { vars, outputs: context.outputs, target: extra.as_deref() };
    let mut scope = scope::step(&placed.earlier, all, own);
    let each = each(&fields, &scope);
    if let Some(Some((each, kind))) = &each {
        scope.adds_item(&each.name, kind);
    }
    let condition = fields.optional("when").map(|at| scope::step_expression(at, &scope));
    let on_failure = fields.optional("on_failure").and_then(on_failure).unwrap_or_default();
    let retry = fields.optional("retry").map_or(Some(Retry::default()), self::retry);
    let asked = fields.optional("approval").map(|at| approval(at, context.names));
    let deed = deed(&fields, &scope, around, asked.is_some());
    fields.finish();
    let (id, deed) = (id?, deed?);
    let broken = [condition.as_ref().map(Option::is_none), each.as_ref().map(Option::is_none), asked.as_ref().map(Option::is_none)];
    if broken.contains(&Some(true)) {
        return None;
    }
    Some(Step {
        title: title.unwrap_or_else(|| title_of(&id)),
        id,
        lane: placed.lane,
        each: each.flatten().map(|(each, _)| each),
        item_name: None,
        approval: asked.flatten(),
        when: condition.flatten(),
        action: deed.action,
        target: deed.target,
        with: deed.with,
        timeout: deed.timeout,
        retry: retry?,
        on_failure,
        on_interrupt: deed.on_interrupt,
        undo: deed.undo,
        check: deed.check,
        destructive: deed.destructive,
    })
}

/// The part of a step that its action decides on.
struct Deed {
    action: String,
    target: Option<String>,
    with: ValueTemplate,
    timeout: Span,
    on_interrupt: OnInterrupt,
    undo: Undo,
    check: Option<Arc<Check>>,
    destructive: bool,
}

/// The items a step is done for, and their type. `Some(None)`: a fault was said.
fn each(fields: &Fields<'_>, scope: &StepScope) -> Option<Option<(Each, Type)>> {
    let (name, max, at_once) = (fields.optional("as"), fields.optional("max"), fields.optional("at_once"));
    let Some(list) = fields.optional("for_each") else {
        for word in ["as", "max", "at_once"].into_iter().zip([name, max, at_once]).filter_map(|(word, at)| at.map(|_| word)) {
            fields.place_of(word).error(Code::UnknownField, format!("\"{word}\" goes with a for_each"), None);
        }
        return None;
    };
    let name = match name {
        Some(at) => at.words().filter(|name| item_name(at, name, scope)).map(str::to_owned),
        None => Some("item".to_owned()),
    };
    let max = max.map_or(Some(DEFAULT_ITEMS), |at| at.whole(1, MAX_ITEMS));
    let at_once = at_once.map_or(Some(1), |at| at.whole(1, MAX_ITEMS));
    let found = scope::step_list(list, scope);
    Some((|| {
        let ((list, kind), name, max, at_once) = (found?, name?, max?, at_once?);
        Some((Each { list, name, max, at_once }, kind))
    })())
}

fn item_name(at: At<'_>, name: &str, scope: &StepScope) -> bool {
    let plain = names::is_name(name) && !name.contains('-');
    if !plain {
        at.error_help(Code::BadName, format!("\"{name}\" cannot be an item's name"), "small letters, digits and _, first a letter");
    } else if scope.all.names.contains_key(name) {
        at.error_help(Code::DuplicateName, format!("\"{name}\" already means something in expressions"), "call the item otherwise");
        return false;
    }
    plain
}

fn approval(at: At<'_>, names: &Names) -> Option<Approval> {
    let fields = at.fields()?;
    let by = fields.required("by").map(|at| approvers(at, names));
    let of = fields.optional("of").map_or(Some(1), |at| quorum(at, by.as_deref(), names));
    let expires = fields.optional("expires").map_or(Some(DEFAULT_EXPIRY), At::span);
    let otherwise = fields.optional("otherwise").map_or(Some(Otherwise::Fail), |at| at.one_of(&OTHERWISE));
    fields.finish();
    Some(Approval { by: by?, of: of?, expires: expires?, otherwise: otherwise? })
}

fn approvers(at: At<'_>, names: &Names) -> Vec<String> {
    let named = at.one_or_many();
    if named.is_empty() {
        at.error_help(Code::BadValue, "nobody may say yes", "name people, a schedule or a role, or operator for anybody");
    }
    named.into_iter().filter_map(|at| names.approver(at)).collect()
}

/// How many must say yes; more than there are would never be enough.
fn quorum(at: At<'_>, by: Option<&[String]>, names: &Names) -> Option<u32> {
    let of = at.whole(1, 20)?;
    if let Some(people) = by.filter(|by| by.iter().all(|name| names.people.contains(name)))
        && people.len() < of as usize
    {
        at.error_help(Code::BadValue, format!("{of} must say yes, and only {} may", people.len()), "name more people, or a role");
        return None;
    }
    Some(of)
}

fn deed(fields: &Fields<'_>, scope: &StepScope, around: Around<'_>, asks: bool) -> Option<Deed> {
    match (fields.optional("wait"), fields.optional("action")) {
        (Some(wait), None) => pause(wait, fields, scope),
        (None, Some(action)) => acted(action, fields, scope, around),
        (Some(_), Some(_)) => {
            fields.place_of("wait").error(Code::UnknownField, "a step either waits or acts", Some("make it two steps".to_owned()));
            forget_rest(fields)
        }
        (None, None) if asks => Some(Deed::of_core("approval", values(None, scope)?)),
        (None, None) => {
            fields.miss("action", Some("a step has an action:, a wait: or an approval:".to_owned()));
            forget_rest(fields)
        }
    }
}

/// Fields whose meaning hangs on the action are not unknown only because the action is.
fn forget_rest(fields: &Fields<'_>) -> Option<Deed> {
    for name in ["with", "timeout", "on_interrupt", "undo", "check"] {
        fields.optional(name);
    }
    None
}

fn pause(wait: At<'_>, fields: &Fields<'_>, scope: &StepScope) -> Option<Deed> {
    if fields.optional("target").is_some() {
        fields.place_of("target").error(Code::WrongTarget, "a wait takes no target", None);
    }
    let has_hole = matches!(&wait.node.value, Value::Text(text) if text.contains("{{"));
    let length = if has_hole { wait.node.to_json() } else { json!(format!("{}ms", wait.span()?.as_millis())) };
    let with = scope::step_values(wait, &json!({ "for": length }), scope)?;
    Some(Deed::of_core("wait", with))
}

impl Deed {
    /// Done by the core in the commit that starts it.
    fn of_core(action: &str, with: ValueTemplate) -> Self {
        Self {
            action: action.to_owned(),
            target: None,
            with,
            timeout: DEFAULT_TIMEOUT,
            on_interrupt: OnInterrupt::Retry,
            undo: Undo::Never,
            check: None,
            destructive: false,
        }
    }
}

fn acted(action: At<'_>, fields: &Fields<'_>, scope: &StepScope, around: Around<'_>) -> Option<Deed> {
    let context = around.context;
    let Some(spec) = spec(action, context) else { return forget_rest(fields) };
    let target = target(fields, spec, context);
    let given = fields.optional("with");
    with::check(given, fields, spec, context.names);
    if spec.name == "playbook.run" {
        other_playbook(given, around);
    }
    let with = values(given, scope);
    let timeout = timeout(fields, given, spec);
    let (on_interrupt, check) = on_interrupt(fields, spec, scope, context);
    let undo = fields.optional("undo").and_then(|at| undo(at, spec)).unwrap_or_default();
    let destructive = spec.destructive;
    Some(Deed { action: spec.name.to_owned(), target: target?, with: with?, timeout: timeout?, on_interrupt, undo, check, destructive })
}

/// Which playbook a step starts is known before anything runs.
fn other_playbook(with: Option<At<'_>>, around: Around<'_>) {
    let entries = with.map(At::entries).unwrap_or_default();
    let Some((_, at)) = entries.into_iter().find(|(key, _)| key.text() == "playbook") else { return };
    match at.raw_text() {
        Some(text) if text.contains("{{") => at.error(Code::BadValue, "which playbook is started must be written out"),
        Some(text) if text == around.slug => at.error(Code::BadValue, "a playbook cannot start itself"),
        Some(_) => drop(around.context.names.known(at, "playbook", &around.context.names.playbooks)),
        None => {}
    }
}

fn id(at: At<'_>, earlier: &[&str]) -> Option<String> {
    let text = at.words()?;
    if !names::is_name(text) {
        at.error_help(Code::BadName, format!("\"{text}\" cannot be an id"), NAME_HELP);
        return None;
    }
    if earlier.contains(&text) {
        at.error(Code::DuplicateName, format!("there are two steps \"{text}\""));
    }
    Some(text.to_owned())
}

fn title_of(id: &str) -> String {
    let mut letters = id.chars().map(|letter| if letter == '_' || letter == '-' { ' ' } else { letter });
    letters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(letters).collect()
}

fn spec<'a>(at: At<'_>, context: Context<'a>) -> Option<&'a Spec> {
    let name = at.words()?;
    let found = context.specs.get(name);
    if found.is_none() {
        let known = context.specs.iter().map(|spec| spec.name).collect::<Vec<_>>();
        let same_family = known.iter().copied().filter(|known| known.split('.').next() == name.split('.').next());
        let help = suggest::nearest(name, &known)
            .map_or_else(|| suggest::hint(name, same_family), |near| Some(format!("did you mean \"{near}\"?")));
        at.place().error(Code::UnknownAction, format!("there is no action \"{name}\""), help);
    }
    found
}

/// None: a fault was said. `Some(None)`: the step needs no target.
fn target(fields: &Fields<'_>, spec: &Spec, context: Context<'_>) -> Option<Option<String>> {
    let kinds = spec.targets.iter().map(TargetKind::to_string).collect::<Vec<_>>().join(" or ");
    let Some(at) = fields.optional("target") else {
        // An action that takes an address of its own does without a target; the egress list guards it.
        let own_address = spec.params.iter().any(|param| param.name == "url");
        if !spec.targets.is_empty() && !own_address {
            let help = format!("name a {kinds} target of reynard.yaml");
            fields.place_of("action").error(Code::WrongTarget, format!("{} needs a target", spec.name), Some(help));
            return None;
        }
        return Some(None);
    };
    if spec.targets.is_empty() {
        fields.place_of("target").error(Code::WrongTarget, format!("{} takes no target", spec.name), None);
        return None;
    }
    let name = context.names.known(at, "target", context.names.targets.keys())?;
    if let Some(Some(kind)) = context.names.targets.get(&name)
        && !takes(spec, *kind)
    {
        at.error(Code::WrongTarget, format!("\"{name}\" is a {kind} target, {} takes {kinds}", spec.name));
        return None;
    }
    Some(Some(name))
}

/// A ticket system may also be declared as plain `http`.
fn takes(spec: &Spec, kind: TargetKind) -> bool {
    spec.targets.contains(&kind) || (kind == TargetKind::Http && spec.targets.contains(&TargetKind::Tickets))
}

fn values(given: Option<At<'_>>, scope: &StepScope) -> Option<ValueTemplate> {
    match given {
        Some(at) => scope::step_values(at, &at.node.to_json(), scope),
        None => ValueTemplate::parse(&json!({}), &scope.earlier).ok(),
    }
}

/// A step that waits by its own parameters (`within:`) has that long and a minute more.
fn timeout(fields: &Fields<'_>, with: Option<At<'_>>, spec: &Spec) -> Option<Span> {
    let own = with::own_wait(with, spec);
    let Some(at) = fields.optional("timeout") else {
        return Some(own.map_or(DEFAULT_TIMEOUT, |own| Span(own.0.saturating_add(DEFAULT_TIMEOUT.0))));
    };
    let timeout = at.span()?;
    if timeout == Span::ZERO {
        at.error(Code::BadValue, "a step needs some time");
    } else if own.is_some_and(|own| timeout < own) {
        let help = "leave the timeout out, or make it longer".to_owned();
        at.place().warning(Code::TimeoutTooShort, "the step is cut off before its own \"within\" is over", Some(help));
    }
    Some(timeout)
}

/// How often something is tried.
pub fn retry(at: At<'_>) -> Option<Retry> {
    let fields = at.fields()?;
    let default = Retry::default();
    let attempts = fields.required("attempts").and_then(|at| at.whole(1, 100));
    let backoff = fields.optional("backoff").map_or(Some(default.backoff), At::span);
    let longest = fields.optional("max_backoff").map(At::span);
    fields.finish();
    let (attempts, backoff) = (attempts?, backoff?);
    let max_backoff = longest.unwrap_or(Some(default.max_backoff.max(backoff)))?;
    if max_backoff < backoff {
        at.error(Code::BadValue, "max_backoff is shorter than backoff");
    }
    Some(Retry { attempts, backoff, max_backoff })
}

fn on_failure(at: At<'_>) -> Option<OnFailure> {
    at.one_of(&[("stop", OnFailure::Stop), ("continue", OnFailure::Continue), ("escalate", OnFailure::Escalate)])
}

fn on_interrupt(fields: &Fields<'_>, spec: &Spec, scope: &StepScope, context: Context<'_>) -> (OnInterrupt, Option<Arc<Check>>) {
    let asked = fields.optional("on_interrupt").and_then(|at| Some((at, at.one_of(&ON_INTERRUPT)?)));
    let check_at = fields.optional("check");
    let check = check_at.and_then(|at| self::check(at, scope, context)).map(Arc::new);
    let wanted = match asked {
        Some((at, wanted)) if !wanted.is_as_strict_as(spec.on_interrupt) => {
            let word = ON_INTERRUPT.iter().find(|(_, kind)| *kind == spec.on_interrupt).map_or("", |(word, _)| word);
            let message = format!("{} is \"{word}\" by itself; a playbook may only be stricter", spec.name);
            at.error_help(Code::WeakerOnInterrupt, message, "it may be check, ask or fail, which do nothing again without knowing");
            spec.on_interrupt
        }
        Some((_, wanted)) => wanted,
        // Without a check there is nothing to believe, so a person is asked.
        None if spec.on_interrupt == OnInterrupt::Check && check_at.is_none() => OnInterrupt::Ask,
        None => spec.on_interrupt,
    };
    match (wanted, check_at) {
        (OnInterrupt::Check, None) => {
            let help = "give the step a check: { action, target, with } that tells whether it took effect".to_owned();
            fields.place_of("on_interrupt").error(Code::BadCheck, "on_interrupt: check needs a check", Some(help));
        }
        (OnInterrupt::Check, Some(_)) | (_, None) => {}
        (_, Some(_)) => {
            let help = "say on_interrupt: check, or leave the check out".to_owned();
            fields.place_of("check").warning(Code::BadCheck, "this check is never run", Some(help));
        }
    }
    (wanted, check)
}

fn check(at: At<'_>, scope: &StepScope, context: Context<'_>) -> Option<Check> {
    let fields = at.fields()?;
    let action = fields.required("action");
    let spec = action.and_then(|at| spec(at, context));
    let target = spec.and_then(|spec| self::target(&fields, spec, context));
    fields.optional("target");
    let given = fields.optional("with");
    if let Some(spec) = spec {
        with::check(given, &fields, spec, context.names);
    }
    let with = values(given, scope);
    fields.finish();
    let spec = spec?;
    if spec.destructive || spec.performer == Performer::Core || spec.on_interrupt != OnInterrupt::Retry {
        action?.error_help(Code::BadCheck, format!("{} does more than look", spec.name), "a check only reads");
    }
    Some(Check { action: spec.name.to_owned(), target: target?, with: with? })
}

fn undo(at: At<'_>, spec: &Spec) -> Option<Undo> {
    let text = at.words()?;
    let undo = match text.strip_prefix("after ") {
        Some(span) => {
            let span = span.parse().map_err(|error: crate::domain::time::SpanError| at.error(Code::BadValue, error.to_string())).ok()?;
            Undo::After(at.bounded(span)?)
        }
        None => match text {
            "never" => Undo::Never,
            "on_failure" => Undo::OnFailure,
            "on_resolve" => Undo::OnResolve,
            _ => {
                let help = suggest::nearest(text, &["never", "on_failure", "on_resolve"]).map(|near| format!("did you mean \"{near}\"?"));
                at.place().error(Code::BadValue, format!("\"{text}\" is not one of never, on_failure, on_resolve, after 30m"), help);
                return None;
            }
        },
    };
    if undo != Undo::Never && !spec.undoable {
        at.error(Code::NotUndoable, format!("{} cannot be taken back", spec.name));
        return None;
    }
    Some(undo)
}
