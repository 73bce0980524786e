//! What a person does on the page of an incident, in a real browser. With `REYNARD_SHOTS=DIR` it is photographed as well.

use std::path::Path;

use anyhow::{Result, ensure};

use crate::parts::browser::{Browser, Look};
use crate::parts::reynard::{Reynard, Setup};
use crate::parts::smtp::Smtp;
use crate::parts::wait::{seconds, wait_until};
use crate::real;

const PLAYBOOK: &str = r#"
title: Database connection failure
on: { type: database_connection_failure, priority: [P1, P2] }
steps:
  - { id: advise, title: Say what to do first, action: note, with: { text: "Is the server up, is its disk full, are its connections used up?" } }
  - { id: tell, title: Tell the person on call, action: notify, with: { to: [on-call], template: incident-opened } }
"#;

const STATE: &str = "#hero .pill";

const DESKTOP: Look = Look { name: "desktop", width: 1366, height: 768, phone: false, scheme: "light" };
const PHONE: Look = Look { name: "phone", width: 390, height: 844, phone: true, scheme: "light" };
const DARK: Look = Look { name: "dark", scheme: "dark", ..DESKTOP };

#[tokio::test]
async fn an_incident_is_acknowledged_and_resolved_on_its_page() -> Result<()> {
    if !real("an_incident_is_acknowledged_and_resolved_on_its_page") {
        return Ok(());
    }
    let smtp = Smtp::start().await?;
    let setup = Setup { settings: &settings(smtp.port), playbooks: &[("database_connection_failure", PLAYBOOK)], environment: &[] };
    let (reynard, browser) = (Reynard::start(setup).await?, Browser::start().await?);
    reynard.fire("database-failure-p1").await?;
    let told = async || Ok(reynard.incident().await?.filter(|incident| incident["runs"][0]["status"] == "succeeded"));
    wait_until("the playbook to end well", seconds(20), told).await?;

    browser.look(DESKTOP).await?;
    browser.open(&format!("{}/incidents/1", reynard.url)).await?;
    shows(&browser, "firing").await?;
    press(&browser, "acknowledge").await?;
    shows(&browser, "acknowledged").await?;
    assert_eq!(reynard.get("/api/v1/incidents/1").await?["status"], "acknowledged");
    press(&browser, "resolve").await?;
    shows(&browser, "resolved").await?;
    assert_eq!(reynard.get("/api/v1/incidents/1").await?["status"], "resolved");

    browser.run("window.untouched = true").await?;
    reynard.post("/api/v1/incidents/1/reopen").await?;
    says(&browser, "firing").await?;
    assert_eq!(browser.run("return window.untouched").await?, true, "what somebody else did must show without loading the page again");

    assert_eq!(browser.complaints().await?, Vec::<String>::new());
    browser.run("document.body.setAttribute('style', 'color: red')").await?;
    let complaints = browser.complaints().await?.concat();
    assert!(complaints.contains("Content Security Policy"), "what is forbidden must be heard: {complaints}");
    Ok(())
}

async fn press(browser: &Browser, verb: &str) -> Result<()> {
    browser.press(&format!("#hero form[action$='/{verb}'] button")).await
}

/// The page is in this state, and fits every screen in it.
async fn shows(browser: &Browser, state: &str) -> Result<()> {
    says(browser, state).await?;
    for look in [PHONE, DARK, DESKTOP] {
        browser.look(look).await?;
        let wide = browser.run("const page = document.documentElement; return page.scrollWidth - page.clientWidth").await?;
        ensure!(wide.as_i64().is_some_and(|pixels| pixels <= 0), "{state}: {wide} pixels wider than the {} screen", look.name);
        if let Some(folder) = std::env::var_os("REYNARD_SHOTS") {
            std::fs::create_dir_all(&folder)?;
            std::fs::write(Path::new(&folder).join(format!("{state}-{}.png", look.name)), browser.screenshot().await?)?;
        }
    }
    Ok(())
}

/// The word of the state; what follows it is the incident's age.
async fn says(browser: &Browser, state: &str) -> Result<()> {
    let says = async || {
        let text = browser.text(STATE).await?;
        ensure!(text.split_whitespace().next() == Some(state), "the page says {text:?}");
        Ok(Some(()))
    };
    wait_until(&format!("the page to say {state}"), seconds(10), says).await
}

fn settings(smtp_port: u16) -> String {
    format!(
        r#"
incidents: {{ settle: 1s }}
people: {{ ana: {{ email: ana@example.com, notify: [ {{ channel: email }} ] }} }}
on_call: {{ schedules: {{ primary: {{ time_zone: UTC, rotations: [ {{ people: [ana], handoff: "0 9 * * MON" }} ] }} }} }}
channels: {{ email: {{ kind: email, smtp: "smtp://127.0.0.1:{smtp_port}?tls=none", from: alerts@example.com }} }}
"#
    )
}
