//! Which tools a token has no privileges for, by the calls that the tools declare.
//!
//! Where it is not certain, the tool may work: Proxmox refuses what the token may not do.

use std::collections::{BTreeMap, BTreeSet};

use pve_api::grant::{before_9, nearest, weight};
use pve_api::{Needs, calls};
use serde_json::Value;

use crate::always;
use crate::purpose::Tool;

/// The privileges that a token has, by path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// By path, each with whether it holds below the path, too.
    by_path: BTreeMap<String, BTreeMap<String, bool>>,
}

/// Privileges that a token has nowhere where they count, and where the tools need them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Lack {
    /// The path of the access list above all that the call is about: `/vms`.
    pub path: String,
    /// All of them are needed.
    pub privileges: BTreeSet<String>,
}

impl Held {
    /// Reads the answer of `GET /access/permissions`. None if it is not one, or if the
    /// token has no privilege at all: a token is then most likely not set up yet, and the
    /// errors of the tools say what to grant.
    pub fn read(answer: &[u8]) -> Option<Self> {
        let answer: Value = serde_json::from_slice(answer).ok()?;
        let mut by_path = BTreeMap::<String, BTreeMap<String, bool>>::new();
        // Each privilege has a number, which says whether it holds below the path, too.
        for (path, privileges) in answer.get("data")?.as_object()? {
            let privileges = privileges.as_object()?;
            let privileges = privileges.iter();
            let on_path = privileges.map(|(name, below)| (name.clone(), below.as_u64() != Some(0)));
            by_path.insert(path.clone(), on_path.collect());
        }
        let has_any = by_path.values().any(|names| !names.is_empty());
        has_any.then_some(Self { by_path })
    }

    /// Whether a call about something with such a path (`/vms/{vmid}`) may have the privilege
    /// there, by its name of now or by that of before Proxmox VE 9.
    fn may_have(&self, name: &str, path: &str) -> bool {
        let names = [name, before_9(name)];
        self.by_path.iter().any(|(on, held)| {
            let below = names.iter().find_map(|name| held.get(*name));
            below.is_some_and(|below| counts(on, *below, path))
        })
    }

    /// Where a privilege is to be granted that is missing on all such paths: on the paths of
    /// those guests or storages to which the token is confined, if it is.
    pub fn places(&self, path: &str) -> Vec<String> {
        let prefix = match path {
            "/vms" => "VM.",
            "/storage" => "Datastore.",
            _ => return vec![path.to_owned()],
        };
        let has = |names: &BTreeMap<String, bool>| names.keys().any(|one| one.starts_with(prefix));
        if self.on(path).any(|name| name.starts_with(prefix)) {
            return vec![path.to_owned()];
        }
        let is_below = |on: &str| family(on) == family(path) && on != path;
        let narrower = self.by_path.iter();
        let narrower = narrower.filter(|(on, names)| (is_below(on) || is_pool(on)) && has(names));
        let narrower: Vec<_> = narrower.map(|(on, _)| on.clone()).collect();
        // Of guests and storages in a pool, the pool's own path is enough.
        let pools: Vec<_> = narrower.iter().filter(|on| is_pool(on)).cloned().collect();
        match (narrower.is_empty(), pools.is_empty()) {
            (true, _) => vec![path.to_owned()],
            (_, true) => narrower,
            _ => pools,
        }
    }

    /// The paths with entries of their own, each with its privileges.
    pub fn paths(&self) -> impl Iterator<Item = (&str, impl Iterator<Item = &str>)> {
        let paths = self.by_path.iter();
        paths.map(|(path, names)| (path.as_str(), names.keys().map(String::as_str)))
    }

    /// The privileges on a path: those of its own entries, or else of the nearest path above
    /// it that has any.
    pub fn on(&self, path: &str) -> impl Iterator<Item = &str> {
        let found = nearest(path, |above| self.by_path.get(above));
        found.into_iter().flat_map(|(names, is_own)| {
            names
                .iter()
                .filter(move |(_, below)| is_own || **below)
                .map(|(name, _)| name.as_str())
        })
    }

