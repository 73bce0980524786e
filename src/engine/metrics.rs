//! The numbers that Prometheus may ask for: one typed verb for each thing that is counted or measured.
//! Knows no HTTP; whoever serves them asks for the text.

mod nodes;

use std::fmt;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::{Family, MetricConstructor};
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::domain::priority::Priority;
use crate::domain::time::Span;
use crate::engine::metrics::nodes::NodeMetrics;
use crate::engine::nodes::Overview;

/// The media type of [`Metrics::text`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Everything counted since the start. Shared by the engine and the web.
pub struct Metrics {
    registry: Registry,
    deliveries: Family<DeliveryLabels, Counter>,
    alerts: Family<StatusLabels, Counter>,
    incidents_open: Family<PriorityLabels, Gauge>,
    incidents: Family<IncidentLabels, Counter>,
    runs: Family<RunLabels, Counter>,
    steps: Family<StepLabels, Counter>,
    step_duration: Histogram,
    notifications: Family<NotificationLabels, Counter>,
    escalations: Family<LevelLabels, Counter>,
    jobs_pending: Family<KindLabels, Gauge>,
    active: Gauge,
    automation_held: Gauge,
    watch: Family<CheckLabels, Gauge>,
    heartbeats: Family<OutcomeLabels, Counter>,
    sign_ins: Family<OutcomeLabels, Counter>,
    nodes: NodeMetrics,
    timer_lag: Histogram,
    delivery_to_first_step: Histogram,
    http_request_duration: Family<RequestLabels, Histogram, Buckets>,
    store_commit: Histogram,
    store_batch_size: Histogram,
    acknowledge: Histogram,
    resolve: Histogram,
    poisoned: Family<KindLabels, Counter>,
    let_go: Family<KindLabels, Counter>,
}

