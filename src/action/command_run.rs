//! `command.run`: starts one of the programs that the server's own settings name, and no other. Knows no shell.

use std::collections::BTreeMap;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use async_trait::async_trait;
use regex::Regex;
use rustix::process::{Pid, Signal, kill_process_group};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command as Process};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::action::params;
use crate::domain::action::{Field, OnInterrupt, Param, ParamType, Performer, Spec};
use crate::domain::settings::Command;
use crate::domain::time::Span;
use crate::engine::ports::{Action, ActionError, Call, Cut};

const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const LARGEST_OUTPUT: usize = 64 << 10;
/// How long one that is cut off may take to end by itself.
const ENDS_WITHIN: Duration = Duration::from_secs(5);
/// How long a child that has ended may leave its output open through children of its own.
const DRAIN_TIMEOUT: Duration = Duration::from_millis(500);

pub const SPEC: Spec = Spec {
    name: "command.run",
    doc: "Starts a program named under `commands:`, without a shell and with an empty environment.",
    performer: Performer::Worker,
    destructive: true,
    on_interrupt: OnInterrupt::Ask,
    targets: &[],
    params: &[
        Param::required("command", ParamType::Text, "a name under `commands:`"),
        Param::optional("params", ParamType::TextMap, "a value for each of its parameters"),
    ],
    undoable: false,
    output: &[Field::number("exit_code", "0"), Field::text("stdout", "its last 64 KiB"), Field::text("stderr", "its last 64 KiB")],
};

/// The action.
pub struct CommandRun {
    commands: BTreeMap<String, Command>,
}

#[derive(Deserialize)]
struct Params {
    command: String,
    #[serde(default, deserialize_with = "params::text_map")]
    params: BTreeMap<String, String>,
}

/// What a program left behind.
struct Ended {
    status: ExitStatus,
    stdout: String,
    stderr: String,
}

impl CommandRun {
    pub fn new(commands: BTreeMap<String, Command>) -> Self {
        Self { commands }
    }
}

#[async_trait]
impl Action for CommandRun {
    fn spec(&self) -> Spec {
        SPEC
    }

    async fn perform(&self, call: &Call) -> Result<Value, ActionError> {
        let params: Params = params::read(call)?;
        let command = self.commands.get(&params.command).ok_or_else(|| fatal(format!("no command is called {}", params.command)))?;
        let arguments = arguments(command, &params.params)?;
        let limit = command.timeout.to_std().min(call.timeout.saturating_sub(Duration::from_millis(500)).max(call.timeout / 2));
        answer(command, run(command, &arguments, (limit, &call.cut)).await?)
    }
}

fn answer(command: &Command, ended: Ended) -> Result<Value, ActionError> {
    if ended.status.success() {
        return Ok(json!({ "exit_code": 0, "stdout": ended.stdout, "stderr": ended.stderr }));
    }
    let last: String = ended.stderr.trim_end().lines().next_back().unwrap_or_default().chars().take(300).collect();
    let separator = if last.is_empty() { "" } else { ": " };
    Err(fatal(format!("{} ended with {}{separator}{last}", command.name, ended.status)))
}

/// The arguments with their holes filled; each value stays within one argument.
fn arguments(command: &Command, given: &BTreeMap<String, String>) -> Result<Vec<String>, ActionError> {
    if let Some(name) = given.keys().find(|name| !command.params.contains_key(*name)) {
        return Err(fatal(format!("{} takes no parameter {name}", command.name)));
    }
    for (name, pattern) in &command.params {
        let value = given.get(name).ok_or_else(|| fatal(format!("{} needs the parameter {name}", command.name)))?;
        if !matches_whole(pattern, value) || value.contains('\0') {
            return Err(fatal(format!("{}: the value of {name} does not match {pattern}", command.name)));
        }
    }
    command.args.iter().map(|argument| fill(command, argument, given)).collect()
}

/// `^` and `$` are not trusted to be there, nor to mean the whole text.
fn matches_whole(pattern: &Regex, value: &str) -> bool {
    Regex::new(&format!(r"\A(?:{})\z", pattern.as_str())).is_ok_and(|whole| whole.is_match(value))
}

fn fill(command: &Command, argument: &str, given: &BTreeMap<String, String>) -> Result<String, ActionError> {
    let mut filled = String::new();
    let mut rest = argument;
    while let Some((before, after)) = rest.split_once("{{") {
        let (name, behind) = after.split_once("}}").ok_or_else(|| fatal(format!("{}: a hole is not closed", command.name)))?;
        let value = given.get(name.trim()).ok_or_else(|| fatal(format!("{}: {} is not a parameter", command.name, name.trim())))?;
        // An argument that is nothing but a value must not turn into an option.
        if before.is_empty() && filled.is_empty() && value.starts_with('-') {
            return Err(fatal(format!("{}: the value of {} looks like an option", command.name, name.trim())));
        }
        filled.push_str(before);
        filled.push_str(value);
        rest = behind;
    }
    Ok(filled + rest)
}

