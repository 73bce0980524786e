//! The schema of a file of playbook tests: what is given, what the targets answer, what is expected. Knows no playbook.

use serde_json::{Value, json};

use crate::config::schema::parts::{
    about, document, list, merged, object, one_or_many, priority, span, text, text_map, words, words_of_text,
};

/// What an editor needs to complete and explain a file of tests.
pub fn test() -> Value {
    let fields = [
        (
            "config",
            about(
                "Settings to test with: a path from this file, or the settings themselves; left out: those of the command line, or else the shipped ones.",
                json!({ "type": ["string", "object"] }),
            ),
        ),
        ("playbooks", about("Only these playbooks are there, by name; left out: all of the folder above.", list(words_of_text()))),
        ("tests", merged([about("One story each.", list(story())), json!({ "minItems": 1 })])),
    ];
    document(
        "Reynard playbook tests",
        "Stories that hold playbooks to what they should do, on a clock that is turned by hand.",
        object(&["tests"], fields),
    )
}

fn story() -> Value {
    let fields = [
        ("name", about("A sentence: what holds.", words_of_text())),
        (
            "at",
            json!({ "type": "string", "format": "date-time", "description": "When it begins; left out: a Tuesday at 03:12 in November." }),
        ),
        ("given", merged([about("What comes in and what people do, in the order of time.", list(given())), json!({ "minItems": 1 })])),
        (
            "answers",
            about(
                "What each step's target answers, by the step's id; the last one holds on. A step that is not named succeeds. `each.2` is one item of a list, `protect:undo` what takes a step back, `reset:check` what looks whether it happened.",
                text_map(answers()),
            ),
        ),
        ("for", merged([about("How long the clock runs.", span()), json!({ "default": "1h" })])),
        ("expect", expect()),
    ];
    object(&["name", "given", "expect"], fields)
}

fn given() -> Value {
    let acts: Vec<(&str, &str)> = ACTS.to_vec();
    let alert = object(
        &["labels"],
        [("labels", text_map(text())), ("annotations", text_map(text())), ("status", words(&[("firing", ""), ("resolved", "")]))],
    );
    let fields = [
        ("at", about("How long after the beginning.", span())),
        ("sample", about("An alert of `reynard fire`, by name.", words_of_text())),
        ("occurs", about("The playbook whose time comes, by its schedule.", words_of_text())),
        ("resolved", json!({ "type": "boolean", "description": "The sample says that it is over." })),
        ("body", about("What Alertmanager posts, or a path to a file of it from this file.", json!({ "type": ["object", "string"] }))),
        ("alerts", about("Alerts of one group, in short.", list(alert))),
        (
            "signals",
            about(
                "Numbers that Prometheus would answer from here on.",
                json!({ "type": "object", "additionalProperties": { "type": "number" } }),
            ),
        ),
        (
            "source",
            merged([about("Who sends it; alerts of two sources are never one incident.", words_of_text()), json!({ "default": "test" })]),
        ),
        ("by", about("Who does it.", words_of_text())),
        ("does", words(&acts)),
        (
            "step",
            about(
                "For `settle`, `retry`, `skip`, `undo`, `approve`, `reject`: the step's id, or `step.2` for one item of a list.",
                words_of_text(),
            ),
        ),
        ("outcome", words(&[("succeeded", "it took effect"), ("failed", "it did not")])),
        ("playbook", about("For `start`: the playbook's name.", words_of_text())),
        ("vars", json!({ "type": "object", "description": "For `start`: what the run is given." })),
        ("priority", priority()),
        ("until", about("For `snooze`: how long.", span())),
        ("to", about("For `assign`: to whom.", words_of_text())),
        ("note", about("Words of the person.", text())),
    ];
    let one = ["sample", "body", "alerts", "signals", "occurs", "does"].map(|name| json!({ "required": [name] }));
    merged([object(&[], fields), json!({ "oneOf": one })])
}

