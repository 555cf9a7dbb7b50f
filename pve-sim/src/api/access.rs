//! `/access` and `/version`: what a client asks first.

use serde_json::{Map, Value, json};

use crate::endpoint::{Answer, Call, Endpoint, Why, apart, on};
use crate::fail::Fail;
use crate::formats::Format;
use crate::params::{Kind, TEXT, opt, req};
use crate::permission::Permission::Everyone;
use crate::state::show;
use pve_api::{Method, calls};

const USER_ID: &str = r"[^\s:/]+@[A-Za-z][A-Za-z0-9.\-_]+(?:![A-Za-z][A-Za-z0-9.\-_]+)?";

const ROLE: Kind = TEXT.format(Format::Named("pve-roleid", check_role));

fn check_role(text: &str) -> Result<(), String> {
    if crate::params::matches_whole(r"[A-Za-z0-9.\-_]+", text) {
        return Ok(());
    }
    Err(format!(
        "value '{text}' does not look like a valid role name\n"
    ))
}

pub(crate) static ENDPOINTS: &[Endpoint] = &[
    apart(Why::Recorded, Method::Get, "/", &[], Everyone, index),
    on(&calls::cluster::VERSION, &[], Everyone, version),
    apart(
        Why::Recorded,
        Method::Get,
        "/access/domains",
        &[],
        Everyone,
        domains,
    )
    .open(),
    apart(
        Why::Recorded,
        Method::Get,
        "/access/ticket",
        &[],
        Everyone,
        |_| Ok(Value::Null),
    )
    .open(),
    on(&calls::access::ROLES, &[], Everyone, roles),
    apart(
        Why::Recorded,
        Method::Get,
        "/access/roles/{roleid}",
        &[req("roleid", ROLE)],
        Everyone,
        role,
    ),
    on(&calls::access::ACL, &[], Everyone, acl),
    on(
        &calls::access::PERMISSIONS,
        &[opt("path", TEXT), opt("userid", TEXT.pattern(USER_ID))],
        Everyone,
        permissions,
    ),
];

fn index(_: &mut Call<'_>) -> Answer {
    let parts = ["version", "cluster", "nodes", "storage", "access", "pools"];
    Ok(parts.iter().map(|part| json!({"subdir": part})).collect())
}

fn domains(_: &mut Call<'_>) -> Answer {
    Ok(json!([
        {"realm": "pam", "type": "pam", "comment": "Linux PAM standard authentication"},
        {"realm": "pve", "type": "pve", "comment": "Proxmox VE authentication server"},
    ]))
}

fn roles(call: &mut Call<'_>) -> Answer {
    let roles = call.cluster.access.roles.iter().map(|(name, role)| {
        let privileges: Vec<&str> = role.privileges.iter().map(String::as_str).collect();
        json!({"roleid": name, "privs": privileges.join(","), "special": i32::from(role.built_in)})
    });
    Ok(roles.collect())
}

fn role(call: &mut Call<'_>) -> Answer {
    let name = call.text("roleid");
    let role = call
        .cluster
        .access
        .roles
        .get(&name)
        .ok_or_else(|| Fail::die(format!("role '{name}' does not exist")))?;
    let privileges = role.privileges.iter();
    Ok(privileges
        .map(|name| (name.clone(), json!(1)))
        .collect::<Map<_, _>>()
        .into())
}

/// The access lists, of those paths where the token may change them or audit them.
fn acl(call: &mut Call<'_>) -> Answer {
    let visible = |path: &str| {
        ["Sys.Modify", "Permissions.Modify", "Sys.Audit"]
            .iter()
            .any(|privilege| call.may(path, privilege))
    };
    let entries = call.cluster.access.entries.iter();
    let seen = entries.filter(|entry| visible(&entry.path)).map(|entry| {
        json!({
            "path": entry.path,
            "ugid": entry.who,
            "type": if entry.who.contains('!') { "token" } else { "user" },
            "roleid": entry.role,
            "propagate": i32::from(entry.propagate),
        })
    });
    Ok(seen.collect())
}

fn version(_: &mut Call<'_>) -> Answer {
    Ok(json!({"release": "9.2", "version": "9.2.11", "repoid": "14a22df35955d97d"}))
}

fn permissions(call: &mut Call<'_>) -> Answer {
    let own = call.auth.token.id.as_str();
    let who = call.get("userid").unwrap_or(own);
    if who != own && !call.may("/access", "Sys.Audit") {
        return Err(Fail::denied("/access, Sys.Audit"));
    }
    match call.get("path") {
        None => Ok(call.cluster.permissions(who)),
        Some(path) => Ok(json!({path: show(&call.cluster.privileges(who, path))})),
    }
}