    /// What is to be granted so that the tool may work. Empty if it may already. Of several
    /// privileges that are enough, the one that allows least is named, but all of
    /// `VM.Config.*` that are each for some of the tool's settings.
    pub fn lacks(&self, tool: Tool<'_>) -> Vec<Lack> {
        let mut lacks = Vec::new();
        if let Some(needs) = self.missing(tool) {
            least(&needs, &mut lacks);
        }
        let mut by_path = BTreeMap::<String, BTreeSet<String>>::new();
        for lack in lacks {
            by_path
                .entry(lack.path)
                .or_default()
                .extend(lack.privileges);
        }
        let by_path = by_path.into_iter();
        by_path
            .map(|(path, privileges)| Lack { path, privileges })
            .collect()
    }

    /// The privileges that the token would need on some path for what the tool is for, in
    /// words. None if it may have them.
    pub fn missing_for(&self, tool: Tool<'_>) -> Option<String> {
        Some(words(&self.missing(tool)?, false))
    }

    fn missing(&self, tool: Tool<'_>) -> Option<Needs> {
        let finds_guests = finds_guests(tool);
        let purpose = tool.purpose()?.into_iter();
        let needs = purpose.map(|one| always::needs(one, finds_guests));
        missing(&Needs::Any(needs.collect()), self)
    }
}

/// The first part of a path: `vms`; nothing of `/`.
fn family(path: &str) -> &str {
    path.split('/').nth(1).unwrap_or_default()
}

fn is_pool(path: &str) -> bool {
    path.starts_with("/pool/")
}

/// Whether what is held on a path, and below it or not, may count for such a path.
fn counts(on: &str, below: bool, path: &str) -> bool {
    match (family(on), family(path)) {
        // Guests and storages have the privileges of their pool.
        ("pool", "vms" | "storage") => true,
        ("", family) => below || family.is_empty(),
        (on, family) => on == family,
    }
}

/// Whether a tool looks for its guest in the list of the cluster, which has those that the
/// token may see.
fn finds_guests(tool: Tool<'_>) -> bool {
    let list = calls::cluster::RESOURCES.to_string();
    tool.calls.contains(&list)
}

/// Between privileges of which one is enough.
const OR: &str = " or ";
/// Between privileges that are all needed.
const AND: &str = " and ";

/// Needs in words, in parentheses if they are several within others.
fn words(needs: &Needs, is_within: bool) -> String {
    let (mut names, joint) = match needs {
        Needs::OneOf { privileges, .. } => (
            privileges.iter().map(|name| (*name).to_owned()).collect(),
            OR,
        ),
        Needs::All(parts) => (each_once(parts, Needs::All as fn(_) -> _), AND),
        Needs::Any(parts) => (each_once(parts, Needs::Any), OR),
    };
    if joint == OR {
        names = shortened(&names);
    }
    match names.len() > 1 && is_within {
        true => format!("({})", names.join(joint)),
        false => names.join(joint),
    }
}

/// The words of parts, each once. Parts that are joined in the same way need no parentheses.
fn each_once(parts: &[Needs], join: fn(Vec<Needs>) -> Needs) -> Vec<String> {
    let kind = join(Vec::new());
    let mut all = Vec::new();
    for part in parts {
        let found = match (part, &kind) {
            (Needs::All(inner), Needs::All(_)) | (Needs::Any(inner), Needs::Any(_)) => {
                each_once(inner, join)
            }
            (Needs::OneOf { privileges, .. }, Needs::Any(_)) => {
                privileges.iter().map(|name| (*name).to_owned()).collect()
            }
            _ => vec![words(part, true)],
        };
        for one in found {
            if !all.contains(&one) {
                all.push(one);
            }
        }
    }
    all
}

/// Names of which one is enough. Of three and more of a family, only what they have in
/// common: `VM.Config.*`.
fn shortened(names: &[String]) -> Vec<String> {
    let family = |name: &str| {
        let is_name = !name.starts_with('(');
        is_name.then(|| name.rsplit_once('.').map(|(family, _)| family.to_owned()))?
    };
    let mut shown: Vec<String> = Vec::new();
    for name in names {
        let related = names.iter().filter(|one| family(one) == family(name));
        let text = match family(name) {
            Some(family) if related.count() > 2 => format!("{family}.*"),
            _ => name.clone(),
        };
        if !shown.contains(&text) {
            shown.push(text);
        }
    }
    shown
}

