//! A playbook's file as a whole: what starts it, what limits it, its steps. Knows no run and no other playbook.

use std::fmt::Write;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::config::classification;
use crate::config::diagnostic::Code;
use crate::config::limits;
use crate::config::names::{self, NAME_HELP};
use crate::config::on_call;
use crate::config::reader::{At, Document, Fields};
use crate::config::recovered;
use crate::config::steps::{self, Context};
use crate::config::vars;
use crate::config::yaml::Value;
use crate::domain::autonomy::Autonomy;
use crate::domain::labels::Matcher;
use crate::domain::planned::Planned;
use crate::domain::playbook::{Playbook, Retry, Trigger};
use crate::domain::priority::Priority;
use crate::domain::time::Span;

/// The playbook in the document; none when anything is wrong with it, which the document then says.
pub fn read(document: &Document, context: Context<'_>) -> Option<Playbook> {
    let slug = slug_of(&document.path);
    let root = document.parse()?;
    let at = At::new(document, &root);
    if !names::is_name(slug) {
        let help = format!("the file's name is the playbook's: {NAME_HELP}");
        at.error_help(Code::BadName, format!("\"{slug}\" cannot be a playbook's name"), help);
    }
    let fields = at.fields()?;
    let title = fields.optional("title").and_then(At::words).map_or_else(|| slug.to_owned(), str::to_owned);
    let on = fields.required("on");
    let trigger = on.and_then(trigger);
    let mut limits = fields.optional("limits").and_then(limits::playbook).unwrap_or_default();
    let by_the_clock = trigger.as_ref().is_some_and(|trigger| trigger.schedule.is_some());
    if by_the_clock {
        // The next one does not begin beside one that takes longer than it should, unless the file says so.
        limits.concurrency.get_or_insert(1);
    }
    let starts_by_itself = trigger.as_ref().is_some_and(|trigger| !trigger.is_manual());
    let vars = fields.optional("vars").map(|at| vars::read(at, starts_by_itself)).unwrap_or_default();
    let timeout = fields.optional("timeout").and_then(timeout);
    let retry = fields.optional("retry").map_or(Some(Retry::default()), steps::retry);
    let mut steps = fields.required("steps").map(|at| steps::read(at, context, &vars, slug));
    let recovered = fields.optional("recovered");
    if let (Some(at), Some(steps)) = (recovered, &mut steps) {
        if by_the_clock && at.fields().is_some_and(|fields| fields.optional("alerts").is_some()) {
            at.error_help(Code::BadValue, "a scheduled incident has no alerts", "ask Prometheus with a query");
        }
        steps.extend(recovered::read(at, context, &vars, steps).map(Arc::new));
    }
    let shadow = fields.optional("automation").and_then(|at| at.one_of(&[("live", false), ("shadow", true)])).unwrap_or_default();
    let autonomy = fields.optional("autonomy").and_then(|at| autonomy(at, recovered.is_some()));
    if let (Some(at), Some(trigger), Some(steps)) = (on, &trigger, &steps)
        && steps.iter().any(|step| step.destructive)
    {
        selects(at, trigger);
    }
    fields.finish();
    if document.has_errors() {
        return None;
    }
    let source = document.text.to_string();
    Some(Playbook {
        slug: slug.to_owned(),
        title,
        revision: revision(&source),
        source,
        trigger: trigger?,
        limits,
        vars,
        timeout,
        retry: retry?,
        recovered: recovered.is_some(),
        shadow,
        autonomy,
        steps: steps?,
    })
}

/// A file's name without folder and ending.
pub fn slug_of(path: &str) -> &str {
    let file = path.rsplit(['/', '\\']).next().unwrap_or(path);
    file.strip_suffix(".yaml").or_else(|| file.strip_suffix(".yml")).unwrap_or(file)
}

