//! What the value of a parameter, or a segment of a path, may look like.
//!
//! Narrower than Proxmox's own formats: a value has one reading only. Perl's
//! lists split at any white space and at NUL, its numbers may have leading
//! zeros, and a line break ends an entry in files that Proxmox keeps line by
//! line. So a value outside of its grammar is refused, whatever Proxmox would
//! make of it.

use std::borrow::Cow;

use crate::address;
use crate::hardware::{self, NewDrive};
use crate::slot::is_slot;
use crate::text::{
    is_config_id, is_dns_name, is_label, is_number, is_pool, is_storage, is_word, whole,
};
use crate::upid::Upid;
use crate::vmid::Vmid;

/// The grammar of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grammar {
    /// A node's name. `localhost` is not one: Proxmox takes it for whichever
    /// node answers.
    Node,
    /// Names of nodes: a list.
    Nodes,
    /// An existing guest.
    Vmid,
    /// A guest that the request makes.
    NewVmid,
    /// Existing guests: a list.
    Vmids,
    /// A storage.
    Storage,
    /// Where volumes go: one storage for all, pairs `from:to`, or `1` for the
    /// storages that they are on.
    StorageMap,
    /// A volume, `storage:name`.
    Volid,
    /// A pool, nested by slashes.
    Pool,
    /// A task.
    Upid,
    /// `0`, `1` and the other words that Proxmox takes.
    Bool,
    /// A whole number in a range, without a sign or leading zeros.
    Int(u64, u64),
    /// A number with decimals.
    Decimal,
    /// A disk's size, such as `+10G`.
    Size,
    /// One of these.
    OneOf(&'static [&'static str]),
    /// A list of these.
    SomeOf(&'static [&'static str]),
    /// A checksum in hexadecimal digits: of a configuration, or of a file.
    Hex,
    /// What Proxmox calls a configid, such as a snapshot's name.
    Id,
    /// A disk's slot, such as `scsi0`.
    Disk,
    /// The name of a firewall object, or of what a rule does.
    Name,
    /// A DNS name.
    DnsName,
    /// DNS names or IP addresses: a list.
    Hosts,
    /// Tags: a list.
    Tags,
    /// `key=value` pairs with these keys.
    Props(&'static [&'static str]),
    /// An address that a node fetches from.
    Url,
    /// A file's name, without a folder.
    FileName,
    /// One word of printable ASCII characters, such as a user or the kind of a
    /// task.
    Word,
    /// Printable ASCII characters of an address list or a port list.
    Spec,
    /// A local time, `2026-07-01 10:00:00`.
    Time,
    /// Text that is percent-encoded once more, such as SSH keys.
    Encoded,
    /// When a job runs: a calendar event of systemd, such as `mon..fri 02:30`,
    /// at most once an hour.
    Schedule,
    /// A resource of high availability: `vm:100`.
    HaSid,
    /// Free text of one line: it ends in files that Proxmox keeps line by
    /// line.
    Line,
    /// Free text of several lines: a description, which Proxmox encodes.
    Text,
    /// A VM's disk or drive that is made or attached: a new volume; a CD-ROM or
    /// a cloud-init drive with `cd`; an image to import with `import`.
    Drive {
        /// Where the bus has drives of removable media.
        cd: bool,
        /// Where the guest is made.
        import: bool,
    },
    /// A new volume for the state of firmware or a TPM.
    StateVolume,
    /// A new root file system of a container.
    RootFs,
    /// A new volume of a container with the path that it is mounted at.
    MountPoint,
    /// A container template on a storage.
    TemplateVolume,
    /// A VM's network card on a bridge.
    VmNic,
    /// A container's network card on a bridge.
    ContainerNic,
    /// Devices to boot from: `order=scsi0;net0`.
    BootOrder,
    /// The guest agent's switch with its options.
    Agent,
    /// Whatever a command inside a guest is given.
    Anything,
}

