//! Both databases through the same stories, and then through the same chances: whatever can be read must be the same.
//! SQLite always; PostgreSQL where `REYNARD_REAL=1` says that real servers are wanted (`tests/run` does), at
//! `REYNARD_TEST_POSTGRES_URL` (a superuser's) or as a server of the test's own.

mod brakes;
mod databases;
mod inbox;
mod lease;
mod lost;
mod naming;
mod nodes;
#[allow(dead_code, reason = "shared with tests/real, which needs more of it")]
mod parts;
mod proxy;
mod revisions;
mod sessions;
mod twins;
mod verbs;
mod writing;
