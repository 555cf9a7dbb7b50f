//! `/access` and `/version`: what a client asks first.

use serde_json::json;

use crate::auth::Access::Everyone;
use crate::params::{TEXT, opt};
use crate::router::{Answer, Call, Endpoint, Fail, get};

const USER_ID: &str = r"[^\s:/]+@[A-Za-z][A-Za-z0-9.\-_]+(?:![A-Za-z][A-Za-z0-9.\-_]+)?";

pub(crate) const ENDPOINTS: &[Endpoint] = &[
    get("/version", &[], Everyone, version),
    get(
        "/access/permissions",
        &[opt("path", TEXT), opt("userid", TEXT.pattern(USER_ID))],
        Everyone,
        permissions,
    ),
];

fn version(_: &mut Call<'_>) -> Answer {
    Ok(json!({"release": "9.2", "version": "9.2.11", "repoid": "14a22df35955d97d"}))
}

fn permissions(call: &mut Call<'_>) -> Answer {
    if let Some(user) = call.get("userid")
        && user != call.auth.token.id
        && !call.may("/access", "Sys.Audit")
    {
        return Err(Fail::denied("/access, Sys.Audit"));
    }
    let all = call.auth.permissions();
    match call.get("path") {
        None => Ok(all),
        Some(path) => Ok(json!({path: all.get(path).cloned().unwrap_or_else(|| json!({}))})),
    }
}
