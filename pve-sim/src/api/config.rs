//! Writing a guest's configuration: what takes effect at once, what waits for
//! a reboot, and what is refused.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::api::rights;
use crate::endpoint::{Answer, Call, Endpoint, Why, apart, on};
use crate::fail::Fail;
use crate::formats::STORAGE;
use crate::formats::{field, split_list};
use crate::guest_params::{CONFIG_DIGEST, CT_NET, DELETE, LXC, NET, QEMU, REVERT};
use crate::params::{Arg, BOOL, INT, Param, opt};
use crate::permission::Permission::Any;
use crate::random::{mac, uuid};
use crate::state::{
    Cluster, Guest, GuestNames, Lines, Volume, is_cloudinit_key, is_disk_key, number_of, volid,
};
use crate::tasks::Plan;
use crate::{clock, ssh};
use pve_api::{GuestType, Method, calls, size, tags};

const QEMU_RIGHTS: &[&str] = &[
    "VM.Config.Disk",
    "VM.Config.CDROM",
    "VM.Config.CPU",
    "VM.Config.Memory",
    "VM.Config.Network",
    "VM.Config.HWType",
    "VM.Config.Options",
    "VM.Config.Cloudinit",
];
const LXC_RIGHTS: &[&str] = &[
    "VM.Config.Disk",
    "VM.Config.CPU",
    "VM.Config.Memory",
    "VM.Config.Network",
    "VM.Config.Options",
];

const FORCE: Param = opt("force", BOOL).requires("delete");
const SKIP_LOCK: Param = opt("skiplock", BOOL).root_only();

pub(crate) static ENDPOINTS: &[Endpoint] = &[
    on(
        &calls::guests::SET_CONFIG.qemu,
        &[DELETE, CONFIG_DIGEST, REVERT, FORCE, SKIP_LOCK],
        Any("/vms/{vmid}", QEMU_RIGHTS),
        |call| update(call, GuestType::Qemu, true),
    )
    .with(QEMU),
    apart(
        Why::Refused,
        Method::Post,
        "/nodes/{node}/qemu/{vmid}/config",
        &[
            DELETE,
            CONFIG_DIGEST,
            REVERT,
            FORCE,
            SKIP_LOCK,
            opt("background_delay", INT.min(1).max(30)),
            opt("import-working-storage", STORAGE),
        ],
        Any("/vms/{vmid}", QEMU_RIGHTS),
        |call| update(call, GuestType::Qemu, false),
    )
    .with(QEMU),
    on(
        &calls::guests::SET_CONFIG.lxc,
        &[DELETE, CONFIG_DIGEST, REVERT],
        Any("/vms/{vmid}", LXC_RIGHTS),
        |call| update(call, GuestType::Lxc, true),
    )
    .with(LXC),
];

/// The parameters of an update that are not settings.
const NOT_SETTINGS: [&str; 10] = [
    "node",
    "vmid",
    "delete",
    "digest",
    "revert",
    "force",
    "skiplock",
    "background_delay",
    "import-working-storage",
    "cdrom",
];

/// The settings that a request carries.
pub(crate) fn settings(call: &Call<'_>) -> BTreeMap<String, String> {
    let given = call
        .args
        .iter()
        .filter(|(key, _)| !NOT_SETTINGS.contains(&key.as_str()));
    let mut settings: BTreeMap<String, String> = given
        .filter_map(|(key, value)| match value {
            Arg::One(text) => Some((key.clone(), text.clone())),
            Arg::Bool(flag) => Some((key.clone(), i32::from(*flag).to_string())),
            _ => None,
        })
        .collect();
    if let Some(cdrom) = call.get("cdrom") {
        settings.insert("ide2".into(), cdrom.to_owned());
    }
    settings
}

/// A change that is about to be made.
#[derive(Clone)]
struct Change {
    set: BTreeMap<String, String>,
    delete: Vec<String>,
    revert: Vec<String>,
    force: bool,
}

