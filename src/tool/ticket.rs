//! Tickets: all that a later, fresh instance needs to follow something that is
//! still running.
//!
//! A ticket comes back from outside, so it is read as strictly as arguments
//! are. It gives nothing away that its holder could not do with the tools: to
//! look at a task, to stop one.

use serde::{Deserialize, Serialize};

use super::expected::{Expected, Progress};
use super::outcome::{Finished, Outcome, Reply, Running};
use super::report::{Report, Status};
use crate::error::{Error, FailedTask, Result};
use crate::pve::{Failure, Params, Pve, Removable, TaskLog, TaskStatus, Upid, is_unknown_exit};
use crate::text;
use crate::tools::{self, name_of};

/// How many of a task's last log lines tell its progress or its failure.
const TAIL_LINES: u64 = 12;

/// How many looks in a row may say nothing of a task that is followed. Proxmox
/// that is away does not count: its services are restarted again and again.
const MOST_GAPS: u32 = 30;

/// The same where Proxmox itself refuses to tell.
const MOST_REFUSALS: u32 = 5;

/// A task's failure may be a whole command line, and a line of its log a
/// progress bar.
const EXIT_LENGTH: usize = 800;
const LINE_LENGTH: usize = 500;

/// How long to wait after such a look.
const GAP_PAUSE_MS: u32 = 2_000;

/// What is still running.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Ticket {
    /// A Proxmox task.
    Task(Box<TaskTicket>),
    /// A guest that is to reach a state, without a task to follow.
    Guest(Box<GuestTicket>),
    /// A command inside a guest, which is not a task.
    Exec(tools::agent::ExecTicket),
}

/// A Proxmox task, and what to say when it has ended well.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TaskTicket {
    pub(crate) upid: Upid,
    pub(crate) report: Report,
    pub(crate) finish: Finish,
    /// How many looks in a row said nothing of it.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(crate) gaps: u32,
}

/// A guest that Proxmox has accepted to change, and what to say when it has.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct GuestTicket {
    pub(crate) report: Report,
    pub(crate) expected: Expected,
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// What to look up when the task has ended well.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Finish {
    /// Nothing.
    Plain,
    /// The backup that a vzdump task has made, from its log.
    Backup,
    /// Whether the guest has reached a state: the task ends before it has.
    Guest(Expected),
}

impl Finish {
    /// What the end of a task of any kind leaves to look up.
    pub(crate) fn of(upid: &Upid) -> Self {
        match (upid.kind(), upid.id().parse()) {
            ("vzdump", _) => Self::Backup,
            (kind, Ok(vmid)) => {
                Expected::of_ha_task(kind, vmid, upid.started()).map_or(Self::Plain, Self::Guest)
            }
            _ => Self::Plain,
        }
    }
}

impl Ticket {
    /// The text that goes to the host.
    pub(crate) fn encode(&self) -> Result<String> {
        serde_json::to_string(self)
            .map_err(|error| Error::Internal(format!("a ticket cannot be written: {error}")))
    }

    /// Reads a ticket. Anyone may have written it.
    pub(crate) fn decode(text: &str) -> Result<Self> {
        serde_json::from_str(text).map_err(|_| {
            Error::argument(
                "ticket",
                "is not a ticket from this component; pass it back unchanged",
            )
        })
    }

    /// One look, without waiting.
    pub(crate) fn resume(self, pve: &Pve) -> Result<Outcome> {
        match self {
            Self::Task(task) => task.resume(pve),
            Self::Guest(guest) => guest.resume(pve),
            Self::Exec(exec) => exec.resume(pve),
        }
    }

    /// Asks Proxmox to stop the task.
    pub(crate) fn cancel(self, pve: &Pve) -> Result<Finished> {
        match self {
            Self::Task(task) => {
                stop(pve, &task.upid)?;
                let report = Report::done(format!("stop the task: {}", task.report.action));
                let text = report.text();
                Finished::new(&report, text)
            }
            Self::Guest(guest) => Err(Error::Conflict(format!(
                "{}: Proxmox has accepted the request, and no task is left that could be stopped",
                guest.report.action
            ))),
            Self::Exec(_) => Err(Error::Conflict(
                "a command inside a guest cannot be stopped from outside: end it in the guest"
                    .into(),
            )),
        }
    }
}

