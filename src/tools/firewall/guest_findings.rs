//! What is wrong with the firewalls of all guests.

use schemars::JsonSchema;

use super::finding::Finding;
use super::options::Options;
use super::security_groups::SecurityGroups;
use super::state::FirewallState;
use super::target::Firewall;
use crate::error::Result;
use crate::json::SerializeFields;
use crate::order;
use crate::pve::{Guest, Params, Pve, Vmid, guests};
use crate::text;
use crate::tool::bounds;
use crate::tool::budget::{Budget, SECONDS};
use crate::tools::finding::Severity;

/// How many guests are looked at. Each takes three requests.
const MOST_GUESTS: usize = 250;

/// How many guests are shown, and how many findings of each.
const GUESTS_SHOWN: usize = 100;
const FINDINGS_SHOWN: usize = 5;

/// The serious findings about a guest's firewall.
#[derive(Debug, SerializeFields, JsonSchema)]
pub(super) struct GuestFindings {
    vmid: Vmid,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    node: String,
    enabled: bool,
    /// High and medium ones, the most serious first.
    findings: Vec<Finding>,
}

/// Reads the firewall of each guest. Returns the guests with findings, the most serious
/// first, and notes on those that were not read.
pub(super) fn of_all(
    pve: &Pve,
    cluster: &Options,
    groups: &SecurityGroups,
) -> Result<(Vec<GuestFindings>, Vec<String>)> {
    let mut notes = Vec::new();
    let all = guests(pve)?;
    let (readable, away): (Vec<Guest>, Vec<Guest>) = all
        .into_iter()
        .filter(|guest| !guest.template.0)
        .partition(|guest| guest.reachable(pve).is_ok());
    let firewalls: Vec<Firewall> = readable.iter().map(Firewall::of_guest).collect();
    let requests = firewalls.iter().take(MOST_GUESTS).flat_map(|firewall| {
        let owner = &firewall.owner;
        let config = FirewallState::guest_request(firewall);
        config.into_iter().chain([owner.options(), owner.rules()])
    });
    pve.start(requests.map(|request| (request, Params::new())));
    let mut budget = Budget::new(MOST_GUESTS);
    let (mut found, mut unread, mut beyond) = (Vec::new(), 0, 0);
    for (guest, firewall) in readable.iter().zip(&firewalls) {
        if !budget.take() {
            beyond += 1;
            continue;
        }
        let Ok(state) = FirewallState::of_guest(pve, firewall, cluster) else {
            unread += 1;
            continue;
        };
        let mut findings = state.audit_input(groups, None, None).findings();
        findings.retain(|one| matches!(one.severity, Severity::High | Severity::Medium));
        findings.truncate(FINDINGS_SHOWN);
        if !findings.is_empty() {
            found.push(GuestFindings {
                vmid: guest.vmid,
                name: guest.name.clone(),
                node: guest.node.clone(),
                enabled: state.options.is_on(firewall.level),
                findings,
            });
        }
    }
    order::by_key(&mut found, |one: &GuestFindings| {
        let severity = one.findings.first().map(|finding| finding.severity);
        (severity, one.vmid)
    });
    bounds::keep(&mut found, GUESTS_SHOWN, "guests with findings", &mut notes);
    let limited = format!(
        "were not read, as one call reads at most {MOST_GUESTS} for at most {SECONDS} seconds: \
         audit these by vmid"
    );
    for (count, why) in [
        (away.len(), "on offline nodes were not read"),
        (unread, "could not be read"),
        (beyond, limited.as_str()),
    ] {
        if count > 0 {
            notes.push(format!("{} {why}", text::count(count, "guest")));
        }
    }
    Ok((found, notes))
}
