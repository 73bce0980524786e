//! People sign in: an act is whose it is shown to be, whatever anybody types; a session ends when it should; automation is let loose by
//! who signed in lately; and where nobody has a password nothing asks.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use axum::body::Body;
use axum::http::header;
use reynard::domain::decide::command::Command;
use reynard::domain::password::PasswordHash;
use reynard::domain::secret::Secret;
use reynard::domain::sign_in::{Mode, SignInSettings, Token};
use reynard::domain::time::{Span, Timestamp};
use reynard::engine::sessions::{Session, Sessions};
use reynard::engine::store::StoreError;
use reynard::web::pages::visitor::encode;
use reynard::web::state::WebState;
use serde_json::{Value, json};

use crate::app::App;
use crate::web::{self, Answer, Browser, between, call};

const ANA: &str = "correct horse battery staple";
const BO: &str = "another one, of bo's own";
const CI: &str = "0123456789abcdef-of-ci";
const ASKS: &str = "
title: Ask first
on: {}
steps:
  - { id: protect, title: Make orders read-only, action: postgres.read_only, target: orders-db, approval: { by: operator, expires: 1h } }
";

const ACTS: &str = "
title: Act
on: {}
steps:
  - { id: restart, title: Restart orders, action: http.request, target: orders-admin, with: { method: POST, path: /restart } }
";

/// Sessions in memory; on both databases they have stories of their own.
#[derive(Default)]
struct Kept(Mutex<Vec<Session>>);

#[async_trait]
impl Sessions for Kept {
    async fn begin(&self, session: &Session) -> Result<(), StoreError> {
        self.0.lock().expect("no panics").push(session.clone());
        Ok(())
    }

    async fn find(&self, digest: &str) -> Result<Option<Session>, StoreError> {
        Ok(self.0.lock().expect("no panics").iter().find(|session| session.digest == digest).cloned())
    }

    async fn seen(&self, digest: &str, now: Timestamp) -> Result<(), StoreError> {
        self.0.lock().expect("no panics").iter_mut().filter(|session| session.digest == digest).for_each(|session| session.seen_at = now);
        Ok(())
    }

    async fn sessions_of(&self, person: &str) -> Result<Vec<Session>, StoreError> {
        Ok(self.0.lock().expect("no panics").iter().filter(|session| session.person == person).cloned().collect())
    }

    async fn end(&self, person: &str, digest: &str) -> Result<bool, StoreError> {
        let mut sessions = self.0.lock().expect("no panics");
        let before = sessions.len();
        sessions.retain(|session| session.person != person || session.digest != digest);
        Ok(sessions.len() < before)
    }
}

fn hash(password: &str, salt: u8) -> PasswordHash {
    PasswordHash::of(password, [salt; 16]).expect("19 MiB")
}

fn settings() -> SignInSettings {
    let token = |name: &str, token: &str, person: Option<&str>| Token {
        name: name.to_owned(),
        token: Secret::new(token),
        person: person.map(str::to_owned),
    };
    SignInSettings {
        wanted: None,
        passwords: [("ana".to_owned(), hash(ANA, 1)), ("bo".to_owned(), hash(BO, 2))].into(),
        tokens: vec![token("ci", CI, None), token("bos-phone", "0123456789abcdef-of-bo", Some("bo"))],
    }
}

/// A server whose people have passwords.
struct House {
    app: App,
    state: WebState,
    server: Browser,
}

impl House {
    async fn of(settings: SignInSettings) -> Self {
        let app = App::with(&[("asks", ASKS), ("acts", ACTS)]).await;
        app.fires("ServiceDown", "critical").await;
        let state = web::state(&app);
        let _ = state.sessions.set(Arc::new(Kept::default()));
        state.sign_in.follow(settings, false);
        Self { server: Browser::on(state.clone()), state, app }
    }

    async fn locked() -> Self {
        Self::of(settings()).await
    }

