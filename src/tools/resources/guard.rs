//! Changes with `safe: true`: first a snapshot, then the change, then a check that
//! the guest still runs, answers and has an address.
//!
//! Only changes that a snapshot holds can be guarded: a guest's configuration and
//! its disks. The firewall is not part of a snapshot. Nothing is rolled back
//! automatically, because a rollback loses what the guest has written since.

use pve_api::calls;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::clock;
use crate::error::{Error, Result};
use crate::json::{DeserializeFields, SerializeFields};
use crate::pve::{Failure, Guest, Params, Pve, Started, Vmid};
use crate::tool::follow::{self, Seen, Wait};
use crate::tool::report::{Report, Status};
use crate::tool::ticket::{Pending, PendingTask};
use crate::tool::{Finished, Outcome, Reply};
use crate::tools::guests::{inside_interfaces, is_reachable};
use crate::{text, tool_names};

/// How long a guest may take to be well again, in seconds. A network card that is
/// replugged asks DHCP again, and an agent answers a little later.
const CHECK_SECONDS: u64 = 90;

/// How long after the change a guest without a problem is looked at again, in seconds.
const SETTLE_SECONDS: u64 = 5;

const PAUSE_MS: u32 = 2_000;

/// A tool whose changes can be guarded. The type is the tool's arguments, which the
/// ticket keeps until the snapshot is taken: they hold no secret.
pub(super) trait Guarded: Serialize + DeserializeOwned {
    /// The tool's name.
    const TOOL: &'static str;

    /// What it changes, in the snapshot's name.
    const PURPOSE: &'static str;

    fn vmid(&self) -> Vmid;

    /// Makes the change. A dry run refuses what the change would refuse and returns
    /// None where there is something to change.
    fn change(&self, pve: &Pve, is_dry: bool) -> Result<Option<Reply<Report>>>;
}

/// A guarded change under way.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Guard<T> {
    change: T,
    snapshot: String,
    before: Health,
    step: Step,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Step {
    Snapshot(Box<PendingTask>),
    Change(Box<PendingTask>),
    Check {
        report: Box<Report>,
        /// When a guest without a problem counts as well, in seconds since 1970: what
        /// it reports at once may be older than the change.
        from: u64,
        /// When a problem counts as one that stays.
        until: u64,
    },
}

/// How a guest is, as far as it can be seen from outside.
#[derive(Debug, Clone, PartialEq, SerializeFields, DeserializeFields)]
#[serde(deny_unknown_fields)]
struct Health {
    runs: bool,
    /// The agent of a VM, or the node of a container, reports its interfaces.
    answers: bool,
    /// Without loopback and link-local ones.
    addresses: Vec<String>,
}

/// Makes a change, guarded if `safe` is set.
pub(super) fn run<T: Guarded>(safe: Option<bool>, change: T, pve: &Pve) -> Result<Reply<Report>> {
    if safe == Some(true) {
        return begin(change, pve);
    }
    change.change(pve, false)?.ok_or_else(not_made)
}

/// Begins with the snapshot, if there is something to change.
fn begin<T: Guarded>(change: T, pve: &Pve) -> Result<Reply<Report>> {
    if let Some(reply) = change.change(pve, true)? {
        return Ok(reply);
    }
    let snapshot = snapshot_name(T::PURPOSE, clock::now());
    let (guest, (before, started)) = Guest::with(pve, change.vmid(), |guest| {
        let before = Health::of(pve, guest)?;
        let purpose = format!(
            "Taken before a change by {}; {} rolls back to it.",
            T::TOOL,
            tool_names::ROLLBACK_SNAPSHOT
        );
        let started = take(pve, guest, &snapshot, &purpose)?;
        Ok((before, started))
    })?;
    let report = Report::done(format!("take snapshot {snapshot} of {}", guest.label()))
        .on(&guest)
        .snapshot(&snapshot);
    let Started::Task(upid) = started else {
        return Err(Error::Conflict(format!(
            "Proxmox returned no task for snapshot {snapshot} of {}, so nothing was changed: see \
             with {} whether it exists, then repeat the call",
            guest.label(),
            tool_names::LIST_SNAPSHOTS
        )));
    };
    let guard = Guard {
        change,
        snapshot,
        before,
        step: Step::Snapshot(Box::new(PendingTask::new(upid, report.clone(), None))),
    };
    let interim = guard.interim().unwrap_or(report);
    let text = interim.text();
    Ok(Reply::Running(Pending::own(&guard)?, interim, text))
}

