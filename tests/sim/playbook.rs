//! A playbook drawn by chance, of every shape that a step, a block, a list and a brake of its own can have. A text that the real loader
//! reads and checks; knows nothing of the house that it stands in but its names.

use crate::seed::Chance;

const TYPES: [&str; 3] = ["service_down", "high_error_rate", "database_connection_failure"];
const DATABASES: [&str; 2] = ["orders-db", "users-db"];
const ADMINS: [&str; 3] = ["orders-admin", "orders-api", "users-admin"];

pub fn draw(chance: &Chance) -> String {
    let on = if chance.one_in(3) { (*chance.pick(&TYPES)).to_owned() } else { format!("[{}]", TYPES.join(", ")) };
    let mut text = format!("title: Drawn\non: {{ type: {on} }}\n");
    text += limits(chance);
    text += &of_trust(chance);
    if chance.one_in(5) {
        text += "retry: { attempts: 2, backoff: 30s }\n";
    }
    text += "steps:\n";
    let mut first = None;
    for number in 1..=chance.between(1, 4) {
        let id = format!("s{number}");
        if chance.one_in(7) {
            text += &parallel(chance, &id);
        } else {
            text += &format!("  - {}\n", step(chance, &id, first.as_deref()));
            first.get_or_insert(id);
        }
    }
    text
}

fn limits(chance: &Chance) -> &'static str {
    chance.pick::<&str>(&[
        "",
        "",
        "",
        "limits: { concurrency: 1 }\n",
        "limits: { concurrency: 2, breaker: 1 }\n",
        "limits: { per_target: 1 per 5m }\n",
        "limits: { per_target: 2 per 30m, breaker: 2 }\n",
        "limits: { concurrency: 1, per_target: 2 per 10m }\n",
    ])
}

/// How it knows that the trouble is over, and what that earns it.
fn of_trust(chance: &Chance) -> String {
    let shadow = if chance.one_in(16) { "automation: shadow\n" } else { "" };
    if !chance.one_in(3) {
        return shadow.to_owned();
    }
    let recovered = chance.pick(&[
        "{ alerts: resolved, for: 30s, within: 8m }",
        "{ target: prom, query: 'up == 1', for: 10s, within: 1m }",
        "{ target: prom, query: 'up == 1', for: 10s, within: 1m }",
    ]);
    let earned = if chance.one_in(2) {
        format!("autonomy: {{ ask_until: {}, back_after: {} }}\n", chance.between(1, 2), chance.between(1, 2))
    } else {
        String::new()
    };
    format!("{shadow}recovered: {recovered}\n{earned}")
}

/// A step beside another one, or beside two that follow each other.
fn parallel(chance: &Chance, id: &str) -> String {
    let one = step(chance, &format!("{id}a"), None);
    let other = step(chance, &format!("{id}b"), None);
    if chance.one_in(2) {
        return format!("  - parallel: [ {one}, {other} ]\n");
    }
    let after = step(chance, &format!("{id}c"), None);
    format!("  - parallel: [ {one}, [ {other}, {after} ] ]\n")
}

fn step(chance: &Chance, id: &str, first: Option<&str>) -> String {
    let when = match (chance.below(8), first) {
        (0, _) => ", when: 'incident.priority == \"P1\"'".to_owned(),
        (1, Some(first)) => format!(", when: 'steps.{first}.status == \"succeeded\"'"),
        _ => String::new(),
    };
    let text = match chance.below(14) {
        0..=3 => protects(chance),
        4..=6 => restarts(chance),
        7 => format!("action: postgres.pool_reset, target: {}{}{}", chance.pick(&DATABASES), approval(chance), strictness(chance, false)),
        8 => "action: http.check, target: orders-admin, with: { path: /health }".to_owned(),
        9 => return format!("{{ id: {id}, wait: {}{when} }}", chance.pick(&["20s", "3m", "25m"])),
        10 => format!("for_each: alerts, as: one, max: 3, at_once: {}, {}", chance.between(1, 2), restarts(chance)),
        11 => return format!("{{ id: {id}, approval: {}{when} }}", question(chance)),
        12 => return format!("{{ id: {id}, action: notify, with: {{ to: [{}], text: 'drawn' }}{when} }}", whom(chance)),
        _ => return format!("{{ id: {id}, action: note, with: {{ text: 'drawn' }}{when} }}"),
    };
    format!("{{ id: {id}, {text}{when}{} }}", patience(chance))
}

fn protects(chance: &Chance) -> String {
    format!(
        "action: postgres.read_only, target: {}{}{}{}",
        chance.pick(&DATABASES),
        undo(chance),
        approval(chance),
        strictness(chance, true)
    )
}

fn restarts(chance: &Chance) -> String {
    let target = chance.pick(&ADMINS);
    format!(
        "action: http.request, target: {target}, with: {{ method: POST, path: /restart }}{}{}",
        approval(chance),
        strictness(chance, false)
    )
}

fn whom(chance: &Chance) -> &'static str {
    chance.pick::<&str>(&["bo", "on-call", "chat"])
}

fn undo(chance: &Chance) -> &'static str {
    chance.pick::<&str>(&["", ", undo: on_failure", ", undo: on_resolve", ", undo: on_resolve", ", undo: after 4m", ", undo: after 40m"])
}

fn approval(chance: &Chance) -> String {
    if chance.one_in(5) { format!(", approval: {}", question(chance)) } else { String::new() }
}

fn question(chance: &Chance) -> String {
    let (by, most) = *chance.pick(&[("operator", 2), ("dba", 2), ("[ana, bo, cy]", 3), ("on-call", 1)]);
    let expires = chance.pick(&["3m", "20m"]);
    let otherwise = chance.pick(&["fail", "skip", "continue"]);
    format!("{{ by: {by}, of: {}, expires: {expires}, otherwise: {otherwise} }}", chance.between(1, most))
}

/// What an attempt means whose answer was lost; an action that asks by itself may not be told to try again.
fn strictness(chance: &Chance, may_retry: bool) -> &'static str {
    const CHECK: &str = ", on_interrupt: check, check: { action: http.check, target: orders-admin, with: { path: /done } }";
    match chance.below(6) {
        0..=1 => CHECK,
        2 => ", on_interrupt: fail",
        3 if may_retry => ", on_interrupt: ask",
        _ => "",
    }
}

fn patience(chance: &Chance) -> String {
    let retry = match chance.below(3) {
        0 => String::new(),
        _ => format!(", retry: {{ attempts: {}, backoff: {} }}", chance.between(2, 4), chance.pick(&["2s", "30s"])),
    };
    let failure = chance.pick(&["", ", on_failure: continue", ", on_failure: escalate"]);
    format!("{retry}{failure}, timeout: {}", chance.pick(&["5s", "30s"]))
}
