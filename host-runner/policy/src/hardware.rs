//! Changes of a guest's disks and drives, which only its present configuration
//! shows to be harmless.
//!
//! Proxmox takes a disk that is written to a slot in use for a replacement: the
//! old volume is pushed out, and a cloud-init drive's is deleted at once. So a
//! request for a slot is allowed only if the slot is known to be free, or to hold
//! a CD-ROM. An installer on a CD-ROM could overwrite the disk of a guest that
//! boots from it first, and a container's new mount point hides what is below its
//! path: both depend on the configuration too. Whoever lets requests out reads it
//! itself ([`Present`]) and the request has to carry the digest of just that
//! configuration, so that Proxmox refuses it if anything has changed since.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use pve_api::hardware::{NewDrive, container_volume, mount_path};
use pve_api::slot::Bus;
use pve_api::{GuestType, Method, Vmid};
use serde::Deserialize;
use serde_json::Value;

use super::request::ApiRequest;

/// What has to be read of Proxmox to judge a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// The node that the request names.
    pub node: String,
    what: What,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum What {
    /// The configuration of a guest.
    Guest { guest_type: GuestType, vmid: Vmid },
    /// The size of an image that a disk is copied from, where disks have a limit.
    Image { storage: String, name: String },
}

/// A guest's configuration at this moment: the values in force, and those that
/// wait for its next start. Or the size of an image.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Present {
    digest: String,
    slots: BTreeMap<String, Slot>,
    /// The size of the disk in an image. None of a guest.
    image_bytes: Option<u64>,
}

/// What is known of a setting.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Slot {
    /// In force and pending.
    values: Vec<String>,
    /// Some value is not a text.
    is_unreadable: bool,
    /// The guest's next start removes it.
    is_removed: bool,
}

/// Why a request about disks and drives is not allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Obstacle {
    /// Whatever the guest's configuration is.
    Harm(&'static str),
    /// The guest would boot from the CD-ROM that it inserts before its disk.
    Boot,
    /// The configuration is not known.
    Unknown,
    /// The request was made from another configuration.
    Stale,
}

/// What every answer of Proxmox is wrapped in.
#[derive(Deserialize)]
struct Wrapped<T> {
    data: T,
}

/// A setting of a guest, with the value that it has after the next start.
#[derive(Deserialize)]
struct PendingSetting {
    key: String,
    value: Option<Value>,
    pending: Option<Value>,
    /// 1, or 2 where it is forced: the next start removes the setting.
    delete: Option<Value>,
}

impl Present {
    /// Reads the configuration of a guest. None if it is something else.
    pub(crate) fn read(body: &[u8]) -> Option<Self> {
        let answer: Wrapped<Vec<PendingSetting>> = serde_json::from_slice(body).ok()?;
        let mut present = Self::default();
        for entry in answer.data {
            if entry.key == "digest" {
                present.digest = entry.value?.as_str()?.to_owned();
                continue;
            }
            let slot = present.slots.entry(entry.key).or_default();
            slot.is_removed |= entry.delete.is_some();
            for value in [entry.value, entry.pending].into_iter().flatten() {
                match value {
                    Value::String(text) => slot.values.push(text),
                    Value::Number(number) => slot.values.push(number.to_string()),
                    _ => slot.is_unreadable = true,
                }
            }
        }
        (!present.digest.is_empty()).then_some(present)
    }

    /// Reads the attributes of an image, whose size is that of the disk in it, not of
    /// its file.
    fn of_image(body: &[u8]) -> Option<Self> {
        #[derive(Deserialize)]
        struct Image {
            size: u64,
        }
        let answer: Wrapped<Image> = serde_json::from_slice(body).ok()?;
        Some(Self {
            image_bytes: Some(answer.data.size),
            ..Self::default()
        })
    }

    /// Whether a slot holds nothing, and will not at the guest's next start.
    fn is_free(&self, slot: &str) -> bool {
        !self.slots.contains_key(slot)
    }

    /// Whether a slot holds a CD-ROM and nothing else: no volume is lost with it.
    fn is_cd(&self, slot: &str) -> bool {
        self.slots.get(slot).is_some_and(|slot| {
            !slot.is_unreadable
                && !slot.values.is_empty()
                && slot.values.iter().all(|value| is_cd(value))
        })
    }

    /// Whether a slot holds one volume that can be moved.
    fn is_volume(&self, slot: &str) -> bool {
        let used = self
            .slots
            .get(slot)
            .filter(|_| is_disk(slot) && Bus::of(slot) != Some(Bus::Unused));
        used.is_some_and(|slot| {
            let is_volume = |value: &String| {
                let head = value.split(',').next().unwrap_or_default();
                let head = head.strip_prefix("file=").unwrap_or(head);
                let head = head.strip_prefix("volume=").unwrap_or(head);
                let is_medium = value.split(',').any(|part| part == "media=cdrom");
                pve_api::split_volid(head).is_some() && !is_medium && !is_cloud_init(value)
            };
            !slot.is_unreadable && slot.values.len() == 1 && slot.values.iter().all(is_volume)
        })
    }