async fn run(command: &Command, arguments: &[String], (limit, cut): (Duration, &Cut)) -> Result<Ended, ActionError> {
    let mut child = spawn(command, arguments)?;
    // Whatever way this future ends, its whole process group ends with it.
    let mut group = Group::of(&child);
    let (done, finished) = watch::channel(false);
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let waiting = async {
        let end = until_it_ends(&mut child, &group, (limit, cut)).await;
        // At once, for the readers below wait for the whole group.
        if matches!(end, End::Stopped(_)) {
            group.kill()
        } else {
            group.leave()
        }
        let _ = done.send(true);
        end
    };
    let (end, stdout, stderr) = tokio::join!(waiting, tail(stdout, finished.clone()), tail(stderr, finished));
    let unknown = |how: String| Err(ActionError::Unknown(format!("{} {how}; it may have done part of its work", command.name)));
    match end {
        End::ByItself(Ok(status)) => Ok(Ended { status, stdout, stderr }),
        End::OnRequest(Ok(status)) if status.success() => Ok(Ended { status, stdout, stderr }),
        End::OnRequest(Ok(status)) => unknown(format!("was ended on request ({status})")),
        End::ByItself(Err(error)) | End::OnRequest(Err(error)) => {
            Err(ActionError::Unknown(format!("{}: its end was not seen: {error}", command.name)))
        }
        End::Stopped(how) => {
            let _ = child.wait().await;
            unknown(how)
        }
    }
}

/// How a program came to its end.
enum End {
    ByItself(std::io::Result<ExitStatus>),
    /// It was asked to, and did.
    OnRequest(std::io::Result<ExitStatus>),
    /// It is to be killed, and why.
    Stopped(String),
}

/// One that is cut off is asked to end, and has a few seconds for that.
async fn until_it_ends(child: &mut Child, group: &Group, (limit, cut): (Duration, &Cut)) -> End {
    let within = |limit: Duration| Span(u64::try_from(limit.as_millis()).unwrap_or(u64::MAX));
    tokio::select! {
        biased;
        status = child.wait() => return End::ByItself(status),
        () = sleep(limit) => return End::Stopped(format!("was stopped after {}", within(limit))),
        () = cut.made() => {}
    }
    group.asks_to_end();
    match timeout(ENDS_WITHIN, child.wait()).await {
        Ok(status) => End::OnRequest(status),
        Err(_) => End::Stopped(format!("did not end within {} when it was asked to, and was stopped", within(ENDS_WITHIN))),
    }
}

fn spawn(command: &Command, arguments: &[String]) -> Result<Child, ActionError> {
    if !command.program.starts_with('/') {
        return Err(fatal(format!("{}: its program must be an absolute path", command.name)));
    }
    Process::new(&command.program)
        .args(arguments)
        .env_clear()
        .env("PATH", PATH)
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| fatal(format!("{} could not be started: {error}", command.name)))
}

/// A process group that is killed when this is dropped, unless its leader has ended by itself.
struct Group(Option<Pid>);

