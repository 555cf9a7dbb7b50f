//! `list_guests`: the guests of the cluster, filtered and sorted.

use std::collections::BTreeSet;

use pve_api::calls;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::tags::MOST_TAGS;
use crate::error::{Error, Result};
use crate::order;
use crate::pve::{
    At, Guest, GuestType, Params, Pve, Vmid, complete_from_nodes, guests, known_node,
};
use crate::text;
use crate::tool::declared::{Calls, LOOK_UP};
use crate::tool::{Reply, Run};

/// The guests that fit the filters.
#[derive(Debug, Deserialize, JsonSchema)]
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
    /// True: templates only; false: no templates.
    template: Option<bool>,
    /// cpu and memory: largest use first. Default vmid.
    sort: Option<Sort>,
    /// Default 50.
    #[schemars(range(min = 1, max = 500))]
    limit: Option<u32>,
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

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct GuestList {
    guests: Vec<GuestSummary>,
    /// Number of matches, including those not shown.
    total: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

/// A guest on an offline node has the first four fields only.
#[derive(Debug, Serialize, JsonSchema)]
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
}

const DEFAULT_LIMIT: u32 = 50;

impl Run for ListGuests {
    type Output = GuestList;

    const CALLS: &'static [Calls] = &[
        Calls::All(LOOK_UP),
        Calls::One(&calls::access::POOLS),
        Calls::Guest(&calls::guests::LIST),
        Calls::One(&calls::nodes::LIST),
    ];

    fn run(self, pve: &Pve) -> Result<Reply<GuestList>> {
        let mut all = guests(pve)?;
        let none_seen = all.is_empty();
        let mut notes = complete_from_nodes(pve, &mut all);
        if none_seen {
            notes.push(pve.empty_hint("VM.Audit", "/vms"));
        }
        if let Some(node) = &self.node
            && !all.iter().any(|guest| guest.node == *node)
        {
            known_node(pve, node)?;
        }
        if let Some(tag) = &self.tag
            && !none_seen
        {
            notes.extend(self.check_tag(tag, &all)?);
        }
        if let Some(pool) = &self.pool
            && !none_seen
        {
            notes.extend(check_pool(pve, pool, &all)?);
        }
        let mut found: Vec<Guest> = all.into_iter().filter(|guest| self.fits(guest)).collect();
        sort(&mut found, self.sort.unwrap_or(Sort::Vmid));
        let total = found.len();
        found.truncate(self.limit.unwrap_or(DEFAULT_LIMIT) as usize);
        if found.len() < total {
            notes.push(format!(
                "{} of {total} are shown: raise limit, or narrow by kind, status, node, name, tag \
                 or pool",
                found.len()
            ));
        }
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
        let guests = found.into_iter().map(GuestSummary::from).collect();
        Ok(Reply::Done(
            GuestList {
                guests,
                total,
                hint: (!notes.is_empty()).then(|| notes.join("; ")),
            },
            text,
        ))
    }
}

impl ListGuests {
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
                .is_none_or(|pool| guest.pool.as_ref().is_some_and(|own| within(pool, own)))
            && self
                .template
                .is_none_or(|template| template == guest.template.0)
    }

    /// Refuses a tag that no guest has, and names one that differs in case only.
    fn check_tag(&self, tag: &str, all: &[Guest]) -> Result<Option<String>> {
        let tags: BTreeSet<String> = all.iter().flat_map(Guest::tags).collect();
        let twins: Vec<&str> = tags
            .iter()
            .map(String::as_str)
            .filter(|one| *one != tag && one.to_lowercase() == tag.to_lowercase())
            .collect();
        if tags.contains(tag) {
            return Ok((!twins.is_empty()).then(|| {
                format!(
                    "case matters: other guests have the tag {}",
                    twins.join(", ")
                )
            }));
        }
        Err(no_such("tag", tag, "a guest", &tags))
    }
}

/// Whether a pool is another one or within it: `lab/team-a` is within `lab`,
/// `labor` is not.
fn within(outer: &str, pool: &str) -> bool {
    pool.strip_prefix(outer)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Refuses a pool that does not exist. For one that does, returns a note on the pools
/// within it.
fn check_pool(pve: &Pve, pool: &str, all: &[Guest]) -> Result<Option<String>> {
    let mut pools: BTreeSet<String> = all.iter().filter_map(|guest| guest.pool.clone()).collect();
    if !pools.iter().any(|one| within(pool, one)) {
        #[derive(Deserialize)]
        struct Pool {
            poolid: String,
        }
        // A pool may be without guests. Where the list cannot be had, those
        // that guests are in are all that is known.
        let more: Vec<Pool> = pve
            .send(&calls::access::POOLS.at([]), &Params::new())
            .unwrap_or_default();
        pools.extend(more.into_iter().map(|pool| pool.poolid));
        if pools.iter().any(|one| within(pool, one)) {
            return Ok(None);
        }
        return Err(no_such("pool", pool, "the token", &pools));
    }
    let inner: Vec<&str> = pools
        .iter()
        .map(String::as_str)
        .filter(|one| *one != pool && within(pool, one))
        .collect();
    Ok((!inner.is_empty()).then(|| {
        format!(
            "guests of the pools within {pool} are included: {}",
            text::cut(&inner.join(", "), NAMES_LENGTH)
        )
    }))
}

/// How many names a message lists.
const NAMES_LENGTH: usize = 400;

/// The error of a filter whose name does not exist, with the existing names, the
/// nearest first.
fn no_such(what: &str, name: &str, who: &str, known: &BTreeSet<String>) -> Error {
    let shown = text::quoted(name);
    if known.is_empty() {
        return Error::NotFound(format!(
            "there is no {what} {shown} that {who} has or can see"
        ));
    }
    let meant = text::meant(name, known.iter().map(String::as_str));
    let names: Vec<&str> = known.iter().map(String::as_str).collect();
    Error::NotFound(format!(
        "there is no {what} {shown}{meant}; there are: {}",
        text::cut(&names.join(", "), NAMES_LENGTH)
    ))
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
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pool_holds_those_within_it_alone() {
        assert!(within("lab", "lab") && within("lab", "lab/team-a/x"));
        assert!(!within("lab", "labor") && !within("lab/team-a", "lab"));
    }

    #[test]
    fn a_filter_that_names_nothing_names_the_nearest() {
        let known = ["lab", "prod"].map(str::to_owned).into();
        for (name, says) in [
            ("Prod", "prod is probably meant (case matters)"),
            ("prdo", "prod is probably meant;"),
            ("zzzzzz", "\"zzzzzz\"; there are: lab, prod"),
        ] {
            let message = no_such("pool", name, "the token", &known).message();
            assert!(message.contains(says), "{message}");
        }
    }
}