    fn has_cloud_init(&self) -> bool {
        let mut drives = self.slots.iter().filter(|(name, _)| is_disk(name));
        drives.any(|(_, slot)| {
            slot.is_unreadable || slot.values.iter().any(|value| is_cloud_init(value))
        })
    }

    /// Whether a VM boots from a disk that it has before it boots from a CD-ROM in a
    /// slot, now and after its next start; or has no disk.
    fn boots_from_disk_before(&self, slot: &str) -> bool {
        let mut disks = self.slots.keys().filter(|name| is_bus(name));
        if !disks.any(|name| !self.is_cd(name) && !self.is_cloud_init_drive(name)) {
            return true;
        }
        let (Some(orders), Some(first)) = (self.texts("boot"), self.texts("bootdisk")) else {
            return false;
        };
        orders.into_iter().all(|order| {
            let mut parts = order.unwrap_or_default().split(',');
            match parts.find_map(|part| part.strip_prefix("order=")) {
                // Proxmox adds a new CD-ROM at the end.
                Some(order) => order
                    .split(';')
                    .take_while(|device| *device != slot)
                    .any(|device| self.is_boot_disk(device)),
                None => {
                    legacy_boots_from_disk(order)
                        && first
                            .iter()
                            .all(|first| first.is_some_and(|first| self.is_boot_disk(first)))
                }
            }
        })
    }

    /// What a setting is, and will be: none where it is not set. Fails where that
    /// cannot be read.
    fn texts<'a>(&'a self, name: &str) -> Option<Vec<Option<&'a str>>> {
        let Some(known) = self.slots.get(name) else {
            return Some(vec![None]);
        };
        let values = known.values.iter().map(|value| Some(value.as_str()));
        let removed = known.is_removed.then_some(None);
        (!known.is_unreadable).then(|| values.chain(removed).collect())
    }

    /// Whether a slot holds a disk, and keeps one at the next start.
    fn is_boot_disk(&self, name: &str) -> bool {
        let slot = self.slots.get(name).filter(|_| is_bus(name));
        slot.is_some_and(|slot| {
            let is_medium = |value: &String| value.split(',').any(|part| part == "media=cdrom");
            !slot.is_unreadable
                && !slot.is_removed
                && !slot.values.is_empty()
                && !slot.values.iter().any(is_medium)
        }) && !self.is_cloud_init_drive(name)
    }

    fn is_cloud_init_drive(&self, name: &str) -> bool {
        let slot = self.slots.get(name);
        slot.is_some_and(|slot| slot.values.iter().any(|value| is_cloud_init(value)))
    }

    /// Whether a container has something mounted at a path, or below it.
    fn mounts_below(&self, path: &str) -> bool {
        let mut points = self
            .slots
            .iter()
            .filter(|(name, _)| Bus::of(name) == Some(Bus::MountPoint));
        points.any(|(_, slot)| {
            let mut paths = slot.values.iter().map(|value| mount_path(value));
            slot.is_unreadable || paths.any(|mounted| mounted.is_none_or(|one| is_in(one, path)))
        })
    }
}

/// The order of older versions: letters for disks, CD-ROMs and networks. Without one,
/// disks are first, but only the one in `bootdisk` is booted from.
fn legacy_boots_from_disk(order: Option<&str>) -> bool {
    let order = order.unwrap_or("cdn");
    let order = order.strip_prefix("legacy=").unwrap_or(order);
    match (order.find('c'), order.find('d')) {
        (Some(disk), Some(cd)) => disk < cd,
        (Some(_), None) => true,
        (None, _) => false,
    }
}

/// Whether a path is another, or below it, however many slashes they have.
fn is_in(path: &str, other: &str) -> bool {
    let parts = |text| str::split(text, '/').filter(|part| !matches!(*part, "" | "."));
    let mut path = parts(path);
    parts(other).all(|part| path.next() == Some(part))
}

/// The name of a slot that a VM can boot from.
fn is_bus(name: &str) -> bool {
    Bus::of(name).is_some_and(Bus::is_of_drives)
}

/// The volume of a cloud-init drive, whatever its storage is called.
fn is_cloud_init(value: &str) -> bool {
    let head = value.split(',').next().unwrap_or_default();
    let head = head.strip_prefix("file=").unwrap_or(head);
    pve_api::split_volid(head)
        .is_some_and(|(_, name)| name.contains("cloudinit") && !name.starts_with("iso/"))
}

/// A CD-ROM as a configuration holds it: an ISO image with its size, an empty
/// drive, or the node's own.
fn is_cd(value: &str) -> bool {
    let head = value.split(',').next().unwrap_or_default();
    let head = head.strip_prefix("file=").unwrap_or(head);
    let is_iso = pve_api::split_volid(head).is_some_and(|(_, name)| name.starts_with("iso/"));
    let is_medium = value.split(',').any(|part| part == "media=cdrom");
    is_medium && (is_iso || matches!(head, "none" | "cdrom"))
}

