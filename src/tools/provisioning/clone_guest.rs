//! `clone_guest`: makes a new guest of a template, a guest or a snapshot.

use pve_api::calls;
use schemars::JsonSchema;

use crate::error::{Error, Problem, Result};
use crate::json::DeserializeFields;
use crate::pve::{
    Content, ErrorResponse, Failure, Format, Guest, GuestConfig, GuestState, GuestType, NotMade,
    Params, Pve, Started, Vmid, check_node_name, choose, choose_node, guests, with_free_vmid,
};
use crate::tool::declared::{Calls, FOLLOW_TASK, LOOK_UP};
use crate::tool::report::Report;
use crate::tool::{Reply, Run};
use crate::tool_names;
use crate::tools::cloudinit::address::NicAddress;

/// A clone of a guest or template.
#[derive(Debug, DeserializeFields, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CloneGuest {
    /// Guest or template to clone; or give source_name.
    pub(super) vmid: Option<Vmid>,
    /// Its name, instead of vmid.
    #[schemars(length(min = 1))]
    pub(super) source_name: Option<String>,
    /// Default: the next free one.
    new_vmid: Option<Vmid>,
    /// Name of the clone, a DNS name.
    name: Option<String>,
    /// True: independent copy. False: linked to the template's disks. Default: linked for a template, otherwise full.
    full: Option<bool>,
    /// Clone this snapshot instead of the current state.
    snapshot: Option<String>,
    /// Default: the source's node. Others need shared storage.
    target_node: Option<String>,
    /// Storage of a full clone's disks. Default: the source's.
    storage: Option<String>,
    /// Pool to put the clone in.
    pool: Option<String>,
    /// Notes on the clone.
    description: Option<String>,
    /// False: do not follow the task.
    wait: Option<bool>,
}

impl Run for CloneGuest {
    type Output = Report;

    const CALLS: &'static [Calls] = &[
        Calls::All(LOOK_UP),
        Calls::All(FOLLOW_TASK),
        Calls::One(&calls::cluster::NEXT_ID),
        Calls::Guest(&calls::guests::CLONE),
        Calls::Guest(&calls::guests::CONFIG),
        Calls::Guest(&calls::guests::LIST),
        Calls::Guest(&calls::guests::STATUS),
        Calls::One(&calls::nodes::LIST),
        Calls::One(&calls::storage::LIST),
    ];
    const OTHER_NAMES: &'static [(&'static str, &'static str)] = &[
        ("newid", "new_vmid"),
        ("target", "target_node"),
        ("snapname", "snapshot"),
    ];

    fn run(self, pve: &Pve) -> Result<Reply<Report>> {
        self.check()?;
        let mut all = guests(pve)?;
        let unread = self.complete(pve, &mut all);
        let source = self.source(pve, &all).map_err(|error| match error {
            Error::NotFound(message) if !unread.is_empty() => {
                Error::NotFound(format!("{message}; {}", unread.join("; ")))
            }
            error => error,
        })?;
        source.reachable(pve)?;
        if let Some(taken) = all.iter().find(|guest| Some(guest.vmid) == self.new_vmid) {
            return Err(Error::Conflict(format!(
                "new_vmid is taken by {}: choose another, or leave it out for the next free one",
                taken.label()
            )));
        }
        let target = self.target_node.as_deref();
        if target.is_some() {
            choose_node(pve, "target_node", target)?;
        }
        if let Some(storage) = &self.storage {
            let node = target.unwrap_or(&source.node);
            let chosen = choose(pve, node, Content::of_disks(source.kind), Some(storage))?;
            if node != source.node && !chosen.shared.0 {
                return Err(Error::Conflict(format!(
                    "storage {storage} is not shared, and a clone on another node needs one that \
                     is: clone on node {} and migrate the clone, or give a shared storage",
                    source.node
                )));
            }
        }
        let (mut source, (state, config)) = source.retry_if_moved(pve, |guest| {
            let config = match &self.snapshot {
                Some(name) => GuestConfig::of_snapshot(pve, guest, name)?,
                None => GuestConfig::read(pve, guest)?,
            };
            Ok((guest.state(pve)?, config))
        })?;
        // The list that it was found in lags behind, and a template stays one.
        source.template.0 |= state.template.0 || config.flag("template") == Some(true);
        let full = self.full.unwrap_or(!source.template.0);
        self.check_against(&source, full)?;
        self.check_state(&source, &state, full)?;
        let (source, vmid, started) = self.start(pve, source, full)?;
        self.report(&source, &state, &config, full, vmid)
            .started(&started, self.wait)
    }
}

