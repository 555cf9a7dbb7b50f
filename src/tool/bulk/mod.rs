//! Tools that change one guest or several: the selection, the order, and one result for
//! each guest.
//!
//! Every guest gets its own requests, so the host judges each of them as it would in a
//! call about that guest alone. The bulk actions of Proxmox are not used: they select
//! guests themselves, and `startall` also clears the locks of guests that are backed up.
//!
//! All changes are begun by the call itself. A ticket could only be trusted with following
//! them, see [`super::ticket`]; so the call waits here for a while, and what it has not
//! begun by then is named in its result.

mod batch;
mod pace;
mod result;
mod selection;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;

pub(crate) use pace::Pace;
pub(crate) use result::Reports;
#[cfg(test)]
pub(crate) use selection::MOST_GUESTS;
pub(crate) use selection::{Selector, selector};

use self::batch::Batch;
use self::selection::Target;
use super::declared::{Calls, FOLLOW_TASK, LOOK_UP};
use super::definition::Run;
use super::expected::Expected;
use super::outcome::Reply;
use super::report::Report;
use crate::error::Result;
use crate::pve::{Guest, Pve, Started, Upid};
use pve_api::calls;

/// Finding guests by what selects them, reading their startup order, and following tasks.
pub(crate) const SELECT: &[Calls] = &[
    Calls::All(LOOK_UP),
    Calls::All(FOLLOW_TASK),
    Calls::One(&calls::access::POOLS),
    Calls::One(&calls::nodes::LIST),
    Calls::Guest(&calls::guests::LIST),
    Calls::Guest(&calls::guests::CONFIG),
];

/// What a tool does to a guest, of one or of several.
pub(crate) trait ChangeGuest {
    /// The guests that the call names.
    fn selector(&self) -> Selector<'_>;

    /// Checks the arguments before anything is sent.
    fn check(&self) -> Result<()> {
        Ok(())
    }

    /// False: the tasks are not followed.
    fn wait(&self) -> Option<bool> {
        None
    }

    /// What is done, in words that guests follow: `start`, `take snapshot x of`.
    fn verb(&self) -> String;

    /// In which order guests are changed, and how many at a time.
    fn pace(&self) -> Pace;

    /// Reads a guest, refuses what cannot work, and begins the change unless this is a
    /// preview.
    fn begin(&self, pve: &Pve, guest: &Guest, preview: bool) -> Result<Begun>;
}

/// How far the change of a guest is after its first requests.
#[derive(Debug)]
pub(crate) enum Begun {
    /// Nothing is left to follow.
    Ended(Report),
    /// Something was started. After its task, the guest is to reach the state.
    Started(Report, Started, Option<Expected>),
}

impl Begun {
    fn reply(self, wait: Option<bool>) -> Result<Reply<Report>> {
        match self {
            Self::Ended(report) => Ok(Reply::report(report)),
            Self::Started(report, started, expected) => {
                report.started_until(&started, wait, expected)
            }
        }
    }
}

/// A tool whose arguments are a change of guests. It is a [`Run`] through this trait.
pub(crate) trait OnGuests: ChangeGuest + DeserializeOwned + JsonSchema + 'static {
    /// As [`Run::CALLS`], without those of [`SELECT`].
    const CALLS: &'static [Calls];

    /// As [`Run::OTHER_NAMES`].
    const OTHER_NAMES: &'static [(&'static str, &'static str)] = &[];

    /// As [`Run::complete`].
    fn complete(_pve: &Pve, _upid: &Upid, report: Report) -> Report {
        report
    }
}

impl<T: OnGuests> Run for T {
    type Output = Reports;

    const CALLS: &'static [Calls] = &[Calls::All(SELECT), Calls::All(T::CALLS)];
    const OTHER_NAMES: &'static [(&'static str, &'static str)] = T::OTHER_NAMES;

    fn run(self, pve: &Pve) -> Result<Reply<Reports>> {
        run(pve, &self, <T as OnGuests>::complete)
    }

    fn complete(pve: &Pve, upid: &Upid, report: Report) -> Report {
        <T as OnGuests>::complete(pve, upid, report)
    }
}

fn run(
    pve: &Pve,
    change: &dyn ChangeGuest,
    complete: fn(&Pve, &Upid, Report) -> Report,
) -> Result<Reply<Reports>> {
    let selector = change.selector();
    let target = selector.target()?;
    change.check()?;
    let reply = match target {
        Target::One(vmid) => {
            let (_, begun) = Guest::with(pve, vmid, |guest| {
                change.begin(pve, guest, selector.preview)
            })?;
            begun.reply(change.wait())?
        }
        Target::Several => {
            let selected = selector.select(pve)?;
            let reports = Batch::new(pve, change, complete, selected).run()?;
            let text = reports.text();
            return Ok(Reply::Done(reports, text));
        }
    };
    Ok(reply.map(Reports::from))
}