    fn guest(&self) -> Guest<'_> {
        Guest { house: self, cookies: Mutex::default(), headers: Vec::new() }
    }

    async fn with(&self, name: &str, password: &str) -> Guest<'_> {
        let guest = self.guest();
        let answer = guest.signs_in(name, password).await;
        assert_eq!(answer.status, 303, "{}", answer.text);
        guest
    }

    /// Who did what was last done to the first incident, and what.
    async fn last(&self) -> (String, String) {
        self.app.settles().await;
        let entry = self.app.entries(self.app.incident(1).await.id).await.pop().expect("an entry");
        (entry.actor.name().to_owned(), entry.event.kind().to_owned())
    }

    async fn acts(&self, kind: &str) -> Vec<String> {
        self.app.settles().await;
        let entries = self.app.entries(self.app.incident(1).await.id).await;
        entries.iter().filter(|entry| entry.event.kind() == kind).map(|entry| entry.actor.name().to_owned()).collect()
    }
}

/// Somebody's browser, with its cookies.
struct Guest<'a> {
    house: &'a House,
    cookies: Mutex<BTreeMap<String, String>>,
    headers: Vec<(&'static str, String)>,
}

impl Guest<'_> {
    fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    async fn asks(&self, method: &str, path: &str, kind: &str, body: String) -> Answer {
        let cookies = self.cookies.lock().expect("no panics").iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>();
        let mut request = call(method, path).header(header::COOKIE, cookies.join("; "));
        if !body.is_empty() {
            request = request.header(header::CONTENT_TYPE, kind);
        }
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        let answer = self.house.server.ask(request.body(Body::from(body)).expect("a request")).await;
        for cookie in answer.headers.get_all(header::SET_COOKIE) {
            let cookie = cookie.to_str().expect("text");
            let (name, rest) = cookie.split_once('=').expect("a pair");
            let value = rest.split(';').next().unwrap_or_default();
            let mut cookies = self.cookies.lock().expect("no panics");
            match rest.contains("Max-Age=0") {
                true => drop(cookies.remove(name)),
                false => drop(cookies.insert(name.to_owned(), value.to_owned())),
            }
        }
        answer
    }

    async fn looks(&self, path: &str) -> Answer {
        self.asks("GET", path, "", String::new()).await
    }

    async fn sends(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let pairs: Vec<String> = fields.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect();
        let body = if pairs.is_empty() { " ".to_owned() } else { pairs.join("&") };
        self.asks("POST", path, "application/x-www-form-urlencoded", body).await
    }

    /// Sends a form and looks at what the next page says of it.
    async fn told(&self, path: &str, fields: &[(&str, &str)]) -> String {
        let answer = self.sends(path, fields).await;
        assert_eq!(answer.status, 303, "{path}: {}", answer.text);
        let next = answer.headers[header::LOCATION].to_str().expect("an address").to_owned();
        web::notice(&self.looks(&next).await.text)
    }

    async fn posts(&self, path: &str, body: &Value) -> (u16, Value) {
        let answer = self.asks("POST", path, "application/json", body.to_string()).await;
        (answer.status, serde_json::from_str(&answer.text).unwrap_or_default())
    }

    async fn signs_in(&self, name: &str, password: &str) -> Answer {
        self.sends("/sign-in", &[("name", name), ("password", password), ("back", "/incidents/1")]).await
    }

    /// Whether acts are still this person's.
    async fn is_in(&self) -> bool {
        let (status, _) = self.posts("/api/v1/incidents/1/comment", &json!({ "text": "still here" })).await;
        assert!([200, 401].contains(&status), "{status}");
        status == 200
    }
}

