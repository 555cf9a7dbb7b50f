//! Starting, stopping, restarting, suspending and resuming guests.
//!
//! Proxmox accepts a start of a locked or running guest and lets the task
//! fail, so the state is read first: nothing is sent where no change is needed,
//! and what cannot work is refused at once.

mod change;
mod restart_guest;
mod resume_guest;
mod start_guest;
mod stop_guest;
mod suspend_guest;
#[cfg(test)]
mod tests;

use restart_guest::RestartGuest;
use resume_guest::ResumeGuest;
use start_guest::StartGuest;
use stop_guest::StopGuest;
use suspend_guest::SuspendGuest;

use crate::tool::{DESTROY, SET, Tool, Toolset};

const TOOLSET: Toolset = Toolset("power");
const SUSPEND_TOOLSET: Toolset = Toolset("suspend");

/// The tools of the set `power`, in the order in which clients see them.
#[rustfmt::skip]
pub(crate) const TOOLS: &[Tool] = &[
    Tool::new::<StartGuest>(TOOLSET, "start_guest", "Start a guest", SET,
        "Start a VM or container, or several in their startup order. A guest suspended to disk resumes where it left off."),
    Tool::new::<StopGuest>(TOOLSET, "stop_guest", "Stop a guest", DESTROY.idempotent(),
        "Shut a guest down, or cut its power; several in reverse startup order."),
    Tool::new::<RestartGuest>(TOOLSET, "restart_guest", "Restart a guest", DESTROY,
        "Reboot or reset a running guest, or several."),
];

/// The tools of the set `suspend`.
#[rustfmt::skip]
pub(crate) const SUSPEND: &[Tool] = &[
    Tool::new::<SuspendGuest>(SUSPEND_TOOLSET, "suspend_guest", "Suspend a guest", DESTROY.idempotent(),
        "Pause running VMs, or save their memory to disk and stop them."),
    Tool::new::<ResumeGuest>(SUSPEND_TOOLSET, "resume_guest", "Resume a guest", SET,
        "Resume paused or suspended guests."),
];
