//! Every made-up incident drawn by the real templates: nothing slips through, the story is told, a long log costs no more.

use std::collections::BTreeSet;

use reynard::domain::id::RunId;
use reynard::domain::playbook::{Playbook, Var, VarKind};
use reynard::engine::revisions::{Edition, PastRun, Saving};
use reynard::engine::sessions::Session;
use reynard::web::library::{FileText, Finding};
use reynard::web::pages::automation::{self, May};
use reynard::web::pages::incident::Asked;
use reynard::web::pages::render::html;
use reynard::web::pages::view::automation::Shows;
use reynard::web::pages::view::diff::diff_view;
use reynard::web::pages::view::edit::{EditView, finding_views, verdict};
use reynard::web::pages::view::face::face;
use reynard::web::pages::view::list::Filter;
use reynard::web::pages::view::playbook::{Known, playbook_view};
use reynard::web::pages::view::shell::{Page, Shell};
use reynard::web::pages::view::start::{StartView, start_view};
use reynard::web::pages::view::times::Lens;
use reynard::web::pages::visitor::{Notice, Undo, Visitor};
use reynard::web::pages::{incident, incidents, me, nodes, playbooks};

use crate::samples::{self, Fake, NOW, Sample};

/// Every kind of the contract that the core knows.
const KINDS: [&str; 31] = [
    "opened",
    "alert_fired",
    "alert_resolved",
    "classified",
    "priority_changed",
    "run_started",
    "step_started",
    "step_succeeded",
    "step_failed",
    "step_skipped",
    "step_in_doubt",
    "step_settled",
    "step_undone",
    "run_succeeded",
    "run_failed",
    "run_cancelled",
    "notification_queued",
    "notification_sent",
    "notification_failed",
    "escalated",
    "acknowledged",
    "unacknowledged",
    "snoozed",
    "assigned",
    "commented",
    "resolved",
    "reopened",
    "limit_hit",
    "automation_held",
    "automation_released",
    "recovered",
];

fn visitor() -> Visitor {
    let mut visitor = Visitor::read(&axum::http::HeaderMap::new(), "/incidents?q=\"><x".to_owned());
    visitor.notice = Some(Notice::done("Done <b>", Some(Undo::new("/incidents/7/priority").with("priority", "P2\"<"))));
    visitor
}

const MAY: May = May { here: true, needs_token: false, shows: Shows::Nothing };

fn all() -> Fake {
    let mut fake = samples::fake();
    fake.samples.extend([samples::hostile(), samples::every_kind()]);
    fake
}

async fn drawn(fake: &Fake, number: u64, asked: &Asked) -> String {
    let shown = incident::look(fake, &samples::rulebook(), (&number.to_string(), asked), &visitor(), NOW).await;
    html("incident", &shown.expect("there is such an incident")).expect("the page is drawn")
}

fn is_clean(html: &str) {
    for foul in ["<script>", " style=", "<style", " onclick=", "{{", "javascript:"] {
        let html = html.replace("`{{x}}", "").replace("&#x60;{{x}}", "");
        assert!(!html.contains(foul), "{foul} in {html}");
    }
}

