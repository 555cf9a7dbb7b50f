//! Following what is still running: one look at a task or a guest for each
//! call, without waiting.

use pve_api::calls;

use super::expected::{Expected, Progress};
use super::failed_task::{LINE_LENGTH, accepted, failed, unseen};
use super::outcome::{Finished, Outcome, Reply, Running};
use super::report::{Report, Status};
use super::ticket::{self, Pending, PendingGuest, PendingTask};
use crate::error::{Error, Result};
use crate::pve::{At, Failure, Params, Pve, Started, TaskLog, TaskStatus, Upid};
use crate::text;

/// How many of a task's last log lines are read for its progress or its
/// failure.
const TAIL_LINES: u64 = 12;

/// How many looks in a row may fail to show a task before it is given up.
/// Outages of Proxmox do not count, as its services are restarted now and then.
const MOST_GAPS: u32 = 30;

/// The same where Proxmox itself refuses to answer.
const MOST_REFUSALS: u32 = 5;

/// How long to wait before the next look.
const PAUSE_MS: u32 = 1_000;

/// How long to wait after a look that failed.
const GAP_PAUSE_MS: u32 = 2_000;

/// Completes the report of a task that has ended well.
pub(crate) type Complete = fn(&Pve, &Upid, Report) -> Report;

/// What one look at something that was left running has shown.
pub(crate) enum Look {
    Ended(Report),
    Running {
        pending: Pending,
        /// What to report to a caller who does not wait.
        interim: Report,
        text: String,
        message: String,
        /// From 0 to 1, where it is known.
        progress: Option<f32>,
        retry_after_ms: u32,
    },
}

/// What one look at a task has shown that is one step of several.
pub(crate) enum Seen {
    Ended(Report),
    Running { task: Box<PendingTask>, wait: Wait },
}

/// What a host shows while it waits, and when it looks again.
pub(crate) struct Wait {
    pub(crate) message: String,
    /// From 0 to 1, where it is known.
    pub(crate) progress: Option<f32>,
    pub(crate) retry_after_ms: u32,
}

impl Wait {
    pub(crate) fn new(message: impl Into<String>, retry_after_ms: u32) -> Self {
        Self {
            message: message.into(),
            progress: None,
            retry_after_ms,
        }
    }

    /// What is still running, and what to answer a caller who does not wait for it.
    pub(crate) fn outcome(
        self,
        pending: Pending,
        interim: &Report,
        text: String,
    ) -> Result<Outcome> {
        Ok(Outcome::Running(Running {
            pending,
            message: self.message,
            progress: self.progress,
            retry_after_ms: self.retry_after_ms,
            interim: Finished::new(interim, text)?,
        }))
    }
}

impl Look {
    pub(crate) fn outcome(self) -> Result<Outcome> {
        Ok(match self {
            Self::Ended(report) => {
                let text = report.text();
                Outcome::Done(Finished::new(&report, text)?)
            }
            Self::Running {
                pending,
                interim,
                text,
                message,
                progress,
                retry_after_ms,
            } => Outcome::Running(Running {
                pending,
                message,
                progress,
                retry_after_ms,
                interim: Finished::new(&interim, text)?,
            }),
        })
    }
}

/// Whether a look also reads how far a running task is, which takes another request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Detail {
    Progress,
    StatusOnly,
}

impl Report {
    /// The reply of a call that has started a task: follows it, or with
    /// `wait: false` returns at once.
    pub(crate) fn started(self, started: &Started, wait: Option<bool>) -> Result<Reply<Self>> {
        self.started_until(started, wait, None)
    }

    /// As [`Self::started`], where the guest has to reach a state after its task
    /// has ended well.
    pub(crate) fn started_until(
        self,
        started: &Started,
        wait: Option<bool>,
        expected: Option<Expected>,
    ) -> Result<Reply<Self>> {
        let (interim, pending) = match (started, expected) {
            (Started::Task(upid), expected) => {
                let task = PendingTask::new(upid.clone(), self, expected);
                (task.interim(), Pending::Task(Box::new(task)))
            }
            // The guest itself shows whether it has happened.
            (Started::WithoutTask(_), Some(expected)) => PendingGuest::start(self, expected),
            (Started::WithoutTask(said), None) => {
                return Ok(Reply::report(self.without_task(said.as_deref())));
            }
        };
        let text = interim.text();
        Ok(if wait == Some(false) {
            Reply::Done(interim, text)
        } else {
            Reply::Running(pending, interim, text)
        })
    }
}

