//! `set_guest_resources`: CPU and memory of a guest.

use pve_api::calls;
use schemars::JsonSchema;

use super::change::{DesiredSetting, Unit, differs, nothing_given, write};
use super::guard::{self, Guarded};
use crate::error::{Error, Result};
use crate::json::{DeserializeFields, SerializeFields};
use crate::pve::{Guest, GuestType, PendingConfig, Pve, Vmid, node_loads};
use crate::tool::declared::{Calls, GUARDED, LOOK_UP};
use crate::tool::report::Report;
use crate::tool::{Finished, Outcome, Reply, Run};
use crate::{text, tool_names};

/// Changes CPU and memory.
#[derive(Debug, SerializeFields, DeserializeFields, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SetGuestResources {
    vmid: Vmid,
    /// CPU cores; of a VM, per socket.
    #[schemars(range(min = 1, max = 8192))]
    cores: Option<u32>,
    /// CPU sockets; VMs only.
    #[schemars(range(min = 1, max = 8))]
    sockets: Option<u32>,
    /// CPU time, in cores: 1.5. 0: no limit.
    #[schemars(range(min = 0.0, max = 128.0))]
    cpu_limit: Option<f64>,
    /// Memory in MiB.
    #[schemars(range(min = 16, max = 16_777_216))]
    memory_mib: Option<u32>,
    /// VMs only: minimum memory under ballooning. 0: no ballooning.
    #[schemars(range(min = 0, max = 16_777_216))]
    min_memory_mib: Option<u32>,
    /// Swap in MiB; containers only.
    #[schemars(range(min = 0, max = 16_777_216))]
    swap_mib: Option<u32>,
    /// Even if a running container uses more than memory_mib.
    accept_low_memory: Option<bool>,
    /// Take a snapshot first, check the guest afterwards, report how to roll back.
    safe: Option<bool>,
}

impl Run for SetGuestResources {
    type Output = Report;

    const CALLS: &'static [Calls] = &[
        Calls::All(LOOK_UP),
        Calls::All(GUARDED),
        Calls::Guest(&calls::guests::PENDING),
        Calls::With(
            &calls::guests::SET_CONFIG.qemu,
            "cores|sockets|cpulimit|memory|balloon",
        ),
        Calls::With(&calls::guests::SET_CONFIG.lxc, "cores|cpulimit|memory|swap"),
        Calls::One(&calls::nodes::LIST),
    ];

    fn run(self, pve: &Pve) -> Result<Reply<Report>> {
        self.check()?;
        guard::run(self.safe, self, pve)
    }

    fn resume(pve: &Pve, state: &str) -> Result<Outcome> {
        guard::resume::<Self>(pve, state)
    }

    fn cancel(pve: &Pve, state: &str) -> Result<Finished> {
        guard::cancel::<Self>(pve, state)
    }
}

impl Guarded for SetGuestResources {
    const TOOL: &'static str = tool_names::SET_GUEST_RESOURCES;
    const PURPOSE: &'static str = "resources";

    fn vmid(&self) -> Vmid {
        self.vmid
    }

    fn change(&self, pve: &Pve, is_dry: bool) -> Result<Option<Reply<Report>>> {
        let (guest, report) = Guest::with(pve, self.vmid, |guest| {
            self.check_kind(guest)?;
            let before = PendingConfig::read(pve, guest)?;
            self.check_together(&before)?;
            let mut warnings = self.check_node(pve, guest, &before)?;
            warnings.extend(self.check_use(pve, guest, &before)?);
            let desired = self.desired(guest.kind, &before);
            if is_dry && differs(&before, &desired) {
                return Ok(None);
            }
            let mut report = write(pve, guest, &before, desired, "resources")?;
            report.warnings.extend(warnings);
            Ok(Some(report))
        })?;
        Ok(report.map(|report| Reply::report(report.on(&guest))))
    }
}

impl SetGuestResources {
    pub(super) fn check(&self) -> Result<()> {
        let given = [
            self.cores.is_some(),
            self.sockets.is_some(),
            self.cpu_limit.is_some(),
            self.memory_mib.is_some(),
            self.min_memory_mib.is_some(),
            self.swap_mib.is_some(),
        ];
        if given.contains(&true) {
            return Ok(());
        }
        Err(nothing_given(
            "cores, sockets, cpu_limit, memory_mib, min_memory_mib, swap_mib",
        ))
    }

    pub(super) fn check_kind(&self, guest: &Guest) -> Result<()> {
        let (kind, given, instead) = match guest.kind {
            GuestType::Qemu => (
                "a VM",
                [("swap_mib", self.swap_mib.is_some()), ("", false)],
                "its swap is set up inside the guest",
            ),
            GuestType::Lxc => (
                "a container",
                [
                    ("sockets", self.sockets.is_some()),
                    ("min_memory_mib", self.min_memory_mib.is_some()),
                ],
                "it takes cores, cpu_limit, memory_mib and swap_mib",
            ),
        };
        match given.iter().find(|(_, given)| *given) {
            Some((name, _)) => Err(Error::argument(
                name,
                format!("must be left out: {} is {kind}; {instead}", guest.label()),
            )),
            None => Ok(()),
        }
    }

