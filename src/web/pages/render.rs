//! Turns a view into HTML with the templates that the binary carries. Knows no incident.

use std::sync::LazyLock;

use axum::http::header;
use axum::response::{Html, IntoResponse, Response};
use handlebars::{Context, Handlebars, Helper, Output, RenderContext, RenderError, RenderErrorReason};
use rust_embed::RustEmbed;
use serde::Serialize;
use serde_json::Value;

use crate::web::assets::href;
use crate::web::pages::view::shell::Page;
use crate::web::pages::visitor::clear_notice;

#[derive(RustEmbed)]
#[folder = "templates/pages/"]
struct Pages;

#[derive(RustEmbed)]
#[folder = "templates/partials/"]
struct Partials;

/// All templates, read once. A broken one is a bug of ours, which the tests find.
static TEMPLATES: LazyLock<Handlebars<'static>> = LazyLock::new(|| {
    let mut templates = Handlebars::new();
    templates.set_strict_mode(true);
    templates.register_helper("icon", Box::new(icon));
    templates.register_helper("prio", Box::new(prio));
    templates.register_helper("time", Box::new(time));
    templates.register_helper("clock", Box::new(clock));
    templates.register_helper("age", Box::new(age));
    templates.register_helper("until", Box::new(until));
    #[allow(clippy::expect_used, reason = "the templates are part of the binary and every test renders them")]
    {
        register::<Pages>(&mut templates).expect("the page templates are whole");
        register::<Partials>(&mut templates).expect("the partial templates are whole");
    }
    templates
});

/// The page as a response; a notice is shown once.
pub fn page<V: Serialize>(template: &str, page: &Page<V>) -> Response {
    match html(template, page) {
        Ok(html) if page.shell.notice.is_some() => {
            ([(header::CACHE_CONTROL, "no-store".to_owned()), (header::SET_COOKIE, clear_notice())], Html(html)).into_response()
        }
        Ok(html) => ([(header::CACHE_CONTROL, "no-store")], Html(html)).into_response(),
        Err(error) => {
            tracing::error!(%error, template, "a page could not be drawn");
            (axum::http::StatusCode::INTERNAL_SERVER_ERROR, "This page could not be drawn; the API still answers.").into_response()
        }
    }
}

pub fn html<V: Serialize>(template: &str, page: &Page<V>) -> Result<String, String> {
    TEMPLATES.render(template, page).map_err(|error| error.to_string())
}

fn register<T: RustEmbed>(templates: &mut Handlebars<'static>) -> Result<(), String> {
    for file in T::iter() {
        let source = T::get(&file).map(|found| String::from_utf8_lossy(&found.data).into_owned()).unwrap_or_default();
        templates.register_template_string(file.trim_end_matches(".hbs"), source).map_err(|error| error.to_string())?;
    }
    Ok(())
}

type Drawn = Result<(), RenderError>;

/// `{{icon "check"}}`
fn icon(helper: &Helper<'_>, _: &Handlebars<'_>, _: &Context, _: &mut RenderContext<'_, '_>, out: &mut dyn Output) -> Drawn {
    let name = text(param(helper)?)?;
    out.write(&format!("<svg class=\"i\" aria-hidden=\"true\"><use href=\"{}#{}\"/></svg>", *SPRITE, escape(name)))?;
    Ok(())
}

/// `{{prio "P1"}}`: the shape with the word in it.
fn prio(helper: &Helper<'_>, _: &Handlebars<'_>, _: &Context, _: &mut RenderContext<'_, '_>, out: &mut dyn Output) -> Drawn {
    let name = text(param(helper)?)?;
    let shape = escape(&name.to_lowercase());
    out.write(&format!(
        "<span class=\"prio {shape}\"><svg aria-hidden=\"true\"><use href=\"{}#{shape}\"/></svg><b>{}</b></span>",
        *SPRITE,
        escape(name)
    ))?;
    Ok(())
}

/// `{{time at}}`: a moment, with UTC at hand.
fn time(helper: &Helper<'_>, _: &Handlebars<'_>, _: &Context, _: &mut RenderContext<'_, '_>, out: &mut dyn Output) -> Drawn {
    moment(param(helper)?, "short", out)
}