fn update(call: &mut Call<'_>, kind: GuestType, sync: bool) -> Answer {
    let (node, vmid) = (call.node(), call.vmid());
    let list = |name: &str| -> Vec<String> {
        call.get(name)
            .map(|text| split_list(text).map(str::to_owned).collect())
            .unwrap_or_default()
    };
    let change = Change {
        set: settings(call),
        delete: list("delete"),
        revert: list("revert"),
        force: call.flag("force"),
    };
    if let Some(keys) = change.set.get("sshkeys") {
        ssh::check_keys(&crate::wire::unescape(keys)).map_err(Fail::die)?;
    }
    if change.set.is_empty() && change.delete.is_empty() && change.revert.is_empty() {
        return Err(Fail::die("no options specified"));
    }
    let declared = if kind == GuestType::Qemu { QEMU } else { LXC };
    for (name, list) in [("delete", &change.delete), ("revert", &change.revert)] {
        for key in list {
            if change.set.contains_key(key) {
                return Err(Fail::param(
                    "delete",
                    format!("you can't use '-{key}' and -{name} {key}' at the same time"),
                ));
            }
            if !declared.iter().any(|param| param.matches(key)) {
                return Err(Fail::param(name, format!("unknown option '{key}'")));
            }
        }
    }
    rights::check_change(call, kind, &change.set, &change.delete)?;

    // These checks come before a task is started.
    let guest = call.cluster.guest(&node, kind, vmid)?;
    guest.check_digest(call.get("digest")).map_err(Fail::die)?;
    guest.check_lock().map_err(Fail::die)?;
    rights::check_replaced(call, guest, &change.set, &change.delete)?;
    check_values(call.cluster, guest, &change)?;

    let shown = shown_arguments(call);
    let text = format!("update {} {vmid}: {}", kind.short(), shown.join(" "));
    call.cluster.note(&node, 156, &call.auth.token.id, text);
    if sync {
        let mut lines = Lines::default();
        apply(call.cluster, vmid, change, &mut lines).map_err(Fail::die)?;
        return Ok(Value::Null);
    }
    let plan = Plan::new(
        "qmconfig",
        vmid,
        move |cluster: &mut Cluster, lines: &mut Lines| {
            lines.push(format!("update VM {vmid}: {}", shown.join(" ")));
            cluster
                .guest(&node, kind, vmid)
                .map_err(|fail| fail.message.trim_end().to_owned())?
                .check_lock()?;
            apply(cluster, vmid, change, lines)
        },
    )
    .length(0.3);
    call.start(plan)
}

/// The request's arguments as the log has them, secrets left out.
fn shown_arguments(call: &Call<'_>) -> Vec<String> {
    let keep = |key: &&String| {
        !matches!(
            key.as_str(),
            "node" | "vmid" | "digest" | "background_delay"
        )
    };
    let keys = call.args.keys().filter(keep);
    keys.filter_map(|key| {
        let value = if key == "cipassword" {
            "<hidden>"
        } else {
            call.get(key)?
        };
        Some(format!("-{key} {value}"))
    })
    .collect()
}

pub(crate) const ONLY_ROOT: &str =
    "Only root can pass arbitrary filesystem paths. at /usr/share/perl5/PVE/Storage.pm line 651.";

