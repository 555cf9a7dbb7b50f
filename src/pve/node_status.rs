//! A node's own account of its load and its system: `/nodes/{node}/status`.

use super::num::Num;

use crate::json::DeserializeFields;

/// The status of a node. Every field may be missing, depending on the version.
#[derive(Debug, Default, DeserializeFields)]
#[serde(default, rename_all = "kebab-case")]
pub(crate) struct NodeStatus {
    /// `pve-manager/9.2.11/14a22df35955d97d`.
    pub(crate) pveversion: Option<String>,
    pub(crate) kversion: Option<String>,
    pub(crate) current_kernel: Option<CurrentKernel>,
    pub(crate) boot_info: Option<BootInfo>,
    /// In seconds.
    pub(crate) uptime: Option<Num<u64>>,
    /// The busy share of its processors, from 0 to 1.
    pub(crate) cpu: Option<Num<f64>>,
    /// The share of time in which it waited for I/O, from 0 to 1.
    pub(crate) wait: Option<Num<f64>>,
    /// Over 1, 5 and 15 minutes.
    pub(crate) loadavg: Option<Vec<Option<Num<f64>>>>,
    pub(crate) cpuinfo: Option<CpuInfo>,
    pub(crate) memory: Option<Usage>,
    pub(crate) swap: Option<Usage>,
    pub(crate) rootfs: Option<Usage>,
}

#[derive(Debug, DeserializeFields)]
pub(crate) struct CurrentKernel {
    pub(crate) release: Option<String>,
}

#[derive(Debug, DeserializeFields)]
pub(crate) struct BootInfo {
    pub(crate) mode: Option<String>,
}

#[derive(Debug, Default, DeserializeFields)]
pub(crate) struct CpuInfo {
    pub(crate) model: Option<String>,
    pub(crate) sockets: Option<Num<u64>>,
    pub(crate) cores: Option<Num<u64>>,
    /// Threads.
    pub(crate) cpus: Option<Num<u64>>,
}

/// How much of memory, swap or a filesystem is in use, in bytes.
#[derive(Debug, Default, DeserializeFields)]
pub(crate) struct Usage {
    pub(crate) total: Option<Num<u64>>,
    pub(crate) used: Option<Num<u64>>,
    /// Of memory.
    pub(crate) available: Option<Num<u64>>,
    /// Of a filesystem: without what is reserved for root.
    pub(crate) avail: Option<Num<u64>>,
}

impl Usage {
    /// How much is left for use.
    pub(crate) fn free(&self) -> Option<u64> {
        self.available
            .map(|bytes| bytes.0)
            .or_else(|| self.total?.0.checked_sub(self.used?.0))
    }
}
