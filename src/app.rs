//! The only place where the parts are joined: files to rules, a database, the engine, the web, and an orderly end.

pub mod backtest;
mod files;
pub mod hold_file;
mod shelf;
pub mod upkeep;

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::action::catalog;
use crate::app::files::{Doors, Loader};
use crate::app::hold_file::HoldFile;
use crate::app::shelf::Shelf;
use crate::carried;
use crate::channel::catalog::senders;
use crate::channel::heartbeat::Heartbeat;
use crate::config::check::{self, Checked, Request};
use crate::config::files::Files;
use crate::config::load::{self, Loaded};
use crate::config::schema;
use crate::domain::database;
use crate::domain::settings::{Rulebook, Settings};
use crate::domain::time::{Span, Timestamp};
use crate::engine::clock::SystemClock;
use crate::engine::metrics::Metrics;
use crate::engine::node::Node;
use crate::engine::ports::{Brake, Clock, Heart};
use crate::engine::render::Messages;
use crate::engine::runtime::{Loops, Over, Parts, Runtime};
use crate::engine::shared::Hands;
use crate::engine::store::{Journal, RevisionText};
use crate::engine::watch::Watch;
use crate::rehearse::Drafts;
use crate::secrets::RealSecrets;
use crate::store::catalog as databases;
use crate::terminal;
use crate::web::library::Library;
use crate::web::pages;
use crate::web::router::router;
use crate::web::serve::serve;
use crate::web::state::WebState;

/// How long effects under way may take to end after a request to stop.
const GRACE: Span = Span::seconds(20);
/// How long requests under way may take to end.
const WEB_GRACE: Duration = Duration::from_secs(2);
/// The pause before a take-over that the database cut short is tried again.
const AGAIN: Duration = Duration::from_secs(1);
/// How far the last commit may lie ahead of the machine's clock: a clock kept in local time is hours off until it is set right.
const FURTHEST_AHEAD: Span = Span::hours(26);
/// How often the file that holds automation is looked for where nothing else happens.
const BRAKE_EVERY: Duration = Duration::from_secs(1);

/// Where things are, and what the command line says of them.
#[derive(Clone, Debug)]
pub struct Place {
    pub config: PathBuf,
    pub playbooks: PathBuf,
    pub messages: PathBuf,
    pub listen: Option<SocketAddr>,
    pub database_url: Option<String>,
}

/// Whether a start may go on from a last commit that lies far ahead of the machine's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ahead {
    Refused,
    GoesOn,
}

/// Checks files as starting would, for `reynard check`.
pub fn check(request: Request<'_>) -> Checked {
    check::check(request, &carried::playbooks(), &catalog::specs(), &RealSecrets)
}

/// The kinds of files that have a schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Playbook,
    Config,
    Test,
}

impl Kind {
    pub const ALL: [Self; 3] = [Self::Playbook, Self::Config, Self::Test];

    pub fn file(self) -> &'static str {
        match self {
            Self::Playbook => "playbook.json",
            Self::Config => "config.json",
            Self::Test => "test.json",
        }
    }
}

/// The JSON Schema of a kind of file, for editors.
pub fn schema(kind: Kind) -> String {
    let schema = match kind {
        Kind::Playbook => schema::playbook::playbook(&catalog::specs()),
        Kind::Config => schema::settings::settings(),
        Kind::Test => schema::test::test(),
    };
    format!("{schema:#}\n")
}

/// What the real clock says, for commands that do one thing and end.
pub fn now() -> Timestamp {
    SystemClock::default().now()
}

