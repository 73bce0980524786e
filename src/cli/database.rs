//! Where the data is, as the commands that look after it are told. Knows no database.

use std::path::PathBuf;

use crate::app::upkeep::Keeper;

#[derive(Debug, clap::Args)]
pub struct Database {
    /// The settings file that names the database; none is needed.
    #[arg(long, env = "REYNARD_CONFIG", default_value = "reynard.yaml")]
    config: PathBuf,
    /// Where the data is, for example sqlite://data/reynard.db; wins over the settings file.
    #[arg(long, env = "REYNARD_DATABASE_URL")]
    database_url: Option<String>,
}

impl Database {
    pub fn keeper(&self) -> anyhow::Result<Keeper> {
        Keeper::of(&self.config, self.database_url.as_deref())
    }
}
