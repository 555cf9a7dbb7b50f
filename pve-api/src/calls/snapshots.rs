//! Snapshots of guests.

use super::common::{AUDIT_GUEST, DESCRIPTION, REQUIRED, SNAPSHOT};
use crate::action::Action;
use crate::call::{Effect, GuestCall, must, opt, post};
use crate::grammar::Grammar as G;

guest_calls! {
    /// A guest's snapshots; `current` is its present state.
    LIST = GuestCall::get(guest!("/snapshot"), AUDIT_GUEST);
    /// Makes a snapshot.
    CREATE = GuestCall {
        qemu: post(qemu!("/snapshot"), Action::Snapshot, SNAPSHOT)
            .takes(&[must("snapname", G::Id, REQUIRED), DESCRIPTION, opt("vmstate", G::Bool)])
            .with(Effect::Snapshot),
        lxc: post(lxc!("/snapshot"), Action::Snapshot, SNAPSHOT)
            .takes(&[must("snapname", G::Id, REQUIRED), DESCRIPTION]),
    };
    /// Returns to a snapshot, and starts the guest only with `start`.
    ROLLBACK = GuestCall::post(
        guest!("/snapshot/{snapname}/rollback"),
        Action::Rollback,
        "VM.Snapshot or VM.Snapshot.Rollback on /vms/{vmid}",
    )
        .takes(&[opt("start", G::Bool)]);
    /// Removes a snapshot. `force` would forget one whose volumes could not be
    /// removed.
    DELETE = GuestCall::delete(guest!("/snapshot/{snapname}"), Action::SnapshotDelete, SNAPSHOT);
}
