//! The cluster: what is written is read back.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::access::{Access, Privileges};
use super::firewall::Firewall;
use super::guest::{Guest, missing, volid};
use super::node::Node;
use super::pool::Pool;
use super::reports::Reports;
use super::storage::{Storage, Volume};
use super::task::{Lines, Tasks};
use crate::clock::{Clock, now};
use crate::fail::Fail;
use crate::formats::field;
use pve_api::{GuestType, size};

#[derive(Clone)]
pub(crate) struct Cluster {
    pub(crate) name: String,
    /// The node that answers; requests for others pass through it.
    pub(crate) local: String,
    pub(crate) quorate: bool,
    pub(crate) nodes: Vec<Node>,
    pub(crate) guests: BTreeMap<u32, Guest>,
    pub(crate) storages: Vec<Storage>,
    pub(crate) volumes: Vec<Volume>,
    pub(crate) pools: BTreeMap<String, Pool>,
    pub(crate) ha: BTreeMap<String, HaResource>,
    /// Backup jobs by id, each with what is configured.
    pub(crate) backup_jobs: BTreeMap<String, BTreeMap<String, String>>,
    pub(crate) firewall: Firewall,
    /// By guest, whether it exists or not: these are separate files.
    pub(crate) guest_firewalls: BTreeMap<u32, Firewall>,
    pub(crate) access: Access,
    pub(crate) tasks: Tasks,
    /// Of the running tasks, by UPID.
    pub(crate) jobs: BTreeMap<String, Job>,
    pub(crate) log: Vec<LogEntry>,
    /// What the nodes can fetch from the network.
    pub(crate) downloads: Vec<Download>,
    pub(crate) appliances: Vec<Appliance>,
    /// How long a guest needs until its agent answers after a start.
    pub(crate) boot_time: Duration,
    pub(crate) clock: Clock,
    pub(crate) reports: Reports,
    /// What is scheduled for later.
    pub(crate) later: Vec<Later>,
}

/// Something that happens later, without a task.
#[derive(Clone)]
pub(crate) struct Later {
    pub(crate) at: Duration,
    pub(crate) work: Work,
}

/// What is done once, at a time to come. It can be copied with its cluster.
pub(crate) struct Work(Box<dyn Once>);

impl Work {
    pub(crate) fn new(
        work: impl FnOnce(&mut Cluster, &mut Lines) -> Result<(), String> + Clone + Send + 'static,
    ) -> Work {
        Work(Box::new(work))
    }

    /// Does it. A task logs the lines, and fails with the error.
    pub(crate) fn run(self, cluster: &mut Cluster, lines: &mut Lines) -> Result<(), String> {
        self.0.run(cluster, lines)
    }
}

impl Clone for Work {
    fn clone(&self) -> Work {
        Work(self.0.copy())
    }
}

/// A closure of [`Work`].
trait Once: Send {
    fn run(self: Box<Self>, cluster: &mut Cluster, lines: &mut Lines) -> Result<(), String>;
    fn copy(&self) -> Box<dyn Once>;
}

impl<F> Once for F
where
    F: FnOnce(&mut Cluster, &mut Lines) -> Result<(), String> + Clone + Send + 'static,
{
    fn run(self: Box<Self>, cluster: &mut Cluster, lines: &mut Lines) -> Result<(), String> {
        self(cluster, lines)
    }

    fn copy(&self) -> Box<dyn Once> {
        Box::new(self.clone())
    }
}

