//! Which verb was asked for. Exit: 0 good, 1 it found faults, 2 it could not run.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::cli::{
    activate, backtest, backup, check, export, fire, hold, init, migrate, password, rearm, restore, schema, serve, shadow, simulate, test,
    verify,
};
use crate::terminal;

/// Alerts in, classified, repaired by durable playbooks, escalated to people, told on one timeline.
#[derive(Debug, Parser)]
#[command(name = "reynard", version, after_help = "Example: reynard serve --listen 127.0.0.1:5001\nWithout a command it serves.")]
struct Cli {
    #[command(subcommand)]
    verb: Option<Verb>,
    #[command(flatten)]
    serve: serve::Args,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Run the server.
    Serve(serve::Args),
    /// Write a commented reynard.yaml, playbooks and examples into a folder.
    Init(init::Args),
    /// Check settings and playbooks; every fault with its place and a hint.
    Check(check::Args),
    /// Show what a playbook would do for an alert; nothing is sent and nothing changed.
    Simulate(simulate::Args),
    /// Show what edited rules and playbooks would have made of the past.
    Backtest(backtest::Args),
    /// Hold playbooks to their tests.
    Test(test::Args),
    /// Print the JSON Schema of a kind of file, for editors.
    Schema(schema::Args),
    /// Send a realistic Alertmanager body to a running server.
    Fire(fire::Args),
    /// Hold all automation of a running server: nothing that changes things begins until it is released.
    Hold(hold::Hold),
    /// Release automation again.
    Release(hold::Release),
    /// Let a playbook change things again that had failed too often in a row.
    Rearm(rearm::Args),
    /// Have another of several nodes become active.
    Activate(activate::Args),
    /// Tell what automation would have done, were it not in shadow.
    Shadow(shadow::Args),
    /// Make the line that gives a person a password to sign in with.
    Password(password::Args),
    /// Look whether the log adds up to the state and nobody has been at it.
    Verify(verify::Args),
    /// Tell one incident as Markdown or JSON.
    Export(export::Args),
    /// Carry the whole history of a SQLite file over into a PostgreSQL.
    Migrate(migrate::Args),
    /// Copy the database while the server runs.
    Backup(backup::Args),
    /// Put a backup in the database's place.
    Restore(restore::Args),
}

pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let outcome = match cli.verb {
        None => serve::run(cli.serve),
        Some(Verb::Serve(args)) => serve::run(args),
        Some(Verb::Init(args)) => init::run(&args),
        Some(Verb::Check(args)) => check::run(&args),
        Some(Verb::Simulate(args)) => simulate::run(&args),
        Some(Verb::Backtest(args)) => backtest::run(&args),
        Some(Verb::Test(args)) => test::run(&args),
        Some(Verb::Schema(args)) => schema::run(&args),
        Some(Verb::Fire(args)) => fire::run(&args),
        Some(Verb::Hold(args)) => hold::hold(&args),
        Some(Verb::Release(args)) => hold::release(&args),
        Some(Verb::Rearm(args)) => rearm::run(&args),
        Some(Verb::Activate(args)) => activate::run(&args),
        Some(Verb::Shadow(args)) => shadow::run(&args),
        Some(Verb::Password(args)) => password::run(&args),
        Some(Verb::Verify(args)) => verify::run(&args),
        Some(Verb::Export(args)) => export::run(&args),
        Some(Verb::Migrate(args)) => migrate::run(&args),
        Some(Verb::Backup(args)) => backup::run(&args),
        Some(Verb::Restore(args)) => restore::run(&args),
    };
    outcome.unwrap_or_else(|error| {
        terminal::complain(format!("reynard: {error:#}"));
        ExitCode::from(2)
    })
}
