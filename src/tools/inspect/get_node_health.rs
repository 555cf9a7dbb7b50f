//! `get_node_health`: what is wrong with a node, or soon will be.
//!
//! Proxmox tells it in a dozen places. What the token may not see of them is
//! named in the result: a token with PVEAuditor may read neither updates nor
//! logs, and that is not a fault of the node.

use pve_api::calls;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::health::disks::{self, DiskHealth};
use super::health::load::{self, Load};
use super::health::packages::{self, Kernel, Updates};
use super::health::pools::{self, StoragePool};
use super::health::services::{self, ServiceRules};
use super::health::{ceph, certificates};
use crate::clock;
use crate::error::Result;
use crate::order;
use crate::pve::{
    At, ClusterEntry, Failure, GuestType, NodeStatus, Num, Params, Pve, check_node, guests,
    storages,
};
use crate::tool::declared::Calls;
use crate::tool::{Reply, Run, bounds};
use crate::tools::finding::{Finding, Severity, summary, visible};

/// The health of a node.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct GetNodeHealth {
    /// Its name; case matters.
    #[schemars(length(min = 1))]
    node: String,
}

#[derive(Debug, Serialize, JsonSchema)]
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
#[derive(Debug, Deserialize)]
struct RawSubscription {
    status: Option<String>,
    nextduedate: Option<String>,
}

#[derive(Debug, Deserialize)]
struct RawTime {
    time: Option<Num<i64>>,
}

const MOST_FINDINGS: usize = 60;
const MOST_DISKS: usize = 48;

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

impl NodeHealth {
    fn read(pve: &Pve, node: String) -> Self {
        let name = node.as_str();
        let mut findings = Vec::new();
        let mut unseen = Vec::new();
        let none = Params::new();
        let calls = [
            &calls::nodes::STATUS,
            &calls::nodes::SERVICES,
            &calls::nodes::DISKS,
            &calls::nodes::ZFS,
            &calls::nodes::LVM_THIN,
            &calls::nodes::CEPH,
            &calls::nodes::CERTIFICATES,
            &calls::nodes::SUBSCRIPTION,
            &calls::nodes::UPDATES,
            &calls::nodes::PACKAGES,
        ];
        pve.start(calls.map(|call| (call.at([name]), Params::new())));

        let status = visible(
            pve.send::<NodeStatus>(&calls::nodes::STATUS.at([name]), &none),
            "status",
            &mut unseen,
        );
        let hour = Params::new().set("timeframe", "hour");
        let rows = visible(
            pve.send::<Vec<load::RawRow>>(&calls::nodes::METRICS.at([name]), &hour),
            "load over time",
            &mut unseen,
        );
        let load = status.map(|status| Load::new(status, &rows.unwrap_or_default()));
        findings.extend(load.iter().flat_map(Load::findings));

        if let Some(all) = visible(
            pve.send::<Vec<services::RawService>>(&calls::nodes::SERVICES.at([name]), &none),
            "services",
            &mut unseen,
        ) {
            findings.extend(services::findings(&all, &rules(pve, name)));
        }

        let disks = Self::read_disks(pve, name, &mut findings, &mut unseen);
        let mut pools = Vec::new();
        if let Some(all) = visible(
            pve.send::<Vec<pools::RawZfs>>(&calls::nodes::ZFS.at([name]), &none),
            "ZFS pools",
            &mut unseen,
        ) {
            pools.extend(all.into_iter().map(StoragePool::from));
        }
        if let Some(all) = visible(
            pve.send::<Vec<pools::RawThin>>(&calls::nodes::LVM_THIN.at([name]), &none),
            "LVM thin pools",
            &mut unseen,
        ) {
            pools.extend(all.into_iter().map(StoragePool::from));
        }
        findings.extend(pools.iter().flat_map(StoragePool::findings));
        if let Some(all) = visible(storages(pve, name), "storages", &mut unseen) {
            findings.extend(pools::of_storages(&all));
        }

        let ceph = match pve.send::<ceph::RawCeph>(&calls::nodes::CEPH.at([name]), &none) {
            // Most nodes have none.
            Err(Failure::Api(error)) if error.says("not in") || error.says("not fully") => None,
            answer => visible(answer, "Ceph", &mut unseen),
        };
        findings.extend(ceph.iter().filter_map(ceph::RawCeph::finding));

        let now = clock::now();
        let certificates = visible(
            pve.send::<Vec<certificates::RawCertificate>>(
                &calls::nodes::CERTIFICATES.at([name]),
                &none,
            ),
            "certificates",
            &mut unseen,
        )
        .unwrap_or_default();
        findings.extend(certificates.iter().filter_map(|one| one.finding(now)));

        let subscription = visible(
            pve.send::<RawSubscription>(&calls::nodes::SUBSCRIPTION.at([name]), &none),
            "subscription",
            &mut unseen,
        );
        findings.extend(subscription.as_ref().and_then(RawSubscription::finding));

        let updates = visible(
            pve.send::<Vec<packages::RawUpdate>>(&calls::nodes::UPDATES.at([name]), &none),
            "updates",
            &mut unseen,
        )
        .map(Updates::new);
        findings.extend(updates.as_ref().and_then(Updates::finding));
        let kernel = visible(
            pve.send::<Vec<packages::RawPackage>>(&calls::nodes::PACKAGES.at([name]), &none),
            "installed packages",
            &mut unseen,
        )
        .and_then(|all| Kernel::of(&all));
        findings.extend(kernel.as_ref().and_then(Kernel::finding));

        let time = visible(
            pve.send::<RawTime>(&calls::nodes::TIME.at([name]), &none),
            "clock",
            &mut unseen,
        );
        let offset = time
            .and_then(|time| Some(time.time?.0))
            .map(|time| time.saturating_sub(i64::try_from(now).unwrap_or(i64::MAX)));
        findings.extend(offset.and_then(clock_finding));

        Self {
            findings,
            not_visible: unseen,
            load,
            kernel,
            updates,
            disks,
            pools,
            ceph: ceph.and_then(|ceph| ceph.status()),
            certificate_ends_at: certificates::first_end(&certificates),
            subscription: subscription.and_then(|one| one.status),
            clock_offset_seconds: offset,
            hint: None,
            node,
        }
    }

