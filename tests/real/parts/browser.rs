//! A Chromium without a window and with a fresh profile, driven by its own driver. What it did not like about a page is heard too.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result};
use fantoccini::wd::WebDriverCompatibleCommand;
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use reqwest::Method;
use serde_json::{Map, Value, json};
use tempfile::TempDir;
use url::{ParseError, Url};

use crate::parts::http;
use crate::parts::process::{Process, program, register};
use crate::parts::wait::{seconds, wait_until};

/// No sandbox: root has none to give. The rest keeps it from talking to anybody but us.
const FLAGS: [&str; 7] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
];

pub struct Browser {
    client: Client,
    chromium: Option<u32>,
    driver: Process,
    folder: TempDir,
}

/// How the page is looked at.
#[derive(Clone, Copy)]
pub struct Look {
    pub name: &'static str,
    pub width: u32,
    pub height: u32,
    pub phone: bool,
    pub scheme: &'static str,
}

impl Browser {
    pub async fn start() -> Result<Browser> {
        let folder = tempfile::tempdir()?;
        let chromedriver = program(&["chromedriver"])?;
        let build = |port| {
            let mut command = Command::new(&chromedriver);
            command.arg(format!("--port={port}")).env("HOME", folder.path());
            command
        };
        let ready = async |port| http::answers(&format!("http://127.0.0.1:{port}/status")).await;
        let (driver, port) = Process::serve("chromedriver", folder.path(), build, ready).await?;
        let address = format!("http://127.0.0.1:{port}");
        let mut builder = ClientBuilder::new(HttpConnector::new());
        let connected = builder.capabilities(wishes(&folder)?).connect(&address).await;
        let client = connected.with_context(|| format!("chromedriver said:\n{}", driver.said()))?;
        let id = client.capabilities().and_then(|has| has.get("goog:processID")?.as_u64());
        let chromium = id.map(u32::try_from).transpose()?;
        chromium.map(register).transpose()?;
        Ok(Browser { client, chromium, driver, folder })
    }

    pub async fn open(&self, url: &str) -> Result<()> {
        Ok(self.client.goto(url).await?)
    }

    /// What an element says as a person sees it, in small letters whatever the style makes of them.
    pub async fn text(&self, css: &str) -> Result<String> {
        Ok(self.client.find(Locator::Css(css)).await?.text().await?.to_lowercase())
    }

    /// Presses a button as soon as it is there; a live page may replace it under the finger.
    pub async fn press(&self, css: &str) -> Result<()> {
        let pressed = async || Ok(Some(self.client.find(Locator::Css(css)).await?.click().await?));
        wait_until(&format!("{css} to be pressed"), seconds(5), pressed).await
    }

    /// Types a text into a field, in the place of what is there.
    pub async fn fill(&self, css: &str, text: &str) -> Result<()> {
        let field = self.client.find(Locator::Css(css)).await?;
        field.clear().await?;
        Ok(field.send_keys(text).await?)
    }

    pub async fn run(&self, script: &str) -> Result<Value> {
        Ok(self.client.execute(script, Vec::new()).await?)
    }

    /// Presses a key as a person does: `Tab`, `Enter`, or a letter.
    pub async fn key(&self, key: &str) -> Result<()> {
        let (code, text) = match key {
            "Tab" => (9, ""),
            "Enter" => (13, "\r"),
            " " => (32, " "),
            letter => (0, letter),
        };
        for kind in ["keyDown", "keyUp"] {
            let text = if kind == "keyDown" { text } else { "" };
            let event = json!({ "type": kind, "key": key, "text": text, "windowsVirtualKeyCode": code });
            self.tell("Input.dispatchKeyEvent", event).await?;
        }
        Ok(())
    }

    /// Whether pages may run scripts from now on.
    pub async fn scripts(&self, allowed: bool) -> Result<()> {
        self.tell("Emulation.setScriptExecutionDisabled", json!({ "value": !allowed })).await
    }

    pub async fn look(&self, look: Look) -> Result<()> {
        let size = json!({ "width": look.width, "height": look.height, "deviceScaleFactor": 1, "mobile": look.phone });
        self.tell("Emulation.setDeviceMetricsOverride", size).await?;
        let scheme = json!({ "features": [{ "name": "prefers-color-scheme", "value": look.scheme }] });
        self.tell("Emulation.setEmulatedMedia", scheme).await
    }

    pub async fn screenshot(&self) -> Result<Vec<u8>> {
        Ok(self.client.screenshot().await?)
    }

    /// Everything on the console since the last call: errors, warnings, what the content security policy forbade.
    pub async fn complaints(&self) -> Result<Vec<String>> {
        let log = self.ask("se/log", json!({ "type": "browser" })).await?;
        let lines = log.as_array().context("a log is a list")?.iter();
        Ok(lines.map(|line| format!("{}: {}", line["level"], line["message"])).collect())
    }

    async fn tell(&self, command: &str, parameters: Value) -> Result<()> {
        self.ask("goog/cdp/execute", json!({ "cmd": command, "params": parameters })).await?;
        Ok(())
    }

    async fn ask(&self, path: &'static str, body: Value) -> Result<Value> {
        Ok(self.client.issue_cmd(Ask { path, body }).await?)
    }
}

impl Drop for Browser {
    /// The driver ends its browser only when asked over HTTP, which a test that fails does not do.
    fn drop(&mut self) {
        self.driver.end("TERM");
        let profile = self.folder.path().to_string_lossy().into_owned();
        let Some(id) = self.chromium else { return };
        if fs::read_to_string(format!("/proc/{id}/cmdline")).is_ok_and(|line| line.contains(&profile)) {
            let _ = Command::new("sh").args(["-c", "kill -s KILL \"$0\"", &id.to_string()]).status();
        }
    }
}

fn wishes(folder: &TempDir) -> Result<Map<String, Value>> {
    let profile = format!("--user-data-dir={}", folder.path().join("profile").display());
    let arguments: Vec<&str> = FLAGS.into_iter().chain([profile.as_str()]).collect();
    let wishes = json!({
        "goog:chromeOptions": { "args": arguments, "binary": program(&["chromium", "chromium-browser", "google-chrome"])? },
        "goog:loggingPrefs": { "browser": "ALL" },
    });
    wishes.as_object().cloned().context("wishes are a map")
}

/// What the driver can do beyond the standard.
#[derive(Debug)]
struct Ask {
    path: &'static str,
    body: Value,
}

impl WebDriverCompatibleCommand for Ask {
    fn endpoint(&self, base: &Url, session: Option<&str>) -> Result<Url, ParseError> {
        base.join(&format!("session/{}/{}", session.unwrap_or_default(), self.path))
    }

    fn method_and_body(&self, _: &Url) -> (Method, Option<String>) {
        (Method::POST, Some(self.body.to_string()))
    }
}