#[tokio::test]
async fn every_sample_is_drawn_and_nothing_slips_through() {
    let fake = all();
    for Sample { incident, .. } in &fake.samples {
        is_clean(&drawn(&fake, incident.number, &Asked::default()).await);
        for show in ["people", "machine", "messages", "alerts"] {
            is_clean(&drawn(&fake, incident.number, &Asked { show: Some(show.to_owned()), from: Some(3), ..Asked::default() }).await);
        }
    }
    for (fake, status) in [(&fake, "open"), (&fake, "all"), (&Fake::default(), "open")] {
        let filter = Filter { status: Some(status.to_owned()), q: Some("o".to_owned()), ..Filter::default() };
        let shown = incidents::look(fake, &samples::rulebook(), &filter, &visitor(), NOW).await.expect("a list");
        is_clean(&html("incidents", &shown).expect("the page is drawn"));
    }
    let shown = playbooks::look(&fake, &samples::rulebook(), (Some(7), true), &visitor(), NOW).await.expect("a list");
    is_clean(&html("playbooks", &shown).expect("the page is drawn"));
    let shown = automation::look_at_shadow(&fake, &samples::rulebook(), &visitor(), NOW).await.expect("a page");
    is_clean(&html("shadow", &shown).expect("the page is drawn"));
    let others = [Shows::SignIn, Shows::Password, Shows::Enough].map(|shows| (true, May { shows, ..MAY }));
    let first = [(false, MAY), (true, MAY), (true, May { here: false, ..MAY }), (true, May { needs_token: true, ..MAY })];
    for (held, may) in first.into_iter().chain(others) {
        let fake = Fake { held, ..samples::fake() };
        let shown = automation::look(&fake, &samples::rulebook(), &visitor(), (may, NOW)).await.expect("a page");
        is_clean(&html("automation", &shown).expect("the page is drawn"));
        let shown = playbooks::look(&fake, &samples::rulebook(), (None, false), &visitor(), NOW).await.expect("a list");
        assert_eq!(html("playbooks", &shown).expect("it is drawn").contains("class=\"holding\""), held);
    }
    let shown = nodes::look(&fake, &samples::rulebook(), "db1:5001", &visitor(), NOW).await.expect("a list");
    let page = html("nodes", &shown).expect("the page is drawn");
    is_clean(&page);
    assert!(page.contains("this one") && page.contains("silent") && page.contains("3 deliveries wait"), "{page}");
    let this = Session {
        digest: "d".repeat(64),
        person: "ana\"><script>".to_owned(),
        mark: String::new(),
        began_at: NOW,
        seen_at: NOW,
        address: "<b>".to_owned(),
        agent: "<script>alert(1)</script>".to_owned(),
    };
    let sessions = [this.clone(), Session { digest: "e".repeat(64), ..this.clone() }];
    let shown = me::look(&fake, &samples::rulebook(), (&this, &sessions), &visitor(), NOW).await.expect("a page");
    let page = html("me", &shown).expect("the page is drawn");
    is_clean(&page);
    assert!(page.contains("this one") && page.contains("End it") && page.contains("End all others"), "{page}");
}

#[tokio::test]
async fn the_first_screen_tells_the_story() {
    let fake = all();
    let page = drawn(&fake, 412, &Asked::default()).await;
    for words in
        ["Nobody has acknowledged", "tells managers (level 3)", "Reset the connection pool", "attempt 2 of 3", "mailbox unavailable"]
    {
        assert!(page.contains(words), "{words}");
    }
    let page = drawn(&fake, 411, &Asked::default()).await;
    for words in ["ana is on it", "It ran", "It did not run", "Run it again…"] {
        assert!(page.contains(words), "{words}");
    }
    let page = drawn(&fake, 405, &Asked::default()).await;
    assert!(page.contains("37 alerts fired") && page.contains("fixed by <b>database_connection_failure"), "a resolved one looks back");
}

#[tokio::test]
async fn a_long_log_costs_no_more_than_a_short_one() {
    let mut fake = all();
    let log = &mut fake.samples[0];
    for seq in log.incident.seq + 1..=10_000 {
        let mut entry = log.entries[7].clone();
        entry.seq = seq;
        log.entries.push(entry);
        log.incident.seq = seq;
    }
    let page = drawn(&fake, 412, &Asked::default()).await;
    assert!(page.len() < 90_000 && page.contains("9901#story"), "{} bytes", page.len());
}

#[test]
fn every_kind_has_a_word_and_a_picture() {
    let sprite = include_str!("../../assets/sprite.svg");
    let mut seen = BTreeSet::new();
    for entry in all().samples.iter().flat_map(|sample| &sample.entries) {
        let face = face(&entry.event);
        assert!(sprite.contains(&format!("id=\"{}\"", face.icon)), "{} has no picture", face.icon);
        assert!(!face.word.is_empty());
        seen.insert(entry.event.kind());
    }
    let missing: Vec<_> = KINDS.into_iter().filter(|kind| !seen.contains(kind)).collect();
    assert!(missing.is_empty(), "no sample shows {missing:?}");
}

#[test]
fn templates_escape_everything_and_carry_no_style_or_script_of_their_own() {
    for folder in ["templates/pages", "templates/partials"] {
        for file in std::fs::read_dir(folder).expect("the templates are here") {
            let file = file.expect("a file").path();
            let source = std::fs::read_to_string(&file).expect("a template");
            for foul in ["{{{", " style=", "<style", "<script>", " onclick="] {
                assert!(!source.contains(foul), "{foul} in {}", file.display());
            }
        }
    }
}

