//! The log against the state: reads a whole database, incident by incident, and names whatever does not fit.
//! Knows no SQL and mends nothing. It holds one incident at a time, however long the history is.
//! One thing in one file: what is compared with what must be read together.

use std::collections::BTreeMap;
use std::fmt;

use crate::domain::chain::{Digest, Stored};
use crate::domain::decide::command::{Effect, Wake};
use crate::domain::id::{IncidentId, RunId};
use crate::domain::incident::{Incident, NotificationStatus};
use crate::domain::run::{Run, RunStatus, StepStatus};
use crate::domain::time::Timestamp;
use crate::domain::timeline::{Actor, Entry, Event};
use crate::engine::archive::{AlertRecord, Archive, EntryRecord, Extent, IncidentRecord, JobRecord, RunRecord};
use crate::engine::store::StoreError;

/// Rows asked for at once.
const INCIDENTS: u32 = 64;
const ENTRIES: u32 = 1_000;
const STRAYS: u32 = 1_000;

/// Something that does not fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The incident's number, where it is about one.
    pub incident: Option<i64>,
    /// The entry's number, where it is about one.
    pub seq: Option<i64>,
    pub what: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.incident, self.seq) {
            (Some(number), Some(seq)) => write!(f, "incident {number}, entry {seq}: {}", self.what),
            (Some(number), None) => write!(f, "incident {number}: {}", self.what),
            _ => f.write_str(&self.what),
        }
    }
}

/// What was looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    pub seen: Extent,
    /// Entries from before the log was chained: they are folded, and nothing says whether somebody changed them.
    pub unchained: u64,
    pub faults: u64,
}

impl fmt::Display for Verified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Extent { incidents, entries } = self.seen;
        match self.faults {
            0 => write!(f, "{incidents} incidents, {entries} entries: everything fits")?,
            faults => write!(f, "{incidents} incidents, {entries} entries: {faults} faults")?,
        }
        if self.unchained > 0 { write!(f, " ({} entries are older than the chain)", self.unchained) } else { Ok(()) }
    }
}

/// Who hears of it while it goes on.
pub trait Listener: Send {
    fn fault(&mut self, fault: &Fault);
    fn progress(&mut self, _done: Extent, _all: Extent) {}
}

/// Looks at everything; each fault is told as it is found.
pub async fn verify(archive: &dyn Archive, listener: &mut dyn Listener) -> Result<Verified, StoreError> {
    let mut check = Check { listener, verified: Verified::default(), seal: Digest::default() };
    for what in archive.integrity().await? {
        check.fault(None, None, format!("the database's own check says: {what}"));
    }
    let all = archive.extent().await?;
    let mut after = 0;
    loop {
        let incidents = archive.incidents(after, INCIDENTS).await?;
        for row in &incidents {
            check.incident(archive, row, all).await?;
            after = row.number;
        }
        if incidents.is_empty() {
            break;
        }
    }
    for (incident, what) in archive.strays(STRAYS).await? {
        check.fault(None, None, format!("{what} of an incident that is not there: {incident}"));
    }
    let kept = archive.seal().await?.and_then(|text| text.parse().ok()).unwrap_or_default();
    if check.seal != kept {
        let what = "the seal over all incidents does not fit: an incident was taken out, put in or changed as a whole";
        check.fault(None, None, what.to_owned());
    }
    Ok(check.verified)
}

struct Check<'a> {
    listener: &'a mut dyn Listener,
    verified: Verified,
    seal: Digest,
}

/// One incident's log, as far as it has been read.
struct Reading {
    number: i64,
    state: Incident,
    /// All runs it told of, also those that the state has let go.
    runs: BTreeMap<RunId, Run>,
    last_position: i64,
    chain: Digest,
    /// Whether a link has been seen; from then on every entry has one.
    chained: bool,
}

