//! `get_node_health`: what is wrong with a node, or soon will be.
//!
//! Proxmox tells it in a dozen places. What the token may not see of them is
//! named in the result: a token with PVEAuditor may read neither updates nor
//! logs, and that is not a fault of the node.

use pve_api::{Call, calls};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use super::health::ceph::RawCeph;
use super::health::certificates::{self, RawCertificate};
use super::health::disks::{self, DiskHealth};
use super::health::load::{self, Load};
use super::health::packages::{self, Kernel, Updates};
use super::health::pools::{self, StoragePool};
use super::health::services::{self, ServiceRules};
use crate::clock;
use crate::error::Result;
use crate::json::{DeserializeFields, SerializeFields};
use crate::order;
use crate::pve::{
    At, ClusterEntry, Failure, GuestType, NodeStatus, Num, Params, Pve, check_node, guests,
    storages,
};
use crate::text;
use crate::tool::declared::Calls;
use crate::tool::{Reply, Run, bounds};
use crate::tools::finding::{Finding, Severity, note_unseen, summary, visible};

/// The health of a node.
#[derive(Debug, DeserializeFields, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct GetNodeHealth {
    /// Its name; case matters.
    #[schemars(length(min = 1))]
    node: String,
}

#[derive(Debug, SerializeFields, JsonSchema)]
pub(crate) struct NodeHealth {
    node: String,
    /// The most urgent first.
    findings: Vec<Finding>,
    /// What could not be looked at, and why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    not_visible: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    load: Option<Load>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kernel: Option<Kernel>,
    #[serde(skip_serializing_if = "Option::is_none")]
    updates: Option<Updates>,
    #[serde(skip_serializing_if = "Option::is_none")]
    disks: Option<Vec<DiskHealth>>,
    /// ZFS and LVM thin pools.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pools: Vec<StoragePool>,
    /// `HEALTH_OK`; absent where there is no Ceph.
    #[serde(skip_serializing_if = "Option::is_none")]
    ceph: Option<String>,
    /// When the first of its certificates ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    certificate_ends_at: Option<String>,
    /// `active`, or `notfound` where there is none, which is no fault.
    #[serde(skip_serializing_if = "Option::is_none")]
    subscription: Option<String>,
    /// How far its clock is ahead of this server's.
    #[serde(skip_serializing_if = "Option::is_none")]
    clock_offset_seconds: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

/// The key and the server's id are not read.
#[derive(Debug, DeserializeFields)]
struct RawSubscription {
    status: Option<String>,
    nextduedate: Option<String>,
}

#[derive(Debug, DeserializeFields)]
struct RawTime {
    time: Option<Num<i64>>,
}

const MOST_FINDINGS: usize = 60;
const MOST_DISKS: usize = 48;

/// Of how many ZFS pools the errors are read.
const MOST_POOLS: usize = 8;

/// A clock that is off by more breaks Ceph, tokens and certificates.
const CLOCK_SECONDS: i64 = 5;

impl Run for GetNodeHealth {
    type Output = NodeHealth;

    const CALLS: &'static [Calls] = &[
        Calls::One(&calls::cluster::RESOURCES),
        Calls::One(&calls::cluster::STATUS),
        Calls::One(&calls::nodes::LIST),
        Calls::One(&calls::nodes::STATUS),
        Calls::One(&calls::nodes::METRICS),
        Calls::One(&calls::nodes::SERVICES),
        Calls::One(&calls::nodes::DISKS),
        Calls::One(&calls::nodes::SMART),
        Calls::One(&calls::nodes::ZFS),
        Calls::One(&calls::nodes::ZFS_POOL),
        Calls::One(&calls::nodes::LVM_THIN),
        Calls::One(&calls::nodes::CEPH),
        Calls::One(&calls::nodes::CERTIFICATES),
        Calls::One(&calls::nodes::SUBSCRIPTION),
        Calls::One(&calls::nodes::UPDATES),
        Calls::One(&calls::nodes::PACKAGES),
        Calls::One(&calls::nodes::TIME),
        Calls::One(&calls::storage::LIST),
    ];

