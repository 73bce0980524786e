//! JSON Schema (2020-12) of the files that people write, for editors; `reynard check` says more and is what counts.

pub mod parts;
pub mod playbook;
pub mod settings;
pub mod test;
