//! The schema of a playbook, from the catalogue of actions: each with its parameters, what they take and what they mean.
//! Knows no action but by its declaration.

use serde_json::{Value, json};

use crate::config::schema::parts::{
    about, condition, document, list, matchers, merged, named, object, one_or_many, or_hole, priority, rate, span, text, text_map, words,
    words_of_text,
};
use crate::config::schema::settings::live_or_shadow;
use crate::config::steps::{DEFAULT_ITEMS, MAX_ITEMS, MAX_STEPS, ON_INTERRUPT};
use crate::domain::action::{OnInterrupt, Param, ParamType, Performer, Spec, Specs, TargetKind};
use crate::domain::playbook::VarKind;

/// What an editor needs to complete and explain a playbook.
pub fn playbook(specs: &Specs) -> Value {
    let fields = [
        ("title", about("For people; the file's name if left out.", words_of_text())),
        ("on", trigger()),
        ("limits", limits()),
        ("vars", about("What a run may be given when it starts, by name.", named(var()))),
        ("timeout", about("How long a run may take in all.", span())),
        ("retry", retry("How often and how patiently a run that failed is tried anew, from the step that failed; once if left out.")),
        ("recovered", recovered()),
        ("automation", live_or_shadow()),
        ("autonomy", autonomy()),
        ("steps", about("What is done, one step after the other.", steps())),
    ];
    let mut whole = document("Reynard playbook", "What Reynard does about one kind of incident.", object(&["on", "steps"], fields));
    whole["$defs"]["step"] = step(specs);
    whole
}

fn trigger() -> Value {
    let fields = [
        ("type", about("The incident's type, or a list of them.", one_or_many(words_of_text()))),
        ("priority", about("The priorities it is for.", one_or_many(priority()))),
        ("manual", json!({ "const": true, "description": "Only a person starts it; stands alone." })),
        ("match", about("Every matcher must hold.", matchers())),
        (
            "schedule",
            json!({ "type": "string", "examples": ["0 3 * * SUN", "@daily"], "description": "It starts by the clock, in an incident of its own: a five-field cron line in civil time; stands alone." }),
        ),
        ("time_zone", json!({ "type": "string", "default": "UTC", "examples": ["Europe/Berlin"], "description": "Of the schedule." })),
    ];
    let alone = json!({ "time_zone": ["schedule"] });
    let trigger = merged([object(&[], fields), json!({ "dependentRequired": alone })]);
    about("Which incidents start it; every part that is there must hold. `{}`: only a person starts it.", trigger)
}

fn autonomy() -> Value {
    let whole = |doc: &str| json!({ "type": "integer", "minimum": 1, "maximum": 1_000, "description": doc });
    let fields = [
        ("ask_until", whole("It asks for a yes until so many runs in a row have been verified.")),
        ("back_after", merged([whole("So many failures, and it asks again."), json!({ "default": 1 })])),
    ];
    about("What it takes to act without asking; needs `recovered`.", object(&["ask_until"], fields))
}

fn recovered() -> Value {
    let fields = [
        ("alerts", json!({ "const": "resolved", "description": "All alerts of the incident have ended." })),
        ("query", about("PromQL, with holes; what it gives must not be empty, false or 0.", text())),
        ("target", about("The prometheus target that is asked.", words_of_text())),
        ("for", merged([about("So long without a break.", span()), json!({ "default": "1m" })])),
        ("within", merged([about("Else the run has failed, and the next level is told.", span()), json!({ "default": "10m" })])),
    ];
    let one = json!([{ "required": ["alerts"] }, { "required": ["query", "target"] }]);
    let how = merged([object(&[], fields), json!({ "oneOf": one })]);
    about("How a run knows that the trouble is over; it becomes the last step, `recovered`.", how)
}

