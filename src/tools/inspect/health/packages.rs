//! Updates, and whether a newer kernel waits for a reboot.

use schemars::JsonSchema;

use crate::json::{DeserializeFields, SerializeFields};
use crate::order;
use crate::text;
use crate::tools::finding::{Finding, Severity};

#[derive(Debug, DeserializeFields)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct RawUpdate {
    package: String,
    /// The new one.
    version: Option<String>,
    /// Absent of a package that is not installed yet.
    old_version: Option<String>,
}

#[derive(Debug, DeserializeFields)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct RawPackage {
    package: String,
    current_state: Option<String>,
    /// Of `proxmox-ve` alone.
    running_kernel: Option<String>,
}

#[derive(Debug, SerializeFields, JsonSchema)]
pub(crate) struct Updates {
    count: usize,
    /// Those of Proxmox VE and the kernel first, as `package old -> new`.
    packages: Vec<String>,
}

#[derive(Debug, PartialEq, SerializeFields, JsonSchema)]
pub(crate) struct Kernel {
    running: String,
    /// The newest that is installed.
    #[serde(skip_serializing_if = "Option::is_none")]
    newest_installed: Option<String>,
    reboot_pending: bool,
}

const MOST_SHOWN: usize = 15;

/// Whether a package is of Proxmox VE itself.
fn is_of_proxmox(package: &str) -> bool {
    [
        "pve-",
        "proxmox-",
        "libpve-",
        "qemu-server",
        "lxc-pve",
        "ceph",
    ]
    .iter()
    .any(|start| package.starts_with(start))
}

impl Updates {
    pub(crate) fn new(mut all: Vec<RawUpdate>) -> Self {
        order::by(&mut all, |a, b| {
            (!is_of_proxmox(&a.package), &a.package).cmp(&(!is_of_proxmox(&b.package), &b.package))
        });
        Self {
            count: all.len(),
            packages: all
                .into_iter()
                .take(MOST_SHOWN)
                .map(|update| {
                    let new = update.version.unwrap_or_default();
                    let change = match update.old_version {
                        Some(old) => format!("{} {old} -> {new}", update.package),
                        None => format!("{} {new} (new)", update.package),
                    };
                    text::cut(&change, 120)
                })
                .collect(),
        }
    }

    pub(crate) fn finding(&self) -> Option<Finding> {
        (self.count > 0).then(|| {
            Finding::new(
                Severity::Low,
                format!(
                    "{} can be installed (security updates are not told apart)",
                    text::count(self.count, "update")
                ),
                "move the guests away first if the kernel or QEMU is among them, then run apt \
                 dist-upgrade on the node",
            )
        })
    }
}

/// The numbers of a version, to be compared: `6.17.2-1-pve` has 6, 17, 2, 1.
fn numbers(version: &str) -> Vec<u64> {
    version
        .split(|c: char| !c.is_ascii_digit())
        .filter_map(|number| number.parse().ok())
        .collect()
}

/// The version of the kernel that a package is of, by its name:
/// `proxmox-kernel-6.17.2-1-pve-signed`. `proxmox-kernel-6.17` only depends on the
/// newest of them, and has versions of its own.
fn kernel_version(package: &RawPackage) -> Option<String> {
    let name = package
        .package
        .strip_prefix("proxmox-kernel-")
        .or_else(|| package.package.strip_prefix("pve-kernel-"))?;
    if !name.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let (version, _) = name.split_once("-pve")?;
    Some(format!("{version}-pve"))
}

impl Kernel {
    pub(crate) fn of(packages: &[RawPackage]) -> Option<Self> {
        let running = packages
            .iter()
            .find_map(|package| package.running_kernel.clone())
            .filter(|kernel| !kernel.is_empty())?;
        let newest = packages
            .iter()
            .filter(|package| package.current_state.as_deref() == Some("Installed"))
            .filter_map(kernel_version)
            .max_by_key(|version| numbers(version));
        let reboot_pending = newest
            .as_ref()
            .is_some_and(|newest| numbers(newest) > numbers(&running));
        Some(Self {
            running,
            newest_installed: newest,
            reboot_pending,
        })
    }

    pub(crate) fn finding(&self) -> Option<Finding> {
        let newest = self
            .newest_installed
            .as_ref()
            .filter(|_| self.reboot_pending)?;
        Some(
            Finding::new(
                Severity::Low,
                "a newer kernel is installed than the one that runs: it takes a reboot, unless the \
                 older one is pinned on purpose",
                "move or stop the guests, then reboot the node",
            )
            .on(format!("running {}, installed {newest}", self.running)),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn kernel(packages: serde_json::Value) -> Option<Kernel> {
        Kernel::of(&serde_json::from_value::<Vec<RawPackage>>(packages).unwrap())
    }

    #[test]
    fn kernels_are_compared_as_versions() {
        let packages = |running: &str| {
            json!([
                {"Package": "proxmox-ve", "CurrentState": "Installed", "OldVersion": "9.0.0",
                    "RunningKernel": running},
                {"Package": "proxmox-kernel-helper", "CurrentState": "Installed",
                    "OldVersion": "9.0.4"},
                {"Package": "proxmox-kernel-6.8.12-9-pve-signed", "CurrentState": "Installed",
                    "OldVersion": "6.8.12-9"},
                {"Package": "proxmox-kernel-6.8.12-10-pve-signed", "CurrentState": "Installed"},
                {"Package": "proxmox-kernel-6.14.0-1-pve", "CurrentState": "NotInstalled"},
            ])
        };
        let old = kernel(packages("6.8.12-9-pve")).unwrap();
        assert!(old.reboot_pending && old.finding().is_some());
        assert_eq!(old.newest_installed.as_deref(), Some("6.8.12-10-pve"));
        // Packages that only depend on a kernel have versions of their own.
        let running = kernel(json!([
            {"Package": "proxmox-ve", "RunningKernel": "6.14.11-4-pve"},
            {"Package": "proxmox-kernel-6.14", "CurrentState": "Installed",
                "OldVersion": "6.14.11-4~bpo12+1"},
            {"Package": "pve-kernel-5.15", "CurrentState": "Installed", "OldVersion": "7.2-14"},
            {"Package": "proxmox-kernel-6.14.11-4-pve-signed", "CurrentState": "Installed"},
        ]));
        assert!(!running.unwrap().reboot_pending);
        let new = kernel(packages("6.8.12-10-pve")).unwrap();
        assert!(!new.reboot_pending && new.finding().is_none());
        assert_eq!(kernel(json!([{"Package": "lvm2"}])), None);
    }

    #[test]
    fn updates_of_proxmox_come_first() {
        let updates = Updates::new(
            serde_json::from_value(json!([
                {"Package": "bash", "Version": "5.2-2", "OldVersion": "5.2-1", "Origin": "Debian"},
                {"Package": "pve-manager", "Version": "9.2.12", "OldVersion": "9.2.11"},
                {"Package": "proxmox-kernel-6.17.4-1-pve", "Version": "6.17.4-1"},
            ]))
            .unwrap(),
        );
        assert_eq!(updates.count, 3);
        assert_eq!(
            updates.packages,
            [
                "proxmox-kernel-6.17.4-1-pve 6.17.4-1 (new)",
                "pve-manager 9.2.11 -> 9.2.12",
                "bash 5.2-1 -> 5.2-2"
            ]
        );
        assert!(Updates::new(Vec::new()).finding().is_none());
    }
}
