//! The API's own description, derived from the handlers.

use axum::Json;
use serde_json::json;
use utoipa::openapi::security::{SecurityRequirement, SecurityScheme};
use utoipa::openapi::{self, RefOr};
use utoipa::{Modify, OpenApi};

use crate::web::api::{acts, automation, deliveries, health, incidents, metrics, nodes, on_call, playbooks, revisions, runs};
use crate::web::webhook;

#[derive(OpenApi)]
#[openapi(
    info(title = "Reynard", description = "Incident response: alerts in, playbooks run, people told, one timeline."),
    paths(
        webhook::receive,
        webhook::receive_from,
        deliveries::one,
        incidents::list,
        incidents::one,
        incidents::timeline,
        incidents::alerts,
        incidents::runs,
        acts::acknowledge,
        acts::unacknowledge,
        acts::resolve,
        acts::reopen,
        acts::snooze,
        acts::priority,
        acts::comment,
        acts::assign,
        acts::escalate,
        acts::start_run,
        runs::one,
        runs::step,
        runs::cancel,
        runs::skip,
        runs::retry,
        runs::undo,
        runs::settle,
        runs::approve,
        runs::reject,
        playbooks::list,
        playbooks::one,
        revisions::put,
        revisions::list,
        revisions::one,
        revisions::changes,
        revisions::restore,
        playbooks::rearm,
        playbooks::check,
        playbooks::simulate,
        automation::show,
        automation::shadow,
        automation::hold,
        automation::release,
        nodes::list,
        nodes::activate,
        on_call::on_call,
        health::health,
        health::ready,
        health::active,
        health::startup,
        metrics::metrics,
    ),
    modifiers(&Proofs, &Problems)
)]
struct Description;

/// A no is a problem, and says so by its media type.
struct Problems;

impl Modify for Problems {
    fn modify(&self, api: &mut openapi::OpenApi) {
        let paths = api.paths.paths.values_mut();
        for operation in paths.flat_map(|path| [path.get.as_mut(), path.post.as_mut(), path.put.as_mut()]).flatten() {
            for (status, response) in &mut operation.responses.responses {
                let RefOr::T(response) = response else { continue };
                let is_problem = |content: &RefOr<openapi::Content>| match content {
                    RefOr::T(openapi::Content { schema: Some(RefOr::Ref(schema)), .. }) => schema.ref_location.ends_with("/ProblemBody"),
                    _ => false,
                };
                if status.starts_with(['4', '5']) && response.content.get("application/json").is_some_and(is_problem) {
                    let content = response.content.swap_remove("application/json");
                    response.content.extend(content.map(|content| ("application/problem+json".to_owned(), content)));
                }
            }
        }
    }
}

/// What an act has to show once people sign in, and reading where the settings say so.
struct Proofs;

impl Modify for Proofs {
    fn modify(&self, api: &mut openapi::OpenApi) {
        let token = json!({ "type": "http", "scheme": "bearer", "description": "One of `tokens` in reynard.yaml." });
        let session = json!({ "type": "apiKey", "in": "cookie", "name": "__Host-reynard_session",
            "description": "Of a person who has signed in at /sign-in; reynard_session where the page came without TLS." });
        let components = api.components.get_or_insert_default();
        for (name, scheme) in [("token", token), ("session", session)] {
            if let Ok(scheme) = serde_json::from_value::<SecurityScheme>(scheme) {
                components.add_security_scheme(name, scheme);
            }
        }
        let paths = api.paths.paths.iter_mut().filter(|(path, _)| path.starts_with("/api/v1/") && !path.starts_with("/api/v1/webhooks/"));
        for (_, path) in paths {
            for operation in [path.get.as_mut(), path.post.as_mut(), path.put.as_mut()].into_iter().flatten() {
                operation.security = Some(["token", "session"].map(|name| SecurityRequirement::new(name, [""; 0])).to_vec());
                for (status, words) in
                    [("401", "Nobody has signed in, and no token was shown"), ("403", "What was shown is not enough for this")]
                {
                    let content = json!({ "application/json": { "schema": { "$ref": "#/components/schemas/ProblemBody" } } });
                    if let Ok(no) = serde_json::from_value(json!({ "description": words, "content": content })) {
                        operation.responses.responses.entry(status.to_owned()).or_insert(RefOr::T(no));
                    }
                }
            }
        }
    }
}

pub async fn openapi() -> Json<openapi::OpenApi> {
    Json(Description::openapi())
}
