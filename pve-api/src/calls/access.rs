//! The token's own rights, and pools.

use super::common::ANYONE;
use crate::call::{Call, Listing, get};

calls! {
    /// What the token may do, by path.
    PERMISSIONS = get("/access/permissions", ANYONE).lists(Listing::Permissions);
    /// Names of pools.
    POOLS = get("/pools", ANYONE)
        .also("Pool.Audit on /pool/{pool} for each entry")
        .lists(Listing::Pools);
}