    fn run(self, pve: &Pve) -> Result<Reply<NodeHealth>> {
        check_node(pve, "node", &self.node)?;
        let mut health = NodeHealth::read(pve, self.node);
        order::by_key(&mut health.findings, |finding| finding.severity);
        let text = health.text();
        let mut notes = Vec::new();
        bounds::keep(&mut health.findings, MOST_FINDINGS, "findings", &mut notes);
        if let Some(disks) = &mut health.disks {
            bounds::keep(disks, MOST_DISKS, "disks", &mut notes);
        }
        health.hint = (!notes.is_empty()).then(|| notes.join("; "));
        Ok(Reply::Done(health, text))
    }
}

/// A node that is being looked at.
struct Look<'a> {
    pve: &'a Pve,
    node: &'a str,
    findings: Vec<Finding>,
    unseen: Vec<String>,
}

impl Look<'_> {
    fn ask<T: DeserializeOwned>(&mut self, call: &'static Call, what: &str) -> Option<T> {
        self.ask_with(call, &Params::new(), what)
    }

    fn ask_with<T: DeserializeOwned>(
        &mut self,
        call: &'static Call,
        params: &Params,
        what: &str,
    ) -> Option<T> {
        let answer = self.pve.send(&call.at([self.node]), params);
        visible(answer, what, &mut self.unseen)
    }

    fn load(&mut self) -> Option<Load> {
        let status: Option<NodeStatus> = self.ask(&calls::nodes::STATUS, "status");
        let hour = Params::new().set("timeframe", "hour");
        let rows: Option<Vec<load::RawRow>> =
            self.ask_with(&calls::nodes::METRICS, &hour, "load over time");
        let load = Load::new(status?, &rows.unwrap_or_default());
        self.findings.extend(load.findings());
        Some(load)
    }

    fn services(&mut self) {
        let all: Option<Vec<services::RawService>> = self.ask(&calls::nodes::SERVICES, "services");
        if let Some(all) = all {
            let rules = self.rules();
            self.findings.extend(services::findings(&all, rules));
        }
    }

    /// What has to run there: corosync and HA in a cluster, lxcfs for containers.
    fn rules(&mut self) -> ServiceRules {
        let members: Option<Vec<ClusterEntry>> = visible(
            self.pve
                .send(&calls::cluster::STATUS.at([]), &Params::new()),
            "whether it is in a cluster",
            &mut self.unseen,
        );
        let guests = guests(self.pve).unwrap_or_default();
        ServiceRules {
            in_cluster: members.map(|all| all.iter().any(|member| member.kind == "cluster")),
            has_containers: guests.iter().any(|guest| {
                guest.kind == GuestType::Lxc && guest.node == self.node && guest.is_running()
            }),
        }
    }

    fn pools(&mut self) -> Vec<StoragePool> {
        let mut pools: Vec<StoragePool> = Vec::new();
        let zfs: Option<Vec<pools::RawZfs>> = self.ask(&calls::nodes::ZFS, "ZFS pools");
        for raw in zfs.unwrap_or_default() {
            let mut pool = StoragePool::from(raw);
            if pools.len() < MOST_POOLS {
                let request = calls::nodes::ZFS_POOL.at([self.node, pool.name()]);
                let answer = self.pve.send(&request, &Params::new());
                let what = format!("errors of the ZFS pool {}", pool.name());
                if let Some(detail) = visible(answer, &what, &mut self.unseen) {
                    pool.add(&detail);
                }
            }
            pools.push(pool);
        }
        let thin: Option<Vec<pools::RawThin>> = self.ask(&calls::nodes::LVM_THIN, "LVM thin pools");
        pools.extend(thin.unwrap_or_default().into_iter().map(StoragePool::from));
        let found = pools.iter().flat_map(StoragePool::findings);
        self.findings.extend(found);
        if let Some(all) = visible(storages(self.pve, self.node), "storages", &mut self.unseen) {
            self.findings.extend(pools::of_storages(&all));
        }
        pools
    }

    fn ceph(&mut self) -> Option<String> {
        let request = calls::nodes::CEPH.at([self.node]);
        let status: RawCeph = match self.pve.send(&request, &Params::new()) {
            Err(Failure::Api(error)) if RawCeph::is_absent(&error) => return None,
            Err(Failure::Api(error)) if error.says("got timeout") => {
                self.findings.push(RawCeph::does_not_answer(&error.message));
                return None;
            }
            answer => visible(answer, "Ceph", &mut self.unseen)?,
        };
        self.findings.extend(status.finding());
        status.status()
    }

    fn certificates(&mut self) -> Option<String> {
        let all: Vec<RawCertificate> = self.ask(&calls::nodes::CERTIFICATES, "certificates")?;
        let now = clock::now();
        self.findings
            .extend(all.iter().filter_map(|one| one.finding(now)));
        certificates::first_end(&all)
    }

    fn subscription(&mut self) -> Option<String> {
        let subscription: RawSubscription =
            self.ask(&calls::nodes::SUBSCRIPTION, "subscription")?;
        self.findings.extend(subscription.finding());
        subscription.status
    }

    fn updates(&mut self) -> Option<Updates> {
        let updates = Updates::new(self.ask(&calls::nodes::UPDATES, "updates")?);
        self.findings.extend(updates.finding());
        Some(updates)
    }

    fn kernel(&mut self) -> Option<Kernel> {
        let packages: Vec<packages::RawPackage> =
            self.ask(&calls::nodes::PACKAGES, "installed packages")?;
        let kernel = Kernel::of(&packages)?;
        self.findings.extend(kernel.finding());
        Some(kernel)
    }

    /// How far the node's clock is ahead of this server's.
    fn clock(&mut self) -> Option<i64> {
        let before = clock::now();
        let time: RawTime = self.ask(&calls::nodes::TIME, "clock")?;
        let offset = ClockOffset::new(time.time?.0, before, clock::now());
        self.findings.extend(offset.finding());
        Some(offset.seconds)
    }

    fn disks(&mut self) -> Option<Vec<DiskHealth>> {
        let all: Vec<disks::RawDisk> = self.ask(&calls::nodes::DISKS, "disks")?;
        let mut disks: Vec<DiskHealth> = all.into_iter().map(DiskHealth::from).collect();
        self.smart(&mut disks);
        let found = disks.iter().flat_map(DiskHealth::findings);
        self.findings.extend(found);
        Some(disks)
    }

    /// Adds what the disks say of themselves. The first is asked alone: if the
    /// token may not ask it, it may ask none.
    fn smart(&mut self, disks: &mut [DiskHealth]) {
        let request = calls::nodes::SMART.at([self.node]);
        let params = |disk: &DiskHealth| Params::new().set("disk", &disk.device);
        let asked = disks.iter_mut().filter(|disk| disk.has_smart());
        let mut asked: Vec<&mut DiskHealth> = asked.take(MOST_DISKS).collect();
        let count = asked.len();
        let mut failed = Vec::new();
        let mut why = None;
        for index in 0..count {
            if index == 1 {
                let rest = asked.iter().skip(1);
                self.pve
                    .start(rest.map(|disk| (request.clone(), params(disk))));
            }
            let Some(disk) = asked.get_mut(index) else {
                break;
            };
            match self.pve.send::<disks::RawSmart>(&request, &params(disk)) {
                Ok(smart) => disk.add(&smart),
                Err(failure) => {
                    let is_refused = matches!(&failure, Failure::Api(error) if error.status == 403);
                    failed.push(disk.device.clone());
                    why.get_or_insert(failure);
                    if is_refused {
                        failed = asked.iter().map(|disk| disk.device.clone()).collect();
                        break;
                    }
                }
            }
        }
        if let Some(failure) = why {
            let what = match failed.as_slice() {
                [only] => format!("SMART of {only}"),
                all => format!(
                    "SMART of {} disks ({})",
                    all.len(),
                    text::names(all.iter().map(String::as_str))
                ),
            };
            note_unseen(failure, &what, &mut self.unseen);
        }
    }
}