impl Grammar {
    /// Whether a value has this form.
    pub fn fits(self, value: &str) -> bool {
        let max = match self {
            Self::Anything | Self::Encoded => usize::MAX,
            Self::Text => 8192,
            _ => 4096,
        };
        if value.len() > max {
            return false;
        }
        match self {
            Self::Node => is_label(value) && !value.eq_ignore_ascii_case("localhost"),
            Self::Nodes => all(value, |one| Self::Node.fits(one)),
            Self::Vmid | Self::NewVmid => Vmid::parse(value).is_some(),
            Self::Vmids => all(value, |one| Vmid::parse(one).is_some()),
            Self::Storage => is_storage(value),
            Self::StorageMap => all(value, |one| match one.split_once(':') {
                Some((from, to)) => is_storage(from) && is_storage(to),
                None => one == "1" || is_storage(one),
            }),
            Self::Volid => is_volid(value),
            Self::Pool => is_pool(value),
            Self::Upid => value.parse::<Upid>().is_ok(),
            Self::Bool => flag(value).is_some(),
            Self::Int(min, max) => whole(value).is_some_and(|number| (min..=max).contains(&number)),
            Self::Decimal => match value.split_once('.') {
                Some((whole_part, rest)) => {
                    whole(whole_part).is_some() && rest.len() <= 9 && is_number(rest)
                }
                None => whole(value).is_some(),
            },
            Self::Size => {
                let size = value.strip_prefix('+').unwrap_or(value);
                let number = size.trim_end_matches(['K', 'M', 'G', 'T']);
                size.len() - number.len() <= 1 && Self::Decimal.fits(number)
            }
            Self::OneOf(words) => words.contains(&value),
            Self::SomeOf(words) => all(value, |one| words.contains(&one)),
            Self::Hex => {
                value.len() <= 128
                    && !value.is_empty()
                    && value.bytes().all(|b| b.is_ascii_hexdigit())
            }
            Self::Id => is_config_id(value),
            Self::Disk => is_slot(value),
            Self::Name => {
                value.len() <= 64 && is_word(value, b"-_+.") && !value.starts_with(['-', '+', '.'])
            }
            Self::DnsName => is_dns_name(value),
            Self::Hosts => all(value, |one| {
                is_dns_name(one) || one.parse::<std::net::IpAddr>().is_ok()
            }),
            Self::Tags => all(value, |one| {
                is_word(one, b"-_+.") && !one.starts_with(['-', '+', '.'])
            }),
            Self::Props(keys) => {
                !value.is_empty()
                    && value.split(',').all(|pair| {
                        pair.split_once('=').is_some_and(|(key, value)| {
                            keys.contains(&key) && is_word(value, b"-_.:/")
                        })
                    })
            }
            Self::Url => address::is_plain(value),
            Self::FileName => is_word(value, b"-_.+~@") && !value.starts_with('.'),
            Self::Word => !value.is_empty() && value.bytes().all(|b| b.is_ascii_graphic()),
            Self::Spec => is_word(value, b"-_.:/,+!@"),
            Self::Time => is_time(value),
            Self::Schedule => value.len() <= 128 && is_schedule(value),
            Self::HaSid => ha_vmid(value).is_some(),
            Self::Encoded => is_word(value, b"-%_.!~*'()"),
            Self::Line => value.chars().all(is_text),
            Self::Text => value
                .chars()
                .all(|c| matches!(c, '\n' | '\r' | '\t') || is_text(c)),
            Self::Drive { cd, import } => match NewDrive::parse(value) {
                Some(NewDrive::Volume { .. }) => true,
                Some(NewDrive::Import { .. }) => import,
                Some(NewDrive::CloudInit { .. } | NewDrive::Cd(_)) => cd,
                None => false,
            },
            Self::StateVolume => hardware::state_volume(value).is_some(),
            Self::RootFs => hardware::container_volume(value, false).is_some(),
            Self::MountPoint => hardware::container_volume(value, true).is_some(),
            Self::TemplateVolume => hardware::is_template(value),
            Self::VmNic => hardware::is_vm_nic(value),
            Self::ContainerNic => hardware::is_container_nic(value),
            Self::BootOrder => hardware::is_boot_order(value),
            Self::Agent => hardware::is_agent(value),
            Self::Anything => true,
        }
    }

