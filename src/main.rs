//! The entry: reads the command line and hands over.

use std::process::ExitCode;

fn main() -> ExitCode {
    reynard::cli::run::main()
}