/// Runs the server until it is asked to stop.
pub async fn serve_until_stopped(place: Place, ahead: Ahead) -> anyhow::Result<()> {
    // A second provider in the process is impossible, a second call only says so.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let loaded = read_files(&place, None)?;
    let Some(mut settings) = loaded.settings else {
        bail!("{} has errors:\n{}", place.config.display(), loaded.diagnostics.to_text(false));
    };
    report(&place, &loaded.diagnostics);
    overrule(&mut settings, &place);
    // Heard from the start: whoever sees it ready may ask it to stop a moment later.
    let asked = requests_to_stop()?;
    let listener = TcpListener::bind(settings.listen)
        .with_context(|| format!("cannot listen on {}; is another Reynard running? --listen takes another address", settings.listen))?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let databases::Opened { journal, reads, revisions, sessions, lease, inbox } =
        databases::open(&settings.database_url, &name(address)).await?;
    let rulebook = Arc::new(settings.rulebook.clone());
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
    if ahead == Ahead::Refused {
        demand_a_clock(journal.last_commit_at().await?, clock.now())?;
    }
    keep_revisions(&rulebook, journal.as_ref(), clock.as_ref()).await?;
    let hands = hands(&settings, &place)?;
    let metrics = Arc::new(Metrics::new());
    let mut runtime =
        Runtime::idle(Parts { journal: journal.clone(), reads, clock, rulebook, hands, metrics: metrics.clone() }).named(&name(address));
    if lease.is_some() {
        runtime = runtime.sharing(inbox);
    }
    let node = lease.map(|lease| Node::new(runtime.clone(), lease).reached_at(node_url(&settings, address)));
    let engine = Engine { node, runtime: runtime.clone(), journal: journal.clone(), settings };
    let loops = engine.begin().await.context("the engine cannot start")?;
    let closing = CancellationToken::new();
    let state = WebState::new(runtime.clone(), engine.settings.sources.clone(), metrics, closing.clone());
    state.hosts.follow(engine.settings.listen.ip(), &engine.settings.public_url, &engine.settings.hosts);
    let drafts = Arc::new(Drafts::new(engine.settings.clone()));
    let _ = state.desk.set(drafts.clone());
    state.releasing.follow(engine.settings.hold.release_token.clone());
    let _ = state.sessions.set(sessions);
    let doors = Doors {
        sources: state.sources.clone(),
        hosts: state.hosts.clone(),
        drafts,
        releasing: state.releasing.clone(),
        sign_in: state.sign_in.clone(),
    };
    doors.people_follow(&engine.settings);
    let loader = Arc::new(Loader::new(place.clone(), runtime.clone(), journal, doors));
    let _ = state.library.set(Library { files: Arc::new(Shelf { loader: loader.clone(), revisions: revisions.clone() }), revisions });
    let web = tokio::spawn(serve(listener, router(state, pages::router::routes()), closing.clone(), WEB_GRACE));
    let watching_itself = tokio::spawn(Watch::new(runtime.clone()).work());
    let looking = tokio::spawn(look_at_the_brake(runtime));
    let watching = tokio::spawn(loader.watch());
    welcome(&engine.settings, address, &place, loops.is_some());
    let stop = CancellationToken::new();
    tokio::spawn({
        let stop = stop.clone();
        async move {
            until_asked(asked).await;
            stop.cancel();
        }
    });
    engine.work(loops, &stop).await;
    watching.abort();
    looking.abort();
    watching_itself.abort();
    closing.cancel();
    let _ = web.await;
    tracing::info!("Stopped");
    Ok(())
}

/// The engine's lives in this process: one where the database is its own, as many as it is active where nodes share it.
struct Engine {
    node: Option<Node>,
    runtime: Runtime,
    journal: Arc<dyn Journal>,
    settings: Settings,
}

impl Engine {
    /// The loops, unless another node is active.
    async fn begin(&self) -> anyhow::Result<Option<Loops>> {
        match &self.node {
            Some(node) if !node.first_look().await? => Ok(None),
            _ => Ok(Some(self.take_over().await?)),
        }
    }

    async fn take_over(&self) -> anyhow::Result<Loops> {
        let mut rulebook = Rulebook::clone(&self.runtime.rulebook());
        bring_pinned(&mut rulebook, &self.settings, self.journal.as_ref()).await;
        self.runtime.replace_rulebook(rulebook);
        Ok(self.runtime.take_over(self.journal.clone()).await?)
    }

    /// Works, and stands by whenever another node does; returns once it was asked to stop and has.
    async fn work(&self, mut loops: Option<Loops>, stop: &CancellationToken) {
        loop {
            let mut running = match loops.take() {
                Some(running) => running,
                None => tokio::select! {
                    () = stop.cancelled() => return self.leave().await,
                    running = self.becomes_active() => running,
                },
            };
            let over = tokio::select! {
                () = stop.cancelled() => return self.end(running).await,
                over = self.hold(&mut running) => over,
            };
            if let (Over::Heir(heir), Some(node)) = (&over, &self.node) {
                tracing::warn!(to = heir, "Handing over: what runs may end, deliveries wait in the inbox; standing by");
                node.hand_over(running, heir, GRACE).await;
                continue;
            }
            running.abort();
            if over == Over::Fell {
                // Not ready until it is started again; another node need not wait for that.
                self.leave().await;
                return stop.cancelled().await;
            }
            tracing::warn!("Another node has taken over: what was not committed is its to do; standing by");
            self.runtime.stands_by("");
        }
    }