/// `before_nic_20261127T110924Z`. Proxmox accepts at most 40 characters.
fn snapshot_name(purpose: &str, seconds: u64) -> String {
    let time = text::time(seconds).replace(['-', ':'], "");
    format!("before_{purpose}_{time}")
}

/// Starts to take a snapshot, whose name is new because the time is part of it.
fn take(pve: &Pve, guest: &Guest, name: &str, purpose: &str) -> Result<Started> {
    let state = guest.state(pve)?;
    state.unlocked(guest)?;
    if state.template.0 {
        return Err(Error::Conflict(format!(
            "{} is a template, which cannot have snapshots: leave safe out",
            guest.label()
        )));
    }
    let params = Params::new()
        .set("snapname", name)
        .set("description", purpose);
    Ok(pve.send(&guest.request(&calls::snapshots::CREATE), &params)?)
}

/// Looks once at what runs, and takes the next step if it has ended.
pub(super) fn resume<T: Guarded>(pve: &Pve, state: &str) -> Result<Outcome> {
    Pending::read::<Guard<T>>(state)?.advance(pve)
}

/// Stops the task that runs. A snapshot that is taken stays.
pub(super) fn cancel<T: Guarded>(pve: &Pve, state: &str) -> Result<Finished> {
    let guard: Guard<T> = Pending::read(state)?;
    let (Step::Snapshot(task) | Step::Change(task)) = guard.step else {
        return Err(Error::Conflict(format!(
            "the change is made, and no task is running that could be stopped; {}",
            way_back(&guard.snapshot)
        )));
    };
    follow::stop(pve, &task.upid)?;
    let report = Report::done(format!("stop the task: {}", task.report.action));
    let text = report.text();
    Finished::new(&report, text)
}

impl<T: Guarded> Guard<T> {
    fn advance(self, pve: &Pve) -> Result<Outcome> {
        let step = match self.step {
            Step::Snapshot(task) => match task.see(pve) {
                Ok(Seen::Ended(_)) => match self.change.change(pve, false) {
                    Ok(Some(reply)) => Self::changed(reply, &self.before)?,
                    Ok(None) => return Err(not_made()),
                    // A host looks at a ticket again where Proxmox did not answer, and
                    // what may have been changed would be changed twice.
                    Err(Error::Unreachable(message)) => {
                        let error = Error::Conflict(message);
                        return Err(error.context(&leftover(&self.snapshot)));
                    }
                    Err(error) => return Err(error.context(&leftover(&self.snapshot))),
                },
                Ok(Seen::Running { task, wait }) => {
                    let step = Step::Snapshot(task);
                    return Self { step, ..self }.runs(wait);
                }
                Err(error) => {
                    return Err(error.context(
                        "nothing was changed, because no snapshot could be taken: without safe, the \
                         change is made without one",
                    ));
                }
            },
            Step::Change(task) => match task.see(pve) {
                Ok(Seen::Ended(report)) => Self::checked(report, &self.before),
                Ok(Seen::Running { task, wait }) => {
                    let step = Step::Change(task);
                    return Self { step, ..self }.runs(wait);
                }
                Err(error) => return Err(error.context(&leftover(&self.snapshot))),
            },
            step @ Step::Check { .. } => step,
        };
        let guard = Self { step, ..self };
        match guard.interim() {
            // A step that has just begun.
            Some(interim) => guard.runs(Wait::new(interim.text(), 500)),
            None => guard.check(pve),
        }
    }

    /// A task that still runs.
    fn runs(self, wait: Wait) -> Result<Outcome> {
        let interim = self.interim().ok_or_else(not_made)?;
        let text = wait.message.clone();
        wait.outcome(Pending::own(&self)?, &interim, text)
    }

    /// Looks at the guest once the change is made.
    fn check(self, pve: &Pve) -> Result<Outcome> {
        let Step::Check {
            report,
            from,
            until,
        } = self.step
        else {
            return Err(Error::Internal("a check that is not one".into()));
        };
        let now = Guest::find(pve, self.change.vmid())
            .and_then(|guest| Ok(Health::of(pve, &guest)?))
            .map_err(|error| error.message());
        let problems = match &now {
            Ok(now) => self.before.problems(now),
            Err(error) => vec![format!("its state could not be read ({error})")],
        };
        let due = if problems.is_empty() { from } else { until };
        if clock::now() >= due {
            let now = now.unwrap_or_else(|_| self.before.clone());
            let report = self.before.verdict(*report, &now, problems, &self.snapshot);
            let text = report.text();
            return Ok(Outcome::Done(Finished::new(&report, text)?));
        }
        let now = match problems.is_empty() {
            true => "checking the guest".to_owned(),
            false => problems.join("; "),
        };
        let message = format!("{}: {now}", report.action);
        let interim =
            self.before
                .verdict((*report).clone(), &self.before, problems, &self.snapshot);
        let step = Step::Check {
            report,
            from,
            until,
        };
        let wait = Wait::new(message.clone(), PAUSE_MS);
        wait.outcome(Pending::own(&Self { step, ..self })?, &interim, message)
    }