/// Asks Proxmox to stop a task.
pub(crate) fn stop(pve: &Pve, upid: &Upid) -> Result<(), Failure> {
    pve.delete(
        &Removable::Task {
            node: upid.node(),
            upid: upid.as_str(),
        },
        &Params::new(),
    )
}

impl TaskTicket {
    /// A task that has just been started.
    pub(crate) fn new(upid: Upid, report: Report, finish: Finish) -> Self {
        Self {
            upid,
            report,
            finish,
            gaps: 0,
        }
    }

    fn resume(mut self, pve: &Pve) -> Result<Outcome> {
        let status = match TaskStatus::read(pve, &self.upid) {
            Ok(status) => status,
            Err(failure) => return self.out_of_sight(failure),
        };
        self.gaps = 0;
        if status.exit().is_none() {
            return self.still_running(pve);
        }
        match self.ended(pve, &status)? {
            Reply::Done(report, text) => Ok(Outcome::Done(Finished::new(&report, text)?)),
            Reply::Running(ticket, ..) => ticket.resume(pve),
        }
    }

    /// What a task that has ended, well or not, comes to; where its guest
    /// changes later, that remains to be followed.
    pub(crate) fn ended(self, pve: &Pve, status: &TaskStatus) -> Result<Reply<Report>> {
        let exit = status.exit().unwrap_or_default();
        // The log is optional: the exit status says how the task ended.
        let lines = TaskLog::tail(pve, &self.upid, TAIL_LINES)
            .map(|log| log.lines)
            .unwrap_or_default();
        if !status.is_ok() {
            return Err(failed(&self.report.action, &self.upid, exit, lines));
        }
        let mut report = self.report;
        report.upid = Some(self.upid.to_string());
        report
            .node
            .get_or_insert_with(|| self.upid.node().to_owned());
        report.status = Status::Done;
        report.duration_seconds = status.duration_seconds();
        if exit.starts_with("WARNINGS") {
            report.status = Status::DoneWithWarnings;
            report.warnings.extend(
                lines
                    .iter()
                    .filter(|line| is_warning(line))
                    .map(|line| text::cut(line, LINE_LENGTH)),
            );
            if report.warnings.is_empty() {
                report.warnings.push(exit.to_owned());
            }
        }
        match self.finish {
            Finish::Plain => Ok(Reply::report(report)),
            Finish::Backup => {
                report.volid = tools::backups::archive_of(pve, &self.upid)?;
                Ok(Reply::report(report))
            }
            Finish::Guest(expected) => {
                let interim = expected.interim(&report);
                let text = interim.text();
                let ticket = Ticket::Guest(Box::new(GuestTicket {
                    report,
                    expected: expected.due(),
                }));
                Ok(Reply::Running(ticket, interim, text))
            }
        }
    }

    fn still_running(self, pve: &Pve) -> Result<Outcome> {
        let lines = TaskLog::tail(pve, &self.upid, TAIL_LINES)
            .map(|log| log.lines)
            .unwrap_or_default();
        let progress = lines.iter().rev().find_map(|line| percentage(line));
        let mut message = self.report.action.clone();
        if let Some(progress) = progress {
            message.push_str(&format!(": {:.0}%", progress * 100.0));
        } else if let Some(line) = lines.last() {
            message.push_str(&format!(": {}", text::cut(line, 120)));
        }
        self.running(message, progress)
    }

