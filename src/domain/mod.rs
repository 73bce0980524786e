//! The pure core: nothing in here knows a clock, a database, a network or a file.

pub mod action;
pub mod chain;
pub mod classification;
pub mod cron;
pub mod cron_field;
pub mod database;
pub mod decide;
pub mod directory;
pub mod escalation;
pub mod expression;
pub mod id;
pub mod incident;
pub mod labels;
pub mod limits;
pub mod next;
pub mod on_call;
pub mod path;
pub mod playbook;
pub mod priority;
pub mod report;
pub mod run;
pub mod secret;
pub mod settings;
pub mod targets;
pub mod time;
pub mod timeline;