#[tokio::test]
async fn once_anybody_has_a_password_an_act_is_whose_it_is_shown_to_be() {
    let house = House::locked().await;
    let guest = house.guest().with("reynard-actor", "bo");
    assert_eq!(guest.looks("/incidents/1").await.status, 200, "reading stays open");
    let (status, no) = guest.posts("/api/v1/incidents/1/acknowledge", &json!({ "by": "ana" })).await;
    assert_eq!(status, 401, "{no}");
    assert!(no["detail"].as_str().unwrap_or_default().contains("`tokens`"), "{no}");
    assert_eq!(house.acts("acknowledged").await, [""; 0]);
    let ana = house.with(" Ana ", ANA).await.with("reynard-actor", "bo");
    assert!(ana.looks("/incidents/1").await.text.contains("Signed in as <b>ana</b>"));
    let (status, _) = ana.posts("/api/v1/incidents/1/acknowledge", &json!({ "by": "bo" })).await;
    assert_eq!((status, house.last().await.0.as_str()), (200, "ana"), "neither header nor body says who acts");
    ana.sends("/me", &[("name", "bo")]).await;
    ana.sends("/incidents/1/comment", &[("text", "mine"), ("by", "bo")]).await;
    assert_eq!(house.last().await, ("ana".to_owned(), "commented".to_owned()), "nor does a form");
    let phone = house.guest().with("authorization", "Bearer 0123456789abcdef-of-bo").with("reynard-actor", "ana");
    assert_eq!(phone.posts("/api/v1/incidents/1/comment", &json!({ "text": "bo's" })).await.0, 200);
    assert_eq!(house.last().await.0, "bo", "a token is whose the settings say");
    let ci = house.guest().with("authorization", &format!("Bearer {CI}"));
    assert_eq!(ci.posts("/api/v1/incidents/1/comment", &json!({ "text": "ci's", "by": "ana" })).await.0, 200);
    assert_eq!(house.last().await.0, "ci");
    let wrong = house.guest().with("authorization", "Bearer 0123456789abcdef-of-no-one");
    assert_eq!(wrong.posts("/api/v1/incidents/1/comment", &json!({ "text": "x" })).await.0, 401);
    // What only asks a question changes nothing.
    assert_eq!(guest.posts("/api/v1/playbooks/asks/check", &json!({})).await.0, 200);
}

#[tokio::test]
async fn a_form_that_was_typed_before_signing_in_is_kept_and_sent_by_one_more_press() {
    let house = House::locked().await;
    let guest = house.guest();
    let page =
        guest.sends("/incidents/1/comment", &[("text", "I <see> smoke"), ("password", "slipped in"), ("back", "/incidents/1")]).await;
    assert_eq!(page.status, 401);
    assert!(page.text.contains("What you typed is kept.") && page.text.contains("I &lt;see&gt; smoke"), "{}", page.text);
    assert!(!page.text.contains("slipped in"), "a password is typed anew");
    let kept = [("then", "/incidents/1/comment"), ("kept.text", "I <see> smoke"), ("kept.back", "/incidents/1")];
    let wrong = guest.sends("/sign-in", &[&[("name", "ana"), ("password", "no")], &kept[..]].concat()).await;
    assert_eq!(wrong.status, 401);
    assert!(wrong.text.contains("is wrong") && wrong.text.contains("name=\"kept.text\" value=\"I &lt;see&gt; smoke\""), "{}", wrong.text);
    let right = guest.sends("/sign-in", &[&[("name", "ana"), ("password", ANA)], &kept[..]].concat()).await;
    assert_eq!(right.status, 200, "{}", right.text);
    assert!(right.text.contains("Signed in as ana") && right.text.contains("action=\"/incidents/1/comment\""), "{}", right.text);
    assert_eq!(house.acts("commented").await, [""; 0], "nothing is done by signing in");
    guest.sends("/incidents/1/comment", &[("text", "I <see> smoke"), ("back", "/incidents/1")]).await;
    assert_eq!(house.acts("commented").await, ["ana"]);
    let away = guest.sends("/sign-in", &[("name", "ana"), ("password", ANA), ("back", "//evil.example")]).await;
    assert_eq!(away.headers[header::LOCATION], "/");
}

#[tokio::test]
async fn nobody_approves_what_they_asked_for_whatever_name_they_type() {
    let house = House::locked().await;
    let ana = house.with("ana", ANA).await;
    ana.sends("/playbooks/asks/start", &[("incident", "1")]).await;
    house.app.settles().await;
    let run = house.app.incident(1).await.runs.into_values().next().expect("a run");
    assert_eq!(run.requested_by.as_deref(), Some("ana"));
    let approve = format!("/runs/{}/steps/protect/approve", run.id);
    let said = ana.told(&approve, &[("by", "bo"), ("back", "/incidents/1")]).await;
    assert!(said.starts_with("Nothing was changed"), "{said}");
    let api = format!("/api/v1{approve}");
    let liar = house.with("ana", ANA).await.with("reynard-actor", "bo");
    assert_eq!(liar.posts(&api, &json!({ "by": "bo" })).await.0, 409);
    let ci = house.guest().with("authorization", &format!("Bearer {CI}"));
    let (status, no) = ci.posts(&api, &json!({})).await;
    assert_eq!(status, 403, "a program is nobody: {no}");
    assert!(ci.told(&approve, &[("back", "/incidents/1")]).await.contains("is nobody's"));
    assert_eq!(house.app.calls(), [""; 0]);
    let bo = house.with("bo", BO).await;
    assert!(bo.told(&approve, &[("back", "/incidents/1")]).await.starts_with("Approved"));
    house.app.settles().await;
    assert_eq!(house.app.calls(), ["postgres.read_only orders-db #1"]);
    assert_eq!(house.acts("approved").await, ["bo"]);
}