    /// A look that said nothing of the task. The task runs on, so it is looked
    /// at again; how often is bounded, except where Proxmox is just away.
    fn out_of_sight(mut self, failure: Failure) -> Result<Outcome> {
        let most = if failure.was_not_sent() {
            0
        } else if failure.may_pass() {
            MOST_GAPS
        } else {
            MOST_REFUSALS
        };
        if !failure.is_outage() {
            self.gaps = self.gaps.saturating_add(1);
            if self.gaps > most {
                return Err(accepted(&self.report.action, &self.upid, failure.into()));
            }
        }
        let message = format!(
            "{}: Proxmox does not say how the task is doing at the moment; it may still be running",
            self.report.action
        );
        let Outcome::Running(running) = self.running(message, None)? else {
            return Err(Error::Internal(
                "a task that is followed has no ticket".into(),
            ));
        };
        Ok(Outcome::Running(Running {
            retry_after_ms: GAP_PAUSE_MS,
            ..running
        }))
    }

    fn running(self, message: String, progress: Option<f32>) -> Result<Outcome> {
        let interim = match &self.finish {
            Finish::Guest(expected) if expected.is_by_ha() => {
                expected.interim(&self.report.of_task(&self.upid))
            }
            Finish::Guest(_) | Finish::Plain | Finish::Backup => self.report.running(&self.upid),
        };
        let text = message.clone();
        Ok(Outcome::Running(Running {
            ticket: Ticket::Task(Box::new(self)),
            message,
            progress,
            retry_after_ms: 1_000,
            interim: Finished::new(&interim, text)?,
        }))
    }
}

impl GuestTicket {
    /// Looks whether the guest has reached the state that was asked for.
    fn resume(self, pve: &Pve) -> Result<Outcome> {
        let report = self.report;
        let expected = self.expected.due();
        let now = match expected.look(pve) {
            Ok(Progress::Reached(guest)) => {
                let report = report.on(&guest);
                let text = report.text();
                return Ok(Outcome::Done(Finished::new(&report, text)?));
            }
            Ok(Progress::Now(now)) => now,
            // It will not get there.
            Err(error @ Error::Conflict(_)) => return Err(error),
            Err(error) if expected.is_over() => {
                return Err(match report.upid.as_deref().map(str::parse) {
                    Some(Ok(upid)) => accepted(&report.action, &upid, error),
                    _ => unseen(&report.action, error),
                });
            }
            // One look that failed says nothing of the guest.
            Err(_) => "out of sight".to_owned(),
        };
        let waiting = expected.waiting(&report, &now);
        let text = waiting.text();
        if expected.is_over() {
            return Ok(Outcome::Done(Finished::new(&waiting, text)?));
        }
        Ok(Outcome::Running(Running {
            message: format!("{}: the guest is still {now}", report.action),
            progress: None,
            retry_after_ms: 1_000,
            interim: Finished::new(&waiting, text)?,
            ticket: Ticket::Guest(Box::new(Self { report, expected })),
        }))
    }
}

/// The error of losing sight of a task: what was asked for has been accepted,
/// so it must not be asked for again.
fn accepted(action: &str, upid: &Upid, error: Error) -> Error {
    let wait = name_of::<tools::tasks::WaitTask>();
    told_of(
        format!(
            "{action}: Proxmox accepted the request as task {upid}, but how the task is doing cannot \
             be read ({}): follow it with {wait} upid={upid}; do not repeat the call",
            error.message()
        ),
        error,
    )
}

/// The same where there is no task.
fn unseen(action: &str, error: Error) -> Error {
    let get = name_of::<tools::guests::GetGuest>();
    told_of(
        format!(
            "{action}: Proxmox accepted the request, but the state of the guest cannot be read \
             ({}): look with {get} whether it has changed; do not repeat the call before that",
            error.message()
        ),
        error,
    )
}

/// An error of the same kind with another message, as far as the kind is one of
/// reading.
fn told_of(message: String, error: Error) -> Error {
    match error {
        Error::Denied(_) => Error::Denied(message),
        Error::Unauthorized(_) => Error::Unauthorized(message),
        Error::NotFound(_) => Error::NotFound(message),
        _ => Error::Unreachable(message),
    }
}

