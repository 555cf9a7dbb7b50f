//! The commands that grant privileges to a token.

use pve_api::grant::{Grant, quote};

use super::needed::Wanted;
use crate::pve::failure::response::ErrorResponse;

/// The commands that grant what is missing on one path.
pub(super) fn commands(wanted: &Wanted, response: &ErrorResponse) -> String {
    let held = response.held.as_ref();
    let held = held.map_or_else(Vec::new, |held| held.on(&wanted.path));
    let missing = wanted.privileges.iter().map(String::as_str);
    let grant = Grant::new(&wanted.path, missing, held.into_iter());
    let (role, add) = (grant.role(), add_role(&grant));
    let path = quote(&wanted.path);
    let Some((user, name)) = response.asked.token.split_once('!') else {
        return format!(
            "{add}; {}; then run `pveum acl modify {path} --roles {role}` with --tokens or --users \
             for the token in use",
            careful("its", &wanted.path, "pveum user permissions")
        );
    };
    let mut for_token = format!("`{}`", grant.to_token(&response.asked.token));
    // It is not known what the token has there.
    if response.held.is_none() && wanted.path != "/" {
        let look = format!(
            "pveum user token permissions {} {}",
            quote(user),
            quote(name)
        );
        let careful = careful("the token's", &wanted.path, &look);
        for_token = format!("{careful}; then run {for_token}");
    }
    // root@pam has all privileges.
    if user == "root@pam" {
        return format!("{add} and {for_token}");
    }
    let look = format!("pveum user permissions {}", quote(user));
    format!(
        "{add} and {for_token}; if the call is refused again, the user lacks it too, and a token has \
         at most its user's rights: {}; then run `{}` (this alone where the token is not \
         privilege-separated)",
        careful(&format!("{user}'s"), &wanted.path, &look),
        grant.to_user(user),
    )
}

/// The role, and the command that adds it.
fn add_role(grant: &Grant<'_>) -> String {
    let kept = match grant.keeps_held() {
        true => {
            "; the role also contains what the token has there now, which the new entry replaces"
        }
        false => "",
    };
    format!(
        "`{}` (skip it where the role exists already{kept})",
        grant.add_role()
    )
}

/// What an entry of the access list may take away, and how to see it before:
/// a token cannot.
fn careful(whose: &str, path: &str, look: &str) -> String {
    let from = if path == "/" {
        "from groups"
    } else {
        "from groups and from the paths above"
    };
    format!(
        "first look with {look} --path {}, since an entry on {path} replaces {whose} roles {from}: \
         to keep those (pveum acl list shows them), name them in --roles as well",
        quote(path)
    )
}
