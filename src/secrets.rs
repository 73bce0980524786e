//! Secrets as the machine keeps them: in the environment and in files. Knows nothing of what they open.

use crate::config::secrets::Secrets;

/// Secrets from the environment and from files.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealSecrets;

impl Secrets for RealSecrets {
    fn env(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }

    fn file(&self, path: &str) -> Result<String, String> {
        std::fs::read_to_string(path).map(|text| text.trim_end().to_owned()).map_err(|error| error.to_string())
    }
}