/// The error of a failed task, with what to do where its words are known.
pub(crate) fn failed(action: &str, upid: &Upid, exit: &str, log_tail: Vec<String>) -> Error {
    // A backup job's status alone names no cause.
    let exit = match log_tail
        .iter()
        .find_map(|line| line.strip_prefix("ERROR: Backup of "))
    {
        Some(why) if exit == "job errors" => &format!("{exit}: backup of {why}"),
        _ => exit,
    };
    let exit = &text::cut(exit, EXIT_LENGTH);
    let log_tail = log_tail
        .iter()
        .map(|line| text::cut(line, LINE_LENGTH))
        .collect();
    let message = if is_unknown_exit(exit) {
        format!(
            "{action}: the task has ended, and Proxmox does not know how ({exit}), as when its \
             node lost power or the task was killed: check what it has done before you repeat it"
        )
    } else {
        format!("{action} failed: {exit}{}", hint(exit))
    };
    Error::FailedTask(FailedTask {
        message,
        upid: upid.to_string(),
        exit_status: exit.to_owned(),
        log_tail,
    })
}

fn hint(exit: &str) -> String {
    let exit = exit.to_ascii_lowercase();
    let says = |text: &str| exit.contains(text);
    if says("is locked") || says("can't lock file") {
        "; another task is using the guest, or left its lock behind: wait for that task; if none is \
         running, unlock the guest on its node with qm unlock or pct unlock"
            .into()
    } else if says("got timeout") && says("powerdown") {
        format!(
            "; the guest did not shut down in time: give it longer, install its guest agent or ACPI \
             support, or switch it off with mode hard of {}",
            name_of::<tools::power::StopGuest>()
        )
    } else if says("interrupted by signal") || says("received interrupt") {
        "; the task was stopped from outside".into()
    } else if says("no space left") || says("not enough free space") {
        "; the storage is full: choose another or make room".into()
    } else if says("bridge '") && says("does not exist") {
        "; the node has no such bridge: create it there, or give the network card another bridge"
            .into()
    } else if says("storage '")
        && (says("is not online") || says("not available") || says("does not exist"))
    {
        format!(
            "; the node cannot use this storage: {} shows which are active",
            name_of::<tools::storage::ListStorage>()
        )
    } else if says("volume '") && says("does not exist") {
        format!(
            "; a disk or image that the guest refers to is missing: {} shows what the storage holds",
            name_of::<tools::storage::ListStorageContent>()
        )
    } else if says("cannot allocate memory") || says("not enough memory") {
        "; the node has too little free memory: stop another guest, or give this one less".into()
    } else if says("snapshot feature is not available") {
        "; the storage of one of its volumes does not support it: LXC snapshots need ZFS, LVM-thin, \
         Ceph RBD or Btrfs"
            .into()
    } else if says("checksum mismatch") {
        "; the file was discarded: check the checksum, its algorithm and the address".into()
    } else {
        "; see the last lines of its log".into()
    }
}

fn is_warning(line: &str) -> bool {
    let line = line.trim_start().to_ascii_lowercase();
    line.starts_with("warn") || line.contains("warning:") || line.contains("warn:")
}

