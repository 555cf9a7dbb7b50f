//! Commands inside a guest, by its QEMU agent.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::clock;
use crate::error::{Error, Result};
use crate::pve::{Failure, Flag, Guest, Halt, Kind, Num, Params, Pve};
use crate::text;
use crate::tool::ticket::Pending;
use crate::tool::{Finished, Outcome, Reply, Run, Running};
use crate::tool_names;

/// Runs a command in a VM.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RunInGuest {
    #[schemars(range(min = 100, max = 999_999_999))]
    vmid: u32,
    /// The program and each argument. No shell: for one, give /bin/sh, -c, LINE.
    #[schemars(length(min = 1, max = 256))]
    command: Option<Vec<String>>,
    /// Instead of command: look again at one that is still running.
    #[schemars(range(min = 1))]
    pid: Option<u64>,
    /// What the command reads; ASCII only.
    #[schemars(length(max = 65536), extend("writeOnly" = true))]
    stdin: Option<String>,
    /// How long to follow it. Default 60. 0: return its pid at once.
    #[schemars(range(min = 0, max = 86_400))]
    timeout_seconds: Option<u32>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct CommandRun {
    vmid: u32,
    node: String,
    pid: u64,
    status: CommandStatus,
    #[serde(skip_serializing_if = "Option::is_none")]
    exit_code: Option<i64>,
    /// What killed it; under Windows, its unhandled exception.
    #[serde(skip_serializing_if = "Option::is_none")]
    signal: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stdout: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stderr: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum CommandStatus {
    Running,
    Exited,
    Killed,
}

/// A command that is still running inside a guest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ExecTicket {
    vmid: u32,
    pid: u64,
    node: String,
    /// From when to when it is followed, in seconds since 1970.
    since: u64,
    until: u64,
}

const DEFAULT_TIMEOUT_SECONDS: u32 = 60;

/// How much of each stream is shown.
const STREAM_BYTES: usize = 16 * 1024;

impl Run for RunInGuest {
    type Output = CommandRun;

    fn run(self, pve: &Pve) -> Result<Reply<CommandRun>> {
        self.check()?;
        let (guest, pid) = Guest::attempt(pve, self.vmid, |guest| {
            if guest.kind == Kind::Lxc {
                return Err(Halt::Refused(Error::Conflict(format!(
                    "{} is a container, which has no guest agent: {} opens a console in it",
                    guest.label(),
                    tool_names::GET_CONSOLE_URL
                ))));
            }
            Ok(match self.pid {
                Some(pid) => pid,
                None => self.start(pve, guest)?,
            })
        })?;
        let since = clock::now();
        let timeout = self.timeout_seconds.unwrap_or(DEFAULT_TIMEOUT_SECONDS);
        let ticket = ExecTicket {
            vmid: self.vmid,
            pid,
            node: guest.node.clone(),
            since,
            until: since + u64::from(timeout),
        };
        if self.pid.is_some() {
            // A command that has ended is reported at once.
            let (run, text) = ticket.look(pve)?.map_err(Error::from)?;
            return Ok(match run.status {
                CommandStatus::Running if timeout > 0 => {
                    Reply::Running(Pending::own(&ticket)?, run, text)
                }
                _ => Reply::Done(run, text),
            });
        }
        let run = CommandRun::running(&guest, pid);
        let text = run.text(&guest);
        Ok(if timeout == 0 {
            Reply::Done(run, text)
        } else {
            Reply::Running(Pending::own(&ticket)?, run, text)
        })
    }

    fn resume(pve: &Pve, state: &str) -> Result<Outcome> {
        Pending::read::<ExecTicket>(state)?.resume(pve)
    }

    fn cancel(_: &Pve, state: &str) -> Result<Finished> {
        let _: ExecTicket = Pending::read(state)?;
        Err(Error::Conflict(
            "a command inside a guest cannot be stopped from outside: end it in the guest".into(),
        ))
    }
}