    /// What a value must be, for messages, with its range or the words that are
    /// allowed.
    pub fn wanted(self) -> Cow<'static, str> {
        match self {
            Self::Node => "a node's name (letters, digits and -; not localhost)",
            Self::Nodes => "a list of nodes' names",
            Self::Vmid | Self::NewVmid => "a vmid, from 100 to 999999999",
            Self::Vmids => "a list of vmids, each from 100 to 999999999",
            Self::Storage => "a storage's name",
            Self::StorageMap => "a storage's name, 1, or a list of pairs from:to",
            Self::Volid => "a volume id such as local:iso/debian.iso",
            Self::Pool => "a pool's name",
            Self::Upid => "a UPID",
            Self::Bool => "0 or 1",
            Self::Int(min, max) => return format!("a whole number from {min} to {max}").into(),
            Self::Decimal => "a number such as 2 or 1.5",
            Self::Size => "a size such as +10G",
            Self::OneOf([only]) => only,
            Self::OneOf(words) => return format!("one of {}", words.join(", ")).into(),
            Self::SomeOf(words) => return format!("a list of {}", words.join(", ")).into(),
            Self::Hex => "at most 128 hexadecimal digits",
            Self::Id => "a letter, then letters, digits, - and _, 2 to 40 characters",
            Self::Disk => "a disk's slot such as scsi0 or rootfs",
            Self::Name => "at most 64 letters, digits, -, _, + and .",
            Self::DnsName => "a DNS name",
            Self::Hosts => "a list of addresses or DNS names",
            Self::Tags => "a list of tags (letters, digits, -, _, + and .)",
            Self::Props(keys) => {
                return format!("key=value pairs with the keys {}", keys.join(", ")).into();
            }
            Self::Url => "a plain http or https address",
            Self::FileName => "a file name without a folder (letters, digits and -_.+~@)",
            Self::Word => "one word of printable ASCII characters",
            Self::Spec => "addresses, names, numbers or ports",
            Self::Time => "a time such as 2026-07-01 10:00:00",
            Self::Schedule => {
                "a calendar event such as mon..fri 02:30 that occurs at most once an hour"
            }
            Self::HaSid => "a resource of high availability such as vm:100",
            Self::Encoded => "percent-encoded",
            Self::Line => "one line of text without control characters",
            Self::Text => "text without control characters, at most 8192 bytes",
            Self::Drive { cd: false, .. } => "a new volume such as local:32",
            Self::Drive { import: false, .. } => {
                "a new volume such as local:32, a CD-ROM such as local:iso/debian.iso,media=cdrom \
                 or none,media=cdrom, or a cloud-init drive such as local:cloudinit"
            }
            Self::Drive { .. } => {
                "a new volume such as local:32 or local:0,import-from=local:import/debian.qcow2, a \
                 CD-ROM such as local:iso/debian.iso,media=cdrom, or a cloud-init drive such as \
                 local:cloudinit"
            }
            Self::StateVolume => "a new volume such as local:1,efitype=4m,pre-enrolled-keys=1",
            Self::RootFs => "a new volume such as local:8",
            Self::MountPoint => {
                "a new volume with its path, such as local:8,mp=/srv/data, which is not a \
                 directory of the system"
            }
            Self::TemplateVolume => "a container template such as local:vztmpl/debian.tar.zst",
            Self::VmNic => "a network card such as virtio,bridge=vmbr0",
            Self::ContainerNic => "a network card such as name=eth0,bridge=vmbr0,ip=dhcp",
            Self::BootOrder => "an order such as order=scsi0;net0",
            Self::Agent => "0 or 1, with options of the agent",
            Self::Anything => "anything",
        }
        .into()
    }

    /// The grammar of a segment that a path has in braces; none of a segment
    /// that is fixed.
    pub fn of_segment(part: &str) -> Option<Self> {
        Some(match part {
            "{node}" => Self::Node,
            "{vmid}" => Self::Vmid,
            "{storage}" => Self::Storage,
            "{upid}" => Self::Upid,
            "{snapname}" => Self::Id,
            "{group}" | "{name}" | "{id}" => Self::Name,
            "{sid}" => Self::HaSid,
            "{pos}" => Self::Int(0, 1_000_000),
            _ => return None,
        })
    }
}

