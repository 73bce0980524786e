//! `/playbooks/{slug}` and its texts: shown, edited, checked, saved, brought back. Reads, asks, shows; writes no file itself.

use axum::extract::{Form, Path, Query, State};
use axum::http::StatusCode;
use axum::http::header::SET_COOKIE;
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;

use crate::domain::settings::Rulebook;
use crate::domain::time::Timestamp;
use crate::engine::revisions::Edition;
use crate::engine::store::{Reads, StoreError};
use crate::web::api::revisions::{before, find};
use crate::web::library::{Draft, FileText, Library, NotSaved};
use crate::web::pages::fault::Fault;
use crate::web::pages::render::page;
use crate::web::pages::view::diff::diff_view;
use crate::web::pages::view::edit::{BLANK, EditView, finding_views, verdict};
use crate::web::pages::view::playbook::{Known, PlaybookView, RevisionView, edition_line, playbook_view, saving_lines};
use crate::web::pages::view::shell::{Page, Place, shell};
use crate::web::pages::view::times::Lens;
use crate::web::pages::visitor::{Notice, Visitor};
use crate::web::state::WebState;

const MISSING: Fault = Fault::NotFound("There is no such playbook, and there never was one.");
const NO_TEXT: Fault = Fault::NotFound("The playbook never had this text.");
const NO_FILES: Fault = Fault::NotFound("Playbooks cannot be edited here.");
const RUNS: u32 = 20;
/// Texts that one can be compared with.
const OTHERS: usize = 20;
const FEWEST_ROWS: usize = 16;
const MOST_ROWS: usize = 60;

#[derive(Clone, Debug, Default, Deserialize)]
pub struct Asked {
    /// The text that another is compared with.
    against: Option<String>,
}

/// What the form of a text carries.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Typed {
    text: String,
    revision: String,
    /// `check`, or save.
    deed: String,
}

pub async fn show(State(web): State<WebState>, Path(slug): Path<String>, visitor: Visitor) -> Result<Response, Fault> {
    let shown = look((&*web.runtime.reads, web.library.get()), &web.runtime.rulebook(), &slug, &visitor, web.runtime.clock.now()).await?;
    Ok(page("playbook", &shown))
}

/// The page's content, for anybody who can read.
pub async fn look(
    (reads, library): (&dyn Reads, Option<&Library>),
    rulebook: &Rulebook,
    slug: &str,
    visitor: &Visitor,
    now: Timestamp,
) -> Result<Page<PlaybookView>, Fault> {
    let lens = Lens { now, zone: visitor.zone };
    let (mut file, mut editions, mut runs) = (None, Vec::new(), Vec::new());
    if let Some(library) = library {
        file = library.files.file(slug).await.unwrap_or_default();
        editions = library.revisions.editions(slug).await?;
        runs = library.revisions.past_runs(slug, RUNS).await?;
    }
    let records = reads.records().await?;
    let known = Known {
        slug,
        rulebook,
        record: records.get(slug),
        file: file.as_ref(),
        editions: &editions,
        runs: &runs,
        editable: library.is_some(),
        lens,
    };
    let view = playbook_view(&known).ok_or(MISSING)?;
    let place = Place { title: format!("{slug} · Playbooks"), place: "playbooks", scope: String::new() };
    Ok(Page { shell: shell(place, visitor, &reads.totals().await?, rulebook, lens), view })
}