    async fn becomes_active(&self) -> Loops {
        loop {
            if let Some(node) = &self.node {
                node.stand_by().await;
            }
            match self.take_over().await {
                Ok(running) => {
                    tracing::warn!("Taken over: this node is active now");
                    return running;
                }
                Err(error) => tracing::error!(%error, "The work cannot be taken over; trying again"),
            }
            tokio::time::sleep(AGAIN).await;
        }
    }

    /// Returns when the work is another node's; never where there is none.
    async fn hold(&self, running: &mut Loops) -> Over {
        match &self.node {
            Some(node) => node.hold(running).await,
            None => std::future::pending().await,
        }
    }

    async fn end(&self, running: Loops) {
        tracing::info!("Stopping: no new work is taken, what runs may end");
        self.runtime.close();
        let stopped = running.stop(self.runtime.clone(), GRACE);
        let Some(node) = &self.node else { return stopped.await };
        tokio::select! {
            () = stopped => {}
            () = node.renew() => {}
        }
        node.leave().await;
    }

    async fn leave(&self) {
        if let Some(node) = &self.node {
            node.leave().await;
        }
    }
}

/// This node's name among those that share a database.
fn name(address: SocketAddr) -> String {
    let system = rustix::system::uname();
    format!("{}:{}", system.nodename().to_string_lossy(), address.port())
}

/// Where other nodes reach this one. One that listens everywhere is only known to be reached where the settings say so.
fn node_url(settings: &Settings, address: SocketAddr) -> Option<String> {
    settings.node_url.clone().or_else(|| (!address.ip().is_unspecified()).then(|| format!("http://{address}")))
}

/// Reads and checks every file; what the binary carries stands in for a playbook folder that is not there.
fn read_files(place: &Place, previous: Option<&Rulebook>) -> anyhow::Result<Loaded> {
    let files = Files::gather(&place.config, &place.playbooks, &carried::playbooks())
        .with_context(|| format!("cannot read {} and {}", place.config.display(), place.playbooks.display()))?;
    Ok(load::load(&files, &catalog::specs(), &RealSecrets, previous))
}

fn overrule(settings: &mut Settings, place: &Place) {
    if let Some(listen) = place.listen {
        let untold = [
            format!("http://{}", settings.listen),
            format!("http://localhost:{}", settings.listen.port()),
            "http://localhost:5001".to_owned(),
        ];
        settings.listen = listen;
        // The default address for links follows the address that is really listened on; "everywhere" is no address to follow.
        if untold.contains(&settings.public_url) {
            settings.public_url =
                if listen.ip().is_unspecified() { format!("http://localhost:{}", listen.port()) } else { format!("http://{listen}") };
        }
    }
    if let Some(url) = &place.database_url {
        settings.database_url = crate::domain::secret::Secret::new(url.clone());
    }
    settings.rulebook.public_url.clone_from(&settings.public_url);
}

/// Time does not run backwards over a restart. A clock that is a little behind catches up; one that is far behind would make time go
/// on years ahead of everybody, and timers set now would ring then. Which of the two instants is wrong, only a person knows.
fn demand_a_clock(last_commit: Timestamp, now: Timestamp) -> anyhow::Result<()> {
    let behind = last_commit.since(now);
    if behind <= FURTHEST_AHEAD {
        return Ok(());
    }
    bail!(
        "the machine's clock says {now}, which is {behind} before the last commit ({last_commit}). If the clock is wrong, set it and \
         start again. If it was wrong then, put a backup from before in place, or start with another --database-url: Alertmanager \
         tells anew what still fires. --time-goes-on starts all the same, with time as the last commit had it"
    );
}

/// Adds the revisions that open runs are pinned to and that the files no longer have.
async fn bring_pinned(rulebook: &mut Rulebook, settings: &Settings, journal: &dyn Journal) {
    let pinned = journal.pinned_revisions().await.unwrap_or_default();
    for (revision, slug, source) in pinned {
        if rulebook.revisions.contains_key(&revision) {
            continue;
        }
        match load::playbook(&format!("{slug}.yaml"), &source, settings) {
            (Some(playbook), _) => {
                rulebook.revisions.insert(revision, Arc::new(playbook));
            }
            (None, faults) => {
                tracing::error!(
                    playbook = slug,
                    revision,
                    faults = faults.to_text(false),
                    "A revision that a run is pinned to cannot be read"
                );
            }
        }
    }
}