impl Subject {
    /// The guest whose disks, drives or template state a request changes.
    pub(crate) fn of(request: &ApiRequest) -> Option<Self> {
        let segments: Vec<&str> = request.segments.iter().map(String::as_str).collect();
        let ["nodes", node, kind @ ("qemu" | "lxc"), vmid, what] = segments.as_slice() else {
            return None;
        };
        let guest_type = match *kind {
            "qemu" => GuestType::Qemu,
            _ => GuestType::Lxc,
        };
        let is_subject = match *what {
            "config" => {
                request.method != Method::Get
                    && request.params.iter().any(|(name, _)| is_disk(name))
            }
            "move_disk" | "move_volume" => has_digest(request),
            "template" => request.method == Method::Post,
            _ => false,
        };
        is_subject.then_some(())?;
        let vmid = Vmid::parse(vmid)?;
        Some(Self {
            node: (*node).to_owned(),
            what: What::Guest { guest_type, vmid },
        })
    }

    /// The image that a request copies into a new disk.
    fn image_of(request: &ApiRequest) -> Option<Self> {
        let segments: Vec<&str> = request.segments.iter().map(String::as_str).collect();
        let ["nodes", node, ..] = segments.as_slice() else {
            return None;
        };
        let (storage, name) = images(request).next()?.split_once(':')?;
        Some(Self {
            node: (*node).to_owned(),
            what: What::Image {
                storage: storage.to_owned(),
                name: name.to_owned(),
            },
        })
    }

    /// Where Proxmox has it, below the API.
    pub fn path(&self) -> String {
        let node = &self.node;
        match &self.what {
            What::Guest { guest_type, vmid } => {
                format!("/nodes/{node}/{guest_type}/{}/pending", vmid.get())
            }
            // The grammar of images has no other character to encode.
            What::Image { storage, name } => format!(
                "/nodes/{node}/storage/{storage}/content/{storage}%3A{}",
                name.replace('/', "%2F").replace('+', "%2B")
            ),
        }
    }

    /// Reads the answer to [`Self::path`]. None if it is something else.
    pub fn read(&self, body: &[u8]) -> Option<Present> {
        match self.what {
            What::Guest { .. } => Present::read(body),
            What::Image { .. } => Present::of_image(body),
        }
    }
}

/// The images that a request copies into new disks.
fn images(request: &ApiRequest) -> impl Iterator<Item = &str> {
    request
        .params
        .iter()
        .filter(|(name, _)| is_disk(name))
        .filter_map(|(_, value)| match NewDrive::parse(value)? {
            NewDrive::Import { source, .. } => Some(source),
            _ => None,
        })
}

/// Why a request copies an image that is larger than a disk may be, and what has to be
/// known to tell: a request does not show the size of an image.
pub(crate) fn image_obstacle(
    request: &ApiRequest,
    cap_gib: NonZeroU32,
    present: Option<&Present>,
) -> Option<(String, Option<Subject>)> {
    const GIB: u64 = 1 << 30;
    let cap = format!("this server allows disks of at most {cap_gib} GiB (set by its operator)");
    let several = match images(request).count() {
        0 => return None,
        count => count > 1,
    };
    if several {
        return Some((format!("{cap}, so a VM can have one image only"), None));
    }
    match present.and_then(|present| present.image_bytes) {
        Some(bytes) if bytes <= u64::from(cap_gib.get()) * GIB => None,
        Some(bytes) => {
            let gib = bytes.div_ceil(GIB);
            Some((
                format!("{cap}, and the disk in the image has {gib} GiB"),
                None,
            ))
        }
        None => {
            let subject = Subject::image_of(request).filter(|_| present.is_none());
            let reason = format!("{cap}, and the size of the image could not be read");
            Some((reason, subject))
        }
    }
}

/// Why a change of a guest's disks and drives is not allowed, if it is one.
pub(crate) fn obstacle(request: &ApiRequest, present: Option<&Present>) -> Option<Obstacle> {
    let What::Guest { guest_type, .. } = Subject::of(request)?.what else {
        return None;
    };
    let what = request.segments.last().map_or("", String::as_str);
    let is_config = what == "config";
    if is_config && let Some(harm) = config_harm(request, guest_type) {
        return Some(Obstacle::Harm(harm));
    }
    let Some(present) = present else {
        return Some(Obstacle::Unknown);
    };
    if what == "template" {
        // The call has no digest: what it does not find, it refuses.
        return (!present.is_free("template")).then_some(Obstacle::Harm(
            "it would convert a guest that is already a template",
        ));
    }
    let same = |digest: &str| digest == present.digest;
    let mut digests = request.values("digest");
    if !digests.next().is_some_and(same) || digests.next().is_some() {
        return Some(Obstacle::Stale);
    }
    if is_config {
        return config_conflict(request, present);
    }
    let mut slots = request.values("disk").chain(request.values("volume"));
    let moves_volume = slots.next().is_some_and(|slot| present.is_volume(slot));
    (!moves_volume || slots.next().is_some()).then_some(Obstacle::Harm(
        "it would move something that is not a volume in use, or that has a pending change",
    ))
}