impl RunInGuest {
    fn check(&self) -> Result<()> {
        let command = match (&self.command, self.pid) {
            (Some(command), None) => command,
            (None, Some(_)) if self.stdin.is_none() => return Ok(()),
            (None, Some(_)) => {
                return Err(Error::argument(
                    "stdin",
                    "only works with command: one that is running has read its input",
                ));
            }
            (None, None) => {
                return Err(Error::argument(
                    "command",
                    "is missing: give the program and its arguments as a list, or the pid of a \
                     command that is still running",
                ));
            }
            (Some(_), Some(_)) => {
                return Err(Error::argument(
                    "pid",
                    "must be left out with command: give one of them",
                ));
            }
        };
        if command.first().is_none_or(String::is_empty) {
            return Err(Error::argument(
                "command",
                "must begin with a program, such as /bin/ls",
            ));
        }
        if let [line] = command.as_slice()
            && is_line(line)
        {
            return Err(Error::argument(
                "command",
                format!(
                    "must be a list of the program and each of its arguments, such as {:?}; for a \
                     shell's line, give [\"/bin/sh\", \"-c\", {line:?}]",
                    line.split_whitespace().collect::<Vec<_>>()
                ),
            ));
        }
        if command.iter().any(|word| word.contains('\0')) {
            return Err(Error::argument(
                "command",
                "must not contain NUL, which programs cannot be given",
            ));
        }
        // Proxmox refuses or garbles what is beyond Latin-1.
        if self.stdin.as_ref().is_some_and(|stdin| !stdin.is_ascii()) {
            return Err(Error::argument(
                "stdin",
                "must be ASCII, since Proxmox garbles everything else: encode it with base64, and \
                 let the command decode it",
            ));
        }
        Ok(())
    }

    fn start(&self, pve: &Pve, guest: &Guest) -> Result<u64, Halt> {
        #[derive(Deserialize)]
        struct Started {
            pid: Num<u64>,
        }
        let words = self.command.iter().flatten();
        let params = words
            .fold(Params::new(), |params, word| params.set("command", word))
            .opt("input-data", self.stdin.as_deref());
        pve.post::<Started>(&guest.path(["agent", "exec"]), &params)
            .map(|started| started.pid.0)
            .map_err(|failure| start_error(guest, failure))
    }
}

impl ExecTicket {
    /// One look at the command.
    fn resume(self, pve: &Pve) -> Result<Outcome> {
        let now = clock::now();
        let (mut run, text) = match self.look(pve) {
            Ok(Ok(seen)) => seen,
            // A look that failed says nothing of the command.
            Ok(Err(_)) if now < self.until => self.out_of_sight(),
            Ok(Err(failure)) => return Err(self.lost(failure.into())),
            Err(Error::Unreachable(_)) if now < self.until => self.out_of_sight(),
            Err(error) => return Err(self.lost(error)),
        };
        if run.status != CommandStatus::Running {
            return Ok(Outcome::Done(Finished::new(&run, text)?));
        }
        if now >= self.until {
            run.hint = Some(format!(
                "it was followed for {}; {}",
                text::duration(self.until.saturating_sub(self.since)),
                how_to_look_again()
            ));
            return Ok(Outcome::Done(Finished::new(&run, text)?));
        }
        let retry_after_ms = match now.saturating_sub(self.since) {
            0..5 => 300,
            5..30 => 1_000,
            _ => 2_000,
        };
        Ok(Outcome::Running(Running {
            pending: Pending::own(&self)?,
            message: text.clone(),
            progress: None,
            retry_after_ms,
            interim: Finished::new(&run, text)?,
        }))
    }

    /// What to say of a command that cannot be seen at the moment.
    fn out_of_sight(&self) -> (CommandRun, String) {
        let run = CommandRun::still_running(self.vmid, self.node.clone(), self.pid);
        let text = format!(
            "the command in guest {} cannot be seen at the moment; it may still be running, pid {}",
            self.vmid, self.pid
        );
        (run, text)
    }