#[tokio::test]
async fn the_picture_shows_each_attempt_and_each_wait_and_says_them_in_words() {
    let fake = all();
    let picture = Asked { view: Some("gantt".to_owned()), ..Asked::default() };
    let page = drawn(&fake, 412, &picture).await;
    for words in [
        "attempt 1, failed: connection to orders-pool refused: 02:02:14, 420ms",
        "waits to be tried again: 02:02:14, 5m 59s",
        "attempt 2: 02:08:13, 1m so far",
        "nobody has acknowledged: 02:02:05, 7m 9s so far",
        "3 alerts, firing",
        "mia by email was not told: 550 5.1.1 mailbox unavailable",
        "5m 32s without a change",
        "Now, 02:09:14",
    ] {
        assert!(page.contains(words), "{words} in {page}");
    }
    let svg: String = page.split("<svg class=\"gs\"").skip(1).filter_map(|rest| rest.split("</svg>").next()).collect();
    let bars = svg.split("<rect ").skip(1).filter(|bar| bar.contains(" rx="));
    assert!(bars.clone().count() >= 7 && bars.clone().all(|bar| bar.contains("<title>")), "every bar says what it is");
    assert!(!svg.contains("style=") && !svg.contains("NaN"), "geometry only");
    for Sample { incident, .. } in &fake.samples {
        let page = drawn(&fake, incident.number, &picture).await;
        assert!(!page.contains("NaN") && page.contains("class=\"gr axis\""), "{}", incident.number);
    }
    let over = drawn(&fake, 405, &picture).await;
    assert!(over.contains("Acknowledged by ana at 17:10:00") && over.contains("ana is on it: 17:10:00"), "{over}");
}

#[tokio::test]
async fn texts_of_playbooks_are_only_texts_however_hostile() {
    let fake = all();
    let shell = playbooks::look(&fake, &samples::rulebook(), (None, true), &visitor(), NOW).await.expect("a list").shell;
    let foul = "\n</textarea></pre><script>alert(1)</script>\n\" onclick=\"x\nlast";
    let finding = Finding {
        code: "bad-value".to_owned(),
        severity: "error".to_owned(),
        file: foul.to_owned(),
        line: 2,
        column: 3,
        end_column: 900,
        message: foul.to_owned(),
        help: Some(foul.to_owned()),
    };
    let edit = EditView {
        slug: "drain".to_owned(),
        source: foul.to_owned(),
        path: Some(foul.to_owned()),
        base: foul.to_owned(),
        verdict: Some(verdict(std::slice::from_ref(&finding))),
        findings: finding_views(&[finding], foul),
        refusal: Some(foul.to_owned()),
        conflict: Some(diff_view("on: {}\n", foul)),
        ..EditView::default()
    };
    let page = html("edit", &Page { shell: Shell { place: "form", ..shell.clone() }, view: edit }).expect("the page is drawn");
    is_clean(&page);
    assert!(
        page.contains("spellcheck=\"false\"") && page.contains(">\n\n&lt;/textarea&gt;"),
        "the first line break of a text stays: {page}"
    );
    assert!(!page.contains("http-equiv=\"refresh\""), "a page with a form is not reloaded by itself");
    let rulebook = samples::rulebook();
    let book = rulebook.playbooks.values().next().expect("a playbook");
    let lens = Lens { now: NOW, zone: chrono_tz::UTC };
    let edition = Edition { revision: book.revision.clone(), saves: vec![Saving { at: NOW, by: foul.to_owned() }], ..Edition::default() };
    let run = PastRun {
        id: RunId::default(),
        number: 7,
        revision: foul.to_owned(),
        status: "failed".to_owned(),
        started_at: NOW,
        ended_at: Some(NOW),
    };
    let file = FileText { path: foul.to_owned(), source: foul.to_owned(), revision: foul.to_owned(), carried: false };
    for slug in [book.slug.as_str(), "gone"] {
        let known = Known {
            slug,
            rulebook: &rulebook,
            record: None,
            file: Some(&file),
            editions: std::slice::from_ref(&edition),
            runs: std::slice::from_ref(&run),
            editable: true,
            lens,
        };
        is_clean(&html("playbook", &Page { shell: shell.clone(), view: playbook_view(&known).expect("it is known") }).expect("drawn"));
    }
    let mut asks = Playbook::clone(book);
    asks.vars = VarKind::ALL.map(|(name, kind)| (name.to_owned(), Var { kind, default: None })).into();
    let typed = [("text".to_owned(), foul.to_owned()), ("texts".to_owned(), foul.to_owned())].into();
    let incidents: Vec<_> = fake.samples.iter().map(|sample| sample.incident.clone()).collect();
    let view = StartView { refusal: Some(foul.to_owned()), ..start_view(&asks, foul, &incidents, &typed) };
    is_clean(&html("start", &Page { shell, view }).expect("the page is drawn"));
}
