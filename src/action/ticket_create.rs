//! `ticket.create`: opens an issue at a GitHub-compatible tracker. Knows nothing of what happens to it later.

use async_trait::async_trait;
use reqwest::{Method, RequestBuilder};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::action::http::{self, Deed, Http, Reply};
use crate::action::params;
use crate::domain::action::{Field, OnInterrupt, Param, ParamType, Performer, Spec, TargetKind};
use crate::engine::ports::{Action, ActionError, Call};

pub const SPEC: Spec = Spec {
    name: "ticket.create",
    doc: "Opens an issue; a second attempt first looks for the first one's.",
    performer: Performer::Worker,
    destructive: false,
    on_interrupt: OnInterrupt::Ask,
    targets: &[TargetKind::Tickets, TargetKind::Http],
    params: &[
        Param::required("title", ParamType::Text, "the title"),
        Param::optional("body", ParamType::Text, "the text, in Markdown"),
        Param::optional("labels", ParamType::Texts, "labels"),
        Param::optional("repository", ParamType::Text, "owner/name; default the target's"),
    ],
    undoable: false,
    output: &[Field::number("number", "the issue's number"), Field::text("url", "its page")],
};

/// The action.
pub struct TicketCreate {
    http: Http,
}

#[derive(Deserialize)]
struct Params {
    title: String,
    #[serde(default)]
    body: String,
    #[serde(default, deserialize_with = "params::texts")]
    labels: Vec<String>,
    repository: Option<String>,
}

impl TicketCreate {
    pub fn new(http: Http) -> Self {
        Self { http }
    }

    fn request(&self, call: &Call, method: Method, params: &Params) -> Result<RequestBuilder, ActionError> {
        let target = params::target(call)?;
        let repository = params.repository.as_ref().or_else(|| target.extra.get("repository"));
        let repository = repository
            .filter(|name| is_repository(name))
            .ok_or_else(|| ActionError::Fatal(format!("give `repository: owner/name` in the step or in target {}", target.name)))?;
        let request = self.http.to_target(target, method, &format!("repos/{repository}/issues"))?;
        Ok(request.header("accept", "application/vnd.github+json"))
    }

    /// The issue that an earlier attempt opened. The list is fresh at once; the tracker's search is not.
    async fn earlier(&self, call: &Call, params: &Params) -> Result<Option<Value>, ActionError> {
        if call.attempt < 2 {
            return Ok(None);
        }
        let newest = [("state", "all"), ("sort", "created"), ("direction", "desc"), ("per_page", "100")];
        let request = self.request(call, Method::GET, params)?.query(&newest);
        let reply = http::ask(request, call).await?;
        if !reply.is_success() {
            return Err(http::refusal(&params::target(call)?.name, &reply, Deed::Read));
        }
        let mark = mark(call);
        let issues = reply.json().and_then(|json| json.as_array().cloned()).unwrap_or_default();
        let ours = |issue: &&Value| issue["body"].as_str().is_some_and(|body| body.contains(&mark));
        Ok(issues.iter().find(ours).map(answer))
    }
}

#[async_trait]
impl Action for TicketCreate {
    fn spec(&self) -> Spec {
        SPEC
    }

    async fn perform(&self, call: &Call) -> Result<Value, ActionError> {
        let params: Params = params::read(call)?;
        if let Some(earlier) = self.earlier(call, &params).await? {
            return Ok(earlier);
        }
        let body = format!("{}\n\n{}", params.body, mark(call));
        let issue = json!({ "title": params.title, "body": body, "labels": params.labels });
        let request = self.request(call, Method::POST, &params)?.json(&issue);
        let tracker = params::target(call)?.name.clone();
        let judge = move |reply: &Reply| match reply.is_success() {
            true => Ok(answer(&reply.json().unwrap_or_default())),
            false => Err(http::refusal(&tracker, reply, Deed::Write)),
        };
        http::change(request, call, judge).await
    }
}

fn answer(issue: &Value) -> Value {
    let url = if issue["html_url"].is_string() { &issue["html_url"] } else { &issue["url"] };
    json!({ "number": issue["number"], "url": url })
}

/// Unseen in the rendered issue; it tells our second attempt that the first one arrived.
fn mark(call: &Call) -> String {
    format!("<!-- reynard {} -->", call.key.replace("--", "- -"))
}

fn is_repository(name: &str) -> bool {
    let word =
        |part: &str| !part.is_empty() && !part.starts_with('.') && part.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
    name.split_once('/').is_some_and(|(owner, name)| word(owner) && word(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::action::http::tests::{call, http};
    use crate::recorder::{Recorder, Seen, hangs_up, reply};

    #[tokio::test]
    async fn twice_with_one_key_opens_one_issue() {
        let opened = std::sync::Mutex::new(Vec::<Value>::new());
        let server = Recorder::start(move |request: &Seen, _| {
            let mut opened = opened.lock().unwrap();
            if request.method == "GET" {
                return reply(200, json!(*opened).to_string());
            }
            let mut issue = request.json();
            issue["number"] = json!(7);
            issue["html_url"] = json!("https://tracker/acme/orders/issues/7");
            opened.push(issue.clone());
            // The first answer is lost on its way.
            reply(504, issue.to_string())
        })
        .await;
        let action = TicketCreate::new(http());
        let mut call = call(TargetKind::Tickets, &server.url, json!({ "title": "Orders down", "body": "see", "labels": "incident" }));
        assert!(matches!(action.perform(&call).await, Err(ActionError::Unknown(_))));
        call.attempt = 2;
        assert_eq!(action.perform(&call).await.unwrap(), json!({ "number": 7, "url": "https://tracker/acme/orders/issues/7" }));
        let seen = server.seen();
        assert_eq!(seen.iter().filter(|request| request.method == "POST").count(), 1);
        assert_eq!((seen[0].path.as_str(), seen[0].headers["authorization"].as_str()), ("/repos/acme/orders/issues", "Bearer s3cret"));
        assert_eq!(seen[0].json(), json!({ "title": "Orders down", "body": "see\n\n<!-- reynard run:step:1 -->", "labels": ["incident"] }));
    }

    #[tokio::test]
    async fn answers_and_losses_are_told_apart() {
        let server = Recorder::always(201, r#"{"number":1,"html_url":"https://t/1"}"#).await;
        let action = TicketCreate::new(http());
        let perform = async |url: &str, params: Value| action.perform(&call(TargetKind::Tickets, url, params)).await;
        assert_eq!(perform(&server.url, json!({ "title": "x" })).await.unwrap(), json!({ "number": 1, "url": "https://t/1" }));
        assert!(matches!(perform(&hangs_up().await, json!({ "title": "x" })).await, Err(ActionError::Unknown(_))));
        for repository in ["acme", "../admin", "acme/..", "a/b/c", "a/b?x"] {
            let refused = perform(&server.url, json!({ "title": "x", "repository": repository })).await;
            assert!(matches!(refused, Err(ActionError::Fatal(_))), "{repository}");
        }
        let server = Recorder::always(422, r#"{"message":"Validation Failed"}"#).await;
        let error = perform(&server.url, json!({ "title": "x" })).await.unwrap_err();
        assert!(matches!(&error, ActionError::Fatal(text) if text.contains("Validation Failed")));
    }
}
