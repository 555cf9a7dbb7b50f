//! A simulated Proxmox VE as strict as the real one: it refuses what the real
//! API refuses, in the same words, and what is written is read back.
//!
//! [`start`] serves a cluster until the [`Running`] it returns is dropped. [`start_kept`] gives
//! away its state after each change, and starts where an earlier one has ended.

#![forbid(unsafe_code)]

mod api;
mod clock;
mod control;
mod digest;
mod endpoint;
#[cfg(test)]
mod exchanges;
mod fail;
mod faults;
mod figures;
mod formats;
mod guest_params;
mod options;
mod outage;
mod params;
mod permission;
mod pvestatd;
mod pveum;
mod random;
#[cfg(test)]
mod replay;
mod router;
mod running;
mod saved;
#[cfg(test)]
mod scenarios;
#[cfg(test)]
mod schema;
mod server;
mod ssh;
mod state;
mod tasks;
#[cfg(test)]
mod testing;
mod tls;
mod wire;
mod worlds;

pub use options::{Options, Tls, World};
pub use running::{Running, start, start_kept};
pub use saved::{Keep, Save, Saved, SavedError};