impl CloneGuest {
    /// Checks what needs no request.
    fn check(&self) -> Result<()> {
        if self.vmid.is_some() == self.source_name.is_some() {
            return Err(Error::InvalidArguments(vec![Problem {
                pointer: "/vmid".into(),
                message: "must be given, or source_name instead of it: exactly one of the two"
                    .into(),
            }]));
        }
        Format::DnsName.check_opt("name", self.name.as_deref())?;
        Format::ConfigId.check_opt("snapshot", self.snapshot.as_deref())?;
        check_node_name("target_node", self.target_node.as_deref())?;
        Format::Storage.check_opt("storage", self.storage.as_deref())?;
        Format::Pool.check_opt("pool", self.pool.as_deref())?;
        if self.full == Some(false) && self.storage.is_some() {
            return Err(Error::argument(
                "storage",
                "must be left out for a linked clone, whose disks stay on the template's storage: \
                 leave it out, or set full to true",
            ));
        }
        Ok(())
    }

    /// Refuses what Proxmox would refuse because of the guest's type and configuration.
    fn check_against(&self, source: &Guest, full: bool) -> Result<()> {
        if !full && !source.template.0 {
            return Err(Error::Conflict(format!(
                "{} is not a template, and only a template's disks can be linked to: set full to \
                 true, or leave it out",
                source.label()
            )));
        }
        if !full && self.storage.is_some() {
            return Err(Error::argument(
                "storage",
                "needs full set to true: the source is a template, whose clones are linked by \
                 default, and a linked clone's disks stay on the template's storage",
            ));
        }
        Ok(())
    }

    /// Refuses what Proxmox would refuse because of the guest's current state.
    fn check_state(&self, source: &Guest, state: &GuestState, full: bool) -> Result<()> {
        state.unlocked(source)?;
        if source.kind == GuestType::Lxc && state.is_running() && full && self.snapshot.is_none() {
            return Err(Error::Conflict(format!(
                "{} is running, and a running container can be cloned from a snapshot only: give \
                 snapshot ({} lists them, {} makes one), or stop it first with {}",
                source.label(),
                tool_names::LIST_SNAPSHOTS,
                tool_names::CREATE_SNAPSHOT,
                tool_names::STOP_GUEST,
            )));
        }
        Ok(())
    }

    /// Sends the request.
    fn start(&self, pve: &Pve, source: Guest, full: bool) -> Result<(Guest, Vmid, Started)> {
        let (vmid, (guest, started)) = with_free_vmid(pve, self.new_vmid, |vmid| {
            let started = source.clone().retry_if_moved(pve, |guest| {
                let form = self.form(guest, full, vmid);
                match pve.send::<Started>(&guest.request(&calls::guests::CLONE), &form) {
                    Ok(started) => Ok(Ok(started)),
                    Err(Failure::Api(error)) if error.says("already exists") => {
                        Ok(Err(NotMade::Taken))
                    }
                    Err(Failure::Api(error)) if !error.is_missing_guest() => {
                        Err(refused(guest, error))
                    }
                    Err(failure) => Err(failure.into()),
                }
            });
            let (guest, started) = started?;
            Ok((guest, started?))
        })?;
        Ok((guest, vmid, started))
    }

