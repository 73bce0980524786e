//! What people do on a page and what it says to them, whatever it is about. With `REYNARD_SHOTS=DIR` it is photographed as well.

use std::path::Path;

use anyhow::{Result, ensure};

use crate::parts::browser::{Browser, Look};
use crate::parts::wait::{seconds, wait_until};

pub const LOOKS: [Look; 2] = [
    Look { name: "phone", width: 390, height: 844, phone: true, scheme: "dark" },
    Look { name: "desktop", width: 1366, height: 768, phone: false, scheme: "light" },
];

/// Waits until this part of the page says this, whatever its capitals.
pub async fn says(browser: &Browser, css: &str, words: &str) -> Result<()> {
    let says = async || {
        let text = browser.text(css).await?;
        ensure!(text.contains(&words.to_lowercase()), "the page says {text:?}");
        Ok(Some(()))
    };
    wait_until(&format!("the page to say {words:?}"), seconds(10), says).await
}

/// Writes a name where this part of the page asks for one, and what else it wants to know.
pub async fn fills(browser: &Browser, css: &str, who: &str, why: &str) -> Result<()> {
    let fill = format!(
        "for (const [name, text] of [['by', '{who}'], ['note', '{why}']]) {{
            const field = document.querySelector('{css} input[name=' + name + ']:not([type=hidden])')
            if (field) field.value = text
        }}"
    );
    browser.run(&fill).await.map(drop)
}

/// It fits the screens it is looked at on.
pub async fn photographed(browser: &Browser, css: &str, name: &str) -> Result<()> {
    for look in LOOKS {
        browser.look(look).await?;
        let wide = browser.run("const page = document.documentElement; return page.scrollWidth - page.clientWidth").await?;
        ensure!(wide.as_i64().is_some_and(|pixels| pixels <= 0), "{name}: {wide} pixels wider than the {} screen", look.name);
        if let Some(folder) = std::env::var_os("REYNARD_SHOTS") {
            std::fs::create_dir_all(&folder)?;
            browser.run(&format!("document.querySelector('{css}')?.scrollIntoView({{ block: 'center' }})")).await?;
            std::fs::write(Path::new(&folder).join(format!("{name}-{}.png", look.name)), browser.screenshot().await?)?;
        }
    }
    Ok(())
}
