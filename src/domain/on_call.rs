//! Stub.
use crate::domain::{
    cron::Cron,
    time::{Span, Timestamp},
};
use std::collections::{BTreeMap, BTreeSet};
#[derive(Clone, Debug)]
pub struct Rotation {
    pub people: Vec<String>,
    pub handoff: Cron,
    pub starts_at: Option<Timestamp>,
}
#[derive(Clone, Debug)]
pub struct Schedule {
    pub time_zone: chrono_tz::Tz,
    pub rotations: Vec<Rotation>,
}
impl Schedule {
    pub fn on_call_at(&self, _at: Timestamp) -> Vec<String> {
        vec![]
    }
}
#[derive(Clone, Debug)]
pub struct NotifyRule {
    pub channel: String,
    pub after: Span,
}
#[derive(Clone, Debug)]
pub struct Person {
    pub name: String,
    pub email: Option<String>,
    pub slack: Option<String>,
    pub notify: Vec<NotifyRule>,
}
#[derive(Clone, Debug, Default)]
pub struct Directory {
    pub people: BTreeMap<String, Person>,
    pub schedules: BTreeMap<String, Schedule>,
    pub channels: BTreeSet<String>,
}
#[derive(Clone, Debug, PartialEq)]
pub enum Recipient {
    Person { name: String, channel: String, after: Span },
    Channel { channel: String },
}
#[derive(Clone, Debug, Default)]
pub struct Resolution {
    pub recipients: Vec<Recipient>,
    pub unknown: Vec<String>,
}
impl Directory {
    pub fn resolve(&self, _to: &[String], _schedule: Option<&str>, _at: Timestamp) -> Resolution {
        Resolution::default()
    }
}