fn limits() -> Value {
    let fields = [
        (
            "concurrency",
            json!({ "type": "integer", "minimum": 1, "maximum": 10_000, "description": "Runs of this playbook at once, over all incidents." }),
        ),
        ("per_target", about("Destructive attempts of this playbook on one target.", rate())),
        (
            "breaker",
            json!({ "type": "integer", "minimum": 1, "maximum": 100, "description": "Failures in a row after which it changes nothing more until a person arms it again; instead of `limits.breaker` of `reynard.yaml`." }),
        ),
    ];
    about("Brakes of this playbook, within those of `reynard.yaml`.", object(&[], fields))
}

fn steps() -> Value {
    let step = json!({ "$ref": "#/$defs/step" });
    let branch = json!({ "anyOf": [step, list(step.clone())] });
    let branches = json!({ "type": "array", "items": branch, "minItems": 2, "description": "Branches done side by side: each a step or a list of steps." });
    // By the one field that tells them apart, so that an editor speaks of the step that is meant.
    let one = json!({ "if": { "required": ["parallel"] }, "then": object(&["parallel"], [("parallel", branches)]), "else": step });
    merged([list(one), json!({ "minItems": 1, "maxItems": MAX_STEPS })])
}

fn var() -> Value {
    let meanings: Vec<(&str, &str)> = VarKind::ALL.iter().map(|(word, kind)| (*word, kind.word())).collect();
    let fields = [
        ("type", about("What it must be.", words(&meanings))),
        ("default", json!({ "description": "What it is if nobody says; a playbook that starts by itself needs one for each var." })),
    ];
    let by_type: Vec<Value> = VarKind::ALL.iter().map(|(word, kind)| default_for(word, *kind)).collect();
    merged([object(&["type"], fields), json!({ "allOf": by_type })])
}

fn default_for(word: &str, kind: VarKind) -> Value {
    let value = match kind {
        VarKind::Text => text(),
        VarKind::Number => json!({ "type": "number" }),
        VarKind::Bool => json!({ "type": "boolean" }),
        VarKind::Duration => span(),
        VarKind::Texts => list(text()),
    };
    json!({ "if": { "properties": { "type": { "const": word } } }, "then": { "properties": { "default": value } } })
}

fn approval() -> Value {
    let fields = [
        (
            "by",
            about(
                "People, schedules, roles, `on-call`, or `operator`: those of that role, or anybody where nobody has it.",
                one_or_many(words_of_text()),
            ),
        ),
        (
            "of",
            json!({ "type": "integer", "minimum": 1, "maximum": 10, "default": 1, "description": "How many must say yes, each of them another person." }),
        ),
        ("expires", merged([about("How long the question stands.", span()), json!({ "default": "30m" })])),
        (
            "otherwise",
            merged([
                about(
                    "What follows when nobody answers.",
                    words(&[("fail", "the step fails"), ("skip", "it is skipped"), ("continue", "it is done all the same")]),
                ),
                json!({ "default": "fail" }),
            ]),
        ),
    ];
    about("Whose yes the step needs.", object(&["by"], fields))
}

