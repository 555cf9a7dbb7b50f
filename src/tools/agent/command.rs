//! A command inside a guest: its result, and how it is followed.

use pve_api::calls;
use schemars::JsonSchema;
use serde::Serialize;

use super::error::agent_error;
use super::run_in_guest::says_nothing;
use crate::error::{Error, Result};
use crate::json::{DeserializeFields, SerializeFields};
use crate::pve::{Failure, Flag, Guest, Num, Params, Pve, Vmid};
use crate::tool::ticket::Pending;
use crate::tool::{Finished, Outcome, Running};
use crate::{clock, text, tool_names};

#[derive(Debug, SerializeFields, JsonSchema)]
pub(crate) struct CommandRun {
    vmid: Vmid,
    node: String,
    pid: u64,
    pub(super) status: CommandStatus,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) exit_code: Option<i64>,
    /// What killed it; under Windows, its unhandled exception.
    #[serde(skip_serializing_if = "Option::is_none")]
    signal: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) stdout: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) stderr: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) hint: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum CommandStatus {
    Running,
    Exited,
    Killed,
}

/// A command that is still running inside a guest.
#[derive(Debug, Clone, PartialEq, SerializeFields, DeserializeFields)]
#[serde(deny_unknown_fields)]
pub(super) struct ExecTicket {
    pub(super) vmid: Vmid,
    pub(super) pid: u64,
    pub(super) node: String,
    /// When following it began and when it ends, in seconds since 1970.
    pub(super) since: u64,
    pub(super) until: u64,
}

/// How much of each stream is shown.
const STREAM_BYTES: usize = 16 * 1024;

impl ExecTicket {
    /// The command's state as the agent reports it.
    pub(super) fn resume(self, pve: &Pve) -> Result<Outcome> {
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

    /// The message about a command whose state cannot be read at the moment.
    fn out_of_sight(&self) -> (CommandRun, String) {
        let run = CommandRun::still_running(self.vmid, self.node.clone(), self.pid);
        let text = format!(
            "the status of the command in guest {} is not available at the moment; it may still be \
             running (pid {})",
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
            "the command was started in guest {} with pid {}, but its status cannot be read: call \
             {} with this pid instead of command to check again; do not repeat the command",
            self.vmid,
            self.pid,
            tool_names::RUN_IN_GUEST
        ))
    }

    /// Reads its state once. The inner error is a failure that says nothing about the
    /// command.
    pub(super) fn look(&self, pve: &Pve) -> Result<Result<(CommandRun, String), Failure>> {
        let (guest, raw) = Guest::with(pve, self.vmid, |guest| {
            let read = pve.send::<RawRun>(
                &guest.request(&calls::agent::EXEC_STATUS),
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

#[derive(Debug, Default, DeserializeFields)]
#[serde(rename_all = "kebab-case")]
pub(super) struct RawRun {
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
    pub(super) fn running(guest: &Guest, pid: u64) -> Self {
        Self::new(guest, pid, RawRun::default())
    }

    fn still_running(vmid: Vmid, node: String, pid: u64) -> Self {
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

    pub(super) fn new(guest: &Guest, pid: u64, raw: RawRun) -> Self {
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

    pub(super) fn text(&self, guest: &Guest) -> String {
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
        "it is still running: call {} with this pid instead of command to check again; the agent \
         reports the exit code and output only once",
        tool_names::RUN_IN_GUEST
    )
}

/// A stream as text, and whether its middle was left out.
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

/// Proxmox reads the bytes of a stream as Latin-1, so that "é" arrives as
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

pub(super) fn look_error(guest: &Guest, pid: u64, failure: Failure) -> Error {
    match failure {
        Failure::Api(error) if error.is_missing_guest() => Failure::Api(error).into(),
        Failure::Api(error)
            if error.says("pid")
                && (error.says("does not exist") || error.says("invalid parameter")) =>
        {
            Error::NotFound(format!(
                "the agent of {} does not know a command {pid}: it forgets a command once it has \
                 reported its end, and all of them when it restarts",
                guest.label()
            ))
        }
        // "QEMU guest agent is not running", "VM 100 is not running".
        Failure::Api(error) if error.says("is not running") => Error::Conflict(format!(
            "{} or its agent has stopped since ({}): the command with pid {pid} may have done its \
                 work, as a reboot, a shutdown or a restart of the agent ends like this; {} shows \
                 whether the guest runs",
            guest.label(),
            error.message,
            tool_names::GET_GUEST
        )),
        failure => agent_error(guest, failure),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

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
        fn any_output_is_shown(text in any::<String>()) {
            prop_assert_eq!(stream(Some(text.clone())).0.is_none(), text.is_empty());
        }
    }
}
