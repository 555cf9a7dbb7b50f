//! Digests of configurations, as Proxmox writes them.

use std::fmt::Write as _;

use sha1::{Digest as _, Sha1};

pub(crate) fn sha1_hex(text: &str) -> String {
    let mut hex = String::with_capacity(40);
    for byte in Sha1::digest(text) {
        let _ = write!(hex, "{byte:02x}");
    }
    hex
}
