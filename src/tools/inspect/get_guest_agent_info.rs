//! `get_guest_agent_info`: what a VM's guest agent says of the system inside.

use pve_api::{Call, calls};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use super::health::pools::used_percent;
use crate::error::{Error, Result};
use crate::json::{DeserializeFields, SerializeFields};
use crate::order;
use crate::pve::{Failure, Guest, GuestType, Num, Params, Pve, Text, Vmid};
use crate::tool::declared::{Calls, LOOK_UP};
use crate::tool::{Reply, Run, bounds};
use crate::tools::agent::answer::AgentAnswer;
use crate::tools::agent::error::agent_error;
use crate::{text, tool_names};

/// The system inside a VM.
#[derive(Debug, DeserializeFields, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct GetGuestAgentInfo {
    vmid: Vmid,
}

#[derive(Debug, SerializeFields, JsonSchema)]
pub(crate) struct AgentInfo {
    vmid: Vmid,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    /// What the system calls itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    guest_name: Option<String>,
    /// `Debian GNU/Linux 13 (trixie)`.
    #[serde(skip_serializing_if = "Option::is_none")]
    os: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kernel: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    architecture: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    time_zone: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    utc_offset_seconds: Option<i64>,
    /// Who is logged in; absent where the agent does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    logins: Option<Vec<Login>>,
    /// The fullest first; absent where the agent does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    filesystems: Option<Vec<Filesystem>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

#[derive(Debug, PartialEq, SerializeFields, JsonSchema)]
struct Login {
    user: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    domain: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<String>,
}

#[derive(Debug, PartialEq, SerializeFields, JsonSchema)]
pub(super) struct Filesystem {
    mount_point: String,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    kind: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    total_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    used_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    used_percent: Option<f64>,
}

#[derive(Debug, Default, DeserializeFields)]
#[serde(rename_all = "kebab-case")]
struct RawSystem {
    pretty_name: Option<String>,
    name: Option<String>,
    version: Option<Text>,
    kernel_release: Option<Text>,
    machine: Option<String>,
}

#[derive(Debug, DeserializeFields)]
#[serde(rename_all = "kebab-case")]
struct RawHostName {
    host_name: Option<String>,
}

#[derive(Debug, DeserializeFields)]
struct RawZone {
    zone: Option<String>,
    offset: Option<Num<i64>>,
}

#[derive(Debug, DeserializeFields)]
#[serde(rename_all = "kebab-case")]
struct RawLogin {
    user: Text,
    domain: Option<String>,
    /// In seconds since 1970, with a fraction.
    login_time: Option<Num<f64>>,
}

/// Sizes are absent of what has none, and in agents before version 3.0.
#[derive(Debug, DeserializeFields)]
#[serde(rename_all = "kebab-case")]
struct RawFilesystem {
    mountpoint: String,
    #[serde(rename = "type")]
    kind: Option<String>,
    total_bytes: Option<Num<u64>>,
    used_bytes: Option<Num<u64>>,
}

/// How many logins and filesystems are shown: the guest decides how many there
/// are.
const MOST_LOGINS: usize = 30;
const MOST_FILESYSTEMS: usize = 40;

/// How many nearly full filesystems are named in words.
const MOST_FULL: usize = 5;

/// How long the reason is why something could not be read.
const REASON_LENGTH: usize = 200;

/// The longest name that the guest gives.
const NAME_LENGTH: usize = 120;

/// From this on a filesystem is nearly full.
const NEARLY_FULL_PERCENT: f64 = 90.0;

/// From this on, or with less than this free, writes fail.
const FULL_PERCENT: f64 = 99.0;
const FULL_BYTES: u64 = 64 << 20;

impl Run for GetGuestAgentInfo {
    type Output = AgentInfo;

    const CALLS: &'static [Calls] = &[
        Calls::All(LOOK_UP),
        Calls::One(&calls::agent::SYSTEM),
        Calls::One(&calls::agent::HOST_NAME),
        Calls::One(&calls::agent::TIME_ZONE),
        Calls::One(&calls::agent::LOGINS),
        Calls::One(&calls::agent::FILESYSTEMS),
    ];

    fn run(self, pve: &Pve) -> Result<Reply<AgentInfo>> {
        let (guest, info) = Guest::with(pve, self.vmid, |guest| AgentInfo::read(pve, guest))?;
        let text = info.text(&guest);
        Ok(Reply::Done(info, text))
    }
}

/// Questions to a guest's agent. A command that this agent does not have, or whose
/// answer is odd, is a note: others may work. Once the agent has answered, every
/// failure is a note: what it has told is not lost.
struct Questions<'a> {
    pve: &'a Pve,
    guest: &'a Guest,
    has_answered: bool,
    notes: Vec<String>,
}