impl Metrics {
    pub fn new() -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("reynard"),
            deliveries: Family::default(),
            alerts: Family::default(),
            incidents_open: Family::default(),
            incidents: Family::default(),
            runs: Family::default(),
            steps: Family::default(),
            step_duration: Buckets::Seconds.new_metric(),
            notifications: Family::default(),
            escalations: Family::default(),
            jobs_pending: Family::default(),
            active: Gauge::default(),
            automation_held: Gauge::default(),
            watch: Family::default(),
            heartbeats: Family::default(),
            sign_ins: Family::default(),
            nodes: NodeMetrics::default(),
            timer_lag: Buckets::Seconds.new_metric(),
            delivery_to_first_step: Buckets::Seconds.new_metric(),
            http_request_duration: Family::new_with_constructor(Buckets::Quick),
            store_commit: Buckets::Quick.new_metric(),
            store_batch_size: Buckets::Sizes.new_metric(),
            acknowledge: Buckets::Hours.new_metric(),
            resolve: Buckets::Hours.new_metric(),
            poisoned: Family::default(),
            let_go: Family::default(),
        };
        metrics.register();
        metrics
    }

    fn register(&mut self) {
        let registry = &mut self.registry;
        registry.register("deliveries", "Webhook calls received, by what became of them", self.deliveries.clone());
        registry.register("alerts", "Alerts read from deliveries, by status", self.alerts.clone());
        registry.register("incidents_open", "Incidents that are not resolved", self.incidents_open.clone());
        registry.register("incidents", "Incidents opened", self.incidents.clone());
        registry.register("runs", "Playbook runs, by the status they reached", self.runs.clone());
        registry.register("steps", "Step attempts, by the status they reached", self.steps.clone());
        registry.register("step_duration_seconds", "How long step attempts took", self.step_duration.clone());
        registry.register("notifications", "Messages to people and channels, by how they went", self.notifications.clone());
        registry.register("escalations", "Escalation levels told", self.escalations.clone());
        registry.register("jobs_pending", "Work stored and not settled", self.jobs_pending.clone());
        registry.register("active", "1 on the node that does the work, 0 on one that stands by", self.active.clone());
        registry.register("automation_held", "1 while somebody, a file or the settings hold automation", self.automation_held.clone());
        registry.register("watch_faults", "What the last look at itself found wrong, by what was looked at", self.watch.clone());
        registry.register("heartbeats", "Words to somebody outside that all is well, by how they went", self.heartbeats.clone());
        registry.register("sign_ins", "Passwords that were tried, by what became of it", self.sign_ins.clone());
        self.nodes.register(registry);
        registry.register("timer_lag_seconds", "How late timers were carried out", self.timer_lag.clone());
        let first_step = "From receiving a delivery to beginning the first step it caused";
        registry.register("delivery_to_first_step_seconds", first_step, self.delivery_to_first_step.clone());
        let request = "How long answers to HTTP requests took";
        registry.register("http_request_duration_seconds", request, self.http_request_duration.clone());
        registry.register("store_commit_seconds", "How long commits took, the sync to disk included", self.store_commit.clone());
        registry.register("store_batch_size", "Commands that shared one commit", self.store_batch_size.clone());
        registry.register("acknowledge_seconds", "From opening an incident to its acknowledgement", self.acknowledge.clone());
        registry.register("resolve_seconds", "From opening an incident to its end", self.resolve.clone());
        let poisoned = "Deliveries and commands that could not be worked: a mistake of Reynard's, or the database refuses them";
        registry.register("poisoned", poisoned, self.poisoned.clone());
        // An alert on a counter needs its first step to be seen.
        for kind in ["delivery", "command"] {
            drop(self.poisoned.get_or_create(&KindLabels { kind }));
        }
        registry.register("let_go", "Rows too old to be kept that were deleted", self.let_go.clone());
    }

    /// A webhook call: `stored`, `unreadable`, `unauthorized`, `too_large`, `wrong_type` or `unavailable`.
    pub fn delivery(&self, source: &str, outcome: &'static str) {
        self.deliveries.get_or_create(&DeliveryLabels { source: source.to_owned(), outcome }).inc();
    }

    /// Alerts of a delivery: `firing`, `resolved` or `rejected`.
    pub fn alerts(&self, status: &'static str, count: u64) {
        self.alerts.get_or_create(&StatusLabels { status }).inc_by(count);
    }

    /// How many incidents are open now, P1 first.
    pub fn incidents_open(&self, open: [u64; 4]) {
        for (priority, count) in Priority::ALL.into_iter().zip(open) {
            self.incidents_open.get_or_create(&PriorityLabels { priority: priority.to_string() }).set(signed(count));
        }
    }

    pub fn incident(&self, priority: Priority, kind: &str) {
        self.incidents.get_or_create(&IncidentLabels { priority: priority.to_string(), r#type: kind.to_owned() }).inc();
    }

    pub fn run(&self, playbook: &str, status: &'static str) {
        self.runs.get_or_create(&RunLabels { playbook: playbook.to_owned(), status }).inc();
    }

    pub fn step(&self, action: &str, status: &'static str, took: Duration) {
        self.steps.get_or_create(&StepLabels { action: action.to_owned(), status }).inc();
        self.step_duration.observe(took.as_secs_f64());
    }

    pub fn notification(&self, channel: &str, status: &'static str) {
        self.notifications.get_or_create(&NotificationLabels { channel: channel.to_owned(), status }).inc();
    }

    pub fn escalation(&self, level: u32) {
        self.escalations.get_or_create(&LevelLabels { level }).inc();
    }

    /// Whether this node does the work.
    pub fn active(&self, active: bool) {
        self.active.set(i64::from(active));
    }

    /// Whether anything holds automation.
    pub fn automation_held(&self, held: bool) {
        self.automation_held.set(i64::from(held));
    }

    pub fn watch(&self, check: &'static str, faults: usize) {
        self.watch.get_or_create(&CheckLabels { check }).set(signed(faults as u64));
    }

    /// `sent` or `failed`.
    pub fn heartbeat(&self, outcome: &'static str) {
        self.heartbeats.get_or_create(&OutcomeLabels { outcome }).inc();
    }

    /// `signed_in`, `refused`, `throttled` or `unavailable`.
    pub fn sign_in(&self, outcome: &'static str) {
        self.sign_ins.get_or_create(&OutcomeLabels { outcome }).inc();
    }

    /// The nodes that share the database, and how late the work is.
    pub fn nodes(&self, overview: &Overview) {
        self.nodes.show(overview);
    }

    /// How much work of a kind is stored and not settled now.
    pub fn jobs_pending(&self, kind: &'static str, count: u64) {
        self.jobs_pending.get_or_create(&KindLabels { kind }).set(signed(count));
    }

    /// Rows of a kind that were too old to be kept.
    pub fn let_go(&self, kind: &'static str, rows: u64) {
        self.let_go.get_or_create(&KindLabels { kind }).inc_by(rows);
    }

    pub fn timer_lag(&self, late: Span) {
        self.timer_lag.observe(late.to_std().as_secs_f64());
    }

    pub fn first_step(&self, after_delivery: Span) {
        self.delivery_to_first_step.observe(after_delivery.to_std().as_secs_f64());
    }

    pub fn request(&self, route: &str, method: &str, status: u16, took: Duration) {
        let labels = RequestLabels { route: route.to_owned(), method: method.to_owned(), status };
        self.http_request_duration.get_or_create(&labels).observe(took.as_secs_f64());
    }

    /// One commit, with the number of commands in it.
    pub fn commit(&self, commands: usize, took: Duration) {
        self.store_commit.observe(took.as_secs_f64());
        self.store_batch_size.observe(f64::from(u32::try_from(commands).unwrap_or(u32::MAX)));
    }

    pub fn acknowledged(&self, after_opening: Span) {
        self.acknowledge.observe(after_opening.to_std().as_secs_f64());
    }

    pub fn resolved(&self, after_opening: Span) {
        self.resolve.observe(after_opening.to_std().as_secs_f64());
    }

    /// What could never be worked: a `delivery` or a `command`.
    pub fn poisoned(&self, kind: &'static str) {
        self.poisoned.get_or_create(&KindLabels { kind }).inc();
    }

    /// All of it, as [`CONTENT_TYPE`].
    pub fn text(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// The scales that durations and sizes are sorted into.
#[derive(Clone, Copy)]
enum Buckets {
    /// 1 ms to 10 s.
    Quick,
    /// 10 ms to 10 min.
    Seconds,
    /// 30 s to two days.
    Hours,
    /// 1 to 4,096.
    Sizes,
}

impl MetricConstructor<Histogram> for Buckets {
    fn new_metric(&self) -> Histogram {
        let bounds: &[f64] = match self {
            Self::Quick => &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0],
            Self::Seconds => &[0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0],
            Self::Hours => &[30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1800.0, 3600.0, 7200.0, 14400.0, 28800.0, 86400.0, 172800.0],
            Self::Sizes => &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0, 4096.0],
        };
        Histogram::new(bounds.iter().copied())
    }
}

macro_rules! labels {
    ($($name:ident { $($label:ident: $kind:ty),+ })+) => {
        $(
            #[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
            struct $name { $($label: $kind),+ }
        )+
    };
}

labels! {
    DeliveryLabels { source: String, outcome: &'static str }
    StatusLabels { status: &'static str }
    PriorityLabels { priority: String }
    IncidentLabels { priority: String, r#type: String }
    RunLabels { playbook: String, status: &'static str }
    StepLabels { action: String, status: &'static str }
    NotificationLabels { channel: String, status: &'static str }
    LevelLabels { level: u32 }
    KindLabels { kind: &'static str }
    CheckLabels { check: &'static str }
    OutcomeLabels { outcome: &'static str }
    RequestLabels { route: String, method: String, status: u16 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_promised_name_is_there() {
        let metrics = Metrics::new();
        metrics.delivery("prod", "stored");
        metrics.alerts("firing", 2);
        metrics.incidents_open([1, 0, 0, 2]);
        metrics.incident(Priority::P1, "service_down");
        metrics.run("restart", "succeeded");
        metrics.step("http.request", "failed", Duration::from_millis(20));
        metrics.notification("email", "sent");
        metrics.escalation(2);
        metrics.jobs_pending("send", 3);
        metrics.timer_lag(Span(5));
        metrics.first_step(Span(5));
        metrics.request("/health", "GET", 200, Duration::from_millis(1));
        metrics.commit(4, Duration::from_millis(2));
        metrics.acknowledged(Span::minutes(3));
        metrics.resolved(Span::minutes(9));
        metrics.poisoned("command");
        metrics.automation_held(true);
        metrics.watch("timers", 2);
        metrics.heartbeat("sent");
        let text = metrics.text().expect("it can be written");
        for line in [
            "reynard_deliveries_total{source=\"prod\",outcome=\"stored\"} 1",
            "reynard_alerts_total{status=\"firing\"} 2",
            "reynard_incidents_open{priority=\"P4\"} 2",
            "reynard_incidents_total{priority=\"P1\",type=\"service_down\"} 1",
            "reynard_runs_total{playbook=\"restart\",status=\"succeeded\"} 1",
            "reynard_steps_total{action=\"http.request\",status=\"failed\"} 1",
            "reynard_step_duration_seconds_count 1",
            "reynard_notifications_total{channel=\"email\",status=\"sent\"} 1",
            "reynard_escalations_total{level=\"2\"} 1",
            "reynard_jobs_pending{kind=\"send\"} 3",
            "reynard_timer_lag_seconds_count 1",
            "reynard_delivery_to_first_step_seconds_count 1",
            "reynard_http_request_duration_seconds_count{route=\"/health\",method=\"GET\",status=\"200\"} 1",
            "reynard_store_commit_seconds_count 1",
            "reynard_store_batch_size_sum 4",
            "reynard_acknowledge_seconds_sum 180",
            "reynard_resolve_seconds_sum 540",
            "reynard_poisoned_total{kind=\"delivery\"} 0",
            "reynard_poisoned_total{kind=\"command\"} 1",
            "reynard_automation_held 1",
            "reynard_watch_faults{check=\"timers\"} 2",
            "reynard_heartbeats_total{outcome=\"sent\"} 1",
        ] {
            assert!(text.contains(line), "{line} is missing in\n{text}");
        }
    }
}
