//! Runs the proxmox-mcp component in a sandbox and serves its tools over MCP.

fn main() {}
