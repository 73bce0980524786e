//! Reads the past out of a database, beside a running server or not, and has it lived through under edited files. Changes nothing.

use std::path::Path;
use std::sync::mpsc::{SyncSender, sync_channel};

use anyhow::{Context, bail};

use crate::action::catalog;
use crate::app::{self, RealSecrets};
use crate::carried;
use crate::config::diagnostic::Diagnostics;
use crate::config::files::Files;
use crate::config::load;
use crate::domain::secret::Secret;
use crate::domain::settings::{Rulebook, Settings};
use crate::domain::time::{Span, Timestamp};
use crate::domain::timeline::{Actor, Entry};
use crate::engine::archive::{Archive, DeliveryRecord, EntryRecord, Stretch};
use crate::engine::wire;
use crate::rehearsal::backtest::{Delivered, Outcome, backtest as live_again};
use crate::rehearsal::hindsight::hindsight;
use crate::rehearsal::past::Past;
use crate::rehearse;
use crate::store::catalog as databases;

/// Rows read at once.
const PAGE: u32 = 2_000;
/// Pages that lie ready while others are lived through.
const AHEAD: usize = 4;

/// What is asked.
pub struct Asked<'a> {
    pub config: &'a Path,
    pub playbooks: &'a Path,
    /// A draft that stands for the playbook of its name.
    pub draft: Option<&'a Path>,
    pub database_url: Option<&'a str>,
    pub since: Span,
}

/// What came of it, and what the past says against the files.
pub struct Told {
    pub outcome: Outcome,
    pub hindsight: Diagnostics,
}

/// Lives through it all; `progress` hears of deliveries done and of all.
pub async fn backtest(asked: &Asked<'_>, progress: &mut (dyn FnMut(u64, u64) + Send)) -> anyhow::Result<Told> {
    let (files, settings) = read(asked)?;
    let url = asked.database_url.map_or_else(|| settings.database_url.clone(), |url| Secret::new(url.to_owned()));
    let archive = databases::archive(&url).await?;
    let outcome = live_through(archive.as_ref(), &settings.rulebook, app::now() - asked.since, progress).await?;
    let hindsight = hindsight(&outcome.seen, files.settings.as_ref(), &files.playbooks);
    Ok(Told { outcome, hindsight })
}

/// The past of a database since an instant, under other rules.
pub async fn live_through(
    archive: &dyn Archive,
    rulebook: &Rulebook,
    since: Timestamp,
    progress: &mut (dyn FnMut(u64, u64) + Send),
) -> anyhow::Result<Outcome> {
    let past = past(archive, since).await?;
    let all = archive.deliveries_since(since.0).await?;
    let (send, come) = sync_channel::<Vec<Delivered>>(AHEAD);
    let rulebook = rulebook.clone();
    // One core reads, the other one lives through it.
    let living = std::thread::spawn(move || live_again(&rulebook, past, come.into_iter().flatten()));
    let read = deliver(archive, since, &send, &mut |done| progress(done, all)).await;
    drop(send);
    let outcome = living.join().map_err(|_| anyhow::anyhow!("living through it ended in a mistake of Reynard's"))?;
    read.map(|()| outcome)
}

fn read(asked: &Asked<'_>) -> anyhow::Result<(Files, Settings)> {
    let mut files = Files::gather(asked.config, asked.playbooks, &carried::playbooks())
        .with_context(|| format!("cannot read {} and {}", asked.config.display(), asked.playbooks.display()))?;
    if let Some(draft) = asked.draft {
        rehearse::put_draft(&mut files, draft, asked.playbooks)?;
    }
    let loaded = load::load(&files, &catalog::specs(), &RealSecrets, None);
    match loaded.settings {
        // A playbook that is left out would look like one that is not wanted any more.
        Some(settings) if !loaded.diagnostics.has_errors() => Ok((files, settings)),
        _ => bail!("there are errors:\n{}", loaded.diagnostics.to_text(false)),
    }
}

async fn past(archive: &dyn Archive, since: Timestamp) -> anyhow::Result<Past> {
    let mut past = Past::default();
    let mut after = 0;
    loop {
        let page = archive.log(Stretch { since: since.0, after, limit: PAGE }).await?;
        for (incident, record) in &page {
            after = record.position;
            if let (Ok(id), Some(entry)) = (incident.parse(), entry(record)) {
                past.take(id, &entry);
            }
        }
        if page.len() < PAGE as usize {
            return Ok(past);
        }
    }
}

/// None for an entry of a kind that this version does not know.
fn entry(record: &EntryRecord) -> Option<Entry> {
    let name = record.actor.clone();
    let actor = match record.actor_kind.as_str() {
        "person" => Actor::Person(name),
        "source" => Actor::Source(name),
        _ => Actor::Engine(name),
    };
    Some(Entry { seq: record.seq.unsigned_abs(), at: Timestamp(record.at), actor, event: serde_json::from_str(&record.event).ok()? })
}

async fn deliver(
    archive: &dyn Archive,
    since: Timestamp,
    send: &SyncSender<Vec<Delivered>>,
    progress: &mut (dyn FnMut(u64) + Send),
) -> anyhow::Result<()> {
    let (mut after, mut done) = (0, 0);
    loop {
        let page = archive.deliveries(Stretch { since: since.0, after, limit: PAGE }).await?;
        let whole = page.len() == PAGE as usize;
        done += page.len() as u64;
        after = page.last().map_or(after, |last| last.position);
        let gone = send.send(page.into_iter().filter_map(delivered).collect()).is_err();
        progress(done);
        if gone || !whole {
            return Ok(());
        }
    }
}

/// None for one that cannot be read: it was stored only because it came.
fn delivered(record: DeliveryRecord) -> Option<Delivered> {
    let says = wire::parse(&record.body).ok()?;
    Some(Delivered { id: record.id.parse().ok()?, source: record.source, received_at: Timestamp(record.received_at), says })
}