#[tokio::test]
async fn a_session_ends_with_the_person_the_password_and_the_press() {
    let house = House::locked().await;
    let (ana, bo) = (house.with("ana", ANA).await, house.with("bo", BO).await);
    assert!(ana.is_in().await && bo.is_in().await);
    let mut without = settings();
    without.passwords.remove("bo");
    house.state.sign_in.follow(without, false);
    assert!(ana.is_in().await && !bo.is_in().await, "bo has left");
    let mut changed = settings();
    changed.passwords.insert("ana".to_owned(), hash("a new password altogether", 1));
    house.state.sign_in.follow(changed, false);
    assert!(!ana.is_in().await, "the password is another one");
    house.state.sign_in.follow(settings(), false);
    let (here, there) = (house.with("ana", ANA).await, house.with("ana", ANA).await);
    let page = there.looks("/me").await.text;
    assert!(page.contains("this one") && page.contains("End all others"), "{page}");
    let digest = between(&page, "name=\"session\" value=\"", "\"").to_owned();
    let bo = house.with("bo", BO).await;
    bo.sends("/me/sessions", &[("session", &digest)]).await;
    assert!(ana.is_in().await && here.is_in().await, "bo ends none of ana's");
    assert_eq!(there.told("/me/sessions", &[]).await, "2 sessions were ended.");
    assert!(!here.is_in().await && !ana.is_in().await && there.is_in().await && bo.is_in().await);
    let stolen = there.cookies.lock().expect("no panics").clone();
    assert_eq!(there.sends("/sign-out", &[]).await.status, 303);
    let thief = house.guest();
    *thief.cookies.lock().expect("no panics") = stolen;
    assert!(!there.is_in().await && !thief.is_in().await, "signed out is out, with the same cookie, too");
    assert_eq!(there.looks("/me").await.status, 303, "the page asks who it is");
}

#[tokio::test]
async fn a_session_that_is_used_lasts_a_month_and_one_that_is_not_a_fortnight() {
    let house = House::locked().await;
    let (busy, idle) = (house.with("ana", ANA).await, house.with("ana", ANA).await);
    for _ in 0..29 {
        house.app.clock.turn(Span::hours(24));
        assert!(busy.is_in().await);
    }
    assert!(!idle.is_in().await);
    house.app.clock.turn(Span::hours(24));
    assert!(!busy.is_in().await, "after thirty days one signs in anew");
}

#[tokio::test]
async fn automation_is_let_loose_by_who_signed_in_lately() {
    let house = House::locked().await;
    house.state.releasing.follow(Some(Secret::new("release-token")));
    let release = [("reason", "fixed"), ("sure", "yes"), ("waiting", "begin"), ("name", "bo"), ("token", "release-token")];
    let id = house.app.incident(1).await.id;
    let hold = async || {
        house.app.runtime.hold("zoe", "no", false).await.expect("held");
        let act = Command::StartRun { playbook: "acts".to_owned(), vars: Default::default() };
        house.app.puts(id, "zoe", act).await.expect("it waits for the release");
    };
    let holders = async || house.app.runtime.reads.totals().await.expect("readable").holds.are_none();
    let api = "/api/v1/automation/release";
    hold().await;
    assert_eq!(house.guest().sends("/automation/release", &release).await.status, 401, "not without a sign-in");
    assert_eq!(house.guest().posts(api, &json!({ "reason": "x", "by": "ana" })).await.0, 401);
    let ci = house.guest().with("authorization", &format!("Bearer {CI}"));
    assert_eq!(ci.posts(api, &json!({ "reason": "x", "by": "ana" })).await.0, 403, "a program does not");
    assert!(!holders().await);
    let ana = house.with("ana", ANA).await;
    assert!(ana.told("/automation/release", &release).await.starts_with("Released"));
    assert_eq!(house.acts("automation_released").await, ["ana"]);
    hold().await;
    house.app.clock.turn(Span::hours(12));
    assert!(ana.is_in().await, "she is still who she is");
    let page = ana.looks("/automation").await.text;
    assert!(page.contains("id=\"release-password\"") && !page.contains("id=\"release-token\""), "{page}");
    assert!(ana.told("/automation/release", &release).await.contains("more than 12 hours ago"));
    let (status, no) = ana.posts(api, &json!({ "reason": "x" })).await;
    assert_eq!(status, 403, "{no}");
    assert!(ana.told("/automation/release", &[&release[..], &[("password", BO)]].concat()).await.contains("is wrong"));
    assert!(!holders().await, "an old sign-in releases nothing");
    assert!(ana.told("/automation/release", &[&release[..], &[("password", ANA)]].concat()).await.starts_with("Released"));
    hold().await;
    assert!(ana.told("/automation/release", &release).await.starts_with("Released"), "that was a sign-in");
    hold().await;
    let token = house.guest().with("authorization", "Bearer release-token");
    assert_eq!(token.posts(api, &json!({ "reason": "x", "by": "ana" })).await.0, 200, "the token does as ever");
    let released = house.acts("automation_released").await;
    assert_eq!(released.last().map(String::as_str), Some("ana, by the release token"), "and is not taken for ana herself");
    assert_eq!(token.posts("/api/v1/incidents/1/comment", &json!({ "text": "x" })).await.0, 401, "and for nothing else");
}