/// What is wrong with a disk whatever the guest is.
pub(crate) fn check_source(
    cluster: &Cluster,
    node: &str,
    kind: GuestType,
    key: &str,
    value: &str,
) -> Result<(), Fail> {
    let only_root = || Err(Fail::die(ONLY_ROOT));
    if kind == GuestType::Qemu && value.starts_with('/') {
        return only_root();
    }
    if let Some(source) = field(value, "import-from") {
        if source.starts_with('/') {
            return only_root();
        }
        if volid(value)
            .and_then(|id| id.split_once(':'))
            .is_some_and(|(_, size)| size != "0")
        {
            return Err(Fail::param(
                key,
                "'import-from' requires special syntax - use <storage ID>:0,import-from=<source>",
            ));
        }
        if let Some(volume) = cluster.volume(source, node)
            && !matches!(volume.content, "images" | "import")
        {
            return Err(Fail::param(
                key,
                format!(
                    "{source} has wrong type '{}' - needs to be 'images' or 'import'",
                    volume.content
                ),
            ));
        }
    }
    let Some((storage, rest)) = volid(value).and_then(|id| id.split_once(':')) else {
        return Ok(());
    };
    if rest.starts_with("iso/") {
        return if field(value, "media") == Some("cdrom") {
            Ok(())
        } else {
            Err(Fail::param(
                key,
                "explicit 'media=cdrom' is required for iso images",
            ))
        };
    }
    let found = cluster.usable_storage(storage, node)?;
    let (wanted, what) = match kind {
        GuestType::Qemu => ("images", "vm images"),
        GuestType::Lxc => ("rootdir", "container directories"),
    };
    if new_volume(value).is_some() && !found.holds(wanted) {
        return Err(Fail::param(
            "storage",
            format!("storage '{storage}' does not support {what}"),
        ));
    }
    let with_unit = rest.strip_suffix(['K', 'M', 'G', 'T']);
    if with_unit.is_some_and(|size| size.parse::<f64>().is_ok()) {
        return Err(Fail::die(format!(
            "unable to parse directory volume name '{rest}'"
        )));
    }
    Ok(())
}

/// What depends on the guest itself or on its storages.
fn check_values(cluster: &Cluster, guest: &Guest, change: &Change) -> Result<(), Fail> {
    let value = |key: &str| -> Option<String> {
        let pending = || {
            guest
                .pending
                .get(key)
                .cloned()
                .unwrap_or_else(|| guest.get(key).map(str::to_owned))
        };
        change.set.get(key).cloned().or_else(pending)
    };
    if guest.kind == GuestType::Qemu
        && (change.set.contains_key("memory") || change.set.contains_key("balloon"))
    {
        let number = |text: String| text.trim_start_matches("current=").parse::<u64>().ok();
        let memory = value("memory").and_then(number).unwrap_or(512);
        if value("balloon")
            .and_then(number)
            .is_some_and(|balloon| balloon > memory)
        {
            return Err(Fail::die(
                "balloon value too large (must be smaller than assigned memory)",
            ));
        }
    }
    if guest.kind == GuestType::Lxc
        && change
            .set
            .get("unprivileged")
            .is_some_and(|new| Some(new.as_str()) != guest.get("unprivileged"))
    {
        return Err(Fail::die(
            "unable to modify read-only option: 'unprivileged'",
        ));
    }
    if guest.kind == GuestType::Lxc && change.delete.iter().any(|key| key == "rootfs") {
        return Err(Fail::die("unable to delete required option 'rootfs'"));
    }
    if let Some(order) = change.set.get("boot").and_then(|boot| field(boot, "order")) {
        for device in order.split(';') {
            let exists = guest.config.contains_key(device)
                || change.set.contains_key(device)
                || guest.pending.contains_key(device);
            if !exists || change.delete.iter().any(|key| key == device) {
                return Err(Fail::die(format!(
                    "invalid bootorder: device '{device}' does not exist'"
                )));
            }
        }
    }
    for (key, value) in change
        .set
        .iter()
        .filter(|(key, _)| is_disk_key(guest.kind, key))
    {
        check_source(cluster, &guest.node, guest.kind, key, value)?;
        check_disk(cluster, guest, key, value)?;
    }
    let protected = guest.get("protection") == Some("1");
    if let Some(disk) = change
        .delete
        .iter()
        .find(|key| is_disk_key(guest.kind, key) || key.starts_with("unused"))
        && protected
    {
        let short = guest.kind.short();
        return Err(Fail::die(format!(
            "can't remove drive '{disk}' - protection mode of {short} {} is enabled",
            guest.vmid
        )));
    }
    Ok(())
}

