//! What a request needs besides the rights that its endpoint asks for: on the guest for each
//! setting, on the storages of its disks and on the bridges of its NICs.

use std::collections::BTreeMap;

use crate::api::config::new_volume;
use crate::endpoint::Call;
use crate::fail::Fail;
use crate::formats::{field, fields};
use crate::state::{Config, Guest, is_disk_key, number_of, volid};
use pve_api::GuestType;

/// Dies unless the token may change a guest's settings to these and remove those.
pub(crate) fn check_change(
    call: &Call<'_>,
    kind: GuestType,
    set: &BTreeMap<String, String>,
    delete: &[String],
) -> Result<(), Fail> {
    let set_one = set.iter().map(|(key, value)| (key, Some(value.as_str())));
    for (key, value) in set_one.chain(delete.iter().map(|key| (key, None))) {
        check_setting(call, kind, key, value)?;
    }
    check_resources(call, kind, set)
}

/// Dies unless the token may make a guest with these settings.
pub(crate) fn check_new(call: &Call<'_>, kind: GuestType, config: &Config) -> Result<(), Fail> {
    for (key, value) in config {
        let is_free = match kind {
            // A drive needs a right on its storage alone.
            GuestType::Qemu => is_disk_key(kind, key),
            GuestType::Lxc => key == "unprivileged" && value != "0",
        };
        if !is_free {
            check_setting(call, kind, key, Some(value))?;
        }
    }
    check_resources(call, kind, config)
}

/// Dies unless the token may take away what a change replaces or removes: NICs from their
/// bridges, and unused volumes, which are erased.
pub(crate) fn check_replaced(
    call: &Call<'_>,
    guest: &Guest,
    set: &BTreeMap<String, String>,
    delete: &[String],
) -> Result<(), Fail> {
    for (key, old) in set
        .keys()
        .chain(delete)
        .filter_map(|key| Some((key, guest.get(key)?)))
    {
        if number_of("net", key).is_some() {
            check_bridge(call, old)?;
        }
        if number_of("unused", key).is_some() {
            check_space_of(call, old)?;
        }
    }
    Ok(())
}

/// Dies unless the token may use the storages and bridges of a clone with this configuration,
/// whose disks go to `storage` or else stay on their own.
pub(crate) fn check_copy(
    call: &Call<'_>,
    kind: GuestType,
    config: &Config,
    storage: Option<&str>,
) -> Result<(), Fail> {
    for (key, value) in config {
        if number_of("net", key).is_some() {
            check_bridge(call, value)?;
        }
        let is_disk = is_disk_key(kind, key) && field(value, "media") != Some("cdrom");
        match storage {
            _ if !is_disk || value.contains("cloudinit") => {}
            Some(storage) => check_space(call, storage)?,
            None => check_space_of(call, value)?,
        }
    }
    Ok(())
}

/// Dies unless the token may make volumes on a storage.
pub(crate) fn check_space(call: &Call<'_>, storage: &str) -> Result<(), Fail> {
    call.require(&format!("/storage/{storage}"), "Datastore.AllocateSpace")
}

/// Dies unless the token may make volumes on the storage of a disk.
pub(crate) fn check_space_of(call: &Call<'_>, disk: &str) -> Result<(), Fail> {
    match volid(disk).and_then(|id| id.split_once(':')) {
        Some((storage, _)) => check_space(call, storage),
        None => Ok(()),
    }
}

/// Dies unless the token may read images and templates of a storage.
pub(crate) fn check_read(call: &Call<'_>, storage: &str) -> Result<(), Fail> {
    let any = ["Datastore.Audit", "Datastore.AllocateSpace"];
    require_any(call, &format!("/storage/{storage}"), &any)
}

fn require_any(call: &Call<'_>, path: &str, any: &[&str]) -> Result<(), Fail> {
    if any.iter().any(|privilege| call.may(path, privilege)) {
        return Ok(());
    }
    Err(Fail::denied(&format!("{path}, {}", any.join("|"))))
}

/// What settings need elsewhere than on the guest.
fn check_resources(
    call: &Call<'_>,
    kind: GuestType,
    set: &BTreeMap<String, String>,
) -> Result<(), Fail> {
    for (key, value) in set {
        if is_disk_key(kind, key) {
            check_volume(call, value)?;
        }
        if number_of("net", key).is_some() {
            check_bridge(call, value)?;
        }
    }
    Ok(())
}

