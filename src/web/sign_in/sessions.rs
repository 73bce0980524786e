//! Sessions of browsers: begun by a password under a new id, looked up by its digest, over when the person or the password is gone.
//! Knows no page.

use sha2::{Digest, Sha256};

use crate::domain::sign_in::SignInSettings;
use crate::domain::time::{Span, Timestamp};
use crate::engine::sessions::{Session, Sessions};
use crate::engine::store::StoreError;
use crate::web::sign_in::browser::Browser;
use crate::web::sign_in::passwords::Tried;
use crate::web::state::WebState;

/// Why somebody is not in.
#[derive(Clone, Debug)]
pub enum NotIn {
    Wrong,
    Wait(Span),
    Busy,
    Store(StoreError),
}

impl NotIn {
    pub fn words(&self) -> String {
        match self {
            Self::Wrong => "The name or the password is wrong.".to_owned(),
            Self::Wait(span) => format!("Too many were wrong. Try again in {} s.", span.as_millis().div_ceil(1_000)),
            Self::Busy => "Too many passwords are tried at once. Try again in a moment.".to_owned(),
            Self::Store(_) => "The database does not answer just now. Try again in a moment.".to_owned(),
        }
    }
}

/// Tries a password, and begins a session if it is right; answers whose, and the cookie that carries it.
pub async fn enter(web: &WebState, name: &str, password: &str, browser: &Browser) -> Result<(String, String), NotIn> {
    let begun = match web.sign_in.try_password(name, password, &browser.address, web.runtime.clock.now()).await {
        Tried::Right(person) => begin(web, &person, browser).await.map(|cookie| (person, cookie)).map_err(NotIn::Store),
        Tried::Wrong => Err(NotIn::Wrong),
        Tried::Wait(span) => Err(NotIn::Wait(span)),
        Tried::Busy => Err(NotIn::Busy),
    };
    // Who is in a hurry types a password where the name belongs: only names that are somebody's are written down.
    let told = if web.sign_in.now().is_taken(name) { name.trim() } else { "a name that nobody has" };
    let address = browser.address.as_str();
    match &begun {
        Ok((person, _)) => tracing::info!(person, address, "Signed in"),
        Err(NotIn::Store(error)) => tracing::warn!(%error, name = told, address, "Not signed in: the database does not answer"),
        Err(why) => tracing::warn!(name = told, address, "Not signed in: {}", why.words()),
    }
    web.metrics.sign_in(match &begun {
        Ok(_) => "signed_in",
        Err(NotIn::Wrong) => "refused",
        Err(NotIn::Wait(_)) => "throttled",
        Err(NotIn::Busy | NotIn::Store(_)) => "unavailable",
    });
    begun
}

/// The one that the browser had before ends.
async fn begin(web: &WebState, person: &str, browser: &Browser) -> Result<String, StoreError> {
    let settings = web.sign_in.now();
    let gone = || StoreError::Refused("the person is not among those who can sign in any more".to_owned());
    let mark = settings.passwords.get(person).ok_or_else(gone)?.mark();
    let sessions = kept(web)?;
    let id = new_id()?;
    let now = web.runtime.clock.now();
    let session = Session {
        digest: digest(&id),
        person: person.to_owned(),
        mark,
        began_at: now,
        seen_at: now,
        address: browser.address.clone(),
        agent: browser.agent.clone(),
    };
    sessions.begin(&session).await?;
    if let Some(before) = &browser.id
        && let Some(session) = sessions.find(&digest(before)).await?
    {
        sessions.end(&session.person, &session.digest).await?;
    }
    Ok(browser.keeps(&id))
}

/// The session that the browser is in, if it still holds.
pub async fn of(web: &WebState, browser: &Browser) -> Result<Option<Session>, StoreError> {
    let Some(id) = &browser.id else { return Ok(None) };
    let now = web.runtime.clock.now();
    let Some(session) = kept(web)?.find(&digest(id)).await?.filter(|session| holds(session, &web.sign_in.now(), now)) else {
        return Ok(None);
    };
    if session.was_not_seen_lately(now)
        && let Err(error) = kept(web)?.seen(&session.digest, now).await
    {
        tracing::debug!(%error, "It could not be kept that a session is still used");
    }
    Ok(Some(session))
}

/// Whether nobody has ended it: neither time nor the settings. Whoever ends it by hand takes it out of the database.
pub fn holds(session: &Session, settings: &SignInSettings, now: Timestamp) -> bool {
    session.is_live(now) && settings.passwords.get(&session.person).is_some_and(|hash| hash.mark() == session.mark)
}

/// The same asked again, later; a database that does not answer ends nothing.
pub async fn still_holds(web: &WebState, session: &Session) -> bool {
    let Ok(sessions) = kept(web) else { return false };
    match sessions.find(&session.digest).await {
        Ok(found) => found.is_some_and(|session| holds(&session, &web.sign_in.now(), web.runtime.clock.now())),
        Err(_) => true,
    }
}

pub fn kept(web: &WebState) -> Result<&dyn Sessions, StoreError> {
    web.sessions.get().map(|sessions| sessions.as_ref()).ok_or_else(|| StoreError::Unavailable("no sessions are kept here".to_owned()))
}

/// 256 bits of chance, as text.
fn new_id() -> Result<String, StoreError> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|error| StoreError::Unavailable(format!("no chance to be had: {error}")))?;
    Ok(hex(&bytes))
}

fn digest(id: &str) -> String {
    hex(&Sha256::digest(id))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