/// What is wrong with a change of disks whatever the guest has.
fn config_harm(request: &ApiRequest, guest_type: GuestType) -> Option<&'static str> {
    const REPLACES: &str = "it would replace a guest's disk";
    for (name, value) in request.params.iter().filter(|(name, _)| is_disk(name)) {
        let fits = match (guest_type, Bus::of(name)) {
            (GuestType::Qemu, Some(bus)) if bus.is_of_drives() => {
                matches!(NewDrive::parse(value), Some(drive) if drive_fits(drive))
            }
            (GuestType::Lxc, Some(Bus::MountPoint)) => container_volume(value, true).is_some(),
            _ => false,
        };
        if !fits {
            return Some(REPLACES);
        }
    }
    let has_other = ["delete", "revert", "force"]
        .into_iter()
        .any(|name| request.values(name).next().is_some());
    if has_other {
        return Some("it would remove settings and change disks in one request");
    }
    (!has_digest(request)).then_some(
        "without the digest of the configuration that it was made from, it could replace a guest's \
         disk",
    )
}

/// Drives that an existing guest may be given.
fn drive_fits(drive: NewDrive<'_>) -> bool {
    !matches!(drive, NewDrive::Import { .. })
}

/// What is wrong with a change of disks for what the guest has.
fn config_conflict(request: &ApiRequest, present: &Present) -> Option<Obstacle> {
    let mut cloud_init_drives = 0;
    let mut mounted: Vec<&str> = Vec::new();
    for (name, value) in request.params.iter().filter(|(name, _)| is_disk(name)) {
        let fits = match NewDrive::parse(value) {
            Some(NewDrive::Cd(iso)) => {
                let fits = present.is_free(name) || present.is_cd(name);
                if fits && iso.is_some() && !present.boots_from_disk_before(name) {
                    return Some(Obstacle::Boot);
                }
                fits
            }
            Some(NewDrive::CloudInit { .. }) => {
                cloud_init_drives += 1;
                if present.has_cloud_init() || cloud_init_drives > 1 {
                    let second = "it would give a guest a second cloud-init drive";
                    return Some(Obstacle::Harm(second));
                }
                present.is_free(name)
            }
            _ => present.is_free(name),
        };
        if !fits {
            let used = "the slot is in use, and it would replace what is there";
            return Some(Obstacle::Harm(used));
        }
        if Bus::of(name) == Some(Bus::MountPoint) {
            let path = mount_path(value).unwrap_or("/");
            if present.mounts_below(path) || mounted.iter().any(|one| is_in(one, path)) {
                let hides = "it would hide what is mounted at that path or below it";
                return Some(Obstacle::Harm(hides));
            }
            mounted.push(path);
        }
    }
    None
}

fn has_digest(request: &ApiRequest) -> bool {
    request.values("digest").next().is_some()
}

/// Whether a setting's name is that of a disk or drive.
pub(crate) fn is_disk(key: &str) -> bool {
    matches!(key, "vmstate" | "cdrom") || Bus::of(key).is_some()
}