/// A new disk takes space on its storage; an ISO image and the source of an import are read.
/// A cloud-init drive takes nothing.
fn check_volume(call: &Call<'_>, value: &str) -> Result<(), Fail> {
    match new_volume(value) {
        Some((_, "cloudinit")) => return Ok(()),
        Some((storage, _)) => check_space(call, storage)?,
        None => {}
    }
    let images = [volid(value), field(value, "import-from")];
    for image in images.into_iter().flatten() {
        match image.split_once(':') {
            Some((storage, path)) if path.starts_with("iso/") || path.starts_with("import/") => {
                check_read(call, storage)?;
            }
            _ => {}
        }
    }
    Ok(())
}

/// All bridges of nodes are in one zone.
fn check_bridge(call: &Call<'_>, nic: &str) -> Result<(), Fail> {
    match field(nic, "bridge") {
        Some(bridge) => call.require(&format!("/sdn/zones/localnetwork/{bridge}"), "SDN.Use"),
        None => Ok(()),
    }
}

/// What holds for the pool that a new guest joins holds for the guest.
fn require(call: &Call<'_>, privilege: &str) -> Result<(), Fail> {
    let pool = call.get("pool").map(|pool| format!("/pool/{pool}"));
    if pool.is_some_and(|pool| call.may(&pool, privilege)) {
        return Ok(());
    }
    call.require(&format!("/vms/{}", call.vmid()), privilege)
}

/// What a setting needs on the guest, as `check_vm_modify_config_perm` has it.
fn check_setting(
    call: &Call<'_>,
    kind: GuestType,
    key: &str,
    value: Option<&str>,
) -> Result<(), Fail> {
    match kind {
        GuestType::Qemu if is_disk_key(kind, key) => check_drive(call, value),
        GuestType::Qemu => check_vm_setting(call, key),
        GuestType::Lxc => check_container_setting(call, key, value),
    }
}

fn check_drive(call: &Call<'_>, value: Option<&str>) -> Result<(), Fail> {
    let value = value.unwrap_or_default();
    if matches!(new_volume(value), Some((_, "cloudinit"))) {
        require(call, "VM.Config.CDROM")?;
        return require(call, "VM.Config.Cloudinit");
    }
    let is_cdrom = field(value, "media") == Some("cdrom");
    require(
        call,
        match is_cdrom {
            true => "VM.Config.CDROM",
            false => "VM.Config.Disk",
        },
    )
}

fn check_vm_setting(call: &Call<'_>, key: &str) -> Result<(), Fail> {
    let numbered = |prefix: &str| number_of(prefix, key).is_some();
    let only_root = || Err(Fail::die(format!("only root can set '{key}' config")));
    let privilege = match key {
        "args" | "lock" | "hookscript" | "affinity" => return only_root(),
        _ if numbered("parallel") => return only_root(),
        _ if numbered("hostpci") => {
            return Err(Fail::die(format!(
                "only root can set '{key}' config for non-mapped devices"
            )));
        }
        "startup" => return call.require("/", "Sys.Modify"),
        "cores" | "sockets" | "cpu" | "cpulimit" | "cpuunits" | "numa" | "smp" | "vcpus" => {
            "VM.Config.CPU"
        }
        "memory" | "balloon" | "shares" | "hugepages" | "keephugepages" | "allow-ksm" => {
            "VM.Config.Memory"
        }
        "name" | "description" | "tags" | "onboot" | "protection" | "agent" | "autostart"
        | "bios" | "keyboard" | "ostype" | "template" | "startdate" | "localtime" | "tdf"
        | "reboot" | "migrate_speed" | "migrate_downtime" => "VM.Config.Options",
        "freeze" => "VM.PowerMgmt",
        "boot" | "bootdisk" | "vmstatestorage" => "VM.Config.Disk",
        "ciuser" | "cipassword" | "sshkeys" | "citype" | "cicustom" | "ciupgrade"
        | "nameserver" | "searchdomain" => "VM.Config.Cloudinit",
        _ if numbered("ipconfig") => "VM.Config.Cloudinit",
        _ if numbered("net") => "VM.Config.Network",
        _ if numbered("unused") => "VM.Config.Disk",
        _ => "VM.Config.HWType",
    };
    require(call, privilege)
}

/// Whether a container's features hold nothing that only root@pam may set.
fn is_nesting_only(value: &str) -> bool {
    fields(value).all(|(name, _)| name == "nesting")
}

