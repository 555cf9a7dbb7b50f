//! Tests of what several of these files do together.

use proptest::prelude::*;
use serde_json::json;

use super::create_snapshot::{check_kind, check_new_name};
use super::list_snapshots::SnapshotTree;
use super::snapshot::Snapshots;
use crate::error::Error;
use crate::pve::Guest;
use crate::tool::report::Change;
use crate::tool::{Offset, Page};

fn guest(kind: &str) -> Guest {
    serde_json::from_value(json!({
        "vmid": 100, "type": kind, "node": "pve1", "status": "running", "name": "web01"
    }))
    .unwrap()
}

fn snapshots(entries: serde_json::Value) -> Snapshots {
    Snapshots::new(serde_json::from_value(entries).unwrap())
}

fn branches() -> Snapshots {
    snapshots(json!([
        {"name": "b2", "parent": "a", "snaptime": 300, "description": "", "vmstate": 0},
        {"name": "a", "snaptime": 100, "description": "first\n", "vmstate": 1},
        {"name": "b1", "parent": "a", "snaptime": "200", "snapstate": "delete"},
        {"name": "c", "parent": "b1", "snaptime": 400},
        {"name": "current", "parent": "b2", "running": 1, "digest": "x", "description": "You are here!"},
    ]))
}

fn page(offset: u32, limit: u32) -> Page {
    Page::new(Some(Offset(offset)), Some(limit), 50)
}

#[test]
fn a_tree() {
    let tree = SnapshotTree::new(&guest("qemu"), &branches(), page(0, 50), 1_000).0;
    let order: Vec<_> = tree
        .snapshots
        .iter()
        .map(|one| (one.depth, one.snapshot.as_str()))
        .collect();
    assert_eq!(order, [(0, "a"), (1, "b1"), (2, "c"), (1, "b2")]);
    assert_eq!(tree.current.as_deref(), Some("b2"));
    let first = &tree.snapshots[0];
    assert_eq!(first.description.as_deref(), Some("first"));
    assert!(first.with_ram);
    assert_eq!(first.age_seconds, Some(900));
    assert_eq!(tree.snapshots[1].incomplete.as_deref(), Some("delete"));
    assert_eq!(tree.snapshots[3].description, None);
    assert_eq!(
        tree.text(&guest("qemu")),
        "qemu guest 100 (web01): 4 snapshots\na (1970-01-01T00:01:40Z) with RAM\n  b1 \
         (1970-01-01T00:03:20Z)\n    c (1970-01-01T00:06:40Z)\n  b2 (1970-01-01T00:05:00Z) <- the \
         current state is based on this"
    );
}

#[test]
fn the_newest_are_shown() {
    let (tree, _) = SnapshotTree::new(&guest("qemu"), &branches(), page(0, 2), 1_000);
    let names: Vec<_> = tree
        .snapshots
        .iter()
        .map(|one| one.snapshot.as_str())
        .collect();
    assert_eq!(names, ["c", "b2"]);
    assert!(
        tree.hint
            .unwrap()
            .starts_with("snapshots 1-2 of 4 are shown: for the next, set offset to 2")
    );
    let (tree, _) = SnapshotTree::new(&guest("qemu"), &branches(), page(2, 2), 1_000);
    let names: Vec<_> = tree
        .snapshots
        .iter()
        .map(|one| one.snapshot.as_str())
        .collect();
    assert_eq!(names, ["a", "b1"]);
    assert_eq!((tree.total, tree.hint), (4, None));
}

#[test]
fn a_guest_without_snapshots() {
    let none = snapshots(json!([
        {"description": "You are here!", "digest": "x", "name": "current", "running": 1}
    ]));
    let tree = SnapshotTree::new(&guest("lxc"), &none, page(0, 50), 1).0;
    assert!(tree.snapshots.is_empty() && tree.current.is_none() && tree.hint.is_none());
    let Err(Error::NotFound(message)) = none.find(&guest("lxc"), "x1") else {
        panic!("found");
    };
    assert!(message.contains("it has no snapshots"), "{message}");
}

#[test]
fn an_unknown_snapshot_is_refused_with_the_known_names() {
    let Err(Error::NotFound(message)) = branches().find(&guest("qemu"), "b3").map(|_| ()) else {
        panic!("found");
    };
    assert!(
        message.contains("perhaps b2") && message.contains("b2, a, b1, c"),
        "{message}"
    );
}

#[test]
fn children_go_to_the_parent() {
    let all = branches();
    let change = |what: &str, from: &str, to: Option<&str>| Change {
        what: what.into(),
        from: Some(from.into()),
        to: to.map(Into::into),
        waits_for_reboot: false,
    };
    assert_eq!(
        all.orphans(all.get("a").unwrap()),
        [
            change("parent of snapshot b2", "a", None),
            change("parent of snapshot b1", "a", None),
        ]
    );
    assert_eq!(
        all.orphans(all.get("b2").unwrap()),
        [change("parent of the current state", "b2", Some("a"))]
    );
}

#[test]
fn names() {
    for name in ["before_upgrade", "a-1", "Ab"] {
        assert!(check_new_name(name).is_ok(), "{name}");
    }
    for name in ["a", "1a", "a b", "a/b", "", "current", "Pending", "é1"] {
        assert!(check_new_name(name).is_err(), "{name}");
    }
    assert!(check_kind(&guest("qemu"), "vzdump", true).is_ok());
    assert!(check_kind(&guest("lxc"), "vzdump", false).is_err());
    assert!(check_kind(&guest("lxc"), "s1", true).is_err());
}

proptest! {
    #[test]
    fn every_snapshot_is_listed_once(parents in prop::collection::vec(prop::option::of(0usize..12), 0..12)) {
        let all = parents
            .iter()
            .enumerate()
            .map(|(index, parent)| json!({
                "name": format!("s{index}"),
                "parent": parent.map(|parent| format!("s{parent}")),
                "snaptime": index % 3,
            }))
            .collect::<Vec<_>>();
        let all = snapshots(all.into());
        let mut names: Vec<_> = all.in_order().into_iter().map(|(_, one)| one.name.clone()).collect();
        prop_assert_eq!(names.len(), parents.len());
        names.sort();
        names.dedup();
        prop_assert_eq!(names.len(), parents.len());
    }
}
