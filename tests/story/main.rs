//! Stories on a clock turned by hand: alerts come in, time passes, people act, and the timeline tells what happened.
//! The store is a real SQLite file; targets and channels are recorders written for these tests.

mod app;
mod crashes;
mod escalation;
mod fuzz;
mod intake;
mod outages;
mod pages;
mod playbooks;
mod races;
mod trouble;
mod web;
