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
    templates.register_helper("sprite", Box::new(sprite));
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

/// A page without the shell, for whoever may not see the house yet.
pub fn bare<V: Serialize>(template: &str, view: &V) -> Response {
    match TEMPLATES.render(template, view) {
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

/// `{{sprite "strip"}}`: the address of one picture in the sprite.
fn sprite(helper: &Helper<'_>, _: &Handlebars<'_>, _: &Context, _: &mut RenderContext<'_, '_>, out: &mut dyn Output) -> Drawn {
    let name = text(param(helper)?)?;
    out.write(&format!("{}#{}", *SPRITE, escape(name)))?;
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
