//! A strict simulated Proxmox VE.