    fn form(&self, source: &Guest, full: bool, vmid: Vmid) -> Params {
        let name = match source.kind {
            GuestType::Qemu => "name",
            GuestType::Lxc => "hostname",
        };
        Params::new()
            .set("newid", vmid)
            .opt(name, self.name.as_deref())
            .flag("full", full)
            .opt(
                "target",
                self.target_node
                    .as_ref()
                    .filter(|node| **node != source.node),
            )
            .opt("storage", self.storage.as_deref())
            .opt("pool", self.pool.as_deref())
            .opt("snapname", self.snapshot.as_deref())
            .opt("description", self.description.as_deref())
    }

    fn report(
        &self,
        source: &Guest,
        state: &GuestState,
        config: &GuestConfig,
        full: bool,
        vmid: Vmid,
    ) -> Report {
        let mut action = format!(
            "{} of {}{} to {vmid}",
            if full { "full clone" } else { "linked clone" },
            source.label(),
            self.snapshot
                .as_ref()
                .map_or_else(String::new, |name| format!(" at snapshot {name}")),
        );
        if let Some(name) = &self.name {
            action.push_str(&format!(" ({name})"));
        }
        let mut report = Report::done(action);
        report.vmid = Some(vmid);
        report.node = self
            .target_node
            .clone()
            .or_else(|| Some(source.node.clone()));
        if state.is_running() && self.snapshot.is_none() {
            report = report.warn(
                "the source was running: the copy's disks are as after a power cut, without what \
                 was in memory",
            );
        }
        let addresses = addresses(config);
        if !addresses.is_empty() {
            report = report.warn(format!(
                "the copy has the source's fixed address ({}): change it before both run",
                addresses.join(", ")
            ));
        }
        let start = tool_names::START_GUEST;
        report.next(if config.disks().iter().any(|disk| disk.cloud_init) {
            format!(
                "{} gives it a user, keys and addresses, {start} starts it",
                tool_names::SET_CLOUD_INIT
            )
        } else {
            format!("{start} starts it")
        })
    }
}

/// The fixed addresses that a clone takes over.
fn addresses(config: &GuestConfig) -> Vec<String> {
    config
        .nics()
        .into_iter()
        .flat_map(|nic| {
            // A VM's are cloud-init's, a container's are part of the card.
            let ip = NicAddress::of(config, &nic.id);
            [nic.ipv4.or(ip.ipv4), nic.ipv6.or(ip.ipv6)]
                .into_iter()
                .flatten()
                .filter(|address| address.contains('/'))
                .map(move |address| format!("{address} on {}", nic.id))
        })
        .collect()
}

