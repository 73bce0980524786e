//! People sign in with the released binary: in a real browser, and on two nodes that share a PostgreSQL.
//! With `REYNARD_SHOTS=DIR` the pages are photographed as well.

use anyhow::{Context, Result, ensure};
use reqwest::header::{CONTENT_TYPE, COOKIE, SET_COOKIE};
use serde_json::{Value, json};
use sqlx::{Connection, SqliteConnection};

use crate::nodes::until_active;
use crate::parts::browser::Browser;
use crate::parts::http;
use crate::parts::page::{LOOKS, photographed, says};
use crate::parts::postgres::Postgres;
use crate::parts::recorder::Recorder;
use crate::parts::reynard::{Reynard, Setup, password_line};
use crate::parts::wait::{seconds, wait_until};
use crate::real;

const ANA: &str = "correct horse battery staple";
const BO: &str = "another one, of bo's own";

const PLAYBOOK: &str = "
title: Poke
on: {}
steps:
  - id: poke
    approval: { by: operator, expires: 10m }
    action: http.request
    target: shop
    with: { method: POST, path: /poke, json: { service: '{{ incident.service }}' } }
";

async fn settings(shop: &Recorder) -> Result<String> {
    let (ana, bo) = (password_line(ANA).await?, password_line(BO).await?);
    ensure!(ana.starts_with("password: \"$argon2id$v=19$m=19456,t=2,p=1$") && ana != bo, "{ana}");
    Ok(format!(
        "incidents: {{ settle: 1s, reopen_within: 0s }}\npeople:\n  ana: {{ roles: [operator], {ana} }}\n  bo: {{ roles: [operator], {bo} }}\n\
         targets: {{ shop: {{ kind: http, url: 'http://{}' }} }}\n",
        shop.address
    ))
}

#[tokio::test]
async fn a_person_signs_in_acts_as_themselves_and_signs_out_in_a_browser() -> Result<()> {
    if !real("a_person_signs_in_acts_as_themselves_and_signs_out_in_a_browser") {
        return Ok(());
    }
    let shop = Recorder::start().await?;
    let reynard = Reynard::start(Setup { settings: &settings(&shop).await?, playbooks: &[("poke", PLAYBOOK)], environment: &[] }).await?;
    let browser = Browser::start().await?;
    let at = |path: &str| format!("{}{path}", reynard.url);
    reynard.fire("service-down").await?;
    wait_until("an incident", seconds(15), async || reynard.incident().await).await?;
    browser.look(LOOKS[1]).await?;

    // What is asked for before signing in waits, and is done by one more press.
    browser.open(&at("/playbooks/poke/start?incident=1")).await?;
    browser.press("form.fields button.primary").await?;
    says(&browser, "main", "what you typed is kept").await?;
    photographed(&browser, "h1", "sign-in").await?;
    browser.fill("#name", "ana").await?;
    browser.fill("#password", "not her password").await?;
    browser.press("button.primary").await?;
    says(&browser, "main", "the name or the password is wrong").await?;
    browser.fill("#password", ANA).await?;
    browser.press("button.primary").await?;
    says(&browser, "main", "signed in as ana").await?;
    photographed(&browser, "h1", "resume").await?;
    browser.press("button.primary").await?;
    says(&browser, "#machine", "needs a yes").await?;

    // She asked for it: hers is no yes, whatever she types.
    ensure!(browser.run("return document.querySelector('[name=by]') === null").await? == true, "nobody is asked for a name");
    browser.press("#machine .doubtbox button.primary").await?;
    says(&browser, ".notice", "nothing was changed").await?;
    ensure!(shop.bodies().is_empty(), "nothing was poked");
    browser.open(&at("/me")).await?;
    says(&browser, "main", "this one").await?;
    photographed(&browser, "h1", "me").await?;
    browser.press("main form[action='/sign-out'] button").await?;
    signs_in(&browser, &at("/sign-in?back=/incidents/1"), "bo", BO).await?;
    browser.press("#machine .doubtbox button.primary").await?;
    wait_until("the target to be poked", seconds(10), async || Ok((shop.bodies().len() == 1).then_some(()))).await?;
    let id = reynard.incident().await?.context("an incident")?["id"].as_str().unwrap_or_default().to_owned();
    let told = reynard.timeline(&id).await?;
    let approved = told.iter().find(|entry| entry["kind"] == "approved").context("it was approved")?;
    ensure!(approved["actor"] == json!({ "kind": "person", "name": "bo" }), "{approved}");

    // Holding is one act; letting loose asks for a sign-in that is not old.
    browser.open(&at("/automation")).await?;
    browser.fill("#hold-reason", "the pokes make it worse").await?;
    browser.press("form.confirm button.danger").await?;
    says(&browser, "main h1", "automation is held").await?;
    grows_old(&reynard).await?;
    browser.open(&at("/automation")).await?;
    says(&browser, "main", "your password, because you signed in more than 12 hours ago").await?;
    photographed(&browser, "h1", "release").await?;
    browser.fill("#release-reason", "the fix is out").await?;
    browser.press("[name=sure]").await?;
    browser.fill("#release-password", BO).await?;
    browser.press("form.confirm button.danger").await?;
    says(&browser, ".notice", "released").await?;
    browser.open(&at("/automation")).await?;
    browser.fill("#hold-reason", "once more").await?;
    browser.press("form.confirm button.danger").await?;
    says(&browser, "main h1", "automation is held").await?;
    browser.press("#me summary").await?;
    browser.press("#me form[action='/sign-out'] button").await?;
    browser.open(&at("/automation")).await?;
    says(&browser, "main", "a person who has signed in releases it").await?;
    let (good, said) = reynard.asked_to(&["release", "--by", "bo", "--reason", "from the machine itself"]).await?;
    ensure!(!good && said.contains("401"), "{said}");
    let odd: Vec<String> = browser.complaints().await?.into_iter().filter(|line| !line.contains("401")).collect();
    ensure!(odd.is_empty(), "{odd:#?}");
    Ok(())
}

