//! The page that asks who is there, and the one that goes on with what was kept. Nothing of the house is shown on them. Knows no HTML.

use serde::Serialize;

use crate::web::assets::href;

/// The texts that people type, in their words; the rest of a form is its own affair.
const TYPED: [&str; 5] = ["text", "note", "reason", "to", "outcome"];

#[derive(Clone, Debug, Default, Serialize)]
pub struct Frame {
    pub theme: &'static str,
    pub css: String,
    pub icon: String,
}

impl Frame {
    pub fn new(theme: &'static str) -> Self {
        Self { theme, css: href("reynard.css"), icon: href("fox.svg") }
    }
}

#[derive(Clone, Debug, Default, Serialize)]
pub struct SignInView {
    pub frame: Frame,
    /// Whether anybody can.
    pub offered: bool,
    pub name: String,
    pub why: Option<&'static str>,
    pub fault: Option<String>,
    pub back: String,
    /// Where what is kept goes; empty when nothing is.
    pub then: String,
    pub kept: Vec<Kept>,
}

/// A field of a form that waits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Kept {
    pub name: String,
    pub value: String,
}

#[derive(Clone, Debug, Serialize)]
pub struct ResumeView {
    pub frame: Frame,
    pub person: String,
    pub action: String,
    /// What it does, in the words of its address.
    pub deed: String,
    pub typed: Vec<String>,
    pub back: String,
    pub kept: Vec<Kept>,
}

impl ResumeView {
    pub fn new(frame: Frame, person: String, action: &str, kept: Vec<Kept>) -> Self {
        let path = action.split('?').next().unwrap_or_default().to_owned();
        let word = |name: &str| kept.iter().find(|kept| kept.name == name).map(|kept| kept.value.clone());
        let deed = word("verb").unwrap_or_else(|| path.rsplit('/').next().unwrap_or_default().to_owned());
        let typed = kept.iter().filter(|kept| TYPED.contains(&kept.name.as_str()) && !kept.value.trim().is_empty());
        let typed = typed.map(|kept| kept.value.clone()).collect();
        let back = crate::web::pages::visitor::local(word("back").as_deref()).to_owned();
        Self { frame, person, deed, typed, action: action.to_owned(), back, kept }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_kept_is_told_in_the_words_that_were_typed() {
        let kept = |name: &str, value: &str| Kept { name: name.to_owned(), value: value.to_owned() };
        let fields = vec![kept("_action_id", "x"), kept("note", "mine"), kept("back", "//evil"), kept("note", " ")];
        let view = ResumeView::new(Frame::default(), "ana".to_owned(), "/incidents/7/acknowledge", fields);
        assert_eq!((view.deed.as_str(), view.typed.as_slice(), view.back.as_str()), ("acknowledge", ["mine".to_owned()].as_slice(), "/"));
        let bulk = ResumeView::new(Frame::default(), "ana".to_owned(), "/incidents", vec![kept("verb", "resolve")]);
        assert_eq!(bulk.deed, "resolve");
    }
}