/// One text, and what changed in it.
pub async fn revision(
    State(web): State<WebState>,
    Path((slug, revision)): Path<(String, String)>,
    Query(asked): Query<Asked>,
    visitor: Visitor,
) -> Result<Response, Fault> {
    let library = web.library.get().ok_or(NO_FILES)?;
    let lens = Lens { now: web.runtime.clock.now(), zone: visitor.zone };
    let editions = library.revisions.editions(&slug).await?;
    let edition = find(&editions, &revision).ok_or(NO_TEXT)?;
    let against = match &asked.against {
        Some(name) => Some(find(&editions, name).ok_or(NO_TEXT)?),
        None => before(&editions, edition),
    };
    let rulebook = web.runtime.rulebook();
    let in_force = rulebook.playbooks.get(&slug).map(|book| book.revision.as_str());
    let line = |edition: &Edition| edition_line(edition, in_force, lens);
    let source = text(library, &slug, Some(edition)).await?;
    let file = library.files.file(&slug).await.unwrap_or_default();
    let is_other = |other: &&Edition| other.revision != edition.revision;
    let view = RevisionView {
        diff: diff_view(&text(library, &slug, against).await?, &source),
        first_seen: lens.moment(edition.first_seen_at),
        saves: saving_lines(edition, lens),
        against: against.map(line),
        others: editions.iter().filter(is_other).take(OTHERS).map(line).collect(),
        restorable: file.as_ref().is_none_or(|file| file.revision != edition.revision),
        base: file.map(|file| file.revision),
        edition: line(edition),
        slug,
        source,
    };
    let place = Place { title: format!("{} {} · Playbooks", view.slug, view.edition.short), place: "playbooks", scope: String::new() };
    Ok(page("revision", &Page { shell: shell(place, &visitor, &web.runtime.reads.totals().await?, &rulebook, lens), view }))
}

async fn text(library: &Library, slug: &str, edition: Option<&Edition>) -> Result<String, Fault> {
    let Some(edition) = edition else { return Ok(String::new()) };
    library.revisions.text(slug, &edition.revision).await?.ok_or(NO_TEXT)
}

/// The form with the file's text, or with the beginning of a new playbook.
pub async fn edit(State(web): State<WebState>, Path(slug): Path<String>, visitor: Visitor) -> Result<Response, Fault> {
    let library = web.library.get().ok_or(NO_FILES)?;
    let mut view = match library.files.file(&slug).await {
        Ok(file) => of_file(&slug, file),
        Err(refusal) => EditView { refusal: Some(words(&refusal)), ..of_file(&slug, None) },
    };
    // What is wrong with the file is said at once; a good one is not doubted before anybody has touched it.
    if web.runtime.rulebook().broken.keys().any(|path| Some(path) == view.path.as_ref()) {
        checked(library, &mut view).await;
    }
    form(&web, &visitor, view, StatusCode::OK).await
}

/// Checks or saves what was typed. Whatever comes of it, the typed text stays.
pub async fn save(
    State(web): State<WebState>,
    Path(slug): Path<String>,
    visitor: Visitor,
    Form(typed): Form<Typed>,
) -> Result<Response, Fault> {
    let library = web.library.get().ok_or(NO_FILES)?;
    let file = library.files.file(&slug).await.unwrap_or_default();
    let source = with_its_ends(&typed.text, file.as_ref());
    let mut view = EditView { source: source.clone(), base: typed.revision.clone(), ..of_file(&slug, file) };
    if typed.deed == "check" {
        checked(library, &mut view).await;
        return form(&web, &visitor, view, StatusCode::OK).await;
    }
    let replaces = Some(typed.revision).filter(|revision| !revision.is_empty());
    let draft = Draft { slug: slug.clone(), source, replaces: replaces.clone(), by: visitor.name().to_owned() };
    match library.files.save(draft).await {
        Ok(saved) => {
            let doubts = saved.findings.iter().filter(|finding| finding.severity == "warning").count();
            let more = if doubts == 0 { String::new() } else { format!(" The check has {} to say.", told(doubts)) };
            Ok(back(&slug, Notice::done(format!("Saved, and in force.{more}"), None)))
        }
        Err(NotSaved::Faulty(findings)) => {
            view.verdict = Some(verdict(&findings));
            view.findings = finding_views(&findings, &view.source);
            form(&web, &visitor, view, StatusCode::UNPROCESSABLE_ENTITY).await
        }
        Err(NotSaved::Stale(now)) => {
            conflict(library, &mut view, (replaces.as_deref(), now)).await?;
            form(&web, &visitor, view, StatusCode::CONFLICT).await
        }
        Err(refusal) => {
            let status = if matches!(refusal, NotSaved::Store(_) | NotSaved::StandingBy(_)) {
                StatusCode::SERVICE_UNAVAILABLE
            } else {
                StatusCode::UNPROCESSABLE_ENTITY
            };
            view.refusal = Some(words(&refusal));
            form(&web, &visitor, view, status).await
        }
    }
}