#[tokio::test]
async fn where_reading_asks_too_only_what_programs_ask_is_open() {
    let house = House::of(SignInSettings { wanted: Some(Mode::All), ..settings() }).await;
    let guest = house.guest();
    for path in ["/health", "/ready", "/active", "/startup", "/metrics", "/sign-in", "/assets/reynard.css"] {
        assert_eq!(guest.looks(path).await.status, 200, "{path}");
    }
    for path in ["/incidents/1", "/", "/playbooks", "/automation", "/nodes", "/incidents/1.md"] {
        let answer = guest.looks(path).await;
        assert_eq!(answer.status, 303, "{path}");
        assert_eq!(answer.headers[header::LOCATION], format!("/sign-in?back={path}"));
    }
    for path in ["/api/v1/incidents", "/api/v1/incidents/1/timeline", "/api/v1/stream", "/api/openapi.json", "/api/v1/automation"] {
        let answer = guest.looks(path).await;
        assert_eq!((answer.status, answer.headers[header::WWW_AUTHENTICATE].as_bytes()), (401, &b"Bearer"[..]), "{path}");
    }
    assert!(!guest.looks("/sign-in").await.text.contains("Incidents"), "nothing of the house is shown");
    assert_eq!(guest.posts("/api/v1/webhooks/alertmanager", &crate::app::body(&[])).await.0, 200);
    assert_eq!(guest.posts("/", &crate::app::body(&[])).await.0, 200);
    let ana = house.with("ana", ANA).await;
    assert_eq!(ana.looks("/incidents/1").await.status, 200);
    let ci = house.guest().with("authorization", &format!("Bearer {CI}"));
    assert_eq!(ci.looks("/api/v1/incidents").await.status, 200);
}

#[tokio::test]
async fn wrong_passwords_are_answered_alike_and_slowed_and_keep_nobody_out() {
    let house = House::locked().await;
    let thief = house.guest();
    let mut words = Vec::new();
    for name in ["ana", "nobody", "ana", "nobody", "ana", "nobody", "ana", "nobody", "ana", "nobody"] {
        let answer = thief.signs_in(name, "a password that is wrong").await;
        assert_eq!(answer.status, 401);
        words.push(answer.text.replace(name, "NAME"));
    }
    words.dedup();
    assert_eq!(words.len(), 1, "known and unknown names are told the same: {words:#?}");
    for name in ["ana", "nobody"] {
        let answer = thief.signs_in(name, ANA).await;
        assert_eq!((answer.status, answer.headers[header::RETRY_AFTER].as_bytes()), (429, &b"1"[..]), "{name}");
    }
    let ana = house.guest().with("x-forwarded-for", "203.0.113.5");
    assert_eq!(ana.signs_in("ana", ANA).await.status, 303, "ana herself is elsewhere");
    house.app.clock.turn(Span::seconds(1));
    assert_eq!(thief.signs_in("ana", ANA).await.status, 303, "and who forgot waits a second");
    let metrics = thief.looks("/metrics").await.text;
    for line in
        ["sign_ins_total{outcome=\"refused\"} 10", "sign_ins_total{outcome=\"throttled\"} 2", "sign_ins_total{outcome=\"signed_in\"} 2"]
    {
        assert!(metrics.contains(line), "{line}: {metrics}");
    }
}

