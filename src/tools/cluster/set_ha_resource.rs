//! `set_ha_resource`: puts a guest under high availability, or changes what its
//! manager does with it. It takes no guest out of it.

use pve_api::calls;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::error::{Error, Result};
use crate::json::DeserializeFields;
use crate::pve::{
    At, Flag, Guest, GuestConfig, GuestState, Num, Params, Pve, Started, Vmid, storage_resources,
};
use crate::tool::declared::{Calls, LOOK_UP};
use crate::tool::expected::{EndState, Expected};
use crate::tool::report::Report;
use crate::tool::{Reply, Run};
use crate::{text, tool_names};

/// What high availability does with a guest.
#[derive(Debug, DeserializeFields, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SetHaResource {
    vmid: Vmid,
    /// Default of a new one: as the guest is now. disabled clears the HA state error.
    state: Option<HaState>,
    /// Starts on its node after a failure.
    #[schemars(range(max = 10))]
    max_restart: Option<u32>,
    /// Moves to other nodes after that.
    #[schemars(range(max = 10))]
    max_relocate: Option<u32>,
    /// Whether it moves back to the node that a rule prefers.
    failback: Option<bool>,
    /// One line.
    #[schemars(length(max = 4096))]
    comment: Option<String>,
    /// False: do not wait until the guest has started or stopped.
    wait: Option<bool>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum HaState {
    Started,
    Stopped,
    Disabled,
    // Neither started nor recovered.
    Ignored,
}

impl HaState {
    fn as_str(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Stopped => "stopped",
            Self::Disabled => "disabled",
            Self::Ignored => "ignored",
        }
    }
}

/// A resource as it is configured. What is absent has its default.
#[derive(Debug, DeserializeFields)]
struct RawResource {
    sid: String,
    state: Option<String>,
    max_restart: Option<Num<u32>>,
    max_relocate: Option<Num<u32>>,
    failback: Option<Flag>,
    comment: Option<String>,
    digest: Option<String>,
}

/// How long HA may take to start or stop a guest.
const HA_SECONDS: u32 = 120;

impl Run for SetHaResource {
    type Output = Report;

    const CALLS: &'static [Calls] = &[
        Calls::All(LOOK_UP),
        Calls::Guest(&calls::guests::CONFIG),
        Calls::Guest(&calls::guests::STATUS),
        Calls::One(&calls::cluster::ADD_HA_RESOURCE),
        Calls::One(&calls::cluster::HA_RESOURCES),
        Calls::One(&calls::cluster::SET_HA_RESOURCE),
    ];

    fn run(self, pve: &Pve) -> Result<Reply<Report>> {
        let (guest, now) = Guest::with(pve, self.vmid, |guest| Ok(guest.state(pve)?))?;
        let resources: Vec<RawResource> =
            pve.send(&calls::cluster::HA_RESOURCES.at([]), &Params::new())?;
        let sid = guest.ha_id();
        match resources.iter().find(|resource| resource.sid == sid) {
            Some(resource) => self.change(pve, &guest, &now, resource),
            None => self.add(pve, &guest, &now),
        }
    }
}

impl SetHaResource {
    fn add(self, pve: &Pve, guest: &Guest, now: &GuestState) -> Result<Reply<Report>> {
        if self.state == Some(HaState::Disabled) {
            return Err(Error::argument(
                "state",
                format!(
                    "disabled clears the error of a guest under high availability, and {} is not \
                     under it: stopped keeps it off",
                    guest.label()
                ),
            ));
        }
        // Proxmox's default starts a guest that is stopped.
        let state = self.state.unwrap_or(if now.is_running() {
            HaState::Started
        } else {
            HaState::Stopped
        });
        let form = Params::new()
            .set("sid", guest.ha_id())
            .set("state", state.as_str())
            .opt("max_restart", self.max_restart)
            .opt("max_relocate", self.max_relocate)
            .opt_flag("failback", self.failback)
            .opt("comment", self.comment.as_deref());
        pve.send::<Option<()>>(&calls::cluster::ADD_HA_RESOURCE.at([]), &form)?;
        let action = format!("put {} under high availability", guest.label());
        let mut report =
            Report::done(action)
                .on(guest)
                .change("state", None::<&str>, Some(state.as_str()));
        if let Some(warning) = local_disks(pve, guest) {
            report = report.warn(warning);
        }
        self.followed(report, now, Some(state))
    }

