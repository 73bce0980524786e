//! The page shown when there is nothing to show: not found, or the database does not answer. Says what to do.

use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Response};

use crate::engine::store::StoreError;
use crate::web::assets::href;

/// Why a page cannot be shown.
#[derive(Debug)]
pub enum Fault {
    NotFound(&'static str),
    Store(StoreError),
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        let (status, title, text) = match self {
            Self::NotFound(what) => (StatusCode::NOT_FOUND, "Not here", what),
            Self::Store(error) => {
                tracing::warn!(%error, "a page could not be read");
                let text = "The database does not answer just now. Alerts that cannot be stored are refused with 503, \
                            so that Alertmanager sends them again. This page tries again every few seconds.";
                (StatusCode::SERVICE_UNAVAILABLE, "One moment", text)
            }
        };
        let again = if status == StatusCode::SERVICE_UNAVAILABLE { "<meta http-equiv=\"refresh\" content=\"5\">" } else { "" };
        let html = format!(
            "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">{again}\
             <title>{title} · Reynard</title><link rel=\"stylesheet\" href=\"{}\"></head><body><main class=\"fault\"><h1>{title}</h1>\
             <p>{text}</p><p><a class=\"button\" href=\"/incidents\">All incidents</a></p></main></body></html>",
            href("reynard.css")
        );
        (status, [(header::CACHE_CONTROL, "no-store")], Html(html)).into_response()
    }
}