/// What people may do in a test.
pub const ACTS: [(&str, &str); 18] = [
    ("acknowledge", "somebody takes it"),
    ("unacknowledge", "and gives it back"),
    ("resolve", "it is over"),
    ("reopen", "it is not"),
    ("unresolve", "takes a resolve back: it is as it was before"),
    ("snooze", "not now; say `until`"),
    ("comment", "say `note`"),
    ("assign", "say `to`"),
    ("escalate", "the next level is told now"),
    ("set_priority", "say `priority`"),
    ("start", "a playbook; say `playbook`, and `vars` if it takes any"),
    ("cancel", "the run"),
    ("settle", "says what became of a step in doubt; say `step` and `outcome`"),
    ("retry", "has a step run again; say `step`"),
    ("skip", "lets a step be; say `step`"),
    ("undo", "takes a step back before its time; say `step`"),
    ("approve", "says yes to a step that asks; say `step`"),
    ("reject", "says no to it; say `step`"),
];

/// The words for an answer without more to say.
pub const ANSWERS: [(&str, &str); 8] = [
    ("succeeded", "it did it"),
    ("failed", "it did not, and will not"),
    ("retry", "it did not, and may do it later"),
    ("unknown", "nobody knows whether it did"),
    ("barred", "the settings do not admit it"),
    ("crash", "Reynard dies here and comes back"),
    ("approved", "for a step that asks: somebody says yes"),
    ("rejected", "for a step that asks: somebody says no"),
];

fn answers() -> Value {
    one_or_many(answer())
}

fn answer() -> Value {
    let full = object(
        &[],
        [
            ("output", about("It succeeds, and this is what later steps read.", json!({}))),
            ("failed", about("Why it did not, and will not.", text())),
            ("retry", about("Why it did not, and may do it later.", text())),
            ("unknown", about("Why nobody knows.", text())),
            ("barred", about("Why it was not tried.", text())),
            ("crash", json!({ "const": true, "description": "Reynard dies here and comes back." })),
            ("after", about("How long it takes.", span())),
        ],
    );
    let yes_or_no = ["approved", "rejected"].map(|word| {
        let said = json!({ "type": ["string", "boolean"], "description": "True, or what the person says with it." });
        let by = about("Who; left out: somebody who may.", words_of_text());
        object(&[word], [(word, said), ("by", by), ("after", about("How long after the step asked.", span()))])
    });
    let [approved, rejected] = yes_or_no;
    json!({ "anyOf": [words(&ANSWERS), full, approved, rejected] })
}

fn expect() -> Value {
    let entry = object(
        &["kind"],
        [
            ("kind", words_of_text()),
            ("step", about("The step's id.", words_of_text())),
            ("at", about("How long after the beginning, to the second.", span())),
            ("by", about("Who did it.", words_of_text())),
            ("says", about("Words of its sentence.", one_or_many(words_of_text()))),
        ],
    );
    let call = object(
        &[],
        [
            ("step", about("The step's id.", words_of_text())),
            ("action", words_of_text()),
            ("target", words_of_text()),
            ("undo", json!({ "type": "boolean", "description": "Whether it is the call that takes the step back." })),
            ("with", about("Parameters as they were filled in; those not named may be anything.", json!({ "type": "object" }))),
            ("times", json!({ "type": "integer", "minimum": 0, "description": "How often exactly; left out: at least once." })),
        ],
    );
    let fields = [
        ("timeline", about("Entries in this order; others may stand between them.", list(json!({ "anyOf": [words_of_text(), entry] })))),
        ("never", about("Entries that must not be there.", list(json!({ "anyOf": [words_of_text(), entry] })))),
        ("calls", about("Calls that must be made.", list(call.clone()))),
        ("no_calls", about("Calls that must not be made; `[{}]`: none at all.", list(call))),
        ("priority", priority()),
        ("status", words(&[("triggered", ""), ("acknowledged", ""), ("resolved", "")])),
        ("told", about("Who must have been told: `ana by email`, `chat`.", list(words_of_text()))),
    ];
    merged([object(&[], fields), json!({ "minProperties": 1 })])
}