/// What is missing of the needs. None if there is enough.
fn missing(needs: &Needs, held: &Held) -> Option<Needs> {
    match needs {
        Needs::OneOf { privileges, path } => {
            let has_one = privileges.iter().any(|name| held.may_have(name, path));
            (!has_one).then(|| needs.clone())
        }
        Needs::All(parts) => {
            let parts: Vec<Needs> = parts.iter().filter_map(|one| missing(one, held)).collect();
            joined(parts, Needs::All)
        }
        Needs::Any(parts) => {
            let parts: Option<Vec<Needs>> = parts.iter().map(|one| missing(one, held)).collect();
            joined(least_parts(parts?), Needs::Any)
        }
    }
}

/// Alternatives without those that contain another one.
fn least_parts(parts: Vec<Needs>) -> Vec<Needs> {
    fn members(part: &Needs) -> &[Needs] {
        match part {
            Needs::All(members) => members,
            one => std::slice::from_ref(one),
        }
    }
    let contains = |part: &Needs, other: &Needs| {
        let mut others = members(other).iter();
        others.all(|member| members(part).contains(member))
    };
    let mut kept: Vec<Needs> = Vec::new();
    for part in parts {
        if !kept.iter().any(|one| contains(&part, one)) {
            kept.retain(|one| !contains(one, &part));
            kept.push(part);
        }
    }
    kept
}

/// Parts as one. A single one is as it is.
fn joined(mut parts: Vec<Needs>, join: fn(Vec<Needs>) -> Needs) -> Option<Needs> {
    match parts.len() {
        0 | 1 => parts.pop(),
        _ => Some(join(parts)),
    }
}

/// The least that fulfils needs that are missing.
fn least(needs: &Needs, lacks: &mut Vec<Lack>) {
    match needs {
        Needs::OneOf { privileges, path } => {
            let of_settings = privileges.iter().all(|name| name.starts_with("VM.Config."));
            let chosen: Vec<&str> = match of_settings {
                true => privileges.clone(),
                false => {
                    let least = privileges.iter().min_by_key(|name| weight(name));
                    least.into_iter().copied().collect()
                }
            };
            let above = path.split("/{").next().unwrap_or_default();
            lacks.push(Lack {
                path: if above.is_empty() { "/" } else { above }.to_owned(),
                privileges: chosen.into_iter().map(str::to_owned).collect(),
            });
        }
        Needs::All(parts) => {
            for part in parts {
                least(part, lacks);
            }
        }
        Needs::Any(parts) => {
            let all = parts.iter().map(|part| {
                let mut lacks = Vec::new();
                least(part, &mut lacks);
                lacks
            });
            lacks.extend(
                all.min_by_key(|lacks| weight_of(lacks))
                    .into_iter()
                    .flatten(),
            );
        }
    }
}

/// How much the broadest of the privileges permits.
fn weight_of(lacks: &[Lack]) -> Option<u8> {
    let names = lacks.iter().flat_map(|lack| &lack.privileges);
    names.map(|name| weight(name)).max()
}

#[cfg(test)]
mod tests {
    use pve_api::Call;

    use super::*;

    fn held(names: &[&str]) -> Held {
        let on_root: Vec<String> = names.iter().map(|name| format!("\"{name}\":1")).collect();
        let answer = format!(r#"{{"data":{{"/":{{{}}}}}}}"#, on_root.join(","));
        Held::read(answer.as_bytes()).unwrap()
    }

    fn missing(held: &Held, reads: bool, calls: &[&Call]) -> Option<String> {
        let calls: Vec<String> = calls.iter().map(ToString::to_string).collect();
        held.missing_for(Tool {
            calls: &calls,
            reads,
            dangerous: false,
        })
    }

    #[test]
    fn a_privilege_counts_where_it_means_something() {
        let answer = br#"{"data":{"/vms/100":{"VM.Audit":1,"Sys.Audit":1},"/nodes":{"Sys.Audit":0},
            "/pool/lab":{"Datastore.Audit":1}}}"#;
        let read = Held::read(answer).unwrap();
        for (name, path, expected) in [
            ("VM.Audit", "/vms/{vmid}", true),
            ("Sys.Audit", "/nodes/{node}", true),
            ("Sys.Audit", "/", false),
            ("VM.Audit", "/storage/{storage}", false),
            ("Datastore.Audit", "/storage/{storage}", true),
            ("Datastore.Audit", "/nodes/{node}", false),
        ] {
            assert_eq!(read.may_have(name, path), expected, "{name} on {path}");
        }
        assert!(held(&["Sys.Audit"]).may_have("Sys.Audit", "/nodes/{node}"));
        let root = Held::read(br#"{"data":{"/":{"Sys.Audit":0}}}"#).unwrap();
        assert!(root.may_have("Sys.Audit", "/") && !root.may_have("Sys.Audit", "/nodes/{node}"));
        assert!(read.on("/nodes").eq(["Sys.Audit"]));
        assert_eq!(read.on("/nodes/pve1").count(), 0);
        assert!(read.on("/vms/100/x").eq(["Sys.Audit", "VM.Audit"]));
        for none in [
            "{}",
            r#"{"data":{}}"#,
            r#"{"data":[]}"#,
            r#"{"data":{"/":{}}}"#,
            "<html>",
        ] {
            assert_eq!(Held::read(none.as_bytes()), None, "{none}");
        }
    }

