//! Black-box tests of proxmox-mcp: real component, real HTTPS, real MCP client,
//! real processes.
//!
//! A test starts a simulated Proxmox VE ([`Sim`]), points a [`HostRunner`] at
//! it and talks MCP through a [`Client`] (rmcp), through [`Raw`] JSON-RPC lines,
//! or by the command line ([`HostRunner::run`]). What every test checks without
//! saying so:
//!
//! - each success conforms to the output schema that its tool declares, and
//!   its text holds the same JSON;
//! - no error carries structured content;
//! - stdout holds JSON-RPC lines and nothing else;
//! - no secret that a process was given shows up in what it writes; and
//!   `cargo xtask test` looks for the secrets of all tests in what all processes
//!   wrote.

#![forbid(unsafe_code)]

mod client;
mod collector;
mod events;
pub mod field;
mod forward;
mod gateway;
mod guide;
mod host;
pub mod hostile;
mod issuer;
mod memory;
mod patience;
mod process;
mod programs;
mod raw;
mod rogue;
mod served;
mod sim;
mod transcript;
mod values;
mod watch;
mod web;
mod web_client;

pub use client::{Answer, Client, Era, Progress, User};
pub use collector::{Collector, Seen};
pub use events::{Head, Stream};
pub use forward::{Forward, HttpAnswer, KEY};
pub use gateway::{Gatekeeper, Proxy, ProxyAnswer};
pub use host::HostRunner;
pub use issuer::{Issuer, SigningKey, unsigned};
pub use memory::Memory;
pub use patience::PATIENCE;
pub use process::Output;
pub use programs::{component, hostile_component, hostile_sockets_component, target_dir};
pub use raw::Raw;
pub use rogue::{Authority, Piece, Rogue};
pub use sim::{Sim, SimOptions, Token};
pub use values::{assert_case_says, assert_says, each, with};
pub use web::Web;
pub use web_client::{Answered, WebClient};
