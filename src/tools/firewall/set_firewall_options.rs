//! `set_firewall_options`: switches, policies and filters.

use pve_api::calls;
use schemars::JsonSchema;
use serde::Deserialize;

use super::declared::READ_STATE;
use super::options::{OptionChange, Options, default_of, display_value};
use super::security_groups::SecurityGroups;
use super::state::FirewallState;
use super::target::{Firewall, Level, Target};
use crate::error::{Error, Result};
use crate::json::DeserializeFields;
use crate::pve::{Params, Pve, Vmid};
use crate::tool::declared::Calls;
use crate::tool::report::Report;
use crate::tool::{Reply, Run};
use crate::tool_names;

/// Switches and policies.
#[derive(Debug, DeserializeFields, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SetFirewallOptions {
    /// The guest.
    vmid: Option<Vmid>,
    /// The node.
    node: Option<String>,
    /// True: the cluster.
    cluster: Option<bool>,
    /// Enable or disable it.
    enabled: Option<bool>,
    /// For traffic that no rule matches; guest or cluster only.
    policy_in: Option<Policy>,
    /// As policy_in.
    policy_out: Option<Policy>,
    /// Guest: let DHCP through.
    dhcp: Option<bool>,
    /// Guest: only its own MAC addresses.
    macfilter: Option<bool>,
    /// Guest: only its own IP addresses.
    ipfilter: Option<bool>,
    /// Others by Proxmox's names, such as log_level_in=info, nftables=1.
    more: Option<Vec<String>>,
    /// Even if nodes become unreachable.
    accept_lockout: Option<bool>,
    /// Even if this disables the whole cluster's firewall.
    accept_unprotected: Option<bool>,
}

/// What happens to traffic that no rule matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub(super) enum Policy {
    Accept,
    Reject,
    Drop,
}

impl Policy {
    fn as_str(self) -> &'static str {
        match self {
            Self::Accept => "ACCEPT",
            Self::Reject => "REJECT",
            Self::Drop => "DROP",
        }
    }
}

impl Run for SetFirewallOptions {
    type Output = Report;

    const CALLS: &'static [Calls] = &[
        Calls::All(READ_STATE),
        Calls::One(&calls::firewall::SET_CLUSTER_OPTIONS),
        Calls::Guest(&calls::firewall::SET_GUEST_OPTIONS),
        Calls::One(&calls::firewall::SET_NODE_OPTIONS),
    ];

    fn run(self, pve: &Pve) -> Result<Reply<Report>> {
        let target = Target::of(self.vmid, self.node.clone(), self.cluster)?;
        let wanted = self.wanted(target.level())?;
        let report = target.with(pve, |firewall| self.set(pve, firewall, &wanted))?;
        Ok(Reply::report(report))
    }
}

impl SetFirewallOptions {
    /// The options to set. Fails if a firewall of this level has no such option,
    /// or if one is given more than once.
    pub(super) fn wanted(&self, level: Level) -> Result<Vec<OptionChange>> {
        let flag = |value: bool| if value { "1" } else { "0" };
        let own = [
            ("enabled", "enable", self.enabled.map(flag)),
            ("policy_in", "policy_in", self.policy_in.map(Policy::as_str)),
            (
                "policy_out",
                "policy_out",
                self.policy_out.map(Policy::as_str),
            ),
            ("dhcp", "dhcp", self.dhcp.map(flag)),
            ("macfilter", "macfilter", self.macfilter.map(flag)),
            ("ipfilter", "ipfilter", self.ipfilter.map(flag)),
        ];
        let mut wanted: Vec<OptionChange> = Vec::new();
        for (argument, name, value) in own {
            if let Some(value) = value {
                wanted.push(OptionChange::of(Some(argument), name, value, level)?);
            }
        }
        for one in self.more.iter().flatten() {
            let Some((name, value)) = one.split_once('=') else {
                return Err(Error::argument(
                    "more",
                    "must list options as name=value, such as ndp=0",
                ));
            };
            let one = OptionChange::of(None, name.trim(), value.trim(), level)?;
            if wanted.iter().any(|known| known.name == one.name) {
                return Err(Error::argument(
                    "more",
                    format!("{} is given more than once", one.name),
                ));
            }
            wanted.push(one);
        }
        if wanted.is_empty() {
            return Err(Error::argument(
                "enabled",
                "is missing: give at least one option to set",
            ));
        }
        Ok(wanted)
    }

