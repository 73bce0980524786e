//! Looking after the data: verify, export, backup, restore. Joins the store with what checks and tells it; serves nobody.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use serde_json::json;

use crate::action::catalog;
use crate::app::{self, Place};
use crate::domain::database::{is_postgres, shown};
use crate::domain::id::{DeliveryId, IncidentId};
use crate::domain::incident::Incident;
use crate::domain::report::Report;
use crate::domain::run::Run;
use crate::domain::secret::Secret;
use crate::domain::settings::Settings;
use crate::domain::timeline::{Entry, Event};
use crate::engine::store::{IncidentName, Reads};
use crate::engine::verify::{Listener, Verified, verify};
use crate::rehearsal::author;
use crate::store::carry::carry;
use crate::store::catalog as databases;
use crate::store::sqlite::archive::SqliteArchive;
use crate::store::sqlite::backup;
use crate::web::api::incidents::{AlertBody, EntryBody, IncidentBody};
use crate::web::api::runs::RunBody;

const PAGE: u32 = 5_000;

/// Whoever looks after one database.
pub struct Keeper {
    settings: Settings,
}

/// How an incident is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    Markdown,
    Json,
}

/// A history that was carried over.
#[derive(Debug)]
pub struct Migrated {
    /// Rows that went over, by table; empty ones are left out.
    pub tables: Vec<(String, u64)>,
    pub verified: Verified,
}

/// Who hears how far a move has come, and then how far the look at it.
pub trait Watcher: Listener {
    /// Rows.
    fn carried(&mut self, done: u64, all: u64);
}

/// A restored database.
#[derive(Debug)]
pub struct Restored {
    pub verified: Verified,
    pub database: PathBuf,
    /// Where what was there lies now.
    pub kept: Option<PathBuf>,
}

impl Keeper {
    /// Of the database that the settings file names, or that `url` says instead.
    pub fn of(config: &Path, url: Option<&str>) -> anyhow::Result<Self> {
        let place = Place {
            config: config.to_owned(),
            // Playbooks do not matter here, so that broken ones keep nobody from a backup.
            playbooks: PathBuf::from("/nonexistent"),
            messages: PathBuf::from("/nonexistent"),
            listen: None,
            database_url: url.map(str::to_owned),
        };
        let loaded = app::read_files(&place, None)?;
        let Some(mut settings) = loaded.settings else {
            bail!("{} has errors:\n{}", config.display(), loaded.diagnostics.to_text(false));
        };
        app::overrule(&mut settings, &place);
        Ok(Self { settings })
    }

    /// The address of its database.
    pub fn url(&self) -> &str {
        self.settings.database_url.expose()
    }

    pub async fn verify(&self, listener: &mut dyn Listener) -> anyhow::Result<Verified> {
        let archive = databases::archive(&self.settings.database_url).await?;
        Ok(verify(archive.as_ref(), listener).await?)
    }

    pub async fn export(&self, name: &str, form: Form) -> anyhow::Result<String> {
        let reads = databases::beside(&self.settings.database_url).await?;
        let reads = reads.as_ref();
        let incident = reads.incident(named(name)?).await?.with_context(|| format!("there is no incident {name}"))?;
        let entries = whole_log(reads, &incident).await?;
        match form {
            Form::Markdown => Ok(Report { incident: &incident, entries: &entries }.markdown()),
            Form::Json => self.as_json(reads, &incident, &entries).await,
        }
    }

    /// A test that says what became of an incident.
    pub async fn test_of(&self, name: &str) -> anyhow::Result<(u64, String)> {
        let reads = databases::beside(&self.settings.database_url).await?;
        let reads = reads.as_ref();
        let mut incident = reads.incident(named(name)?).await?.with_context(|| format!("there is no incident {name}"))?;
        let entries = whole_log(reads, &incident).await?;
        let alerts = reads.alerts(incident.id, u32::MAX).await?;
        incident.alerts = alerts.into_iter().map(|row| (row.fingerprint, row.mark)).collect();
        let mut letters = Vec::new();
        for id in deliveries(&entries) {
            let report = reads.delivery(id.parse()?).await?;
            let delivery = report.with_context(|| format!("delivery {id} is not kept any more (retention.deliveries)"))?.delivery;
            letters.push(author::Letter { source: delivery.source, received_at: delivery.received_at, body: delivery.body });
        }
        Ok((incident.number, author::file(&incident, &entries, &letters, &catalog::specs())))
    }

    /// The shapes of the API, so that whoever reads one reads the other.
    async fn as_json(&self, reads: &dyn Reads, incident: &Incident, entries: &[Entry]) -> anyhow::Result<String> {
        let alerts = reads.alerts(incident.id, u32::MAX).await?;
        let runs =
            all_runs(incident, entries).into_iter().map(|run| RunBody::new(incident, &run, &self.settings.rulebook)).collect::<Vec<_>>();
        let told = json!({
            "incident": IncidentBody::new(incident, &self.settings.rulebook),
            "timeline": entries.iter().map(EntryBody::new).collect::<Vec<_>>(),
            "alerts": alerts.into_iter().map(AlertBody::new).collect::<Vec<_>>(),
            "runs": runs,
            "deliveries": deliveries(entries),
        });
        Ok(format!("{told:#}\n"))
    }

