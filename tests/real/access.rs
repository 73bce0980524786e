//! That everybody can use the pages, in a real browser: small screens, the keyboard alone, no scripts, eyes that need contrast,
//! hands that need room.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};

use crate::parts::browser::{Browser, Look};
use crate::parts::reynard::{Reynard, Setup};
use crate::parts::wait::{seconds, wait_until};
use crate::real;

const DESKTOP: Look = Look { name: "desktop", width: 1366, height: 768, phone: false, scheme: "light" };
const PHONE: Look = Look { name: "phone", width: 390, height: 844, phone: true, scheme: "light" };
const NARROW: Look = Look { name: "narrow", width: 320, height: 640, ..PHONE };

const PLAYBOOK: &str = r#"
title: Database connection failure
on: { type: database_connection_failure }
steps:
  - { id: knock, title: Knock at a closed door, action: tcp.connect, with: { address: "127.0.0.1:1" }, on_failure: continue, retry: { attempts: 2, backoff: 1s } }
  - { id: advise, title: Say what to do first, action: note, with: { text: "Is the server up?" } }
  - { id: pause, wait: 30m }
"#;

/// A server with two incidents, one of them old news, and a browser.
async fn house() -> Result<(Reynard, Browser)> {
    let setup = Setup { settings: "egress: { allow: ['.*'] }", playbooks: &[("database_connection_failure", PLAYBOOK)], environment: &[] };
    let (reynard, browser) = (Reynard::start(setup).await?, Browser::start().await?);
    reynard.fire("database-failure-p1").await?;
    let waiting = async || Ok(reynard.incident().await?.filter(|incident| incident["runs"][0]["status"] == "waiting"));
    wait_until("the playbook to wait", seconds(20), waiting).await?;
    reynard.fire("high-memory").await?;
    let two = async || Ok(reynard.incident().await?.filter(|incident| incident["number"] == 2));
    wait_until("the second incident", seconds(20), two).await?;
    reynard.post("/api/v1/incidents/2/resolve").await?;
    Ok((reynard, browser))
}

async fn pages(reynard: &Reynard) -> Result<Vec<String>> {
    let run = reynard.get("/api/v1/incidents/1/runs").await?["items"][0]["id"].as_str().unwrap_or_default().to_owned();
    let paths = ["/incidents", "/incidents?status=all", "/incidents?q=nothing", "/incidents/1", "/incidents/1?view=gantt", "/incidents/2"];
    let book = "/playbooks/database_connection_failure";
    let revision = reynard.get(&format!("/api/v1{book}/revisions")).await?["items"][0]["revision"].as_str().unwrap_or_default().to_owned();
    let more = [
        "/playbooks".to_owned(),
        "/automation".to_owned(),
        "/nodes".to_owned(),
        "/sign-in".to_owned(),
        format!("/runs/{run}/cancel"),
        book.to_owned(),
        format!("{book}/edit"),
        format!("{book}/start?incident=1"),
        format!("{book}/revisions/{revision}"),
    ];
    Ok(paths.into_iter().map(str::to_owned).chain(more).map(|path| format!("{}{path}", reynard.url)).collect())
}

/// Text whose colour is too near to what is behind it: its words and the ratio.
const FAINT: &str = r#"
const context = Object.assign(document.createElement('canvas'), { width: 1, height: 1 }).getContext('2d', { willReadFrequently: true })
const rgba = colour => { context.clearRect(0, 0, 1, 1); context.fillStyle = colour; context.fillRect(0, 0, 1, 1); return [...context.getImageData(0, 0, 1, 1).data] }
const over = (top, below) => [0, 1, 2].map(i => top[i] * top[3] / 255 + below[i] * (1 - top[3] / 255))
const behind = el => {
  const layers = []
  for (let at = el; at; at = at.parentElement) { const layer = rgba(getComputedStyle(at).backgroundColor); layers.push(layer); if (layer[3] === 255) break }
  return layers.reverse().reduce((below, layer) => over(layer, below), [255, 255, 255])
}
const light = c => { const [r, g, b] = c.map(v => (v /= 255) <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4); return .2126 * r + .7152 * g + .0722 * b }
const faint = [], walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT)
while (walk.nextNode()) {
  const el = walk.currentNode.parentElement, words = walk.currentNode.textContent.trim()
  if (!words || !el.checkVisibility({ opacityProperty: true }) || el.closest('.sr,title,noscript,script,option')) continue
  const style = getComputedStyle(el), shape = el.closest('.prio:not(.p4)')
  const ground = shape ? rgba(getComputedStyle(shape).color) : behind(el)
  const ink = rgba(el instanceof SVGElement ? style.fill : style.color)
  for (let at = el; at; at = at.parentElement) ink[3] *= +getComputedStyle(at).opacity
  const [a, b] = [light(over(ink, ground)), light(ground)], ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05)
  const size = parseFloat(style.fontSize), large = size >= 24 || size >= 18.66 && +style.fontWeight >= 700
  if (ratio < (large ? 3 : 4.5)) faint.push(`${ratio.toFixed(2)} "${words.slice(0, 40)}" <${el.localName} class="${el.getAttribute('class') || ''}">`)
}
return [...new Set(faint)]
"#;

