//! Random identifiers. Their randomness is that of the standard library's hash keys.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, Hasher as _};

/// A version 4 UUID.
pub(crate) fn uuid() -> String {
    let word = || RandomState::new().build_hasher().finish();
    let (high, low) = (word(), word());
    format!(
        "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
        high >> 32,
        high >> 16 & 0xffff,
        high & 0xfff,
        (low >> 48 & 0x3fff) | 0x8000,
        low & 0xffff_ffff_ffff
    )
}

/// A unicast MAC address with Proxmox's prefix.
pub(crate) fn mac() -> String {
    let random = RandomState::new().build_hasher().finish();
    format!(
        "BC:24:11:{:02X}:{:02X}:{:02X}",
        random & 0xff,
        random >> 8 & 0xff,
        random >> 16 & 0xff
    )
}