impl Check<'_> {
    fn fault(&mut self, incident: Option<i64>, seq: Option<i64>, what: String) {
        self.verified.faults += 1;
        self.listener.fault(&Fault { incident, seq, what });
    }

    async fn incident(&mut self, archive: &dyn Archive, row: &IncidentRecord, all: Extent) -> Result<(), StoreError> {
        self.verified.seen.incidents += 1;
        let Ok(id) = row.id.parse::<IncidentId>() else {
            self.fault(Some(row.number), None, format!("its id is none: {}", row.id));
            return Ok(());
        };
        let mut reading = Reading::new(id, row.number);
        loop {
            let page = archive.entries(&row.id, reading.state.seq.cast_signed(), ENTRIES).await?;
            for entry in &page {
                self.entry(&mut reading, entry);
            }
            self.verified.seen.entries += page.len() as u64;
            self.listener.progress(self.verified.seen, all);
            if page.len() < ENTRIES as usize {
                break;
            }
        }
        self.state(row, &reading);
        self.alerts(&reading, &archive.alerts(&row.id).await?);
        self.runs(&reading, &archive.runs(&row.id).await?);
        self.jobs(&reading, &archive.jobs(&row.id).await?);
        Ok(())
    }

    fn entry(&mut self, reading: &mut Reading, row: &EntryRecord) {
        let number = Some(reading.number);
        let next = reading.state.seq.cast_signed() + 1;
        if row.seq != next {
            let missing = if row.seq == next + 1 {
                format!("entry {next} is missing")
            } else {
                format!("entries {next} to {} are missing", row.seq - 1)
            };
            self.fault(number, Some(row.seq), missing);
        }
        if row.position <= reading.last_position {
            self.fault(number, Some(row.seq), "it stands before the entry that it follows".to_owned());
        }
        reading.last_position = row.position;
        if let Some(what) = reading.link(row) {
            self.fault(number, Some(row.seq), what);
        }
        self.verified.unchained += u64::from(!reading.chained);
        match entry_of(row) {
            Ok(entry) => reading.apply(&entry),
            Err(what) => {
                self.fault(number, Some(row.seq), what);
                reading.state.seq = row.seq.unsigned_abs();
            }
        }
    }

    /// The row against what the log adds up to.
    fn state(&mut self, row: &IncidentRecord, reading: &Reading) {
        let number = Some(row.number);
        let mut stored: Incident = match serde_json::from_str(&row.state) {
            Ok(stored) => stored,
            Err(error) => return self.fault(number, None, format!("its state cannot be read: {error}")),
        };
        self.seal ^= stored.chain;
        if stored.chain != reading.chain {
            self.fault(
                number,
                Some(stored.seq.cast_signed()),
                "the log's last link is not the one its state knows: the end of the log was changed, or taken out".to_owned(),
            );
        }
        stored.chain = Digest::default();
        let mut folded = reading.state.clone();
        folded.alerts.clear();
        if stored != folded {
            self.fault(number, None, format!("its state is not what its log adds up to: {}", difference(&stored, &folded)));
        }
        let projected = (row.status.as_str(), row.priority, row.kind.as_str(), row.service.as_str(), row.title.as_str());
        let meant = (
            stored.status.word(),
            i64::from(stored.priority.number()),
            stored.kind.as_str(),
            stored.service.as_str(),
            stored.title.as_str(),
        );
        let numbers = (row.id.as_str(), row.number, row.opened_at, row.seq);
        let same = numbers == (stored.id.to_string().as_str(), stored.number.cast_signed(), stored.opened_at.0, stored.seq.cast_signed());
        // Not every database can hold a NUL; those that cannot keep another sign in its place.
        let told = |texts: &dyn fmt::Debug| format!("{texts:?}").replace("\\0", "\u{fffd}");
        if !same || told(&projected) != told(&meant) {
            self.fault(number, None, "its row does not say what its state says".to_owned());
        }
    }

    fn alerts(&mut self, reading: &Reading, rows: &[AlertRecord]) {
        let number = Some(reading.number);
        let known = &reading.state.alerts;
        for row in rows {
            match known.get(&row.fingerprint) {
                None => self.fault(number, None, format!("alert {} is not on its log", row.fingerprint)),
                Some(mark) if (mark.firing, mark.starts_at.0, mark.changed_at.0) != (row.firing, row.starts_at, row.changed_at) => {
                    self.fault(number, None, format!("alert {} is not as its log says", row.fingerprint));
                }
                Some(_) => {}
            }
        }
        if rows.len() < known.len() {
            self.fault(number, None, format!("{} of its {} alerts have no row", known.len() - rows.len(), known.len()));
        }
    }

    fn runs(&mut self, reading: &Reading, rows: &[RunRecord]) {
        let number = Some(reading.number);
        let mut rest = reading.runs.clone();
        for row in rows {
            let Some(run) = row.id.parse().ok().and_then(|id| rest.remove(&id)) else {
                self.fault(number, None, format!("run {} is not on its log", row.id));
                continue;
            };
            let told = (row.playbook.as_str(), row.revision.as_str(), row.status.as_str(), row.started_at, row.ended_at);
            let meant = (run.playbook.as_str(), run.revision.as_str(), run.status.word(), run.started_at.0, run.ended_at.map(|at| at.0));
            if told != meant {
                self.fault(number, None, format!("the row of run {} ({}) is not as its log says", row.id, row.playbook));
            }
        }
        for run in rest.values() {
            self.fault(number, None, format!("run {} ({}) has no row", run.id, run.playbook));
        }
    }

    /// Jobs without a reason, and reasons without a job: what nobody would ever do.
    fn jobs(&mut self, reading: &Reading, rows: &[JobRecord]) {
        let number = Some(reading.number);
        let mut effects = Vec::new();
        for row in rows {
            match serde_json::from_str::<Effect>(&row.effect) {
                Ok(effect) => effects.push((row.id, effect)),
                Err(error) => self.fault(number, None, format!("job {} cannot be read: {error}", row.id)),
            }
        }
        for (id, effect) in &effects {
            if !reading.knows(effect) {
                self.fault(number, None, format!("job {id} is for something that is not on its log"));
            }
        }
        for (what, has_job) in reading.wants() {
            if !effects.iter().any(|(_, effect)| has_job.is(effect)) {
                self.fault(number, None, format!("{what}, and no job is there for it"));
            }
        }
    }
}

