//! Databases: each answers the verbs of `engine::store` in its own dialect.

pub mod carry;
pub mod catalog;
pub mod postgres;
pub mod sqlite;
