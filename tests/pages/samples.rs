//! A fake: made-up incidents behind the real `Reads`, for looking at pages and for testing them. Never part of a server.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use serde_json::{Value, json};
use uuid::Uuid;

use reynard::domain::action::OnInterrupt;
use reynard::domain::classification::Classification;
use reynard::domain::escalation::{DEFAULT, Level, Plan, Policy};
use reynard::domain::expression::condition::Expression;
use reynard::domain::expression::schema::Schema;
use reynard::domain::expression::template::ValueTemplate;
use reynard::domain::hold::{Hand, Hold};
use reynard::domain::id::{DeliveryId, IncidentId, RunId};
use reynard::domain::incident::{AlertMark, Incident};
use reynard::domain::labels::Labels;
use reynard::domain::late::Answer;
use reynard::domain::playbook::{OnFailure, Otherwise, Playbook, PlaybookLimits, Retry, Step, Trigger, Undo};
use reynard::domain::priority::Priority;
use reynard::domain::settings::Rulebook;
use reynard::domain::time::{Span, Timestamp};
use reynard::domain::timeline::{Actor, AlertRef, Entry, Event, Outcome, StepRef};
use reynard::engine::nodes::{Overview, Peer, Role};
use reynard::engine::store::{AlertRow, Change, DeliveryReport, Family, IncidentName, IncidentQuery, Kin, Reads, StoreError, Totals};

/// The moment that the samples are looked at: 03:09:14 in Berlin.
pub const NOW: Timestamp = Timestamp(1_795_486_154_000);

/// One made-up incident with its log.
#[derive(Clone, Debug)]
pub struct Sample {
    pub incident: Incident,
    pub entries: Vec<Entry>,
    pub alerts: Vec<AlertRow>,
}

/// A house full of them.
#[derive(Clone, Debug, Default)]
pub struct Fake {
    pub samples: Vec<Sample>,
    /// Whether somebody holds automation.
    pub held: bool,
}

/// A burning one at step 2 of 5, an acknowledged one, one in doubt, a failed one, resolved ones.
pub fn fake() -> Fake {
    let mut samples = vec![burning(), in_doubt(), acknowledged(), failed(), resolved()];
    samples.extend((1..=3).map(small));
    Fake { samples, held: false }
}

/// A page that must not break: hostile texts everywhere.
pub fn hostile() -> Sample {
    let text = "<script>alert(1)</script> \"'`{{x}} ".repeat(6);
    let mut tale = Tale::new(99, &text, &text, Span::minutes(3));
    tale.say(Span::ZERO, Actor::Source(text.clone()), Event::Commented { text: text.clone() });
    tale.classified(Priority::P2, &text, &text, &[("x", f64::MAX)]);
    tale.by("Ö<b>", Event::Commented { text });
    tale.done()
}

