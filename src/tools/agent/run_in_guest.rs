//! `run_in_guest`: runs a command in a VM.

use pve_api::calls;
use schemars::JsonSchema;

use super::command::{CommandRun, CommandStatus, ExecTicket};
use super::error::agent_error;
use crate::error::{Error, Result};
use crate::json::DeserializeFields;
use crate::pve::{Failure, Guest, GuestType, Num, Params, Pve, Vmid};
use crate::tool::declared::{Calls, LOOK_UP};
use crate::tool::ticket::Pending;
use crate::tool::{Finished, Outcome, Reply, Run};
use crate::{clock, tool_names};

/// Runs a command in a VM.
#[derive(DeserializeFields, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RunInGuest {
    vmid: Vmid,
    /// The program and each argument. No shell: for one, give /bin/sh, -c, LINE.
    #[schemars(length(min = 1, max = 256))]
    command: Option<Vec<String>>,
    /// Instead of command: check one that is still running.
    #[schemars(range(min = 1))]
    pid: Option<u64>,
    /// What the command reads; ASCII only.
    #[schemars(length(max = 65536), extend("writeOnly" = true))]
    stdin: Option<String>,
    /// How long to follow it. Default 60. 0: return its pid immediately.
    #[schemars(range(min = 0, max = 86_400))]
    timeout_seconds: Option<u32>,
}

const DEFAULT_TIMEOUT_SECONDS: u32 = 60;

impl Run for RunInGuest {
    type Output = CommandRun;

    const CALLS: &'static [Calls] = &[
        Calls::All(LOOK_UP),
        Calls::One(&calls::agent::EXEC),
        Calls::One(&calls::agent::EXEC_STATUS),
        Calls::Guest(&calls::guests::STATUS),
    ];

    fn run(self, pve: &Pve) -> Result<Reply<CommandRun>> {
        self.check()?;
        let (guest, pid) = Guest::with(pve, self.vmid, |guest| {
            if guest.kind == GuestType::Lxc {
                return Err(Error::Conflict(format!(
                    "{} is a container, which has no guest agent: {} opens a console in it",
                    guest.label(),
                    tool_names::GET_CONSOLE_URL
                )));
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
                    "only works with command: a command that is already running cannot be given \
                     more input",
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
                "must not contain NUL, which cannot be passed to a program",
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

    fn start(&self, pve: &Pve, guest: &Guest) -> Result<u64> {
        #[derive(DeserializeFields)]
        struct Started {
            pid: Num<u64>,
        }
        let words = self.command.iter().flatten();
        let params = words
            .fold(Params::new(), |params, word| params.set("command", word))
            .opt("input-data", self.stdin.as_deref());
        pve.send::<Started>(&guest.request(&calls::agent::EXEC), &params)
            .map(|started| started.pid.0)
            .map_err(|failure| start_error(guest, failure))
    }
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
pub(super) fn says_nothing(failure: &Failure) -> bool {
    match failure {
        Failure::Api(error) => {
            error.foreign.is_some()
                || matches!(error.status, 502..=504 | 595 | 596 | 599)
                || error.says("got timeout")
        }
        Failure::Transport(_) | Failure::Unreadable(_) => true,
        Failure::Refused(_) | Failure::Mistaken(_) => false,
    }
}

pub(super) fn start_error(guest: &Guest, failure: Failure) -> Error {
    match failure {
        // A guest that has moved is looked for again.
        Failure::Api(error) if error.is_missing_guest() => Failure::Api(error).into(),
        // What the agent says of a missing program holds typographic quotes,
        // on which pveproxy breaks the connection.
        Failure::Api(error) if error.status == 596 && error.says("broken pipe") => {
            Error::NotFound(format!(
                "{} could not start this program, most likely since it does not exist there ({} \
             answered 596): give its full path, and check that it exists and is executable",
                guest.label(),
                error.asked.request,
            ))
        }
        Failure::Api(error) if error.says("execute child process") => Error::NotFound(format!(
            "{} cannot run this program ({}): give its full path, and check that it exists and \
                 is executable",
            guest.label(),
            error.message
        )),
        Failure::Transport(lost) if lost.maybe_done => Error::Unreachable(format!(
            "{}: {}; the command may have been started anyway, and its pid is unknown: \
             check in the guest before you repeat it",
            lost.call, lost.message
        )),
        Failure::Unreadable(answer) => Error::Unreachable(format!(
            "the answer to {} cannot be read; the command may have been started anyway, \
             and its pid is unknown: check in the guest before you repeat it",
            answer.call
        )),
        failure => agent_error(guest, failure),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