impl NodeHealth {
    fn read(pve: &Pve, node: String) -> Self {
        let calls = [
            &calls::nodes::STATUS,
            &calls::nodes::SERVICES,
            &calls::nodes::ZFS,
            &calls::nodes::LVM_THIN,
            &calls::nodes::CEPH,
            &calls::nodes::CERTIFICATES,
            &calls::nodes::SUBSCRIPTION,
            &calls::nodes::UPDATES,
            &calls::nodes::PACKAGES,
            &calls::nodes::DISKS,
        ];
        pve.start(calls.map(|call| (call.at([&node]), Params::new())));
        let mut look = Look {
            pve,
            node: &node,
            findings: Vec::new(),
            unseen: Vec::new(),
        };
        let load = look.load();
        look.services();
        let pools = look.pools();
        let ceph = look.ceph();
        let certificate_ends_at = look.certificates();
        let subscription = look.subscription();
        let updates = look.updates();
        let kernel = look.kernel();
        let clock_offset_seconds = look.clock();
        let disks = look.disks();
        Self {
            findings: look.findings,
            not_visible: look.unseen,
            load,
            kernel,
            updates,
            disks,
            pools,
            ceph,
            certificate_ends_at,
            subscription,
            clock_offset_seconds,
            hint: None,
            node,
        }
    }