/// Explains the refusals of a clone that the caller can act on.
fn refused(source: &Guest, error: Box<ErrorResponse>) -> Error {
    let label = source.label();
    let said = error.message.clone();
    if error.says("from a snapshot") {
        return Error::Conflict(format!(
            "{label} is running, and a running container can be cloned from a snapshot only: give \
             snapshot, or stop it first"
        ));
    }
    // Proxmox answers 403 for a pool that does not exist, to everyone.
    if error.says("pool") && error.says("does not exist") {
        return Error::NotFound(format!(
            "{label} was not cloned: {said}; leave pool out, or create the pool under Datacenter, \
             Permissions, Pools"
        ));
    }
    if error.says("local storage") || error.says("non-shared storage") {
        return Error::Conflict(format!(
            "{label} cannot be cloned to another node ({said}): its disks, and storage where \
             given, must be on shared storage; clone it on node {} and migrate the clone",
            source.node
        ));
    }
    if error.says("clone feature") || error.says("unable to clone") || error.says("can't clone") {
        return Error::Conflict(format!(
            "{label} cannot be cloned this way ({said}): try full set to {}, or another storage",
            error.says("linked")
        ));
    }
    Failure::Api(error).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn clone(arguments: Value) -> CloneGuest {
        serde_json::from_value(arguments).unwrap()
    }

    fn guest(kind: &str, status: &str, template: u8) -> Guest {
        serde_json::from_value(json!({"vmid": 100, "type": kind, "node": "pve1",
            "status": status, "name": "web", "template": template}))
        .unwrap()
    }

    #[test]
    fn the_name_is_the_hostname_of_a_container() {
        let clone = clone(json!({"vmid": 100, "name": "web02", "target_node": "pve1"}));
        let names = |kind| {
            clone
                .form(&guest(kind, "stopped", 0), true, Vmid::new(111).unwrap())
                .iter()
                .map(|(name, value)| format!("{name}={value}"))
                .collect::<Vec<_>>()
        };
        assert_eq!(names("qemu"), ["newid=111", "name=web02", "full=1"]);
        assert_eq!(names("lxc"), ["newid=111", "hostname=web02", "full=1"]);
    }

    #[test]
    fn refused_before_anything_is_sent() {
        for (arguments, name) in [
            (json!({}), "vmid"),
            (json!({"vmid": 100, "source_name": "a"}), "vmid"),
            (json!({"vmid": 100, "name": "web_02"}), "name"),
            (json!({"vmid": 100, "snapshot": "1st"}), "snapshot"),
            (json!({"vmid": 100, "pool": "a b"}), "pool"),
            (json!({"vmid": 100, "target_node": "../x"}), "target_node"),
            (
                json!({"vmid": 100, "full": false, "storage": "bulk"}),
                "storage",
            ),
        ] {
            let message = clone(arguments.clone()).check().unwrap_err().message();
            assert!(
                message.starts_with(&format!("{name}: ")),
                "{arguments}: {message}"
            );
        }
        assert!(clone(json!({"source_name": "tmpl"})).check().is_ok());
    }

    #[test]
    fn refused_for_what_the_source_is() {
        let plain = clone(json!({"vmid": 100}));
        assert!(
            plain
                .check_against(&guest("qemu", "running", 0), true)
                .is_ok()
        );
        assert!(
            plain
                .check_against(&guest("qemu", "stopped", 0), false)
                .is_err()
        );
        assert!(
            plain
                .check_against(&guest("qemu", "stopped", 1), false)
                .is_ok()
        );
        let state = |json| serde_json::from_value::<GuestState>(json).unwrap();
        let running = state(json!({"status": "running"}));
        let container = guest("lxc", "stopped", 0);
        let message = plain
            .check_state(&container, &running, true)
            .unwrap_err()
            .message();
        assert!(message.contains("from a snapshot only"));
        assert!(
            plain
                .check_state(&guest("qemu", "running", 0), &running, true)
                .is_ok()
        );
        assert!(
            clone(json!({"vmid": 100, "snapshot": "clean"}))
                .check_state(&container, &running, true)
                .is_ok()
        );
        let locked = state(json!({"status": "stopped", "lock": "backup"}));
        assert!(plain.check_state(&container, &locked, true).is_err());
    }

    #[test]
    fn fixed_addresses_are_warnings() {
        let config = GuestConfig::sample;
        assert_eq!(
            addresses(&config(
                GuestType::Lxc,
                json!({"net0": "name=eth0,ip=192.0.2.9/24,ip6=auto", "net1": "ip=dhcp"})
            )),
            ["192.0.2.9/24 on net0"]
        );
        assert_eq!(
            addresses(&config(
                GuestType::Qemu,
                json!({"net0": "virtio=BC:24:11:00:00:01,bridge=vmbr0",
                    "ipconfig0": "ip=192.0.2.50/24,gw=192.0.2.1", "ipconfig1": "ip=10.0.0.1/8"})
            )),
            ["192.0.2.50/24 on net0"]
        );
    }

    proptest! {
        /// A name that passes is one that Proxmox accepts.
        #[test]
        fn any_name(name in "\\PC{0,70}") {
            if clone(json!({"vmid": 100, "name": name})).check().is_ok() {
                let label = |part: &str| {
                    !part.is_empty()
                        && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
                        && !part.starts_with('-')
                        && !part.ends_with('-')
                };
                prop_assert!(name.split('.').all(label));
            }
        }
    }
}
