//! Input: a tool call and the answers of Proxmox.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| proxmox_mcp::fuzz::response(input));