/// Asks Proxmox to stop a task.
pub(crate) fn stop(pve: &Pve, upid: &Upid) -> Result<(), Failure> {
    pve.send(
        &calls::nodes::STOP_TASK.at([upid.node(), upid.as_str()]),
        &Params::new(),
    )
}

impl Pending {
    /// Looks once at what was left running. `complete` is of the tool that started it.
    /// A tool that follows several of them calls this for each; what a tool follows on
    /// its own is not among them.
    pub(crate) fn look(self, pve: &Pve, complete: Complete, detail: Detail) -> Result<Look> {
        match self {
            Self::Task(task) => task.look(pve, complete, detail),
            Self::Guest(guest) => guest.look(pve),
            Self::Own(_) => Err(ticket::refused()),
        }
    }
}

impl PendingTask {
    /// A task that has just been started.
    pub(crate) fn new(upid: Upid, report: Report, expected: Option<Expected>) -> Self {
        Self {
            upid,
            report,
            expected,
            gaps: 0,
        }
    }

    /// Looks once at a task that a tool follows as one of its own steps.
    pub(crate) fn see(self, pve: &Pve) -> Result<Seen> {
        match self.look(pve, |_, _, report| report, Detail::Progress)? {
            Look::Ended(report) => Ok(Seen::Ended(report)),
            Look::Running {
                pending: Pending::Task(task),
                message,
                progress,
                retry_after_ms,
                ..
            } => Ok(Seen::Running {
                task,
                wait: Wait {
                    message,
                    progress,
                    retry_after_ms,
                },
            }),
            Look::Running { .. } => Err(Error::Internal("a task became something else".into())),
        }
    }

    fn look(mut self, pve: &Pve, complete: Complete, detail: Detail) -> Result<Look> {
        let status = match TaskStatus::read(pve, &self.upid) {
            Ok(status) => status,
            Err(failure) => return self.out_of_sight(failure),
        };
        self.gaps = 0;
        if status.exit().is_none() {
            return Ok(self.still_running(pve, detail));
        }
        let report = self.completed(pve, &status)?;
        let Some(expected) = self.expected else {
            return Ok(Look::Ended(complete(pve, &self.upid, report)));
        };
        PendingGuest { report, expected }.look(pve)
    }

    /// The reply to a task that has ended already: the error of one that has
    /// failed, or else its report. A guest that changes after its task is
    /// followed further.
    pub(crate) fn ended(
        mut self,
        pve: &Pve,
        status: &TaskStatus,
        complete: Complete,
    ) -> Result<Reply<Report>> {
        let report = self.completed(pve, status)?;
        let Some(expected) = self.expected.take() else {
            return Ok(Reply::report(complete(pve, &self.upid, report)));
        };
        let (interim, pending) = PendingGuest::start(report, expected);
        let text = interim.text();
        Ok(Reply::Running(pending, interim, text))
    }

    /// The report of a task that has ended well, with its duration and warnings.
    /// Fails with [`Error::FailedTask`] for one that has not.
    fn completed(&self, pve: &Pve, status: &TaskStatus) -> Result<Report> {
        let exit = status.exit().unwrap_or_default();
        // The log is optional: the exit status says how the task ended.
        let lines = TaskLog::tail(pve, &self.upid, TAIL_LINES)
            .map(|log| log.lines)
            .unwrap_or_default();
        if !status.is_ok() {
            return Err(failed(&self.report.action, &self.upid, exit, lines));
        }
        let mut report = self.report.clone();
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
        Ok(report)
    }

