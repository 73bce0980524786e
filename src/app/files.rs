//! The files in force: read again when one changes, when somebody asks by SIGHUP, and when a playbook is saved; one reading after
//! the other. Knows nothing of what they say.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use notify::Watcher;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Mutex, MutexGuard, mpsc};

use crate::app::{Place, hands, keep_revisions, overrule, read_files, report};
use crate::carried;
use crate::config::files::Files;
use crate::config::load::Loaded;
use crate::domain::settings::Settings;
use crate::domain::sign_in::Mode;
use crate::engine::runtime::Runtime;
use crate::engine::store::Journal;
use crate::rehearse::Drafts;
use crate::web::hosts::Hosts;
use crate::web::releasing::Releasing;
use crate::web::sign_in::passwords::SignIn;
use crate::web::state::Sources;

/// Editors write a file in several strokes; reading waits for the last.
const STROKES: Duration = Duration::from_millis(200);

/// Who may come in, by which name, and what drafts are looked at with; followed anew when the settings change.
pub(super) struct Doors {
    pub sources: Sources,
    pub hosts: Hosts,
    pub drafts: Arc<Drafts>,
    pub releasing: Releasing,
    pub sign_in: SignIn,
}

impl Doors {
    /// Who may come in as whom. Where anybody may as anybody, it is said how to change that.
    pub fn people_follow(&self, settings: &Settings) {
        let exposed = !settings.listen.ip().to_canonical().is_loopback();
        if exposed && settings.sign_in.mode() == Mode::Optional {
            tracing::info!("Whoever reaches {} may act under any name; `reynard password` gives people passwords", settings.listen);
        }
        self.sign_in.follow(settings.sign_in.clone(), exposed);
    }
}

/// Brings files into force.
pub(super) struct Loader {
    pub place: Place,
    pub runtime: Runtime,
    journal: Arc<dyn Journal>,
    doors: Doors,
    /// What the files said when they were read last. Whoever has it is the only one to read or write them.
    seen: Mutex<Fingerprint>,
}

/// What the files say, so that a change of something else in the folder reloads nothing.
pub(super) type Fingerprint = (Option<Files>, BTreeMap<String, String>);

impl Loader {
    pub fn new(place: Place, runtime: Runtime, journal: Arc<dyn Journal>, doors: Doors) -> Self {
        let seen = Mutex::new(fingerprint(&place));
        Self { place, runtime, journal, doors, seen }
    }

    /// Reads the files again whenever one changes or somebody asks; what is broken keeps its last good revision and says so.
    pub async fn watch(self: Arc<Self>) {
        let Ok(mut asked) = signal(SignalKind::hangup()) else {
            return tracing::warn!("Changes of files cannot be noticed here; restart to load them");
        };
        let (changed, mut changes) = mpsc::unbounded_channel();
        let mut watcher = watcher(changed);
        let mut watched = Vec::new();
        loop {
            // A folder that comes later is watched from then on; what happened in it before that nobody has told.
            let is_new = watcher.as_mut().is_some_and(|watcher| follow(watcher, &self.place, &mut watched));
            let wanted = tokio::select! {
                biased;
                Some(()) = asked.recv() => true,
                () = std::future::ready(()), if is_new => false,
                Some(()) = changes.recv() => false,
                else => return,
            };
            tokio::time::sleep(STROKES).await;
            while changes.try_recv().is_ok() {}
            let mut seen = self.turn().await;
            let now = fingerprint(&self.place);
            // Files with secrets are not watched, so whoever asks means it.
            if wanted || now != *seen {
                *seen = now;
                self.reload().await;
            }
        }
    }

    /// Nobody else reads or writes the files until it is given back.
    pub async fn turn(&self) -> MutexGuard<'_, Fingerprint> {
        self.seen.lock().await
    }

    /// Puts the files in force as they are now; says why where it cannot.
    pub async fn take(&self, seen: &mut MutexGuard<'_, Fingerprint>) {
        **seen = fingerprint(&self.place);
        self.reload().await;
    }

    async fn reload(&self) {
        match read_files(&self.place, Some(&self.runtime.rulebook())) {
            Ok(loaded) => self.put_in_force(loaded).await,
            Err(error) => tracing::error!(%error, "The files cannot be read; what was in force stays"),
        }
    }

    async fn put_in_force(&self, loaded: Loaded) {
        report(&self.place, &loaded.diagnostics);
        let Some(mut settings) = loaded.settings else {
            return tracing::error!("{} has errors; what was in force stays", self.place.config.display());
        };
        overrule(&mut settings, &self.place);
        let kept = keep_revisions(&settings.rulebook, self.journal.as_ref(), self.runtime.clock.as_ref()).await;
        match kept.and_then(|()| hands(&settings, &self.place)) {
            Ok(hands) => {
                let playbooks = settings.rulebook.playbooks.len();
                self.doors.hosts.follow(settings.listen.ip(), &settings.public_url, &settings.hosts);
                self.doors.drafts.replace(settings.clone());
                self.doors.releasing.follow(settings.hold.release_token.clone());
                self.doors.people_follow(&settings);
                self.runtime.reload(settings.rulebook, hands);
                self.doors.sources.replace(settings.sources);
                tracing::info!(playbooks, "Loaded the changed files");
            }
            Err(error) => tracing::error!(%error, "The changed files cannot be put in force; what was in force stays"),
        }
    }
}

/// Notices changes for as long as it lives; none where the system cannot.
fn watcher(changed: mpsc::UnboundedSender<()>) -> Option<notify::RecommendedWatcher> {
    let noticed = move |event: notify::Result<notify::Event>| {
        if event.is_ok_and(|event| !event.kind.is_access()) {
            let _ = changed.send(());
        }
    };
    let watcher = notify::recommended_watcher(noticed);
    if watcher.is_err() {
        tracing::warn!("Changes of files cannot be watched here; send SIGHUP to load them");
    }
    watcher.ok()
}

/// Watches each folder that is there and was not before; whether there was one.
fn follow(watcher: &mut notify::RecommendedWatcher, place: &Place, watched: &mut Vec<PathBuf>) -> bool {
    let folder = |path: &Path| path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_owned();
    watched.retain(|path| path.exists());
    let before = watched.len();
    for path in [place.playbooks.clone(), place.messages.clone(), folder(&place.config)] {
        if !path.exists() || watched.contains(&path) {
            continue;
        }
        if let Err(error) = watcher.watch(&path, notify::RecursiveMode::NonRecursive) {
            tracing::warn!(path = %path.display(), %error, "Changes cannot be watched; send SIGHUP to load them");
        }
        watched.push(path);
    }
    watched.len() > before
}

fn fingerprint(place: &Place) -> Fingerprint {
    (Files::gather(&place.config, &place.playbooks, &[]).ok(), carried::messages(&place.messages))
}