/// What is to happen by itself, and so must have a job.
enum Wanted<'a> {
    Send(u32),
    Perform(RunId, &'a str),
    Level(u64),
}

impl Wanted<'_> {
    fn is(&self, effect: &Effect) -> bool {
        match (self, effect) {
            (Self::Send(wanted), Effect::Send { notification, .. }) => wanted == notification,
            (Self::Perform(run, step), Effect::Perform { attempt }) => attempt.run == *run && attempt.step == *step,
            (Self::Level(wanted), Effect::Wake { wake: Wake::Escalate { generation, .. } }) => wanted == generation,
            _ => false,
        }
    }
}

impl Reading {
    fn new(id: IncidentId, number: i64) -> Self {
        let state = Incident::blank(id);
        Self { number, state, runs: BTreeMap::new(), last_position: 0, chain: Digest::default(), chained: false }
    }

    /// Adds the entry's link to the chain; says what is wrong with it.
    fn link(&mut self, row: &EntryRecord) -> Option<String> {
        let Some(digest) = row.digest.as_deref().and_then(Digest::from_bytes) else {
            return (self.chained || row.digest.is_some()).then(|| "it has no link in the log's chain".to_owned());
        };
        self.chained = true;
        let stored = Stored {
            incident: self.state.id,
            seq: row.seq.unsigned_abs(),
            at: row.at,
            kind: &row.kind,
            actor_kind: &row.actor_kind,
            actor: &row.actor,
            event: &row.event,
        };
        let fits = self.chain.then(&stored) == digest;
        // From the link that stands there, so that one change is one fault.
        self.chain = digest;
        (!fits).then(|| "it does not fit the log's chain: it was changed, or something before it was taken out or put in".to_owned())
    }

    fn apply(&mut self, entry: &Entry) {
        self.state.apply(entry);
        if let Some(run) = entry.event.run()
            && let Some(told) = self.state.runs.get(&run)
        {
            self.runs.insert(run, told.clone());
        }
    }

    fn knows(&self, effect: &Effect) -> bool {
        match effect {
            Effect::Perform { attempt } => self.runs.contains_key(&attempt.run),
            Effect::Send { notification, .. } => self.state.notifications.contains_key(notification),
            Effect::Wake { wake: Wake::Step { run, .. } | Wake::Undo { run, .. } } => self.runs.contains_key(run),
            Effect::Measure | Effect::Wake { .. } => true,
        }
    }

    fn wants(&self) -> Vec<(String, Wanted<'_>)> {
        let queued = self.state.notifications.iter().filter(|(_, told)| told.status == NotificationStatus::Queued);
        let mut wanted: Vec<_> =
            queued.map(|(id, told)| (format!("message {id} by {} is on its way", told.channel), Wanted::Send(*id))).collect();
        for run in self.state.runs.values().filter(|run| run.status == RunStatus::Running) {
            let running = run.steps.iter().filter(|(_, step)| step.status == StepStatus::Running && step.action != "wait");
            wanted.extend(running.map(|(id, _)| (format!("step {id} of run {} is under way", run.id), Wanted::Perform(run.id, id))));
        }
        let next = self.state.escalation.next_at.filter(|_| self.state.is_open());
        wanted.extend(next.map(|at| (format!("its next level is due at {at}"), Wanted::Level(self.state.escalation.generation))));
        wanted
    }
}

fn entry_of(row: &EntryRecord) -> Result<Entry, String> {
    let event: Event = serde_json::from_str(&row.event).map_err(|error| format!("it cannot be read: {error}"))?;
    if event.kind() != row.kind {
        return Err(format!("it is said to be {} and is {}", row.kind, event.kind()));
    }
    let name = row.actor.clone();
    let actor = match row.actor_kind.as_str() {
        "person" => Actor::Person(name),
        "source" => Actor::Source(name),
        _ => Actor::Engine(name),
    };
    Ok(Entry { seq: row.seq.unsigned_abs(), at: Timestamp(row.at), actor, event })
}

/// The names of the fields that differ.
fn difference(stored: &Incident, folded: &Incident) -> String {
    let fields = |state: &Incident| serde_json::to_value(state).unwrap_or_default();
    let (stored, folded) = (fields(stored), fields(folded));
    let differing = folded.as_object().into_iter().flatten().filter(|(name, value)| stored.get(name.as_str()) != Some(value));
    differing.map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ")
}
