//! Numbers of guests.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize};

use crate::text::whole;

/// The number of a guest, 100 to 999999999.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct Vmid(u32);

impl Vmid {
    /// The least vmid; Proxmox keeps those below for itself.
    pub const MIN: u32 = 100;
    /// The greatest vmid.
    pub const MAX: u32 = 999_999_999;

    /// The vmid of this number, if there is one.
    pub const fn new(number: u32) -> Option<Self> {
        if Self::MIN <= number && number <= Self::MAX {
            Some(Self(number))
        } else {
            None
        }
    }

    /// Reads a vmid in the one way to write it: without a sign, blanks or
    /// leading zeros.
    pub fn parse(text: &str) -> Option<Self> {
        Self::new(whole(text)?.try_into().ok()?)
    }

    /// Its number.
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl fmt::Display for Vmid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Vmid {
    type Err = NotAVmid;

    fn from_str(text: &str) -> Result<Self, NotAVmid> {
        Self::parse(text).ok_or(NotAVmid)
    }
}

impl TryFrom<u32> for Vmid {
    type Error = NotAVmid;

    fn try_from(number: u32) -> Result<Self, NotAVmid> {
        Self::new(number).ok_or(NotAVmid)
    }
}

impl From<Vmid> for u32 {
    fn from(vmid: Vmid) -> Self {
        vmid.0
    }
}

impl<'de> Deserialize<'de> for Vmid {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let number = u32::deserialize(from)?;
        Self::new(number).ok_or_else(|| serde::de::Error::custom(NotAVmid))
    }
}

/// Why a number or text is not a [`Vmid`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotAVmid;

impl fmt::Display for NotAVmid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "must be a vmid, from {} to {}", Vmid::MIN, Vmid::MAX)
    }
}

impl std::error::Error for NotAVmid {}

/// An integer with its range, written where it is used and not by reference.
#[cfg(feature = "schema")]
impl schemars::JsonSchema for Vmid {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Vmid".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "integer", "minimum": Self::MIN, "maximum": Self::MAX
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vmid_has_a_range_and_one_spelling() {
        for (text, vmid) in [
            ("100", Some(100)),
            ("999999999", Some(999_999_999)),
            ("99", None),
            ("1000000000", None),
            ("0100", None),
            ("+100", None),
            ("100 ", None),
            ("1e3", None),
            ("", None),
            ("99999999999999999999", None),
        ] {
            assert_eq!(Vmid::parse(text).map(Vmid::get), vmid, "{text}");
        }
    }
}
