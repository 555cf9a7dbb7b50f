//! Commands inside a VM, through its QEMU guest agent.

mod command;
pub(crate) mod error;
mod run_in_guest;
#[cfg(test)]
mod tests;

pub(crate) use run_in_guest::RunInGuest;
