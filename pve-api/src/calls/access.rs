//! Who may do what, and pools.

use super::common::ANYONE;
use crate::call::{Call, Listing, get, opt};
use crate::grammar::Grammar as G;

calls! {
    /// What the token may do, by path.
    PERMISSIONS = get("/access/permissions", ANYONE).lists(Listing::Permissions);
    /// Users and, with `full`, their tokens. No secrets.
    USERS = get("/access/users", ANYONE)
        .also("Sys.Audit or User.Modify on /access/groups for other users")
        .takes(&[opt("full", G::Bool)]);
    /// Roles and the privileges of each.
    ROLES = get("/access/roles", ANYONE);
    /// Which user, group or token has which role on which path.
    ACL = get("/access/acl", ANYONE)
        .also("Sys.Audit on /access, or Permissions.Modify on the path of each entry")
        .lists(Listing::Acl);
    /// Names of pools.
    POOLS = get("/pools", ANYONE)
        .also("Pool.Audit on /pool/{pool} for each entry")
        .lists(Listing::Pools);
}