    fn read_disks(
        pve: &Pve,
        node: &str,
        findings: &mut Vec<Finding>,
        unseen: &mut Vec<String>,
    ) -> Option<Vec<DiskHealth>> {
        let all: Vec<disks::RawDisk> = visible(
            pve.send(&calls::nodes::DISKS.at([node]), &Params::new()),
            "disks",
            unseen,
        )?;
        let mut shown = Vec::new();
        for raw in all {
            let mut disk = DiskHealth::from(raw);
            if shown.len() < MOST_DISKS && disk.has_smart() {
                let params = Params::new().set("disk", &disk.device);
                let request = calls::nodes::SMART.at([node]);
                let answer = pve.send::<disks::RawSmart>(&request, &params);
                let what = format!("SMART of {}", disk.device);
                if let Some(smart) = visible(answer, &what, unseen) {
                    disk.add(&smart);
                }
            }
            findings.extend(disk.findings());
            shown.push(disk);
        }
        Some(shown)
    }

    fn text(&self) -> String {
        let unseen = match self.not_visible.len() {
            0 => String::new(),
            count => format!("; {count} not visible to this token"),
        };
        format!("{}: {}{unseen}", self.node, summary(&self.findings))
    }
}

/// What has to run there: corosync in a cluster, lxcfs for containers.
fn rules(pve: &Pve, node: &str) -> ServiceRules {
    let members: Vec<ClusterEntry> = pve
        .send(&calls::cluster::STATUS.at([]), &Params::new())
        .unwrap_or_default();
    ServiceRules {
        in_cluster: members.iter().any(|member| member.kind == "cluster"),
        has_containers: guests(pve)
            .unwrap_or_default()
            .iter()
            .any(|guest| guest.kind == GuestType::Lxc && guest.node == node && guest.is_running()),
    }
}

fn clock_finding(offset: i64) -> Option<Finding> {
    (offset.abs() > CLOCK_SECONDS).then(|| {
        Finding::new(
            Severity::Medium,
            format!(
                "the node's clock is {} s {} that of this server",
                offset.abs(),
                if offset > 0 { "ahead of" } else { "behind" }
            ),
            "compare both with the time: chronyc tracking on the node shows whether it is \
             synchronized",
        )
    })
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
        assert!(clock_finding(0).is_none() && clock_finding(-5).is_none());
        let behind = clock_finding(-90).unwrap();
        assert!(behind.finding.contains("90 s behind"), "{behind:?}");
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
