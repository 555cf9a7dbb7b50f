//! Why a rule has no effect, and which rules hide others.

use super::rule::{Direction, Rule};
use super::state::FirewallState;
use super::target::{Firewall, Level};
use crate::tool_names;

impl FirewallState {
    /// Why a rule has no effect at the moment.
    pub(super) fn no_effect_warnings(&self, firewall: &Firewall, rule: &Rule) -> Vec<String> {
        let mut warnings = Vec::new();
        if !rule.enabled {
            return warnings;
        }
        let set = tool_names::SET_FIREWALL_OPTIONS;
        if self.cluster_on() == Some(false) {
            warnings.push(format!(
                "the rule has no effect: the firewall of the datacenter is off, so none applies \
                 ({set} with cluster switches it on)"
            ));
        }
        if firewall.level != Level::Cluster && !self.options.is_on(firewall.level) {
            warnings.push(format!(
                "the rule has no effect: the firewall of {} is off ({set} enables it)",
                firewall.label
            ));
        }
        if firewall.level == Level::Guest {
            let off = self.nics_without_firewall(rule.interface.as_deref());
            if !off.is_empty() {
                warnings.push(format!(
                    "the rule has no effect on {}: the firewall flag of the network card is off \
                     ({} with firewall: true switches it on)",
                    off.join(", "),
                    tool_names::SET_NIC
                ));
            }
        }
        if rule.direction == Direction::Forward
            && firewall.level == Level::Node
            && self
                .options
                .get("nftables")
                .is_none_or(|value| value == "0")
        {
            warnings.push(format!(
                "forward rules have no effect without the nftables firewall ({set} with nftables \
                 switches it on for the node)"
            ));
        }
        warnings
    }

    /// The network cards whose firewall flag is off: the named one, or all.
    pub(super) fn nics_without_firewall(&self, only: Option<&str>) -> Vec<&str> {
        self.nics
            .iter()
            .filter(|nic| !nic.firewall && only.is_none_or(|only| only == nic.id))
            .map(|nic| nic.id.as_str())
            .collect()
    }
}