    fn text(&self) -> String {
        let unseen = match self.not_visible.len() {
            0 => String::new(),
            count => format!("; {count} could not be read"),
        };
        format!("{}: {}{unseen}", self.node, summary(&self.findings))
    }
}

/// How far a node's clock is ahead of this server's, and how far that may be off.
#[derive(Debug, Clone, Copy)]
struct ClockOffset {
    seconds: i64,
    uncertain_seconds: i64,
}

impl ClockOffset {
    /// By the node's time, asked for between two moments of this server.
    fn new(node: i64, before: u64, after: u64) -> Self {
        let whole = |moment: u64| i64::try_from(moment).unwrap_or(i64::MAX);
        let took = whole(after.saturating_sub(before));
        Self {
            seconds: node.saturating_sub(whole(before).saturating_add(took / 2)),
            uncertain_seconds: took,
        }
    }

    fn finding(self) -> Option<Finding> {
        let off = self.seconds.saturating_abs();
        let is_off = off > CLOCK_SECONDS.saturating_add(self.uncertain_seconds);
        is_off.then(|| {
            Finding::new(
                Severity::Medium,
                format!(
                    "the node's clock is {off} s {} that of this server",
                    if self.seconds > 0 {
                        "ahead of"
                    } else {
                        "behind"
                    }
                ),
                "compare both with the time: chronyc tracking on the node shows whether it is \
                 synchronized",
            )
        })
    }
}

impl RawSubscription {
    /// None is no fault: a node may run without.
    fn finding(&self) -> Option<Finding> {
        let status = self.status.as_deref()?.to_ascii_lowercase();
        if !matches!(status.as_str(), "expired" | "invalid" | "suspended") {
            return None;
        }
        let finding = Finding::new(
            Severity::Medium,
            format!("the subscription is {status}: the enterprise repository refuses updates"),
            "renew it, or change to the no-subscription repository",
        );
        Some(match &self.nextduedate {
            Some(date) => finding.on(format!("due {date}")),
            None => finding,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_offsets_of_clocks_are_normal() {
        let of = |node, before, after| ClockOffset::new(node, before, after).finding();
        assert!(of(1000, 1000, 1000).is_none() && of(995, 1000, 1000).is_none());
        let behind = of(910, 1000, 1001).unwrap();
        assert!(behind.finding.contains("90 s behind"), "{behind:?}");
        // A slow answer says less.
        assert!(of(1012, 1000, 1012).is_none());
        assert!(of(1000, 1000, 1012).is_none());
    }

    #[test]
    fn no_subscription_is_no_fault() {
        let of = |status: &str| RawSubscription {
            status: Some(status.to_owned()),
            nextduedate: None,
        };
        for fine in ["active", "notfound", "new"] {
            assert!(of(fine).finding().is_none(), "{fine}");
        }
        assert!(of("expired").finding().is_some());
    }
}