    fn change(
        self,
        pve: &Pve,
        guest: &Guest,
        now: &GuestState,
        old: &RawResource,
    ) -> Result<Reply<Report>> {
        let action = format!("change high availability of {}", guest.label());
        let mut report = Report::done(&action).on(guest);
        let mut form = Params::new();
        let old_state = old.state.as_deref().unwrap_or("started");
        let state = self.state.filter(|state| state.as_str() != old_state);
        if state == Some(HaState::Disabled) {
            check_disabled(guest, now)?;
        }
        if let Some(state) = state {
            form = form.set("state", state.as_str());
            report = report.change("state", Some(old_state), Some(state.as_str()));
        }
        let one = |number: Option<Num<u32>>| number.map_or(1, |number| number.0);
        let restart = self.max_restart.filter(|new| *new != one(old.max_restart));
        if let Some(new) = restart {
            form = form.set("max_restart", new);
            let from = one(old.max_restart).to_string();
            report = report.change("max_restart", Some(from), Some(new.to_string()));
        }
        let relocate = self
            .max_relocate
            .filter(|new| *new != one(old.max_relocate));
        if let Some(new) = relocate {
            form = form.set("max_relocate", new);
            let from = one(old.max_relocate).to_string();
            report = report.change("max_relocate", Some(from), Some(new.to_string()));
        }
        let fails_back = old.failback.is_none_or(|flag| flag.0);
        if let Some(new) = self.failback.filter(|new| *new != fails_back) {
            form = form.flag("failback", new);
            let words = (fails_back.to_string(), new.to_string());
            report = report.change("failback", Some(words.0), Some(words.1));
        }
        if let Some(new) = self.comment.as_deref()
            && old.comment.as_deref() != Some(new)
        {
            form = form.set("comment", new);
            report = report.change("comment", old.comment.as_deref(), Some(new));
        }
        if form.is_empty() {
            return Ok(Reply::report(Report::unchanged(action).on(guest)));
        }
        let form = form.opt("digest", old.digest.as_deref());
        let request = calls::cluster::SET_HA_RESOURCE.at([&old.sid]);
        pve.send::<Option<()>>(&request, &form)?;
        self.followed(report, now, state)
    }

    /// Follows the guest if its manager starts or stops it.
    fn followed(
        self,
        report: Report,
        now: &GuestState,
        state: Option<HaState>,
    ) -> Result<Reply<Report>> {
        let end = match state {
            Some(HaState::Started) if !now.is_running() => EndState::Running,
            Some(HaState::Stopped) if now.is_running() => EndState::Stopped,
            // The state error lasts for another round of the HA manager.
            Some(HaState::Disabled) => return Ok(Reply::report(disabled(report, now))),
            _ => return Ok(Reply::report(report)),
        };
        let expected = Expected::by_ha(self.vmid, end, HA_SECONDS);
        report.started_until(&Started::WithoutTask(None), self.wait, Some(expected))
    }
}

fn disabled(report: Report, now: &GuestState) -> Report {
    let report = match now.is_running() {
        true => report.warn("it is running, and HA shuts it down while it is disabled"),
        false => report,
    };
    report.next(format!(
        "wait until {} no longer shows the state error (about 10 seconds), then set the state started",
        tool_names::GET_HA
    ))
}

/// HA stops a guest that is disabled, so only one that is off, or that HA has given up on.
fn check_disabled(guest: &Guest, now: &GuestState) -> Result<()> {
    if now.ha_state() == Some("error") || !now.is_running() {
        return Ok(());
    }
    Err(Error::argument(
        "state",
        format!(
            "disabled is for a guest in the HA state error, or one that is off, and {} is running: \
             stopped shuts it down, ignored leaves it alone",
            guest.label()
        ),
    ))
}

/// HA cannot start a guest on another node without its disks.
fn local_disks(pve: &Pve, guest: &Guest) -> Option<String> {
    let config = GuestConfig::read(pve, guest).ok()?;
    let storages = storage_resources(pve).ok()?;
    let is_local = |name: &str| {
        storages
            .iter()
            .any(|storage| storage.storage == name && !storage.shared.0)
    };
    let disks: Vec<String> = config
        .disks()
        .into_iter()
        .filter(|disk| disk.storage.as_deref().is_some_and(is_local))
        .map(|disk| disk.id)
        .collect();
    (!disks.is_empty()).then(|| {
        format!(
            "HA cannot start it on another node if this one fails, because disks are on local \
             storage: {}",
            text::names(disks.iter().map(String::as_str))
        )
    })
}
