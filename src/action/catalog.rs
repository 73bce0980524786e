//! Every action by its name. The list to extend when there is a new one; knows none of their insides.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::action::egress::Egress;
use crate::action::http::Http;
use crate::action::{
    command_run, dns_resolve, http_check, http_request, note, notify, playbook_run, postgres_pool_reset, postgres_pool_status,
    postgres_read_only, prometheus_query, prometheus_wait_until, tcp_connect, ticket_create, wait,
};
use crate::domain::action::Specs;
use crate::domain::database;
use crate::domain::settings::Settings;
use crate::engine::ports::Action;

/// The actions, ready to perform.
#[derive(Clone)]
pub struct Catalog(BTreeMap<&'static str, Arc<dyn Action>>);

impl Catalog {
    pub fn get(&self, name: &str) -> Option<Arc<dyn Action>> {
        self.0.get(name).cloned()
    }

    pub fn specs(&self) -> Specs {
        Specs::new(self.0.values().map(|action| action.spec()).collect())
    }
}

/// The actions as `settings` let them act. A TLS provider must be installed by then.
pub fn catalog(settings: &Settings) -> Catalog {
    let egress = Egress::new(&settings.egress);
    let http = Http::new(egress.clone());
    // A database that is not a PostgreSQL cannot be the one a step makes read-only.
    let own = settings.database_url.expose();
    let own = if database::is_postgres(own) { database::servers(own) } else { Vec::new() };
    let own = own.iter().filter_map(|server| server.parse().ok()).collect();
    let actions: Vec<Arc<dyn Action>> = vec![
        Arc::new(command_run::CommandRun::new(settings.commands.clone())),
        Arc::new(dns_resolve::DnsResolve),
        Arc::new(http_check::HttpCheck::new(http.clone())),
        Arc::new(http_request::HttpRequest::new(http.clone())),
        Arc::new(note::Note),
        Arc::new(notify::Notify),
        Arc::new(playbook_run::PlaybookRun),
        Arc::new(postgres_pool_reset::PostgresPoolReset),
        Arc::new(postgres_pool_status::PostgresPoolStatus),
        Arc::new(postgres_read_only::PostgresReadOnly::new(own)),
        Arc::new(prometheus_query::PrometheusQuery::new(http.clone())),
        Arc::new(prometheus_wait_until::PrometheusWaitUntil::new(http.clone())),
        Arc::new(tcp_connect::TcpConnect::new(egress)),
        Arc::new(ticket_create::TicketCreate::new(http)),
        Arc::new(wait::Wait),
    ];
    Catalog(actions.into_iter().map(|action| (action.spec().name, action)).collect())
}

/// What the actions declare, for checking playbooks where nothing is performed.
pub fn specs() -> Specs {
    Specs::new(vec![
        command_run::SPEC,
        dns_resolve::SPEC,
        http_check::SPEC,
        http_request::SPEC,
        note::SPEC,
        notify::SPEC,
        playbook_run::SPEC,
        postgres_pool_reset::SPEC,
        postgres_pool_status::SPEC,
        postgres_read_only::SPEC,
        prometheus_query::SPEC,
        prometheus_wait_until::SPEC,
        tcp_connect::SPEC,
        ticket_create::SPEC,
        wait::SPEC,
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::secret::Secret;
    use crate::domain::settings::Rulebook;

    #[test]
    fn whatever_is_declared_can_be_performed() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let settings = Settings {
            listen: ([127, 0, 0, 1], 5001).into(),
            public_url: String::new(),
            hosts: Vec::new(),
            node_url: None,
            database_url: Secret::new("sqlite://x.db"),
            sources: Vec::new(),
            channels: BTreeMap::new(),
            commands: BTreeMap::new(),
            hold: Default::default(),
            sign_in: Default::default(),
            heartbeat: None,
            egress: Vec::new(),
            rulebook: Rulebook::default(),
        };
        let catalog = catalog(&settings);
        let names = |specs: &Specs| specs.iter().map(|spec| spec.name).collect::<Vec<_>>();
        assert_eq!(names(&catalog.specs()), names(&specs()));
        for spec in specs().iter() {
            assert_eq!(catalog.get(spec.name).unwrap().spec().name, spec.name);
        }
        assert!(catalog.get("rm").is_none());
    }
}
