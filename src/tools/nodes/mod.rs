//! Nodes: the list, and one in full.

mod get_node;
mod list_nodes;
mod share;

pub(crate) use get_node::GetNode;
pub(crate) use list_nodes::ListNodes;