/// A list as Proxmox splits one, in a value that holds no other white space.
pub fn list(value: &str) -> impl Iterator<Item = &str> {
    value
        .split([',', ';', ' '])
        .filter(|element| !element.is_empty())
}

/// Whether a list holds no white space but spaces, at which Proxmox would split
/// it too.
pub fn is_list(value: &str) -> bool {
    value.bytes().all(|b| b == b' ' || b.is_ascii_graphic())
}

/// The truth of a value, by the words that Proxmox takes.
pub fn flag(value: &str) -> Option<bool> {
    let is = |words: [&str; 4]| words.iter().any(|word| word.eq_ignore_ascii_case(value));
    match value {
        _ if is(["1", "on", "yes", "true"]) => Some(true),
        _ if is(["0", "off", "no", "false"]) => Some(false),
        _ => None,
    }
}

fn all(value: &str, fits: impl Fn(&str) -> bool) -> bool {
    is_list(value) && list(value).next().is_some() && list(value).all(fits)
}

fn is_volid(text: &str) -> bool {
    text.split_once(':').is_some_and(|(storage, name)| {
        let parts = || name.split('/');
        is_storage(storage)
            && parts().all(|part| is_word(part, b"-_.+:~@") && !matches!(part, "." | ".."))
    })
}

/// The guest that a resource of high availability is: `vm:100`.
pub fn ha_vmid(sid: &str) -> Option<Vmid> {
    let (kind, vmid) = sid.split_once(':')?;
    Vmid::parse(vmid).filter(|_| matches!(kind, "vm" | "ct"))
}

/// A calendar event that comes at most once an hour: days of the week, a date and a
/// time, each of which may be missing, or one word. The parts need a space between
/// them, which Proxmox does not: without one, a time could follow a date unseen.
fn is_schedule(text: &str) -> bool {
    const WORDS: [&str; 9] = [
        "hourly",
        "daily",
        "weekly",
        "monthly",
        "quarterly",
        "semiannually",
        "semi-annually",
        "yearly",
        "annually",
    ];
    if WORDS.contains(&text) {
        return true;
    }
    let mut parts = text.split(' ').peekable();
    let is_days = |part: &str| {
        let mut ranges = part.split(',').map(|range| range.split_once(".."));
        let mut names = part.split(',').filter(|range| !range.contains(".."));
        names.all(is_day)
            && ranges.all(|range| range.is_none_or(|(from, to)| is_day(from) && is_day(to)))
    };
    let is_date = |part: &str| {
        let fields = || part.split('-');
        (2..=3).contains(&fields().count()) && fields().all(is_calendar_field)
    };
    let has_days = parts.next_if(|part| is_days(part)).is_some();
    let has_date = parts.next_if(|part| is_date(part)).is_some();
    let has_time = parts.next_if(|part| is_time_of_day(part)).is_some();
    parts.next().is_none() && (has_days || has_date || has_time)
}

/// The name of a day of the week, or its first three letters.
fn is_day(text: &str) -> bool {
    const DAYS: [&str; 7] = [
        "monday",
        "tuesday",
        "wednesday",
        "thursday",
        "friday",
        "saturday",
        "sunday",
    ];
    let text = text.to_ascii_lowercase();
    DAYS.iter()
        .any(|day| text == *day || day.get(..3) == Some(text.as_str()))
}

/// `*`, numbers, ranges `1..5` and steps `*/2`, in a list.
fn is_calendar_field(text: &str) -> bool {
    let is_short = |number: &str| is_number(number) && number.len() <= 4;
    text.split(',').all(|one| {
        let (range, step) = match one.split_once('/') {
            Some((range, step)) => (range, Some(step)),
            None => (one, None),
        };
        let is_range = match range.split_once("..") {
            Some((from, to)) => is_short(from) && is_short(to),
            None => range == "*" || is_short(range),
        };
        is_range && step.is_none_or(is_short)
    })
}