impl Obstacle {
    /// Why, for people.
    pub(crate) fn reason(self) -> String {
        match self {
            Self::Harm(harm) => format!("{harm}, which no policy can allow"),
            Self::Boot => {
                "the guest would boot from this CD-ROM before its disk, and an installer \
                           on it could overwrite that, so no policy can allow this: insert the \
                           image into a free drive that is not in the boot order, such as ide0, or \
                           in the web interface"
                    .to_owned()
            }
            Self::Unknown => "whether it would replace or lose a disk depends on the guest's \
                              present configuration, which could not be read"
                .to_owned(),
            Self::Stale => "the guest's configuration has changed since the digest in the request \
                            was read: read it again, and repeat the change"
                .to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;
    use serde_json::json;

    use super::super::{Directory, Policy, Preset};
    use super::*;

    const DIGEST: &str = "0a1b2c";

    fn request(method: &str, path: &str, form: &[(String, String)]) -> ApiRequest {
        let body = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(form)
            .finish();
        let target = format!("/api2/json{path}");
        let kind = Some("application/x-www-form-urlencoded").filter(|_| !body.is_empty());
        ApiRequest::parse(method, &target, kind, body.as_bytes()).unwrap()
    }

    /// An operator who allows whatever can be allowed.
    fn allows(request: &ApiRequest, present: &Present) -> bool {
        let mut policy = Policy::preset(Preset::Admin);
        policy.allow = vec!["* /**".parse().unwrap()];
        let verdict = policy.decide_knowing(Ok(request), &Directory::new(), Some(present));
        // What is not known is not allowed.
        if Subject::of(request).is_some() {
            let blind = policy.decide(Ok(request), &Directory::new());
            assert!(!blind.allowed, "{request:?}");
        }
        verdict.allowed
    }

    fn present(entries: &[(&str, Option<&str>, Option<&str>)]) -> Present {
        let mut data: Vec<Value> = entries
            .iter()
            .map(|(key, value, pending)| json!({"key": key, "value": value, "pending": pending}))
            .collect();
        data.push(json!({"key": "digest", "value": DIGEST}));
        Present::read(json!({ "data": data }).to_string().as_bytes()).unwrap()
    }

    fn pairs(form: &[(&str, &str)]) -> Vec<(String, String)> {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        form.iter().map(owned).collect()
    }

    #[test]
    fn slots_that_are_free_or_hold_a_cd() {
        let vm = present(&[
            (
                "scsi0",
                Some("local:100/vm-100-disk-0.qcow2,size=32G"),
                None,
            ),
            ("scsi1", None, Some("local:100/vm-100-disk-1.qcow2")),
            ("ide0", Some("nas:iso/a.iso,media=cdrom,size=1M"), None),
            (
                "ide2",
                Some("local:100/vm-100-cloudinit.qcow2,media=cdrom"),
                None,
            ),
            (
                "ide3",
                Some("none,media=cdrom"),
                Some("local:100/vm-100-disk-2.raw"),
            ),
            (
                "sata0",
                Some("local:100/vm-100-disk-3.raw,media=cdrom"),
                None,
            ),
            ("unused0", Some("local:100/vm-100-disk-4.qcow2"), None),
            ("name", Some("web"), None),
            ("boot", Some("order=scsi0;ide0"), None),
        ]);
        let config = "/nodes/pve1/qemu/100/config";
        let cd = "nas:iso/b.iso,media=cdrom";
        for (slot, value, allowed) in [
            ("scsi2", "local:8", true),
            ("virtio0", "local:8,discard=on", true),
            ("scsi0", "local:8", false),
            ("scsi1", "local:8", false),
            ("unused1", "local:8", false),
            ("efidisk0", "local:1,efitype=4m", false),
            ("scsi2", "local:100/vm-100-disk-4.qcow2", false),
            ("scsi2", "local:0,import-from=local:import/a.raw", false),
            ("ide0", cd, true),
            ("ide0", "none,media=cdrom", true),
            ("ide1", cd, true),
            ("sata5", "none,media=cdrom", true),
            ("ide0", "local:8", false),
            ("ide2", cd, false),
            ("ide2", "none,media=cdrom", false),
            ("ide3", cd, false),
            ("sata0", "none,media=cdrom", false),
            ("scsi0", cd, false),
            ("ide1", "cdrom,media=cdrom", false),
            ("cdrom", cd, false),
            // There is one already.
            ("ide1", "local:cloudinit", false),
            ("mp0", "local:8,mp=/srv", false),
        ] {
            let form = pairs(&[(slot, value), ("digest", DIGEST)]);
            assert_eq!(
                allows(&request("PUT", config, &form), &vm),
                allowed,
                "{slot}={value}"
            );
            for form in [
                pairs(&[(slot, value)]),
                pairs(&[(slot, value), ("digest", "ff")]),
                pairs(&[(slot, value), ("digest", DIGEST), ("digest", "ff")]),
                pairs(&[(slot, value), ("digest", DIGEST), ("delete", "description")]),
                pairs(&[(slot, value), ("digest", DIGEST), ("force", "1")]),
            ] {
                assert!(!allows(&request("PUT", config, &form), &vm), "{form:?}");
            }
        }
        // The word is looked for in the names of volumes alone.
        let empty = present(&[
            ("tags", Some("cloudinit"), None),
            ("description", Some("no cloudinit"), None),
            ("scsi0", Some("cloudinit-nas:vm-100-disk-0"), None),
            ("ide0", Some("nas:iso/cloudinit.iso,media=cdrom"), None),
        ]);
        assert!(empty.is_volume("scsi0"));
        let cloud_init = pairs(&[("ide2", "local:cloudinit"), ("digest", DIGEST)]);
        assert!(allows(&request("PUT", config, &cloud_init), &empty));
        let two = pairs(&[
            ("ide2", "local:cloudinit"),
            ("ide3", "local:cloudinit"),
            ("digest", DIGEST),
        ]);
        assert!(!allows(&request("PUT", config, &two), &empty));
    }

    #[test]
    fn no_cd_is_inserted_that_boots_before_the_disk() {
        let disk = ("scsi0", Some("local:vm-100-disk-0,size=32G"), None);
        let drive = ("ide2", Some("none,media=cdrom"), None);
        let second = Some("local:vm-100-disk-1");
        let inserts = |more: &[(&str, Option<&str>, Option<&str>)]| {
            let vm = present(&[&[disk, drive], more].concat());
            let put = |value: &str| {
                let form = pairs(&[("ide2", value), ("digest", DIGEST)]);
                allows(&request("PUT", "/nodes/pve1/qemu/100/config", &form), &vm)
            };
            assert!(put("none,media=cdrom"), "{more:?}");
            put("nas:iso/b.iso,media=cdrom")
        };
        for order in [
            "order=scsi0",
            "order=scsi0;ide2;net0",
            "order=net0;scsi0;ide2",
        ] {
            assert!(inserts(&[("boot", Some(order), None)]), "{order}");
        }
        for order in [
            "order=ide2;scsi0",
            "order=ide2",
            "order=net0",
            "order=",
            "order=scsi1;ide2;scsi0",
            "dc",
            "legacy=dcn",
            "n",
            "cdn",
        ] {
            assert!(!inserts(&[("boot", Some(order), None)]), "{order}");
            let pending = [("boot", Some("order=scsi0"), Some(order))];
            assert!(!inserts(&pending), "{order}");
        }
        // Older versions boot from one disk only.
        assert!(!inserts(&[]));
        let first = ("bootdisk", Some("scsi0"), None);
        assert!(inserts(&[first]) && inserts(&[first, ("boot", Some("cdn"), None)]));
        assert!(inserts(&[first, ("boot", Some("c"), None)]));
        assert!(!inserts(&[first, ("boot", Some("dc"), None)]));
        assert!(!inserts(&[("bootdisk", Some("scsi1"), None)]));
        assert!(inserts(&[
            ("scsi1", second, None),
            ("bootdisk", Some("scsi1"), None)
        ]));
        // The next start removes what comes first now.
        let body = json!({"data": [
            {"key": "digest", "value": DIGEST},
            {"key": "scsi0", "value": "local:vm-100-disk-0"},
            {"key": "boot", "value": "order=scsi0", "delete": 1},
        ]});
        let removed = Present::read(body.to_string().as_bytes()).unwrap();
        assert!(!removed.boots_from_disk_before("ide2"));
        // Nothing can be overwritten in a guest without a disk.
        assert!(present(&[drive]).boots_from_disk_before("ide2"));
        let form = pairs(&[("ide2", "nas:iso/b.iso,media=cdrom"), ("digest", DIGEST)]);
        let put = request("PUT", "/nodes/pve1/qemu/100/config", &form);
        let verdict = Policy::preset(Preset::Operate).decide_knowing(
            Ok(&put),
            &Directory::new(),
            Some(&removed),
        );
        assert!(verdict.reason.contains("web interface"), "{verdict:?}");
        assert!(verdict.meaning.is_destructive());
    }

    #[test]
    fn no_volume_is_mounted_over_another() {
        let container = present(&[
            ("rootfs", Some("local:200/vm-200-disk-0.raw,size=8G"), None),
            (
                "mp0",
                Some("local:200/vm-200-disk-1.raw,mp=/srv/data/,size=8G"),
                None,
            ),
            ("mp1", None, Some("/tank/media,mp=/mnt//media")),
        ]);
        let put = |form: &[(&str, &str)]| {
            let form = [pairs(form), pairs(&[("digest", DIGEST)])].concat();
            request("PUT", "/nodes/pve1/lxc/200/config", &form)
        };
        for (path, allowed) in [
            ("/srv/data2", true),
            ("/srv/data/more", true),
            ("/var/lib/mysql", true),
            ("/home", true),
            ("/srv/data", false),
            ("/srv", false),
            ("/mnt", false),
            ("/mnt/media", false),
            ("/usr", false),
            ("/etc/ssh", false),
            ("/var", false),
        ] {
            let request = put(&[("mp5", &format!("local:8,mp={path}"))]);
            assert_eq!(allows(&request, &container), allowed, "{path}");
        }
        let both = put(&[("mp5", "local:8,mp=/opt/a"), ("mp6", "local:8,mp=/opt")]);
        assert!(!allows(&both, &container));
        let verdict = Policy::preset(Preset::Operate).decide_knowing(
            Ok(&put(&[("mp5", "local:8,mp=/opt")])),
            &Directory::new(),
            Some(&container),
        );
        assert!(verdict.allowed && verdict.meaning.is_destructive());
    }

    #[test]
    fn volumes_that_move_and_stay() {
        let vm = present(&[
            (
                "scsi0",
                Some("local:100/vm-100-disk-0.qcow2,size=32G"),
                None,
            ),
            (
                "scsi1",
                Some("local:vm-100-disk-1"),
                Some("local:vm-100-disk-2"),
            ),
            (
                "ide2",
                Some("local:100/vm-100-cloudinit.qcow2,media=cdrom"),
                None,
            ),
            ("unused0", Some("local:vm-100-disk-9"), None),
            ("template", Some("1"), None),
        ]);
        let path = "/nodes/pve1/qemu/100/move_disk";
        for (disk, allowed) in [
            ("scsi0", true),
            ("scsi1", false),
            ("scsi2", false),
            ("ide2", false),
            ("unused0", false),
        ] {
            let form = pairs(&[("disk", disk), ("storage", "nas"), ("digest", DIGEST)]);
            assert_eq!(
                allows(&request("POST", path, &form), &vm),
                allowed,
                "{disk}"
            );
            let deleting = [form.clone(), pairs(&[("delete", "1")])].concat();
            assert!(!allows(&request("POST", path, &deleting), &vm));
            let stale = pairs(&[("disk", disk), ("storage", "nas"), ("digest", "ff")]);
            assert!(!allows(&request("POST", path, &stale), &vm));
        }
        let convert = request("POST", "/nodes/pve1/qemu/100/template", &[]);
        assert!(!allows(&convert, &vm));
        assert!(allows(&convert, &present(&[])));
    }

    #[test]
    fn the_disk_in_an_image_has_a_limit() {
        let mut policy = Policy::preset(Preset::Operate);
        policy.sizes.disk_gib = NonZeroU32::new(8);
        let form = |disk: &str| {
            pairs(&[
                ("vmid", "105"),
                ("memory", "512"),
                ("cores", "1"),
                ("scsi0", disk),
            ])
        };
        let image = form("local:0,import-from=nas:import/a+b.qcow2");
        let image = request("POST", "/nodes/pve1/qemu", &image);
        let verdict = policy.decide(Ok(&image), &Directory::new());
        assert!(!verdict.allowed, "{verdict:?}");
        let subject = verdict.subject.unwrap();
        assert_eq!(
            subject.path(),
            "/nodes/pve1/storage/nas/content/nas%3Aimport%2Fa%2Bb.qcow2"
        );
        for (size, allowed) in [("8589934592", true), ("8589934593", false), ("null", false)] {
            let body = format!(r#"{{"data":{{"size":{size}}}}}"#);
            let present = subject.read(body.as_bytes());
            assert_eq!(present.is_some(), size != "null");
            let Some(present) = present else { continue };
            let verdict = policy.decide_knowing(Ok(&image), &Directory::new(), Some(&present));
            assert_eq!(verdict.allowed, allowed, "{verdict:?}");
            assert!(verdict.subject.is_none());
        }
        // Without an image or a limit, the host asks nothing.
        let empty = request("POST", "/nodes/pve1/qemu", &form("local:8"));
        assert!(policy.decide(Ok(&empty), &Directory::new()).allowed);
        policy.sizes.disk_gib = None;
        assert!(policy.decide(Ok(&image), &Directory::new()).allowed);
    }

    #[test]
    fn what_is_not_a_configuration_is_not_known() {
        for body in [
            "",
            "null",
            r#"{"data":null}"#,
            r#"{"data":[]}"#,
            r#"{"data":[{"key":"digest","value":""}]}"#,
            r#"{"data":[{"key":"digest","value":1}]}"#,
            r#"{"data":[{"key":"digest"}]}"#,
            r#"{"data":[{"value":"a"}]}"#,
            r#"{"data":{"digest":"ab"}}"#,
        ] {
            assert_eq!(Present::read(body.as_bytes()), None, "{body}");
        }
        let odd = br#"{"data":[{"key":"ide2","value":{}},{"key":"digest","value":"0a1b2c"}]}"#;
        let odd = Present::read(odd).unwrap();
        assert!(!odd.is_free("ide2") && !odd.is_cd("ide2"));
    }

    /// Slots of both kinds of guests.
    fn slot() -> impl Strategy<Value = String> {
        (
            prop::sample::select(vec![
                "scsi", "sata", "ide", "virtio", "unused", "mp", "efidisk", "tpmstate", "net",
            ]),
            0..3u8,
        )
            .prop_map(|(name, number)| format!("{name}{number}"))
    }

    /// What a slot may hold, or be given.
    fn content() -> impl Strategy<Value = String> {
        prop::sample::select(vec![
            "local:100/vm-100-disk-0.qcow2,size=32G",
            "local:100/vm-100-disk-1.qcow2,media=cdrom",
            "tank:vm-100-disk-2,size=8G",
            "tank:vm-101-disk-0",
            "local:100/vm-100-cloudinit.qcow2,media=cdrom,size=4M",
            "local:iso/a.iso,media=cdrom,size=1M",
            "nas:iso/b.iso,media=cdrom",
            "none,media=cdrom",
            "cdrom,media=cdrom",
            "local:8",
            "local:8,discard=on",
            "local:8,mp=/srv/data",
            "local:cloudinit",
            "local:1,efitype=4m",
            "local:0,import-from=local:import/a.raw",
            "local:0,import-from=tank:vm-100-disk-2",
            "/dev/sda",
            "none",
            "virtio,bridge=vmbr0",
            "name=eth0,bridge=vmbr0",
        ])
        .prop_map(str::to_owned)
    }

    /// The guest's own volume in a value, as Proxmox sees it.
    fn volume(value: &str) -> Option<&str> {
        let head = value.split(',').next().unwrap_or_default();
        pve_api::owner_of(head).map(|_| head)
    }

    proptest! {
        /// No request that is allowed takes a volume out of a configuration. After
        /// it, Proxmox's rule for a slot that is written to: what it held, in force
        /// or pending, is out.
        #[test]
        fn no_allowed_request_loses_a_volume(
            kind in prop::sample::select(vec!["qemu", "lxc"]),
            has in prop::collection::btree_map(slot(), (prop::option::of(content()), prop::option::of(content())), 0..8),
            form in prop::collection::btree_map(slot(), content(), 1..4),
            extra in prop::sample::select(vec![None, None, None, Some(("delete", "ide2")), Some(("delete", "tags")), Some(("revert", "scsi0")), Some(("cores", "2"))]),
            digest in prop::sample::select(vec![DIGEST, DIGEST, DIGEST, "ff"]),
        ) {
            let has: BTreeMap<String, Vec<String>> = has
                .into_iter()
                .filter(|(_, (value, pending))| value.is_some() || pending.is_some())
                .map(|(slot, (value, pending))| (slot, [value, pending].into_iter().flatten().collect()))
                .collect();
            let mut data: Vec<Value> = has
                .iter()
                .map(|(key, values)| json!({"key": key, "value": values.first(), "pending": values.get(1)}))
                .collect();
            data.push(json!({"key": "digest", "value": DIGEST}));
            let present = Present::read(json!({ "data": data }).to_string().as_bytes()).unwrap();
            let mut params: Vec<(String, String)> = form.clone().into_iter().collect();
            params.extend(extra.map(|(name, value)| (name.to_owned(), value.to_owned())));
            params.push(("digest".to_owned(), digest.to_owned()));
            let request = request("PUT", &format!("/nodes/pve1/{kind}/100/config"), &params);
            if !allows(&request, &present) {
                return Ok(());
            }
            let mut after = has.clone();
            for (slot, value) in &form {
                after.insert(slot.clone(), vec![value.clone()]);
            }
            let volumes = |config: &BTreeMap<String, Vec<String>>| -> BTreeSet<String> {
                // Only disks have volumes: a network card's setting names none.
                let disks = config.iter().filter(|(slot, _)| is_disk(slot));
                let values = disks.flat_map(|(_, values)| values);
                values.filter_map(|value| volume(value)).map(str::to_owned).collect()
            };
            prop_assert!(volumes(&has).is_subset(&volumes(&after)), "{:?} {:?}", has, params);
            // Nor does one give a guest a volume that exists.
            prop_assert!(volumes(&after).is_subset(&volumes(&has)), "{:?}", params);
            // A network card is judged without the configuration.
            let changes_disks = form.keys().any(|slot| is_disk(slot));
            prop_assert!(digest == DIGEST || !changes_disks);
            let is_harmless = extra.is_none_or(|extra| match extra {
                ("cores", _) => true,
                ("delete", "tags") => !changes_disks,
                _ => false,
            });
            prop_assert!(is_harmless, "{:?}", params);
        }

        /// A guest that is made has no volume of another guest, and replaces none.
        #[test]
        fn a_new_guest_takes_no_volume(
            form in prop::collection::btree_map(slot(), content(), 0..4),
            is_vm in any::<bool>(),
            root in content(),
            extra in prop::sample::select(vec![None, Some(("force", "1")), Some(("archive", "local:backup/a.vma.zst")), Some(("restore", "1")), Some(("unprivileged", "0")), Some(("start", "1")), Some(("args", "-x"))]),
        ) {
            let mut params = pairs(&[("vmid", "105"), ("memory", "512"), ("cores", "1")]);
            if !is_vm {
                params.extend(pairs(&[("unprivileged", "1"), ("ostemplate", "local:vztmpl/a.tar.zst")]));
                params.push(("rootfs".to_owned(), root));
            }
            params.extend(form.clone());
            params.extend(extra.map(|(name, value)| (name.to_owned(), value.to_owned())));
            let kind = if is_vm { "qemu" } else { "lxc" };
            let request = request("POST", &format!("/nodes/pve1/{kind}"), &params);
            if allows(&request, &Present::default()) {
                for (name, value) in &params {
                    let source = value.split("import-from=").nth(1).unwrap_or_default();
                    prop_assert!(volume(value).is_none() && volume(source).is_none(), "{}={}", name, value);
                    prop_assert!(!value.starts_with('/') && !name.starts_with("unused"));
                }
                prop_assert!(extra.is_none(), "{:?}", params);
            }
        }
    }
}