/// `local:8` asks for a new volume of 8 GiB; anything else must exist.
pub(crate) fn new_volume(value: &str) -> Option<(&str, &str)> {
    let (storage, rest) = volid(value)?.split_once(':')?;
    let is_new = rest == "cloudinit" || rest.parse::<f64>().is_ok();
    is_new.then_some((storage, rest))
}

fn check_disk(cluster: &Cluster, guest: &Guest, key: &str, value: &str) -> Result<(), Fail> {
    let Some(id) = volid(value) else {
        return Ok(());
    };
    let storage_id = id.split(':').next().unwrap_or_default();
    let storage = cluster.usable_storage(storage_id, &guest.node)?;
    if new_volume(value).is_some() {
        let wanted = if guest.kind == GuestType::Qemu {
            "images"
        } else {
            "rootdir"
        };
        if !storage.holds(wanted) {
            return Err(Fail::die(format!(
                "storage '{storage_id}' does not support content-type '{wanted}'"
            )));
        }
        return Ok(());
    }
    if guest.get(key).and_then(volid) == Some(id)
        || guest.config.values().any(|old| volid(old) == Some(id))
    {
        return Ok(());
    }
    match cluster.volume(id, &guest.node) {
        Some(_) => Ok(()),
        None => Err(Fail::die(format!("volume '{id}' does not exist"))),
    }
}

/// Makes the change: immediately if that is possible, otherwise it stays pending.
fn apply(
    cluster: &mut Cluster,
    vmid: u32,
    change: Change,
    lines: &mut Lines,
) -> Result<(), String> {
    let Some(guest) = cluster.guests.get(&vmid) else {
        return Err("guest is gone".into());
    };
    let (kind, node, running) = (guest.kind, guest.node.clone(), guest.is_running());
    let mut set = BTreeMap::new();
    for (key, value) in change.set {
        let old = guest.get(&key).map(str::to_owned);
        set.insert(key.clone(), (prepared(kind, &key, &value), old));
    }
    for (key, (value, _)) in &mut set {
        if is_disk_key(kind, key)
            && let Some((storage, size)) = new_volume(value)
        {
            *value = allocate(
                cluster,
                vmid,
                &node,
                (storage, size),
                value.clone().as_str(),
                lines,
            );
        }
    }
    let Some(guest) = cluster.guests.get_mut(&vmid) else {
        return Err("guest is gone".into());
    };
    for key in change.revert {
        guest.pending.remove(&key);
    }
    let mut removed_volumes = Vec::new();
    for key in change.delete {
        guest.pending.remove(&key);
        let Some(old) = guest.get(&key).map(str::to_owned) else {
            lines.push(format!(
                "cannot delete '{key}' - not set in current configuration!"
            ));
            continue;
        };
        if !running || takes_effect(guest, &key, None) {
            guest.config.remove(&key);
            if let Some(gone) = detach(guest, &key, &old, change.force) {
                removed_volumes.push(gone);
            }
            drop_from_boot(guest, &key);
        } else {
            guest.pending.insert(key, None);
        }
    }
    for (key, (value, old)) in set {
        if old.as_deref() == Some(value.as_str()) {
            guest.pending.remove(&key);
            continue;
        }
        if !running || takes_effect(guest, &key, Some(&value)) {
            guest.pending.remove(&key);
            if let Some(old) =
                old.filter(|old| is_disk_key(kind, &key) && volid(old) != volid(&value))
            {
                guest.config.insert(key.clone(), value.clone());
                if let Some(gone) = detach(guest, &key, &old, change.force) {
                    removed_volumes.push(gone);
                }
            }
            guest.config.insert(key, value);
        } else {
            guest.pending.insert(key, Some(value));
        }
    }
    if !running {
        guest.apply_pending();
    }
    cluster
        .volumes
        .retain(|volume| !removed_volumes.contains(&volume.volid));
    Ok(())
}