/// One entry of every kind there is.
pub fn every_kind() -> Sample {
    let mut tale = Tale::new(77, "Everything happens", "orders", Span::minutes(9));
    let at = StepRef { run: tale.run(1), step: "protect".to_owned(), attempt: 1, undo: false };
    let (run, title, playbook, reason) =
        (at.run, "Make orders read-only".to_owned(), "database_connection_failure".to_owned(), "a reason".to_owned());
    tale.run_started(1, "database_connection_failure");
    let events = vec![
        Event::AlertResolved { delivery: DeliveryId::default(), alerts: Vec::new(), truncated: 2 },
        Event::PriorityChanged { from: Priority::P2, to: Priority::P1, reason: reason.clone(), next_at: None },
        Event::StepFailed {
            at: at.clone(),
            title: title.clone(),
            reason: reason.clone(),
            retry_at: Some(NOW),
            duration_ms: 3,
            unsure: false,
        },
        Event::StepFailed { at: at.clone(), title: title.clone(), reason: reason.clone(), retry_at: None, duration_ms: 3, unsure: false },
        Event::StepSkipped { at: at.clone(), title: title.clone(), reason: reason.clone() },
        Event::StepInDoubt { at: at.clone(), title: title.clone(), reason: reason.clone() },
        Event::StepSettled { at: at.clone(), title: title.clone(), outcome: Outcome::Succeeded, note: String::new() },
        Event::StepAnsweredLate {
            at: at.clone(),
            title: title.clone(),
            check: false,
            answer: Answer::Succeeded { output: serde_json::json!({ "status": 200 }) },
            duration_ms: 31_000,
            why: "its timeout of 10s had passed".to_owned(),
        },
        Event::StepUndone { at: at.clone(), title: title.clone(), output: Value::Null, duration_ms: 12, left_to: None },
        Event::LimitHit {
            run,
            step: Some("reset".to_owned()),
            limit: "per_target: 3 per 1h".to_owned(),
            count: 3,
            free_at: Some(NOW + Span::minutes(8)),
            why: None,
            held_by: None,
        },
        Event::ApprovalRequested {
            at: at.clone(),
            title: title.clone(),
            action: "http.request".to_owned(),
            target: None,
            params: Value::Null,
            by: vec!["on-call".to_owned()],
            of: 2,
            expires_at: NOW + Span::minutes(30),
            otherwise: Otherwise::Fail,
            why: Some(reason.clone()),
        },
        Event::StepShadowed {
            at: at.clone(),
            title: title.clone(),
            playbook: playbook.clone(),
            action: "http.request".to_owned(),
            target: Some("shop".to_owned()),
            params: json!({ "x": reason.clone() }),
            why: reason.clone(),
            limit: Some("per_target: 3 per 1h".to_owned()),
            asks: true,
        },
        Event::Approved { at: at.clone(), title: title.clone(), by: "ana".to_owned(), note: String::new(), missing: 1 },
        Event::Rejected { at, title, by: "ana".to_owned(), note: String::new() },
        Event::RunFailed { run, playbook: playbook.clone(), reason: reason.clone() },
        Event::RunCancelled { run, playbook: playbook.clone(), reason: reason.clone() },
        Event::RunSucceeded { run, playbook, duration_ms: 61_000, verified: false },
        Event::Acknowledged { note: String::new() },
        Event::Unacknowledged { next_at: None },
        Event::Snoozed { until: NOW + Span::hours(1) },
        Event::Assigned { to: "bo".to_owned() },
        Event::AutomationHeld { reason: reason.clone(), by: "Ana".to_owned(), since: None, playbook: None },
        Event::AutomationReleased { reason: reason.clone(), by: "Ana".to_owned(), playbook: None },
        Event::Recovered { down_for_ms: 192_000, late_ms: 61_000 },
        Event::Resolved { reason: reason.clone() },
        Event::Reopened { reason, acknowledged: false },
    ];
    for event in events {
        tale.by("ana", event);
    }
    tale.told(1, "email", Some("ana"), Err("550 no such mailbox"));
    tale.done()
}

/// A rulebook with one policy, three playbooks and a broken file.
pub fn rulebook() -> Rulebook {
    let playbooks = [
        book("database_connection_failure", "Database connection failure", &[Priority::P1, Priority::P2], &DATABASE),
        book("high_memory_usage", "Restart and gather evidence of the leak", &[Priority::P1, Priority::P2], &MEMORY),
        book("notify-and-diagnose", "Tell people and look around", &[], &DIAGNOSE),
    ];
    let revisions = playbooks.iter().map(|book| (book.revision.clone(), book.clone())).collect();
    Rulebook {
        policies: vec![policy()],
        playbooks: playbooks.into_iter().map(|book| (book.slug.clone(), book)).collect(),
        revisions,
        broken: [(
            "playbooks/service_timeout.yaml".to_owned(),
            "14:7 unknown field \"retires\": did you mean \"retry\"?\n   |\n14 |       retires: 3\n   |       ^^^^^^^".to_owned(),
        )]
        .into(),
        public_url: "http://localhost:5001".to_owned(),
        ..Rulebook::default()
    }
}