impl Questions<'_> {
    fn ask<T: DeserializeOwned>(&mut self, call: &'static Call, what: &str) -> Result<Option<T>> {
        let request = self.guest.request(call);
        let note = match self.pve.send::<AgentAnswer<T>>(&request, &Params::new()) {
            Ok(answer) => {
                self.has_answered = true;
                return Ok(Some(answer.result));
            }
            Err(Failure::Api(error)) if error.says("agent error:") => {
                format!("the agent does not report the {what}: {}", error.message)
            }
            Err(Failure::Unreadable(_)) => {
                format!("the agent's answer about the {what} cannot be read")
            }
            Err(failure) => {
                let error = agent_error(self.guest, failure);
                if !self.has_answered {
                    return Err(error);
                }
                let why = text::cut(&error.message(), REASON_LENGTH);
                format!("the {what} could not be read: {why}")
            }
        };
        self.notes.push(note);
        Ok(None)
    }
}

/// A filesystem inside a VM that is full, or nearly so.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct FullFilesystem {
    /// `/var is 99% full`.
    pub(super) words: String,
    /// Whether nothing can be written any more.
    pub(super) is_full: bool,
}

/// The filesystems of a running VM that are full, or nearly so.
pub(super) fn full_filesystems(pve: &Pve, guest: &Guest) -> Result<Vec<FullFilesystem>, Failure> {
    let request = guest.request(&calls::agent::FILESYSTEMS);
    let answer: AgentAnswer<Vec<RawFilesystem>> = pve.send(&request, &Params::new())?;
    let all: Vec<Filesystem> = answer.result.into_iter().map(Filesystem::from).collect();
    Ok(fullness(&all))
}

fn fullness(all: &[Filesystem]) -> Vec<FullFilesystem> {
    all.iter()
        .filter_map(Filesystem::fullness)
        .take(MOST_FULL)
        .collect()
}

impl Filesystem {
    /// How full it is, if that is nearly all.
    fn fullness(&self) -> Option<FullFilesystem> {
        let percent = self
            .used_percent
            .filter(|used| *used >= NEARLY_FULL_PERCENT)?;
        // An image that is mounted read-only is always full.
        let is_image = matches!(
            self.kind.as_deref(),
            Some("iso9660" | "udf" | "squashfs" | "CDFS" | "UDF")
        );
        let free = self.total_bytes?.saturating_sub(self.used_bytes?);
        (!is_image).then(|| FullFilesystem {
            words: format!("{} is {percent}% full", self.mount_point),
            is_full: percent >= FULL_PERCENT || free < FULL_BYTES,
        })
    }
}

impl AgentInfo {
    fn read(pve: &Pve, guest: &Guest) -> Result<Self> {
        if guest.kind == GuestType::Lxc {
            return Err(Error::Conflict(format!(
                "{} is a container, which has no guest agent: {} and {} show what its node knows \
                 of it",
                guest.label(),
                tool_names::GET_GUEST,
                tool_names::GET_GUEST_NETWORK,
            )));
        }
        let mut agent = Questions {
            pve,
            guest,
            has_answered: false,
            notes: Vec::new(),
        };
        let system: Option<RawSystem> = agent.ask(&calls::agent::SYSTEM, "operating system")?;
        let name: Option<RawHostName> = agent.ask(&calls::agent::HOST_NAME, "host name")?;
        let zone: Option<RawZone> = agent.ask(&calls::agent::TIME_ZONE, "time zone")?;
        let logins: Option<Vec<RawLogin>> = agent.ask(&calls::agent::LOGINS, "users")?;
        let filesystems: Option<Vec<RawFilesystem>> =
            agent.ask(&calls::agent::FILESYSTEMS, "filesystems")?;
        Ok(Self::new(
            guest,
            system,
            name,
            zone,
            logins,
            filesystems,
            agent.notes,
        ))
    }

    fn new(
        guest: &Guest,
        system: Option<RawSystem>,
        name: Option<RawHostName>,
        zone: Option<RawZone>,
        logins: Option<Vec<RawLogin>>,
        filesystems: Option<Vec<RawFilesystem>>,
        mut notes: Vec<String>,
    ) -> Self {
        let short = |text: String| text::short(&text, NAME_LENGTH);
        let system = system.unwrap_or_default();
        let os = system.pretty_name.or_else(|| {
            let name = system.name?;
            Some(match system.version {
                Some(version) => format!("{name} {version}"),
                None => name,
            })
        });
        let mut logins: Option<Vec<Login>> =
            logins.map(|all| all.into_iter().map(Login::from).collect());
        let mut filesystems: Option<Vec<Filesystem>> =
            filesystems.map(|all| all.into_iter().map(Filesystem::from).collect());
        if let Some(logins) = &mut logins {
            bounds::keep(logins, MOST_LOGINS, "logins", &mut notes);
        }
        if let Some(all) = &mut filesystems {
            order::by(all, |a, b| {
                let use_of = |one: &Filesystem| one.used_percent.unwrap_or(-1.0);
                use_of(b).total_cmp(&use_of(a))
            });
            bounds::keep(all, MOST_FILESYSTEMS, "filesystems", &mut notes);
        }
        Self {
            vmid: guest.vmid,
            name: guest.name.clone(),
            guest_name: name.and_then(|name| short(name.host_name?)),
            os: os.and_then(short),
            kernel: system.kernel_release.and_then(|release| short(release.0)),
            architecture: system.machine.and_then(short),
            utc_offset_seconds: zone.as_ref().and_then(|zone| Some(zone.offset?.0)),
            time_zone: zone.and_then(|zone| short(zone.zone?)),
            logins,
            filesystems,
            hint: (!notes.is_empty()).then(|| notes.join("; ")),
        }
    }