/// Brings an old text back in the place of the one that the visitor saw.
pub async fn restore(
    State(web): State<WebState>,
    Path((slug, revision)): Path<(String, String)>,
    visitor: Visitor,
    Form(typed): Form<Typed>,
) -> Result<Response, Fault> {
    let library = web.library.get().ok_or(NO_FILES)?;
    let editions = library.revisions.editions(&slug).await?;
    let edition = find(&editions, &revision).ok_or(NO_TEXT)?;
    let source = text(library, &slug, Some(edition)).await?;
    let replaces = Some(typed.revision).filter(|revision| !revision.is_empty());
    let notice = match library.files.save(Draft { slug: slug.clone(), source, replaces, by: visitor.name().to_owned() }).await {
        Ok(_) => Notice::done(format!("The text {} is back, and in force.", &edition.revision[..8]), None),
        Err(NotSaved::Faulty(findings)) => Notice::refused(format!("Not restored, it does not fit any more: {}", findings[0].message)),
        Err(refusal) => Notice::refused(format!("Not restored: {}", words(&refusal))),
    };
    Ok(back(&slug, notice))
}

fn back(slug: &str, notice: Notice) -> Response {
    ([(SET_COOKIE, notice.cookie())], Redirect::to(&format!("/playbooks/{slug}"))).into_response()
}

fn of_file(slug: &str, file: Option<FileText>) -> EditView {
    let view = EditView { slug: slug.to_owned(), ..EditView::default() };
    match file {
        Some(file) => EditView { path: Some(file.path), carried: file.carried, base: file.revision, source: file.source, ..view },
        None => EditView { is_new: true, source: BLANK.to_owned(), ..view },
    }
}

async fn checked(library: &Library, view: &mut EditView) {
    let findings = library.files.check(&view.slug, &view.source).await;
    let words = verdict(&findings);
    view.verdict = Some(words.replace("; nothing was written", "").replace("No fault found.", "No fault found. It is not saved yet."));
    view.findings = finding_views(&findings, &view.source);
}

/// What others changed, and the revision that a second press of the button replaces.
async fn conflict(library: &Library, view: &mut EditView, (base, now): (Option<&str>, Option<FileText>)) -> Result<(), StoreError> {
    let old = match base {
        Some(base) => library.revisions.text(&view.slug, base).await?.unwrap_or_default(),
        None => String::new(),
    };
    let (there, text) = now.map(|file| (file.revision, file.source)).unwrap_or_default();
    view.conflict = Some(diff_view(&old, &text));
    view.is_new = there.is_empty();
    view.base = there;
    Ok(())
}

async fn form(web: &WebState, visitor: &Visitor, mut view: EditView, status: StatusCode) -> Result<Response, Fault> {
    view.rows = (view.source.lines().count() + 2).clamp(FEWEST_ROWS, MOST_ROWS);
    let lens = Lens { now: web.runtime.clock.now(), zone: visitor.zone };
    let place = Place { title: format!("Edit {} · Playbooks", view.slug), place: "form", scope: String::new() };
    let shell = shell(place, visitor, &web.runtime.reads.totals().await?, &web.runtime.rulebook(), lens);
    Ok((status, page("edit", &Page { shell, view })).into_response())
}

fn words(refusal: &NotSaved) -> String {
    match refusal {
        NotSaved::Stale(_) => "it was changed meanwhile. Look at what is there now.".to_owned(),
        NotSaved::Store(error) => {
            tracing::warn!(%error, "a playbook could not be saved");
            "the database does not answer just now, and nothing is saved that is not kept there. Try again in a moment.".to_owned()
        }
        other => format!("{other}."),
    }
}

fn told(findings: usize) -> String {
    if findings == 1 { "one thing".to_owned() } else { format!("{findings} things") }
}

/// Browsers send every line with CR LF; a file keeps the ends that it has.
fn with_its_ends(typed: &str, file: Option<&FileText>) -> String {
    let text = typed.replace("\r\n", "\n");
    if file.is_some_and(|file| file.source.contains("\r\n")) { text.replace('\n', "\r\n") } else { text }
}