/// A value as it is stored: tags sorted, addresses generated, passwords hashed.
pub(crate) fn prepared(kind: GuestType, key: &str, value: &str) -> String {
    if key == "tags" {
        let mut tags: Vec<String> = tags(value).map(str::to_ascii_lowercase).collect();
        tags.sort();
        tags.dedup();
        return tags.join(";");
    }
    if key == "cipassword" && !value.starts_with('$') {
        return format!("$5${}$simulated", crate::digest::sha1_hex(value));
    }
    if key == "vmgenid" && value == "1" {
        return uuid();
    }
    if number_of("net", key).is_some() {
        return with_mac(kind, value);
    }
    value.to_owned()
}

/// A NIC always has a MAC address.
pub(crate) fn with_mac(kind: GuestType, value: &str) -> String {
    let props = if kind == GuestType::Qemu {
        &NET
    } else {
        &CT_NET
    };
    let Ok(fields) = props.parse(value, "net") else {
        return value.to_owned();
    };
    let text = |name: &str| match fields.get(name) {
        Some(Arg::One(text)) => Some(text.as_str()),
        _ => None,
    };
    let has_mac = text("macaddr").is_some() || text("hwaddr").is_some();
    if kind == GuestType::Lxc {
        let mut value = value.to_owned();
        if !has_mac {
            value.push_str(&format!(",hwaddr={}", mac()));
        }
        if text("type").is_none() {
            value.push_str(",type=veth");
        }
        return value;
    }
    let mac = text("macaddr").map_or_else(mac, str::to_owned);
    let rest: Vec<String> = fields
        .keys()
        .filter(|key| !matches!(key.as_str(), "model" | "macaddr"))
        .filter_map(|key| Some(format!("{key}={}", text(key)?)))
        .collect();
    let mut value = format!(
        "{}={}",
        text("model").unwrap_or("virtio"),
        mac.to_ascii_uppercase()
    );
    for part in rest {
        value.push(',');
        value.push_str(&part);
    }
    value
}

/// Makes a new volume and gives the disk's value with it.
pub(crate) fn allocate(
    cluster: &mut Cluster,
    vmid: u32,
    node: &str,
    (storage, size): (&str, &str),
    value: &str,
    lines: &mut Lines,
) -> String {
    let (is_files, shared, path) =
        cluster
            .storage(storage)
            .map_or((true, false, String::new()), |found| {
                (
                    found.is_files(),
                    found.shared,
                    found.path.clone().unwrap_or_default(),
                )
            });
    let is_ct = cluster
        .guests
        .get(&vmid)
        .is_some_and(|guest| guest.kind == GuestType::Lxc);
    let cloudinit = size == "cloudinit";
    let default = if is_ct { "raw" } else { "qcow2" };
    let format = if is_files {
        field(value, "format").unwrap_or(default)
    } else {
        "raw"
    }
    .to_owned();
    let bytes = if cloudinit {
        4 << 20
    } else {
        size::parse(&format!("{size}G")).unwrap_or_default()
    };
    let taken = |name: &str| cluster.volumes.iter().any(|volume| volume.volid == name);
    let named = |number: u32| {
        let base = if cloudinit {
            format!("vm-{vmid}-cloudinit")
        } else {
            format!("vm-{vmid}-disk-{number}")
        };
        if is_files {
            format!("{storage}:{vmid}/{base}.{format}")
        } else {
            format!("{storage}:{base}")
        }
    };
    let name = (0..1000)
        .map(named)
        .find(|name| !taken(name))
        .unwrap_or_else(|| named(0));
    if is_files && !cloudinit {
        let file = name.split_once(':').map_or("", |(_, file)| file);
        lines.push(format!(
            "Formatting '{path}/images/{file}', fmt={format} size={bytes} preallocation=off"
        ));
    }
    cluster.volumes.push(Volume {
        volid: name.clone(),
        storage: storage.to_owned(),
        node: (!shared).then(|| node.to_owned()),
        content: if is_ct { "rootdir" } else { "images" },
        format,
        size: bytes,
        used: bytes / 100,
        ctime: clock::now(),
        vmid: Some(vmid),
        notes: None,
        protected: false,
        parent: None,
        archive: None,
    });
    let mut made = name;
    for (key, field) in crate::formats::fields(value).skip(1) {
        if key != "format" && key != "size" {
            made.push_str(&format!(",{key}={field}"));
        }
    }
    if cloudinit && field(value, "media").is_none() {
        made.push_str(",media=cdrom");
    }
    made.push_str(&format!(",size={}", size::parameter(bytes)));
    made
}

