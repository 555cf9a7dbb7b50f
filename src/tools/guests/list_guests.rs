//! `list_guests`: the guests of the cluster, filtered and sorted.

use std::collections::BTreeMap;

use pve_api::calls;
use schemars::JsonSchema;
use serde::Deserialize;

use super::find_address;
use super::tags::MOST_TAGS;
use crate::error::Result;
use crate::json::{DeserializeFields, SerializeFields};
use crate::order;
use crate::pve::{Guest, GuestType, Listed, Pve, Vmid, complete_from_nodes, guests, known_node};
use crate::text;
use crate::tool::declared::{Calls, LOOK_UP};
use crate::tool::{Offset, Page, Reply, Run, guest_filter};

/// The guests that fit the filters.
#[derive(Debug, DeserializeFields, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListGuests {
    /// VMs or containers only.
    kind: Option<GuestType>,
    /// unknown: not reported by its node. other: none of these.
    status: Option<GuestStatus>,
    /// Only on this node.
    node: Option<String>,
    /// Part of the name, in any case.
    name: Option<String>,
    /// Only with this tag; case matters.
    tag: Option<String>,
    /// Only in this pool or one within it.
    pool: Option<String>,
    /// Only the one with this IP address, by configuration or guest agent.
    address: Option<String>,
    /// True: templates only; false: no templates.
    template: Option<bool>,
    /// cpu and memory: largest use first. Default vmid.
    sort: Option<Sort>,
    /// Default 50.
    #[schemars(range(min = 1, max = 500))]
    limit: Option<u32>,
    offset: Option<Offset>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum GuestStatus {
    Running,
    Stopped,
    Paused,
    Suspended,
    Prelaunch,
    IoError,
    InternalError,
    Unknown,
    Other,
}

impl GuestStatus {
    const NAMED: [(Self, &str); 8] = [
        (Self::Running, "running"),
        (Self::Stopped, "stopped"),
        (Self::Paused, "paused"),
        (Self::Suspended, "suspended"),
        (Self::Prelaunch, "prelaunch"),
        (Self::IoError, "io-error"),
        (Self::InternalError, "internal-error"),
        (Self::Unknown, "unknown"),
    ];

    fn fits(self, guest: &Guest) -> bool {
        let named = Self::NAMED.iter().find(|(_, name)| *name == guest.status);
        match self {
            Self::Unknown => !guest.has_known_status(),
            // One whose memory is on disk is stopped, and keeps this lock.
            Self::Suspended if guest.lock.as_deref() == Some("suspended") => true,
            Self::Other => named.is_none() && guest.has_known_status(),
            _ => named.is_some_and(|(status, _)| *status == self),
        }
    }
}

#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Sort {
    Vmid,
    Name,
    Cpu,
    Memory,
}

#[derive(Debug, SerializeFields, JsonSchema)]
pub(crate) struct GuestList {
    guests: Vec<GuestSummary>,
    /// Number of matches, including those not shown.
    total: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

/// A guest on an offline node has the first four fields only.
#[derive(Debug, SerializeFields, JsonSchema)]
struct GuestSummary {
    vmid: Vmid,
    kind: GuestType,
    node: String,
    status: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    /// Of the CPUs that the guest has.
    #[serde(skip_serializing_if = "Option::is_none")]
    cpu_percent: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cpus: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    memory_used_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    memory_total_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    disk_total_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    uptime_seconds: Option<u64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tags: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pool: Option<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    template: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    lock: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ha_state: Option<String>,
    /// What says that it has the address: `net0`, `ipconfig0`, `guest agent`.
    #[serde(skip_serializing_if = "Option::is_none")]
    address_source: Option<String>,
}

const DEFAULT_LIMIT: u32 = 50;

impl Run for ListGuests {
    type Output = GuestList;

    const CALLS: &'static [Calls] = &[
        Calls::All(LOOK_UP),
        Calls::One(&calls::access::POOLS),
        Calls::One(&calls::agent::INTERFACES),
        Calls::Guest(&calls::guests::CONFIG),
        Calls::One(&calls::guests::CONTAINER_INTERFACES),
        Calls::Guest(&calls::guests::LIST),
        Calls::One(&calls::nodes::LIST),
    ];

    const OTHER_NAMES: &'static [(&'static str, &'static str)] =
        &[("ip", "address"), ("ip_address", "address")];