/// Hours with one minute, `8..17:30`, and seconds if there is one of them; or a
/// minute of every hour.
fn is_time_of_day(text: &str) -> bool {
    let is_one = |number: &&str| is_number(number) && number.len() <= 2;
    let fields: Vec<&str> = text.split(':').collect();
    match fields.as_slice() {
        [minute] => is_one(minute),
        [hours, rest @ ..] => {
            rest.len() <= 2 && is_calendar_field(hours) && rest.iter().all(is_one)
        }
        [] => false,
    }
}

fn is_time(text: &str) -> bool {
    let shape = text
        .bytes()
        .map(|b| if b.is_ascii_digit() { b'0' } else { b });
    let shape: Vec<u8> = shape.collect();
    [
        &b"0000-00-00"[..],
        b"0000-00-00 00:00",
        b"0000-00-00 00:00:00",
    ]
    .contains(&shape.as_slice())
}

/// No control character, no line break of any script, and nothing that turns
/// the direction of writing, by which a text looks like another.
fn is_text(c: char) -> bool {
    !c.is_control()
        && !matches!(
            c,
            '\u{2028}' | '\u{2029}' | '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_with_one_reading_fit() {
        for (grammar, good) in [
            (Grammar::Node, &["pve1", "PVE-2"][..]),
            (Grammar::Vmid, &["100", "999999999"]),
            (Grammar::Vmids, &["100", "100,101", "100 101;102"]),
            (Grammar::Storage, &["local", "local-lvm", "nas.1"]),
            (
                Grammar::StorageMap,
                &["local", "local:bulk,tank:local", "1", "a1:b2,rest"],
            ),
            (
                Grammar::Volid,
                &[
                    "local:backup/vzdump-qemu-100-2026_07_01-10_00_00.vma.zst",
                    "pbs:backup/vm/100/2026-07-01T10:00:00Z",
                    "tank:vm-100-disk-0",
                ],
            ),
            (Grammar::Pool, &["lab", "a/b/c"]),
            (Grammar::Bool, &["0", "1", "yes", "Off"]),
            (Grammar::Int(0, 10), &["0", "10"]),
            (Grammar::Decimal, &["0", "1.5", "128"]),
            (Grammar::Size, &["10G", "+1.5T", "4096"]),
            (Grammar::SomeOf(&["a", "b"]), &["a", "a,b", "b;a"]),
            (Grammar::Disk, &["scsi0", "rootfs", "mp12"]),
            (Grammar::Hosts, &["192.0.2.1 2001:db8::1", "example.com"]),
            (Grammar::Tags, &["a;b_c", "1.2"]),
            (
                Grammar::Props(&["ip", "gw"]),
                &["ip=dhcp", "ip=192.0.2.2/24,gw=192.0.2.1"],
            ),
            (
                Grammar::Url,
                &[
                    "https://example.com/a.iso?x=1",
                    "http://user:pw@192.0.2.1:8080/a",
                ],
            ),
            (Grammar::Time, &["2026-07-01", "2026-07-01 10:00:00"]),
            (
                Grammar::Schedule,
                &[
                    "daily",
                    "hourly",
                    "30",
                    "02:30",
                    "8..17:30",
                    "22,0/4:15:00",
                    "Mon..fri 02:30",
                    "sat,Sunday",
                    "sat *-1..7 03:15",
                    "2027-1-*/2 04:00",
                ],
            ),
            (Grammar::HaSid, &["vm:100", "ct:999999999"]),
            (Grammar::Encoded, &["ssh-ed25519%20AAAA"]),
            (Grammar::Line, &["", "caf\u{e9}\u{a0}: ouvert", "a # b"]),
            (Grammar::Text, &["a\nb\tc"]),
            (
                Grammar::Upid,
                &["UPID:pve1:0000011D:000BED85:6B02AFAA:qmstart:100:root@pam!full:"],
            ),
        ] {
            for value in good {
                assert!(grammar.fits(value), "{grammar:?} {value:?}");
            }
        }
    }

    #[test]
    fn a_refusal_names_ranges_and_words() {
        for (grammar, wanted) in [
            (Grammar::Int(30, 60), "a whole number from 30 to 60"),
            (Grammar::OneOf(&["user", "meta"]), "one of user, meta"),
            (Grammar::SomeOf(&["ok", "error"]), "a list of ok, error"),
            (
                Grammar::Props(&["ip", "gw"]),
                "key=value pairs with the keys ip, gw",
            ),
            (Grammar::Vmid, "a vmid, from 100 to 999999999"),
        ] {
            assert_eq!(grammar.wanted(), wanted);
        }
    }

    #[test]
    fn values_with_another_reading_do_not() {
        for (grammar, bad) in [
            (
                Grammar::Node,
                &[
                    "",
                    "localhost",
                    "LocalHost",
                    "127.0.0.1",
                    "a.b",
                    "-a",
                    "pv\u{e9}",
                ][..],
            ),
            (
                Grammar::Vmid,
                &["99", "0100", "+100", "100 ", "1e3", "\u{661}00", "100,101"],
            ),
            (
                Grammar::Vmids,
                &[
                    "",
                    "100\t101",
                    "100\n101",
                    "100\u{a0}101",
                    "100\u{0}101",
                    "all",
                ],
            ),
            (
                Grammar::Storage,
                &["", "1", "local:", "a/b", "local\u{3000}"],
            ),
            (
                Grammar::StorageMap,
                &[
                    "",
                    "local:bulk\ttank:local",
                    "a1:b2:c3",
                    "a1:1",
                    "0",
                    "a1:b2\u{a0}c3:d4",
                ],
            ),
            (
                Grammar::Volid,
                &[
                    "a",
                    "local:",
                    "local:../x",
                    "local:a//b",
                    "/dev/sda",
                    "local:a b",
                    "local:a\0",
                ],
            ),
            (Grammar::Pool, &["", "/", "a/b/c/d", "a b"]),
            (Grammar::Bool, &["", "2", "00", "tru", "1\n"]),
            (
                Grammar::Int(0, 10),
                &["", "11", "-1", "01", "0x1", "1.0", " 1"],
            ),
            (Grammar::Size, &["", "-1G", "1GB", "1 G", "G"]),
            (Grammar::OneOf(&["a"]), &["", "A", "a "]),
            (Grammar::SomeOf(&["a", "b"]), &["", "c", "a\tb", "a,c"]),
            (Grammar::Disk, &["scsi", "scsi00", "net0", "scsi0\n"]),
            (Grammar::Hosts, &["", "192.0.2.1\n192.0.2.2", "a b_c"]),
            (
                Grammar::Props(&["ip"]),
                &["", "gw=1", "ip", "ip=a,gw=b", "ip=a\n"],
            ),
            (
                Grammar::Time,
                &["", "now", "2026-7-1", "2026-07-01 10:00:00\n"],
            ),
            (
                Grammar::Schedule,
                &[
                    "",
                    " daily",
                    "daily\n",
                    "daily\tx",
                    "02:30;x",
                    "d\u{e9}",
                    "every day",
                    // More often than once an hour.
                    "minutely",
                    "*/15",
                    "0,30",
                    "0..5",
                    "*",
                    "*:*",
                    "*:0/30",
                    "02:30:*",
                    "mon..fri */15",
                    "mon*/15",
                    "*-*-* */15",
                    "*-*-**/15",
                    "30 30",
                    "02:30 mon",
                ],
            ),
            (
                Grammar::HaSid,
                &[
                    "",
                    "100",
                    "vm:99",
                    "qemu:100",
                    "vm:100,ct:101",
                    "vm:0100",
                    "vm:100\n",
                ],
            ),
            (
                Grammar::Line,
                &[
                    "a\nb",
                    "a\rb",
                    "a\u{85}b",
                    "a\u{2028}b",
                    "a\0b",
                    "a\u{b}b",
                    "a\u{202e}b",
                ],
            ),
            (Grammar::Text, &["a\0b", "a\u{1b}[1m", "a\u{202e}b"]),
            (
                Grammar::Upid,
                &[
                    "",
                    "UPID:a",
                    "UPID:a:0:0:0:t:1:u@pam",
                    "UPID:a:x:0:0:t:1:u@pam:",
                    "UPID:pve1:11D:000BED85:6B02AFAA:qmstart:100:root@pam:",
                ],
            ),
        ] {
            for value in bad {
                assert!(!grammar.fits(value), "{grammar:?} {value:?}");
            }
        }
    }
}
