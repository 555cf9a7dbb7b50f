//! Which privileges a refused call needs, and where.

use std::collections::BTreeSet;

use pve_api::Needs;
use pve_api::grant::weight;

use crate::order::Ordered as _;
use crate::pve::failure::response::ErrorResponse;

/// Privileges that are missing, on one path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) privileges: Vec<String>,
    pub(super) path: String,
}

impl Wanted {
    /// `VM.Audit on /vms/100`.
    pub(super) fn label(&self) -> String {
        format!("{} on {}", self.privileges.join(", "), self.path)
    }
}

/// What a refusal names: `Permission check failed (/vms/100, VM.Audit)`.
pub(super) fn named(response: &ErrorResponse) -> Option<Wanted> {
    let (_, rest) = response.message.split_once('(')?;
    let (inside, _) = rest.rsplit_once(')')?;
    let (path, privileges) = inside.split_once(", ")?;
    let wanted = Wanted {
        privileges: least(privileges, response),
        path: match path {
            "" => "/".into(),
            path => path.into(),
        },
    };
    (wanted.path.starts_with('/') && !wanted.privileges.is_empty()).then_some(wanted)
}

/// What a call needs whose refusal names nothing: `Permission check failed`. Proxmox
/// names nothing where one of several checks would have been enough.
pub(super) fn unnamed(response: &ErrorResponse) -> Vec<Wanted> {
    let message = response.message.as_str();
    if !message.is_empty() && !message.eq_ignore_ascii_case("permission check failed") {
        return Vec::new();
    }
    let call = response.asked.request.call();
    let checks: Vec<Needs> = call.always_needs().collect();
    let alternatives: Vec<&Needs> = checks.iter().flat_map(Needs::alternatives).collect();
    let asked: Vec<&Needs> = if message.is_empty() || alternatives.is_empty() {
        checks.iter().collect()
    } else {
        alternatives
    };
    let mut wanted: Vec<Wanted> = asked
        .into_iter()
        .filter_map(|needs| least_of(needs, response))
        .flatten()
        .collect();
    if let Some((privilege, storage)) = call.needs_on_storages().zip(sent(response, "storage")) {
        wanted.push(Wanted {
            privileges: vec![privilege.to_owned()],
            path: format!("/storage/{storage}"),
        });
    }
    wanted
}

/// The privileges that allow least, of those that are enough. None where a path has
/// a name that is not in the request.
fn least_of(needs: &Needs, response: &ErrorResponse) -> Option<Vec<Wanted>> {
    match needs {
        Needs::OneOf { privileges, path } => Some(vec![Wanted {
            privileges: least(&privileges.join("|"), response),
            path: path_of(path, response)?,
        }]),
        Needs::All(parts) => {
            let all: Vec<Vec<Wanted>> = parts
                .iter()
                .map(|part| least_of(part, response))
                .collect::<Option<_>>()?;
            Some(all.into_iter().flatten().collect())
        }
        Needs::Any(parts) => {
            let known = parts.iter().filter_map(|part| least_of(part, response));
            known.min_by_key(|wanted| {
                let names = wanted.iter().flat_map(|wanted| &wanted.privileges);
                let allows: u32 = names.map(|name| u32::from(weight(name))).sum();
                (allows, wanted.iter().any(|wanted| wanted.path == "/"))
            })
        }
    }
}

/// A path of the access list with the names that the request has.
fn path_of(path: &str, response: &ErrorResponse) -> Option<String> {
    let name = |segment: &str| match segment.strip_prefix('{') {
        Some(place) => response
            .asked
            .request
            .name(segment)
            .or_else(|| sent(response, place.trim_end_matches('}')))
            .map(str::to_owned),
        None => Some(segment.to_owned()),
    };
    let segments: Option<Vec<String>> = path.split('/').map(name).collect();
    segments.map(|segments| segments.join("/"))
}

/// The value of a parameter that names one guest, storage or pool.
fn sent<'a>(response: &'a ErrorResponse, name: &str) -> Option<&'a str> {
    let mut sent = response.asked.sent.iter();
    let (_, value) = sent.find(|(key, _)| key == name)?;
    (!value.is_empty() && !value.contains([',', '/'])).then_some(value.as_str())
}

/// Of several privileges, each of which is enough, the one that allows least.
/// A change of a configuration needs one for each kind of key.
fn least(privileges: &str, response: &ErrorResponse) -> Vec<String> {
    // Several with commas between them are all needed. The text comes from a
    // server, and the result goes into a command: nothing but names may.
    if privileges.contains(',') {
        return privileges
            .split(',')
            .flat_map(|one| least(one, response))
            .collect();
    }
    let is_name = |one: &str| {
        one.split('.')
            .all(|word| !word.is_empty() && word.bytes().all(|b| b.is_ascii_alphabetic()))
    };
    if !privileges.split('|').all(|one| is_name(one.trim())) {
        return Vec::new();
    }
    let all: Vec<&str> = privileges
        .split('|')
        .map(str::trim)
        .filter(|one| !one.is_empty())
        .collect();
    if all.len() > 2 && all.iter().all(|one| one.starts_with("VM.Config.")) {
        let call = response.asked.request.call();
        let needed: BTreeSet<&str> = response
            .asked
            .sent
            .iter()
            .filter_map(|(key, _)| call.setting_privilege(key))
            .filter(|needed| all.contains(needed))
            .ordered();
        if !needed.is_empty() {
            return needed.into_iter().map(str::to_owned).collect();
        }
    }
    all.into_iter()
        .min_by_key(|one| weight(one))
        .map(|one| vec![one.to_owned()])
        .unwrap_or_default()
}