/// Things to press that are smaller than a fingertip can hit; links inside a sentence are left out, as the standard does.
const SMALL: &str = r#"
const small = []
for (const el of document.querySelectorAll('button,.button,summary,textarea,select,input:not([type=hidden]),nav a')) {
  if (!el.checkVisibility() || el.closest('.en,.stline')) continue
  const { width, height } = (el.closest('label') || el).getBoundingClientRect()
  const least = /acknowledge|approve/.test(el.form?.getAttribute('action') || '') && el.localName === 'button' && el.closest('.actions,.bulk') ? 44 : 24
  if (width < least - .5 || height < least - .5) small.push(`${Math.round(width)}x${Math.round(height)} <${el.localName} class="${el.className}"> ${el.textContent.trim().slice(0, 30)}`)
}
return small
"#;

/// What has the focus, unless something lies over it.
const FOCUSED: &str = r#"
const el = document.activeElement
if (el === document.body) return 'nothing'
const box = (el.closest('label') || el).getBoundingClientRect(), x = box.x + box.width / 2, y = box.y + Math.min(box.height / 2, innerHeight / 2)
const seen = document.elementFromPoint(x, y), name = `<${el.localName}> ${(el.ariaLabel || el.textContent).trim().slice(0, 40)}`
const shown = seen && (el.contains(seen) || seen.contains(el) && !['body', 'html', 'main'].includes(seen.localName) || el.closest('label')?.contains(seen))
const ring = getComputedStyle(el).outlineStyle !== 'none' || el.id === 'main'
return (shown ? '' : `HIDDEN by <${seen?.localName} class="${seen?.className}">: `) + (ring ? '' : 'NO RING: ') + name
"#;

#[tokio::test]
async fn every_page_fits_small_screens_and_can_be_read_and_pressed() -> Result<()> {
    if !real("every_page_fits_small_screens_and_can_be_read_and_pressed") {
        return Ok(());
    }
    let (reynard, browser) = house().await?;
    let mut all = BTreeSet::new();
    for page in pages(&reynard).await? {
        for look in [NARROW, PHONE, DESKTOP] {
            for scheme in ["light", "dark"] {
                browser.look(Look { scheme, ..look }).await?;
                browser.open(&page).await?;
                let wide = browser.run("const page = document.documentElement; return page.scrollWidth - page.clientWidth").await?;
                if wide.as_i64().is_none_or(|pixels| pixels > 0) {
                    all.insert(format!("{page} is {wide} pixels too wide at {}", look.width));
                }
                for (what, script) in [("too faint", FAINT), ("too small", SMALL)] {
                    let faults = browser.run(script).await?;
                    all.extend(
                        faults.as_array().into_iter().flatten().map(|fault| format!("{page}, {} {scheme}, {what}: {fault}", look.name)),
                    );
                }
            }
        }
    }
    all.extend(browser.complaints().await?);
    ensure!(all.is_empty(), "{all:#?}");
    Ok(())
}

