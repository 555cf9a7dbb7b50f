//! Facts of the Proxmox VE API, each stated once.
//!
//! [`calls`] is the table of calls: what this project may ask of Proxmox, with
//! which parameters, what it does and which privileges it takes. The client of
//! the component sends these calls and no others; the policy of host-runner
//! judges every request by the same rows. A call that is not in the table can
//! neither be written nor sent.
//!
//! Nothing here does I/O, and nothing depends on another crate of this project.
//!
//! # Layout
//!
//! - [`call`]: what a row of the table is made of.
//! - [`calls`]: the table, one file for each area of the API.
//! - [`Needs`]: the privileges that a row names.
//! - [`grant`]: the commands that grant privileges.
//! - [`slot`]: where a guest has its disks.
//! - [`grammar`]: which values a parameter may have.
//! - [`hardware`]: network cards, disks and drives, as requests may write them.
//! - [`action`]: what a call does, in the words of a policy.
//! - [`text`]: how names and numbers are written.
//! - [`Vmid`], [`Upid`], [`tags()`], [`size`], [`owner_of`]: values that calls take and
//!   answers hold.

#![forbid(unsafe_code)]

pub mod action;
mod address;
pub mod call;
pub mod calls;
pub mod grammar;
pub mod grant;
pub mod hardware;
mod needs;
pub mod size;
pub mod slot;
mod tags;
pub mod text;
mod upid;
mod vmid;
mod volume;

pub use crate::action::{ACTIONS, Action};
pub use crate::call::{
    Call, Effect, Given, GuestCall, GuestType, Listing, Method, Need, Param, Params, Setting, Shown,
};
pub use crate::grammar::Grammar;
pub use crate::needs::Needs;
pub use crate::tags::tags;
pub use crate::upid::{NotAUpid, Upid};
pub use crate::vmid::{NotAVmid, Vmid};
pub use crate::volume::{owner_of, split_volid};

/// Where the API begins, below the origin and its path prefix. Calls answer
/// JSON there.
pub const API_PATH: &str = "/api2/json";

/// What an `Authorization` header with a token begins with; the token's id, `=`
/// and its secret follow.
pub const TOKEN_SCHEME: &str = "PVEAPIToken=";