/// The percentage in a log line, from 0 to 1: "transferred 1.2 GiB of
/// 32.0 GiB (3.75%)", "INFO:  12% (…)".
fn percentage(line: &str) -> Option<f32> {
    let before = line.split_once('%')?.0;
    let start = before
        .rfind(|c: char| !(c.is_ascii_digit() || c == '.'))
        .map_or(0, |index| index + 1);
    let percent: f32 = before.get(start..)?.parse().ok()?;
    (0.0..=100.0).contains(&percent).then_some(percent / 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pve::Script;
    use crate::settings::Settings;
    use proptest::prelude::*;

    #[test]
    fn progress_of_real_lines() {
        assert_eq!(
            percentage("transferred 1.2 GiB of 32.0 GiB (3.75%)"),
            Some(0.0375)
        );
        assert_eq!(
            percentage("INFO:  12% (1.1 GiB of 9.0 GiB) in 3s"),
            Some(0.12)
        );
        assert_eq!(percentage("create full clone of drive scsi0"), None);
        assert_eq!(percentage("250% of nothing"), None);
    }

    #[test]
    fn round_trip() {
        let ticket = Ticket::Task(Box::new(TaskTicket {
            upid: "UPID:pve1:0000011D:000BED85:6B02AFAA:qmstart:100:root@pam!full:"
                .parse()
                .unwrap(),
            report: Report::done("start qemu guest 100"),
            finish: Finish::Plain,
            gaps: 2,
        }));
        assert_eq!(Ticket::decode(&ticket.encode().unwrap()).unwrap(), ticket);
    }

    /// Looks at a started task as often as it is followed, with one answer each
    /// time.
    fn follow(answer: &str, looks: usize) -> Result<Outcome> {
        let mut ticket = Ticket::Task(Box::new(TaskTicket::new(
            "UPID:pve1:0000011D:000BED85:6B02AFAA:qmstart:100:root@pam!full:"
                .parse()
                .unwrap(),
            Report::done("start qemu guest 100"),
            Finish::Plain,
        )));
        for _ in 0..looks {
            // A read is tried a few times where Proxmox is just away.
            let script = Script::new(vec![answer.as_bytes().to_vec(); 3]);
            let settings = Settings::sample();
            match ticket.resume(&Pve::scripted(settings, script))? {
                Outcome::Running(running) => ticket = running.ticket,
                done @ Outcome::Done(_) => return Ok(done),
            }
        }
        ticket.encode().and_then(|text| Ticket::decode(&text))?;
        Ok(Outcome::Done(Finished::new(&"followed", String::new())?))
    }

    #[test]
    fn odd_looks_at_a_task_are_gaps_up_to_a_bound() {
        const PAGE: &str = "<html>a proxy</html>";
        for answer in [
            "200 OK\n{\"data\":null}".to_owned(),
            "200 OK\n".to_owned(),
            format!("200 OK\n{PAGE}"),
            "500 got timeout\n".to_owned(),
            format!("401 Unauthorized\n{PAGE}"),
            format!("403 Forbidden\n{PAGE}"),
            "595 No route to host\n".to_owned(),
            "596 Connection timed out\n".to_owned(),
        ] {
            assert!(follow(&answer, MOST_GAPS as usize).is_ok(), "{answer}");
            let message = follow(&answer, 1 + MOST_GAPS as usize)
                .unwrap_err()
                .message();
            for says in [
                "accepted the request as task UPID:pve1:",
                "wait_task upid=UPID:pve1:",
                "do not repeat the call",
            ] {
                assert!(message.contains(says), "{message}");
            }
        }
        for answer in ["502 Bad Gateway\n", "503 \n", "595 Connection refused\n"] {
            assert!(follow(answer, 3 * MOST_GAPS as usize).is_ok(), "{answer}");
        }
        for refusal in [
            "403 Permission check failed (/nodes/pve1, Sys.Audit)\n",
            "400 x\n{\"errors\":{\"upid\":\"no such task\"}}",
        ] {
            assert!(follow(refusal, MOST_REFUSALS as usize).is_ok(), "{refusal}");
            let error = follow(refusal, 1 + MOST_REFUSALS as usize).unwrap_err();
            assert!(error.message().contains("do not repeat"), "{error:?}");
        }
    }

    #[test]
    fn a_task_that_ended_without_a_word_is_not_said_to_have_failed() {
        let answer = "200 OK\n{\"data\":{\"status\":\"stopped\"}}";
        let message = follow(answer, 1).unwrap_err().message();
        assert!(message.contains("does not know how"), "{message}");
        assert!(!message.contains("failed"), "{message}");
    }

    proptest! {
        #[test]
        fn garbage_is_refused(text in any::<String>()) {
            prop_assert!(Ticket::decode(&text).is_err());
        }
    }

    #[test]
    fn forged_paths_are_refused() {
        let forged = r#"{"task":{"upid":"UPID:../..:0000011D:000BED85:6B02AFAA:x:1:a@b:","report":{"action":"","status":"done"},"finish":"plain"}}"#;
        assert!(Ticket::decode(forged).is_err());
    }
}