impl Group {
    fn of(child: &Child) -> Self {
        Self(child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw))
    }

    /// The leader has ended and its number may be given to others: do not touch it any more.
    fn leave(&mut self) {
        self.0 = None;
    }

    /// By SIGTERM, which it may use to leave things in order.
    fn asks_to_end(&self) {
        if let Some(group) = self.0 {
            let _ = kill_process_group(group, Signal::TERM);
        }
    }

    fn kill(&mut self) {
        if let Some(group) = self.0.take() {
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The last 64 KiB of what comes, until it ends or, once the leader has `finished`, stays silent.
async fn tail(pipe: Option<impl AsyncRead + Unpin>, mut finished: watch::Receiver<bool>) -> String {
    let Some(mut pipe) = pipe else { return String::new() };
    let mut kept = Vec::new();
    let reading = async {
        let mut chunk = vec![0; 8 << 10];
        while let Ok(length @ 1..) = pipe.read(&mut chunk).await {
            kept.extend_from_slice(&chunk[..length]);
            kept.drain(..kept.len().saturating_sub(LARGEST_OUTPUT));
        }
    };
    let patience = async {
        let _ = finished.wait_for(|finished| *finished).await;
        tokio::time::sleep(DRAIN_TIMEOUT).await;
    };
    tokio::select! { () = reading => {}, () = patience => {} }
    String::from_utf8_lossy(&kept).into_owned()
}

fn fatal(text: String) -> ActionError {
    ActionError::Fatal(text)
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::action::http::tests::call as http_call;
    use crate::domain::action::TargetKind;

    fn action(program: &str, args: &[&str], pattern: &str) -> CommandRun {
        let command = Command {
            name: "it".to_owned(),
            program: program.to_owned(),
            args: args.iter().map(ToString::to_string).collect(),
            params: if pattern.is_empty() { BTreeMap::new() } else { BTreeMap::from([("unit".to_owned(), Regex::new(pattern).unwrap())]) },
            timeout: Span::seconds(1),
        };
        CommandRun::new(BTreeMap::from([("it".to_owned(), command)]))
    }

    async fn perform(action: &CommandRun, params: Value) -> Result<Value, ActionError> {
        action.perform(&http_call(TargetKind::Http, "", json!({ "command": "it", "params": params }))).await
    }

    #[tokio::test]
    async fn twice_with_one_key_runs_twice_with_each_value_in_one_argument() {
        let action = action("/usr/bin/printf", &["[%s]", "restart", "{{ unit }}", "--unit={{unit}}"], ".*");
        for _ in 0..2 {
            let output = perform(&action, json!({ "unit": "a b; $(id) `id` | x" })).await.unwrap();
            assert_eq!(output["stdout"], "[restart][a b; $(id) `id` | x][--unit=a b; $(id) `id` | x]");
        }
    }

    #[tokio::test]
    async fn values_must_match_their_whole_pattern() {
        for pattern in [r"^[a-z0-9-]+\.service$", r"[a-z0-9-]+\.service", r"(?m)^[a-z0-9-]+\.service$"] {
            let action = action("/usr/bin/printf", &["%s", "{{ unit }}"], pattern);
            for bad in ["a.service;id", "a.service\n", "x y.service", "", "a.service\nb.service", "a.service\0", "-rf.service"] {
                assert!(matches!(perform(&action, json!({ "unit": bad })).await, Err(ActionError::Fatal(_))), "{pattern} {bad:?}");
            }
            assert_eq!(perform(&action, json!({ "unit": "a.service" })).await.unwrap()["stdout"], "a.service");
        }
        let action = action("/usr/bin/printf", &["%s", "{{ unit }}"], "a");
        for bad in [json!({}), json!({ "unit": "a", "other": "b" })] {
            assert!(matches!(perform(&action, bad).await, Err(ActionError::Fatal(_))));
        }
    }

    #[tokio::test]
    async fn the_environment_is_empty() {
        let output = perform(&action("/usr/bin/env", &[], ""), json!({})).await.unwrap();
        assert_eq!(output["stdout"].as_str().unwrap().trim(), format!("PATH={PATH}"));
    }

    #[tokio::test]
    async fn failures_say_how() {
        let error = perform(&action("/bin/sh", &["-c", "echo first; echo why >&2; exit 3"], ""), json!({})).await.unwrap_err();
        assert!(matches!(&error, ActionError::Fatal(text) if text.contains('3') && text.ends_with("why")), "{error}");
        for program in ["/nowhere", "printf", "./x"] {
            assert!(matches!(perform(&action(program, &[], ""), json!({})).await, Err(ActionError::Fatal(_))));
        }
    }

    #[tokio::test]
    async fn a_timeout_ends_the_whole_group() {
        let begun = Instant::now();
        let error = perform(&action("/bin/sh", &["-c", "sleep 4711 & sleep 4711"], ""), json!({})).await.unwrap_err();
        assert!(matches!(error, ActionError::Unknown(_)), "{error:?}");
        assert!(begun.elapsed() < Duration::from_secs(4));
        assert!(!running("sleep\x004711"));
    }

    #[tokio::test]
    async fn being_dropped_ends_the_whole_group_too() {
        let action = action("/bin/sh", &["-c", "sleep 4712 & sleep 4712"], "");
        let _ = timeout(Duration::from_millis(300), perform(&action, json!({}))).await;
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert!(!running("sleep\x004712"));
    }

    #[tokio::test]
    async fn one_that_is_cut_off_may_leave_things_in_order_and_says_what_is_known() {
        let cut_off = async |script: &str| {
            let action = action("/bin/sh", &["-c", script], "");
            let call = http_call(TargetKind::Http, "", json!({ "command": "it", "params": {} }));
            let cut = async {
                tokio::time::sleep(Duration::from_millis(300)).await;
                call.cut.make();
            };
            tokio::join!(action.perform(&call), cut).0
        };
        let error = cut_off("sleep 4713").await.unwrap_err();
        assert!(matches!(&error, ActionError::Unknown(text) if text.contains("on request (signal: 15")), "{error}");
        assert!(!running("sleep\x004713"));
        // It takes the hint, and ends well: that is known.
        let output = cut_off("trap 'echo tidied; exit 0' TERM; sleep 4714 & wait").await.unwrap();
        assert_eq!(output["stdout"], "tidied\n");
        assert!(!running("sleep\x004714"));
    }

    #[tokio::test]
    async fn a_daemon_that_keeps_the_pipe_open_does_not_hold_the_step() {
        let output = perform(&action("/bin/sh", &["-c", "sleep 3 & echo started"], ""), json!({})).await.unwrap();
        assert_eq!(output["stdout"], "started\n");
    }

    #[tokio::test]
    async fn only_the_end_of_long_output_is_kept() {
        let output = perform(&action("/bin/sh", &["-c", "head -c 300000 /dev/zero | tr '\\0' x; echo end"], ""), json!({})).await.unwrap();
        let stdout = output["stdout"].as_str().unwrap();
        assert!(stdout.len() == LARGEST_OUTPUT && stdout.ends_with("xend\n"));
    }

    fn running(command: &str) -> bool {
        let processes = std::fs::read_dir("/proc").unwrap().flatten();
        let lines = processes.filter_map(|process| std::fs::read_to_string(process.path().join("cmdline")).ok());
        lines.into_iter().any(|line| line.starts_with(command))
    }
}
