//! Which address shows which page. Knows no API.

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{get, post};

use crate::web::pages::{actions, automation, bulk, confirm, incident, incidents, me, nodes, playbook, playbooks, sign_in, start};
use crate::web::router::MAX_TEXT;
use crate::web::state::WebState;
use crate::web::{assets, live};

/// A form that is kept over a sign-in is sent once more with the password.
const MAX_KEPT: usize = MAX_TEXT + 64 * 1024;

pub fn routes() -> Router<WebState> {
    Router::new()
        .route("/", get(incidents::list))
        .route("/incidents", get(incidents::list).post(bulk::on_incidents))
        .route("/incidents/{id}", get(incident::show))
        .route("/incidents/{id}/{verb}", post(actions::on_incident))
        .route("/runs/{run}", get(incident::show_run))
        .route("/runs/{run}/cancel", get(confirm::cancel).post(actions::on_run))
        .route("/runs/{run}/steps/{step}/{verb}", get(confirm::step).post(actions::on_step))
        .route("/playbooks", get(playbooks::list))
        .route("/playbooks/{slug}", get(playbook::show))
        .route("/playbooks/{slug}/edit", get(playbook::edit).post(playbook::save).layer(DefaultBodyLimit::max(MAX_TEXT)))
        .route("/playbooks/{slug}/start", get(start::form).post(start::start))
        .route("/playbooks/{slug}/revisions/{revision}", get(playbook::revision).post(playbook::restore))
        .route("/playbooks/{slug}/rearm", post(actions::rearm))
        .route("/automation", get(automation::show))
        .route("/automation/shadow", get(automation::show_shadow))
        .route("/automation/hold", post(automation::hold))
        .route("/automation/release", post(automation::release))
        .route("/nodes", get(nodes::list))
        .route("/nodes/activate", post(nodes::activate))
        .route("/me", get(me::show).post(me::remember))
        .route("/me/sessions", post(me::end))
        .route("/sign-in", get(sign_in::form).post(sign_in::sign_in).layer(DefaultBodyLimit::max(MAX_KEPT)))
        .route("/sign-out", post(sign_in::sign_out))
        .route("/api/v1/stream", get(live::stream))
        .route("/assets/{name}", get(assets::serve))
}

#[cfg(test)]
mod tests {
    #[test]
    fn no_two_addresses_are_at_odds() {
        drop(super::routes());
    }
}