#[tokio::test]
async fn another_sites_page_signs_nobody_in_or_out() {
    let house = House::locked().await;
    for (name, value) in [("origin", "https://evil.example"), ("sec-fetch-site", "cross-site")] {
        let evil = house.guest().with(name, value);
        assert_eq!(evil.signs_in("ana", ANA).await.status, 403);
        assert_eq!(evil.sends("/sign-out", &[]).await.status, 403);
        assert_eq!(evil.sends("/me/sessions", &[]).await.status, 403);
        assert!(evil.cookies.lock().expect("no panics").is_empty());
    }
}

#[tokio::test]
async fn a_cookie_goes_where_its_page_goes_and_every_sign_in_has_a_new_one() {
    let house = House::locked().await;
    let proxied = house.guest().with("x-forwarded-proto", "https").with("x-forwarded-for", "203.0.113.5");
    let answer = proxied.signs_in("ana", ANA).await;
    let cookie = answer.headers[header::SET_COOKIE].to_str().expect("text").to_owned();
    assert!(
        cookie.starts_with("__Host-reynard_session=") && cookie.contains("; Path=/;") && cookie.ends_with("HttpOnly; SameSite=Lax; Secure"),
        "{cookie}"
    );
    assert!(proxied.is_in().await);
    let plain = house.with("ana", ANA).await;
    let id = plain.cookies.lock().expect("no panics")["reynard_session"].clone();
    assert_eq!(id.len(), 64);
    plain.signs_in("bo", BO).await;
    let (old, new) = (house.guest(), plain.cookies.lock().expect("no panics")["reynard_session"].clone());
    assert_ne!(id, new);
    old.cookies.lock().expect("no panics").insert("reynard_session".to_owned(), id);
    assert!(!old.is_in().await, "the one before is over");
    let sessions = house.state.sessions.get().expect("they are kept").sessions_of("bo").await.expect("readable");
    assert!(sessions.len() == 1 && !sessions[0].digest.contains(&new), "what is kept is no cookie");
}

#[tokio::test]
async fn where_signing_in_is_a_choice_nobody_else_goes_by_the_name_of_who_can() {
    let house = House::of(SignInSettings { wanted: Some(Mode::Optional), ..settings() }).await;
    let guest = house.guest();
    assert_eq!(guest.posts("/api/v1/incidents/1/comment", &json!({ "text": "x", "by": "zoe" })).await.0, 200);
    assert_eq!(guest.posts("/api/v1/incidents/1/comment", &json!({ "text": "x", "by": "Ana" })).await.0, 401);
    guest.sends("/me", &[("name", "ana")]).await;
    guest.sends("/incidents/1/comment", &[("text", "x")]).await;
    assert_eq!(house.acts("commented").await, ["zoe", "someone on this machine"]);
    house.app.runtime.hold("zoe", "no", false).await.expect("held");
    assert!(guest.told("/automation/release", &[("reason", "x"), ("sure", "yes"), ("name", "zoe")]).await.contains("sign in first"));
    assert_eq!(guest.posts("/api/v1/automation/release", &json!({ "reason": "x", "by": "zoe" })).await.0, 401);
}

#[tokio::test]
async fn without_any_password_everything_is_as_it_was_and_a_page_that_others_reach_says_so() {
    let house = House::of(SignInSettings::default()).await;
    let guest = house.guest();
    assert_eq!(guest.posts("/api/v1/incidents/1/acknowledge", &json!({ "by": "ana" })).await.0, 200);
    assert_eq!(house.last().await.0, "ana");
    let line = "may act under any name";
    assert!(!guest.looks("/incidents").await.text.contains(line));
    house.state.sign_in.follow(SignInSettings::default(), true);
    assert!(guest.looks("/incidents").await.text.contains(line));
    house.state.sign_in.follow(settings(), true);
    assert!(!guest.looks("/incidents").await.text.contains(line));
    assert!(guest.looks("/sign-in").await.text.contains("id=\"password\""));
}
