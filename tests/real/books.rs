//! What a person does on the pages of playbooks, in a real browser and without scripts: write, be told what is wrong, save, look
//! back, start. With `REYNARD_SHOTS=DIR` it is photographed as well.

use std::path::Path;

use anyhow::{Result, ensure};

use crate::parts::browser::{Browser, Look};
use crate::parts::reynard::{Reynard, Setup};
use crate::parts::wait::{seconds, wait_until};
use crate::real;

const DRAIN: &str = r#"title: Drain a host
on: {}
vars:
  reason: { type: text }
  pause: { type: duration, default: 1s }
steps:
  - id: say
    action: note
    with: { text: "Drained because of {{ vars.reason }}" }
  - { id: pause, wait: "{{ vars.pause }}" }
"#;

const DESKTOP: Look = Look { name: "desktop", width: 1366, height: 900, phone: false, scheme: "light" };
const PHONE: Look = Look { name: "phone", width: 390, height: 844, phone: true, scheme: "dark" };

#[tokio::test]
async fn a_playbook_is_written_saved_and_started_without_scripts() -> Result<()> {
    if !real("a_playbook_is_written_saved_and_started_without_scripts") {
        return Ok(());
    }
    let setup = Setup { settings: "", playbooks: &[("drain", DRAIN)], environment: &[] };
    let (reynard, browser) = (Reynard::start(setup).await?, Browser::start().await?);
    reynard.fire("high-memory").await?;
    browser.scripts(false).await?;
    browser.look(DESKTOP).await?;

    browser.open(&format!("{}/playbooks", reynard.url)).await?;
    browser.press("#books a.title").await?;
    says(&browser, "h1", "drain").await?;
    browser.press("#book a[href$='/edit']").await?;
    says(&browser, "h1", "edit drain").await?;
    let wrong = DRAIN.replace("action: note", "acton: note").replace("vars.reason", "vars.raeson");
    browser.fill("textarea[name=text]", &wrong).await?;
    browser.press("button[value=check]").await?;
    says(&browser, "aside", "line 8").await?;
    says(&browser, "aside", "did you mean \"action\"?").await?;
    shot(&browser, "playbook-check").await?;
    browser.look(PHONE).await?;
    shot(&browser, "playbook-check-phone").await?;
    browser.look(DESKTOP).await?;

    // Somebody else was faster; what was typed stays.
    reynard.write("playbooks/drain.yaml", &DRAIN.replace("Drain a host", "Drain a host gently"))?;
    let mine = DRAIN.replace("default: 1s", "default: 2s");
    browser.fill("textarea[name=text]", &mine).await?;
    browser.press("button[value=save]").await?;
    says(&browser, "main", "somebody changed it meanwhile").await?;
    shot(&browser, "playbook-conflict").await?;
    browser.press("button[value=save]").await?;
    says(&browser, ".notice", "saved, and in force").await?;
    let saved = reynard.get("/api/v1/playbooks/drain").await?;
    ensure!(saved["source"] == mine.as_str(), "the field's text is the file's to the letter: {saved}");

    says(&browser, "#past", "saved by").await?;
    browser.press("#past li:nth-child(2) a").await?;
    says(&browser, "main", "bring this text back").await?;
    shot(&browser, "playbook-revision").await?;

    browser.open(&format!("{}/incidents/1", reynard.url)).await?;
    browser.press("#machine a[href^='/playbooks?for']").await?;
    browser.press("#books a.title").await?;
    says(&browser, "h1", "start drain").await?;
    browser.fill("[name='var.reason']", "a release").await?;
    shot(&browser, "playbook-start").await?;
    browser.press("form.fields button").await?;
    says(&browser, ".notice", "drain starts").await?;
    let done = async || Ok(reynard.timeline("1").await?.iter().any(|entry| entry["kind"] == "run_succeeded").then_some(()));
    wait_until("the run to end well", seconds(20), done).await?;
    let told =
        async || Ok(reynard.timeline("1").await?.iter().any(|entry| entry.to_string().contains("because of a release")).then_some(()));
    wait_until("the note to say why", seconds(5), told).await?;
    browser.open(&format!("{}/playbooks/drain", reynard.url)).await?;
    says(&browser, "#runs", "succeeded").await?;
    shot(&browser, "playbook").await?;
    browser.look(PHONE).await?;
    shot(&browser, "playbook-phone").await?;
    // A browser notes that a page came with 409; it has nothing else to note.
    let complaints: Vec<String> = browser.complaints().await?.into_iter().filter(|line| !line.contains("status of 409")).collect();
    ensure!(complaints.is_empty(), "{complaints:?}");
    Ok(())
}

async fn says(browser: &Browser, css: &str, words: &str) -> Result<()> {
    let said = async || Ok(browser.text(css).await.unwrap_or_default().to_lowercase().contains(words).then_some(()));
    wait_until(&format!("{css} to say {words:?}"), seconds(10), said).await
}

async fn shot(browser: &Browser, name: &str) -> Result<()> {
    if let Some(folder) = std::env::var_os("REYNARD_SHOTS") {
        std::fs::write(Path::new(&folder).join(format!("{name}.png")), browser.screenshot().await?)?;
    }
    Ok(())
}
