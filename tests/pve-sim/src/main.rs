//! A strict simulated Proxmox VE.

fn main() {}
