//! The API's own description, derived from the handlers.

use axum::Json;
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
        on_call::on_call,
        health::health,
        health::ready,
        health::active,
        health::startup,
        metrics::metrics,
    ),
    modifiers(&Problems)
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

pub async fn openapi() -> Json<openapi::OpenApi> {
    Json(Description::openapi())
}