/// `{{clock at}}`: the time of day alone, where the day is said elsewhere.
fn clock(helper: &Helper<'_>, _: &Handlebars<'_>, _: &Context, _: &mut RenderContext<'_, '_>, out: &mut dyn Output) -> Drawn {
    moment(param(helper)?, "clock", out)
}

fn moment(at: &Value, shown: &str, out: &mut dyn Output) -> Drawn {
    let (iso, utc, shown) = (text(field(at, "iso")?)?, text(field(at, "utc")?)?, text(field(at, shown)?)?);
    out.write(&format!("<time datetime=\"{}\" title=\"{}\">{}</time>", escape(iso), escape(utc), escape(shown)))?;
    Ok(())
}

/// `{{age since}}`: it grows.
fn age(helper: &Helper<'_>, _: &Handlebars<'_>, _: &Context, _: &mut RenderContext<'_, '_>, out: &mut dyn Output) -> Drawn {
    let since = param(helper)?;
    out.write(&format!("<span class=\"num\" data-since=\"{}\">{}</span>", field(since, "ms")?, escape(text(field(since, "text")?)?)))?;
    Ok(())
}

/// `{{until at}}`: it shrinks.
fn until(helper: &Helper<'_>, _: &Handlebars<'_>, _: &Context, _: &mut RenderContext<'_, '_>, out: &mut dyn Output) -> Drawn {
    let until = param(helper)?;
    out.write(&format!("<span class=\"num\" data-until=\"{}\">{}</span>", field(until, "ms")?, escape(text(field(until, "text")?)?)))?;
    Ok(())
}

static SPRITE: LazyLock<String> = LazyLock::new(|| href("sprite.svg"));

fn param<'a>(helper: &'a Helper<'_>) -> Result<&'a Value, RenderError> {
    helper.param(0).map(handlebars::PathAndJson::value).ok_or_else(|| RenderErrorReason::ParamNotFoundForIndex("ours", 0).into())
}

fn field<'a>(value: &'a Value, name: &str) -> Result<&'a Value, RenderError> {
    value.get(name).ok_or_else(|| RenderErrorReason::Other(format!("there is no {name} in {value}")).into())
}

fn text(value: &Value) -> Result<&str, RenderError> {
    value.as_str().ok_or_else(|| RenderErrorReason::Other(format!("{value} is not a text")).into())
}

fn escape(text: &str) -> String {
    handlebars::html_escape(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    use crate::web::pages::incident::Asked;
    use crate::web::pages::samples::{self, Fake, NOW, Sample};
    use crate::web::pages::view::face::face;
    use crate::web::pages::view::list::Filter;
    use crate::web::pages::visitor::{Notice, Visitor};
    use crate::web::pages::{incident, incidents, playbooks};

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
        visitor.notice = Some(Notice::done("Done <b>", Some("/incidents/7/unacknowledge".to_owned())));
        visitor
    }

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
                is_clean(&drawn(&fake, incident.number, &Asked { show: Some(show.to_owned()), from: Some(3) }).await);
            }
        }
        for (fake, status) in [(&fake, "open"), (&fake, "all"), (&Fake::default(), "open")] {
            let filter = Filter { status: Some(status.to_owned()), q: Some("o".to_owned()), ..Filter::default() };
            let shown = incidents::look(fake, &samples::rulebook(), &filter, &visitor(), NOW).await.expect("a list");
            is_clean(&html("incidents", &shown).expect("the page is drawn"));
        }
        let shown = playbooks::look(&fake, &samples::rulebook(), &visitor(), NOW).await.expect("a list");
        is_clean(&html("playbooks", &shown).expect("the page is drawn"));
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
        for words in ["ana is on it", "It took effect", "It did not", "Run it again"] {
            assert!(page.contains(words), "{words}");
        }
        let page = drawn(&fake, 405, &Asked::default()).await;
        assert!(page.contains("37 alerts fired") && page.contains(" · playbook <b>"), "a resolved one looks back");
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
        let sprite = include_str!("../../../assets/sprite.svg");
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
        for (file, source) in
            Pages::iter().map(|f| (f.clone(), Pages::get(&f))).chain(Partials::iter().map(|f| (f.clone(), Partials::get(&f))))
        {
            let source = source.map(|found| String::from_utf8_lossy(&found.data).into_owned()).unwrap_or_default();
            for foul in ["{{{", " style=", "<style", "<script>", " onclick="] {
                assert!(!source.contains(foul), "{foul} in {file}");
            }
        }
    }
}