type PlannedStep = (&'static str, &'static str, &'static str, Option<&'static str>, Option<&'static str>, bool);

const DATABASE: [PlannedStep; 5] = [
    ("protect", "Make orders read-only", "postgres.read_only", Some("orders-db"), Some("incident.priority == \"P1\""), true),
    ("reset", "Reset the connection pool", "pgbouncer.pool_reset", Some("orders-pool"), None, true),
    ("recovered", "Wait until the database answers", "prometheus.wait_until", Some("prom"), None, false),
    ("release", "Allow writing again", "postgres.read_only", Some("orders-db"), Some("steps.protect.status == \"succeeded\""), true),
    ("tell", "Tell the team", "notify", None, None, false),
];
const MEMORY: [PlannedStep; 3] = [
    ("evidence", "Keep a heap profile", "http.request", Some("checkout-admin"), None, false),
    ("restart", "Restart checkout", "kubernetes.restart", Some("checkout"), None, true),
    ("ready", "Wait until it is ready", "kubernetes.wait_ready", Some("checkout"), None, false),
];
const DIAGNOSE: [PlannedStep; 2] = [
    ("look", "Look at the error rate", "prometheus.query", Some("prom"), None, false),
    ("tell", "Tell on-call what was seen", "notify", None, None, false),
];

fn burning() -> Sample {
    let mut tale = Tale::new(412, "Orders cannot reach its database", "orders", Span::seconds(429));
    tale.opened("database_connection_failure", "pg_up is 0 on orders-db-1: 14 of 14 connections refused since 03:02.");
    tale.fired(3);
    tale.classified(
        Priority::P1,
        "outage",
        "signals.error_rate > 0.5 (signals.error_rate is 0.62)",
        &[("error_rate", 0.62), ("affected_users", 8_200.0)],
    );
    tale.escalated(2, &["on-call (ana)", "lead (mia)"], 1, Span::minutes(15));
    tale.told(1, "sms", Some("ana"), Ok("queued as SM8c1"));
    tale.told(2, "chat", None, Ok("posted to #ops"));
    tale.told(3, "email", Some("mia"), Err("550 5.1.1 mailbox unavailable"));
    tale.run_started(1, "database_connection_failure");
    tale.step(1, "protect", 1, &DATABASE[0], Some(Ok((json!({ "was": "read_write", "now": "read_only" }), 1_240))));
    tale.wait(Span::seconds(3));
    tale.step(1, "reset", 1, &DATABASE[1], Some(Err("connection to orders-pool refused")));
    tale.wait(Span::seconds(5));
    tale.fired(1);
    tale.wait(Span::seconds(331));
    tale.by(
        "mia",
        Event::Commented { text: "Looks like the 02:58 deploy of orders@9f2c doubled the pool size. Watching the reset.".to_owned() },
    );
    tale.wait(Span::seconds(20));
    tale.step(1, "reset", 2, &DATABASE[1], None);
    tale.done()
}

fn in_doubt() -> Sample {
    let mut tale = Tale::new(411, "Checkout is out of memory", "checkout", Span::minutes(26));
    tale.opened("high_memory_usage", "Container checkout uses 97 % of 2 GiB.");
    tale.classified(Priority::P2, "severity critical", "labels.severity == \"critical\"", &[]);
    tale.escalated(1, &["on-call (ana)"], 1, Span::hours(1));
    tale.told(1, "chat", None, Ok("posted to #ops"));
    tale.run_started(1, "high_memory_usage");
    tale.step(1, "evidence", 1, &MEMORY[0], Some(Ok((json!({ "saved": "s3://evidence/heap-411.pb.gz", "bytes": 48_201_331 }), 8_310))));
    tale.step(1, "restart", 1, &MEMORY[1], None);
    tale.wait(Span::seconds(4));
    let at = StepRef { run: tale.run(1), step: "restart".to_owned(), attempt: 1, undo: false };
    tale.engine(Event::Recovered { down_for_ms: 192_000, late_ms: 61_000 });
    let reason = "Reynard stopped after the restart was sent and before the answer came".to_owned();
    tale.engine(Event::StepInDoubt { at, title: MEMORY[1].1.to_owned(), reason });
    tale.wait(Span::seconds(12));
    tale.by("ana", Event::Acknowledged { note: String::new() });
    tale.done()
}

fn acknowledged() -> Sample {
    let mut tale = Tale::new(409, "API answers slowly in eu-1", "api-gateway", Span::minutes(48));
    tale.opened("service_timeout", "p95 latency is 3.4 s, limit 2 s.");
    tale.fired(11);
    tale.classified(Priority::P3, "slow", "signals.latency > 2.0 (signals.latency is 3.4)", &[("latency", 3.4)]);
    tale.told(1, "chat", None, Ok("posted"));
    tale.wait(Span::minutes(4));
    tale.by("bo", Event::Acknowledged { note: "looking".to_owned() });
    tale.done()
}

fn failed() -> Sample {
    let mut tale = Tale::new(408, "Payment provider refuses cards", "payments", Span::minutes(11));
    tale.opened("external_api_failure", "12 % of charges fail with 503.");
    tale.classified(Priority::P2, "degraded", "signals.error_rate > 0.1 (signals.error_rate is 0.12)", &[("error_rate", 0.12)]);
    tale.run_started(1, "notify-and-diagnose");
    tale.step(1, "look", 1, &DIAGNOSE[0], Some(Err("prometheus answered 502")));
    let run = tale.run(1);
    tale.engine(Event::RunFailed {
        run,
        playbook: "notify-and-diagnose".to_owned(),
        reason: "\"Look at the error rate\" failed".to_owned(),
    });
    tale.escalated(1, &["on-call (ana)"], 1, Span::minutes(15));
    tale.told(1, "sms", Some("ana"), Ok("queued"));
    tale.done()
}

fn resolved() -> Sample {
    let mut tale = Tale::new(405, "Orders cannot reach its database", "orders", Span::hours(9));
    tale.opened("database_connection_failure", "pg_up is 0 on orders-db-1.");
    tale.fired(36);
    tale.classified(Priority::P2, "errors", "signals.error_rate > 0.1 (signals.error_rate is 0.21)", &[("error_rate", 0.21)]);
    tale.escalated(1, &["on-call (ana)"], 1, Span::hours(1));
    tale.told(1, "sms", Some("ana"), Ok("delivered"));
    tale.run_started(1, "database_connection_failure");
    let at = StepRef { run: tale.run(1), step: "protect".to_owned(), attempt: 0, undo: false };
    tale.engine(Event::StepSkipped { at, title: DATABASE[0].1.to_owned(), reason: "incident.priority is P2".to_owned() });
    tale.step(1, "reset", 1, &DATABASE[1], Some(Ok((json!({ "reset": 14 }), 2_040))));
    tale.wait(Span::seconds(40));
    tale.by("ana", Event::Acknowledged { note: String::new() });
    tale.step(1, "recovered", 1, &DATABASE[2], Some(Ok((json!({ "value": 1, "held": "2m" }), 143_000))));
    tale.over(36);
    let run = tale.run(1);
    tale.engine(Event::RunSucceeded { run, playbook: "database_connection_failure".to_owned(), duration_ms: 187_000, verified: true });
    tale.wait(Span::seconds(30));
    tale.engine(Event::Resolved { reason: "no alert has fired for 30s".to_owned() });
    tale.done()
}

fn small(n: u64) -> Sample {
    let names = [
        ("Disk of build-7 is nearly full", "ci"),
        ("Certificate of status page ends in 9 days", "web"),
        ("Queue mail-out is growing", "mail"),
    ];
    let (title, service) = names[usize::try_from(n - 1).unwrap_or(0) % names.len()];
    let mut tale = Tale::new(404 - n, title, service, Span::hours(5 + 7 * n));
    tale.opened("unknown", "");
    tale.classified(if n == 1 { Priority::P3 } else { Priority::P4 }, "otherwise", "no rule matched", &[]);
    tale.wait(Span::minutes(11));
    if n > 1 {
        tale.engine(Event::Resolved { reason: "no alert has fired for 30s".to_owned() });
    } else {
        tale.by("ana", Event::Acknowledged { note: String::new() });
    }
    tale.done()
}

/// Writes a log line by line, and keeps the state that it leads to.
struct Tale {
    sample: Sample,
    at: Timestamp,
}

impl Tale {
    fn new(number: u64, title: &str, service: &str, ago: Span) -> Self {
        let id = IncidentId(Uuid::from_u128(0x0193_5b00_0000_7000_8000_0000_0000_0000 + u128::from(number)));
        let at = NOW - ago;
        let sample = Sample { incident: Incident::blank(id), entries: Vec::new(), alerts: Vec::new() };
        let mut tale = Self { sample, at };
        let opened = Event::Opened {
            number,
            source: "prod-eu".to_owned(),
            receiver: "reynard".to_owned(),
            group_key: format!("{{}}:{{service=\"{service}\"}}"),
            title: title.to_owned(),
            service: service.to_owned(),
            labels: labels(&[("alertname", title), ("service", service), ("severity", "critical")]),
            annotations: Labels::new(),
            policy: DEFAULT.to_owned(),
        };
        tale.say(Span::ZERO, Actor::Source("prod-eu".to_owned()), opened);
        tale
    }

    /// The first alert, with its words and links.
    fn opened(&mut self, alertname: &str, description: &str) {
        let mut annotations = labels(&[
            ("runbook_url", "https://wiki.example.com/runbooks/orders-db"),
            ("dashboard_url", "https://grafana.example.com/d/orders?from=now-1h"),
            ("generator_url", "http://prometheus.example.com/graph?g0.expr=pg_up"),
        ]);
        if !description.is_empty() {
            annotations.insert("description".to_owned(), description.to_owned());
        }
        let labels = labels(&[("alertname", alertname), ("service", &self.sample.incident.service.clone()), ("severity", "critical")]);
        self.fire(1, labels, annotations);
    }

    fn fired(&mut self, n: usize) {
        self.wait(Span::seconds(2));
        let (labels, annotations) = (self.sample.incident.labels.clone(), self.sample.incident.annotations.clone());
        self.fire(n, labels, annotations);
    }

    fn fire(&mut self, n: usize, labels: Labels, annotations: Labels) {
        let first = self.sample.alerts.len();
        let alerts = (first..first + n).map(|at| AlertRef { fingerprint: format!("fp{at:04}"), starts_at: self.at }).collect();
        for at in first..first + n {
            let mut own = labels.clone();
            own.insert("instance".to_owned(), format!("orders-{}.eu-1:9187", at + 1));
            let mark = AlertMark { firing: true, starts_at: self.at, changed_at: self.at, labels: own, annotations: annotations.clone() };
            let row = AlertRow {
                incident: self.sample.incident.id,
                fingerprint: format!("fp{at:04}"),
                mark,
                last_seen_at: self.at,
                may_name: false,
            };
            self.sample.alerts.push(row);
        }
        let event = Event::AlertFired { delivery: DeliveryId::default(), alerts, labels, annotations, truncated: 0 };
        self.say(Span::ZERO, Actor::Source("prod-eu".to_owned()), event);
    }

    fn over(&mut self, n: usize) {
        let alerts: Vec<AlertRef> = self
            .sample
            .alerts
            .iter()
            .take(n + 1)
            .map(|row| AlertRef { fingerprint: row.fingerprint.clone(), starts_at: row.mark.starts_at })
            .collect();
        for row in &mut self.sample.alerts {
            row.mark.firing = false;
            row.mark.changed_at = self.at;
        }
        let event = Event::AlertResolved { delivery: DeliveryId::default(), alerts, truncated: 0 };
        self.say(Span::ZERO, Actor::Source("prod-eu".to_owned()), event);
    }

    fn classified(&mut self, priority: Priority, rule: &str, reason: &str, signals: &[(&str, f64)]) {
        let classification = Classification {
            rule: rule.to_owned(),
            priority,
            kind: self.sample.incident.labels.get("alertname").cloned().unwrap_or_default(),
            reason: reason.to_owned(),
            signals: signals.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect(),
            next: (priority == Priority::P1).then(|| "errors".to_owned()),
            warnings: Vec::new(),
            unmeasured: false,
        };
        self.engine(Event::Classified { classification, again: false });
        self.sample.incident.escalation.policy = "default".to_owned();
    }

    fn escalated(&mut self, level: u32, told: &[&str], done: u32, next: Span) {
        let event = Event::Escalated {
            level,
            round: 1,
            told: told.iter().map(|name| (*name).to_owned()).collect(),
            nobody: Vec::new(),
            done,
            started_at: Some(self.at),
            late_ms: 0,
            reason: "nobody has acknowledged".to_owned(),
            next_at: Some(self.at + next),
        };
        self.engine(event);
    }

    fn told(&mut self, notification: u32, channel: &str, person: Option<&str>, answer: Result<&str, &str>) {
        let (channel, person) = (channel.to_owned(), person.map(str::to_owned));
        let queued = Event::NotificationQueued {
            notification,
            channel: channel.clone(),
            person: person.clone(),
            template: "incident-opened".to_owned(),
            text: None,
            reason: "level 1".to_owned(),
        };
        self.engine(queued);
        self.wait(Span(900));
        self.engine(match answer {
            Ok(reply) => Event::NotificationSent { notification, channel, person, reply: reply.to_owned(), attempt: 1 },
            Err(reason) => {
                Event::NotificationFailed { notification, channel, person, reason: reason.to_owned(), attempt: 1, retry_at: None }
            }
        });
    }

    fn run(&self, ordinal: u32) -> RunId {
        RunId::derive(self.sample.incident.id, ordinal)
    }

    fn run_started(&mut self, ordinal: u32, playbook: &str) {
        let event = Event::RunStarted {
            run: self.run(ordinal),
            ordinal,
            playbook: playbook.to_owned(),
            title: title_of(playbook).to_owned(),
            revision: revision(playbook),
            requested_by: None,
            vars: Default::default(),
            parent: None,
        };
        self.engine(event);
    }

    fn step(&mut self, run: u32, id: &str, attempt: u32, planned: &PlannedStep, answer: Option<Result<(Value, u64), &str>>) {
        let at = StepRef { run: self.run(run), step: id.to_owned(), attempt, undo: false };
        let title = planned.1.to_owned();
        let params = if planned.5 { json!({ "database": "orders" }) } else { Value::Null };
        let target = planned.3.map(str::to_owned);
        let (action, destructive) = (planned.2.to_owned(), planned.5);
        self.engine(Event::StepStarted { at: at.clone(), title: title.clone(), action, target, params, destructive, items: Vec::new() });
        match answer {
            Some(Ok((output, duration_ms))) => {
                self.wait(Span(duration_ms));
                self.engine(Event::StepSucceeded { at, title, output, duration_ms });
            }
            Some(Err(reason)) => {
                self.wait(Span(380));
                let retry_at = planned.5.then(|| self.at + Span::seconds(361));
                self.engine(Event::StepFailed { at, title, reason: reason.to_owned(), retry_at, duration_ms: 380, unsure: false });
            }
            None => {}
        }
    }

    fn wait(&mut self, span: Span) {
        self.at = self.at + span;
    }

    fn engine(&mut self, event: Event) {
        self.say(Span(40), Actor::engine(), event);
    }

    fn by(&mut self, name: &str, event: Event) {
        self.say(Span::seconds(1), Actor::Person(name.to_owned()), event);
    }

    fn say(&mut self, after: Span, actor: Actor, event: Event) {
        self.at = self.at + after;
        let entry = Entry { seq: self.sample.incident.seq + 1, at: self.at, actor, event };
        self.sample.incident.apply(&entry);
        self.sample.entries.push(entry);
    }

    fn done(self) -> Sample {
        self.sample
    }
}

fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn title_of(playbook: &str) -> &'static str {
    match playbook {
        "database_connection_failure" => "Database connection failure",
        "high_memory_usage" => "Restart and gather evidence of the leak",
        _ => "Tell people and look around",
    }
}

