//! The calls to Proxmox that tools declare. The host refuses all others.

use crate::order;
use pve_api::{Call, GuestCall, calls};

/// Calls of a declaration.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Calls {
    /// One call.
    One(&'static Call),
    /// A call for either type of guest.
    Guest(&'static GuestCall),
    /// Those of something that several tools do.
    All(&'static [Calls]),
}

/// Looking up a guest or a storage, and whether its node is online.
pub(crate) const LOOK_UP: &[Calls] = &[
    Calls::One(&calls::cluster::RESOURCES),
    Calls::One(&calls::cluster::STATUS),
];

/// Following a task to its end, and stopping it.
pub(crate) const FOLLOW_TASK: &[Calls] = &[
    Calls::One(&calls::nodes::TASK_STATUS),
    Calls::One(&calls::nodes::TASK_LOG),
    Calls::One(&calls::nodes::STOP_TASK),
];

/// A guarded change: a snapshot, its task, and how the guest is.
pub(crate) const GUARDED: &[Calls] = &[
    Calls::All(FOLLOW_TASK),
    Calls::One(&calls::agent::INTERFACES),
    Calls::One(&calls::guests::CONTAINER_INTERFACES),
    Calls::Guest(&calls::guests::STATUS),
    Calls::Guest(&calls::snapshots::CREATE),
];

/// All calls of a tool with this declaration and those that explain an error, each
/// as `GET /nodes`, sorted.
pub(crate) fn names(declared: &[Calls]) -> Vec<String> {
    let all = rows(declared).into_iter().chain(calls::EXPLAIN);
    let mut names: Vec<String> = all.map(ToString::to_string).collect();
    order::by(&mut names, Ord::cmp);
    names.dedup();
    names
}

/// The rows of the table that a declaration has.
pub(crate) fn rows(declared: &[Calls]) -> Vec<&'static Call> {
    let of = |calls: &Calls| match *calls {
        Calls::One(call) => vec![call],
        Calls::Guest(pair) => vec![&pair.qemu, &pair.lxc],
        Calls::All(calls) => rows(calls),
    };
    declared.iter().flat_map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_call_is_named_once() {
        let declared = [
            Calls::All(LOOK_UP),
            Calls::One(&calls::cluster::STATUS),
            Calls::Guest(&calls::guests::STATUS),
        ];
        assert_eq!(
            names(&declared),
            [
                "GET /access/permissions",
                "GET /cluster/resources",
                "GET /cluster/status",
                "GET /nodes/{node}/lxc/{vmid}/status/current",
                "GET /nodes/{node}/qemu/{vmid}/status/current",
                "GET /version",
            ]
        );
    }
}