fn check_container_setting(call: &Call<'_>, key: &str, value: Option<&str>) -> Result<(), Fail> {
    let numbered = |prefix: &str| number_of(prefix, key).is_some();
    let only_root = |what: &str| {
        Err(Fail::denied(&format!(
            "{what} is only allowed for root@pam"
        )))
    };
    let is_disk = is_disk_key(GuestType::Lxc, key);
    let privilege = match key {
        "lock" => return Err(Fail::die(format!("only root can set '{key}' config"))),
        "hookscript" => return only_root("changing the hookscript"),
        "features" if value.is_some_and(|value| !is_nesting_only(value)) => {
            return only_root("changing feature flags (except nesting)");
        }
        "features" if call.get("unprivileged") == Some("0") => {
            return call.require("/", "Sys.Modify");
        }
        "features" => "VM.Allocate",
        "unprivileged" if value == Some("0") => return call.require("/", "Sys.Modify"),
        _ if is_disk && value.is_some_and(|value| value.starts_with('/')) => {
            return only_root("mount point type bind");
        }
        _ if numbered("dev") => return only_root("configuring device passthrough"),
        "cores" | "cpulimit" | "cpuunits" => "VM.Config.CPU",
        "memory" | "swap" => "VM.Config.Memory",
        "hostname" | "nameserver" | "searchdomain" => "VM.Config.Network",
        _ if numbered("net") => "VM.Config.Network",
        _ if is_disk || numbered("unused") => "VM.Config.Disk",
        _ => "VM.Config.Options",
    };
    require(call, privilege)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::{ended, send};
    use crate::{Options, Running, Tls, start};

    const TOKEN: &str = "PVEAPIToken=ops@pve!t=s";

    async fn sim() -> Running {
        let options = Options {
            tls: Tls::Off,
            task_seconds: 0.0,
            auth_delay: std::time::Duration::ZERO,
            ..Options::default()
        };
        start(options).await.unwrap()
    }

    /// Why a request is refused to a token with these rights. Waits for its task otherwise.
    async fn refusal(sim: &Running, rights: &str, line: &str) -> Option<String> {
        let token = json!({"cmd": "token", "id": "ops@pve!t", "secret": "s", "rights": rights});
        assert_eq!(sim.control(&token)["ok"], true, "{rights}");
        let answer = send(sim, Some(TOKEN), line).await;
        if answer.status != 200 {
            return Some(answer.reason);
        }
        if let Some(upid) = answer.body.unwrap()["data"].as_str() {
            ended(sim, TOKEN, upid).await;
        }
        None
    }

    /// What provisioning on a real node took, and what a refusal names.
    const NEEDS: &[(&str, &[(&str, &str)])] = &[
        (
            "POST /nodes/pve1/qemu vmid=700 name=a memory=512 cores=1 net0=virtio,bridge=vmbr0 \
             scsi0=local:1 boot=order=scsi0",
            &[
                ("VM.Allocate", ""),
                ("Datastore.AllocateSpace", "/storage/local"),
                ("VM.Config.Disk", "/vms/700"),
                ("VM.Config.Options", "/vms/700"),
                ("VM.Config.Memory", "/vms/700"),
                ("VM.Config.CPU", "/vms/700"),
                ("VM.Config.Network", "/vms/700"),
                ("SDN.Use", "/sdn/zones/localnetwork/vmbr0"),
            ],
        ),
        (
            "POST /nodes/pve1/qemu vmid=701 scsi0=local:1 ide2=local:cloudinit",
            &[
                ("VM.Allocate", ""),
                ("Datastore.AllocateSpace", "/storage/local"),
            ],
        ),
        (
            "POST /nodes/pve1/lxc vmid=702 rootfs=local:1 hostname=x net0=name=eth0,bridge=vmbr0 \
             ostemplate=nas:vztmpl/alpine-3.22-default_20250617_amd64.tar.xz unprivileged=1 \
             features=nesting=1 password=hush-hush",
            &[
                ("VM.Allocate", ""),
                ("Datastore.AllocateSpace", "/storage/local"),
                ("VM.Config.Disk", "/vms/702"),
                ("VM.Config.Network", "/vms/702"),
                ("SDN.Use", "/sdn/zones/localnetwork/vmbr0"),
            ],
        ),
        (
            "PUT /nodes/pve1/qemu/103/config net0=virtio,bridge=vmbr0,tag=7",
            &[
                ("VM.Config.Network", "/vms/103"),
                ("SDN.Use", "/sdn/zones/localnetwork/vmbr0"),
            ],
        ),
        (
            "PUT /nodes/pve1/qemu/103/config delete=net0",
            &[
                ("VM.Config.Network", "/vms/103"),
                ("SDN.Use", "/sdn/zones/localnetwork/vmbr0"),
            ],
        ),
        (
            "POST /nodes/pve1/qemu/103/config scsi5=bulk:1",
            &[
                ("VM.Config.Disk", "/vms/103"),
                ("Datastore.AllocateSpace", "/storage/bulk"),
            ],
        ),
        (
            "PUT /nodes/pve1/qemu/103/resize disk=scsi5 size=+1G",
            &[
                ("VM.Config.Disk", "/vms/103"),
                ("Datastore.AllocateSpace", "/storage/bulk"),
            ],
        ),
        (
            "POST /nodes/pve1/qemu/103/move_disk disk=scsi5 storage=local",
            &[
                ("VM.Config.Disk", "/vms/103"),
                ("Datastore.AllocateSpace", "/storage/local"),
            ],
        ),
        (
            "PUT /nodes/pve1/qemu/103/config delete=unused0",
            &[
                ("VM.Config.Disk", "/vms/103"),
                ("Datastore.AllocateSpace", "/storage/bulk"),
            ],
        ),
        (
            "PUT /nodes/pve1/qemu/103/config ide3=local:cloudinit",
            &[
                ("VM.Config.CDROM", "/vms/103"),
                ("VM.Config.Cloudinit", "/vms/103"),
            ],
        ),
        (
            "POST /nodes/pve1/qemu/9000/clone newid=703",
            &[
                ("VM.Clone", "/vms/9000"),
                ("VM.Allocate", ""),
                ("Datastore.AllocateSpace", "/storage/local"),
                ("SDN.Use", "/sdn/zones/localnetwork/vmbr0"),
            ],
        ),
        (
            "POST /nodes/pve1/qemu/9000/clone newid=704 full=1 storage=bulk",
            &[
                ("VM.Clone", "/vms/9000"),
                ("VM.Allocate", ""),
                ("Datastore.AllocateSpace", "/storage/bulk"),
                ("SDN.Use", "/sdn/zones/localnetwork/vmbr0"),
            ],
        ),
    ];

    #[tokio::test]
    async fn what_a_request_needs_is_enough_and_none_of_it_can_be_missing() {
        let sim = sim().await;
        for (line, needs) in NEEDS {
            // One of the privileges that a change of settings asks for first, and the one by
            // which a task is followed.
            let rights = |missing: &str| {
                let held = needs.iter().map(|(name, _)| *name);
                let held = held.filter(|name| *name != missing);
                let held: Vec<&str> = held.chain(["VM.Config.HWType", "Sys.Audit"]).collect();
                format!("/={}", held.join("+"))
            };
            for (name, path) in *needs {
                let expected = match *path {
                    "" => "Permission check failed".to_owned(),
                    path => format!("Permission check failed ({path}, {name})"),
                };
                let refused = refusal(&sim, &rights(name), line).await;
                assert_eq!(refused, Some(expected), "{line} without {name}");
            }
            assert_eq!(refusal(&sim, &rights(""), line).await, None, "{line}");
        }
    }

    #[tokio::test]
    async fn an_iso_image_is_read_by_either_privilege() {
        let sim = sim().await;
        let line = "PUT /nodes/pve1/qemu/103/config \
                    ide2=local:iso/debian-13.1.0-amd64-netinst.iso,media=cdrom";
        let refused = refusal(&sim, "/=VM.Config.CDROM", line).await;
        let expected = "Permission check failed (/storage/local, \
                        Datastore.Audit|Datastore.AllocateSpace)";
        assert_eq!(refused.as_deref(), Some(expected));
        for name in ["Datastore.Audit", "Datastore.AllocateSpace"] {
            let rights = format!("/=VM.Config.CDROM+{name}");
            assert_eq!(refusal(&sim, &rights, line).await, None);
        }
    }

    #[tokio::test]
    async fn the_rights_on_a_pool_are_those_on_its_new_guest() {
        let sim = sim().await;
        let line = "POST /nodes/pve1/qemu vmid=705 pool=prod name=x";
        let refused = refusal(&sim, "/pool/prod=VM.Allocate", line).await;
        let expected = "Permission check failed (/vms/705, VM.Config.Options)";
        assert_eq!(refused.as_deref(), Some(expected));
        let rights = "/pool/prod=VM.Allocate+VM.Config.Options,/nodes=Sys.Audit";
        assert_eq!(refusal(&sim, rights, line).await, None);
    }
}
