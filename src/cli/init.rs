//! `reynard init`: a folder to start from. It never writes over a file.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;

use crate::app::{self, Kind};
use crate::carried;
use crate::terminal;

#[derive(Debug, clap::Args)]
#[command(after_help = "Example: reynard init /etc/reynard")]
pub struct Args {
    /// The folder; made if it is not there.
    #[arg(default_value = ".")]
    folder: PathBuf,
}

pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    for playbook in carried::playbooks().into_iter().chain(carried::tests()) {
        if let Ok(text) = &playbook.text {
            write(&args.folder.join(&playbook.path), text)?;
        }
    }
    for (name, text) in carried::messages(Path::new("/nonexistent")) {
        write(&args.folder.join("templates/messages").join(name), &text)?;
    }
    for (path, text) in carried::examples() {
        // The explained settings name targets that nobody has yet, so they lie beside until somebody fills them in.
        let (name, text) = match path.as_str() {
            "reynard.yaml" => ("reynard.example.yaml".to_owned(), text.replacen("$schema=../schemas/", "$schema=schemas/", 1)),
            _ => (format!("examples/{path}"), text.replacen("config: ../../reynard.yaml", "config: ../../../reynard.example.yaml", 1)),
        };
        write(&args.folder.join(name), &text)?;
    }
    // Editors find them by the first line of each file, without asking the network.
    for kind in Kind::ALL {
        write(&args.folder.join("schemas").join(kind.file()), &app::schema(kind))?;
    }
    terminal::say("Copy reynard.example.yaml to reynard.yaml and keep what you need; then: reynard check && reynard serve");
    Ok(ExitCode::SUCCESS)
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    if path.exists() {
        terminal::say(format!("kept   {}", path.display()));
        return Ok(());
    }
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
    terminal::say(format!("wrote  {}", path.display()));
    Ok(())
}
