//! Takes out of lists what is outside of a scope.

use serde_json::Value;

use super::answer::{self, Data};
use super::scope::{Directory, Resident, Scope, number};

/// What an answer lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listing {
    /// Guests, nodes, storages and pools, each with its `type`.
    Resources,
    /// Nodes, by `node` or `name`.
    Nodes,
    /// Guests of a node.
    Guests,
    /// Tasks, some of them about a guest.
    Tasks,
    /// Volumes, some of them a guest's.
    Content,
    /// Storages.
    Storages,
    /// Pools.
    Pools,
    /// One pool, with its members.
    Pool,
    /// What high availability looks after, by `sid`.
    HaResources,
    /// What the token may do, by path.
    Permissions,
    /// Nodes that a guest can go to.
    Targets,
}

impl Scope {
    /// Whether an answer has to be filtered at all.
    pub fn filters(&self, listing: Listing) -> bool {
        match listing {
            Listing::Storages => !self.storages.is_empty(),
            Listing::Targets => !self.nodes.is_empty(),
            _ => self.is_limited(),
        }
    }

    /// Takes what is outside of the scope out of an answer, `{"data": …}`.
    /// None where the answer is none of the shapes that Proxmox gives: then
    /// nobody knows what it shows.
    #[must_use]
    pub fn filter(
        &self,
        listing: Listing,
        answer: &[u8],
        directory: &Directory,
    ) -> Option<Vec<u8>> {
        // One buffer, as an answer can be large: what is shown is no larger,
        // but for what is written in another way.
        let mut shown = Vec::with_capacity(answer.len());
        shown.extend_from_slice(b"{\"data\":");
        let start = shown.len();
        let lines = &mut shown;
        let answer = answer::read(answer, |line| {
            if self.shows(listing, &line, directory) {
                lines.push(if lines.len() == start { b'[' } else { b',' });
                // Writing to memory does not fail.
                let _ = serde_json::to_writer(&mut *lines, &line);
            }
        })?;
        match answer.data {
            Data::Lines => {
                if matches!(
                    listing,
                    Listing::Permissions | Listing::Pool | Listing::Targets
                ) {
                    return None;
                }
                if shown.len() == start {
                    shown.push(b'[');
                }
                shown.push(b']');
            }
            Data::Whole(mut data) => {
                if !self.filter_whole(listing, &mut data, directory) {
                    return None;
                }
                serde_json::to_writer(&mut shown, &data).ok()?;
            }
        }
        if let Some(total) = answer.total {
            shown.extend_from_slice(format!(",\"total\":{total}").as_bytes());
        }
        shown.push(b'}');
        Some(shown)
    }

    /// The same for what is no list.
    fn filter_whole(&self, listing: Listing, data: &mut Value, directory: &Directory) -> bool {
        match (listing, data) {
            (_, Value::Null) => true,
            (Listing::Permissions, Value::Object(paths)) => {
                paths.retain(|path, _| self.shows_path(path, directory));
                true
            }
            (Listing::Pool, Value::Object(pool)) => {
                match pool.get_mut("members").and_then(Value::as_array_mut) {
                    Some(members) => members.retain(|member| self.shows_resource(member)),
                    None => drop(pool.remove("members")),
                }
                true
            }
            (Listing::Targets, Value::Object(targets)) => {
                self.filter_targets(targets);
                true
            }
            _ => false,
        }
    }

    fn shows(&self, listing: Listing, line: &Value, directory: &Directory) -> bool {
        let text = |name: &str| line.get(name).and_then(Value::as_str);
        let guest = |vmid: Option<u32>| vmid.is_none_or(|vmid| self.has_guest(vmid, directory));
        let vmid = || line.get("vmid").and_then(number);
        match listing {
            Listing::Resources => self.shows_resource(line),
            Listing::Nodes => match (text("type"), text("node").or_else(|| text("name"))) {
                (Some("cluster"), _) | (_, None) => true,
                (_, Some(node)) => self.has_node(node),
            },
            Listing::Guests => guest(vmid()),
            Listing::Tasks => {
                let id = text("id").and_then(|id| id.parse().ok());
                let upid = || text("upid")?.split(':').nth(6)?.parse().ok();
                text("node").is_none_or(|node| self.has_node(node)) && guest(id.or_else(upid))
            }
            // 0 stands for "no guest's".
            Listing::Content => guest(vmid().filter(|vmid| *vmid != 0)),
            Listing::Storages => text("storage").is_none_or(|storage| self.has_storage(storage)),
            Listing::Pools => text("poolid").is_some_and(|pool| self.has_pool(pool)),
            Listing::HaResources => {
                let vmid = text("sid").and_then(|sid| sid.split_once(':')?.1.parse().ok());
                text("node").is_none_or(|node| self.has_node(node)) && guest(vmid)
            }
            Listing::Pool | Listing::Permissions | Listing::Targets => false,
        }
    }

    /// A line of `/cluster/resources` tells itself which pool and which tags a
    /// guest has.
    fn shows_resource(&self, line: &Value) -> bool {
        let text = |name: &str| line.get(name).and_then(Value::as_str);
        let on_node = text("node").is_none_or(|node| self.has_node(node));
        match text("type") {
            Some("qemu" | "lxc") => Resident::of_resource(line)
                .is_some_and(|(vmid, resident)| self.has_resident(vmid, Some(&resident))),
            Some("storage") => {
                on_node && text("storage").is_some_and(|storage| self.has_storage(storage))
            }
            Some("pool") => text("pool").is_some_and(|pool| self.has_pool(pool)),
            _ => on_node,
        }
    }

    fn shows_path(&self, path: &str, directory: &Directory) -> bool {
        let mut parts = path.split('/').skip(1);
        match (parts.next(), parts.next()) {
            (Some("vms"), Some(vmid)) => vmid
                .parse()
                .is_ok_and(|vmid| self.has_guest(vmid, directory)),
            (Some("storage"), Some(storage)) => self.has_storage(storage),
            (Some("pool"), Some(pool)) => self.has_pool(pool),
            (Some("nodes"), Some(node)) => self.has_node(node),
            _ => true,
        }
    }

    fn filter_targets(&self, targets: &mut serde_json::Map<String, Value>) {
        if let Some(Value::Array(nodes)) = targets.get_mut("allowed_nodes") {
            nodes.retain(|node| node.as_str().is_some_and(|node| self.has_node(node)));
        }
        // Why a node is none, by node.
        if let Some(Value::Object(nodes)) = targets.get_mut("not_allowed_nodes") {
            nodes.retain(|node, _| self.has_node(node));
        }
    }
}