#[tokio::test]
async fn the_keyboard_alone_is_enough_and_the_focus_is_never_hidden() -> Result<()> {
    if !real("the_keyboard_alone_is_enough_and_the_focus_is_never_hidden") {
        return Ok(());
    }
    let (reynard, browser) = house().await?;
    for look in [PHONE, DESKTOP] {
        browser.look(look).await?;
        for page in ["/incidents/1", "/incidents"] {
            browser.open(&format!("{}{page}", reynard.url)).await?;
            for step in 0..60 {
                browser.key("Tab").await?;
                let focused = browser.run(FOCUSED).await?.as_str().unwrap_or_default().to_owned();
                ensure!(!focused.contains("HIDDEN") && !focused.contains("NO RING"), "{} {page}, after {step}: {focused}", look.name);
                if focused == "nothing" {
                    break;
                }
            }
        }
    }
    browser.open(&format!("{}/incidents/1", reynard.url)).await?;
    let mut reached = false;
    for _ in 0..20 {
        browser.key("Tab").await?;
        reached = browser.run("return document.activeElement.form?.action.endsWith('/acknowledge') || false").await? == true;
        if reached {
            break;
        }
    }
    ensure!(reached, "twenty presses of Tab lead to Acknowledge");
    browser.key("Enter").await?;
    wait_until("it to be acknowledged", seconds(10), async || says(&browser, "acknowledged").await).await
}

#[tokio::test]
async fn single_keys_act_and_can_be_switched_off_and_live_updates_can_be_paused() -> Result<()> {
    if !real("single_keys_act_and_can_be_switched_off_and_live_updates_can_be_paused") {
        return Ok(());
    }
    let (reynard, browser) = house().await?;
    browser.look(DESKTOP).await?;
    browser.open(&format!("{}/incidents/1", reynard.url)).await?;
    browser.run("document.querySelector('[data-do=keys]').click()").await?;
    browser.key("a").await?;
    browser.key("l").await?;
    ensure!(reynard.get("/api/v1/incidents/1").await?["status"] == "triggered", "keys that are off do nothing");
    browser.open(&format!("{}/incidents/1", reynard.url)).await?;
    ensure!(browser.run("return document.documentElement.matches('.nokeys')").await? == true, "they stay off on the next page");
    browser.run("document.querySelector('[data-do=keys]').click()").await?;
    browser.key("a").await?;
    wait_until("the key to act", seconds(10), async || says(&browser, "acknowledged").await).await?;

    // Paused: the change is heard by the browser and the page stays as it is; then it goes on.
    let listen = "window.changed = false; new EventSource('/api/v1/stream').addEventListener('change', () => window.changed = true)";
    browser.run(listen).await?;
    browser.key("l").await?;
    wait_until("the lamp to say paused", seconds(5), async || lamp(&browser, "paused").await).await?;
    reynard.post("/api/v1/incidents/1/resolve").await?;
    wait_until("the change to be heard", seconds(10), async || flag(&browser, "window.changed").await).await?;
    ensure!(says(&browser, "acknowledged").await?.is_some(), "a paused page stays as it is");
    browser.key("l").await?;
    wait_until("the page to go on", seconds(10), async || says(&browser, "resolved").await).await?;
    Ok(())
}

#[tokio::test]
async fn without_scripts_everything_that_matters_works() -> Result<()> {
    if !real("without_scripts_everything_that_matters_works") {
        return Ok(());
    }
    let (reynard, browser) = house().await?;
    browser.look(PHONE).await?;
    browser.scripts(false).await?;
    browser.open(&format!("{}/incidents/1", reynard.url)).await?;
    browser.press("#hero form[action$='/acknowledge'] button").await?;
    let status = async |wanted: &str| Ok((reynard.get("/api/v1/incidents/1").await?["status"] == wanted).then_some(()));
    wait_until("it to be acknowledged", seconds(10), async || status("acknowledged").await).await?;
    browser.press(".undo button").await?;
    wait_until("it to be taken back", seconds(10), async || status("triggered").await).await?;
    browser.open(&format!("{}/incidents", reynard.url)).await?;
    browser.press("[name=number][value='1']").await?;
    browser.press(".bulk [value=resolve]").await?;
    wait_until("it to be resolved", seconds(10), async || status("resolved").await).await?;
    let said = async || Ok(Some(browser.text(".notice").await?).filter(|text| text.contains("resolved #1.")).map(drop));
    wait_until("the page to say so", seconds(10), said).await?;
    Ok(())
}

/// Whether the page of the incident is in this state.
async fn says(browser: &Browser, state: &str) -> Result<Option<()>> {
    let text = browser.text("#hero .pill").await?;
    Ok((text.split_whitespace().next() == Some(state)).then_some(()))
}

async fn lamp(browser: &Browser, word: &str) -> Result<Option<()>> {
    Ok(browser.text("#lamp").await?.contains(word).then_some(()))
}

async fn flag(browser: &Browser, name: &str) -> Result<Option<()>> {
    Ok((browser.run(&format!("return {name}")).await? == true).then_some(()))
}