    /// Refuses values that conflict with settings that are unchanged.
    pub(super) fn check_together(&self, before: &PendingConfig) -> Result<()> {
        let memory = self.memory(before);
        let least = self
            .min_memory_mib
            .map(u64::from)
            .or_else(|| before.number("balloon"))
            .unwrap_or(0);
        if least > memory {
            return Err(if self.min_memory_mib.is_some() {
                Error::argument(
                    "min_memory_mib",
                    format!("must be at most the memory, which is {memory} MiB"),
                )
            } else {
                Error::argument(
                    "memory_mib",
                    format!(
                        "must be at least the minimum memory of {least} MiB: lower min_memory_mib \
                         along with it"
                    ),
                )
            });
        }
        if let Some(plugged) = before.number("vcpus")
            && plugged > self.cpus(before)
        {
            return Err(Error::argument(
                if self.cores.is_some() {
                    "cores"
                } else {
                    "sockets"
                },
                format!(
                    "must make at least {plugged} CPUs in all, as vcpus of the guest is {plugged}: \
                     it would not start"
                ),
            ));
        }
        Ok(())
    }

    /// Refuses more than the node has.
    fn check_node(&self, pve: &Pve, guest: &Guest, before: &PendingConfig) -> Result<Vec<String>> {
        if self.cores.is_none() && self.sockets.is_none() && self.memory_mib.is_none() {
            return Ok(Vec::new());
        }
        let Some(node) = node_loads(pve)?
            .into_iter()
            .find(|node| node.node == guest.node)
        else {
            return Ok(Vec::new());
        };
        let cpus = self.cpus(before);
        let touches_cpus = self.cores.is_some() || self.sockets.is_some();
        if let Some(there) = node.maxcpu
            && touches_cpus
            && guest.kind == GuestType::Qemu
            && cpus > there.0
        {
            return Err(Error::Conflict(format!(
                "{} would have {cpus} CPUs (cores times sockets), but node {} has {}, and a VM \
                 with more does not start there: choose fewer",
                guest.label(),
                guest.node,
                there.0
            )));
        }
        let memory = self.memory(before) << 20;
        Ok(node
            .maxmem
            .filter(|there| self.memory_mib.is_some() && memory > there.0)
            .map(|there| {
                format!(
                    "node {} has only {} of memory, less than the guest is now assigned",
                    guest.node,
                    text::bytes(there.0)
                )
            })
            .into_iter()
            .collect())
    }

    /// A container's memory is limited at once: below what it uses now, its
    /// kernel kills processes, or the change fails. A VM's changes when it
    /// starts, or as far as the guest gives memory back.
    fn check_use(
        &self,
        pve: &Pve,
        guest: &Guest,
        before: &PendingConfig,
    ) -> Result<Option<String>> {
        let Some(wanted) = self.memory_mib.map(u64::from) else {
            return Ok(None);
        };
        let grows =
            !before.is_unreadable("memory") && wanted >= before.number("memory").unwrap_or(512);
        if guest.kind != GuestType::Lxc || grows {
            return Ok(None);
        }
        let now = guest.state(pve)?;
        let used = now.mem.map_or(0, |used| used.0);
        if now.status() == "stopped" || used <= wanted << 20 {
            return Ok(None);
        }
        let why = format!(
            "it uses {} of memory, more than the {wanted} MiB it would get: its \
             processes may be killed",
            text::bytes(used)
        );
        if self.accept_low_memory == Some(true) {
            return Ok(Some(why));
        }
        Err(Error::Conflict(format!(
            "{}: {why}; nothing was changed: choose more, shut the container down first with {}, \
             or set accept_low_memory to true",
            guest.label(),
            tool_names::STOP_GUEST
        )))
    }

    fn memory(&self, before: &PendingConfig) -> u64 {
        self.memory_mib
            .map(u64::from)
            .or_else(|| before.number("memory"))
            .unwrap_or(512)
    }

    fn cpus(&self, before: &PendingConfig) -> u64 {
        let one = |given: Option<u32>, key| {
            given
                .map(u64::from)
                .or_else(|| before.number(key))
                .unwrap_or(1)
        };
        one(self.cores, "cores").saturating_mul(one(self.sockets, "sockets"))
    }

    /// What a host allows is the product of cores and sockets, so a VM is sent both.
    pub(super) fn desired(&self, kind: GuestType, before: &PendingConfig) -> Vec<DesiredSetting> {
        let whole = |argument, key, default, value: Option<u32>| {
            Some(DesiredSetting::new(
                argument,
                key,
                default,
                Unit::Number,
                value?.to_string(),
            ))
        };
        // All cores of the node, where a container has no number.
        let default = (kind == GuestType::Qemu).then_some("1");
        let factor = |key, partner, given: Option<u32>, other: Option<u32>| {
            let stays = || {
                let is_needed = other.is_some() && !before.is_unreadable(key);
                // A container without a number of cores has all of its node.
                let default = (kind == GuestType::Qemu).then_some(1);
                let value = before.number(key).or(default)?;
                is_needed.then_some(u32::try_from(value).ok()?)
            };
            let setting = whole(key, key, default, given.or_else(stays))?;
            Some(setting.along_with(partner))
        };
        [
            match kind {
                GuestType::Qemu => factor("cores", "sockets", self.cores, self.sockets),
                // With a limit that is removed, the number of cores is what limits it.
                GuestType::Lxc => {
                    let limit = self.cpu_limit.filter(|limit| *limit <= 0.0).map(|_| 1);
                    factor("cores", "cpulimit", self.cores, limit)
                }
            },
            factor("sockets", "cores", self.sockets, self.cores),
            self.cpu_limit.map(|limit| {
                let (key, unit) = ("cpulimit", Unit::Number);
                DesiredSetting::new("cpu_limit", key, Some("0"), unit, limit.to_string())
            }),
            whole("memory_mib", "memory", Some("512"), self.memory_mib),
            whole("min_memory_mib", "balloon", None, self.min_memory_mib),
            whole("swap_mib", "swap", Some("512"), self.swap_mib),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}