    #[test]
    fn what_is_missing_is_granted_where_the_token_is_confined() {
        let of = |answer: &str| Held::read(answer.as_bytes()).unwrap();
        let guest = of(r#"{"data":{"/vms/101":{"VM.Audit":1},"/vms":{}}}"#);
        assert_eq!(guest.places("/vms"), ["/vms/101"]);
        assert_eq!(guest.places("/storage"), ["/storage"]);
        let pool = of(r#"{"data":{"/pool/lab":{"VM.Audit":1},"/vms/7":{"VM.Audit":1}}}"#);
        assert_eq!(pool.places("/vms"), ["/pool/lab"]);
        let all = of(r#"{"data":{"/vms":{"VM.Audit":1},"/vms/101":{"VM.PowerMgmt":1}}}"#);
        assert_eq!(all.places("/vms"), ["/vms"]);
        assert_eq!(all.places("/nodes"), ["/nodes"]);
    }

    #[test]
    fn alternatives_and_groups_are_told_apart() {
        let lacks = |needs: &'static str, names: &[&str]| {
            let missing = super::missing(&Needs::read(needs).unwrap(), &held(names));
            missing.map(|needs| words(&needs, false))
        };
        let download = "A.Template on /storage/{storage}, and (S.Audit and S.Modify on /, or \
                        S.Access on /nodes/{node})";
        assert_eq!(
            lacks(download, &["S.Access"]).as_deref(),
            Some("A.Template")
        );
        assert_eq!(
            lacks(download, &["B.Other"]).as_deref(),
            Some("A.Template and ((S.Audit and S.Modify) or S.Access)")
        );
        assert_eq!(
            lacks(download, &["A.Template", "S.Audit"]).as_deref(),
            Some("S.Modify or S.Access")
        );
        assert_eq!(lacks(download, &["A.Template", "S.Access"]), None);
        assert_eq!(
            lacks(download, &["A.Template", "S.Audit", "S.Modify"]),
            None
        );
    }

    #[test]
    fn an_alternative_that_contains_another_one_is_left_out() {
        let both = "A.Modify on /, and A.Allocate on /storage/{storage}";
        let both = Needs::read(both).unwrap();
        let one = Needs::read("A.Modify on /").unwrap();
        for parts in [vec![both.clone(), one.clone()], vec![one.clone(), both]] {
            let missing = super::missing(
                &Needs::Any(parts),
                &Held {
                    by_path: BTreeMap::new(),
                },
            );
            assert_eq!(missing, Some(one.clone()));
        }
    }

    #[test]
    fn of_alternatives_the_one_that_allows_least_is_named() {
        let needs = "Datastore.AllocateTemplate on /storage/{storage}, and (Sys.Audit and \
                     Sys.Modify on /, or Sys.AccessNetwork on /nodes/{node})";
        let mut lacks = Vec::new();
        let held = held(&["Sys.Audit"]);
        let missing = super::missing(&Needs::read(needs).unwrap(), &held);
        least(&missing.unwrap(), &mut lacks);
        let lacks: Vec<_> = lacks
            .iter()
            .map(|lack| {
                (
                    lack.path.as_str(),
                    lack.privileges.first().map(String::as_str),
                )
            })
            .collect();
        let expected = [
            ("/storage", Some("Datastore.AllocateTemplate")),
            ("/nodes", Some("Sys.AccessNetwork")),
        ];
        assert_eq!(lacks, expected);
    }

    #[test]
    fn a_tool_is_missing_what_all_of_its_calls_need() {
        let audit = held(&["VM.Audit", "Sys.Audit", "Datastore.Audit"]);
        let start = [
            &calls::cluster::RESOURCES,
            &calls::guests::STATUS.qemu,
            &calls::power::START.qemu,
            &calls::power::START.lxc,
            &calls::nodes::STOP_TASK,
        ];
        assert_eq!(
            missing(&audit, false, &start).as_deref(),
            Some("VM.PowerMgmt")
        );
        let power = ["VM.PowerMgmt", "VM.Audit"];
        assert_eq!(missing(&held(&power), false, &start), None);
        // It looks for the guest in the list, where Proxmox shows what VM.Audit is held on.
        assert_eq!(
            missing(&held(&["VM.PowerMgmt"]), false, &start).as_deref(),
            Some("VM.Audit")
        );

        // One of two calls is enough, and so is one of two privileges.
        let rule = [
            &calls::firewall::ADD_GUEST_RULE.qemu,
            &calls::firewall::ADD_CLUSTER_RULE,
        ];
        let lacks = missing(&audit, false, &rule);
        assert_eq!(lacks.as_deref(), Some("VM.Config.Network or Sys.Modify"));
        assert_eq!(missing(&held(&["VM.Config.Network"]), false, &rule), None);
        let rollback = [&calls::snapshots::ROLLBACK.lxc];
        assert_eq!(
            missing(&held(&["VM.Snapshot.Rollback"]), false, &rollback),
            None
        );
        let lacks = missing(&audit, false, &rollback);
        assert_eq!(
            lacks.as_deref(),
            Some("VM.Snapshot or VM.Snapshot.Rollback")
        );

        let config = [
            &calls::guests::SET_CONFIG.qemu,
            &calls::guests::SET_CONFIG.lxc,
        ];
        assert_eq!(
            missing(&audit, false, &config).as_deref(),
            Some("VM.Config.*")
        );
        assert_eq!(missing(&held(&["VM.Config.CPU"]), false, &config), None);

        // What Proxmox checks while the call runs counts where it always does.
        let backup = [&calls::backup::CREATE];
        assert_eq!(
            missing(&audit, false, &backup).as_deref(),
            Some("VM.Backup and Datastore.AllocateSpace")
        );
        let resize = [&calls::guests::RESIZE.qemu];
        let both = ["VM.Config.Disk", "Datastore.AllocateSpace"];
        assert_eq!(missing(&held(&both), false, &resize), None);
        assert_eq!(
            missing(&held(&["VM.Config.Disk"]), false, &resize).as_deref(),
            Some("Datastore.AllocateSpace")
        );
    }

    #[test]
    fn what_to_grant_is_the_least_on_the_path_above() {
        let audit = held(&["VM.Audit"]);
        let lacks = |calls: &[&Call]| {
            let calls: Vec<String> = calls.iter().map(ToString::to_string).collect();
            let lacks = audit.lacks(Tool {
                calls: &calls,
                reads: false,
                dangerous: false,
            });
            let lacks = lacks.into_iter();
            lacks
                .map(|lack| (lack.path, lack.privileges.into_iter().collect::<Vec<_>>()))
                .collect::<Vec<_>>()
        };
        let named = |path: &str, name: &str| vec![(path.to_owned(), vec![name.to_owned()])];
        assert_eq!(
            lacks(&[&calls::power::START.qemu]),
            named("/vms", "VM.PowerMgmt")
        );
        assert_eq!(
            lacks(&[&calls::snapshots::ROLLBACK.lxc]),
            named("/vms", "VM.Snapshot")
        );
        assert_eq!(
            lacks(&[
                &calls::firewall::ADD_CLUSTER_RULE,
                &calls::firewall::ADD_GUEST_RULE.qemu
            ]),
            named("/vms", "VM.Config.Network")
        );
        let config = lacks(&[&calls::guests::SET_CONFIG.qemu]);
        assert!(config.iter().all(|(path, _)| path == "/vms"), "{config:?}");
        assert!(
            config.iter().any(|(_, names)| names.len() > 2),
            "{config:?}"
        );
    }

    /// What a tool that declares these lines is missing, with what it always sends.
    fn missing_of(held: &Held, reads: bool, lines: &[&str]) -> Option<String> {
        let calls: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
        held.missing_for(Tool {
            calls: &calls,
            reads,
            dangerous: false,
        })
    }

    /// "create VM: VM.Allocate + disks Datastore.AllocateSpace, boot Disk,
    /// name/ostype/agent Options, memory Memory, cores CPU, netN Network + SDN.Use": found by
    /// trying on a real node.
    #[test]
    fn a_new_guest_needs_what_its_settings_take() {
        let create = [
            "GET /nodes/{node}/network",
            "POST /nodes/{node}/qemu/{vmid}/status/start",
            "POST /nodes/{node}/qemu?agent&boot&cores&memory&name&net#",
            "PUT /nodes/{node}/qemu/{vmid}/resize",
        ];
        let all = [
            "VM.Allocate",
            "Datastore.AllocateSpace",
            "VM.Config.Options",
            "VM.Config.Disk",
            "VM.Config.CPU",
            "VM.Config.Memory",
            "VM.Config.Network",
            "SDN.Use",
        ];
        assert_eq!(missing_of(&held(&all), false, &create), None);
        for left_out in all {
            let rest: Vec<&str> = all.into_iter().filter(|one| *one != left_out).collect();
            assert_eq!(
                missing_of(&held(&rest), false, &create).as_deref(),
                Some(left_out)
            );
        }
        // All are needed; a start or a larger disk alone is not a new guest.
        let power = held(&["VM.PowerMgmt", "VM.Config.Disk", "VM.Audit"]);
        let lacks = missing_of(&power, false, &create).unwrap();
        assert!(
            !lacks.contains(OR) && lacks.contains("VM.Allocate and "),
            "{lacks}"
        );
        assert!(!lacks.contains("PowerMgmt"), "{lacks}");

        let container = ["POST /nodes/{node}/lxc?cores&hostname&memory&net#&rootfs"];
        let without_options = all.into_iter().filter(|one| *one != "VM.Config.Options");
        let without_options: Vec<&str> = without_options.collect();
        assert_eq!(missing_of(&held(&without_options), false, &container), None);

        let restore = [
            "POST /nodes/{node}/lxc?restore",
            "POST /nodes/{node}/qemu?archive",
        ];
        let names = ["VM.Allocate", "Datastore.AllocateSpace", "VM.Backup"];
        assert_eq!(missing_of(&held(&names), false, &restore), None);
        let lacks = missing_of(&held(&["VM.Allocate", "VM.Backup"]), false, &restore);
        assert_eq!(lacks.as_deref(), Some("Datastore.AllocateSpace"));
    }

    #[test]
    fn a_change_of_settings_needs_what_they_take() {
        let both = |params: &str| {
            let set = |kind| format!("PUT /nodes/{{node}}/{kind}/{{vmid}}/config?{params}");
            [set("qemu"), set("lxc")]
        };
        let needs = |lines: &[&str], enough: &[&str], little: &[&str], lacks: &str| {
            assert_eq!(missing_of(&held(enough), false, lines), None, "{lines:?}");
            let missing = missing_of(&held(little), false, lines);
            assert_eq!(missing.as_deref(), Some(lacks), "{lines:?}");
        };
        // The role PVEVMUser may change CDs and cloud-init only.
        let user = ["VM.Audit", "VM.Config.CDROM", "VM.Config.Cloudinit"];
        let [qemu, lxc] = both("cores|memory");
        let resources = [qemu.as_str(), lxc.as_str()];
        let lacks = "VM.Config.CPU or VM.Config.Memory";
        needs(&resources, &["VM.Config.Memory"], &user, lacks);
        let [qemu, lxc] = both("net#");
        let nic = [qemu.as_str(), lxc.as_str()];
        let enough = ["VM.Config.Network", "SDN.Use"];
        needs(&nic, &enough, &["VM.Config.Network"], "SDN.Use");
        let disk = [
            "PUT /nodes/{node}/lxc/{vmid}/config?mp#",
            "PUT /nodes/{node}/qemu/{vmid}/config?scsi#|ide#",
        ];
        let enough = ["VM.Config.Disk", "Datastore.AllocateSpace"];
        let lacks = "VM.Config.Disk and Datastore.AllocateSpace";
        needs(&disk, &enough, &user, lacks);
        let cd = ["PUT /nodes/{node}/qemu/{vmid}/config?cdrom"];
        needs(&cd, &user, &["VM.Config.Disk"], "VM.Config.CDROM");
        let cloud_init = [
            "PUT /nodes/{node}/qemu/{vmid}/cloudinit",
            "PUT /nodes/{node}/qemu/{vmid}/config",
        ];
        let options = ["VM.Config.Options"];
        needs(&cloud_init, &user, &options, "VM.Config.Cloudinit");
        let agent = ["PUT /nodes/{node}/qemu/{vmid}/config?agent"];
        needs(&agent, &options, &user, "VM.Config.Options");
    }

    #[test]
    fn what_to_grant_is_listed_once_for_each_path() {
        let calls = ["POST /nodes/{node}/qemu?boot&cores&memory&name&net#".to_owned()];
        let tool = Tool {
            calls: &calls,
            reads: false,
            dangerous: false,
        };
        let lacks = held(&["VM.Allocate", "VM.Audit", "Datastore.Audit"]).lacks(tool);
        let lacks: Vec<String> = lacks
            .iter()
            .map(|lack| {
                let names: Vec<&str> = lack.privileges.iter().map(String::as_str).collect();
                format!("{} {}", lack.path, names.join(","))
            })
            .collect();
        assert_eq!(
            lacks,
            [
                "/sdn/zones SDN.Use",
                "/storage Datastore.AllocateSpace",
                "/vms VM.Config.CPU,VM.Config.Disk,VM.Config.Memory,VM.Config.Network,\
                 VM.Config.Options",
            ]
        );
    }

    /// A step before or after the call that a tool is for does not make it work.
    #[test]
    fn a_step_is_not_what_a_tool_is_for() {
        let download = [
            "GET /nodes/{node}/query-url-metadata",
            "POST /nodes/{node}/storage/{storage}/download-url",
        ];
        let network = held(&["Sys.AccessNetwork", "Datastore.Audit"]);
        let lacks = missing_of(&network, false, &download);
        assert_eq!(lacks.as_deref(), Some("Datastore.AllocateTemplate"));
        let audit = held(&["VM.Audit", "Sys.Audit"]);
        let log = ["GET /nodes/{node}/syslog", "GET /nodes/{node}/time"];
        let lacks = missing_of(&audit, true, &log);
        assert_eq!(lacks.as_deref(), Some("Sys.Syslog"));
        let nodes = held(&["Sys.Audit"]);
        let diagnose = [
            "GET /cluster/firewall/rules",
            "GET /cluster/resources",
            "GET /nodes/{node}/qemu/{vmid}/agent/get-fsinfo",
            "GET /nodes/{node}/qemu/{vmid}/config",
            "GET /nodes/{node}/tasks",
        ];
        assert_eq!(missing_of(&audit, true, &diagnose), None);
        let lacks = missing_of(&nodes, true, &diagnose).unwrap();
        assert!(lacks.contains("VM.Audit"), "{lacks}");
        let check = [
            "GET /nodes/{node}/qemu/{vmid}/config",
            "GET /nodes/{node}/qemu/{vmid}/migrate",
        ];
        let lacks = missing_of(&audit, true, &check);
        assert_eq!(lacks.as_deref(), Some("VM.Migrate"));
        let guests = held(&["VM.Audit"]);
        let ha = ["GET /cluster/ha/status/current", "GET /nodes/{node}/tasks"];
        let lacks = missing_of(&guests, true, &ha);
        assert_eq!(lacks.as_deref(), Some("Sys.Audit"));
        let jobs = ["GET /cluster/backup", "GET /storage"];
        let lacks = missing_of(&guests, true, &jobs);
        assert_eq!(lacks.as_deref(), Some("Sys.Audit"));
    }

    #[test]
    fn the_monitor_of_older_versions_is_enough_for_the_guest_agent() {
        let run = [&calls::agent::EXEC];
        let audit = held(&["VM.Audit"]);
        let lacks = missing(&audit, false, &run).unwrap();
        assert!(lacks.contains("VM.GuestAgent"), "{lacks}");
        assert_eq!(missing(&held(&["VM.Monitor"]), false, &run), None);
    }

    #[test]
    fn a_read_that_any_token_may_make_is_never_missing_a_privilege() {
        let backup = held(&["VM.Backup"]);
        let list = [&calls::cluster::RESOURCES, &calls::nodes::LIST];
        assert_eq!(missing(&backup, true, &list), None);
        let log = [
            &calls::nodes::SYSLOG,
            &calls::nodes::LIST,
            &calls::cluster::STATUS,
        ];
        assert_eq!(
            missing(&backup, true, &log).as_deref(),
            Some("Sys.Syslog and Sys.Audit")
        );
        assert_eq!(missing(&backup, true, &[]), None);
    }
}