fn revision(slug: &str) -> String {
    slug.bytes().fold(String::new(), |hex, byte| format!("{hex}{:02x}", byte.wrapping_mul(167)))
}

fn policy() -> Policy {
    let level = |name: &str, after| Level { notify: vec![name.to_owned()], after };
    let levels = vec![level("on-call", Span::ZERO), level("lead", Span::ZERO), level("managers", Span::minutes(15))];
    let plan = Plan { respond_within: Span::minutes(15), levels, repeat: 3 };
    Policy { name: DEFAULT.to_owned(), matchers: Vec::new(), plans: (1..=4).map(|n| (n, plan.clone())).collect() }
}

fn book(slug: &str, title: &str, priorities: &[Priority], steps: &[PlannedStep]) -> Arc<Playbook> {
    let types = if priorities.is_empty() { Vec::new() } else { vec![slug.to_owned()] };
    Arc::new(Playbook {
        slug: slug.to_owned(),
        title: title.to_owned(),
        revision: revision(slug),
        source: String::new(),
        trigger: Trigger { types, priorities: priorities.to_vec(), matchers: Vec::new(), ..Trigger::default() },
        limits: PlaybookLimits { concurrency: Some(1), per_target: None, ..PlaybookLimits::default() },
        vars: BTreeMap::new(),
        timeout: None,
        retry: Retry { attempts: 1, ..Retry::default() },
        recovered: false,
        shadow: false,
        autonomy: None,
        steps: steps.iter().filter_map(planned_step).map(Arc::new).collect(),
    })
}

