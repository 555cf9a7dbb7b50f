//! What a guest is given: CPU, memory, disk sizes, and its options.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

use crate::error::{Error, Problem, Result};
use crate::pve::{
    ApiError, Content, Disk, Failure, Flag, Format, Guest, GuestConfig, Halt, Kind, Num, Params,
    Path, Pve, Source, Started, Text, volumes,
};
use crate::size;
use crate::text;
use crate::tool::report::{Change, Report, Status};
use crate::tool::{Reply, Run};
use crate::tool_names;

/// Changes CPU and memory.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SetGuestResources {
    #[schemars(range(min = 100, max = 999_999_999))]
    vmid: u32,
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
    /// VMs only: what it keeps when the node runs short. 0: no ballooning.
    #[schemars(range(min = 0, max = 16_777_216))]
    min_memory_mib: Option<u32>,
    /// Swap in MiB; containers only.
    #[schemars(range(min = 0, max = 16_777_216))]
    swap_mib: Option<u32>,
    /// Even if a running container uses more than memory_mib.
    accept_low_memory: Option<bool>,
}

impl Run for SetGuestResources {
    type Output = Report;

    fn run(self, pve: &Pve) -> Result<Reply<Report>> {
        self.check()?;
        let (guest, report) = Guest::attempt(pve, self.vmid, |guest| {
            self.check_kind(guest)?;
            let before = Settings::read(pve, guest)?;
            self.check_together(&before)?;
            let mut warnings = self.check_node(pve, guest, &before)?;
            warnings.extend(self.check_use(pve, guest, &before)?);
            let mut report = write(pve, guest, &before, self.wishes(guest.kind), "resources")?;
            report.warnings.extend(warnings);
            Ok(report)
        })?;
        Ok(Reply::report(report.on(&guest)))
    }
}

