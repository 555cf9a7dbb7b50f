//! Builds, tests and demonstrates proxmox-mcp.

fn main() {}
