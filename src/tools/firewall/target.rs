//! Which firewall a call is about.

use super::owner::Owner;
use crate::error::{Error, Result};
use crate::pve::{Guest, Pve, Vmid, check_node_name, choose_node};
use crate::tool::report::Report;

/// Which firewall a call is about.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Target {
    Guest(Vmid),
    Node(String),
    Cluster,
}

/// A firewall that exists, with the path of its calls.
#[derive(Debug)]
pub(super) struct Firewall {
    pub(super) level: Level,
    pub(super) owner: Owner,
    pub(super) label: String,
    pub(super) guest: Option<Guest>,
    pub(super) node: Option<String>,
}

impl Target {
    /// Exactly one must be given: a guest left out by mistake must not make a
    /// change apply to the whole cluster.
    pub(super) fn of(
        vmid: Option<Vmid>,
        node: Option<String>,
        cluster: Option<bool>,
    ) -> Result<Self> {
        match (vmid, node, cluster.unwrap_or(false)) {
            (Some(vmid), None, false) => Ok(Self::Guest(vmid)),
            (None, Some(node), false) => {
                check_node_name("node", Some(&node))?;
                Ok(Self::Node(node))
            }
            (None, None, true) => Ok(Self::Cluster),
            (None, None, false) => Err(Error::argument(
                "vmid",
                "is missing: say whose firewall by vmid, node or cluster true",
            )),
            _ => Err(Error::argument(
                "vmid",
                "must be given alone: give one of vmid, node and cluster",
            )),
        }
    }

    pub(super) fn level(&self) -> Level {
        match self {
            Self::Guest(_) => Level::Guest,
            Self::Node(_) => Level::Node,
            Self::Cluster => Level::Cluster,
        }
    }

    /// Finds the firewall and passes it to `run`. A guest that moves to another
    /// node in the meantime is found again, once, and `run` is called again.
    pub(super) fn with<T>(&self, pve: &Pve, run: impl Fn(&Firewall) -> Result<T>) -> Result<T> {
        match self {
            Self::Guest(vmid) => Guest::with(pve, *vmid, |guest| run(&Firewall::of_guest(guest)))
                .map(|(_, value)| value),
            Self::Node(node) => {
                let node = choose_node(pve, "node", Some(node))?;
                Ok(run(&Firewall {
                    level: Level::Node,
                    owner: Owner::Node(node.clone()),
                    label: format!("node {node}"),
                    guest: None,
                    node: Some(node),
                })?)
            }
            Self::Cluster => Ok(run(&Firewall {
                level: Level::Cluster,
                owner: Owner::Cluster,
                label: "the cluster".into(),
                guest: None,
                node: None,
            })?),
        }
    }
}

impl Firewall {
    pub(super) fn of_guest(guest: &Guest) -> Self {
        Self {
            level: Level::Guest,
            owner: Owner::Guest(Box::new(guest.clone())),
            label: guest.label(),
            node: Some(guest.node.clone()),
            guest: Some(guest.clone()),
        }
    }

    /// A report that names the guest or node.
    pub(super) fn report(&self, report: Report) -> Report {
        match &self.guest {
            Some(guest) => report.on(guest),
            None => Report {
                node: self.node.clone(),
                ..report
            },
        }
    }
}

impl Level {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Guest => "a guest",
            Self::Node => "a node",
            Self::Cluster => "the cluster",
        }
    }
}

/// Which firewall a rule belongs to: not all take the same rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Level {
    Guest,
    Node,
    Cluster,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_firewall_has_to_be_named() {
        let name = |text: &str| Some(text.to_owned());
        let web = Vmid::new(100).unwrap();
        assert_eq!(Target::of(Some(web), None, None), Ok(Target::Guest(web)));
        assert_eq!(
            Target::of(None, name("pve1"), Some(false)),
            Ok(Target::Node("pve1".into()))
        );
        assert_eq!(Target::of(None, None, Some(true)), Ok(Target::Cluster));
        for (vmid, node, cluster) in [
            (None, None, None),
            (None, None, Some(false)),
            (Some(web), name("pve1"), None),
            (Some(web), None, Some(true)),
            (None, name("../x"), None),
        ] {
            assert!(Target::of(vmid, node, cluster).is_err());
        }
    }
}