    /// The error of losing sight of a command, which must not be run again.
    fn lost(&self, error: Error) -> Error {
        // The guest or its agent has lost the command: another look is in vain.
        if matches!(error, Error::NotFound(_) | Error::Conflict(_)) {
            return error.context(&format!(
                "the command was started in guest {} with pid {}, and how it ended is not known; do \
                 not repeat it before you have looked at what it did",
                self.vmid, self.pid
            ));
        }
        error.context(&format!(
            "the command was started in guest {} with pid {}, but how it is doing cannot be read: \
             {} with this pid instead of command looks again; do not repeat the command",
            self.vmid,
            self.pid,
            tool_names::RUN_IN_GUEST
        ))
    }

    /// One look. The inner error is of a look that says nothing of the command.
    fn look(&self, pve: &Pve) -> Result<Result<(CommandRun, String), Failure>> {
        let (guest, raw) = Guest::attempt(pve, self.vmid, |guest| {
            let read = pve.get::<RawRun>(
                &guest.path(["agent", "exec-status"]),
                &Params::new().set("pid", self.pid),
            );
            match read {
                Ok(raw) => Ok(Ok(raw)),
                Err(failure) if says_nothing(&failure) => Ok(Err(failure)),
                Err(failure) => Err(look_error(guest, self.pid, failure)),
            }
        })?;
        Ok(raw.map(|raw| {
            let run = CommandRun::new(&guest, self.pid, raw);
            let text = run.text(&guest);
            (run, text)
        }))
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct RawRun {
    #[serde(default)]
    exited: Flag,
    exitcode: Option<Num<i64>>,
    signal: Option<Num<i64>>,
    out_data: Option<String>,
    err_data: Option<String>,
    #[serde(default)]
    out_truncated: Flag,
    #[serde(default)]
    err_truncated: Flag,
}

impl CommandRun {
    fn running(guest: &Guest, pid: u64) -> Self {
        Self::new(guest, pid, RawRun::default())
    }

    fn still_running(vmid: u32, node: String, pid: u64) -> Self {
        Self {
            vmid,
            node,
            pid,
            status: CommandStatus::Running,
            exit_code: None,
            signal: None,
            stdout: None,
            stderr: None,
            hint: Some(how_to_look_again()),
        }
    }

    fn new(guest: &Guest, pid: u64, raw: RawRun) -> Self {
        let status = match (raw.exited.0, &raw.signal) {
            (false, _) => CommandStatus::Running,
            (true, Some(_)) => CommandStatus::Killed,
            (true, None) => CommandStatus::Exited,
        };
        let (stdout, stdout_cut) = stream(raw.out_data);
        let (stderr, stderr_cut) = stream(raw.err_data);
        let hint = if status == CommandStatus::Running {
            Some(how_to_look_again())
        } else if stdout_cut || stderr_cut {
            Some(format!(
                "of each stream the first and the last {} are shown: let the command filter what \
                 it prints, or write it to a file and read that in parts",
                text::bytes(STREAM_BYTES as u64 / 2)
            ))
        } else if raw.out_truncated.0 || raw.err_truncated.0 {
            Some("the agent kept only a part of the output".to_owned())
        } else {
            None
        };
        Self {
            vmid: guest.vmid,
            node: guest.node.clone(),
            pid,
            status,
            exit_code: raw.exitcode.map(|code| code.0),
            signal: raw.signal.map(|signal| signal.0),
            stdout,
            stderr,
            hint,
        }
    }

    fn text(&self, guest: &Guest) -> String {
        let label = guest.label();
        match (self.status, self.exit_code, self.signal) {
            (CommandStatus::Running, ..) => {
                format!("the command in {label} is running, pid {}", self.pid)
            }
            (_, _, Some(signal)) => format!("the command in {label} was killed by {signal}"),
            (_, Some(code), _) => format!("the command in {label} ended with exit code {code}"),
            _ => format!("the command in {label} ended"),
        }
    }
}

fn how_to_look_again() -> String {
    format!(
        "it is still running: {} with this pid instead of command looks again; the agent gives the \
         exit code and the output once, then forgets them",
        tool_names::RUN_IN_GUEST
    )
}

/// A stream as text, and whether some of it was left out in the middle.
fn stream(data: Option<String>) -> (Option<String>, bool) {
    let Some(data) = data.filter(|data| !data.is_empty()) else {
        return (None, false);
    };
    let data = repaired(data);
    if data.len() <= STREAM_BYTES {
        return (Some(data), false);
    }
    let head = data.floor_char_boundary(STREAM_BYTES / 2);
    let tail = data.ceil_char_boundary(data.len() - STREAM_BYTES / 2);
    let (Some(first), Some(last)) = (data.get(..head), data.get(tail..)) else {
        return (Some(data), false);
    };
    let middle = tail - head;
    (
        Some(format!("{first}\n[… {middle} bytes left out …]\n{last}")),
        true,
    )
}

/// Proxmox takes the bytes of a stream for Latin-1, so that "é" arrives as
/// "Ã©". Where the bytes were UTF-8 they are read as that.
fn repaired(text: String) -> String {
    if text.is_ascii() {
        return text;
    }
    let bytes: Option<Vec<u8>> = text.chars().map(|c| u8::try_from(c).ok()).collect();
    bytes
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .unwrap_or(text)
}

/// Whether a program's name is a whole line, arguments included. A program may
/// have blanks in its path, as under Windows, but nothing in a path begins with
/// `-`, `/` or a quote after a blank, and a name without a path has no blanks.
fn is_line(program: &str) -> bool {
    let mut words = program.split_whitespace();
    let is_path = words
        .next()
        .is_some_and(|first| first.contains(['/', '\\']));
    let mut others = words.peekable();
    others.peek().is_some()
        && (!is_path
            || others
                .any(|word| word.starts_with(['-', '/', '"', '\'', '|', '>', '<', '&', ';', '$'])))
}

/// Whether a failed look says nothing of the command: something in front of
/// Proxmox answered, nothing did, or the guest's agent was busy.
fn says_nothing(failure: &Failure) -> bool {
    match failure {
        Failure::Api(error) => {
            error.foreign.is_some()
                || matches!(error.status, 502..=504 | 595 | 596 | 599)
                || error.says("got timeout")
        }
        Failure::Transport { .. } | Failure::Unreadable { .. } => true,
        Failure::Refused { .. } | Failure::Misnamed { .. } => false,
    }
}

fn start_error(guest: &Guest, failure: Failure) -> Halt {
    match failure {
        // A guest that has moved is looked for again.
        Failure::Api(error) if error.is_missing_guest() => Halt::Failed(Failure::Api(error)),
        // What the agent says of a missing program holds typographic quotes,
        // on which pveproxy breaks the connection.
        Failure::Api(error) if error.status == 596 && error.says("broken pipe") => {
            Halt::Refused(Error::NotFound(format!(
                "{} could not start this program, most likely since it does not exist there ({} \
             answered 596): give its full path, and check that it exists and is executable",
                guest.label(),
                error.call,
            )))
        }
        Failure::Api(error) if error.says("execute child process") => {
            Halt::Refused(Error::NotFound(format!(
                "{} cannot run this program ({}): give its full path, and check that it exists and \
                 is executable",
                guest.label(),
                error.message
            )))
        }
        Failure::Transport {
            call,
            message,
            maybe_done: true,
            ..
        } => Halt::Refused(Error::Unreachable(format!(
            "{call}: {message}; the command may have been started anyway, and its pid is unknown: \
             check in the guest before you repeat it"
        ))),
        Failure::Unreadable { call, .. } => Halt::Refused(Error::Unreachable(format!(
            "the answer to {call} cannot be read; the command may have been started anyway, \
             and its pid is unknown: check in the guest before you repeat it"
        ))),
        failure => Halt::Refused(agent_error(guest, failure)),
    }
}

fn look_error(guest: &Guest, pid: u64, failure: Failure) -> Halt {
    match failure {
        Failure::Api(error) if error.is_missing_guest() => Halt::Failed(Failure::Api(error)),
        Failure::Api(error)
            if error.says("pid")
                && (error.says("does not exist") || error.says("invalid parameter")) =>
        {
            Halt::Refused(Error::NotFound(format!(
                "the agent of {} does not know a command {pid}: it forgets a command once it has \
                 reported its end, and all of them when it restarts",
                guest.label()
            )))
        }
        // "QEMU guest agent is not running", "VM 100 is not running".
        Failure::Api(error) if error.says("is not running") => {
            Halt::Refused(Error::Conflict(format!(
                "{} or its agent has stopped since ({}): the command with pid {pid} may have done its \
                 work, as a reboot, a shutdown or a restart of the agent ends like this; {} shows \
                 whether the guest runs",
                guest.label(),
                error.message,
                tool_names::GET_GUEST
            )))
        }
        failure => Halt::Refused(agent_error(guest, failure)),
    }
}

/// What can fail between Proxmox and a guest's agent: all of it has status 500,
/// and the words tell the causes apart.
pub(crate) fn agent_error(guest: &Guest, failure: Failure) -> Error {
    let Failure::Api(error) = &failure else {
        return failure.into();
    };
    let label = guest.label();
    if error.says("no qemu guest agent configured") {
        return Error::Conflict(format!(
            "the QEMU guest agent of {label} is switched off: install qemu-guest-agent in the \
             guest, switch it on with qm set {} --agent enabled=1 on the node, or in the web \
             interface under Options, then stop and start the guest",
            guest.vmid
        ));
    }
    if error.says("qemu guest agent is not running") {
        return Error::Conflict(format!(
            "the QEMU guest agent of {label} does not answer: a guest that is still booting needs \
             a moment; otherwise install qemu-guest-agent in the guest and start its service"
        ));
    }
    if error.says("is not running") {
        return Error::Conflict(format!(
            "{label} is not running, and neither is its agent: start it with {} first",
            tool_names::START_GUEST
        ));
    }
    if error.says("got timeout") {
        return Error::Conflict(format!(
            "the QEMU guest agent of {label} took too long: the guest may be overloaded or \
             paused; try again later"
        ));
    }
    if error.says("has been disabled") {
        return Error::Conflict(format!(
            "the QEMU guest agent of {label} forbids this command: allow it in the agent's own \
             configuration in the guest (/etc/sysconfig/qemu-ga or /etc/qemu/qemu-ga.conf), and \
             restart the agent"
        ));
    }
    if error.says("has not been found") || error.says("not currently supported") {
        return Error::Conflict(format!(
            "the QEMU guest agent of {label} does not have this command ({}): update \
             qemu-guest-agent in the guest",
            error.message
        ));
    }
    if error.says("agent error:") {
        return Error::Conflict(format!(
            "the QEMU guest agent of {label} refused ({})",
            error.message
        ));
    }
    failure.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pve::ApiError;
    use proptest::prelude::*;

    fn guest() -> Guest {
        serde_json::from_str(r#"{"vmid":100,"type":"qemu","node":"pve1","name":"web01"}"#).unwrap()
    }

    fn failure(message: &str) -> Failure {
        Failure::Api(Box::new(ApiError {
            status: 500,
            message: message.into(),
            ..Default::default()
        }))
    }

    fn refused(halt: Halt) -> Error {
        match halt {
            Halt::Refused(error) => error,
            Halt::Failed(failure) => panic!("{failure:?}"),
        }
    }

    #[test]
    fn agent_troubles_are_told_apart() {
        for (message, words) in [
            ("No QEMU guest agent configured", "--agent enabled=1"),
            ("QEMU guest agent is not running", "does not answer"),
            ("VM 100 is not running", "start_guest"),
            (
                "VM 100 qga command 'guest-exec' failed - got timeout",
                "took too long",
            ),
            (
                "Agent error: Command guest-exec has been disabled",
                "forbids this command",
            ),
            ("Agent error: something else", "refused (Agent error"),
        ] {
            let error = agent_error(&guest(), failure(message));
            assert!(
                matches!(&error, Error::Conflict(text) if text.contains(words)),
                "{error:?}"
            );
        }
    }

    #[test]
    fn what_only_commands_meet() {
        let missing =
            "Agent error: Failed to execute child process “/bin/no” (No such file or directory)";
        assert!(matches!(
            refused(start_error(&guest(), failure(missing))),
            Error::NotFound(text) if text.contains("/bin/no")
        ));
        for message in [
            "Agent error: PID 7 does not exist",
            "Agent error: Invalid parameter 'pid'",
        ] {
            assert!(matches!(
                refused(look_error(&guest(), 7, failure(message))),
                Error::NotFound(text) if text.contains("know a command 7")
            ));
        }
        let cut = Failure::Transport {
            call: "POST /x".into(),
            message: "the connection broke".into(),
            maybe_done: true,
            outage: true,
        };
        assert!(matches!(
            refused(start_error(&guest(), cut)),
            Error::Unreachable(text) if text.contains("may have been started")
        ));
        let moved = "Configuration file 'nodes/pve1/qemu-server/100.conf' does not exist";
        assert!(matches!(
            start_error(&guest(), failure(moved)),
            Halt::Failed(_)
        ));
        assert!(matches!(
            look_error(&guest(), 7, failure(moved)),
            Halt::Failed(_)
        ));
    }

    #[test]
    fn arguments_that_do_not_fit_each_other() {
        for (arguments, pointer) in [
            (r#"{"vmid":100}"#, "command: is missing"),
            (
                r#"{"vmid":100,"command":["ls"],"pid":7}"#,
                "pid: must be left out",
            ),
            (
                r#"{"vmid":100,"pid":7,"stdin":"x"}"#,
                "stdin: only works with",
            ),
            (r#"{"vmid":100,"command":[""]}"#, "command: must begin"),
            (
                r#"{"vmid":100,"command":["ls -l /tmp"]}"#,
                "command: must be a list",
            ),
            (
                r#"{"vmid":100,"command":["/bin/ls -l"]}"#,
                "command: must be a list",
            ),
            (
                r#"{"vmid":100,"command":["a","\u0000"]}"#,
                "command: must not",
            ),
            (
                r#"{"vmid":100,"command":["cat"],"stdin":"é"}"#,
                "stdin: must be ASCII",
            ),
        ] {
            let tool: RunInGuest = serde_json::from_str(arguments).unwrap();
            let message = tool.check().unwrap_err().message();
            assert!(message.starts_with(pointer), "{message}");
        }
        let tool: RunInGuest =
            serde_json::from_str(r#"{"vmid":100,"command":["/bin/echo","é"],"stdin":"x"}"#)
                .unwrap();
        assert!(tool.check().is_ok());
        assert!(!is_line(r"C:\Program Files\App\app.exe") && !is_line("/opt/my app/run"));
    }

    #[test]
    fn ends_in_all_ways() {
        let run = |json: &str| CommandRun::new(&guest(), 7, serde_json::from_str(json).unwrap());
        let running = run(r#"{"exited":0}"#);
        assert_eq!(running.status, CommandStatus::Running);
        assert!(running.hint.unwrap().contains("run_in_guest"));
        let ended =
            run(r#"{"exited":1,"exitcode":3,"out-data":"a\n","err-data":"","out-truncated":0}"#);
        assert_eq!(ended.status, CommandStatus::Exited);
        assert_eq!(ended.exit_code, Some(3));
        assert_eq!(ended.stdout.as_deref(), Some("a\n"));
        assert_eq!((ended.stderr, ended.hint), (None, None));
        let killed = run(r#"{"exited":true,"signal":9}"#);
        assert_eq!(killed.status, CommandStatus::Killed);
        assert!(killed.text(&guest()).ends_with("killed by 9"));
    }

    #[test]
    fn long_output_loses_its_middle() {
        let (text, cut) = stream(Some(format!("first{}last", "é".repeat(STREAM_BYTES))));
        let text = text.unwrap();
        assert!(cut && text.starts_with("firsté") && text.ends_with("élast"));
        assert!(text.contains("bytes left out") && text.len() < STREAM_BYTES + 100);
        let exact = "x".repeat(STREAM_BYTES);
        assert_eq!(stream(Some(exact.clone())), (Some(exact), false));
    }

    proptest! {
        #[test]
        fn any_text_is_read_as_it_was_written(text in any::<String>()) {
            let as_latin1: String = text.bytes().map(char::from).collect();
            prop_assert_eq!(repaired(as_latin1), text);
        }

        #[test]
        fn any_output_is_told(text in any::<String>()) {
            prop_assert_eq!(stream(Some(text.clone())).0.is_none(), text.is_empty());
        }
    }
}
