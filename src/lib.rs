//! Proxmox VE tools for AI clients, as one sandboxed WebAssembly component.
//!
//! `wit/world.wit` is the contract that this crate implements: a list of tools,
//! and stateless calls.
//!
//! # Layout
//!
//! Each layer imports only those below it, and no two files import each other
//! through a third.
//!
//! | module | holds |
//! |---|---|
//! | [`component`] | the exports: the contract's types on one side, the crate's on the other |
//! | [`guide`] | resources, suggestions and prompts, as data that names tools |
//! | [`tools`] | the table of all tools, and the tools |
//! | [`tool`] | what a tool is: its table line, arguments, schema, outcome, report and ticket. Knows no tool |
//! | [`pve`] | the client of Proxmox VE, and the decoders of its answers. Knows no tool |
//! | [`error`], [`settings`], [`clock`], [`json`], [`order`], [`text`], [`tool_names`] | what every layer may use. They import only each other |
//! | [`bindings`] | generated from the contract: the types of the exports, and wasi:http |
//!
//! [`error`] is at the bottom since every layer fails with the contract's errors.
//! [`tool_names`] is there since messages of every layer name the tool that
//! helps next.
//!
//! A call passes them from top to bottom: [`component`] takes it from the host,
//! [`tools`] finds its line of the table, [`tool`] checks the arguments against
//! their schema, and the handler talks to Proxmox through [`pve`]. What is still
//! running at its end comes back later as a ticket, which names the tool: the
//! same line of the table resumes it.
//!
//! Only the transport of [`pve`] sends requests; the rest is tested natively.

// The exports of the component are generated code.
#![cfg_attr(not(target_family = "wasm"), forbid(unsafe_code))]

mod bindings;
mod clock;
mod component;
mod error;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod json;
mod order;
mod settings;
mod text;
mod tool;
mod tool_names;

mod guide;
mod pve;
mod tools;
