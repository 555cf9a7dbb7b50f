//! MCP over Streamable HTTP, as a component for engines that run
//! `wasi:http/incoming-handler`: `wasmtime serve`, Spin, wasmCloud.
//!
//! It has no sessions, so any instance in any process can answer any request:
//! the whole of revision 2026-07-28 that tools need, and of 2025-11-25 what needs
//! no session. The protocol is rmcp's; this crate decides who is served.
//!
//! # Settings
//!
//! From the environment, besides those of the tools component:
//!
//! | Variable | Meaning |
//! |---|---|
//! | `PROXMOX_MCP_HTTP_TOKEN` | The bearer token that clients must send, at least 32 characters. Without it, every request is answered with 401 |
//! | `PROXMOX_MCP_HTTP_HOSTS` | The hosts that clients may name, with or without a port, separated by commas [default: loopback] |
//! | `PROXMOX_MCP_HTTP_ORIGINS` | The origins of web pages that may ask, such as `https://app.example.com:443` or `http://localhost:*` [default: loopback, any port] |
//!
//! # Layout
//!
//! - `door`: who may ask, and for what.
//! - `message`: what is not a message of MCP.
//! - `server`: the tools as rmcp wants them.
//! - `component`: the export, and the way of a request through the others.

// The exports of the component are generated code.
#![cfg_attr(not(target_family = "wasm"), forbid(unsafe_code))]
#![cfg_attr(
    not(target_family = "wasm"),
    expect(dead_code, reason = "only the component uses it; its tests are native")
)]

#[cfg(target_family = "wasm")]
mod bindings;
#[cfg(target_family = "wasm")]
mod component;
mod door;
mod message;
#[cfg(target_family = "wasm")]
mod server;