    fn run(self, pve: &Pve) -> Result<Reply<GuestList>> {
        let address = self.address.as_deref();
        let address = address
            .map(|address| find_address::parse("address", address))
            .transpose()?;
        let mut all = guests(pve)?;
        let none_seen = all.is_empty();
        let mut notes = complete_from_nodes(pve, &mut all);
        if none_seen {
            notes.push(pve.empty_hint(Listed::Guests));
        }
        notes.extend(self.check_filters(pve, &all)?);
        let mut found: Vec<Guest> = all.into_iter().filter(|guest| self.fits(guest)).collect();
        let mut sources = BTreeMap::new();
        if let Some(address) = address {
            let having = find_address::find(pve, address, found);
            found = Vec::new();
            for (guest, source) in having.guests {
                sources.insert(guest.vmid, source);
                found.push(guest);
            }
            notes.extend(having.notes);
        }
        sort(&mut found, self.sort.unwrap_or(Sort::Vmid));
        let total = found.len();
        let page = Page::new(self.offset, self.limit, DEFAULT_LIMIT);
        let part = page.cut(
            &mut found,
            "/guests",
            "kind, status, node, name, tag or pool",
        );
        notes.extend(part.note());
        if let Some(part) = &self.name
            && total == 0
            && part.contains(['*', '?'])
        {
            notes.push(
                "name is a part of the name, taken literally: * and ? match nothing else".into(),
            );
        }
        let running = found.iter().filter(|guest| guest.is_running()).count();
        let text = format!(
            "{}, {running} of those shown running",
            text::count(total, "guest")
        );
        let guests = found
            .into_iter()
            .map(|guest| GuestSummary {
                address_source: sources.remove(&guest.vmid),
                ..GuestSummary::from(guest)
            })
            .collect();
        let list = GuestList {
            guests,
            total,
            hint: (!notes.is_empty()).then(|| notes.join("; ")),
        };
        Ok(Reply::Listed(list, text, part))
    }
}

impl ListGuests {
    /// Refuses a filter by what does not exist, as far as that is certain.
    fn check_filters(&self, pve: &Pve, all: &[Guest]) -> Result<Vec<String>> {
        let mut notes = Vec::new();
        if let Some(node) = &self.node
            && !all.iter().any(|guest| guest.node == *node)
        {
            known_node(pve, node)?;
        }
        if all.is_empty() {
            return Ok(notes);
        }
        if let Some(tag) = &self.tag {
            notes.extend(guest_filter::check_tag(tag, all)?);
        }
        if let Some(pool) = &self.pool {
            notes.extend(guest_filter::check_pool(pve, pool, all)?);
        }
        Ok(notes)
    }

    pub(super) fn fits(&self, guest: &Guest) -> bool {
        let name_fits = |part: &String| {
            let name = guest.name.as_deref().unwrap_or_default();
            name.to_lowercase().contains(&part.to_lowercase())
        };
        self.kind.is_none_or(|kind| kind == guest.kind)
            && self.status.is_none_or(|status| status.fits(guest))
            && self.node.as_ref().is_none_or(|node| *node == guest.node)
            && self.name.as_ref().is_none_or(name_fits)
            && self
                .tag
                .as_ref()
                .is_none_or(|tag| guest.tags().contains(tag))
            && self
                .pool
                .as_ref()
                .is_none_or(|pool| guest_filter::is_in_pool(guest, pool))
            && self
                .template
                .is_none_or(|template| template == guest.template.0)
    }
}

fn sort(guests: &mut [Guest], by: Sort) {
    let cpu = |guest: &Guest| guest.cpu.unwrap_or_default().0;
    let memory = |guest: &Guest| guest.mem.unwrap_or_default().0;
    match by {
        Sort::Vmid => order::by_key(guests, |guest| guest.vmid),
        Sort::Name => order::by(guests, |a, b| a.name.cmp(&b.name)),
        Sort::Cpu => order::by(guests, |a, b| cpu(b).total_cmp(&cpu(a))),
        Sort::Memory => order::by_key(guests, |guest| std::cmp::Reverse(memory(guest))),
    }
}

impl From<Guest> for GuestSummary {
    fn from(guest: Guest) -> Self {
        Self {
            tags: guest.tags().into_iter().take(MOST_TAGS).collect(),
            vmid: guest.vmid,
            kind: guest.kind,
            node: guest.node,
            status: Some(guest.status)
                .filter(|status| !status.is_empty())
                .unwrap_or_else(|| "unknown".into()),
            name: guest.name,
            cpu_percent: guest.cpu.map(|cpu| text::round(cpu.0 * 100.0, 1)),
            cpus: guest.maxcpu.map(|cpus| cpus.0),
            memory_used_bytes: guest.mem.map(|bytes| bytes.0),
            memory_total_bytes: guest.maxmem.map(|bytes| bytes.0),
            disk_total_bytes: guest.maxdisk.map(|bytes| bytes.0),
            uptime_seconds: guest.uptime.map(|seconds| seconds.0),
            pool: guest.pool,
            template: guest.template.0,
            lock: guest.lock,
            ha_state: guest.hastate,
            address_source: None,
        }
    }
}