/// SHA-256 of a playbook's text, in hex.
pub fn revision(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().fold(String::with_capacity(64), |mut hex, byte| {
        // Writing to a text cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

/// What it takes to act without asking. Only what looks whether it helped can earn it.
fn autonomy(at: At<'_>, looks: bool) -> Option<Autonomy> {
    let fields = at.fields()?;
    let ask_until = fields.required("ask_until").and_then(|at| at.whole(1, 1_000));
    let back_after = fields.optional("back_after").and_then(|at| at.whole(1, 1_000)).unwrap_or(1);
    fields.finish();
    if !looks {
        at.error_help(
            Code::BadValue,
            "a success counts only if it is verified",
            "say with recovered: how one sees that the trouble is over",
        );
    }
    Some(Autonomy { ask_until: ask_until?, back_after })
}

/// How long a run may take.
fn timeout(at: At<'_>) -> Option<Span> {
    let timeout = at.span()?;
    if timeout == Span::ZERO {
        at.error(Code::BadValue, "a run needs some time");
    }
    Some(timeout)
}

fn trigger(at: At<'_>) -> Option<Trigger> {
    let fields = at.fields()?;
    let items = |name| fields.optional(name).map(some_of).unwrap_or_default().into_iter();
    let trigger = Trigger {
        types: items("type").filter_map(|at| at.words().map(str::to_owned)).collect(),
        priorities: items("priority").filter_map(classification::priority).collect(),
        matchers: items("match").filter_map(At::matcher).collect(),
        schedule: None,
    };
    let schedule = schedule(&fields);
    // Any playbook may be started by a person; this says that nothing else starts it.
    if let Some(at) = fields.optional("manual")
        && !(at.node.value == Value::Bool(true) && trigger.is_manual())
    {
        at.error_help(Code::BadValue, "\"manual\" is true and stands alone", "leave it out: a person may start any playbook");
    }
    if schedule.is_some() && !trigger.is_manual() {
        let help = "a playbook that starts by the clock opens an incident of its own; for both, let one playbook run the other";
        fields.place_of("schedule").error(Code::BadValue, "a schedule stands alone", Some(help.to_owned()));
    }
    fields.finish();
    Some(Trigger { schedule: schedule.flatten(), ..trigger })
}

/// When it starts by the clock. `Some(None)`: a fault was said.
fn schedule(fields: &Fields<'_>) -> Option<Option<Planned>> {
    let zone_at = fields.optional("time_zone");
    let time_zone = zone_at.map_or(Some(chrono_tz::UTC), on_call::time_zone);
    let Some(at) = fields.optional("schedule") else {
        if zone_at.is_some() {
            fields.place_of("time_zone").error(Code::UnknownField, "a time_zone goes with a schedule", None);
        }
        return None;
    };
    let cron = on_call::cron(at);
    Some((|| Some(Planned { cron: cron?, time_zone: time_zone? }))())
}

/// What a trigger lists. An empty list would leave the part out, so that the rest starts more than anybody meant.
fn some_of(at: At<'_>) -> Vec<At<'_>> {
    let items = at.one_or_many();
    if items.is_empty() {
        at.error_help(Code::BadValue, "an empty list selects nothing", "say what starts the playbook, or leave the line out");
    }
    items
}

/// What changes things must not start by itself on whatever comes: a type, or a label that must be there with a value of its own.
fn selects(at: At<'_>, trigger: &Trigger) {
    let every_priority = trigger.priorities.is_empty() || Priority::ALL.iter().all(|one| trigger.priorities.contains(one));
    let by_label = trigger.matchers.iter().any(Matcher::is_selective);
    let by_alerts = !trigger.is_manual() && trigger.schedule.is_none();
    if by_alerts && trigger.types.is_empty() && !by_label && every_priority {
        let help = "name a type, or a label that must have a value of its own, such as alertname=\"X\"";
        at.error_help(Code::MatchesAll, "this starts for any incident, and the playbook changes things", help);
    }
}

#[cfg(test)]
mod tests {
    use crate::config::samples;
    use crate::domain::action::OnInterrupt;
    use crate::domain::playbook::{OnFailure, Undo};
    use crate::domain::time::Span;

    fn told(playbook: &str) -> Vec<String> {
        samples::told(&samples::load(samples::SETTINGS, &[("playbooks/x.yaml", playbook)]).diagnostics)
    }

    #[test]
    fn the_documented_example_is_read_as_it_stands() {
        let loaded = samples::load(samples::SETTINGS, &[("playbooks/database_connection_failure.yaml", samples::PLAYBOOK)]);
        assert_eq!(samples::told(&loaded.diagnostics), [""; 0]);
        let settings = loaded.settings.expect("it is good");
        let playbook = &settings.rulebook.playbooks["database_connection_failure"];
        assert_eq!(playbook.title, "Database connection failure");
        assert_eq!(playbook.revision.len(), 64);
        assert!(settings.rulebook.revisions.contains_key(&playbook.revision));
        let step = |id: &str| playbook.step(id).expect("the step is there").clone();
        assert_eq!(step("protect").undo, Undo::After(Span::minutes(30)));
        assert!(step("protect").destructive && !step("tell").destructive);
        assert_eq!(step("pause").action, "wait");
        assert_eq!((step("reset").on_interrupt, step("reset").retry.attempts), (OnInterrupt::Ask, 3));
        assert_eq!((step("recovered").timeout, step("recovered").on_failure), (Span::minutes(11), OnFailure::Escalate));
        assert_eq!(step("reload").check.as_ref().map(|check| check.action.as_str()), Some("pgbouncer.pool_status"));
        assert_eq!((step("ticket").title.as_str(), step("unit").on_interrupt), ("Ticket", OnInterrupt::Fail));
    }

    #[test]
    fn the_whole_language_is_read() {
        let text = "
on: { manual: true }
timeout: 1h
vars: { drain: { type: duration, default: 5m } }
steps:
  - parallel:
      - { id: a, wait: 1m }
      - [ { id: b, wait: '{{ vars.drain }}' }, { id: c, wait: 1m, when: \"steps.b.status == 'failed'\" } ]
  - { id: each, for_each: alerts, as: alert, action: note, with: { text: '{{ alert.status }}' }, max: 5 }
  - { id: ask, approval: { by: operator, expires: 10m, otherwise: skip }, action: note, with: { text: '{{ steps.c.status }}' } }
";
        let loaded = samples::load(samples::SETTINGS, &[("playbooks/x.yaml", text)]);
        assert_eq!(samples::told(&loaded.diagnostics), [""; 0]);
        let playbook = loaded.settings.expect("it is good").rulebook.playbooks["x"].clone();
        let blocks: Vec<Vec<&str>> = playbook.blocks().map(|block| block.iter().map(|step| step.id.as_str()).collect()).collect();
        assert_eq!(blocks, [vec!["a", "b", "c"], vec!["each"], vec!["ask"]]);
        assert_eq!(playbook.timeout, Some(Span::hours(1)));
        let item = playbook.step("each.2").expect("an item");
        assert_eq!((item.id.as_str(), item.item_name.as_deref(), item.each.is_none()), ("each.2", Some("alert"), true));
        assert!(playbook.step("ask.1").is_none());
    }

    #[test]
    fn a_manual_playbook_says_so() {
        assert_eq!(told("on: {}\nsteps: [ { id: a, wait: 5m } ]"), [""; 0]);
        assert_eq!(told("steps: [ { id: a, wait: 5m } ]"), ["missing-field 1:1-31"]);
    }

    #[test]
    fn a_slug_is_a_files_name() {
        let loaded = samples::load("", &[("playbooks/No Good.yaml", "on: {}\nsteps: [ { id: a, wait: 5m } ]")]);
        assert_eq!(loaded.diagnostics.iter().map(|fault| fault.code.to_string()).collect::<Vec<_>>(), ["bad-name"]);
    }

    #[test]
    fn every_fault_of_a_step_is_told_at_its_place() {
        let table = [
            ("id: a, acton: notify", "unknown-field 3:12-17 did you mean \"action\"?"),
            ("id: a, wait: 5", "bad-value 3:18-19 write for example 5s or 5m"),
            ("id: a, wait: 5m, action: notify", "unknown-field 3:12-16 make it two steps"),
            ("wait: 5m", "missing-field 3:3-15"),
            ("id: A1, wait: 5m", "bad-name 3:9-11 a name has up to 64 small letters, digits, - and _, and begins with a letter"),
            ("id: first, wait: 5m", "duplicate-name 3:9-14"),
            ("id: a, action: notfy, with: { to: bo }", "unknown-action 3:20-25 did you mean \"notify\"?"),
            (
                "id: a, action: postgres.vacuum",
                "unknown-action 3:20-35 known here: postgres.pool_reset, postgres.pool_status, postgres.read_only",
            ),
            ("id: a, action: notify", "missing-param 3:12-18 who is told"),
            ("id: a, action: notify, with: { to: bo, txt: x }", "unknown-param 3:44-47 did you mean \"text\"?"),
            ("id: a, action: notify, with: { to: boo }", "unknown-name 3:40-43 did you mean \"bo\"?"),
            ("id: a, action: notify, with: { to: bo, text: 5 }", "wrong-type 3:50-51 write it in quotes: \"5\""),
            ("id: a, action: notify, with: { to: bo, text: '${env:TOKEN}' }", "misplaced-secret 3:50-64"),
            (
                "id: a, action: http.request, target: orders-admin, with: { follow: no }",
                "wrong-type 3:72-74 write false; in YAML 1.2 this is a text",
            ),
            ("id: a, action: http.request, target: orders-admin, with: { expect: '200' }", "wrong-type 3:72-77 leave the quotes out"),
            ("id: a, action: http.request, target: orders-admin, with: { headers: { a: 1 } }", "wrong-type 3:78-79"),
            ("id: a, action: prometheus.wait_until, target: prom, with: { query: x, for: soon }", "bad-value 3:80-84"),
            ("id: a, action: postgres.read_only", "wrong-target 3:12-18 name a postgres target of reynard.yaml"),
            ("id: a, action: postgres.read_only, target: orders-pool", "wrong-target 3:48-59"),
            ("id: a, action: postgres.read_only, target: order-db", "unknown-name 3:48-56 did you mean \"orders-db\"?"),
            ("id: a, action: notify, target: prom, with: { to: bo }", "wrong-target 3:28-34"),
            (
                "id: a, action: pgbouncer.pool_reset, target: orders-pool, on_interrupt: retry",
                "weaker-on-interrupt 3:77-82 it may be check, ask or fail, which do nothing again without knowing",
            ),
            ("id: a, action: pgbouncer.pool_reset, target: orders-pool, undo: on_resolve", "not-undoable 3:69-79"),
            ("id: a, action: postgres.read_only, target: orders-db, undo: on_resolv", "bad-value 3:65-74 did you mean \"on_resolve\"?"),
            ("id: a, action: postgres.read_only, target: orders-db, undo: after lunch", "bad-value 3:65-76"),
            ("id: a, action: http.request, target: orders-admin, on_interrupt: check", "bad-check 3:56-68 give the step a check"),
            (
                "id: a, action: http.request, target: orders-admin, on_interrupt: check, check: { action: pgbouncer.pool_reset, target: orders-pool }",
                "bad-check 3:94-114 a check only reads",
            ),
            (
                "id: a, action: command.run, with: { command: restart-unit, params: { unit: a.service } }, on_interrupt: check",
                "bad-check 3:95-107 give the step a check",
            ),
            ("id: a, action: command.run, with: { command: restart-unti }", "unknown-name 3:50-62 did you mean \"restart-unit\"?"),
            ("id: a, wait: 5m, retry: { attempts: 0 }", "bad-value 3:41-42"),
            ("id: a, wait: 5m, retry: { backoff: 1s }", "missing-field 3:29-44"),
            ("id: a, wait: 5m, on_failure: contineu", "bad-value 3:34-42 did you mean \"continue\"?"),
            ("id: a, wait: 5m, when: incident.priorty == 'P1'", "bad-expression 3:37-44 did you mean \"priority\"?"),
            ("id: a, wait: 5m, when: incident.number", "bad-expression 3:28-43 compare it with something"),
            ("id: a, wait: 5m, when: \"steps.a.status == 'failed'\"", "step-order 3:"),
            ("id: a, wait: '{{ steps.b.output }}'", "bad-template 3:"),
            ("id: a, action: notify, with: { to: [bo], text: 'so {{ incident.titel }}' }", "bad-template 3:68-73 did you mean \"title\"?"),
            (
                "id: a, action: postgres.read_only, target: orders-db, when: target.kid == 'x'",
                "bad-expression 3:72-75 did you mean \"kind\"?",
            ),
            ("id: a, wait: 5m, when: target.kind == 'x'", "bad-expression 3:28-34"),
            ("parallel: [ { id: b, wait: 1m } ]", "bad-value 3:5-13"),
            ("parallel: [ { id: b, wait: 1m }, { parallel: [ { id: c, wait: 1m }, { id: d, wait: 1m } ] } ]", "bad-value 3:"),
            ("parallel: [ { id: b, wait: 1m }, { id: c, wait: 1m, when: \"steps.b.status == 'failed'\" } ]", "step-order 3:"),
            ("id: a, for_each: alerts, as: alert, action: notify, max: 0, with: { to: bo }", "bad-value 3:62-63"),
            ("id: a, for_each: incident.title, wait: 1m", "bad-expression 3:22-36"),
            ("id: a, for_each: alerts, as: labels, wait: 1m", "duplicate-name 3:34-40 call the item otherwise"),
            ("id: a, as: x, wait: 1m", "unknown-field 3:12-14"),
            ("id: a, for_each: alerts, as: x, wait: 1m, when: x.satus == 'firing'", "bad-expression 3:55-60 did you mean \"status\"?"),
            ("id: a, approval: { by: bo , otherwise: contineu }", "bad-value 3:44-52 did you mean \"continue\"?"),
            ("id: a, approval: { by: hook }", "unknown-name 3:28-32"),
            ("id: a, approval: { by: [] }", "bad-value 3:28-30 name people, a schedule or a role, or operator for anybody"),
            ("id: a, approval: { by: [bo], of: 2 }", "bad-value 3:38-39 name more people, or a role"),
            ("id: a, wait: 1m, when: vars.x == 1", "bad-expression 3:"),
        ];
        let mut wrong = Vec::new();
        for (step, expected) in table {
            let told = told(&format!("on: {{}}\nsteps: [ {{ id: first, wait: 1m }},\n  {{ {step} }} ]"));
            if told.len() != 1 || !told[0].starts_with(expected) {
                wrong.push(format!("{step}\n  wanted {expected}\n  told   {told:?}"));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    #[test]
    fn a_step_reads_only_what_ran_before_it() {
        let step = |id: &str, reads: &str| format!("  - {{ id: {id}, wait: 1m, when: 'steps.{reads}.status == \"failed\"' }}\n");
        let playbook = |steps: [String; 3]| format!("on: {{}}\nsteps:\n  - {{ id: zero, wait: 1m }}\n{}", steps.concat());
        assert_eq!(told(&playbook([step("one", "zero"), step("two", "one"), step("three", "zero")])), [""; 0]);
        let faults = told(&playbook([step("one", "two"), step("two", "two"), step("three", "nobody")]));
        assert_eq!(
            faults.iter().map(|fault| fault.split(' ').next().unwrap_or("")).collect::<Vec<_>>(),
            ["step-order", "step-order", "bad-expression"]
        );
    }

    #[test]
    fn a_step_reads_only_what_an_action_gives() {
        let look = "{ id: look, action: prometheus.query, target: prom, with: { query: up } }";
        let reading = |rest: &str| {
            told(&format!("on: {{}}\nsteps:\n- {look}\n- {{ id: tell, action: note, with: {{ text: x }} }}\n- {{ id: a, {rest} }}"))
        };
        assert_eq!(reading("wait: 1m, when: steps.look.output.value > 3 && steps.look.output.unit == 'ms'"), [""; 0]);
        for (rest, expected) in [
            ("wait: 1m, when: steps.look.output.valeu > 3", "bad-expression 5:46-51 did you mean \"value\"?"),
            ("wait: 1m, when: steps.look.output.value == 'three'", "bad-expression 5:"),
            ("action: note, with: { text: '{{ steps.look.output.vaule }}' }", "bad-template 5:"),
            ("wait: 1m, when: steps.tell.output.text == 'x'", "bad-expression 5:"),
        ] {
            let told = reading(rest);
            assert!(told.len() == 1 && told[0].starts_with(expected), "{rest}\n  wanted {expected}\n  told   {told:?}");
        }
    }

    #[test]
    fn the_rest_of_the_file_is_checked_too() {
        for (text, expected) in [
            ("on: { typ: x }\nsteps: [ { id: a, wait: 1m } ]", "unknown-field 1:7-10 did you mean \"type\"?"),
            ("on: { priority: P9 }\nsteps: [ { id: a, wait: 1m } ]", "bad-value 1:17-19 did you mean \"P1\"?"),
            ("on: { match: 'severity=~\"(\"' }\nsteps: [ { id: a, wait: 1m } ]", "bad-matcher 1:14-29"),
            ("on: { schedule: x }\nsteps: [ { id: a, wait: 1m } ]", "bad-value 1:17-18"),
            ("on: { schedule: '0 3 30 2 *' }\nsteps: [ { id: a, wait: 1m } ]", "bad-value 1:17-29"),
            ("on: { schedule: '@daily', time_zone: Europe/Berln }\nsteps: [ { id: a, wait: 1m } ]", "bad-value 1:38-50 did you mean"),
            ("on: { schedule: '@daily', type: x }\nsteps: [ { id: a, wait: 1m } ]", "bad-value 1:7-15 a playbook that starts by the clock"),
            ("on: { type: x, time_zone: UTC }\nsteps: [ { id: a, wait: 1m } ]", "unknown-field 1:16-25"),
            ("on: { schedule: '@daily' }\nvars: { a: { type: text } }\nsteps: [ { id: a, wait: 1m } ]", "missing-field 2:12-26 give it a"),
            ("on: { schedule: '@daily' }\nrecovered: { alerts: resolved }\nsteps: [ { id: a, wait: 1m } ]", "bad-value 2:12-32 ask Prom"),
            ("on: { type: x }\nrecovered: { alerts: gone }\nsteps: [ { id: a, wait: 1m } ]", "bad-value 2:22-26"),
            ("on: { type: x }\nrecovered: { for: 1m }\nsteps: [ { id: a, wait: 1m } ]", "missing-field 2:12-23 write alerts"),
            ("on: { type: x }\nrecovered: { query: up }\nsteps: [ { id: a, wait: 1m } ]", "missing-field 2:12-25"),
            ("on: { type: x }\nrecovered: { query: up, target: orders-db }\nsteps: [ { id: a, wait: 1m } ]", "wrong-target 2:33-42"),
            ("on: { type: x }\nrecovered: { alerts: resolved, for: 1h }\nsteps: [ { id: a, wait: 1m } ]", "bad-value 2:12-41"),
            ("on: { type: x }\nrecovered: { alerts: resolved }\nsteps: [ { id: recovered, wait: 1m } ]", "duplicate-name 2:12-32"),
            ("on: { type: x }\nretry: { attempts: 0 }\nsteps: [ { id: a, wait: 1m } ]", "bad-value 2:20-21"),
            ("on: { type: x }\nsteps: [ { id: a, wait: 999999w } ]", "bad-value 2:25-32 such a time never comes"),
            ("on: {}\nvars: { a: 1 }\nsteps: [ { id: a, wait: 1m } ]", "wrong-type 2:12-13"),
            ("on: {}\nvars: { a: { type: duration, default: 5 } }\nsteps: [ { id: a, wait: 1m } ]", "wrong-type 2:39-40"),
            ("on: { type: x }\nvars: { a: { type: text } }\nsteps: [ { id: a, wait: 1m } ]", "missing-field 2:12-26 give it a default"),
            ("on: { manual: true, type: x }\nsteps: [ { id: a, wait: 1m } ]", "bad-value 1:15-19 leave it out"),
            ("on: {}\ntimeout: 0s\nsteps: [ { id: a, wait: 1m } ]", "bad-value 2:10-12"),
            ("on: {}\nlimits: { concurrency: 0 }\nsteps: [ { id: a, wait: 1m } ]", "bad-value 2:24-25"),
            ("on: {}\nlimits: { per_target: 3 per 30d }\nsteps: [ { id: a, wait: 1m } ]", "bad-value 2:23-32"),
            ("on: {}\nsteps: []", "bad-value 2:8-10"),
            ("on: { type: [] }\nsteps: [ { id: a, wait: 1m } ]", "bad-value 1:13-15 say what starts the playbook, or leave the line out"),
            ("on: { type: x, match: [] }\nsteps: [ { id: a, wait: 1m } ]", "bad-value 1:23-25"),
            ("on: {}\nsteps: [ { id: a, wait: 1m } ]\nstep: 1", "unknown-field 3:1-5 did you mean \"steps\"?"),
            ("on: {}\nsteps: [ { id: a, wait: 1m } ]\n--- {}", "yaml-unsupported 3:1-4 put it into a file of its own"),
        ] {
            let told = told(text);
            assert!(told.len() == 1 && told[0].starts_with(expected), "{text}\n  wanted {expected}\n  told   {told:?}");
        }
    }

    #[test]
    fn what_changes_things_does_not_start_on_whatever_comes() {
        let step = "{ id: a, action: postgres.read_only, target: orders-db }";
        for (on, good) in [
            ("{ match: 'alertname=~\".*\"' }", false),
            ("{ match: 'service=~\".+\"' }", false),
            ("{ match: 'service!=\"\"' }", false),
            ("{ match: 'service=\"\"' }", false),
            ("{ match: 'severity!~\"info\"' }", false),
            ("{ priority: [P1, P2, P3, P4] }", false),
            ("{ match: ['service=~\".*\"', 'alertname=\"Down\"'] }", true),
            ("{ match: 'severity=~\"critical|page\"' }", true),
            ("{ type: service_down }", true),
            ("{ priority: P1 }", true),
            ("{}", true),
        ] {
            let told = told(&format!("on: {on}\nsteps: [ {step} ]"));
            let codes: Vec<&str> = told.iter().filter_map(|fault| fault.split(' ').next()).collect();
            assert_eq!(codes, if good { vec![] } else { vec!["matches-all"] }, "{on}: {told:?}");
        }
        assert_eq!(told("on: { match: 'alertname=~\".*\"' }\nsteps: [ { id: a, wait: 1m } ]"), [""; 0], "what only waits may");
    }

    #[test]
    fn warnings_leave_the_playbook_usable() {
        let step = "{ id: a, action: prometheus.wait_until, target: prom, timeout: 1m, with: { query: x, within: 10m } }";
        let loaded = samples::load(samples::SETTINGS, &[("playbooks/x.yaml", &format!("on: {{}}\nsteps: [ {step} ]"))]);
        assert_eq!(loaded.diagnostics.iter().map(|fault| fault.code.to_string()).collect::<Vec<_>>(), ["timeout-too-short"]);
        assert!(loaded.settings.expect("it is good").rulebook.playbooks.contains_key("x"));
    }
}