impl SetGuestResources {
    fn check(&self) -> Result<()> {
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

    fn check_kind(&self, guest: &Guest) -> Result<()> {
        let (kind, given, instead) = match guest.kind {
            Kind::Qemu => (
                "a VM",
                [("swap_mib", self.swap_mib.is_some()), ("", false)],
                "its swap is set up inside the guest",
            ),
            Kind::Lxc => (
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

    /// What does not go together with what stays as it is.
    fn check_together(&self, before: &Settings) -> Result<()> {
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

    /// What the node cannot give.
    fn check_node(&self, pve: &Pve, guest: &Guest, before: &Settings) -> Result<Vec<String>, Halt> {
        if self.cores.is_none() && self.sockets.is_none() && self.memory_mib.is_none() {
            return Ok(Vec::new());
        }
        let nodes: Vec<NodeSize> = pve.get(&Path::new(["nodes"]), &Params::new())?;
        let Some(node) = nodes.into_iter().find(|node| node.node == guest.node) else {
            return Ok(Vec::new());
        };
        let cpus = self.cpus(before);
        let touches_cpus = self.cores.is_some() || self.sockets.is_some();
        if let Some(there) = node.maxcpu
            && touches_cpus
            && guest.kind == Kind::Qemu
            && cpus > there.0
        {
            return Err(Error::Conflict(format!(
                "{} would have {cpus} CPUs (cores times sockets), but node {} has {}, and a VM \
                 with more does not start there: choose fewer",
                guest.label(),
                guest.node,
                there.0
            ))
            .into());
        }
        let memory = self.memory(before) << 20;
        Ok(node
            .maxmem
            .filter(|there| self.memory_mib.is_some() && memory > there.0)
            .map(|there| {
                format!(
                    "node {} has {} of memory: the guest will not get what it is given now",
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
        before: &Settings,
    ) -> Result<Option<String>, Halt> {
        #[derive(Deserialize)]
        struct Use {
            #[serde(default)]
            status: String,
            mem: Option<Num<u64>>,
        }
        let Some(wanted) = self.memory_mib.map(u64::from) else {
            return Ok(None);
        };
        let grows =
            !before.is_unreadable("memory") && wanted >= before.number("memory").unwrap_or(512);
        if guest.kind != Kind::Lxc || grows {
            return Ok(None);
        }
        let now: Use = pve.get(&guest.path(["status", "current"]), &Params::new())?;
        let used = now.mem.map_or(0, |used| used.0);
        if now.status == "stopped" || used <= wanted << 20 {
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
        ))
        .into())
    }

    fn memory(&self, before: &Settings) -> u64 {
        self.memory_mib
            .map(u64::from)
            .or_else(|| before.number("memory"))
            .unwrap_or(512)
    }

    fn cpus(&self, before: &Settings) -> u64 {
        let one = |given: Option<u32>, key| {
            given
                .map(u64::from)
                .or_else(|| before.number(key))
                .unwrap_or(1)
        };
        one(self.cores, "cores").saturating_mul(one(self.sockets, "sockets"))
    }

    fn wishes(&self, kind: Kind) -> Vec<Wish> {
        let whole = |argument, key, default, value: Option<u32>| {
            Some(Wish::new(
                argument,
                key,
                default,
                Unit::Number,
                value?.to_string(),
            ))
        };
        // All cores of the node, where a container has no number.
        let cores = (kind == Kind::Qemu).then_some("1");
        [
            whole("cores", "cores", cores, self.cores),
            whole("sockets", "sockets", Some("1"), self.sockets),
            self.cpu_limit.map(|limit| {
                let (key, unit) = ("cpulimit", Unit::Number);
                Wish::new("cpu_limit", key, Some("0"), unit, limit.to_string())
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

#[derive(Deserialize)]
struct NodeSize {
    node: String,
    maxcpu: Option<Num<u64>>,
    maxmem: Option<Num<u64>>,
}

/// Grows a disk.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ResizeDisk {
    #[schemars(range(min = 100, max = 999_999_999))]
    vmid: u32,
    /// scsi0, virtio0, rootfs, mp0, …
    #[schemars(length(min = 1, max = 20))]
    disk: String,
    /// +10G: by so much. 40G: to so much. Units K, M, G, T or GB, GiB, by 1024.
    #[schemars(length(min = 1, max = 30))]
    size: String,
    /// False: do not follow the task.
    wait: Option<bool>,
}

impl Run for ResizeDisk {
    type Output = Report;
    const OTHER_NAMES: &'static [(&'static str, &'static str)] = &[("id", "disk")];

    fn run(self, pve: &Pve) -> Result<Reply<Report>> {
        let size = Size::parse(&self.size)?;
        let (guest, (from, to, started)) = Guest::attempt(pve, self.vmid, |guest| {
            let config = GuestConfig::read(pve, guest)?;
            if config.is_unreadable(&self.disk) {
                return Err(unreadable(
                    guest,
                    &format!("the values of {}", self.disk),
                    "resize it there",
                )
                .into());
            }
            let disk = self.disk(guest, config.disks())?;
            let from = current_size(pve, guest, &disk)?;
            let to = match (from, size) {
                (Some(from), _) => Some(size.against(from, &disk.id)?),
                // Proxmox adds it to whatever size the disk has.
                (None, Size::By(_)) => None,
                (None, Size::To(_)) => return Err(unknown_size(guest, &disk).into()),
            };
            if to.is_some() && to == from {
                return Ok((from, to, None));
            }
            guest.state(pve)?.unlocked(guest)?;
            let form = Params::new()
                .set("disk", &disk.id)
                .set("size", size.parameter())
                .opt("digest", config.digest());
            let started = pve.put::<Started>(&guest.path(["resize"]), &form)?;
            Ok((from, to, Some(started)))
        })?;
        let how = match (to, size) {
            (Some(to), _) | (None, Size::To(to)) => format!("to {}", text::bytes(to)),
            (None, Size::By(more)) => format!("by {}", text::bytes(more)),
        };
        let action = format!("grow {} of {} {how}", self.disk, guest.label());
        let Some(started) = started else {
            return Ok(Reply::report(Report::unchanged(action).on(&guest)));
        };
        let mut report = Report::done(action).on(&guest);
        if let (Some(from), Some(to)) = (from, to) {
            report = report.change(
                self.disk.clone(),
                Some(text::bytes(from)),
                Some(text::bytes(to)),
            );
        }
        if guest.kind == Kind::Qemu {
            report = report.next(
                "grow the partition and the file system inside the guest; cloud images do so at \
                 their next start",
            );
        }
        // Older versions grow it at once and name no task.
        if matches!(started, Started::WithoutTask(_))
            && to.is_some_and(|to| self.has_grown(pve, &guest, to))
        {
            return Ok(Reply::report(report));
        }
        report.started(&started, self.wait)
    }
}

impl ResizeDisk {
    fn has_grown(&self, pve: &Pve, guest: &Guest, to: u64) -> bool {
        GuestConfig::read(pve, guest).is_ok_and(|config| {
            let mut disks = config.disks().into_iter();
            disks
                .find(|disk| disk.id == self.disk)
                .and_then(|disk| disk.size_bytes)
                .is_some_and(|size| size >= to)
        })
    }

    /// The disk meant, where it is one that can grow.
    fn disk(&self, guest: &Guest, disks: Vec<Disk>) -> Result<Disk> {
        // A bind mount, a device passed through and an empty drive are not
        // volumes. The firmware's and the TPM's have to keep their size.
        let grows = |disk: &Disk| {
            let is_fixed = ["unused", "efidisk", "tpmstate"]
                .iter()
                .any(|kind| disk.id.starts_with(kind));
            !disk.cdrom && !is_fixed && disk.storage.is_some()
        };
        let known = disks
            .iter()
            .filter(|disk| grows(disk))
            .map(|disk| match disk.size_bytes {
                Some(size) => format!("{} ({})", disk.id, text::bytes(size)),
                None => disk.id.clone(),
            })
            .collect::<Vec<_>>();
        let known = text::names(known.iter().map(String::as_str));
        let known = if known.is_empty() {
            format!("{} has none", guest.label())
        } else {
            format!("{} has {known}", guest.label())
        };
        let Some(disk) = disks.into_iter().find(|disk| disk.id == self.disk) else {
            return Err(Error::argument(
                "disk",
                format!("must be a disk of the guest: {known}"),
            ));
        };
        if !grows(&disk) {
            let what = if disk.cdrom {
                "a CD-ROM drive".to_owned()
            } else if disk.source == Source::Path {
                format!(
                    "a path of the node ({}), not a volume on a storage",
                    disk.volid
                )
            } else if disk.storage.is_none() {
                "not a volume on a storage".to_owned()
            } else {
                "not in use".to_owned()
            };
            return Err(Error::argument(
                "disk",
                format!(
                    "must be a disk that can grow, but {} is {what}: {known}",
                    disk.id
                ),
            ));
        }
        Ok(disk)
    }
}

/// Changes a guest's options.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SetGuestOptions {
    #[schemars(range(min = 100, max = 999_999_999))]
    vmid: u32,
    /// A DNS name; a container's host name. Empty clears a VM's.
    #[schemars(length(max = 253), extend("x-clears" = true))]
    name: Option<String>,
    /// Notes, in Markdown. Empty clears them.
    #[schemars(length(max = 8192), extend("x-clears" = true))]
    description: Option<String>,
    /// All tags, instead of those it has.
    #[schemars(length(max = 64), extend("x-splits" = "words"))]
    tags: Option<Vec<String>>,
    /// Tags to add.
    #[schemars(length(max = 64), extend("x-splits" = "words"))]
    add_tags: Option<Vec<String>>,
    /// Tags to take away.
    #[schemars(length(max = 64), extend("x-splits" = "words"))]
    remove_tags: Option<Vec<String>>,
    /// Start it when its node starts.
    start_at_boot: Option<bool>,
    /// Refuse to remove the guest or its disks.
    protection: Option<bool>,
}

impl Run for SetGuestOptions {
    type Output = Report;

    fn run(self, pve: &Pve) -> Result<Reply<Report>> {
        self.check()?;
        let (guest, report) = Guest::attempt(pve, self.vmid, |guest| {
            self.check_kind(guest)?;
            let before = Settings::read(pve, guest)?;
            self.check_tags(guest, &before)?;
            let wishes = self.wishes(guest.kind, &before);
            write(pve, guest, &before, wishes, "options")
        })?;
        Ok(Reply::report(report.on(&guest)))
    }
}

impl SetGuestOptions {
    fn check(&self) -> Result<()> {
        let lists = [
            ("tags", &self.tags),
            ("add_tags", &self.add_tags),
            ("remove_tags", &self.remove_tags),
        ];
        let given = [
            self.name.is_some(),
            self.description.is_some(),
            self.start_at_boot.is_some(),
            self.protection.is_some(),
        ];
        if !given.contains(&true) && lists.iter().all(|(_, list)| list.is_none()) {
            return Err(nothing_given(
                "name, description, tags ([] removes all), add_tags, remove_tags, start_at_boot, \
                 protection",
            ));
        }
        if let Some(name) = self.name.as_deref().filter(|name| !name.is_empty()) {
            Format::DnsName.check("name", name)?;
        }
        let problems: Vec<Problem> = lists
            .iter()
            .flat_map(|(name, list)| {
                list.iter()
                    .flatten()
                    .enumerate()
                    .filter(|(_, tag)| !is_tag(tag))
                    .map(move |(index, _)| Problem {
                        pointer: format!("/{name}/{index}"),
                        message: "must be a tag: a letter, digit or _, then letters, digits, _, \
                                  -, + and ."
                            .into(),
                    })
            })
            .collect();
        if !problems.is_empty() {
            return Err(Error::InvalidArguments(problems));
        }
        let (add, remove) = (self.add_tags.as_deref(), self.remove_tags.as_deref());
        if self.tags.is_some() && (add.is_some() || remove.is_some()) {
            return Err(Error::argument(
                "tags",
                "must be left out with add_tags or remove_tags: it replaces all tags",
            ));
        }
        let add = add.unwrap_or_default();
        if let Some(both) = remove
            .unwrap_or_default()
            .iter()
            .find(|tag| add.contains(tag))
        {
            return Err(Error::argument(
                "remove_tags",
                format!("must not hold {both}, which add_tags holds"),
            ));
        }
        Ok(())
    }

    fn check_kind(&self, guest: &Guest) -> Result<()> {
        if guest.kind == Kind::Lxc && self.name.as_deref() == Some("") {
            return Err(Error::argument(
                "name",
                format!(
                    "must not be empty: {} is a container, which needs one",
                    guest.label()
                ),
            ));
        }
        Ok(())
    }

    /// Tags are added to those that are there, and taken from them.
    fn check_tags(&self, guest: &Guest, before: &Settings) -> Result<()> {
        let builds_on_them = self.add_tags.is_some() || self.remove_tags.is_some();
        if !builds_on_them || !before.is_unreadable("tags") {
            return Ok(());
        }
        Err(unreadable(
            guest,
            "its tags",
            "give all tags that it is to have as tags",
        ))
    }

    fn wishes(&self, kind: Kind, before: &Settings) -> Vec<Wish> {
        let name = match kind {
            Kind::Qemu => "name",
            Kind::Lxc => "hostname",
        };
        let flag = |argument, key, value: Option<bool>| {
            Some(Wish::new(
                argument,
                key,
                Some("0"),
                Unit::YesNo,
                u8::from(value?).to_string(),
            ))
        };
        let plain =
            |argument, key, value: String| Wish::new(argument, key, None, Unit::Plain, value);
        [
            self.name.clone().map(|value| plain("name", name, value)),
            self.description
                .as_deref()
                .map(|value| plain("description", "description", value.trim_end().to_owned())),
            self.wanted_tags(before)
                .map(|tags| plain("tags", "tags", join_tags(&tags))),
            flag("start_at_boot", "onboot", self.start_at_boot),
            flag("protection", "protection", self.protection),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    /// All tags that the guest is to have; none where none are spoken of.
    fn wanted_tags(&self, before: &Settings) -> Option<Vec<String>> {
        if let Some(tags) = &self.tags {
            return Some(merge_tags(Vec::new(), tags, &[]));
        }
        if self.add_tags.is_none() && self.remove_tags.is_none() {
            return None;
        }
        let has = split_tags(before.wanted("tags").unwrap_or_default());
        Some(merge_tags(
            has,
            self.add_tags.as_deref().unwrap_or_default(),
            self.remove_tags.as_deref().unwrap_or_default(),
        ))
    }
}

fn nothing_given(names: &str) -> Error {
    Error::InvalidArguments(vec![Problem {
        pointer: String::new(),
        message: format!("say what to change: at least one of {names}"),
    }])
}

/// The refusal to make a new value out of one that cannot be read.
fn unreadable(guest: &Guest, what: &str, instead: &str) -> Error {
    Error::Conflict(format!(
        "{what}, as Proxmox answered for {}, cannot be read, and a change would lose what is there: \
         nothing was changed; look at them in the web interface, and {instead}",
        guest.label()
    ))
}

/// A guest's settings: those in force, and those that wait for its next start.
struct Settings {
    entries: BTreeMap<String, Entry>,
    /// The keys with a value that is neither a text nor a number.
    unreadable: BTreeSet<String>,
}

#[derive(Deserialize)]
struct RawEntry {
    key: String,
    value: Option<Value>,
    pending: Option<Value>,
    delete: Option<Flag>,
}

struct Entry {
    value: Option<Text>,
    pending: Option<Text>,
    delete: Option<Flag>,
}

impl Settings {
    fn read(pve: &Pve, guest: &Guest) -> Result<Self, Failure> {
        let path = guest.path(["pending"]);
        let settings = Self::new(pve.get(&path, &Params::new())?);
        pve.note_unreadable(&path, settings.unreadable.iter().map(String::as_str));
        Ok(settings)
    }

    fn new(raw: Vec<RawEntry>) -> Self {
        let mut entries = BTreeMap::new();
        let mut unreadable = BTreeSet::new();
        for entry in raw {
            let mut read = |value: Option<Value>| {
                let text = serde_json::from_value(value?).ok();
                if text.is_none() {
                    unreadable.insert(entry.key.clone());
                }
                text
            };
            let (value, pending) = (read(entry.value), read(entry.pending));
            let delete = entry.delete;
            entries.insert(
                entry.key,
                Entry {
                    value,
                    pending,
                    delete,
                },
            );
        }
        Self {
            entries,
            unreadable,
        }
    }

    /// Whether a key is set, to a value that cannot be read.
    fn is_unreadable(&self, key: &str) -> bool {
        self.unreadable.contains(key)
    }

    /// What the guest runs with.
    fn in_force(&self, key: &str) -> Option<&str> {
        let value = self.entries.get(key)?.value.as_ref()?;
        Some(plain(key, &value.0))
    }

    /// What it will run with from its next start on.
    fn wanted(&self, key: &str) -> Option<&str> {
        let entry = self.entries.get(key)?;
        if entry.is_removed() {
            return None;
        }
        let value = entry.pending.as_ref().or(entry.value.as_ref())?;
        Some(plain(key, &value.0))
    }

    fn number(&self, key: &str) -> Option<u64> {
        self.wanted(key)?.trim().parse().ok()
    }

    fn waits(&self, key: &str) -> bool {
        self.entries
            .get(key)
            .is_some_and(|entry| entry.pending.is_some() || entry.is_removed())
    }

    fn digest(&self) -> Option<&str> {
        self.in_force("digest")
    }
}

impl Entry {
    fn is_removed(&self) -> bool {
        self.delete.is_some_and(|flag| flag.0)
    }
}

/// A value without what Proxmox may write around it.
fn plain<'a>(key: &str, value: &'a str) -> &'a str {
    match key {
        "memory" => value.strip_prefix("current=").unwrap_or(value),
        "description" => value.trim_end(),
        _ => value,
    }
}

/// A setting as it is to be.
struct Wish {
    /// Proxmox's name.
    key: &'static str,
    /// The argument's name.
    argument: &'static str,
    /// What counts where it is not set.
    default: Option<&'static str>,
    unit: Unit,
    /// Empty: not set.
    value: String,
}

#[derive(Clone, Copy)]
enum Unit {
    Plain,
    Number,
    YesNo,
}

impl Wish {
    fn new(
        argument: &'static str,
        key: &'static str,
        default: Option<&'static str>,
        unit: Unit,
        value: String,
    ) -> Self {
        Self {
            key,
            argument,
            default,
            unit,
            value,
        }
    }

    /// Whether the guest has what is wished for, or will have it at its next
    /// start. What cannot be read may be anything.
    fn is_met(&self, settings: &Settings) -> bool {
        !settings.is_unreadable(self.key) && self.is(settings.wanted(self.key))
    }

    /// Whether this value is what is wished for.
    fn is(&self, value: Option<&str>) -> bool {
        let value = value.or(self.default).unwrap_or_default();
        let number = |text: &str| text.trim().parse::<f64>().ok();
        value == self.value
            || (matches!(self.unit, Unit::Number)
                && number(value).is_some_and(|value| number(&self.value) == Some(value)))
    }

    fn show(&self, value: Option<&str>) -> Option<String> {
        let value = value.or(self.default)?;
        Some(match self.unit {
            Unit::Plain | Unit::Number => text::cut(value, 160),
            Unit::YesNo => (value == "1").to_string(),
        })
    }
}

/// Sends what differs, and says which of it took effect.
fn write(
    pve: &Pve,
    guest: &Guest,
    before: &Settings,
    mut wishes: Vec<Wish>,
    what: &str,
) -> Result<Report, Halt> {
    let action = format!("set {what} of {}", guest.label());
    let waiting: Vec<&str> = wishes
        .iter()
        .filter(|wish| wish.is_met(before) && before.waits(wish.key))
        .map(|wish| wish.argument)
        .collect();
    let note = (!waiting.is_empty()).then(|| {
        format!(
            "{} was set to this value before, and takes effect at the guest's next full start",
            waiting.join(", ")
        )
    });
    wishes.retain(|wish| !wish.is_met(before));
    let mut report = if wishes.is_empty() {
        Report::unchanged(action)
    } else {
        let sent = pve.put::<IgnoredAny>(&guest.path(["config"]), &form(&wishes, before.digest()));
        let refusals = match sent {
            Ok(_) => Vec::new(),
            Err(Failure::Api(error)) if is_hotplug_refusal(&error) => refusals(&error),
            Err(failure) => return Err(failure.into()),
        };
        match Settings::read(pve, guest) {
            Ok(after) if !refusals.is_empty() => {
                partly(Report::done(&action), &wishes, before, &after, refusals)?
            }
            Ok(after) => outcome(Report::done(&action), &wishes, before, &after),
            Err(failure) if !refusals.is_empty() => {
                return Err(out_of_sight(guest, &action, &refusals, failure).into());
            }
            // It is written; that must not be lost for this.
            Err(failure) => {
                let mut report = Report::done(action);
                report.changes = wishes
                    .iter()
                    .map(|wish| wish.change(before, None))
                    .collect();
                report.warn(format!(
                    "written, but whether it took effect could not be read: {}",
                    Error::from(failure).message()
                ))
            }
        }
    };
    report.warnings.extend(note);
    if report.changes.iter().any(|change| change.waits_for_reboot) || !waiting.is_empty() {
        report.next_step = Some(format!(
            "pending changes take effect when the guest is stopped and started: {} does that",
            tool_names::RESTART_GUEST
        ));
    }
    Ok(report)
}

/// Whether Proxmox could not change a running guest. A VM keeps such a change as
/// a pending one, a container does not.
fn is_hotplug_refusal(error: &ApiError) -> bool {
    let refused = |said: &String| said.contains("hotplug");
    error.status == 400 && !error.errors.is_empty() && error.errors.values().all(refused)
}

/// What Proxmox says of each setting that it could not change.
fn refusals(error: &ApiError) -> Vec<(String, String)> {
    let plain = |said: &str| {
        let said = said.trim();
        let said = said.strip_prefix("hotplug problem - ").unwrap_or(said);
        text::cut(said, 200)
    };
    error
        .errors
        .iter()
        .map(|(key, said)| (key.clone(), plain(said)))
        .collect()
}

/// The error of a change that a running guest did not take, where what came of
/// it cannot be read. Never a success: none of it may have been made.
fn out_of_sight(
    guest: &Guest,
    action: &str,
    refusals: &[(String, String)],
    failure: Failure,
) -> Error {
    let kept = match guest.kind {
        Kind::Qemu => "a VM keeps such a change, as a pending one, for its next full start",
        Kind::Lxc => "a container does not keep such a change",
    };
    Error::Conflict(format!(
        "{action} failed, at least in part: it cannot be changed while the guest runs ({}), and \
         what came of it could not be read ({}); {kept}, and settings that were not refused may \
         have changed: look with {} before you repeat the call",
        said(refusals),
        Error::from(failure).message(),
        tool_names::GET_GUEST
    ))
}

fn said(refusals: &[(String, String)]) -> String {
    refusals
        .iter()
        .map(|(key, said)| format!("{key}: {said}"))
        .collect::<Vec<_>>()
        .join("; ")
}

/// A report of changes that a running guest did not take: those that a VM keeps
/// wait for its next start, those of a container are lost. Fails where nothing
/// has changed.
fn partly(
    report: Report,
    wishes: &[Wish],
    before: &Settings,
    after: &Settings,
    refusals: Vec<(String, String)>,
) -> Result<Report> {
    let mut report = outcome(report, wishes, before, after);
    if report.status == Status::Unchanged {
        let said = said(&refusals);
        return Err(Error::Conflict(format!(
            "{} failed: it cannot be changed while the guest runs ({said}); nothing was changed: \
             shut the guest down with {}, change it, and start it again",
            report.action,
            tool_names::STOP_GUEST
        )));
    }
    report.status = Status::DoneWithWarnings;
    for (key, said) in refusals {
        let wish = wishes.iter().find(|wish| wish.key == key);
        let name = wish.map_or(key.as_str(), |wish| wish.argument);
        let what = if after.waits(&key) {
            "it takes effect at the next full start; set the old value to take it back"
        } else {
            "it was not changed: change it while the guest is stopped"
        };
        report = report.warn(format!(
            "{name} could not be changed while the guest runs ({said}): {what}"
        ));
    }
    Ok(report)
}

/// What is sent: values that are set, and the names of those that are not.
fn form(wishes: &[Wish], digest: Option<&str>) -> Params {
    let cleared = wishes
        .iter()
        .filter(|wish| wish.value.is_empty())
        .map(|wish| wish.key)
        .collect::<Vec<_>>()
        .join(",");
    wishes
        .iter()
        .filter(|wish| !wish.value.is_empty())
        .fold(Params::new(), |form, wish| form.set(wish.key, &wish.value))
        .opt("delete", (!cleared.is_empty()).then_some(cleared))
        .opt("digest", digest)
}

/// What Proxmox made of it: it may write a value in another form, such as tags
/// in lower case.
fn outcome(mut report: Report, wishes: &[Wish], before: &Settings, after: &Settings) -> Report {
    report.changes = wishes
        .iter()
        .filter(|wish| {
            let (was, is) = (before.wanted(wish.key), after.wanted(wish.key));
            before.is_unreadable(wish.key) || was.or(wish.default) != is.or(wish.default)
        })
        .map(|wish| wish.change(before, Some(after)))
        .collect();
    if report.changes.is_empty() {
        return Report::unchanged(report.action);
    }
    report
}

impl Wish {
    fn change(&self, before: &Settings, after: Option<&Settings>) -> Change {
        let to = match after {
            Some(after) if after.is_unreadable(self.key) => Some("(unreadable)"),
            Some(after) => after.wanted(self.key),
            None => Some(self.value.as_str()).filter(|value| !value.is_empty()),
        };
        Change {
            what: self.argument.to_owned(),
            from: match before.is_unreadable(self.key) {
                true => Some("(unreadable)".to_owned()),
                false => self.show(before.in_force(self.key)),
            },
            to: self.show(to),
            waits_for_reboot: after.is_some_and(|after| after.waits(self.key)),
        }
    }
}

/// A disk's wanted size.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Size {
    By(u64),
    To(u64),
}

impl Size {
    fn parse(text: &str) -> Result<Self> {
        let wrong = || {
            Error::argument(
                "size",
                format!(
                    "must be +10G to grow by so much or 40G to grow to so much, a number with one \
                     of the units K, M, G, T, not {}",
                    text::quoted(text)
                ),
            )
        };
        let (by, digits) = match text.trim().strip_prefix('+') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        // Proxmox takes a number alone as bytes, which is never meant.
        if !digits.contains(|letter: char| letter.is_ascii_alphabetic()) {
            return Err(wrong());
        }
        match size::bytes(digits)
            .filter(|size| *size > 0)
            .map(size::whole)
        {
            Some(size) if by => Ok(Self::By(size)),
            Some(size) => Ok(Self::To(size)),
            None => Err(wrong()),
        }
    }

    /// The size as Proxmox takes it.
    fn parameter(self) -> String {
        match self {
            Self::By(bytes) => format!("+{}", size::parameter(bytes)),
            Self::To(bytes) => size::parameter(bytes),
        }
    }

    /// The size that comes of it; a smaller one is refused.
    fn against(self, from: u64, disk: &str) -> Result<u64> {
        let to = match self {
            Self::By(more) => from
                .checked_add(more)
                .ok_or_else(|| Error::argument("size", "must be less: no disk can be so large"))?,
            Self::To(to) => to,
        };
        if to < from {
            return Err(Error::argument(
                "size",
                format!(
                    "must be more than {}, as {disk} has that already: a disk can grow, never \
                     shrink; to grow it by so much, write + before it",
                    text::bytes(from)
                ),
            ));
        }
        Ok(to)
    }
}

/// A disk's exact size, by the configuration or else by its storage; none where
/// neither gives it.
fn current_size(pve: &Pve, guest: &Guest, disk: &Disk) -> Result<Option<u64>, Halt> {
    if let Some(size) = disk.size_bytes {
        return Ok(Some(size));
    }
    let content = match guest.kind {
        Kind::Qemu => Content::Images,
        Kind::Lxc => Content::Rootdir,
    };
    let storage = disk.storage.as_deref().unwrap_or_default();
    let found = volumes(pve, &guest.node, storage, Some(content), Some(guest.vmid))?
        .into_iter()
        .find(|volume| volume.volid == disk.volid)
        .and_then(|volume| volume.size);
    Ok(found.map(|size| size.0))
}

fn unknown_size(guest: &Guest, disk: &Disk) -> Error {
    Error::Conflict(format!(
        "neither the configuration nor storage {} gives the exact size of {} ({}), so that growing \
         it to a size cannot be checked: give what to add, such as +10G, or rescan the disks on node \
         {} with qm rescan or pct rescan",
        disk.storage.as_deref().unwrap_or_default(),
        disk.id,
        disk.volid,
        guest.node
    ))
}

fn is_tag(text: &str) -> bool {
    let letter = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    text.len() <= 128
        && text.bytes().next().is_some_and(letter)
        && text
            .bytes()
            .all(|b| letter(b) || matches!(b, b'-' | b'+' | b'.'))
}

fn split_tags(text: &str) -> Vec<String> {
    text.split([';', ',', ' '])
        .filter(|tag| !tag.is_empty())
        .map(str::to_owned)
        .collect()
}

fn join_tags(tags: &[String]) -> String {
    tags.join(";")
}

/// The tags in their order, each once. What is to go goes whatever its case,
/// unless a tag of just that case is there: most clusters have lower case only.
fn merge_tags(has: Vec<String>, add: &[String], remove: &[String]) -> Vec<String> {
    let goes = |tag: &String| {
        remove
            .iter()
            .any(|gone| gone == tag || (gone.eq_ignore_ascii_case(tag) && !has.contains(gone)))
    };
    let kept = has.iter().filter(|tag| !goes(tag));
    let mut tags: Vec<String> = Vec::with_capacity(has.len() + add.len());
    for tag in kept.chain(add) {
        if !tags.contains(tag) {
            tags.push(tag.clone());
        }
    }
    tags
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn settings(entries: Value) -> Settings {
        Settings::new(serde_json::from_value(entries).unwrap())
    }

    fn guest(kind: &str) -> Guest {
        serde_json::from_value(json!({
            "vmid": 100, "type": kind, "node": "pve1", "status": "running", "name": "web01"
        }))
        .unwrap()
    }

    fn resources(arguments: Value) -> SetGuestResources {
        serde_json::from_value(arguments).unwrap()
    }

    fn options(arguments: Value) -> SetGuestOptions {
        serde_json::from_value(arguments).unwrap()
    }

    fn pairs(params: &Params) -> Vec<String> {
        params
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect()
    }

    fn message(result: Result<()>) -> String {
        result.unwrap_err().message()
    }

    fn before() -> Settings {
        settings(json!([
            {"key": "memory", "value": "2048", "pending": "1024"},
            {"key": "cores", "value": 2},
            {"key": "balloon", "value": 512},
            {"key": "digest", "value": "ab12"},
            {"key": "tags", "value": "prod;web"},
            {"key": "description", "value": "a\nb\n"},
            {"key": "onboot", "value": 1, "delete": 1},
        ]))
    }

    #[test]
    fn settings_in_force_and_to_come() {
        let settings = before();
        assert_eq!(settings.in_force("memory"), Some("2048"));
        assert_eq!(settings.wanted("memory"), Some("1024"));
        assert_eq!(settings.wanted("onboot"), None);
        assert_eq!(settings.in_force("onboot"), Some("1"));
        assert!(settings.waits("memory") && settings.waits("onboot") && !settings.waits("cores"));
        assert_eq!(settings.digest(), Some("ab12"));
        assert_eq!(settings.wanted("description"), Some("a\nb"));
    }

    #[test]
    fn only_what_differs_is_sent() {
        let wanted = resources(
            json!({"vmid": 100, "cores": 2, "memory_mib": 4096, "cpu_limit": 0, "sockets": 1}),
        );
        let before = before();
        let mut wishes = wanted.wishes(Kind::Qemu);
        wishes.retain(|wish| !wish.is(before.wanted(wish.key)));
        assert_eq!(
            pairs(&form(&wishes, before.digest())),
            ["memory=4096", "digest=ab12"]
        );
        let limit = resources(json!({"vmid": 100, "cpu_limit": 1.5}));
        assert_eq!(
            pairs(&form(&limit.wishes(Kind::Lxc), None)),
            ["cpulimit=1.5"]
        );
    }

    #[test]
    fn what_took_effect_and_what_waits() {
        let wanted = resources(json!({"vmid": 100, "cores": 4, "memory_mib": 4096}));
        let after = settings(json!([
            {"key": "memory", "value": "2048", "pending": "4096"},
            {"key": "cores", "value": 4},
        ]));
        let report = outcome(
            Report::done("x"),
            &wanted.wishes(Kind::Qemu),
            &before(),
            &after,
        );
        let change = |what: &str, from: &str, to: &str, waits_for_reboot| Change {
            what: what.into(),
            from: Some(from.into()),
            to: Some(to.into()),
            waits_for_reboot,
        };
        assert_eq!(
            report.changes,
            [
                change("cores", "2", "4", false),
                change("memory_mib", "2048", "4096", true)
            ]
        );
    }

    #[test]
    fn changes_that_a_running_guest_refuses() {
        let error: ApiError = ApiError {
            status: 400,
            errors: [(
                "memory".to_owned(),
                "hotplug problem - no free slot\n".to_owned(),
            )]
            .into(),
            ..ApiError::default()
        };
        assert!(is_hotplug_refusal(&error));
        let wanted = resources(json!({"vmid": 100, "cores": 4, "memory_mib": 4096}));
        // A VM keeps what it could not do at once.
        let after = settings(json!([
            {"key": "memory", "value": "2048", "pending": "4096"},
            {"key": "cores", "value": 4},
        ]));
        let wishes = wanted.wishes(Kind::Qemu);
        let report = partly(
            Report::done("x"),
            &wishes,
            &before(),
            &after,
            refusals(&error),
        )
        .unwrap();
        assert_eq!(report.status, Status::DoneWithWarnings);
        assert!(report.changes[1].waits_for_reboot && !report.changes[0].waits_for_reboot);
        let warning = &report.warnings[0];
        assert!(
            warning.starts_with("memory_mib could not be changed")
                && warning.contains("no free slot"),
            "{warning}"
        );
        assert!(warning.contains("next full start"), "{warning}");
        // A container does not.
        let message = partly(
            Report::done("x"),
            &wishes,
            &before(),
            &before(),
            refusals(&error),
        )
        .unwrap_err()
        .message();
        assert!(message.contains("nothing was changed"), "{message}");
        let other = ApiError {
            errors: [("memory".to_owned(), "value must have a minimum".to_owned())].into(),
            ..error
        };
        assert!(!is_hotplug_refusal(&other));
    }

    #[test]
    fn values_that_do_not_go_together() {
        let check = |arguments| message(resources(arguments).check_together(&before()));
        assert!(
            check(json!({"vmid": 100, "min_memory_mib": 2000}))
                .starts_with("min_memory_mib: must be at most the memory, which is 1024")
        );
        assert!(
            check(json!({"vmid": 100, "memory_mib": 256}))
                .starts_with("memory_mib: must be at least the minimum memory of 512")
        );
        let both = resources(json!({"vmid": 100, "memory_mib": 256, "min_memory_mib": 128}));
        assert!(both.check_together(&before()).is_ok());
        let plugged =
            settings(json!([{"key": "vcpus", "value": 4}, {"key": "sockets", "value": 2}]));
        let few = resources(json!({"vmid": 100, "cores": 1}));
        assert!(message(few.check_together(&plugged)).starts_with("cores: must make at least 4"));
        assert!(message(resources(json!({"vmid": 100})).check()).contains("at least one of cores"));
    }

    #[test]
    fn what_a_kind_does_not_have() {
        for (kind, argument) in [
            ("qemu", "swap_mib"),
            ("lxc", "sockets"),
            ("lxc", "min_memory_mib"),
        ] {
            let wanted = resources(json!({"vmid": 100, argument: 1}));
            let message = message(wanted.check_kind(&guest(kind)));
            assert!(
                message.starts_with(&format!("{argument}: must be left out")),
                "{message}"
            );
        }
        assert!(
            resources(json!({"vmid": 100, "cores": 1}))
                .check_kind(&guest("lxc"))
                .is_ok()
        );
    }

    #[test]
    fn sizes() {
        const GIB: u64 = 1 << 30;
        assert_eq!(Size::parse("+10G").unwrap(), Size::By(10 * GIB));
        assert_eq!(Size::parse("1.5T").unwrap(), Size::To(1536 * GIB));
        for text in ["10GB", "10 GiB", "10g", "10240M"] {
            let size = Size::parse(text).unwrap();
            assert_eq!(size, Size::To(10 * GIB), "{text}");
            assert_eq!(size.parameter(), "10G", "{text}");
        }
        for nonsense in [
            "",
            "abc",
            "10",
            "+10",
            "-5G",
            "+",
            "G",
            "+0G",
            "0G",
            "++1G",
            "1e3G",
            "99999999999T",
            "１G",
        ] {
            let message = Size::parse(nonsense).unwrap_err().message();
            assert!(
                message.starts_with("size: must be +10G"),
                "{nonsense}: {message}"
            );
        }
        assert_eq!(Size::By(GIB).against(GIB, "scsi0").unwrap(), 2 * GIB);
        assert_eq!(Size::To(GIB).against(GIB, "scsi0").unwrap(), GIB);
        assert!(
            Size::To(GIB - 1)
                .against(GIB, "scsi0")
                .unwrap_err()
                .message()
                .contains("never shrink")
        );
        assert!(Size::By(u64::MAX).against(GIB, "scsi0").is_err());
    }

    #[test]
    fn disks_that_cannot_grow() {
        let disks = || {
            vec![
                Disk::parse("ide2", "local:iso/a.iso,media=cdrom,size=1M"),
                Disk::parse("scsi0", "local:100/vm-100-disk-0.qcow2,size=32M"),
                Disk::parse("scsi1", "/dev/sdb,size=4G"),
                Disk::parse("unused0", "local:100/vm-100-disk-1.qcow2"),
            ]
        };
        let pick = |disk: &str| {
            ResizeDisk {
                vmid: 100,
                disk: disk.into(),
                size: "+1G".into(),
                wait: None,
            }
            .disk(&guest("qemu"), disks())
        };
        assert_eq!(pick("scsi0").unwrap().id, "scsi0");
        for (disk, why) in [
            ("ide2", "ide2 is a CD-ROM drive"),
            ("scsi1", "scsi1 is a path of the node"),
            ("unused0", "unused0 is not in use"),
            ("scsi7", "must be a disk of the guest"),
        ] {
            let message = pick(disk).unwrap_err().message();
            assert!(
                message.contains(why) && message.ends_with("has scsi0 (32 MiB)"),
                "{message}"
            );
        }
    }

    #[test]
    fn options_are_checked() {
        for (arguments, says) in [
            (json!({"vmid": 100}), "at least one of name"),
            (
                json!({"vmid": 100, "name": "web_01"}),
                "name: must be a DNS name",
            ),
            (
                json!({"vmid": 100, "tags": ["ok", "no good"]}),
                "tags/1: must be a tag",
            ),
            (
                json!({"vmid": 100, "add_tags": ["a;b"]}),
                "add_tags/0: must be a tag",
            ),
            (
                json!({"vmid": 100, "remove_tags": [""]}),
                "remove_tags/0: must be a tag",
            ),
            (
                json!({"vmid": 100, "tags": [], "add_tags": ["a"]}),
                "tags: must be left out",
            ),
            (
                json!({"vmid": 100, "add_tags": ["a"], "remove_tags": ["a"]}),
                "remove_tags: must not hold a",
            ),
        ] {
            let message = message(options(arguments).check());
            assert!(message.contains(says), "{message}");
        }
        let empty = options(json!({"vmid": 200, "name": ""}));
        assert!(empty.check().is_ok() && empty.check_kind(&guest("qemu")).is_ok());
        assert!(message(empty.check_kind(&guest("lxc"))).starts_with("name: must not be empty"));
    }

    #[test]
    fn options_are_sent() {
        let form_of = |arguments: Value, kind| {
            let options = options(arguments);
            pairs(&form(&options.wishes(kind, &before()), Some("ab")))
        };
        assert_eq!(
            form_of(
                json!({"vmid": 100, "name": "", "description": "", "tags": []}),
                Kind::Qemu
            ),
            ["delete=name,description,tags", "digest=ab"]
        );
        assert_eq!(
            form_of(
                json!({"vmid": 200, "name": "ct", "add_tags": ["db", "web"], "remove_tags": ["Prod"], "start_at_boot": true, "protection": false}),
                Kind::Lxc
            ),
            [
                "hostname=ct",
                "tags=web;db",
                "onboot=1",
                "protection=0",
                "digest=ab"
            ]
        );
    }

    #[test]
    fn tags_in_the_wrong_case_are_no_change() {
        let wanted = options(json!({"vmid": 100, "add_tags": ["PROD"]}));
        let report = outcome(
            Report::done("x"),
            &wanted.wishes(Kind::Qemu, &before()),
            &before(),
            &before(),
        );
        assert_eq!(report, Report::unchanged("x"));
    }

    proptest! {
        #[test]
        fn any_tag_set_survives(tags in prop::collection::vec("[a-zA-Z0-9_][a-zA-Z0-9_+.-]{0,8}", 0..8)) {
            prop_assert!(tags.iter().all(|tag| is_tag(tag)));
            let merged = merge_tags(Vec::new(), &tags, &[]);
            prop_assert_eq!(&split_tags(&join_tags(&merged)), &merged);
            for tag in &tags {
                prop_assert_eq!(merged.iter().filter(|one| *one == tag).count(), 1);
            }
            prop_assert!(merge_tags(merged.clone(), &[], &merged).is_empty());
        }

        #[test]
        fn any_text_is_a_tag_or_refused(tag in any::<String>()) {
            if is_tag(&tag) {
                prop_assert_eq!(split_tags(&tag), vec![tag]);
            }
        }

        #[test]
        fn any_size_means_what_proxmox_means(by in any::<bool>(), whole in 0u64..100_000, fraction in prop::option::of(0u32..1000), unit in "[KMGT]") {
            let text = format!(
                "{}{whole}{}{unit}",
                if by { "+" } else { "" },
                fraction.map_or_else(String::new, |digits| format!(".{digits}"))
            );
            // As Proxmox reads it: a number times the unit, cut to whole bytes.
            let digits = text.trim_start_matches('+').trim_end_matches(['K', 'M', 'G', 'T']);
            let scale = match unit.as_str() { "K" => 10, "M" => 20, "G" => 30, _ => 40 };
            let bytes = (digits.parse::<f64>().unwrap() * (1u64 << scale) as f64) as u64;
            // To the nearest MiB, or to the nearest KiB below one.
            let step: u64 = if bytes < 1 << 20 { 1 << 10 } else { 1 << 19 };
            let off = step + bytes / (1 << 50);
            match Size::parse(&text) {
                Ok(Size::By(size)) => prop_assert!(by && size.abs_diff(bytes) <= off),
                Ok(Size::To(size)) => prop_assert!(!by && size.abs_diff(bytes) <= off),
                Err(_) => prop_assert_eq!(bytes, 0),
            }
        }

        #[test]
        fn any_size_is_read_or_refused(text in any::<String>()) {
            if Size::parse(&text).is_ok() {
                let rest = text.strip_prefix('+').unwrap_or(&text);
                prop_assert!(rest.bytes().all(|b| b.is_ascii_digit() || b".KMGT".contains(&b)));
            }
        }
    }
}
