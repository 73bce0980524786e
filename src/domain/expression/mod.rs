//! Conditions and `{{ … }}` holes: a strict subset of CEL, typed before it runs. Knows nothing of YAML, clocks or incidents.

mod check;
pub mod condition;
pub mod constant;
mod datum;
mod evaluate;
pub mod fault;
mod lexer;
pub mod schema;
mod syntax;
pub mod template;
pub mod value;