fn planned_step(&(id, title, action, target, when, destructive): &PlannedStep) -> Option<Step> {
    let schema = Schema { names: BTreeMap::new() };
    Some(Step {
        id: id.to_owned(),
        lane: None,
        each: None,
        item_name: None,
        approval: None,
        title: title.to_owned(),
        // A condition that cannot be read here is not shown.
        when: when.and_then(|source| Expression::parse(source, &schema).ok()),
        action: action.to_owned(),
        target: target.map(str::to_owned),
        with: ValueTemplate::parse(&Value::Null, &schema).ok()?,
        timeout: Span::minutes(2),
        retry: Retry { attempts: 3, ..Retry::default() },
        on_failure: OnFailure::Stop,
        on_interrupt: OnInterrupt::Ask,
        undo: Undo::Never,
        check: None,
        destructive,
    })
}

fn kin(incident: &Incident) -> Kin {
    Kin {
        family: Family(incident.kind.clone(), incident.service.clone()),
        number: incident.number,
        priority: incident.priority.number(),
        open: incident.is_open(),
        opened_at: incident.opened_at,
        heard_at: incident.resolved_at.unwrap_or(NOW),
    }
}

#[async_trait]
impl Reads for Fake {
    async fn incidents(&self, query: &IncidentQuery) -> Result<Vec<Incident>, StoreError> {
        let status = |incident: &Incident| match query.status.as_deref() {
            None => true,
            Some("open") => incident.is_open(),
            Some(word) => incident.status.word() == word,
        };
        let holds = |incident: &&Incident| {
            status(incident)
                && query.priority.is_none_or(|priority| incident.priority.number() == priority)
                && query.service.as_ref().is_none_or(|service| incident.service == *service)
                && query.q.as_ref().is_none_or(|q| incident.title.to_lowercase().contains(&q.to_lowercase()))
                && query.before.is_none_or(|before| incident.number < before)
        };
        let mut found: Vec<Incident> = self.samples.iter().map(|sample| &sample.incident).filter(holds).cloned().collect();
        found.sort_by_key(|incident| std::cmp::Reverse(incident.number));
        found.truncate(query.limit as usize);
        Ok(found)
    }

