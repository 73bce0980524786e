//! The pages without a server or a browser: made-up incidents behind the real `Reads`, drawn by the real templates.

mod budgets;
mod drawn;
mod samples;
