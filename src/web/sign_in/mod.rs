//! Signing in: who asks, what shows it, for how long that holds, and what is refused without. Knows no incident.

pub mod browser;
pub mod caller;
pub mod guard;
pub mod passwords;
pub mod sessions;
pub mod throttle;