    /// The step after the change was sent.
    fn changed(reply: Reply<Report>, before: &Health) -> Result<Step> {
        match reply {
            Reply::Done(report, _) | Reply::Listed(report, ..) => Ok(Self::checked(report, before)),
            Reply::Running(Pending::Task(task), ..) => Ok(Step::Change(task)),
            Reply::Running(..) => Err(Error::Internal("a change without a task".into())),
        }
    }

    fn checked(report: Report, before: &Health) -> Step {
        let now = clock::now();
        let takes_effect = !report.changes.iter().any(|change| change.waits_for_reboot);
        let settles = if before.runs && takes_effect {
            SETTLE_SECONDS
        } else {
            0
        };
        Step::Check {
            report: Box::new(report),
            from: now.saturating_add(settles),
            until: now.saturating_add(CHECK_SECONDS),
        }
    }

    /// What to answer a caller who stops waiting for a task; none once the change is made.
    fn interim(&self) -> Option<Report> {
        let (task, missing) = match &self.step {
            Step::Snapshot(task) => (
                task,
                format!(
                    "this call did not wait, so the change is not made: once snapshot {} is there, \
                     repeat the call without safe",
                    self.snapshot
                ),
            ),
            Step::Change(task) => (
                task,
                format!(
                    "this call did not wait, so the guest was not checked: {}",
                    way_back(&self.snapshot)
                ),
            ),
            Step::Check { .. } => return None,
        };
        let report = task.report.running(&task.upid);
        Some(report.snapshot(&self.snapshot).warn(missing))
    }
}

impl Health {
    fn of(pve: &Pve, guest: &Guest) -> Result<Self, Failure> {
        let runs = guest.state(pve)?.is_running();
        // A VM without an agent reports nothing.
        let reported = match runs {
            true => inside_interfaces(pve, guest).ok().flatten(),
            false => None,
        };
        Ok(Self {
            runs,
            answers: reported.is_some(),
            addresses: reported
                .unwrap_or_default()
                .into_iter()
                .flat_map(|interface| interface.addresses)
                .filter(|address| is_reachable(address))
                .collect(),
        })
    }

    /// What is worse now.
    fn problems(&self, now: &Self) -> Vec<String> {
        let mut problems = Vec::new();
        if self.runs && !now.runs {
            problems.push("it no longer runs".to_owned());
        } else if self.answers && !now.answers {
            problems.push("it no longer answers".to_owned());
        } else if !self.addresses.is_empty() && now.addresses.is_empty() {
            problems.push("it has no address any more".to_owned());
        }
        problems
    }

    /// The result of the change, with what was checked and how to go back.
    fn verdict(
        &self,
        mut report: Report,
        now: &Self,
        problems: Vec<String>,
        snapshot: &str,
    ) -> Report {
        let is_well = problems.is_empty();
        for problem in problems {
            report = report.warn(format!("after the change, {problem}"));
        }
        let lost: Vec<&str> = self
            .addresses
            .iter()
            .filter(|old| !now.addresses.contains(old))
            .map(String::as_str)
            .collect();
        if is_well && !lost.is_empty() {
            report = report.warn(format!(
                "its address was {} and is now {}",
                text::names(lost),
                text::names(now.addresses.iter().map(String::as_str))
            ));
        }
        let waits = report.changes.iter().any(|change| change.waits_for_reboot);
        let seen = match (is_well, waits, self) {
            (false, ..) => "the guest has a problem".to_owned(),
            (true, true, _) => "the change has not taken effect yet".to_owned(),
            (true, _, Self { runs: false, .. }) => {
                "the guest is stopped, so nothing could be checked".to_owned()
            }
            (true, _, Self { answers: false, .. }) => {
                "the guest runs; whether it can be reached is not known, as no guest agent answered \
                 before"
                    .to_owned()
            }
            (true, ..) if self.addresses.is_empty() => "the guest runs and answers".to_owned(),
            (true, ..) => "the guest runs, answers and has an address".to_owned(),
        };
        if report.status == Status::Done && !report.warnings.is_empty() {
            report.status = Status::DoneWithWarnings;
        }
        let then = report
            .next_step
            .take()
            .map_or_else(String::new, |step| format!("{step}; "));
        report.next_step = Some(format!("{then}{seen}: {}", way_back(snapshot)));
        report.snapshot(snapshot)
    }
}

