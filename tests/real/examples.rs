//! The example configurations are accepted by the programs they are for.

use std::path::Path;
use std::process::Command;

use anyhow::{Result, ensure};

use crate::parts::process::program;
use crate::real;

#[test]
fn promtool_accepts_the_alert_rules() -> Result<()> {
    accepts("promtool", &["check", "rules", "prometheus/alerts.yml"])
}

#[test]
fn promtool_accepts_the_prometheus_configuration() -> Result<()> {
    accepts("promtool", &["check", "config", "prometheus/prometheus.yml"])
}

#[test]
fn promtool_accepts_the_tests_of_the_alert_rules() -> Result<()> {
    accepts("promtool", &["test", "rules", "prometheus/alerts.test.yml"])
}

#[test]
fn promtool_accepts_the_rules_about_reynard_itself_and_their_tests() -> Result<()> {
    accepts("promtool", &["check", "rules", "prometheus/reynard.yml"])?;
    accepts("promtool", &["test", "rules", "prometheus/reynard.test.yml"])
}

#[test]
fn amtool_accepts_the_alertmanager_configuration() -> Result<()> {
    accepts("amtool", &["check-config", "alertmanager/alertmanager.yml"])
}

fn accepts(tool: &str, arguments: &[&str]) -> Result<()> {
    if !real(&format!("{tool} {}", arguments.join(" "))) {
        return Ok(());
    }
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let said = Command::new(program(&[tool])?).args(arguments).current_dir(examples).output()?;
    let words = [said.stdout, said.stderr].concat();
    ensure!(said.status.success(), "{tool} {}: {}", arguments.join(" "), String::from_utf8_lossy(&words));
    Ok(())
}