/// Every field that a step may have, and what its action makes of them.
fn step(specs: &Specs) -> Value {
    let fields = [
        ("id", json!({ "type": "string", "pattern": "^[a-z][a-z0-9_-]{0,63}$", "description": "How later steps name it: `steps.ID`." })),
        ("title", about("For people; made from the id if left out.", words_of_text())),
        ("when", about("Not so means skipped, and the timeline says why.", condition())),
        ("wait", about("Lets time pass instead of doing something.", or_hole(span()))),
        ("action", action(specs)),
        ("target", about("A name under `targets:` in reynard.yaml.", words_of_text())),
        ("with", json!({ "type": "object", "description": "The action's parameters." })),
        ("timeout", merged([about("For one attempt.", span()), json!({ "default": "1m" })])),
        ("retry", retry("How often and how patiently a step that did not happen is tried again; one attempt if left out.")),
        ("on_failure", on_failure()),
        ("on_interrupt", on_interrupt()),
        ("check", check(specs)),
        ("undo", undo()),
        ("approval", approval()),
        ("for_each", about("A list; the step is done once for each item.", condition())),
        (
            "as",
            json!({ "type": "string", "pattern": "^[a-z][a-z0-9_]{0,63}$", "default": "item", "description": "What expressions call the item." }),
        ),
        ("max", of_items(DEFAULT_ITEMS, "Items beyond are left out, which the timeline says.")),
        ("at_once", of_items(1, "Items under way at once.")),
    ];
    let by_action: Vec<Value> = specs.iter().map(|spec| meant_by(spec, true)).collect();
    let alone = json!({ "required": ["approval"], "properties": barred(&["action", "wait"]) });
    let kinds = json!([{ "required": ["action"] }, { "required": ["wait"] }, alone]);
    // What only an action has a meaning for.
    let rest = json!({ "if": { "not": { "required": ["action"] } }, "then": { "properties": barred(&["target", "with", "timeout", "on_interrupt", "check", "undo"]) } });
    let by_action: Vec<Value> = by_action.into_iter().chain([rest]).collect();
    let of_a_list = json!({ "as": ["for_each"], "max": ["for_each"], "at_once": ["for_each"] });
    merged([object(&["id"], fields), json!({ "oneOf": kinds, "allOf": by_action, "dependentRequired": of_a_list })])
}

fn of_items(default: u32, doc: &str) -> Value {
    json!({ "type": "integer", "minimum": 1, "maximum": MAX_ITEMS, "default": default, "description": doc })
}

fn barred(names: &[&str]) -> Value {
    names.iter().map(|name| ((*name).to_owned(), json!(false))).collect::<serde_json::Map<_, _>>().into()
}

fn action(specs: &Specs) -> Value {
    let known: Vec<(&str, String)> = specs.iter().map(|spec| (spec.name, meaning(spec))).collect();
    let known: Vec<(&str, &str)> = known.iter().map(|(name, meaning)| (*name, meaning.as_str())).collect();
    about("What is done.", words(&known))
}

/// What an action does, and what people should know before they let it.
fn meaning(spec: &Spec) -> String {
    let mut meaning = spec.doc.to_owned();
    if spec.destructive {
        meaning.push_str(" Destructive.");
    }
    if spec.undoable {
        meaning.push_str(" Can be undone.");
    }
    if spec.performer == Performer::Worker && spec.on_interrupt != OnInterrupt::Retry {
        let word = ON_INTERRUPT.iter().find(|(_, kind)| *kind == spec.on_interrupt).map_or("", |(word, _)| word);
        meaning.push_str(&format!(" Cut off in the middle: `{word}`."));
    }
    if !spec.output.is_empty() {
        let fields: Vec<&str> = spec.output.iter().map(|field| field.name).collect();
        meaning.push_str(&format!(" Output: {}.", fields.join(", ")));
    }
    meaning
}

/// What else holds where this action stands.
fn meant_by(spec: &Spec, in_step: bool) -> Value {
    let mut then = vec![("with", with(spec))];
    let mut required: Vec<&str> = spec.params.iter().any(|param| param.required).then_some("with").into_iter().collect();
    let own_address = spec.params.iter().any(|param| param.name == "url");
    if spec.targets.is_empty() {
        then.push(("target", json!(false)));
    } else {
        let kinds: Vec<String> = spec.targets.iter().map(TargetKind::to_string).collect();
        then.push(("target", about(&format!("The {} target it acts on.", kinds.join(" or ")), text())));
        if !own_address {
            required.push("target");
        }
    }
    if in_step && !spec.undoable {
        then.push(("undo", json!({ "const": "never" })));
    }
    let fields: serde_json::Map<String, Value> = then.into_iter().map(|(name, schema)| (name.to_owned(), schema)).collect();
    let mut then = json!({ "properties": fields });
    if !required.is_empty() {
        then["required"] = json!(required);
    }
    json!({ "if": { "properties": { "action": { "const": spec.name } }, "required": ["action"] }, "then": then })
}

