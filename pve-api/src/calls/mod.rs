//! Every call that may be made of Proxmox. What is not here is refused.
//!
//! No row has `force`, `skiplock`, `purge`, `remove` other than 0, or another
//! parameter that Proxmox deletes or overwrites by. Where Proxmox's default for
//! a parameter does harm, the row requires the parameter and says why.
//!
//! A row is found by its name (`calls::nodes::STATUS`) or by a request
//! ([`find`]). `tests/schema.rs` compares all of them with the real API.

use crate::call::{Call, GuestCall, Method};

/// Defines calls, and `TABLE`, which has all of them.
macro_rules! calls {
    ($($(#[$doc:meta])* $name:ident = $call:expr;)*) => {
        $($(#[$doc])* pub static $name: Call = $call;)*
        /// Every call above.
        pub(super) static TABLE: &[&Call] = &[$(&$name),*];
    };
}

/// The same of calls that exist for both types of guests: `PAIRS`.
macro_rules! guest_calls {
    ($($(#[$doc:meta])* $name:ident = $call:expr;)*) => {
        $($(#[$doc])* pub static $name: GuestCall = $call;)*
        /// Every pair of calls above.
        pub(super) static PAIRS: &[&GuestCall] = &[$(&$name),*];
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
pub mod expert;
pub mod firewall;
pub mod guests;
pub mod nodes;
pub mod power;
pub mod snapshots;
pub mod storage;

/// Every call that tools make, by area.
pub fn all() -> impl Iterator<Item = &'static Call> {
    let tables = [
        access::TABLE,
        cluster::TABLE,
        nodes::TABLE,
        storage::TABLE,
        guests::TABLE,
        power::TABLE,
        agent::TABLE,
        backup::TABLE,
        firewall::TABLE,
    ];
    let pairs = [
        guests::PAIRS,
        power::PAIRS,
        snapshots::PAIRS,
        backup::PAIRS,
        firewall::PAIRS,
    ];
    tables.into_iter().flatten().copied().chain(both(pairs))
}

/// Changes that no tool makes, see [`expert`].
pub fn for_experts() -> impl Iterator<Item = &'static Call> {
    let pairs = both([expert::PAIRS]);
    expert::TABLE.iter().copied().chain(pairs)
}

/// The call of a request, by its decoded path segments, among those that tools
/// make.
pub fn find(method: Method, segments: &[impl AsRef<str>]) -> Option<&'static Call> {
    all().find(|call| call.matches(method, segments))
}

/// The same among those that no tool makes.
pub fn find_for_experts(method: Method, segments: &[impl AsRef<str>]) -> Option<&'static Call> {
    for_experts().find(|call| call.matches(method, segments))
}

fn both<const N: usize>(
    pairs: [&'static [&'static GuestCall]; N],
) -> impl Iterator<Item = &'static Call> {
    pairs
        .into_iter()
        .flatten()
        .flat_map(|pair| [&pair.qemu, &pair.lxc])
}
