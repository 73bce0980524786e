//! The real router over a story's engine: pages are read, forms are sent, as a browser does it.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::ConnectInfo;
use axum::http::{HeaderMap, Request, header, request};
use reynard::engine::metrics::Metrics;
use reynard::rehearse::{self, Drafts};
use reynard::web::pages::router::routes;
use reynard::web::router::router;
use reynard::web::state::WebState;
use tower::ServiceExt;

use crate::app::App;
use crate::library::Memory;

pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub text: String,
}

pub struct Browser {
    router: Router,
}

impl Browser {
    pub fn of(app: &App) -> Self {
        Self::on(state(app))
    }

    pub fn on(state: WebState) -> Self {
        Self { router: router(state, routes()) }
    }

    pub async fn ask(&self, request: Request<Body>) -> Answer {
        let answer = self.router.clone().oneshot(request).await.expect("routers do not fail");
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let bytes = to_bytes(answer.into_body(), usize::MAX).await.expect("it is in memory");
        Answer { status, headers, text: String::from_utf8_lossy(&bytes).into_owned() }
    }

    pub async fn page(&self, path: &str) -> String {
        let answer = self.ask(call("GET", path).body(Body::empty()).expect("a request")).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text);
        answer.text
    }

    /// Sends a form and looks at the page that it leads to, with what it says of itself.
    pub async fn sends(&self, path: &str, form: &str) -> String {
        let kind = "application/x-www-form-urlencoded";
        let request = call("POST", path).header(header::CONTENT_TYPE, kind).body(Body::from(form.to_owned())).expect("a request");
        let answer = self.ask(request).await;
        assert_eq!(answer.status, 303, "{path}: {}", answer.text);
        let cookies: Vec<&str> = answer.headers.get_all(header::SET_COOKIE).iter().filter_map(|cookie| cookie.to_str().ok()).collect();
        let cookie = cookies.iter().filter_map(|cookie| cookie.split(';').next()).collect::<Vec<_>>().join("; ");
        assert!(cookie.len() < 4_096, "a browser keeps {} bytes", cookie.len());
        let next = answer.headers[header::LOCATION].to_str().expect("an address").to_owned();
        let page = self.ask(call("GET", &next).header(header::COOKIE, cookie).body(Body::empty()).expect("a request")).await;
        assert_eq!(page.status, 200, "{next}: {}", page.text);
        page.text
    }

    /// Puts a wish to the API, as a program does.
    pub async fn posts(&self, path: &str, body: &serde_json::Value) -> (u16, serde_json::Value) {
        let request = call("POST", path).header(header::CONTENT_TYPE, "application/json").body(Body::from(body.to_string()));
        let answer = self.ask(request.expect("a request")).await;
        (answer.status, serde_json::from_str(&answer.text).unwrap_or_default())
    }

    /// Presses Undo on a page.
    pub async fn undoes(&self, page: &str) -> String {
        let form = between(page, "<form class=\"undo\"", "</form>");
        let fields = form.split("<input type=\"hidden\" ").skip(1).map(|input| {
            let value = between(input, "value=\"", "\"").replace("&#x3D;", "=").replace("&amp;", "&");
            format!("{}={}", between(input, "name=\"", "\""), reynard::web::pages::visitor::encode(&value))
        });
        let fields: Vec<String> = fields.collect();
        self.sends(between(form, "action=\"", "\""), &fields.join("&")).await
    }
}

/// What the router is handed.
pub fn state(app: &App) -> WebState {
    let state = WebState::new(app.runtime.clone(), Vec::new(), Arc::new(Metrics::new()), Default::default());
    let _ = state.library.set(Memory::library(&app.runtime.rulebook()));
    let nowhere = std::path::Path::new("/nonexistent");
    let mut settings = rehearse::settings(nowhere, nowhere).expect("the shipped ones");
    settings.rulebook = app.runtime.rulebook().as_ref().clone();
    let _ = state.desk.set(Arc::new(Drafts::new(settings)));
    state
}

pub fn call(method: &str, path: &str) -> request::Builder {
    let peer: SocketAddr = "127.0.0.1:9".parse().expect("an address");
    Request::builder().method(method).uri(path).header(header::HOST, "reynard.test").extension(ConnectInfo(peer))
}

/// What stands between two texts, the first time.
pub fn between<'a>(text: &'a str, from: &str, to: &str) -> &'a str {
    let start = text.find(from).unwrap_or_else(|| panic!("{from} in {text}")) + from.len();
    &text[start..start + text[start..].find(to).unwrap_or_else(|| panic!("{to} in {text}"))]
}

/// The notice at the top of a page.
pub fn notice(page: &str) -> String {
    between(page, "role=\"status\"><span>", "</span>").replace("&#x27;", "'").replace("&quot;", "\"")
}
