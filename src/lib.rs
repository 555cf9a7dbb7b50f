//! Proxmox VE tools for AI clients, as one sandboxed WebAssembly component.
//!
//! `wit/world.wit` is the contract that this crate implements: a list of tools,
//! and stateless calls. The path of a call: [`component`] takes it from the
//! host, [`tools`] holds the table that names its handler, [`tool`] checks its
//! arguments against their schema, and the handler talks to Proxmox through
//! [`pve`].
//!
//! Only [`pve`]'s transport does I/O; all else is pure and tested natively.

// The exports of the component are generated code.
#![cfg_attr(not(target_family = "wasm"), forbid(unsafe_code))]

mod bindings;
mod clock;
mod component;
mod error;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod settings;
mod size;
mod text;
mod tool;

mod pve;
mod tools;
