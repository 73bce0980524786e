//! The lanes of the alerts: when each fired and until when. Knows no steps and no people.

use std::collections::BTreeMap;

use crate::domain::time::Timestamp;
use crate::domain::timeline::{Entry, Event};
use crate::web::pages::view::gantt::lanes::{Interval, bars};
use crate::web::pages::view::gantt::scale::Scale;
use crate::web::pages::view::gantt::{Drawn, LaneView};

/// How many lanes the alerts have before the rest shares one.
const ALERTS: usize = 4;

/// From when until when something fired, in order; the last without an end while it still does.
type Story = Vec<(Timestamp, Option<Timestamp>)>;

/// One lane for all alerts with the same story; the rest together.
pub fn alerts(drawn: &Drawn<'_>, scale: &Scale) -> Vec<LaneView> {
    let mut stories: Vec<(Story, Vec<&str>)> = Vec::new();
    for (fingerprint, story) in alert_stories(drawn.entries) {
        match stories.iter_mut().find(|(known, _)| *known == story) {
            Some((_, names)) => names.push(fingerprint),
            None => stories.push((story, vec![fingerprint])),
        }
    }
    stories.sort_by_key(|(story, names)| (story.first().map(|(from, _)| *from), std::cmp::Reverse(names.len())));
    if stories.len() > ALERTS {
        let rest: Vec<_> = stories.drain(ALERTS - 1..).collect();
        let names = rest.iter().flat_map(|(_, names)| names.iter().copied()).collect();
        stories.push((union(rest.into_iter().flat_map(|(story, _)| story).collect()), names));
    }
    let lane = |(at, (story, names)): (usize, (Story, Vec<&str>))| {
        let label = match names.as_slice() {
            [one] => alert_name(drawn, one),
            many => format!("{} alerts", many.len()),
        };
        let firing = |(from, to)| Interval { from, to, tone: "bad", hatched: false, words: format!("{label}, firing") };
        LaneView { bars: bars(drawn, scale, story.into_iter().map(firing).collect()), head: at == 0, label, ..LaneView::default() }
    };
    stories.into_iter().enumerate().map(lane).collect()
}

/// When each alert fired and until when.
fn alert_stories(entries: &[Entry]) -> BTreeMap<&str, Story> {
    let mut stories: BTreeMap<&str, Story> = BTreeMap::new();
    for entry in entries {
        match &entry.event {
            Event::AlertFired { alerts, .. } => {
                for alert in alerts {
                    let story = stories.entry(&alert.fingerprint).or_default();
                    if story.last().is_none_or(|(_, to)| to.is_some()) {
                        story.push((entry.at, None));
                    }
                }
            }
            Event::AlertResolved { alerts, .. } => {
                for alert in alerts {
                    let last = stories.get_mut(alert.fingerprint.as_str()).and_then(|story| story.last_mut());
                    if let Some((_, to @ None)) = last {
                        *to = Some(entry.at);
                    }
                }
            }
            _ => {}
        }
    }
    stories
}

fn union(mut all: Story) -> Story {
    all.sort_by_key(|(from, _)| *from);
    let mut joined: Story = Vec::new();
    for (from, to) in all {
        match joined.last_mut() {
            Some((_, None)) => {}
            Some((_, Some(last))) if from <= *last => {
                if let Some((_, end)) = joined.last_mut() {
                    *end = to.map(|to| end.map_or(to, |end| end.max(to)));
                }
            }
            _ => joined.push((from, to)),
        }
    }
    joined
}

/// An alert by what sets it apart from its siblings.
fn alert_name(drawn: &Drawn<'_>, fingerprint: &str) -> String {
    let labels = drawn.alerts.iter().find(|row| row.fingerprint == fingerprint).map(|row| &row.mark.labels);
    let own = labels.and_then(|labels| {
        let common = &drawn.incident.labels;
        let apart = labels.iter().find(|(name, value)| common.get(*name) != Some(value)).map(|(_, value)| value.clone());
        labels.get("instance").cloned().or(apart).or_else(|| labels.get("alertname").cloned())
    });
    own.unwrap_or_else(|| "1 alert".to_owned())
}