    fn still_running(self, pve: &Pve, detail: Detail) -> Look {
        let lines = match detail {
            Detail::Progress => TaskLog::tail(pve, &self.upid, TAIL_LINES)
                .map(|log| log.lines)
                .unwrap_or_default(),
            Detail::StatusOnly => Vec::new(),
        };
        let progress = lines.iter().rev().find_map(|line| percentage(line));
        let mut message = self.report.action.clone();
        if let Some(progress) = progress {
            message.push_str(&format!(": {:.0}%", progress * 100.0));
        } else if let Some(line) = lines.last() {
            message.push_str(&format!(": {}", text::cut(line, 120)));
        }
        self.running(message, progress, PAUSE_MS)
    }

    /// A look that said nothing of the task. The task runs on, so it is looked
    /// at again; how often is bounded, except where Proxmox is just away.
    fn out_of_sight(mut self, failure: Failure) -> Result<Look> {
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
            "{}: the task's status is not available at the moment; it may still be running",
            self.report.action
        );
        Ok(self.running(message, None, GAP_PAUSE_MS))
    }

    fn running(self, message: String, progress: Option<f32>, retry_after_ms: u32) -> Look {
        let interim = self.interim();
        Look::Running {
            pending: Pending::Task(Box::new(self)),
            interim,
            text: message.clone(),
            message,
            progress,
            retry_after_ms,
        }
    }

    /// Asks Proxmox to stop the task.
    pub(super) fn cancel(self, pve: &Pve) -> Result<Finished> {
        stop(pve, &self.upid)?;
        let report = Report::done(format!("stop the task: {}", self.report.action));
        let text = report.text();
        Finished::new(&report, text)
    }

    /// What to report while the task is running.
    fn interim(&self) -> Report {
        match &self.expected {
            // The end of its task does not show that the guest has changed.
            Some(expected) if expected.is_by_ha() => {
                expected.interim(&self.report.of_task(&self.upid))
            }
            Some(_) | None => self.report.running(&self.upid),
        }
    }
}

impl PendingGuest {
    /// What to report before the guest is looked at, and what to follow.
    fn start(report: Report, expected: Expected) -> (Report, Pending) {
        let interim = expected.interim(&report);
        let guest = Self {
            report,
            expected: expected.due(),
        };
        (interim, Pending::Guest(Box::new(guest)))
    }

    /// Why the change of a guest cannot be stopped.
    pub(super) fn not_stoppable(&self) -> Error {
        Error::Conflict(format!(
            "{}: Proxmox has accepted the request, and no task is left that could be stopped",
            self.report.action
        ))
    }

    /// Looks once whether the guest has reached the state that was asked for.
    fn look(self, pve: &Pve) -> Result<Look> {
        let report = self.report;
        let expected = self.expected.due();
        let now = match expected.look(pve) {
            Ok(Progress::Reached(guest)) => return Ok(Look::Ended(report.on(&guest))),
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
        if expected.is_over() {
            return Ok(Look::Ended(waiting));
        }
        Ok(Look::Running {
            text: waiting.text(),
            interim: waiting,
            message: format!("{}: the guest is still {now}", report.action),
            progress: None,
            retry_after_ms: PAUSE_MS,
            pending: Pending::Guest(Box::new(Self { report, expected })),
        })
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

    /// Looks at a started task as often as it is followed, with one answer each
    /// time.
    fn follow(answer: &str, looks: usize) -> Result<Outcome> {
        let mut task = PendingTask::new(
            "UPID:pve1:0000011D:000BED85:6B02AFAA:qmstart:100:root@pam!full:"
                .parse()
                .unwrap(),
            Report::done("start qemu guest 100"),
            None,
        );
        for _ in 0..looks {
            // A read is tried a few times where Proxmox is just away.
            let script = Script::new(vec![answer.as_bytes().to_vec(); 3]);
            let settings = Settings::sample();
            let pve = Pve::scripted(settings, script);
            let look = task.look(&pve, |_, _, report| report, Detail::Progress)?;
            match look.outcome()? {
                Outcome::Running(Running {
                    pending: Pending::Task(pending),
                    ..
                }) => task = *pending,
                other => return Ok(other),
            }
        }
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
}
