//! Playbooks edited over HTTP, with the binary in a folder of its own: what is saved, what is refused, what stays in the files.

#[path = "crash/server.rs"]
#[allow(dead_code, reason = "shared with tests/crash, which needs more of it")]
mod server;

use std::fs;
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::server::{Server, client, until};

const SOON: Duration = Duration::from_secs(20);
const DRAIN: &str = "title: Drain\non: {}\nsteps:\n  - { id: pause, wait: 5m }\n";

struct Answer {
    status: u16,
    tag: String,
    body: Value,
}

async fn ask(server: &Server, method: Method, path: &str, body: Option<Value>) -> Answer {
    let request = client().request(method, format!("{}/api/v1/playbooks/{path}", server.url)).header("reynard-actor", "ana");
    answer(match body {
        Some(body) => request.json(&body),
        None => request,
    })
    .await
}

async fn answer(request: reqwest::RequestBuilder) -> Answer {
    let answer = request.send().await.expect("it answers");
    let tag = answer.headers().get("etag").map(|tag| tag.to_str().expect("text").to_owned()).unwrap_or_default();
    Answer { status: answer.status().as_u16(), tag, body: answer.json().await.expect("JSON") }
}

async fn get(server: &Server, path: &str) -> Value {
    let answer = ask(server, Method::GET, path, None).await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.body);
    answer.body
}

async fn put(server: &Server, slug: &str, source: &str, revision: Option<&str>) -> Answer {
    ask(server, Method::PUT, slug, Some(json!({ "source": source, "revision": revision }))).await
}

async fn started(files: &[(&str, &str)]) -> Server {
    let mut server = Server::prepare(files);
    server.start().await;
    server
}