/// What a running task does when it ends.
#[derive(Clone)]
pub(crate) struct Job {
    pub(crate) work: Work,
    /// What undoes the beginning when the task is stopped or made to fail.
    pub(crate) cleanup: Option<Work>,
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct HaResource {
    pub(crate) state: String,
    pub(crate) comment: Option<String>,
    pub(crate) max_restart: u32,
    pub(crate) max_relocate: u32,
    pub(crate) failback: bool,
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LogEntry {
    pub(crate) uid: u64,
    pub(crate) time: i64,
    pub(crate) node: String,
    pub(crate) pid: u32,
    pub(crate) tag: String,
    pub(crate) user: String,
    pub(crate) priority: u8,
    pub(crate) text: String,
}

/// Something behind a URL.
#[derive(Clone)]
pub(crate) struct Download {
    pub(crate) url: String,
    pub(crate) size: u64,
    pub(crate) mimetype: String,
    pub(crate) sha256: String,
}

/// An entry of the appliance index.
#[derive(Clone)]
pub(crate) struct Appliance {
    pub(crate) template: String,
    pub(crate) section: String,
    pub(crate) os: String,
    pub(crate) version: String,
    pub(crate) headline: String,
    pub(crate) size: u64,
}

impl Cluster {
    pub(crate) fn node(&self, name: &str) -> Option<&Node> {
        self.nodes.iter().find(|node| node.name == name)
    }

    pub(crate) fn is_online(&self, name: &str) -> bool {
        self.node(name).is_some_and(|node| node.online)
    }

    /// What a user or token may do at a path.
    pub(crate) fn privileges(&self, who: &str, path: &str) -> Privileges {
        self.access.privileges(&self.pools, who, path)
    }

    /// What a user or token may do, by path.
    pub(crate) fn permissions(&self, who: &str) -> Value {
        self.access.permissions(&self.pools, who)
    }

    /// The guest of that kind on that node, or the error that a missing one gives.
    pub(crate) fn guest(&self, node: &str, kind: GuestType, vmid: u32) -> Result<&Guest, Fail> {
        self.guests
            .get(&vmid)
            .filter(|guest| guest.kind == kind && guest.node == node)
            .ok_or_else(|| Fail::die(missing(node, kind, vmid)))
    }

    pub(crate) fn guest_mut(
        &mut self,
        node: &str,
        kind: GuestType,
        vmid: u32,
    ) -> Result<&mut Guest, Fail> {
        self.guests
            .get_mut(&vmid)
            .filter(|guest| guest.kind == kind && guest.node == node)
            .ok_or_else(|| Fail::die(missing(node, kind, vmid)))
    }

    pub(crate) fn pool_of(&self, vmid: u32) -> Option<&str> {
        self.pools
            .iter()
            .find(|(_, pool)| pool.guests.contains(&vmid))
            .map(|(name, _)| name.as_str())
    }

    pub(crate) fn storage(&self, id: &str) -> Option<&Storage> {
        self.storages.iter().find(|storage| storage.id == id)
    }

    /// A storage that the node can use, or the error that PVE dies with.
    pub(crate) fn usable_storage(&self, id: &str, node: &str) -> Result<&Storage, Fail> {
        let storage = self
            .storage(id)
            .ok_or_else(|| Fail::die(format!("storage '{id}' does not exist")))?;
        if !storage.enabled {
            return Err(Fail::die(format!("storage '{id}' is disabled")));
        }
        if !storage.on(node) {
            return Err(Fail::die(format!(
                "storage '{id}' is not available on node '{node}'"
            )));
        }
        Ok(storage)
    }

    /// Volumes of a storage as one node sees them.
    pub(crate) fn volumes_on<'a>(
        &'a self,
        storage: &'a str,
        node: &'a str,
    ) -> impl Iterator<Item = &'a Volume> {
        self.volumes.iter().filter(move |volume| {
            volume.storage == storage && volume.node.as_deref().is_none_or(|at| at == node)
        })
    }

    pub(crate) fn volume(&self, volid: &str, node: &str) -> Option<&Volume> {
        self.volumes.iter().find(|volume| {
            volume.volid == volid && volume.node.as_deref().is_none_or(|at| at == node)
        })
    }

    /// Used bytes of a storage on a node.
    pub(crate) fn used(&self, storage: &Storage, node: &str) -> u64 {
        let volumes: u64 = self
            .volumes_on(&storage.id, node)
            .map(|volume| volume.used)
            .sum();
        (storage.base_used + volumes).min(storage.total)
    }

    /// The lowest free guest id.
    pub(crate) fn next_id(&self) -> u32 {
        (100..1_000_000_000)
            .find(|vmid| !self.guests.contains_key(vmid))
            .unwrap_or(100)
    }

    /// Schedules something for later, by the simulated clock.
    pub(crate) fn after(
        &mut self,
        delay: Duration,
        work: impl FnOnce(&mut Cluster) + Clone + Send + 'static,
    ) {
        self.later.push(Later {
            at: self.clock.at() + delay,
            work: Work::new(|cluster: &mut Cluster, _: &mut Lines| {
                work(cluster);
                Ok(())
            }),
        });
    }

    pub(crate) fn note(&mut self, node: &str, pid: u32, user: &str, text: String) {
        let uid = self.log.last().map_or(2, |last| last.uid + 1);
        self.log.push(LogEntry {
            uid,
            time: now(),
            node: node.to_owned(),
            pid,
            tag: "pvedaemon".into(),
            user: user.to_owned(),
            priority: 6,
            text,
        });
    }

    /// Makes the volumes that a guest's disks name, where they are not there yet.
    pub(crate) fn add_disks(&mut self, vmid: u32) {
        let Some(guest) = self.guests.get(&vmid) else {
            return;
        };
        let mut added = Vec::new();
        for (_, value) in guest.disks() {
            let Some(volid) = volid(value) else { continue };
            let Some((storage, name)) = volid.split_once(':') else {
                continue;
            };
            if self.volume(volid, &guest.node).is_some() {
                continue;
            }
            let shared = self.storage(storage).is_some_and(|storage| storage.shared);
            let size = field(value, "size")
                .and_then(size::parse)
                .unwrap_or(4 << 20);
            let format = name.rsplit_once('.').map_or("raw", |(_, format)| format);
            added.push(Volume {
                volid: volid.to_owned(),
                storage: storage.to_owned(),
                node: (!shared).then(|| guest.node.clone()),
                content: if guest.kind == GuestType::Qemu {
                    "images"
                } else {
                    "rootdir"
                },
                format: format.to_owned(),
                size,
                used: size / 5 * 2,
                ctime: guest.created,
                vmid: Some(vmid),
                notes: None,
                protected: false,
                parent: None,
                archive: None,
            });
        }
        self.volumes.extend(added);
    }
}
