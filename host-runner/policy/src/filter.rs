//! Takes out of lists what is outside of a scope.

use pve_api::grammar::list;
use pve_api::{Listing, Upid, Vmid, owner_of};
use serde_json::Value;

use super::answer::{self, Data};
use super::directory::{Directory, Resident};
use super::scope::{Scope, number};

/// In the place of how a task has failed.
const HIDDEN_STATUS: &str = "failed (the reason is outside this server's scope)";

/// Texts that people write, which may name any guest, and paths of the nodes.
const FREE_TEXT: [&str; 5] = [
    "comment",
    "notes-template",
    "mailto",
    "exclude-path",
    "script",
];

impl Scope {
    /// Whether an answer has to be filtered at all.
    pub fn filters(&self, listing: Listing) -> bool {
        match listing {
            Listing::Storages => !self.storages.is_empty(),
            _ => self.is_limited(),
        }
    }

    /// Takes what is outside of the scope out of an answer, `{"data": …}`.
    /// None where the answer is none of the shapes that Proxmox gives: then
    /// it is not known what it shows.
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
        let answer = answer::read(answer, |mut line| {
            if self.shows(listing, &line, directory) {
                self.clean(listing, &mut line, directory);
                lines.push(if lines.len() == start { b'[' } else { b',' });
                // Writing to memory does not fail.
                let _ = serde_json::to_writer(&mut *lines, &line);
            }
        })?;
        match answer.data {
            Data::Lines => {
                if matches!(listing, Listing::Permissions | Listing::Targets) {
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
        // It counts what is outside of the scope too.
        if let Some(total) = answer.total.filter(|_| !self.needs_directory()) {
            shown.extend_from_slice(format!(",\"total\":{total}").as_bytes());
        }
        shown.push(b'}');
        Some(shown)
    }

    /// Filters an answer that is not a list.
    fn filter_whole(&self, listing: Listing, data: &mut Value, directory: &Directory) -> bool {
        match (listing, data) {
            (_, Value::Null) => true,
            (Listing::Permissions, Value::Object(paths)) => {
                paths.retain(|path, _| self.shows_path(path, directory));
                true
            }
            (Listing::Targets, Value::Object(targets)) => {
                self.filter_targets(targets, directory);
                true
            }
            _ => false,
        }
    }

    fn shows(&self, listing: Listing, line: &Value, directory: &Directory) -> bool {
        // Proxmox lists objects alone.
        if !line.is_object() {
            return false;
        }
        let text = |name: &str| line.get(name).and_then(Value::as_str);
        let on_node = || text("node").is_none_or(|node| self.has_node(node));
        let vmid = || line.get("vmid").and_then(number);
        match listing {
            Listing::Resources => self.shows_resource(line),
            Listing::Nodes => match (text("type"), text("node").or_else(|| text("name"))) {
                (Some("cluster"), _) | (_, None) => true,
                (_, Some(node)) => self.has_node(node),
            },
            Listing::Guests => vmid().is_some_and(|vmid| self.has_guest(vmid, directory)),
            Listing::Tasks => {
                let Ok(upid) = text("upid").map(str::parse::<Upid>).transpose() else {
                    return false;
                };
                // The name of a downloaded file is not about a guest.
                let kind = text("type").or_else(|| upid.as_ref().map(Upid::kind));
                let mut ids = text("id").into_iter().chain(upid.as_ref().map(Upid::id));
                on_node()
                    && (kind == Some("download") || ids.all(|id| self.has_all_in(id, directory)))
            }
            Listing::Content => {
                let volid = text("volid").unwrap_or_default();
                // 0 stands for "no guest's".
                let vmid = vmid().filter(|vmid| *vmid != 0);
                vmid.is_none_or(|vmid| self.has_guest(vmid, directory))
                    && (!self.limits_guests() && self.nodes.is_empty()
                        || self.has_volume(volid, directory)
                        || vmid.is_some() && owner_of(volid).is_none())
            }
            Listing::Storages => text("storage").is_none_or(|storage| self.has_storage(storage)),
            Listing::Pools => text("poolid").is_some_and(|pool| self.has_pool(pool)),
            Listing::BackupJobs => on_node() && self.shows_backup_job(line, directory),
            Listing::HaRules => text("resources")
                .is_some_and(|sids| list(sids).any(|sid| self.has_all_in(sid, directory))),
            Listing::Acl => text("path").is_some_and(|path| self.shows_path(path, directory)),
            Listing::HaResources => {
                // `vm:100`, and `service:vm:100` as the id of its service.
                let sid = text("sid").or_else(|| text("id")?.strip_prefix("service:"));
                on_node() && sid.is_none_or(|sid| self.has_all_in(sid, directory))
            }
            Listing::References => {
                let vmid = text("name").and_then(|name| name.rsplit_once("guest-ipam-"));
                vmid.is_none_or(|(_, vmid)| self.has_all_in(vmid, directory))
            }
            Listing::Replication => {
                let guest = line.get("guest").and_then(number);
                guest.is_some_and(|vmid| self.has_guest(vmid, directory))
            }
            Listing::Permissions | Listing::Targets => false,
        }
    }

    /// Takes out of a line that is shown what it tells of others.
    fn clean(&self, listing: Listing, line: &mut Value, directory: &Directory) {
        let Some(fields) = line.as_object_mut() else {
            return;
        };
        let text = |fields: &serde_json::Map<String, Value>, name: &str| {
            let value = fields.get(name).and_then(Value::as_str);
            value.unwrap_or_default().to_owned()
        };
        match listing {
            // How a task that names no guest has failed may be about any: its
            // log is not shown either.
            Listing::Tasks if self.limits_guests() => {
                let status = text(fields, "status");
                let says_little = matches!(status.as_str(), "" | "OK" | "RUNNING" | "running")
                    || status.starts_with("WARNINGS: ");
                let upid = text(fields, "upid").parse::<Upid>().ok();
                let ids = [
                    Some(text(fields, "id")),
                    upid.map(|upid| upid.id().to_owned()),
                ];
                let names_guest = |id: &String| {
                    let mut parts = id.split(|c: char| !c.is_ascii_digit());
                    parts.any(|part| Vmid::parse(part).is_some())
                };
                if !says_little && !ids.iter().flatten().any(names_guest) {
                    fields.insert("status".to_owned(), HIDDEN_STATUS.into());
                }
            }
            // Names in the text of a job or a rule.
            Listing::BackupJobs => {
                let storage = fields.get("storage").and_then(Value::as_str);
                if !storage.is_none_or(|storage| self.has_storage(storage)) {
                    fields.remove("storage");
                }
                if self.needs_directory() {
                    for key in ["vmid", "exclude"] {
                        keep_names(fields, key, |vmid| self.has_all_in(vmid, directory));
                    }
                    fields.retain(|key, _| !FREE_TEXT.contains(&key.as_str()));
                }
            }
            Listing::HaRules if self.needs_directory() => {
                keep_names(fields, "resources", |sid| self.has_all_in(sid, directory));
                keep_names(fields, "nodes", |node| {
                    self.has_node(node.split(':').next().unwrap_or(node))
                });
                fields.retain(|key, _| !FREE_TEXT.contains(&key.as_str()));
            }
            // Why a run failed can name the node that it copies to.
            Listing::Replication => {
                if !self.has_node(&text(fields, "target")) {
                    fields.retain(|key, _| key != "target" && key != "error");
                }
                if self.needs_directory() {
                    fields.retain(|key, _| !FREE_TEXT.contains(&key.as_str()));
                }
            }
            // What a linked clone was cloned from.
            Listing::Content if self.needs_directory() => {
                // `base-9000-disk-0`, with or without its storage.
                let parent = text(fields, "parent");
                let volid = match parent.contains(':') {
                    true => parent,
                    false => format!("storage:{parent}"),
                };
                if !self.has_volume(&volid, directory) {
                    fields.remove("parent");
                }
            }
            _ => {}
        }
    }

    /// Whether each number in a text that could be a vmid is of a guest in
    /// scope: tasks are called `100`, `100@local` or `100-0`.
    fn has_all_in(&self, text: &str, directory: &Directory) -> bool {
        text.split(|c: char| !c.is_ascii_digit())
            .filter_map(Vmid::parse)
            .all(|vmid| self.has_guest(vmid.get(), directory))
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
            Some("node" | "sdn" | "network") => on_node,
            _ => false,
        }
    }

    /// Whether a job backs up any guest in scope. A job for all guests does.
    fn shows_backup_job(&self, job: &Value, directory: &Directory) -> bool {
        let vmids = job.get("vmid").map(names).unwrap_or_default();
        if !vmids.is_empty() {
            return list(&vmids).any(|vmid| self.has_all_in(vmid, directory));
        }
        let Some(pool) = job.get("pool").and_then(Value::as_str) else {
            return true;
        };
        self.has_pool(pool)
            || directory.iter().any(|(vmid, resident)| {
                resident.pool.as_deref() == Some(pool) && self.has_guest(*vmid, directory)
            })
    }

    fn shows_path(&self, path: &str, directory: &Directory) -> bool {
        let mut parts = path.splitn(3, '/').skip(1);
        let (kind, rest) = (parts.next(), parts.next());
        // Pools lie within pools: `/pool/lab/web` is of the pool `lab/web`.
        if let (Some("pool"), Some(pool)) = (kind, rest) {
            return self.has_pool(pool);
        }
        match (kind, rest.and_then(|rest| rest.split('/').next())) {
            (Some("vms"), Some(vmid)) => vmid
                .parse()
                .is_ok_and(|vmid| self.has_guest(vmid, directory)),
            (Some("storage"), Some(storage)) => self.has_storage(storage),
            (Some("nodes"), Some(node)) => self.has_node(node),
            _ => true,
        }
    }

    /// Where a guest can go, spelled `allowed_nodes` for a VM and
    /// `allowed-nodes` for a container. High availability names other guests:
    /// those that go with it, and those that keep it from a node.
    fn filter_targets(&self, targets: &mut serde_json::Map<String, Value>, directory: &Directory) {
        let guest = |sid: Option<&str>| sid.is_some_and(|sid| self.has_all_in(sid, directory));
        for (name, value) in targets.iter_mut() {
            match (name.replace('_', "-").as_str(), value) {
                ("allowed-nodes", Value::Array(nodes)) => {
                    nodes.retain(|node| node.as_str().is_some_and(|node| self.has_node(node)));
                }
                // Why a node is none, by node.
                ("not-allowed-nodes", Value::Object(nodes)) => {
                    nodes.retain(|node, _| self.has_node(node));
                    for reasons in nodes.values_mut().filter_map(Value::as_object_mut) {
                        if let Some(Value::Array(storages)) =
                            reasons.get_mut("unavailable_storages")
                        {
                            storages.retain(|storage| {
                                storage.as_str().is_some_and(|one| self.has_storage(one))
                            });
                        }
                        if let Some(Value::Array(guests)) = reasons.get_mut("blocking-ha-resources")
                        {
                            guests.retain(|one| guest(one.get("sid").and_then(Value::as_str)));
                        }
                    }
                }
                (name, Value::Array(guests)) if name.ends_with("-ha-resources") => {
                    guests.retain(|sid| guest(sid.as_str()));
                }
                _ => {}
            }
        }
    }
}

/// Keeps those names of a list in a text that fit, and removes a list of which
/// none is left.
fn keep_names(fields: &mut serde_json::Map<String, Value>, key: &str, fits: impl Fn(&str) -> bool) {
    let Some(names) = fields.get(key).map(names) else {
        return;
    };
    let kept: Vec<&str> = list(&names).filter(|name| fits(name)).collect();
    if kept.is_empty() {
        fields.remove(key);
    } else {
        fields.insert(key.to_owned(), kept.join(",").into());
    }
}

/// A list in a text. One vmid may come as a number.
fn names(value: &Value) -> String {
    match value {
        Value::String(names) => names.clone(),
        Value::Number(number) => number.to_string(),
        _ => String::new(),
    }
}