/// A disk that is taken off becomes unused; a cloud-init drive or an unused disk is deleted.
fn detach(guest: &mut Guest, key: &str, old: &str, force: bool) -> Option<String> {
    let volume = volid(old)?.to_owned();
    if key.starts_with("unused") || force || volume.contains("cloudinit") {
        return Some(volume);
    }
    if !is_disk_key(guest.kind, key) || field(old, "media") == Some("cdrom") {
        return None;
    }
    let free = (0..256)
        .map(|number| format!("unused{number}"))
        .find(|name| !guest.config.contains_key(name))?;
    guest.config.insert(free, volume);
    None
}

fn drop_from_boot(guest: &mut Guest, key: &str) {
    let Some(order) = guest
        .get("boot")
        .and_then(|boot| field(boot, "order"))
        .map(str::to_owned)
    else {
        return;
    };
    if order.split(';').any(|device| device == key) {
        let rest: Vec<&str> = order.split(';').filter(|device| *device != key).collect();
        guest
            .config
            .insert("boot".into(), format!("order={}", rest.join(";")));
    }
}

/// Whether a change of that key reaches a running guest; other changes wait for its restart.
fn takes_effect(guest: &Guest, key: &str, value: Option<&str>) -> bool {
    let numbered = |prefix: &str| number_of(prefix, key).is_some();
    if guest.kind == GuestType::Lxc {
        return matches!(
            key,
            "cores"
                | "cpulimit"
                | "cpuunits"
                | "description"
                | "hookscript"
                | "hostname"
                | "lock"
                | "memory"
                | "nameserver"
                | "onboot"
                | "protection"
                | "searchdomain"
                | "startup"
                | "swap"
                | "tags"
                | "timezone"
        ) || numbered("net")
            || numbered("mp") && guest.get(key).is_none()
            || numbered("unused");
    }
    let hotplug = match guest.get("hotplug") {
        None | Some("1") => "network,disk,usb",
        Some(features) => features,
    };
    let hot = |feature: &str| split_list(hotplug).any(|name| name == feature);
    match key {
        "description" | "hookscript" | "lock" | "migrate_downtime" | "migrate_speed" | "name"
        | "onboot" | "protection" | "shares" | "startup" | "tags" | "vmstatestorage"
        | "cpulimit" | "cpuunits" => true,
        // A balloon can be inflated at run time, but not be added or taken away.
        "balloon" => value.is_some_and(|new| new != "0") && guest.get("balloon") != Some("0"),
        "memory" => hot("memory"),
        "vcpus" => hot("cpu"),
        _ if is_cloudinit_key(key) => true,
        _ if numbered("net") => hot("network"),
        _ if numbered("usb") => hot("usb"),
        _ if numbered("unused") => true,
        _ if numbered("scsi") || numbered("virtio") => hot("disk"),
        // A medium can be changed at any time, a drive cannot.
        _ if numbered("ide") || numbered("sata") => {
            let is_cdrom = |value: &str| field(value, "media") == Some("cdrom");
            value.is_some_and(is_cdrom) && guest.get(key).is_some_and(is_cdrom)
        }
        _ => false,
    }
}
