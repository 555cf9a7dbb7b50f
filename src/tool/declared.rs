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
    /// A call whose requests all have some of its parameters: one of several between `|`,
    /// all of those between `&`. `cdrom` stands for a drive that holds a CD. The host
    /// refuses requests without them, and counts the privileges that they take.
    With(&'static Call, &'static str),
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
/// as `GET /nodes`, sorted. Parameters follow a `?`.
pub(crate) fn names(declared: &[Calls]) -> Vec<String> {
    let mut names: Vec<String> = calls::EXPLAIN.iter().map(ToString::to_string).collect();
    add_names(declared, &mut names);
    order::by(&mut names, Ord::cmp);
    names.dedup();
    names
}

fn add_names(declared: &[Calls], names: &mut Vec<String>) {
    for one in declared {
        match *one {
            Calls::With(call, params) => names.push(format!("{call}?{params}")),
            Calls::One(call) => names.push(call.to_string()),
            Calls::Guest(pair) => names.extend([pair.qemu.to_string(), pair.lxc.to_string()]),
            Calls::All(calls) => add_names(calls, names),
        }
    }
}

/// The rows of the table that a declaration has.
#[cfg(test)]
pub(crate) fn rows(declared: &[Calls]) -> Vec<&'static Call> {
    let of = |calls: &Calls| match *calls {
        Calls::One(call) | Calls::With(call, _) => vec![call],
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
            Calls::With(&calls::guests::SET_CONFIG.qemu, "cores|memory"),
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
                "PUT /nodes/{node}/qemu/{vmid}/config?cores|memory",
            ]
        );
    }
}
