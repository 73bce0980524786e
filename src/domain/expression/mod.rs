//! Stub, replaced by the real language.
pub mod condition;
pub mod schema;
pub mod template;