async fn keep_revisions(rulebook: &Rulebook, journal: &dyn Journal, clock: &dyn Clock) -> anyhow::Result<()> {
    let mut texts = Vec::with_capacity(rulebook.playbooks.len());
    for playbook in rulebook.playbooks.values() {
        texts.push(RevisionText { revision: &playbook.revision, slug: &playbook.slug, source: &playbook.source });
    }
    journal.keep_revisions(&texts, clock.now()).await.context("cannot keep the playbooks' texts")
}

fn hands(settings: &Settings, place: &Place) -> anyhow::Result<Hands> {
    let catalog = catalog::catalog(settings);
    let actions: BTreeMap<_, _> =
        settings.rulebook.specs.iter().filter_map(|spec| catalog.get(spec.name).map(|action| (spec.name, action))).collect();
    let senders = senders(&settings.channels).map_err(|error| anyhow::anyhow!("channel {}: {}", error.channel, error.reason))?;
    let (messages, faults) = Messages::load(&carried::messages(&place.messages));
    faults.iter().for_each(|fault| tracing::error!("{fault}; a plain message goes out instead"));
    let heart = settings.heartbeat.clone().map(|url| Arc::new(Heartbeat::new(url)) as Arc<dyn Heart>);
    let brake: Arc<dyn Brake> = Arc::new(HoldFile::of(settings));
    Ok(Hands { actions, senders, messages: Arc::new(messages), brake: Some(brake), heart })
}

/// An engine that nobody asks anything of hears of the file that holds automation all the same.
async fn look_at_the_brake(runtime: Runtime) {
    loop {
        tokio::time::sleep(BRAKE_EVERY).await;
        runtime.look_if_changed();
    }
}

fn report(place: &Place, diagnostics: &crate::config::diagnostic::Diagnostics) {
    if diagnostics.has_errors() {
        return tracing::error!("Faults in the files; each broken playbook keeps its last good revision:\n{}", diagnostics.to_text(false));
    }
    // The check looks closer than loading needs to, and nobody waits for it.
    let place = place.clone();
    tokio::task::spawn_blocking(move || {
        let looked = check(Request { settings: &place.config, playbooks: &place.playbooks, paths: &[] });
        let warnings = looked.diagnostics.warnings();
        if warnings > 0 {
            tracing::warn!("`reynard check` has {warnings} warnings");
        }
    });
}

/// What a person needs to see first: where to look, and what to paste into Alertmanager.
fn welcome(settings: &Settings, address: SocketAddr, place: &Place, active: bool) {
    let page = &settings.public_url;
    let token = if settings.sources.is_empty() { "" } else { "\n              authorization: { credentials: YOUR_SOURCE_TOKEN }" };
    terminal::say(format!(
        "Reynard {version} {is_ready}.

  incidents   {page}/
  webhook     http://{address}/api/v1/webhooks/alertmanager
  playbooks   {playbooks} loaded from {folder}
  database    {database} (every 2xx is on disk)

Paste into alertmanager.yml:

    receivers:
      - name: reynard
        webhook_configs:
          - url: http://{address}/api/v1/webhooks/alertmanager
            send_resolved: true{http_config}

Try it: reynard fire database-failure-p1
",
        version = env!("CARGO_PKG_VERSION"),
        is_ready = if active { "is ready" } else { "stands by: another node is active" },
        playbooks = settings.rulebook.playbooks.len(),
        folder = if place.playbooks.exists() {
            place.playbooks.display().to_string()
        } else {
            "the binary (no playbook folder here)".to_owned()
        },
        database = database::shown(settings.database_url.expose()),
        http_config = if token.is_empty() { String::new() } else { format!("\n            http_config:{token}") },
    ));
}

/// The ways of being asked to stop: SIGTERM and SIGINT.
fn requests_to_stop() -> anyhow::Result<(Signal, Signal)> {
    Ok((signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?))
}

async fn until_asked((mut terminate, mut interrupt): (Signal, Signal)) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    // A second request ends the process at once, which is always safe.
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        std::process::exit(130);
    });
}