fn with(spec: &Spec) -> Value {
    let required: Vec<&str> = spec.params.iter().filter(|param| param.required).map(|param| param.name).collect();
    about(spec.doc, object(&required, spec.params.iter().map(|param| (param.name, parameter(param)))))
}

fn parameter(param: &Param) -> Value {
    let value = match param.kind {
        ParamType::Text if !param.choices.is_empty() => or_hole(json!({ "type": "string", "enum": param.choices })),
        ParamType::Text => text(),
        ParamType::Number => or_hole(json!({ "type": "number" })),
        ParamType::Bool => or_hole(json!({ "type": "boolean" })),
        ParamType::Span => or_hole(span()),
        ParamType::Texts => one_or_many(text()),
        ParamType::TextMap => or_hole(text_map(text())),
        ParamType::Json => json!({}),
    };
    let default = param.default.map_or_else(|| json!({}), |default| json!({ "default": default_of(param.kind, default) }));
    merged([about(param.doc, value), default])
}

fn default_of(kind: ParamType, written: &str) -> Value {
    match kind {
        ParamType::Bool | ParamType::Number | ParamType::Json => serde_json::from_str(written).unwrap_or_else(|_| written.into()),
        _ => written.into(),
    }
}

fn retry(doc: &str) -> Value {
    let fields = [
        ("attempts", json!({ "type": "integer", "minimum": 1, "maximum": 100, "description": "All tries, the first included." })),
        ("backoff", merged([about("The first pause; it doubles, with jitter.", span()), json!({ "default": "5s" })])),
        ("max_backoff", merged([about("The longest pause.", span()), json!({ "default": "5m" })])),
    ];
    about(doc, object(&["attempts"], fields))
}

fn on_failure() -> Value {
    let kinds = words(&[
        ("stop", "the run fails and level 1 is told"),
        ("continue", "the next step begins"),
        ("escalate", "the run fails and the next level is told"),
    ]);
    merged([about("What a step that has failed for good does to the run.", kinds), json!({ "default": "stop" })])
}

fn on_interrupt() -> Value {
    let meaning = |word: &str| match word {
        "retry" => "do it again",
        "check" => "run the step's `check:` and believe it",
        "ask" => "ask a person; until then it is in doubt and never sent again by itself",
        _ => "the step has failed",
    };
    let kinds: Vec<(&str, &str)> = ON_INTERRUPT.iter().map(|(word, _)| (*word, meaning(word))).collect();
    about("What an attempt means of which nobody knows whether it took effect; only as strict as the action or stricter.", words(&kinds))
}

fn check(specs: &Specs) -> Value {
    let looks: Vec<&Spec> = specs
        .iter()
        .filter(|spec| !spec.destructive && spec.performer == Performer::Worker && spec.on_interrupt == OnInterrupt::Retry)
        .collect();
    let known: Vec<(&str, &str)> = looks.iter().map(|spec| (spec.name, spec.doc)).collect();
    let fields = [
        ("action", about("An action that only looks.", words(&known))),
        ("target", about("A name under `targets:` in reynard.yaml.", words_of_text())),
        ("with", json!({ "type": "object", "description": "The action's parameters." })),
    ];
    let by_action: Vec<Value> = looks.into_iter().map(|spec| meant_by(spec, false)).collect();
    let check = merged([object(&["action"], fields), json!({ "allOf": by_action })]);
    about("For `on_interrupt: check`: tells whether the step took effect.", check)
}

fn undo() -> Value {
    let kinds =
        [("never", "it stays"), ("on_failure", "when the run fails or is cancelled"), ("on_resolve", "when the incident is resolved")];
    let after = json!({ "type": "string", "pattern": "^after [0-9]", "examples": ["after 30m"] });
    let undo = json!({ "anyOf": [words(&kinds), after], "default": "never" });
    about("When it is taken back: `never`, `on_failure`, `on_resolve` or `after 30m`.", undo)
}
