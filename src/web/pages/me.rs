//! `POST /me`: a visitor says who they are, or how bright the page shall be. Knows no sign-in.

use axum::extract::Form;
use axum::http::header::SET_COOKIE;
use axum::response::{AppendHeaders, IntoResponse, Redirect, Response};
use serde::Deserialize;

use crate::web::pages::visitor::{local, remember_name, remember_theme};

#[derive(Debug, Deserialize)]
pub struct Wish {
    name: Option<String>,
    theme: Option<String>,
    back: Option<String>,
}

pub async fn remember(Form(wish): Form<Wish>) -> Response {
    let cookies = wish.name.as_deref().map(remember_name).into_iter().chain(wish.theme.as_deref().map(remember_theme));
    let cookies: Vec<_> = cookies.map(|cookie| (SET_COOKIE, cookie)).collect();
    (AppendHeaders(cookies), Redirect::to(local(wish.back.as_deref()))).into_response()
}
