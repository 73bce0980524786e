//! The style, the script and the pictures, carried in the binary. Knows nothing of what the pages say.

use axum::extract::{Path, Query};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use rust_embed::{EmbeddedFile, RustEmbed};
use serde::Deserialize;

/// What a browser may load for a page of ours: our own files and nothing else, nothing inline.
pub const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
     connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

#[derive(RustEmbed)]
#[folder = "assets/"]
struct Assets;

#[derive(Debug, Deserialize)]
pub struct Version {
    v: Option<String>,
}

/// The address of a file; it changes when the file does, so that browsers may keep it for ever.
pub fn href(name: &str) -> String {
    Assets::get(name).map_or_else(|| format!("/assets/{name}"), |file| format!("/assets/{name}?v={}", version(&file)))
}

/// `GET /assets/{name}`.
pub async fn serve(Path(name): Path<String>, Query(asked): Query<Version>) -> Response {
    let Some(file) = Assets::get(&name) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let keep = if asked.v.is_some_and(|v| v == version(&file)) { "public, max-age=31536000, immutable" } else { "no-cache" };
    ([(header::CONTENT_TYPE, content_type(&name)), (header::CACHE_CONTROL, keep)], file.data.into_owned()).into_response()
}

fn version(file: &EmbeddedFile) -> String {
    file.metadata.sha256_hash().iter().take(6).map(|byte| format!("{byte:02x}")).collect()
}

fn content_type(name: &str) -> &'static str {
    match name.rsplit('.').next() {
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("svg") => "image/svg+xml",
        _ => "application/octet-stream",
    }
}