    /// Copies, looks whether the copy is whole, and only then lets it appear.
    pub async fn backup(&self, to: &Path, force: bool, listener: &mut dyn Listener) -> anyhow::Result<Verified> {
        let path = self.file(&format_args!(
            "PostgreSQL is backed up with its own tools, or by whoever runs it for you:\n  pg_dump --format=custom --file={} \"$REYNARD_DATABASE_URL\"",
            to.display()
        ))?;
        if to.exists() && !force {
            bail!("{} is there already; choose another name, or say --force to write over it", to.display());
        }
        if is_the_database(path, to) {
            bail!("{} is the database itself; choose another name", to.display());
        }
        let copy = backup::copy(path, to).await?;
        let verified = look(copy.path(), listener).await?;
        if verified.faults == 0 {
            copy.keep()?;
        }
        Ok(verified)
    }

    /// Refuses while a server has the database. Nothing is touched before the backup is found to be whole.
    pub async fn restore(&self, from: &Path, listener: &mut dyn Listener) -> anyhow::Result<Restored> {
        let path = self.file(&format_args!(
            "PostgreSQL is restored with its own tools, or by whoever runs it for you. Stop every Reynard, then:\n  pg_restore --clean --if-exists --dbname=\"$REYNARD_DATABASE_URL\" {}",
            from.display()
        ))?;
        if is_the_database(path, from) {
            bail!("{} is the database itself", from.display());
        }
        let vacant = backup::vacate(path)?;
        let copy = vacant.bring(from).await?;
        let mut restored = Restored { verified: look(copy.path(), listener).await?, database: path.to_owned(), kept: None };
        if restored.verified.faults == 0 {
            let stamp = app::now().to_utc().format("%Y%m%dT%H%M%S%3fZ");
            let kept = PathBuf::from(format!("{}.before-restore-{stamp}", path.display()));
            restored.kept = vacant.replace(copy, &kept).await?.then_some(kept);
        }
        Ok(restored)
    }

    /// The file; with PostgreSQL there is none, and `instead` says what to do.
    fn file(&self, instead: &dyn Display) -> anyhow::Result<&Path> {
        databases::file(&self.settings.database_url).with_context(|| instead.to_string())
    }
}

/// Carries a SQLite file's whole history over into an empty PostgreSQL, and looks whether all of it fits there.
pub async fn migrate(from: &str, to: &str, watcher: &mut dyn Watcher) -> anyhow::Result<Migrated> {
    let (from, to) = (Secret::new(from), Secret::new(to));
    let path = databases::file(&from)
        .with_context(|| format!("--from names a SQLite file, as sqlite://data/reynard.db; this is {}", shown(from.expose())))?;
    if !is_postgres(to.expose()) {
        bail!("--to names a PostgreSQL, as postgres://reynard:PASSWORD@db.internal/reynard");
    }
    let carried = carry(path, to.expose(), &mut |done, all| watcher.carried(done, all)).await?;
    let verified = verify(databases::archive(&to).await?.as_ref(), watcher).await?;
    let tables = carried.into_iter().filter(|table| table.rows > 0).map(|table| (table.table, table.rows)).collect();
    Ok(Migrated { tables, verified })
}

async fn look(path: &Path, listener: &mut dyn Listener) -> anyhow::Result<Verified> {
    Ok(verify(&SqliteArchive::open(path).await?, listener).await?)
}

fn named(text: &str) -> anyhow::Result<IncidentName> {
    let plain = text.strip_prefix('#').unwrap_or(text);
    if let Ok(number) = plain.parse() {
        return Ok(IncidentName::Number(number));
    }
    let id = plain.parse::<IncidentId>().map_err(|_| anyhow::anyhow!("\"{text}\" names no incident; give its number or its UUID"))?;
    Ok(IncidentName::Id(id))
}

/// As far as the incident that was read goes; what was written since is left out.
async fn whole_log(reads: &dyn Reads, incident: &Incident) -> anyhow::Result<Vec<Entry>> {
    let mut entries: Vec<Entry> = Vec::new();
    loop {
        let page = reads.timeline(incident.id, entries.last().map_or(0, |entry| entry.seq), PAGE).await?;
        let is_last = page.len() < PAGE as usize;
        entries.extend(page.into_iter().filter(|entry| entry.seq <= incident.seq));
        if is_last || entries.last().is_some_and(|entry| entry.seq >= incident.seq) {
            return Ok(entries);
        }
    }
}

/// In the order they started, also those that the state has let go.
fn all_runs(incident: &Incident, entries: &[Entry]) -> Vec<Run> {
    let begun = entries.iter().filter(|entry| matches!(entry.event, Event::RunStarted { .. })).filter_map(|entry| entry.event.run());
    begun.filter_map(|id| incident.runs.get(&id).cloned().or_else(|| Run::retold(entries, id))).collect()
}

/// In the order they came.
fn deliveries(entries: &[Entry]) -> Vec<String> {
    let mut seen: BTreeSet<DeliveryId> = BTreeSet::new();
    let told = entries.iter().filter_map(|entry| match &entry.event {
        Event::AlertFired { delivery, .. } | Event::AlertResolved { delivery, .. } => Some(*delivery),
        _ => None,
    });
    told.filter(|id| seen.insert(*id)).map(|id| id.to_string()).collect()
}

fn is_the_database(database: &Path, other: &Path) -> bool {
    let whole = |path: &Path| path.canonicalize().ok();
    whole(database).is_some_and(|path| whole(other) == Some(path))
}