    async fn incident(&self, name: IncidentName) -> Result<Option<Incident>, StoreError> {
        let is = |incident: &Incident| match name {
            IncidentName::Id(id) => incident.id == id,
            IncidentName::Number(number) => incident.number == number,
        };
        Ok(self.samples.iter().map(|sample| &sample.incident).find(|incident| is(incident)).cloned())
    }

    async fn timeline(&self, id: IncidentId, after: u64, limit: u32) -> Result<Vec<Entry>, StoreError> {
        Ok(self.log(id).filter(|entry| entry.seq > after).take(limit as usize).cloned().collect())
    }

    async fn timeline_backwards(&self, id: IncidentId, before: u64, limit: u32) -> Result<Vec<Entry>, StoreError> {
        let mut found: Vec<Entry> = self.log(id).filter(|entry| entry.seq < before).cloned().collect();
        found.reverse();
        found.truncate(limit as usize);
        Ok(found)
    }

    async fn alerts(&self, id: IncidentId, limit: u32) -> Result<Vec<AlertRow>, StoreError> {
        let of = self.samples.iter().filter(|sample| sample.incident.id == id).flat_map(|sample| &sample.alerts);
        Ok(of.take(limit as usize).cloned().collect())
    }

    async fn incident_of_run(&self, run: RunId) -> Result<Option<IncidentId>, StoreError> {
        Ok(self.samples.iter().map(|sample| &sample.incident).find(|incident| incident.runs.contains_key(&run)).map(|found| found.id))
    }