    fn set(&self, pve: &Pve, firewall: &Firewall, wanted: &[OptionChange]) -> Result<Report> {
        let state = FirewallState::read(pve, firewall)?;
        let action = format!("set the firewall options of {}", firewall.label);
        let mut form = Params::new();
        let mut after = state.options.clone();
        let mut report = firewall.report(Report::done(action.clone()));
        for one in wanted {
            let now = state.options.get(one.name);
            let default = default_of(firewall.level, one.name);
            let value = display_value(one.name, &one.value);
            if now
                .or(default)
                .is_some_and(|now| display_value(one.name, now) == value)
            {
                continue;
            }
            form = form.set(one.name, &one.value);
            after.0.insert(one.name.to_owned(), one.value.clone());
            let from = match (now, default) {
                (Some(now), _) => Some(display_value(one.name, now)),
                (None, Some(default)) => {
                    Some(format!("{} (default)", display_value(one.name, default)))
                }
                (None, None) => None,
            };
            report = report.change(one.argument, from, Some(value));
        }
        if form.is_empty() {
            return Ok(firewall.report(Report::unchanged(action)));
        }
        let unprotected = self.check_protection(firewall, &state.options, &after)?;
        let lockout = state.check_lockout(
            pve,
            firewall,
            &state.rules.list,
            Some(&after),
            self.accept_lockout,
        )?;
        pve.send::<()>(
            &firewall.owner.set_options(),
            &form.opt("digest", state.options.get("digest")),
        )?;
        report.warnings.extend(unprotected);
        report.warnings.extend(lockout);
        report
            .warnings
            .extend(self.consequences(pve, firewall, state, after)?);
        Ok(report)
    }

    /// Refuses to disable the firewall of the whole cluster unless the caller accepts it.
    /// Returns what a firewall that is now disabled no longer does.
    fn check_protection(
        &self,
        firewall: &Firewall,
        before: &Options,
        after: &Options,
    ) -> Result<Option<String>> {
        if !before.is_on(firewall.level) || after.is_on(firewall.level) {
            return Ok(None);
        }
        if firewall.level != Level::Cluster {
            return Ok(Some(format!(
                "no rule and no policy protects {} any longer",
                firewall.label
            )));
        }
        let lost = "no rule or policy of any node or guest applies any longer: all their ports are \
                    open to anyone who can reach them";
        if self.accept_unprotected == Some(true) {
            return Ok(Some(lost.to_owned()));
        }
        Err(Error::Conflict(format!(
            "this disables the firewall of the whole cluster, and then {lost}; nothing was \
             changed: to switch it off for one node or guest give node or vmid instead of cluster, \
             or set accept_unprotected to true"
        )))
    }

    /// Warnings about a firewall with these options.
    fn consequences(
        &self,
        pve: &Pve,
        firewall: &Firewall,
        state: FirewallState,
        after: Options,
    ) -> Result<Vec<String>> {
        let mut warnings = Vec::new();
        if firewall.level == Level::Cluster || !after.is_on(firewall.level) {
            return Ok(warnings);
        }
        if state.cluster_on() == Some(false) {
            warnings.push(format!(
                "it has no effect yet: the firewall of the datacenter is off ({} with cluster \
                 switches it on)",
                tool_names::SET_FIREWALL_OPTIONS
            ));
        }
        if firewall.level != Level::Guest {
            return Ok(warnings);
        }
        let state = FirewallState {
            options: after,
            ..state
        };
        let off: Vec<&str> = state.nics_without_firewall(None);
        if !off.is_empty() {
            warnings.push(format!(
                "it has no effect on {}: its firewall flag is off ({} with firewall: true switches it \
                 on)",
                off.join(", "),
                tool_names::SET_NIC
            ));
        }
        if state.policy("policy_in") != "ACCEPT" {
            // The change is made: what cannot be read afterwards is left out.
            let groups =
                SecurityGroups::read(pve, state.rules.list.iter(), false).unwrap_or_default();
            if !state.audit_input(&groups, None, None).lets_in() {
                warnings.push(format!(
                    "policy_in is {} and no rule accepts anything: new connections to the guest \
                     are cut off",
                    state.policy("policy_in")
                ));
            }
        }
        Ok(warnings)
    }
}
