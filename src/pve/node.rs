//! Nodes: which answer, and the choice of one.

use serde::Deserialize;

use super::{Format, Params, Path, Pve};
use crate::error::{Error, Result};
use crate::text;

/// A node, and whether it answers.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct NodeState {
    pub(crate) node: String,
    #[serde(default)]
    pub(crate) status: String,
}

impl NodeState {
    /// Whether it answers.
    pub(crate) fn is_online(&self) -> bool {
        self.status == "online"
    }
}

/// All nodes, by name.
pub(crate) fn nodes(pve: &Pve) -> Result<Vec<NodeState>> {
    let mut nodes: Vec<NodeState> = pve.get(&Path::new(["nodes"]), &Params::new())?;
    nodes.sort_by(|a, b| a.node.cmp(&b.node));
    Ok(nodes)
}

/// The wanted node, refused where it does not answer, or the only one that is
/// online.
pub(crate) fn choose_node(pve: &Pve, argument: &str, wanted: Option<&str>) -> Result<String> {
    Format::Node.check_opt(argument, wanted)?;
    pick(nodes(pve)?, argument, wanted)
}

fn pick(nodes: Vec<NodeState>, argument: &str, wanted: Option<&str>) -> Result<String> {
    let online = || {
        nodes
            .iter()
            .filter(|node| node.is_online())
            .map(|node| node.node.as_str())
            .collect::<Vec<_>>()
    };
    if let Some(name) = wanted {
        return match nodes.iter().find(|node| node.node == name) {
            Some(node) if node.is_online() => Ok(node.node.clone()),
            Some(_) => Err(Error::Unreachable(format!(
                "node {name} is offline; online are: {}",
                online().join(", ")
            ))),
            None => {
                let all = nodes.iter().map(|node| node.node.as_str());
                let near = text::nearest(name, all.clone())
                    .map_or_else(String::new, |near| format!(", perhaps {near} is meant"));
                Err(Error::NotFound(format!(
                    "there is no node {name}{near} (case matters); there are: {}",
                    all.collect::<Vec<_>>().join(", ")
                )))
            }
        };
    }
    match online().as_slice() {
        [only] => Ok((*only).to_owned()),
        [] => Err(Error::Unreachable(
            "no node is online: look at the cluster's status".into(),
        )),
        several => Err(Error::argument(
            argument,
            format!("must name a node; online are: {}", several.join(", ")),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nodes(all: &[(&str, &str)]) -> Vec<NodeState> {
        all.iter()
            .map(|(node, status)| NodeState {
                node: (*node).into(),
                status: (*status).into(),
            })
            .collect()
    }

    #[test]
    fn the_only_one_online_is_chosen() {
        let all = nodes(&[("pve1", "online"), ("pve2", "offline")]);
        assert_eq!(pick(all.clone(), "node", None).unwrap(), "pve1");
        assert_eq!(pick(all.clone(), "node", Some("pve1")).unwrap(), "pve1");
        assert!(matches!(
            pick(all.clone(), "node", Some("pve2")),
            Err(Error::Unreachable(_))
        ));
        assert!(matches!(
            pick(all, "node", Some("PVE1")),
            Err(Error::NotFound(message)) if message.contains("there are: pve1, pve2")
        ));
        let two = nodes(&[("pve1", "online"), ("pve2", "online")]);
        assert_eq!(
            pick(two, "node", None).unwrap_err().message(),
            "node: must name a node; online are: pve1, pve2"
        );
    }
}