    fn text(&self, guest: &Guest) -> String {
        let mut parts = Vec::new();
        parts.extend(self.os.clone());
        if let Some(logins) = &self.logins {
            parts.push(format!("{} logged in", logins.len()));
        }
        let full = self.filesystems.iter().flat_map(|all| fullness(all));
        parts.extend(full.map(|one| one.words));
        format!("{}: {}", guest.label(), parts.join(", "))
    }
}

impl From<RawLogin> for Login {
    fn from(raw: RawLogin) -> Self {
        Self {
            user: text::cut(&raw.user.0, NAME_LENGTH),
            domain: raw.domain.map(|domain| text::cut(&domain, NAME_LENGTH)),
            since: raw
                .login_time
                .map(|time| time.0)
                .filter(|time| *time >= 1.0)
                .map(|time| text::time(time as u64)),
        }
    }
}

impl From<RawFilesystem> for Filesystem {
    fn from(raw: RawFilesystem) -> Self {
        Self {
            mount_point: text::cut(&raw.mountpoint, NAME_LENGTH),
            kind: raw.kind.map(|kind| text::cut(&kind, 40)),
            total_bytes: raw.total_bytes.map(|bytes| bytes.0),
            used_bytes: raw.used_bytes.map(|bytes| bytes.0),
            used_percent: used_percent(raw.used_bytes, raw.total_bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn guest() -> Guest {
        serde_json::from_value(json!({
            "vmid": 100, "type": "qemu", "node": "alpha", "status": "running", "name": "web"
        }))
        .unwrap()
    }

    fn read<T: DeserializeOwned>(value: serde_json::Value) -> Option<T> {
        Some(
            serde_json::from_value::<AgentAnswer<T>>(json!({"result": value}))
                .unwrap()
                .result,
        )
    }

    #[test]
    fn what_agents_say() {
        let info = AgentInfo::new(
            &guest(),
            read(
                json!({"pretty-name": "Debian GNU/Linux 13 (trixie)", "kernel-release": "6.12",
                "machine": "x86_64", "version-id": "13"}),
            ),
            read(json!({"host-name": "web-1"})),
            read(json!({"zone": "CET", "offset": 3600})),
            read(json!([{"user": "ann", "login-time": 1_795_338_154.25},
                {"user": "Bob", "domain": "LAB", "login-time": 0}])),
            read(json!([
                {"mountpoint": "/boot", "type": "ext4", "used-bytes": 10, "total-bytes": 100,
                    "disk": [], "name": "sda1"},
                {"mountpoint": "/", "type": "ext4", "used-bytes": 95, "total-bytes": "100"},
                {"mountpoint": "/mnt/cd", "type": "iso9660", "used-bytes": 5, "total-bytes": 5},
                {"mountpoint": "System Reserved", "type": "NTFS"},
            ])),
            Vec::new(),
        );
        let shown = serde_json::to_value(&info).unwrap();
        assert_eq!(shown["os"], "Debian GNU/Linux 13 (trixie)");
        assert_eq!(shown["guest_name"], "web-1");
        assert_eq!(shown["utc_offset_seconds"], 3600);
        assert_eq!(
            shown["logins"],
            json!([{"user": "ann", "since": "2026-11-22T09:02:34Z"},
                {"user": "Bob", "domain": "LAB"}])
        );
        let mounts: Vec<&str> = info
            .filesystems
            .iter()
            .flatten()
            .map(|one| one.mount_point.as_str())
            .collect();
        assert_eq!(mounts, ["/mnt/cd", "/", "/boot", "System Reserved"]);
        let text = info.text(&guest());
        assert!(
            text.contains("/ is 95% full") && !text.contains("/mnt/cd"),
            "{text}"
        );
    }

    #[test]
    fn what_is_missing_is_absent() {
        let info = AgentInfo::new(
            &guest(),
            read(json!({"name": "Microsoft Windows", "version": "Windows Server 2022"})),
            None,
            read(json!({"offset": -18000})),
            None,
            None,
            vec!["the agent does not tell the users: Agent error: x".into()],
        );
        let shown = serde_json::to_value(&info).unwrap();
        assert_eq!(
            shown,
            json!({
                "vmid": 100, "name": "web", "os": "Microsoft Windows Windows Server 2022",
                "utc_offset_seconds": -18000,
                "hint": "the agent does not tell the users: Agent error: x",
            })
        );
    }
}
