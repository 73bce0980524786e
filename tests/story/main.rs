//! Stories on a clock turned by hand: alerts come in, time passes, people act, and the timeline tells what happened.
//! The store is a real SQLite file, or PostgreSQL (`REYNARD_STORY_DATABASE_URL`); targets and channels are recorders
//! written for these tests.

mod app;
mod backtest;
mod brakes;
mod crashes;
mod cut;
mod escalation;
mod flapping;
mod fuzz;
mod hold;
mod inbox;
mod intake;
mod language;
mod late;
mod leases;
mod library;
mod lost;
mod outages;
mod pages;
mod playbooks;
mod races;
mod requests;
mod retention;
mod schedule;
mod sign_in;
mod starts;
mod trial;
mod trouble;
mod verified;
mod verify;
mod watch;
mod web;