#[tokio::test]
async fn two_nodes_share_a_session_and_none_believes_a_name() -> Result<()> {
    if !real("two_nodes_share_a_session") {
        return Ok(());
    }
    let (postgres, shop) = (Postgres::start().await?, Recorder::start().await?);
    let (url, settings) = (postgres.url("admin"), settings(&shop).await?);
    let environment = [("REYNARD_DATABASE_URL", url.as_str())];
    let setup = Setup { settings: &settings, playbooks: &[("poke", PLAYBOOK)], environment: &environment };
    let a = Reynard::node(setup).await?;
    until_active(&a, 5).await?;
    let b = Reynard::node(setup).await?;
    a.fire("service-down").await?;
    wait_until("an incident", seconds(15), async || a.incident().await).await?;
    let form = url::form_urlencoded::Serializer::new(String::new()).append_pair("name", "ana").append_pair("password", ANA).finish();
    let asked = client()?.post(format!("{}/sign-in", b.url)).header(CONTENT_TYPE, "application/x-www-form-urlencoded");
    let answer = asked.body(form).send().await?;
    ensure!(answer.status() == 303, "{}", answer.status());
    let cookie = answer.headers()[SET_COOKIE].to_str()?.split(';').next().unwrap_or_default().to_owned();

    // On the node that stands by, sent on to the active one, which finds out for itself whose it is.
    let comment = async |node: &Reynard, cookie: &str| -> Result<u16> {
        let asked = http::client().post(format!("{}/api/v1/incidents/1/comment", node.url)).header(COOKIE, cookie);
        Ok(asked.header("reynard-actor", "bo").json(&json!({ "text": "x", "by": "bo" })).send().await?.status().as_u16())
    };
    let sent_on = async || Ok(Some(comment(&b, &cookie).await?).filter(|status| *status != 503));
    let status = wait_until("the other node to know where the active one is", seconds(5), sent_on).await?;
    ensure!(status == 200, "{status}");
    ensure!(comment(&a, &cookie).await? == 200);
    let forged =
        http::client().post(format!("{}/api/v1/incidents/1/comment", a.url)).header("reynard-actor", "bo").header("reynard-sent-on", "1");
    ensure!(forged.json(&json!({ "text": "x" })).send().await?.status() == 401, "what says that a node sent it is no node");
    let id = a.incident().await?.context("an incident")?["id"].as_str().unwrap_or_default().to_owned();
    let told = a.timeline(&id).await?;
    let who: Vec<&Value> = told.iter().filter(|entry| entry["kind"] == "commented").map(|entry| &entry["actor"]["name"]).collect();
    ensure!(who == ["ana", "ana"], "{who:?}");

    // Signed out on one is signed out on both.
    client()?.post(format!("{}/sign-out", a.url)).header(COOKIE, &cookie).send().await?;
    ensure!(comment(&b, &cookie).await? == 401 && comment(&a, &cookie).await? == 401);
    Ok(())
}

/// One that shows where it is sent.
fn client() -> Result<reqwest::Client> {
    Ok(reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build()?)
}

async fn signs_in(browser: &Browser, page: &str, name: &str, password: &str) -> Result<()> {
    browser.open(page).await?;
    browser.fill("#name", name).await?;
    browser.fill("#password", password).await?;
    browser.press("button.primary").await?;
    says(browser, "#me", name).await
}

/// Thirteen hours go by for whoever is signed in.
async fn grows_old(reynard: &Reynard) -> Result<()> {
    let mut file = SqliteConnection::connect(&format!("sqlite://{}", reynard.path("data/reynard.db").display())).await?;
    sqlx::query("update sessions set began_at = began_at - 13 * 3600000").execute(&mut file).await?;
    Ok(())
}
