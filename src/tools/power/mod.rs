//! Starting, stopping, restarting, suspending and resuming guests.
//!
//! Proxmox accepts a start of a locked or running guest and lets the task
//! fail, so the state is read first: nothing is sent where no change is needed,
//! and what cannot work is refused at once.

mod order;
mod restart_guest;
mod resume_guest;
mod start_guest;
mod stop_guest;
mod suspend_guest;
#[cfg(test)]
mod tests;

pub(crate) use restart_guest::RestartGuest;
pub(crate) use resume_guest::ResumeGuest;
pub(crate) use start_guest::StartGuest;
pub(crate) use stop_guest::StopGuest;
pub(crate) use suspend_guest::SuspendGuest;