    async fn delivery(&self, _id: DeliveryId) -> Result<Option<DeliveryReport>, StoreError> {
        Ok(None)
    }

    async fn changes_since(&self, _position: i64, _limit: u32) -> Result<Vec<Change>, StoreError> {
        Ok(Vec::new())
    }

    async fn kin(&self, families: &[Family], limit: u32) -> Result<Vec<Kin>, StoreError> {
        let mut all: Vec<&Incident> = self.samples.iter().map(|sample| &sample.incident).collect();
        all.sort_by_key(|incident| std::cmp::Reverse(incident.number));
        let of = |family: &Family| {
            let own = all.iter().filter(|one| one.kind == family.0 && one.service == family.1).take(limit as usize).map(|one| kin(one));
            own.collect::<Vec<_>>()
        };
        Ok(families.iter().flat_map(of).collect())
    }

    async fn totals(&self) -> Result<Totals, StoreError> {
        let mut totals = Totals {
            deliveries: 1_204,
            last_delivery_at: Some(NOW - Span::seconds(14)),
            last_delivery_from: Some("prod-eu".to_owned()),
            ..Totals::default()
        };
        if self.held {
            let hold = Hold { by: "Ana <b>".to_owned(), at: NOW - Span::minutes(4), reason: "it makes it <worse>".to_owned() };
            totals.holds.put(Hand::Person, hold);
        }
        for incident in self.samples.iter().map(|sample| &sample.incident).filter(|incident| incident.is_open()) {
            totals.open[usize::from(incident.priority.number()) - 1] += 1;
            totals.unacknowledged += u64::from(incident.acknowledged_at.is_none());
        }
        Ok(totals)
    }

    async fn overview(&self, _now: Timestamp) -> Result<Overview, StoreError> {
        let peer = |name: &str, role, seen| Peer {
            name: name.to_owned(),
            url: Some(format!("http://{name}:5001")),
            version: "0.1.0".to_owned(),
            role,
            since: NOW - Span::minutes(52),
            seen: Span(seen),
        };
        Ok(Overview {
            peers: vec![
                peer("db1:5001", Role::Active, 800),
                peer("<b>db2</b>:5001", Role::StandingBy, 64_000),
                peer("db3:5001", Role::Stopped, 7_200_000),
            ],
            holder: Some("db1:5001".to_owned()),
            epoch: Some(4),
            lease_age: Some(Span(800)),
            oldest_due: None,
            inbox: 3,
            oldest_in_inbox: Some(Span(120)),
        })
    }
}

impl Fake {
    fn log(&self, id: IncidentId) -> impl Iterator<Item = &Entry> {
        self.samples.iter().filter(move |sample| sample.incident.id == id).flat_map(|sample| &sample.entries)
    }
}