fn text(server: &Server, path: &str) -> String {
    fs::read_to_string(server.folder.path().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn names(server: &Server, folder: &str) -> Vec<String> {
    let entries = fs::read_dir(server.folder.path().join(folder)).expect("a folder");
    let mut names: Vec<_> = entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[tokio::test]
async fn a_saved_playbook_is_in_its_file_and_in_force_when_the_answer_comes() {
    let mut server = started(&[("reynard.yaml", ""), ("playbooks/drain.yaml", DRAIN)]).await;
    let before = get(&server, "drain").await["revision"].as_str().expect("a digest").to_owned();
    let longer = DRAIN.replace("5m", "10m");
    let saved = put(&server, "drain", &longer, Some(&before)).await;
    assert_eq!((saved.status, saved.body["path"].as_str()), (200, Some("playbooks/drain.yaml")), "{}", saved.body);
    assert_eq!(text(&server, "playbooks/drain.yaml"), longer);
    assert_eq!(names(&server, "playbooks"), ["drain.yaml"]);
    let now = get(&server, "drain").await;
    assert_eq!((now["revision"].clone(), now["source"].as_str()), (saved.body["revision"].clone(), Some(&*longer)));
    assert_eq!(saved.tag, format!("\"{}\"", saved.body["revision"].as_str().expect("a digest")));
    // Sent twice because the answer was lost, it is done once.
    assert_eq!(put(&server, "drain", &longer, Some(&before)).await.status, 200);
    let new = put(&server, "fresh", DRAIN, None).await;
    assert_eq!((new.status, names(&server, "playbooks").join(" ")), (201, "drain.yaml fresh.yaml".to_owned()), "{}", new.body);

    let told = get(&server, "drain/revisions").await;
    let items = told["items"].as_array().expect("a list");
    assert_eq!((items.len(), items[0]["in_force"].as_bool(), items[1]["in_force"].as_bool()), (2, Some(true), Some(false)), "{told}");
    assert_eq!((items[0]["saves"][0]["by"].as_str(), items[0]["saves"].as_array().map(Vec::len)), (Some("ana"), Some(1)), "{told}");
    assert_eq!((items[1]["revision"].as_str(), items[1]["saves"].as_array().map(Vec::len)), (Some(&*before), Some(0)), "{told}");
    let diff = get(&server, &format!("drain/revisions/{}/diff", items[0]["revision"].as_str().expect("a digest"))).await;
    assert_eq!((&diff["from"], &diff["added"], &diff["removed"]), (&json!(before), &json!(1), &json!(1)), "{diff}");
    assert_eq!(diff["hunks"][0]["lines"][3], json!({ "kind": "removed", "old": 4, "new": null, "text": "  - { id: pause, wait: 5m }" }));

    let old = format!("drain/revisions/{}", &before[..8]);
    assert_eq!(get(&server, &old).await["source"], DRAIN);
    let restored =
        ask(&server, Method::POST, &format!("{old}/restore"), Some(json!({ "revision": saved.body["revision"], "by": "bo" }))).await;
    assert_eq!((restored.status, restored.body["revision"].as_str()), (200, Some(&*before)), "{}", restored.body);
    assert_eq!(text(&server, "playbooks/drain.yaml"), DRAIN);
    assert!(server.stop().await.success());
    server.start().await;
    let told = get(&server, "drain/revisions").await;
    let first = &told["items"][0];
    assert_eq!((first["revision"].as_str(), first["saves"][0]["by"].as_str()), (Some(&*before), Some("ana")), "the header's name: {told}");
}

#[tokio::test]
async fn a_stale_text_is_refused_and_the_file_on_the_disk_is_the_truth() {
    let server = started(&[("reynard.yaml", ""), ("playbooks/drain.yaml", DRAIN)]).await;
    let before = get(&server, "drain").await["revision"].as_str().expect("a digest").to_owned();
    // Somebody edits the file in the folder; the save comes before or after that is noticed.
    let edited = DRAIN.replace("Drain", "Drain gently");
    fs::write(server.folder.path().join("playbooks/drain.yaml"), &edited).expect("it is written");
    let refused = put(&server, "drain", &DRAIN.replace("5m", "1m"), Some(&before)).await;
    assert_eq!((refused.status, refused.body["changes"]["added"].as_u64()), (409, Some(1)), "{}", refused.body);
    assert_eq!(text(&server, "playbooks/drain.yaml"), edited);
    let there = refused.body["revision"].as_str().expect("the one there now").to_owned();
    let merged = edited.replace("5m", "1m");
    let yaml = |tag: &str| {
        let request = client().put(format!("{}/api/v1/playbooks/drain", server.url)).header("content-type", "application/yaml");
        request.header("if-match", tag.to_owned()).body(merged.clone())
    };
    assert_eq!(answer(yaml(&format!("\"{before}\""))).await.status, 409);
    assert_eq!(answer(yaml("anything")).await.status, 400);
    let saved = answer(yaml(&format!("\"{there}\""))).await;
    assert_eq!((saved.status, text(&server, "playbooks/drain.yaml")), (200, merged.clone()), "{}", saved.body);
    let unnamed = put(&server, "drain", DRAIN, None).await;
    assert_eq!(unnamed.status, 409, "without a revision it would be a new playbook: {}", unnamed.body);
    fs::remove_file(server.folder.path().join("playbooks/drain.yaml")).expect("it goes");
    let gone = put(&server, "drain", DRAIN, saved.body["revision"].as_str()).await;
    assert_eq!((gone.status, names(&server, "playbooks").len()), (409, 0), "{}", gone.body);
}

#[tokio::test]
async fn a_text_with_errors_changes_nothing_and_all_of_them_are_told() {
    let server = started(&[("reynard.yaml", ""), ("playbooks/drain.yaml", DRAIN)]).await;
    let before = get(&server, "drain").await["revision"].as_str().expect("a digest").to_owned();
    let broken = "on: {}\nsteps:\n  - { id: a, wiat: 5m }\n  - { id: b, action: notfy }\n";
    let refused = put(&server, "drain", broken, Some(&before)).await;
    assert_eq!(refused.status, 422, "{}", refused.body);
    let found = refused.body["diagnostics"].as_array().expect("a list");
    let told: Vec<_> = found.iter().map(|finding| (finding["line"].as_u64(), finding["code"].as_str(), finding["help"].as_str())).collect();
    assert!(told.contains(&(Some(3), Some("unknown-field"), Some("did you mean \"wait\"?"))), "{told:?}");
    assert!(told.contains(&(Some(4), Some("unknown-action"), Some("did you mean \"notify\"?"))), "{told:?}");
    assert_eq!((text(&server, "playbooks/drain.yaml"), names(&server, "playbooks").len()), (DRAIN.to_owned(), 1));
    assert_eq!(get(&server, "drain/revisions").await["items"].as_array().map(Vec::len), Some(1), "it is not kept either");
}

#[tokio::test]
async fn no_name_and_no_link_leads_out_of_the_folder() {
    let server = started(&[("reynard.yaml", ""), ("outside.yaml", "kept"), ("playbooks/drain.yaml", DRAIN)]).await;
    let folder = server.folder.path().join("playbooks");
    for foul in ["..%2Foutside", "%2e%2e%2foutside", "Drain", "drain.yaml", "tests%2Fx", "a%00b", "%2Fetc%2Fpasswd"] {
        let refused = put(&server, foul, DRAIN, None).await;
        assert!(matches!(refused.status, 400 | 404 | 422), "{foul}: {} {}", refused.status, refused.body);
    }
    std::os::unix::fs::symlink("../outside.yaml", folder.join("link.yaml")).expect("a link");
    let linked = put(&server, "link", DRAIN, None).await;
    assert_eq!(linked.status, 409, "{}", linked.body);
    assert_eq!(text(&server, "outside.yaml"), "kept");
    let foreign = client()
        .put(format!("{}/api/v1/playbooks/evil", server.url))
        .header("sec-fetch-site", "cross-site")
        .header("origin", "http://evil.test");
    assert_eq!(foreign.json(&json!({ "source": DRAIN })).send().await.expect("it answers").status().as_u16(), 403);
    let mut left = names(&server, "playbooks");
    left.retain(|name| name != "link.yaml");
    assert_eq!(left, ["drain.yaml"]);
}

#[tokio::test]
async fn a_carried_playbook_that_is_saved_brings_the_folder_and_no_other_playbook_is_lost() {
    let server = started(&[("reynard.yaml", "")]).await;
    let carried = get(&server, "unknown").await;
    let (source, revision) = (carried["source"].as_str().expect("text"), carried["revision"].as_str().expect("a digest"));
    let mine = format!("# mine\n{source}");
    let saved = put(&server, "unknown", &mine, Some(revision)).await;
    assert_eq!((saved.status, text(&server, "playbooks/unknown.yaml")), (200, mine), "{}", saved.body);
    let all = ask(&server, Method::GET, "", None).await;
    assert_eq!(all.status, 404, "{}", all.body);
    assert_eq!(names(&server, "playbooks").len(), 7, "all that were in force are in the folder");
    // The folder is watched from then on.
    let edited = text(&server, "playbooks/service_down.yaml") + "# edited\n";
    fs::write(server.folder.path().join("playbooks/service_down.yaml"), &edited).expect("it is written");
    until("the edited file is in force", SOON, async || (get(&server, "service_down").await["source"] == edited).then_some(())).await;
}

#[tokio::test]
async fn a_text_that_is_gone_from_the_folder_is_still_told_and_settings_with_errors_take_no_new_one() {
    let server = started(&[("reynard.yaml", ""), ("playbooks/drain.yaml", DRAIN)]).await;
    fs::remove_file(server.folder.path().join("playbooks/drain.yaml")).expect("it goes");
    until("it is out of force", SOON, async || (ask(&server, Method::GET, "drain", None).await.status == 404).then_some(())).await;
    let told = get(&server, "drain/revisions").await;
    let revision = told["items"][0]["revision"].as_str().expect("a digest").to_owned();
    assert_eq!(get(&server, &format!("drain/revisions/{revision}")).await["source"], DRAIN);
    fs::write(server.folder.path().join("reynard.yaml"), "sever: {}").expect("it is written");
    let restore = async || ask(&server, Method::POST, &format!("drain/revisions/{revision}/restore"), None).await;
    let refused = restore().await;
    assert_eq!((refused.status, names(&server, "playbooks").len()), (422, 0), "{}", refused.body);
    fs::write(server.folder.path().join("reynard.yaml"), "").expect("it is written");
    assert_eq!(restore().await.status, 201);
    assert_eq!(text(&server, "playbooks/drain.yaml"), DRAIN);
}

/// A page and how it was answered; cookies go along as in a browser.
async fn page(server: &Server, path: &str) -> (u16, String) {
    let answer = client().get(format!("{}{path}", server.url)).send().await.expect("it answers");
    (answer.status().as_u16(), answer.text().await.expect("text"))
}

async fn sends(server: &Server, path: &str, fields: &[(&str, &str)]) -> (u16, String, String) {
    let client = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().expect("a client");
    let form: Vec<String> = fields.iter().map(|(name, value)| format!("{name}={}", reynard::web::pages::visitor::encode(value))).collect();
    let request = client.post(format!("{}{path}", server.url)).header("cookie", "reynard_name=mia");
    let answer = request.header("content-type", "application/x-www-form-urlencoded").body(form.join("&")).send().await.expect("it answers");
    let to = answer.headers().get("location").map(|to| to.to_str().expect("text").to_owned()).unwrap_or_default();
    (answer.status().as_u16(), to, answer.text().await.expect("text"))
}

#[tokio::test]
async fn a_person_edits_a_playbook_on_its_page_and_never_loses_what_was_typed() {
    let server = started(&[("reynard.yaml", ""), ("playbooks/drain.yaml", DRAIN)]).await;
    let base = get(&server, "drain").await["revision"].as_str().expect("a digest").to_owned();
    let (status, form) = page(&server, "/playbooks/drain/edit").await;
    assert!(status == 200 && form.contains(&base) && form.contains("\ntitle: Drain\non: {}"), "{form}");
    let typed = "title: Drain\r\non: {}\r\nsteps:\r\n  - { id: pause, wiat: 7m }\r\n";
    for (deed, expected) in [("check", 200), ("save", 422)] {
        let (status, _, page) = sends(&server, "/playbooks/drain/edit", &[("text", typed), ("revision", &base), ("deed", deed)]).await;
        assert_eq!(status, expected, "{page}");
        for words in ["2 errors", "<b>line 4</b> unknown field", "<mark>wiat</mark>", "did you mean", "pause, wiat: 7m", &base] {
            assert!(page.contains(words), "{deed}: {words} in {page}");
        }
    }
    assert_eq!(text(&server, "playbooks/drain.yaml"), DRAIN);
    let mended = typed.replace("wiat", "wait");
    let edited = DRAIN.replace("Drain", "Drain gently");
    fs::write(server.folder.path().join("playbooks/drain.yaml"), &edited).expect("it is written");
    let (status, _, conflict) = sends(&server, "/playbooks/drain/edit", &[("text", &mended), ("revision", &base), ("deed", "save")]).await;
    assert_eq!((status, text(&server, "playbooks/drain.yaml")), (409, edited), "{conflict}");
    for words in ["Somebody changed it meanwhile", "+ title: Drain gently", "pause, wait: 7m"] {
        assert!(conflict.contains(words), "{words} in {conflict}");
    }
    let there = conflict.split("name=\"revision\" value=\"").nth(1).and_then(|rest| rest.split('"').next()).expect("a revision").to_owned();
    let (status, to, _) = sends(&server, "/playbooks/drain/edit", &[("text", &mended), ("revision", &there), ("deed", "save")]).await;
    assert_eq!((status, to.as_str()), (303, "/playbooks/drain"));
    assert_eq!(text(&server, "playbooks/drain.yaml"), mended.replace("\r\n", "\n"), "lines end as they ended");
    let (_, shown) = page(&server, "/playbooks/drain").await;
    assert!(shown.contains("saved by <b>mia</b>") && shown.contains("pause, wait: 7m"), "{shown}");
    let (status, told) = page(&server, &format!("/playbooks/drain/revisions/{}", &base[..8])).await;
    assert!(status == 200 && told.contains("Bring this text back"), "{told}");
    let now = get(&server, "drain").await["revision"].as_str().expect("a digest").to_owned();
    let (status, _, _) = sends(&server, &format!("/playbooks/drain/revisions/{base}"), &[("revision", &now)]).await;
    assert_eq!((status, text(&server, "playbooks/drain.yaml")), (303, DRAIN.to_owned()));
    for path in ["/playbooks/nobody", "/playbooks/drain/revisions/000000", "/playbooks/drain/revisions/ab"] {
        assert_eq!(page(&server, path).await.0, 404, "{path}");
    }
    assert_eq!(page(&server, "/playbooks/..%2Fx/edit").await.0, 200, "a name that cannot be is said to be one");
    let (status, fresh) = page(&server, "/playbooks/fresh/edit").await;
    assert!(status == 200 && fresh.contains("New playbook fresh"), "{fresh}");
}

#[tokio::test]
async fn a_person_starts_a_playbook_with_a_field_for_each_var() {
    let asks = "on: {}\nvars:\n  reason: { type: text }\n  drain: { type: duration, default: 5m }\n  hosts: { type: texts, default: [a, b] }\n  hard: { type: bool, default: false }\nsteps:\n  - { id: say, action: note, with: { text: 'because {{ vars.reason }} for {{ vars.drain }}' } }\n";
    let server = started(&[("reynard.yaml", ""), ("playbooks/ask.yaml", asks)]).await;
    let alert = json!({ "version": "4", "receiver": "r", "groupKey": "g", "alerts": [{ "status": "firing", "labels": { "alertname": "Down" },
        "annotations": {}, "startsAt": "2026-09-21T14:00:00Z", "endsAt": "0001-01-01T00:00:00Z" }] });
    assert_eq!(client().post(&server.url).json(&alert).send().await.expect("it answers").status().as_u16(), 200);
    let (_, all) = page(&server, "/playbooks?for=1").await;
    assert!(all.contains("/playbooks/ask/start?incident&#x3D;1") || all.contains("/playbooks/ask/start?incident=1"), "{all}");
    let (status, form) = page(&server, "/playbooks/ask/start?incident=1").await;
    for words in ["name=\"var.reason\" value=\"\" required", "name=\"var.drain\" value=\"5m\"", "\na\nb</textarea>", "selected>false"] {
        assert!(status == 200 && form.contains(words), "{words} in {form}");
    }
    let fields =
        [("incident", "1"), ("var.reason", "release & more"), ("var.drain", "5 minutes"), ("var.hosts", "c"), ("var.hard", "true")];
    let (status, _, refused) = sends(&server, "/playbooks/ask/start", &fields).await;
    assert!(status == 422 && refused.contains("drain must be a length of time") && refused.contains("release &amp; more"), "{refused}");
    let fields = fields.map(|(name, value)| (name, if name == "var.drain" { "7m" } else { value }));
    let (status, to, _) = sends(&server, "/playbooks/ask/start", &fields).await;
    assert_eq!((status, to.as_str()), (303, "/incidents/1#machine"));
    let told = async || {
        let answer = client().get(format!("{}/api/v1/incidents/1/timeline", server.url)).send().await.expect("it answers");
        answer.text().await.expect("text").contains("because release & more for 7m").then_some(())
    };
    until("the run says its reason", SOON, told).await;
    let (_, shown) = page(&server, "/playbooks/ask").await;
    assert!(shown.contains("/runs/") && shown.contains("succeeded"), "{shown}");
}

#[tokio::test]
async fn a_server_has_as_many_warnings_as_the_check_in_its_folder() {
    let server = started(&[("reynard.yaml", "")]).await;
    let mut check = std::process::Command::new(env!("CARGO_BIN_EXE_reynard"));
    let said = check.arg("check").current_dir(server.folder.path()).env_remove("REYNARD_CONFIG").output().expect("it starts");
    let said = String::from_utf8(said.stdout).expect("text");
    let last = said.lines().last().unwrap_or_default().to_owned();
    let warnings = last.rsplit_once(", ").and_then(|(_, words)| words.strip_suffix(" warnings")).expect("a number").to_owned();
    assert!(last.starts_with("8 files") && warnings != "0", "without a folder it is what the program carries: {said}");
    let words = format!("`reynard check` has {warnings} warnings");
    until("the server says as much", SOON, async || server.said().contains(&words).then_some(())).await;
}
