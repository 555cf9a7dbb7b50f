//! A firewall's state: options and rules, with those that apply to it besides its own.

use std::collections::BTreeSet;

use pve_api::calls;

use super::audit::{AddressNames, AuditInput};
use super::options::{Options, default_of};
use super::owner::Owner;
use super::rule_list::{ListedRule, RuleList, read_rules};
use super::security_groups::SecurityGroups;
use super::target::{Firewall, Level};
use super::visible::visible;
use crate::error::Result;
use crate::pve::{Failure, GuestConfig, Nic, Params, Pve, Request};

/// A firewall's state.
#[derive(Debug)]
pub(super) struct FirewallState {
    pub(super) level: Level,
    pub(super) options: Options,
    pub(super) rules: RuleList,
    /// Absent if the token may not see it. For the cluster itself, the same as
    /// `options`.
    pub(super) cluster: Option<Options>,
    /// Of a node: the cluster's rules, which apply after its own.
    pub(super) cluster_rules: Vec<ListedRule>,
    pub(super) nics: Vec<Nic>,
}

impl FirewallState {
    pub(super) fn read(pve: &Pve, firewall: &Firewall) -> Result<Self, Failure> {
        let above = Owner::Cluster;
        let more = match firewall.level {
            Level::Cluster => Vec::new(),
            Level::Guest => vec![above.options()],
            Level::Node => vec![above.options(), above.rules()],
        };
        let requests = [firewall.owner.options(), firewall.owner.rules()].into_iter();
        pve.start(requests.chain(more).map(|request| (request, Params::new())));
        // First, since it shows whether the guest has moved away.
        let nics = match &firewall.guest {
            Some(guest) => GuestConfig::read(pve, guest)?.nics(),
            None => Vec::new(),
        };
        let options = Options::read(pve, &firewall.owner)?;
        let rules = read_rules(pve, &firewall.owner)?;
        let (cluster, cluster_rules) = match firewall.level {
            Level::Cluster => (Some(options.clone()), Vec::new()),
            Level::Guest => (visible(Options::read(pve, &above))?, Vec::new()),
            Level::Node => (
                visible(Options::read(pve, &above))?,
                visible(read_rules(pve, &above))?.unwrap_or_default().list,
            ),
        };
        Ok(Self {
            level: firewall.level,
            options,
            rules,
            cluster,
            cluster_rules,
            nics,
        })
    }

    /// The request for the network cards of a guest, whose firewall this is.
    pub(super) fn guest_request(firewall: &Firewall) -> Option<Request> {
        let guest = firewall.guest.as_ref()?;
        Some(guest.request(&calls::guests::CONFIG))
    }

    /// Of a guest, where the options of the cluster were read already.
    pub(super) fn of_guest(
        pve: &Pve,
        firewall: &Firewall,
        cluster: &Options,
    ) -> Result<Self, Failure> {
        let nics = match &firewall.guest {
            Some(guest) => GuestConfig::read(pve, guest)?.nics(),
            None => Vec::new(),
        };
        Ok(Self {
            level: firewall.level,
            options: Options::read(pve, &firewall.owner)?,
            rules: read_rules(pve, &firewall.owner)?,
            cluster: Some(cluster.clone()),
            cluster_rules: Vec::new(),
            nics,
        })
    }

    pub(super) fn cluster_on(&self) -> Option<bool> {
        self.cluster
            .as_ref()
            .map(|options| options.is_on(Level::Cluster))
    }

    /// A policy that applies here: nodes have those of the cluster.
    pub(super) fn policy(&self, name: &str) -> &str {
        let options = match self.level {
            Level::Node => self.cluster.as_ref(),
            Level::Guest | Level::Cluster => Some(&self.options),
        };
        options
            .and_then(|options| options.get(name))
            .or(default_of(self.level, name))
            .unwrap_or("ACCEPT")
    }

    pub(super) fn all_rules(&self) -> impl Iterator<Item = &ListedRule> {
        self.rules.list.iter().chain(&self.cluster_rules)
    }

    pub(super) fn audit_input<'a>(
        &'a self,
        groups: &'a SecurityGroups,
        names: Option<&'a AddressNames>,
        interfaces: Option<&'a BTreeSet<String>>,
    ) -> AuditInput<'a> {
        AuditInput {
            level: self.level,
            cluster_on: self.cluster_on(),
            own_on: self.options.is_on(self.level),
            policy_in: self.policy("policy_in"),
            policy_out: self.policy("policy_out"),
            mac_filter: self.options.get("macfilter") != Some("0"),
            nftables: self
                .options
                .get("nftables")
                .is_some_and(|value| value != "0"),
            rules: &self.rules.list,
            cluster_rules: &self.cluster_rules,
            groups: &groups.rules,
            group_names: groups.names.as_ref(),
            names,
            nics: &self.nics,
            interfaces,
        }
    }
}
