//! The contract of ACT (Agent Component Tools) hosts: `act:tools@0.2.0`, with
//! asynchronous functions and CBOR.
//!
//! A result is one part, the tool's JSON, which an ACT host shows to an MCP
//! client as text: ACT has neither structured results nor output schemas. A
//! failure is an error of one of ACT's kinds, or of `proxmox-mcp:` and the kind
//! in `wit/world.wit` where ACT has none.
//!
//! ACT gives a component no environment. The settings come as metadata of the
//! same names, and `adapters/environment` passes them on to the tools component
//! as its environment.

// The exports of the component are generated code.
#![cfg_attr(not(target_family = "wasm"), forbid(unsafe_code))]

#[cfg(target_family = "wasm")]
mod bindings;
#[cfg(target_family = "wasm")]
mod component;
#[cfg_attr(
    not(any(target_family = "wasm", test)),
    expect(dead_code, reason = "only the component uses it; its tests are native")
)]
mod words;
