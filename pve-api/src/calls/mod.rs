//! Every API call that may be sent to Proxmox. All others are refused.
//!
//! No row has `force`, `skiplock`, `purge`, `remove` other than 0, or another
//! parameter that makes Proxmox delete or overwrite something. Where Proxmox's default
//! for a parameter does harm, the row requires the parameter and says why.
//!
//! A row is found by its name (`calls::nodes::STATUS`) or by a request
//! ([`find`]). `tests/schema.rs` compares all of them with the real API.

use crate::call::{Call, GuestCall, Method};

/// Defines calls, and `TABLE`, which has all of them.
macro_rules! calls {
    ($($(#[$doc:meta])* $name:ident = $call:expr;)*) => {
        $($(#[$doc])* pub static $name: Call = $call;)*
        /// Every call above, with its name.
        pub(super) static TABLE: &[(&str, &Call)] = &[$((stringify!($name), &$name)),*];
    };
}

/// The same of calls that exist for both types of guests: `PAIRS`.
macro_rules! guest_calls {
    ($($(#[$doc:meta])* $name:ident = $call:expr;)*) => {
        $($(#[$doc])* pub static $name: GuestCall = $call;)*
        /// Every pair of calls above, with its name.
        pub(super) static PAIRS: &[(&str, &GuestCall)] = &[$((stringify!($name), &$name)),*];
    };
}

macro_rules! qemu {
    ($rest:literal) => {
        concat!("/nodes/{node}/qemu/{vmid}", $rest)
    };
}

macro_rules! lxc {
    ($rest:literal) => {
        concat!("/nodes/{node}/lxc/{vmid}", $rest)
    };
}

/// The paths of a call for VMs and for containers.
macro_rules! guest {
    ($rest:literal) => {
        (qemu!($rest), lxc!($rest))
    };
}

pub mod access;
pub mod agent;
pub mod backup;
pub mod cluster;
mod common;
pub mod create;
pub mod expert;
pub mod firewall;
pub mod guests;
pub mod nodes;
pub mod power;
pub mod snapshots;
pub mod storage;

/// A call with its area and its name there: `("nodes", "STATUS", &nodes::STATUS)`.
pub type Named = (&'static str, &'static str, &'static Call);

/// Every call that tools make, by area.
pub fn named() -> impl Iterator<Item = Named> {
    let areas = [
        ("access", access::TABLE),
        ("cluster", cluster::TABLE),
        ("nodes", nodes::TABLE),
        ("storage", storage::TABLE),
        ("guests", guests::TABLE),
        ("create", create::TABLE),
        ("power", power::TABLE),
        ("agent", agent::TABLE),
        ("backup", backup::TABLE),
        ("firewall", firewall::TABLE),
    ];
    let pairs = [
        ("guests", guests::PAIRS),
        ("power", power::PAIRS),
        ("snapshots", snapshots::PAIRS),
        ("backup", backup::PAIRS),
        ("firewall", firewall::PAIRS),
    ];
    let single = areas
        .into_iter()
        .flat_map(|(area, table)| table.iter().map(move |(name, call)| (area, *name, *call)));
    let both = pairs
        .into_iter()
        .flat_map(|(area, pairs)| both(pairs).map(move |(name, call)| (area, name, call)));
    single.chain(both)
}

/// The same without the names.
pub fn all() -> impl Iterator<Item = &'static Call> {
    named().map(|(_, _, call)| call)
}

/// The calls that explain an error of Proxmox. Every tool may make them.
pub static EXPLAIN: [&Call; 3] = [&access::PERMISSIONS, &cluster::STATUS, &cluster::VERSION];

/// The calls by which tools find what they are about: a guest, a node, a storage.
pub static LOOK_UP: [&Call; 3] = [&cluster::RESOURCES, &cluster::STATUS, &nodes::LIST];

/// The calls that follow a task to its end, and stop it.
pub static FOLLOW: [&Call; 3] = [&nodes::TASK_STATUS, &nodes::TASK_LOG, &nodes::STOP_TASK];

/// Changes that no tool makes, see [`expert`].
pub fn for_experts() -> impl Iterator<Item = &'static Call> {
    let single = expert::TABLE.iter().map(|(_, call)| *call);
    single.chain(both(expert::PAIRS).map(|(_, call)| call))
}

/// The call of a request, by its decoded path segments and by which parameters
/// it has, among those that tools make.
pub fn find(
    method: Method,
    segments: &[impl AsRef<str>],
    has_param: impl Fn(&str) -> bool,
) -> Option<&'static Call> {
    all().find(|call| call.matches(method, segments) && call.is_given(&has_param))
}

/// The same among those that no tool makes.
pub fn find_for_experts(
    method: Method,
    segments: &[impl AsRef<str>],
    has_param: impl Fn(&str) -> bool,
) -> Option<&'static Call> {
    for_experts().find(|call| call.matches(method, segments) && call.is_given(&has_param))
}

fn both(
    pairs: &'static [(&'static str, &'static GuestCall)],
) -> impl Iterator<Item = (&'static str, &'static Call)> {
    pairs
        .iter()
        .flat_map(|(name, pair)| [(*name, &pair.qemu), (*name, &pair.lxc)])
}
