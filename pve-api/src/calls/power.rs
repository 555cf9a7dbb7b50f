//! Starting and stopping guests.

use super::common::{POWER, SECONDS};
use crate::action::Action;
use crate::call::{Call, Effect, GuestCall, Param, opt, post};
use crate::grammar::Grammar as G;

/// `forceStop` is off by default.
const SHUTDOWN_PARAMS: &[Param] = &[opt("timeout", SECONDS), opt("forceStop", G::Bool)];

/// Pauses unless `todisk` is set.
const SUSPEND_VM: &[Param] = &[opt("todisk", G::Bool), opt("statestorage", G::Storage)];

guest_calls! {
    /// Switches a guest on.
    START = GuestCall::post(guest!("/status/start"), Action::Power, POWER);
    /// Asks a guest to shut down.
    SHUTDOWN = GuestCall::post(guest!("/status/shutdown"), Action::Shutdown, POWER)
        .takes(SHUTDOWN_PARAMS)
        .with(Effect::Shutdown);
    /// Asks a guest to shut down, and starts it again. A VM that does not shut
    /// down in time stays on; a container is killed, by default after 60 seconds.
    REBOOT = GuestCall {
        qemu: post(qemu!("/status/reboot"), Action::Shutdown, POWER)
            .takes(&[opt("timeout", SECONDS)]),
        lxc: post(lxc!("/status/reboot"), Action::Shutdown, POWER)
            .takes(&[opt("timeout", SECONDS)])
            .with(Effect::ContainerReboot),
    };
    /// Pauses a guest, or suspends a VM to disk.
    SUSPEND = GuestCall {
        qemu: post(qemu!("/status/suspend"), Action::Shutdown, POWER)
            .also("with todisk VM.Config.Disk on /vms/{vmid} and Datastore.AllocateSpace on the storage")
            .takes(SUSPEND_VM)
            .with(Effect::Suspend),
        lxc: post(lxc!("/status/suspend"), Action::Shutdown, POWER),
    };
    /// Lets a paused guest run again.
    RESUME = GuestCall::post(guest!("/status/resume"), Action::Power, POWER);
    /// Switches a guest off at once.
    STOP = GuestCall::post(guest!("/status/stop"), Action::HardStop, POWER)
        .takes(&[opt("overrule-shutdown", G::Bool)]);
}

calls! {
    /// Resets a VM, as its button would.
    RESET = post(qemu!("/status/reset"), Action::HardStop, POWER);
}
