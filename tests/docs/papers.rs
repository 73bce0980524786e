//! The papers as a test reads them: their code blocks, each with what stands behind its fence. Knows no check.

use std::fs;
use std::path::{Path, PathBuf};

/// A code block: what stands behind its opening fence, and its text.
pub struct Block {
    pub place: String,
    pub info: String,
    pub text: String,
}

impl Block {
    pub fn is(&self, word: &str) -> bool {
        self.info.split(' ').any(|part| part == word)
    }

    /// The file that it is the text of.
    pub fn file(&self) -> Option<&str> {
        self.info.split(' ').find(|part| part.contains('.'))
    }
}

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

pub fn papers() -> Vec<PathBuf> {
    let docs = fs::read_dir(root().join("docs")).expect("the docs").map(|entry| entry.expect("an entry").path());
    let mut papers: Vec<PathBuf> = docs.filter(|path| path.extension().is_some_and(|ending| ending == "md")).collect();
    papers.push(root().join("README.md"));
    papers.sort();
    papers
}

pub fn blocks(paper: &Path) -> Vec<Block> {
    let text = fs::read_to_string(paper).expect("a paper");
    let name = paper.strip_prefix(root()).unwrap_or(paper).display();
    let mut blocks = Vec::new();
    let mut open: Option<Block> = None;
    for (line, number) in text.lines().zip(1..) {
        match (&mut open, line.trim_start().strip_prefix("```")) {
            (Some(block), None) => block.text.push_str(&format!("{line}\n")),
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (None, Some(info)) => open = Some(Block { place: format!("{name}:{number}"), info: info.to_owned(), text: String::new() }),
            (None, None) => {}
        }
    }
    blocks
}