fn not_made() -> Error {
    Error::Internal("a change that was not made".into())
}

fn way_back(snapshot: &str) -> String {
    format!(
        "{} with snapshot {snapshot} restores the earlier state and loses what was written since; {} removes the \
         snapshot once it is not needed",
        tool_names::ROLLBACK_SNAPSHOT,
        tool_names::DELETE_SNAPSHOT
    )
}

/// What a change that has failed leaves behind.
fn leftover(snapshot: &str) -> String {
    format!(
        "snapshot {snapshot} was taken first ({} removes it), but then the change failed",
        tool_names::DELETE_SNAPSHOT
    )
}

#[cfg(test)]
mod tests {
    use super::super::resize_disk::ResizeDisk;
    use super::super::set_guest_resources::SetGuestResources;
    use super::super::set_nic::SetNic;
    use super::*;
    use crate::pve::Format;

    fn health(runs: bool, answers: bool, addresses: &[&str]) -> Health {
        Health {
            runs,
            answers,
            addresses: addresses.iter().map(|one| (*one).to_owned()).collect(),
        }
    }

    #[test]
    fn a_snapshot_is_named_after_its_purpose() {
        assert_eq!(
            snapshot_name("nic", 1_795_777_764),
            "before_nic_20261127T110924Z"
        );
        for purpose in [
            SetNic::PURPOSE,
            ResizeDisk::PURPOSE,
            SetGuestResources::PURPOSE,
        ] {
            let name = snapshot_name(purpose, clock::now());
            assert!(name.len() <= 40, "{name}");
            assert_eq!(Format::ConfigId.check("snapshot", &name), Ok(()), "{name}");
        }
    }

    #[test]
    fn what_got_worse_is_a_problem() {
        let well = health(true, true, &["192.0.2.9"]);
        for (before, now, problem) in [
            (&well, health(true, true, &["192.0.2.9"]), None),
            (&well, health(true, true, &["192.0.2.10"]), None),
            (
                &well,
                health(true, true, &[]),
                Some("it has no address any more"),
            ),
            (
                &well,
                health(true, false, &[]),
                Some("it no longer answers"),
            ),
            (&well, health(false, false, &[]), Some("it no longer runs")),
            (&health(true, false, &[]), health(true, false, &[]), None),
            (&health(false, false, &[]), health(false, false, &[]), None),
        ] {
            let problems = before.problems(&now);
            assert_eq!(problems.first().map(String::as_str), problem, "{now:?}");
        }
    }

    #[test]
    fn a_result_says_what_was_checked_and_how_to_go_back() {
        let well = health(true, true, &["192.0.2.9"]);
        let report = || Report::done("change net0 of qemu guest 100");
        let says = |before: &Health, now: &Health, report: Report| {
            let report = before.verdict(report, now, before.problems(now), "before_x");
            assert_eq!(report.snapshot.as_deref(), Some("before_x"));
            let next = report.next_step.unwrap_or_default();
            assert!(
                next.contains("rollback_snapshot with snapshot before_x"),
                "{next}"
            );
            (report.status, report.warnings.join("; "), next)
        };
        let (status, warnings, next) = says(&well, &well, report());
        assert_eq!((status, warnings.as_str()), (Status::Done, ""));
        assert!(
            next.starts_with("the guest runs, answers and has an address"),
            "{next}"
        );
        let (status, warnings, _) = says(&well, &health(true, true, &["192.0.2.10"]), report());
        assert_eq!(status, Status::DoneWithWarnings);
        assert_eq!(warnings, "its address was 192.0.2.9 and is now 192.0.2.10");
        let (status, warnings, next) = says(&well, &health(true, true, &[]), report());
        assert_eq!(status, Status::DoneWithWarnings);
        assert_eq!(warnings, "after the change, it has no address any more");
        assert!(next.starts_with("the guest has a problem"), "{next}");
        let stopped = health(false, false, &[]);
        let (_, _, next) = says(&stopped, &stopped, report());
        assert!(next.starts_with("the guest is stopped"), "{next}");
        let mut waits = report().change("memory", None::<String>, Some("8192"));
        waits.changes[0].waits_for_reboot = true;
        let (_, _, next) = says(&well, &well, waits.next("restart it"));
        assert!(
            next.starts_with("restart it; the change has not taken effect yet"),
            "{next}"
        );
    }
}
